"""Clients that lie: the honest inputs enter the sum exactly, or the session ends in `Abort`; only liars are named.

12 users, at most 2 of them corrupt, and so a threshold of 8: while all unmask, 2 wrong shares of a secret are
corrected. x_u is u in every entry.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg import Abort, Client, Model, Params, Round, shamir, vector
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair
from secagg.protocol import ciphertexts
from secagg.protocol.client import S_SK
from secagg.protocol.client_state import Advertised, Checked, Masked
from secagg.protocol.messages import AdvertiseKeys, Answer, MaskedInputCollection, decode, encode, signed, signed_body
from secagg.protocol.reconstruct import WrongShare
from secagg.shamir import Q
from secagg.signatures import SIGNATURE_BYTES

from ..support.rounds import parties

N, T, N_CORRUPT, M, R = 12, 8, 2, 3, (1 << 12) - 3
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
EVERYONE = set(range(1, N + 1))
RADIUS = (N - T) // 2
honest_share = shamir.share
KINDS: dict[int, type[Answer]] = {kind.TYPE: kind for kind in Answer.__subclasses__()}

Alter = Callable[[Client, bytes], bytes]
"""What a corrupt client sends instead of an answer."""
Deal = Callable[[Octets, Ids], Octets]
"""From the shares [holder, (s_sk, b)] that a client should deal, and the holders, to those that it deals."""


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


class Session:
    """One session with corrupt users, played to its end.

    Args:
        model: the session's.
        corrupt: who they are; nobody else may be named, and every dispute has one of them.
        alter: what they send instead of their answers, by round and user.
        deal: which shares they deal.
        drops: who vanishes before a round.

    Attributes:
        server: after its last round.
        abort: how it ended, if it did not end well.
    """

    def __init__(
        self,
        model: Model,
        corrupt: set[int],
        *,
        alter: dict[tuple[Round, int], Alter] | None = None,
        deal: dict[int, Deal] | None = None,
        drops: dict[Round, set[int]] | None = None,
    ) -> None:
        params = Params(n=N, t=T, n_corrupt=N_CORRUPT, m=M, modulus=R, model=model)
        self.server, self.clients = parties(params)
        self.abort: Abort | None = None
        self._alter, self._deal, self._drops = alter or {}, deal or {}, drops or {}
        try:
            self._play()
        except Abort as abort:
            self.abort = abort
        assert self.named <= corrupt
        assert all(corrupt & set(pair) for pair in self.server.disputes)

    def _play(self) -> None:
        requests = dict.fromkeys(self.clients, b"")
        while (current := self.server.round) is not None:
            for u, request in requests.items():
                if u not in self._drops.get(current, set()):
                    answer = self._answer(u, request)
                    change = self._alter.get((current, u))
                    self.server.receive(u, change(self.clients[u], answer) if change else answer)
            requests = self.server.end_round()

    def _answer(self, u: int, request: bytes) -> bytes:
        client = self.clients[u]
        with pytest.MonkeyPatch.context() as patch:
            if u in self._deal:
                patch.setattr(shamir, "share", dealing(self._deal[u]))
            answer: bytes = client.receive(request) if request else client.start()
            return answer

    @property
    def named(self) -> set[int]:
        return {fault.client for fault in self.server.faults}

    @property
    def strays(self) -> set[tuple[int, Round, str]]:
        return {(stray.client, stray.round, stray.reason) for stray in self.server.strays}

    @property
    def faults(self) -> set[tuple[int, Round, str]]:
        return {(fault.client, fault.round, fault.reason) for fault in self.server.faults}

    def gives_the_sum_of(self, users: set[int]) -> "Session":
        assert self.abort is None
        assert set(self.server.survivors) == users
        assert self.server.sum.tolist() == [sum(users) % R] * M
        return self

    def aborts(self, reason: str) -> "Session":
        assert self.abort is not None
        assert reason in self.abort.reason
        assert self.server.round is None
        return self

    def names(self, current: Round, reason: str, *users: int) -> "Session":
        """Only these have a fault, and this one."""
        assert self.faults == {(u, current, reason) for u in users}
        return self

    def strays_are(self, current: Round, reason: str, *users: int) -> "Session":
        """Only these messages proved nothing, and so nobody is named."""
        assert self.strays == {(u, current, reason) for u in users}
        return self.names_nobody()

    def names_nobody(self) -> "Session":
        assert self.faults == set()
        return self

    def disputes(self, *pairs: tuple[int, int]) -> "Session":
        """Only these: (holder, dealer)."""
        assert self.server.disputes == sorted(WrongShare(*pair) for pair in pairs)
        return self


def dealing(deal: Deal) -> Callable[..., Octets]:
    def share(secrets: Octets, t: int, xs: Ids, *, rand: shamir.RandomBytes) -> Octets:
        return deal(honest_share(secrets, t, xs, rand=rand), xs)

    return share


def rewrite(**changes: Callable[[Any], Any]) -> Alter:
    """Some fields of the answer are other ones, and it is signed as always."""

    def alter(client: Client, data: bytes) -> bytes:
        answer = answer_in(client, data)
        views = {name: bytes(value) for name, value in vars(answer).items() if isinstance(value, memoryview)}
        fields = vars(answer) | views
        changed = {name: change(fields[name]) for name, change in changes.items()}
        return client._encode(type(answer)(**fields | changed))

    return alter


def answer_in(client: Client, data: bytes) -> Answer:
    body = data if client.params.model is Model.SEMI_HONEST else data[:-SIGNATURE_BYTES]
    return decode(body, KINDS[data[1]])


def with_rows(array: Octets, rows: list[int], value: Octets) -> Octets:
    changed = array.copy()
    changed[rows] = value
    return changed


def random_shares(*shape: int) -> Octets:
    return shamir.random_scalars(int(np.prod(shape))).reshape(*shape, 32)


def bad_shares_for(*holders: int) -> Deal:
    """Other elements of the field."""
    return lambda shares, xs: with_rows(shares, [u - 1 for u in holders], random_shares(len(holders), 2))


HOLDER = "holds wrong shares of more users than can have lied"
DEALER = "dealt wrong shares to more users than can have lied"
IMPOSTOR = "dealt shares of another secret than it committed to"
STAYS: dict[Round, set[int]] = {}
LEAVES = {Round.MASKED_INPUT_COLLECTION: {5}}  # then s_sk is reconstructed, and not b
dealer_stays_or_leaves = pytest.mark.parametrize("drops", [STAYS, LEAVES], ids=["b", "s_sk"])


# Shares that are not what they should be


@dealer_stays_or_leaves
def test_shares_under_a_wrong_index(model: Model, drops: dict[Round, set[int]]) -> None:
    """Each holder gets the share of the next one: all but the last lie on one polynomial, of another secret."""
    session = Session(model, {5}, deal={5: lambda shares, xs: np.roll(shares, -1, axis=0)}, drops=drops)
    session.aborts("user 5's shares are not of the secret that it committed to")
    session.names(Round.SHARE_KEYS, IMPOSTOR, 5)


def test_two_shares_swapped(model: Model) -> None:
    """Two wrong shares are corrected; they prove nothing, for their holders may have falsified them."""
    session = Session(model, {5}, deal={5: lambda shares, xs: shares[[1, 0, *range(2, N)]]})
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 5), (2, 5))


def test_two_shares_swapped_by_a_user_who_leaves(model: Model) -> None:
    """Without its own share, 11 are left of 8 needed: one wrong one can be corrected, two cannot."""
    session = Session(model, {5}, deal={5: lambda shares, xs: shares[[1, 0, *range(2, N)]]}, drops=LEAVES)
    session.aborts("too many shares of user 5's secret are wrong to recover it").names_nobody().disputes()


def not_opening(how: str, *recipients: int) -> dict[str, Any]:
    """Arguments of `Session` with which user 12 sends these what does not open as shares for them."""
    rows = [u - 1 for u in recipients]
    if how == "out of the field":
        values = np.frombuffer(Q.to_bytes(32, "big"), np.uint8)
        return {"deal": {12: lambda shares, xs: with_rows(shares, rows, values)}}
    change = {
        "garbage": lambda array: with_rows(array, rows, np.full(array.shape[1], 7, np.uint8)),
        "wrong tag": lambda array: with_rows(array, rows, array[rows] ^ (np.arange(array.shape[1]) == 87)),
    }[how]
    return {"alter": {(Round.SHARE_KEYS, 12): rewrite(ciphertexts=change)}}


spoiled = pytest.mark.parametrize("how", ["garbage", "wrong tag", "out of the field"])


@spoiled
def test_ciphertexts_that_do_not_open_for_few(model: Model, how: str) -> None:
    """Missing shares: their sender stays, and as either side may lie, the pairs are reported."""
    session = Session(model, {12}, **not_opening(how, 1, 4))
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 12), (4, 12))


@spoiled
@pytest.mark.parametrize("leaves", [False, True])
def test_ciphertexts_that_do_not_open_for_n_minus_t(model: Model, how: str, leaves: bool) -> None:
    """The t others still hold the secret; more holders than can lie say so, and the dealer is named.

    If it drops out as well, its own share is missing too, and the session ends.
    """
    drops = {Round.MASKED_INPUT_COLLECTION: {12}} if leaves else {}
    session = Session(model, {12}, drops=drops, **not_opening(how, 1, 2, 3, 4))
    if leaves:
        session.aborts("shares of user 12's secret")
    else:
        session.gives_the_sum_of(EVERYONE)
    session.names(Round.SHARE_KEYS, DEALER, 12).disputes()


@spoiled
def test_ciphertexts_that_do_not_open_for_n_minus_t_plus_one(model: Model, how: str) -> None:
    """The masks with this user are in everybody's y_u and nobody can take them out: the session ends, and it is named.

    In Fig. 4 any one such ciphertext would make its recipient abort.
    """
    session = Session(model, {12}, **not_opening(how, 1, 2, 3, 4, 5))
    session.aborts("shares of user 12's secret")
    assert session.abort is not None
    assert (session.abort.answered, session.abort.needed) == (T - 1, T)
    session.names(Round.SHARE_KEYS, DEALER, 12).disputes()


def test_ciphertexts_for_others(model: Model) -> None:
    """Sealed for a recipient, but u || v inside names another: it counts as one that does not open."""
    route = ciphertexts._route
    swapped = dict(zip(range(1, N + 1), [2, 1, *range(3, N + 1)], strict=True))

    class Misled(Session):
        def _answer(self, u: int, request: bytes) -> bytes:
            with pytest.MonkeyPatch.context() as patch:
                if u == 12 and self.server.round is Round.SHARE_KEYS:
                    patch.setattr(ciphertexts, "_route", lambda sender, v: route(sender, swapped[v]))
                return super()._answer(u, request)

    Misled(model, {12}).gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 12), (2, 12))


@dealer_stays_or_leaves
def test_shares_of_a_higher_degree(model: Model, drops: dict[Round, set[int]]) -> None:
    """No polynomial that t shares determine is the right one; which shares are wrong cannot be said."""
    session = Session(model, {5}, deal={5: lambda shares, xs: honest_share(random_shares(2), T + 1, xs)}, drops=drops)
    session.aborts("too many shares of user 5's secret are wrong to recover it").names_nobody()


@dealer_stays_or_leaves
def test_shares_of_a_lower_degree_harm_only_their_dealer(model: Model, drops: dict[Round, set[int]]) -> None:
    class LowDegree(Session):
        def _answer(self, u: int, request: bytes) -> bytes:
            with pytest.MonkeyPatch.context() as patch:
                if u == 5:
                    patch.setattr(shamir, "share", lambda secrets, t, xs, rand: honest_share(secrets, 5, xs, rand=rand))
                return super()._answer(u, request)

    session = LowDegree(model, {5}, drops=drops)
    session.gives_the_sum_of(EVERYONE - drops.get(Round.MASKED_INPUT_COLLECTION, set())).names_nobody().disputes()


@dealer_stays_or_leaves
def test_half_of_the_recipients_get_shares_of_another_polynomial(model: Model, drops: dict[Round, set[int]]) -> None:
    session = Session(
        model,
        {5},
        deal={5: lambda shares, xs: np.concatenate([shares[:6], honest_share(random_shares(2), T, xs)[6:]])},
        drops=drops,
    )
    session.aborts("too many shares of user 5's secret are wrong to recover it").names_nobody()


@dealer_stays_or_leaves
def test_all_recipients_get_shares_of_another_secret(model: Model, drops: dict[Round, set[int]]) -> None:
    session = Session(model, {5}, deal={5: lambda shares, xs: honest_share(random_shares(2), T, xs)}, drops=drops)
    session.aborts("user 5's shares are not of the secret that it committed to")
    session.names(Round.SHARE_KEYS, IMPOSTOR, 5).disputes()


def test_wrong_commitment_to_b(model: Model) -> None:
    """Its own b_u fails the check, on the polynomial that everybody's shares lie on."""
    alter = {(Round.SHARE_KEYS, 5): rewrite(commitment=lambda _: bytes(32))}
    session = Session(model, {5}, alter=alter)
    session.aborts("user 5's shares are not of the secret that it committed to")
    session.names(Round.SHARE_KEYS, IMPOSTOR, 5).disputes()


def test_wrong_commitment_to_b_of_a_user_who_leaves(model: Model) -> None:
    alter = {(Round.SHARE_KEYS, 5): rewrite(commitment=lambda _: bytes(32))}
    Session(model, {5}, alter=alter, drops=LEAVES).gives_the_sum_of(EVERYONE - {5}).names_nobody()


def test_wrong_commitment_while_a_share_is_missing(model: Model) -> None:
    """With fewer than t + n_corrupt shares on the polynomial nobody is named: 2 corrupt could have made it up."""
    alter = {(Round.SHARE_KEYS, 5): rewrite(commitment=lambda _: bytes(32))}
    session = Session(model, {5}, alter=alter, drops={Round.UNMASKING: {8, 9, 10}})
    session.aborts("too many shares of user 5's secret are wrong to recover it").names_nobody()


# Framing


def test_dealer_frames_a_holder(model: Model) -> None:
    session = Session(model, {12}, deal={12: bad_shares_for(1)})
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 12))


def test_all_corrupt_dealers_frame_one_holder(model: Model) -> None:
    session = Session(model, {11, 12}, deal=dict.fromkeys((11, 12), bad_shares_for(1)))
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 11), (1, 12))


def test_dealer_frames_a_holder_and_lies_in_its_place(model: Model) -> None:
    """Its own wrong shares, which are looked at once the framed holder is suspected, testify against nobody else."""
    lie = {(Round.UNMASKING, 9): rewrite(shares=lambda shares: random_shares(len(shares)))}
    session = Session(model, {9}, deal={9: bad_shares_for(1)}, alter=lie)
    session.gives_the_sum_of(EVERYONE).names(Round.UNMASKING, HOLDER, 9).disputes((1, 9))


def test_holders_frame_a_dealer(model: Model) -> None:
    """As many as can be corrupt say that a dealer's ciphertexts do not open."""
    session = Session(model, {11, 12}, alter=unopened(11, 5) | unopened(12, 5))
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((11, 5), (12, 5))


def unopened(holder: int, *dealers: int) -> dict[tuple[Round, int], Alter]:
    """The holder says that it could not open what these sent, and has no share of theirs later."""
    rows = [v - 1 for v in dealers]
    return {
        (Round.MASKED_INPUT_COLLECTION, holder): rewrite(unopened=lambda _: ids(*dealers)),
        (Round.UNMASKING, holder): rewrite(shares=lambda shares: np.delete(shares, rows, axis=0)),
    }


def ids(*users: int) -> Ids:
    return np.array(users, np.uint32)


# Unmasking


def lying(*holders: int, about: set[int] = EVERYONE) -> dict[tuple[Round, int], Alter]:
    rows = [v - 1 for v in sorted(about)]
    alter = rewrite(shares=lambda shares: with_rows(shares, rows, random_shares(len(rows))))
    return {(Round.UNMASKING, u): alter for u in holders}


def test_one_wrong_share(model: Model) -> None:
    session = Session(model, {1}, alter=lying(1, about={7}))
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 7))


def test_wrong_shares_of_as_many_dealers_as_can_lie(model: Model) -> None:
    session = Session(model, {1}, alter=lying(1, about={6, 7}))
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes((1, 6), (1, 7))


def test_wrong_shares_of_one_dealer_more(model: Model) -> None:
    session = Session(model, {1}, alter=lying(1, about={6, 7, 8}))
    session.gives_the_sum_of(EVERYONE).names(Round.UNMASKING, HOLDER, 1).disputes()


@pytest.mark.parametrize("liars", [1, RADIUS])
@pytest.mark.parametrize("dropped", [set(), {5, 6}])
def test_wrong_shares_up_to_the_decoding_bound(model: Model, liars: int, dropped: set[int]) -> None:
    """Those who drop out after their shares are dealt leave fewer to decode from."""
    holders = [*range(1, liars + 1)][: (N - len(dropped) - T) // 2]
    drops = {Round.MASKED_INPUT_COLLECTION: dropped}
    session = Session(model, set(holders), alter=lying(*holders), drops=drops)
    session.gives_the_sum_of(EVERYONE - dropped).names(Round.UNMASKING, HOLDER, *holders).disputes()


@pytest.mark.parametrize("dropped", [set(), {5, 6}])
def test_wrong_shares_of_one_holder_more_than_the_decoding_bound(model: Model, dropped: set[int]) -> None:
    holders = range(1, (N - len(dropped) - T) // 2 + 2)
    drops = {Round.MASKED_INPUT_COLLECTION: dropped}
    session = Session(model, {*holders}, alter=lying(*holders), drops=drops)
    session.aborts("too many shares of user 1's secret are wrong to recover it").names_nobody()


def test_shares_that_were_not_asked_for(model: Model) -> None:
    """The holder reveals its shares of s_sk where those of b are due; the server drops them as wrong."""

    class Eager(Session):
        def _answer(self, u: int, request: bytes) -> bytes:
            state = self.clients[u]._state
            masked = state.masked if isinstance(state, Checked) else state
            answer = super()._answer(u, request)
            if u == 1 and self.server.round is Round.UNMASKING:
                assert isinstance(masked, Masked)
                return rewrite(shares=lambda _: masked.shares[:, S_SK])(self.clients[u], answer)
            return answer

    Eager(model, {1}).gives_the_sum_of(EVERYONE).names(Round.UNMASKING, HOLDER, 1).disputes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shares: with_rows(shares, [3], np.full(32, 255, np.uint8)), "a share is not an element of the field"),
        (lambda shares: shares[:-1], f"{N - 1} shares for {N} users"),
        (lambda shares: np.concatenate([shares, shares[:1]]), f"{N + 1} shares for {N} users"),
        (lambda shares: shares[:0], f"0 shares for {N} users"),
    ],
)
def test_shares_out_of_the_field_or_not_one_each(model: Model, change: Callable[[Octets], Octets], reason: str) -> None:
    session = Session(model, {1}, alter={(Round.UNMASKING, 1): rewrite(shares=change)})
    session.gives_the_sum_of(EVERYONE).names(Round.UNMASKING, reason, 1)


# Keys


def advertise(s_sk: int | None = None, c_sk: int | None = None) -> Alter:
    """Round 0 with chosen secret keys."""

    def alter(client: Client, data: bytes) -> bytes:
        state = client._state
        assert isinstance(state, Advertised)
        chosen = [
            pair if k is None else KeyPair.from_secret(k.to_bytes(32, "big"))
            for pair, k in ((state.c, c_sk), (state.s, s_sk))
        ]
        client._state = Advertised(*chosen)
        return client._encode(AdvertiseKeys(chosen[0].public, chosen[1].public))

    return alter


@pytest.mark.parametrize("key", [1, 2, 3, (Q - 1) // 2, Q - 2, Q - 1, 1 << 255, (1 << 128) - 1])
@dealer_stays_or_leaves
def test_crafted_s_sk(model: Model, key: int, drops: dict[Round, set[int]]) -> None:
    """No key is an exceptional case of the agreement: its masks are taken out like any other's."""
    session = Session(model, {5}, alter={(Round.ADVERTISE_KEYS, 5): advertise(s_sk=key)}, drops=drops)
    session.gives_the_sum_of(EVERYONE - drops.get(Round.MASKED_INPUT_COLLECTION, set())).names_nobody().disputes()


@pytest.mark.parametrize("key", [1, Q - 1])
def test_crafted_c_sk(model: Model, key: int) -> None:
    session = Session(model, {5}, alter={(Round.ADVERTISE_KEYS, 5): advertise(c_sk=key)})
    session.gives_the_sum_of(EVERYONE).names_nobody().disputes()


def test_two_users_with_related_s_sk(model: Model) -> None:
    """d and q - d have the same x-coordinate: the later one is refused. d and 2d are nothing special."""
    opposite = {(Round.ADVERTISE_KEYS, 5): advertise(s_sk=77), (Round.ADVERTISE_KEYS, 6): advertise(s_sk=Q - 77)}
    session = Session(model, {5, 6}, alter=opposite)
    session.gives_the_sum_of(EVERYONE - {6}).names(Round.ADVERTISE_KEYS, "a public key was advertised before", 6)
    double = {(Round.ADVERTISE_KEYS, 5): advertise(s_sk=77), (Round.ADVERTISE_KEYS, 6): advertise(s_sk=154)}
    session = Session(model, {5, 6}, alter=double, drops={Round.MASKED_INPUT_COLLECTION: {5, 6}})
    session.gives_the_sum_of(EVERYONE - {5, 6}).names_nobody()


@pytest.mark.parametrize("place", ["c_pk", "s_pk"])
@pytest.mark.parametrize("taken", ["c_pk", "s_pk"])
def test_public_key_of_another_user(model: Model, place: str, taken: str) -> None:
    """The later of two equal ones is refused, whichever of the two keys they are."""
    seen: list[bytes] = []

    def advertised(client: Client) -> bytes:
        keys = answer_in(client, seen[0])
        assert isinstance(keys, AdvertiseKeys)
        return keys.c_pk if taken == "c_pk" else keys.s_pk

    alter: dict[tuple[Round, int], Alter] = {
        (Round.ADVERTISE_KEYS, 3): eavesdrop(seen),
        (Round.ADVERTISE_KEYS, 5): lambda client, data: rewrite(**{place: lambda _: advertised(client)})(client, data),
    }
    session = Session(model, {5}, alter=alter)
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.ADVERTISE_KEYS, "a public key was advertised before", 5)


def eavesdrop(seen: list[bytes]) -> Alter:
    """The message as it is, which the corrupt user sees."""

    def alter(client: Client, data: bytes) -> bytes:
        seen.append(data)
        return data

    return alter


def test_one_public_key_for_both(model: Model) -> None:
    session = Session(model, {5}, alter={(Round.ADVERTISE_KEYS, 5): advertise(s_sk=77, c_sk=77)})
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.ADVERTISE_KEYS, "a public key was advertised before", 5)


def off_the_curve() -> int:
    """The least x for which x^3 - 3x + b is no square."""
    return next(x for x in range(100) if pow(x**3 - 3 * x + P256_B, (P256 - 1) // 2, P256) == P256 - 1)


@pytest.mark.parametrize(
    "x", [off_the_curve(), P256, P256 + 5, (1 << 256) - 1], ids=["no square", "p", "p + 5", "ones"]
)
@pytest.mark.parametrize("place", ["c_pk", "s_pk"])
def test_public_key_off_the_curve(model: Model, x: int, place: str) -> None:
    bad = rewrite(**{place: lambda _: x.to_bytes(32, "big")})
    session = Session(model, {5}, alter={(Round.ADVERTISE_KEYS, 5): bad})
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.ADVERTISE_KEYS, "a public key is not on the curve", 5)


def test_share_keys_with_too_few_ciphertexts(model: Model) -> None:
    session = Session(model, {5}, alter={(Round.SHARE_KEYS, 5): rewrite(ciphertexts=lambda array: array[:-1])})
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.SHARE_KEYS, "10 ciphertexts for 11 recipients", 5)


# Masked inputs

BAD_VECTOR = "the masked input has a wrong length, an entry >= R or dirty padding"


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y[:-1],
        lambda y: y + b"\0",
        lambda y: b"",
        lambda y: y * 2,
        lambda y: b"\xff" * (len(y) - 1) + b"\x0f",
        lambda y: R.to_bytes(len(y), "little"),
        lambda y: y[:-1] + bytes([y[-1] | 0x10]),
        lambda y: y[:-1] + bytes([y[-1] | 0x80]),
    ],
    ids=["short", "long", "empty", "doubled", "all ones", "R", "padding", "last bit of the padding"],
)
def test_vector_of_wrong_length_range_or_padding(model: Model, change: Callable[[bytes], bytes]) -> None:
    """Its sender counts as dropped from round 2 on: its masks are taken out with its s_sk."""
    session = Session(model, {5}, alter={(Round.MASKED_INPUT_COLLECTION, 5): rewrite(y=change)})
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.MASKED_INPUT_COLLECTION, BAD_VECTOR, 5).disputes()


@pytest.mark.parametrize("shift", [1, R // 2, R - 1])
def test_input_of_any_size_is_one_vector_more(model: Model, shift: int) -> None:
    """A corrupt client may have any input, beyond `max_value` too; the others' enter the sum as they are."""

    def alter(client: Client, data: bytes) -> bytes:
        def add(y: bytes) -> bytes:
            values = np.zeros(M, np.uint32)
            vector.packed_add(values, y, R)
            return vector.pack((values + np.uint32(shift)) % R, R).tobytes()

        return rewrite(y=add)(client, data)

    session = Session(model, {5}, alter={(Round.MASKED_INPUT_COLLECTION, 5): alter})
    assert session.names_nobody().abort is None
    assert set(session.server.survivors) == EVERYONE
    assert session.server.sum.tolist() == [(sum(EVERYONE) + shift) % R] * M


def test_vector_twice(model: Model) -> None:
    """The first one stands."""

    class Twice(Session):
        def _answer(self, u: int, request: bytes) -> bytes:
            answer = super()._answer(u, request)
            if u == 5 and self.server.round is Round.MASKED_INPUT_COLLECTION:
                self.server.receive(u, answer)
                return rewrite(y=lambda _: bytes(5))(self.clients[u], answer)
            return answer

    session = Twice(model, {5}).gives_the_sum_of(EVERYONE)
    session.names(Round.MASKED_INPUT_COLLECTION, "has answered this round in two ways", 5).disputes()


def test_vector_late(model: Model) -> None:
    """It is not taken once round 2 has ended: its sender's s_sk is revealed, and b_u alone hides x_u."""
    seen: list[bytes] = []

    class Late(Session):
        def _answer(self, u: int, request: bytes) -> bytes:
            current = self.server.round
            if u == 6 and seen and current in (Round.CONSISTENCY_CHECK, Round.UNMASKING):
                self.server.receive(5, seen.pop())
                assert self.server.strays[-1] == (5, current, "the round that it answers has ended")
            return super()._answer(u, request)

    def keep_back(client: Client, data: bytes) -> bytes:
        seen.append(data)
        return b""

    session = Late(model, {5}, alter={(Round.MASKED_INPUT_COLLECTION, 5): keep_back})
    session.gives_the_sum_of(EVERYONE - {5}).disputes()


def test_vector_of_somebody_else(model: Model) -> None:
    """User 5 sends what user 3 has sent. A signature names its signer; without them it is a vector of 5's choice."""
    seen: list[bytes] = []
    alter: dict[tuple[Round, int], Alter] = {
        (Round.MASKED_INPUT_COLLECTION, 3): eavesdrop(seen),
        (Round.MASKED_INPUT_COLLECTION, 5): lambda client, data: seen[0],
    }
    session = Session(model, {5}, alter=alter)
    if model is Model.ACTIVE:
        session.gives_the_sum_of(EVERYONE - {5}).strays_are(Round.MASKED_INPUT_COLLECTION, "a signature is wrong", 5)
    else:
        assert session.names_nobody().abort is None
        assert set(session.server.survivors) == EVERYONE


def test_vector_in_the_name_of_somebody_else() -> None:
    """Who takes over user 3's connection, but has user 5's key only, can silence user 3 and do no more: it is not even
    user 3's fault."""
    other: list[Client] = []

    def borrow(client: Client, data: bytes) -> bytes:
        other.append(client)
        return data

    def forge(client: Client, data: bytes) -> bytes:
        answer, identity = answer_in(client, data), other[0]._identity
        assert identity is not None
        return encode(answer) + identity.sign(signed(client._scope, client.user_id, answer))

    alter: dict[tuple[Round, int], Alter] = {(Round.SHARE_KEYS, 5): borrow, (Round.MASKED_INPUT_COLLECTION, 3): forge}
    session = Session(Model.ACTIVE, {3, 5}, alter=alter)
    session.gives_the_sum_of(EVERYONE - {3}).strays_are(Round.MASKED_INPUT_COLLECTION, "a signature is wrong", 3)


# Signatures


def sign_as(**changes: Any) -> Alter:
    """The same content with a signature over another scope, round or sender."""

    def alter(client: Client, data: bytes) -> bytes:
        answer = answer_in(client, data)
        kind = KINDS[changes.get("type", answer.TYPE)]
        other = type("Other", (type(answer),), {"ROUND": kind.ROUND})(**vars(answer))
        assert client._identity is not None
        message = signed(changes.get("scope", client._scope), changes.get("user", client.user_id), other)
        return encode(answer) + client._identity.sign(message)

    return alter


ACTIVE_ROUNDS = [kind.ROUND for kind in sorted(KINDS.values(), key=lambda kind: kind.ROUND)]


@pytest.mark.parametrize("current", ACTIVE_ROUNDS, ids=str)
@pytest.mark.parametrize(
    "changes",
    [{"scope": bytes(32)}, {"user": 6}, {"type": MaskedInputCollection.TYPE}, {"type": AdvertiseKeys.TYPE}],
    ids=["session", "user", "round 2", "round 0"],
)
def test_signature_over_another_session_user_or_round(current: Round, changes: dict[str, Any]) -> None:
    session = Session(Model.ACTIVE, {5}, alter={(current, 5): sign_as(**changes)})
    if "type" in changes and KINDS[changes["type"]].ROUND is current:
        session.gives_the_sum_of(EVERYONE).names_nobody()
        return
    left = current > Round.MASKED_INPUT_COLLECTION
    session.gives_the_sum_of(EVERYONE if left else EVERYONE - {5})
    session.strays_are(current, "a signature is wrong", 5)


@pytest.mark.parametrize("current", ACTIVE_ROUNDS, ids=str)
@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-64], lambda data: data[:-1], lambda data: data[:-64] + bytes(64), lambda data: b""],
    ids=["none", "cut", "zeros", "no message"],
)
def test_signature_missing(current: Round, change: Callable[[bytes], bytes]) -> None:
    session = Session(Model.ACTIVE, {5}, alter={(current, 5): lambda client, data: change(data)})
    session.gives_the_sum_of(EVERYONE if current > Round.MASKED_INPUT_COLLECTION else EVERYONE - {5}).names_nobody()
    assert {(u, at) for u, at, _ in session.strays} == {(5, current)}


@pytest.mark.parametrize("current", ACTIVE_ROUNDS, ids=str)
@pytest.mark.parametrize(
    ("cut", "reason"),
    [(lambda body: body[:-1], "ends early"), (lambda body: body + b"\0", "1 bytes too many")],
    ids=["cut", "longer"],
)
def test_signed_message_that_cannot_be_decoded(current: Round, cut: Callable[[bytes], bytes], reason: str) -> None:
    """A signature over the bytes proves whose they are, whatever they are."""

    def alter(client: Client, data: bytes) -> bytes:
        header, body = data[:2], cut(data[2:-SIGNATURE_BYTES])
        assert client._identity is not None
        return header + body + client._identity.sign(signed_body(client._scope, client.user_id, current, body))

    session = Session(Model.ACTIVE, {5}, alter={(current, 5): alter})
    session.gives_the_sum_of(EVERYONE if current > Round.MASKED_INPUT_COLLECTION else EVERYONE - {5})
    ((_, _, given),) = session.faults
    assert session.named == {5}
    assert reason in given
    assert session.strays == set()


def test_signature_of_another_list_in_the_consistency_check() -> None:
    """Relayed, it would make every honest client abort in round 4."""
    alter = {(Round.CONSISTENCY_CHECK, 5): rewrite(u3_hash=lambda _: bytes(32))}
    session = Session(Model.ACTIVE, {5}, alter=alter)
    session.gives_the_sum_of(EVERYONE).names(Round.CONSISTENCY_CHECK, "has signed another list than U3", 5)


# Reports of what did not open


def test_everything_reported_as_unopened(model: Model) -> None:
    """A client holds t shares or leaves; its masks go with its s_sk."""
    others = ids(*sorted(EVERYONE - {5}))
    session = Session(model, {5}, alter={(Round.MASKED_INPUT_COLLECTION, 5): rewrite(unopened=lambda _: others)})
    session.gives_the_sum_of(EVERYONE - {5})
    session.names(Round.MASKED_INPUT_COLLECTION, "only 1 ciphertexts opened", 5).disputes()


def test_as_much_reported_as_unopened_as_can_be(model: Model) -> None:
    """n - t ciphertexts of honest users: they cannot all have lied, so the reporter has."""
    session = Session(model, {5}, alter=unopened(5, 1, 2, 3, 4))
    session.gives_the_sum_of(EVERYONE).names(Round.UNMASKING, HOLDER, 5).disputes()


def test_shares_of_what_was_reported_as_unopened(model: Model) -> None:
    alter = {(Round.MASKED_INPUT_COLLECTION, 5): rewrite(unopened=lambda _: ids(1, 2))}
    session = Session(model, {5}, alter=alter)
    session.gives_the_sum_of(EVERYONE).names(Round.UNMASKING, "12 shares for 10 users", 5).disputes((5, 1), (5, 2))


@pytest.mark.parametrize(
    "listed",
    [ids(2, 1), ids(1, 1), ids(5), ids(13), ids(0)],
    ids=["descending", "repeated", "itself", "beyond the roster", "zero"],
)
def test_malformed_list_of_unopened(model: Model, listed: Ids) -> None:
    alter = {(Round.MASKED_INPUT_COLLECTION, 5): rewrite(unopened=lambda _: listed)}
    reason = "the list of unopened ciphertexts is not an ascending part of U2"
    session = Session(model, {5}, alter=alter)
    session.gives_the_sum_of(EVERYONE - {5}).names(Round.MASKED_INPUT_COLLECTION, reason, 5)
