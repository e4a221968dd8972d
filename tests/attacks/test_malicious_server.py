"""A malicious server against honest clients: what they refuse, and that nothing it collects unmasks anyone.

Where an attack is not refused by the semi-honest model, whose users trust their server, only the active model has the
test.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Abort, Client, Identity, LocalProtocolError, Model, Roster, Round, rounds_of
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair
from secagg.protocol.messages import (
    ROUNDS,
    AdvertiseKeys,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    signed,
)

from ..support.malice import (
    CORRUPT,
    EVERYONE,
    HONEST,
    Loot,
    Session,
    collect,
    ids,
    interrogate,
    make_params,
    refuse,
    relayed,
    revealed,
    stack,
    unmasked,
)
from ..test_primitives import NOT_ON_CURVE, P, encoded

T = 5


def name(value: Any) -> str:
    return value.name.lower() if isinstance(value, Model) else str(value)


@pytest.fixture(params=Model, ids=name)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(request.param)


ASKED = [(model, request.ANSWER.ROUND) for model in Model for request in ROUNDS[model]]
every_request = pytest.mark.parametrize(("model", "current"), ASKED, ids=name)
U3_ASKED = {Model.SEMI_HONEST: Round.UNMASKING, Model.ACTIVE: Round.CONSISTENCY_CHECK}
every_u3 = pytest.mark.parametrize(("model", "current"), U3_ASKED.items(), ids=name)
every_list_of_survivors = pytest.mark.parametrize(("model", "current"), [a for a in ASKED if a[1] > 1], ids=name)
both_lists_of_signatures = pytest.mark.parametrize("current", [Round.SHARE_KEYS, Round.UNMASKING], ids=name)


def part(request: Any, users: Ids, u: int = 2) -> Any:
    """An honest request to u with other users in its list, and with what goes with each of them where there is any."""
    if isinstance(request, MaskedInputCollectionRequest):
        senders = np.searchsorted(request.users[request.users != u], users[users != u])
        return replace(request, users=users, ciphertexts=request.ciphertexts.take(senders, 0, mode="clip"))
    rows = np.searchsorted(request.users, users)
    lists = [field for field in ("keys", "signatures") if len(getattr(request, field, ()))]
    return replace(
        request, users=users, **{field: getattr(request, field).take(rows, 0, mode="clip") for field in lists}
    )


# Who takes part


@pytest.mark.parametrize("size", range(1, 7))
def test_server_cannot_show_different_lists_of_users(model: Model, size: int) -> None:
    """The first clients never hear of user 7, the others do: shares open only within a group, and fewer than t are
    too few to send a masked input."""
    session = Session(model, Round.SHARE_KEYS)
    lists = {u: ids(range(1, 7)) if u <= size else ids(EVERYONE) for u in EVERYONE}
    whole = session.request(7)
    told = {u: part(whole, users) for u, users in lists.items()}
    answers = {u: decode(session.split(session.clients[u].receive(encode(told[u])))[0], ShareKeys) for u in EVERYONE}
    for u, client in session.clients.items():
        received = relayed(u, lists[u].tolist(), answers, lists)
        request = MaskedInputCollectionRequest(session.id_of(told[u]), lists[u], received)
        if (size if u <= size else 7 - size) < T:
            refuse(client, request, "too few shares can be opened", Abort)
        else:
            assert client.receive(encode(request))


CHANGED: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": bytes(16)},
    "context": {"context": b"another model"},
    "threshold": {"t": 6},
    "corrupt users and threshold": {"n_corrupt": 2, "t": 7},
    "minimum of inputs": {"min_users": 7},
    "modulus": {"modulus": 1 << 20},
    "range of inputs": {"max_value": 100},
    "length": {"m": 5},
}


@pytest.mark.parametrize("what", CHANGED)
def test_server_cannot_change_parameters_between_clients(model: Model, what: str) -> None:
    """Three clients that were set up with other parameters share no session with the four that were not."""
    session = Session(model, Round.ADVERTISE_KEYS)
    changed = make_params(model, **{"nonce": session.params.nonce, **CHANGED[what]})
    clients = session.clients | {u: session.client(u, changed) for u in (2, 3, 4)}
    request = list_of(session, clients)
    if model is Model.ACTIVE:
        for u, client in clients.items():
            refuse(client, request, f"client {1 if u in (2, 3, 4) else 2}: a signature is wrong")
        return
    answers = {u: decode(client.receive(encode(request)), ShareKeys) for u, client in clients.items()}
    for u, client in clients.items():
        received = relayed(u, EVERYONE, answers, dict.fromkeys(EVERYONE, ids(EVERYONE)))
        session_of_u = answers[u].session
        refuse(client, MaskedInputCollectionRequest(session_of_u, ids(EVERYONE), received), "too few shares", Abort)


def list_of(session: Session, clients: dict[int, Client]) -> ShareKeysRequest:
    """What these clients advertise, in one list, whoever they are."""
    sent = [session.split(client.start()) for client in clients.values()]
    keys = [decode(answer, AdvertiseKeys) for answer, _ in sent]
    points = np.frombuffer(b"".join(key.c_pk + key.s_pk for key in keys), np.uint8).reshape(-1, 2, 32)
    return ShareKeysRequest(ids(clients), points, stack([signature for _, signature in sent]))


def test_server_cannot_give_clients_different_rosters() -> None:
    """Not even to add a user who never takes part."""
    session = Session(Model.ACTIVE, Round.ADVERTISE_KEYS)
    longer = {u: identity.verification_key for u, identity in session.identities.items()}
    longer[8] = Identity.generate().verification_key
    clients = session.clients | {2: session.client(2, roster=Roster(longer))}
    request = list_of(session, clients)
    refuse(clients[2], request, "client 1: a signature is wrong")
    refuse(clients[1], request, "client 2: a signature is wrong")


def test_server_cannot_offer_more_users_than_n(model: Model) -> None:
    """In the active model all eight are in the roster and have signed."""
    session = Session(model, Round.ADVERTISE_KEYS, n_roster=8)
    request = list_of(session, session.clients)
    if model is Model.SEMI_HONEST:
        request = replace(request, users=ids(range(1, 9)), keys=np.concatenate([request.keys, own_keys(1)]))
    for client in session.clients.values():
        refuse(client, request, "and no more than n of them")


def own_keys(users: int) -> Octets:
    """Keys that the server knows the secrets of."""
    public = b"".join(KeyPair.generate(os.urandom).public for _ in range(2 * users))
    return np.frombuffer(public, np.uint8).reshape(users, 2, 32)


def test_server_cannot_invent_users(model: Model) -> None:
    session = Session(model, Round.SHARE_KEYS)
    honest = session.request(2)
    lie = replace(honest, users=ids([1, 2, 3, 4, 5, 6, 9]), keys=np.concatenate([honest.keys[:6], own_keys(1)]))
    session.refuse(2, lie, "user ids must be (1 .. n = 7|in the roster)")
    assert session.finish() == (1, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("victims", [[1], [1, 3, 4, 5, 6, 7]], ids=["one", "all but the client"])
def test_server_cannot_put_its_own_keys_in_users_places(victims: list[int]) -> None:
    """A Sybil attack: the server signs, but not with the keys of the roster."""
    session = Session(Model.ACTIVE, Round.SHARE_KEYS)
    honest, server = session.request(2), Identity.generate()
    keys, signatures = honest.keys.copy(), honest.signatures.copy()
    for v, pair in zip(victims, own_keys(len(victims)), strict=True):
        answer = AdvertiseKeys(pair[0].tobytes(), pair[1].tobytes())
        keys[v - 1] = pair
        signatures[v - 1] = stack([server.sign(signed(session.scope, v, answer))])
    session.refuse(2, replace(honest, keys=keys, signatures=signatures), "client 1: a signature is wrong")
    assert session.finish() == (1, 3, 4, 5, 6, 7)


def test_server_cannot_replace_the_clients_own_keys(model: Model) -> None:
    session = Session(model, Round.SHARE_KEYS)
    honest = session.request(2)
    lie = replace(honest, keys=np.concatenate([honest.keys[:1], own_keys(1), honest.keys[2:]]))
    session.refuse(2, lie, "does not hold this user's own keys")
    session.finish()


def test_server_cannot_talk_a_client_out_of_the_active_model() -> None:
    session = Session(Model.ACTIVE, Round.ADVERTISE_KEYS)
    with pytest.raises(LocalProtocolError, match="takes no roster"):
        session.client(2, make_params(Model.SEMI_HONEST))


@pytest.mark.parametrize("t", [2, 3, 4])
def test_server_cannot_have_a_threshold_that_two_sets_of_users_reach(t: int) -> None:
    with pytest.raises(
        LocalProtocolError, match=r"must exceed n_corrupt|must satisfy 2 \* quorum > n \+ n_corrupt = 9"
    ):
        make_params(Model.ACTIVE, t=t)


@every_request
def test_server_cannot_repeat_users_to_reach_the_quorum(model: Model, current: Round) -> None:
    session = Session(model, current)
    session.refuse(2, part(session.request(2), ids([1, 2, 3, 4, 4])), "not strictly ascending")
    assert 2 not in session.finish() or current > Round.MASKED_INPUT_COLLECTION


@every_request
def test_server_cannot_go_on_with_fewer_users_than_the_quorum(model: Model, current: Round) -> None:
    session = Session(model, current)
    session.refuse(2, part(session.request(2), ids([1, 2, 3, 4])), "4 answered, 5 needed", Abort)
    session.finish()


@every_u3
def test_server_cannot_sum_fewer_than_the_minimum_of_inputs(model: Model, current: Round) -> None:
    session = Session(model, current, min_users=6)
    session.refuse(2, part(session.request(2), ids([1, 2, 3, 4, 5])), "5 answered, 6 needed", Abort)
    session.finish()


@pytest.mark.parametrize(("model", "current"), [a for a in ASKED if a != (Model.ACTIVE, Round.UNMASKING)], ids=name)
def test_server_cannot_list_a_client_itself_as_dropped(model: Model, current: Round) -> None:
    session = Session(model, current)
    session.refuse(2, part(session.request(2), ids([1, 3, 4, 5, 6, 7])), "omits this user itself")
    session.finish()


def test_server_cannot_make_a_client_drop_itself_by_leaving_out_its_signature() -> None:
    """U4 without the client changes nothing: it is in the U3 that it has signed, and reveals no share of its s_sk."""
    session = Session(Model.ACTIVE, Round.UNMASKING)
    loot: Loot = defaultdict(set)
    held = session.clients[2]._state.masked  # type: ignore[union-attr]
    session.obey(2, part(session.request(2), ids([1, 3, 4, 5, 6])))
    collect(loot, 2, held, session.sent(Unmasking, 2))
    assert set(loot) == {(v, "b") for v in EVERYONE}
    assert session.finish() == tuple(EVERYONE)


@every_list_of_survivors
def test_server_cannot_name_users_who_dropped_out_before(model: Model, current: Round) -> None:
    """Users outside U1 in U2, outside U2 in U3, and outside U3 among the signers of U3."""
    rounds = rounds_of(make_params(model))
    session = Session(model, rounds[rounds.index(current) - 2])
    del session.requests[7]
    session.play(current)
    session.refuse(2, part(session.request(2), ids(EVERYONE)), "names users that the round before did not")
    session.finish()


# Alive or dropped


@every_u3
def test_server_cannot_list_one_user_as_alive_and_as_dropped(model: Model, current: Round) -> None:
    """The first list that a client answers is its last, so its shares of one user are of one kind."""
    session = Session(model, current)
    honest = session.request(2)
    session.obey(2, honest)
    session.refuse_again(2, part(honest, ids([1, 2, 3, 4, 5, 6])))
    assert session.finish() == tuple(EVERYONE)


def at_most_one(secrets: dict[int, set[str]]) -> bool:
    return all(len(kinds) == 1 for kinds in secrets.values())


@pytest.mark.parametrize("size", range(1, 6))
def test_server_cannot_unmask_with_two_survivor_sets(model: Model, size: int) -> None:
    """Of five honest clients the first hear that user 1 is alive, the others that it dropped out, and two corrupt users
    help. The threshold is out of reach for one of b_1 and s_1_sk; in the active model not even one share of it leaves.
    """
    session = Session(model, U3_ASKED[model])
    loot = interrogate(session, {u: ids(EVERYONE) if u <= size else ids(range(2, 8)) for u in HONEST})
    expected = {v: {"b"} for v in EVERYONE}
    if size + len(CORRUPT) < T:
        expected[1] = {"s_sk"}
    assert unmasked(loot, T) == expected
    assert at_most_one(revealed(loot)) == (model is Model.ACTIVE or size == 5)


def test_server_cannot_sum_too_few_inputs_with_a_survivor_set_for_each_client(model: Model) -> None:
    """Every set is long enough, but all that they have in common of the honest users is 1 and 2. In the semi-honest
    model this gives x_1 + x_2 away, although three honest inputs should be in any sum; no set has t signatures."""
    session = Session(model, U3_ASKED[model])
    told = {1: [1, 2, 5, 6, 7], 2: [1, 2, 3, 4, 6, 7], 3: [1, 2, 3, 6, 7], 4: [1, 2, 4, 6, 7], 5: [1, 2, 5, 6, 7]}
    loot = interrogate(session, {u: ids(users) for u, users in told.items()})
    assert session.params.min_inputs == 3
    if model is Model.ACTIVE:
        assert revealed(loot) == {}
    else:
        assert unmasked(loot, T) == {v: {"s_sk"} if v in (3, 4, 5) else {"b"} for v in EVERYONE}


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("alive", [True, False])
def test_server_cannot_unmask_with_two_lists_of_senders(size: int, alive: bool) -> None:
    """Only the first honest clients mask with user 1 (U2); the others hold no share of it and sign no U3 with it."""
    session = Session(Model.ACTIVE, Round.MASKED_INPUT_COLLECTION)
    for u in EVERYONE:
        users = ids(EVERYONE) if u <= size or u in CORRUPT else ids(range(2, 8))
        session.obey(u, part(session.request(u), users, u))
    loot = interrogate(session, {u: ids(EVERYONE) if alive or u == 1 else ids(range(2, 8)) for u in HONEST})
    assert at_most_one(revealed(loot))
    assert at_most_one(unmasked(loot, T))


@pytest.mark.parametrize("seed", range(20))
def test_server_cannot_unmask_with_any_lists_of_survivors(seed: int) -> None:
    """Each honest client hears some U2 and one of two or three U3, all with enough users to be believed."""
    rng = np.random.default_rng(seed)

    def some(u: int) -> Ids:
        others = [v for v in EVERYONE if v != u]
        return ids(sorted([u, *rng.permutation(others)[: rng.integers(T - 1, 7)].tolist()]))

    session = Session(Model.ACTIVE, Round.MASKED_INPUT_COLLECTION)
    for u in EVERYONE:
        users = ids(EVERYONE) if u in CORRUPT or rng.integers(3) else some(u)
        session.obey(u, part(session.request(u), users, u))
    stories = [some(CORRUPT[0]) for _ in range(rng.integers(2, 4))]
    loot = interrogate(session, {u: stories[rng.integers(len(stories))] for u in HONEST})
    assert at_most_one(revealed(loot))
    assert at_most_one(unmasked(loot, T))


@pytest.mark.parametrize("signatures", [0, 5, 7])
def test_server_cannot_skip_the_consistency_check(signatures: int) -> None:
    session = Session(Model.ACTIVE, Round.CONSISTENCY_CHECK)
    users = ids(range(1, signatures + 1)) if signatures else ids(EVERYONE)
    forged = stack([os.urandom(64) for _ in range(signatures)])
    session.refuse(2, UnmaskingRequest(session.scope, users, forged), "expected ConsistencyCheckRequest")
    assert session.finish() == tuple(EVERYONE)


# Ciphertexts


def never_open(model: Model, forge: Callable[[Session], Octets]) -> None:
    """Two such ciphertexts are two shares missing, and the session goes on; where all are such, nothing leaves."""
    for rows in ([0, 2], range(6)):
        session = Session(model, Round.MASKED_INPUT_COLLECTION)
        honest = session.request(2)
        ciphertexts = honest.ciphertexts.copy()
        ciphertexts[rows] = forge(session)[rows]
        lie = replace(honest, ciphertexts=ciphertexts)
        if len(rows) == 2:
            session.obey(2, lie)
            assert session.sent(MaskedInputCollection, 2).unopened.tolist() == [1, 4]
            assert session.finish() == tuple(EVERYONE)
        else:
            session.refuse(2, lie, "too few shares can be opened: 1 answered, 5 needed", Abort)
            assert session.finish() == (1, 3, 4, 5, 6, 7)


def test_server_cannot_reflect_ciphertexts(model: Model) -> None:
    never_open(model, lambda session: session.sent(ShareKeys, 2).ciphertexts)


def test_server_cannot_swap_the_ciphertexts_of_senders(model: Model) -> None:
    never_open(model, lambda session: np.roll(session.request(2).ciphertexts, 1, 0))


def test_server_cannot_swap_the_ciphertexts_of_recipients(model: Model) -> None:
    never_open(model, lambda session: session.request(3).ciphertexts)


def test_server_cannot_replay_ciphertexts_of_another_session(model: Model) -> None:
    never_open(
        model, lambda session: Session(model, Round.MASKED_INPUT_COLLECTION, like=session).request(2).ciphertexts
    )


def test_server_cannot_alter_ciphertexts(model: Model) -> None:
    never_open(model, lambda session: session.request(2).ciphertexts ^ np.uint8(1))


def test_server_cannot_leave_ciphertexts_out(model: Model) -> None:
    session = Session(model, Round.MASKED_INPUT_COLLECTION)
    honest = session.request(2)
    session.refuse(2, replace(honest, ciphertexts=honest.ciphertexts[:5]), "5 ciphertexts for 6 senders")
    session.finish()


def test_server_cannot_find_two_ciphertexts_under_one_key(model: Model) -> None:
    """Each plaintext begins with the known u || v, so one keystream for both directions, or for two sessions of the
    same users, would show."""
    session = Session(model, Round.MASKED_INPUT_COLLECTION)
    both = [session, Session(model, Round.MASKED_INPUT_COLLECTION, like=session)]
    keystreams = set()
    for u, v, known in itertools.product(EVERYONE, EVERYONE, both):
        if u != v:
            ciphertext = known.request(v).ciphertexts[ids([w for w in EVERYONE if w != v]) == u][0]
            keystreams.add(int.from_bytes(ciphertext[:8].tobytes(), "big") ^ (u << 32 | v))
    assert len(keystreams) == 2 * 7 * 6


# Other sessions


@every_request
def test_server_cannot_mix_two_sessions_of_one_roster(model: Model, current: Round) -> None:
    session = Session(model, current)
    other = Session(model, current, like=session)
    for u in EVERYONE[:2]:
        session.refuse(u, other.request(u), "another session|own keys")
        other.refuse(u, session.heard.get(current, session.requests)[u], "another session|own keys")
    assert session.finish()
    assert other.finish()


def test_server_cannot_replay_keys_of_another_session() -> None:
    """The semi-honest model trusts its server to tell the keys."""
    session = Session(Model.ACTIVE, Round.SHARE_KEYS)
    honest, old = session.request(2), Session(Model.ACTIVE, Round.SHARE_KEYS, like=session).request(2)
    keys, signatures = honest.keys.copy(), honest.signatures.copy()
    keys[4], signatures[4] = old.keys[4], old.signatures[4]
    session.refuse(2, replace(honest, keys=keys, signatures=signatures), "client 5: a signature is wrong")
    session.finish()


@pytest.mark.parametrize("old", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION], ids=name)
def test_server_cannot_replay_signatures_of_another_round(old: Round) -> None:
    session = Session(Model.ACTIVE, Round.UNMASKING)
    honest = session.request(2)
    replayed = stack([session.signature(old, u) for u in EVERYONE])
    session.refuse(2, replace(honest, signatures=replayed), "a signature is wrong")
    session.finish()


@both_lists_of_signatures
def test_server_cannot_replay_signatures_of_another_session(current: Round) -> None:
    session = Session(Model.ACTIVE, current)
    old = Session(Model.ACTIVE, current, like=session)
    session.refuse(2, replace(session.request(2), signatures=old.request(2).signatures), "a signature is wrong")
    session.finish()


def test_server_cannot_have_an_identity_use_a_nonce_twice() -> None:
    session = Session(Model.ACTIVE, Round.SHARE_KEYS)
    again = Session(Model.ACTIVE, Round.ADVERTISE_KEYS, like=session, nonce=session.params.nonce)
    for client in again.clients.values():
        with pytest.raises(LocalProtocolError, match="with this nonce already"):
            client.start()
    session.finish()


@pytest.mark.parametrize("loaded", ["before", "after"])
def test_server_cannot_have_a_saved_identity_use_a_nonce_twice(loaded: str, tmp_path: Path) -> None:
    """Whether the second program starts before or after the first has used the nonce."""
    Identity.generate().save(tmp_path / "key")
    first, second = Identity.load(tmp_path / "key"), Identity.load(tmp_path / "key")
    first.claim(bytes(16))
    with pytest.raises(LocalProtocolError, match="with this nonce already"):
        (second if loaded == "before" else Identity.load(tmp_path / "key")).claim(bytes(16))


# Signatures

SIGNATURE_LIES: dict[str, tuple[Callable[[Octets], Octets], str]] = {
    "forged": (lambda s: s ^ np.eye(7, 64, dtype=np.uint8), "client 1: a signature is wrong"),
    "zero": (np.zeros_like, "client 1: a signature is wrong"),
    "one omitted": (lambda s: s[:-1], "6 signatures where there should be 7"),
    "all omitted": (lambda s: s[:0], "0 signatures where there should be 7"),
    "one too many": (lambda s: s[[0, 1, 2, 3, 4, 5, 6, 6]], "8 signatures where there should be 7"),
    "repeated": (lambda s: s[[0, 1, 2, 3, 4, 5, 5]], "client 7: a signature is wrong"),
    "reordered": (lambda s: s[[0, 1, 2, 3, 4, 6, 5]], "client 6: a signature is wrong"),
}


@both_lists_of_signatures
@pytest.mark.parametrize("lie", SIGNATURE_LIES)
def test_server_cannot_lie_in_signatures(lie: str, current: Round) -> None:
    session = Session(Model.ACTIVE, current)
    honest = session.request(2)
    change, reason = SIGNATURE_LIES[lie]
    session.refuse(2, replace(honest, signatures=change(honest.signatures)), reason)
    session.finish()


def test_server_cannot_pass_signatures_of_another_u3() -> None:
    """All are genuine, made in this session and this round, by users who were told that user 1 dropped out."""
    session = Session(Model.ACTIVE, Round.CONSISTENCY_CHECK)
    others = part(session.request(3), ids(range(2, 8)))
    signatures = [session.split(session.clients[u].receive(encode(others)))[1] for u in range(3, 8)]
    session.obey(2, session.request(2))
    refuse(session.clients[2], UnmaskingRequest(session.scope, ids(range(3, 8)), stack(signatures)), "client 3: a sig")


# Public keys


def advertised_by_7(session: Session, c_pk: bytes, s_pk: bytes) -> ShareKeysRequest:
    """The list in which corrupt user 7 has these keys, duly signed."""
    request = decode(encode(session.request(2)), ShareKeysRequest)
    keys = np.concatenate([request.keys[:6], np.frombuffer(c_pk + s_pk, np.uint8).reshape(1, 2, 32)])
    signature = session.sign(7, AdvertiseKeys(c_pk, s_pk))
    signatures = np.concatenate([request.signatures[:6], stack([signature])])
    return replace(request, keys=keys, signatures=signatures)


BAD_KEYS: dict[str, tuple[Callable[[Octets], bytes], str]] = {
    "not on the curve": (lambda keys: NOT_ON_CURVE, "client 7: a public key is not on the curve"),
    "p": (lambda keys: encoded(P), "client 7: a public key is not on the curve"),
    "a point beyond p": (lambda keys: encoded(P + 5), "client 7: a public key is not on the curve"),
    "2**256 - 1": (lambda keys: b"\xff" * 32, "client 7: a public key is not on the curve"),
    "another's": (lambda keys: keys[3, 0].tobytes(), "two of the public keys are equal"),
    "another's of the other kind": (lambda keys: keys[3, 1].tobytes(), "two of the public keys are equal"),
    "the client's own": (lambda keys: keys[1, 0].tobytes(), "two of the public keys are equal"),
    "the client's own of the other kind": (lambda keys: keys[1, 1].tobytes(), "two of the public keys are equal"),
}


@pytest.mark.parametrize("kind", ["c_pk", "s_pk"])
@pytest.mark.parametrize("what", BAD_KEYS)
def test_server_cannot_pass_bad_public_keys(model: Model, what: str, kind: str) -> None:
    """They are of a corrupt user, and in the active model signed."""
    session = Session(model, Round.SHARE_KEYS)
    make, reason = BAD_KEYS[what]
    keys = session.request(2).keys
    pair = {"c_pk": keys[6, 0].tobytes(), "s_pk": keys[6, 1].tobytes(), kind: make(keys)}
    session.refuse(2, advertised_by_7(session, **pair), reason)
    session.finish()


def test_server_cannot_pass_one_key_as_both_of_a_user(model: Model) -> None:
    session = Session(model, Round.SHARE_KEYS)
    key = session.request(2).keys[6, 0].tobytes()
    session.refuse(2, advertised_by_7(session, key, key), "two of the public keys are equal")
    session.finish()


@pytest.mark.parametrize("kind", ["c_pk", "s_pk"])
def test_zero_is_an_x_coordinate_like_any_other(model: Model, kind: str) -> None:
    """P-256 has points with x = 0, of full order, so a key of 0 is one whose secret nobody knows."""
    session = Session(model, Round.SHARE_KEYS)
    keys = session.request(2).keys
    pair = {"c_pk": keys[6, 0].tobytes(), "s_pk": keys[6, 1].tobytes(), kind: bytes(32)}
    assert session.clients[2].receive(encode(advertised_by_7(session, **pair)))


# Malformed messages


@every_request
def test_server_cannot_send_messages_out_of_round(model: Model, current: Round) -> None:
    full = Session(model, Round.UNMASKING)
    told = full.heard | {Round.UNMASKING: full.requests}
    for other in {current_ for model_, current_ in ASKED if model_ is model} - {current}:
        session = Session(model, current)
        if other < current:
            session.refuse_again(2, told[other][2])
            assert session.finish() == tuple(EVERYONE)
        else:
            session.refuse(2, told[other][2], r"expected \w+ \(type \d\), got type \d")
            session.finish()


MALFORMED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "not a message of protocol version 1"),
    "a version only": (lambda data: data[:1], "not a message of protocol version 1"),
    "a header only": (lambda data: data[:2], "ends early"),
    "half": (lambda data: data[: len(data) // 2], "ends early"),
    "one byte short": (lambda data: data[:-1], "ends early"),
    "one byte more": (lambda data: data + b"\0", "1 bytes too many"),
    "twice in one": (lambda data: data * 2, "bytes too many"),
    "another version": (lambda data: b"\2" + data[1:], "not a message of protocol version 1"),
    "an unknown type": (lambda data: data[:1] + b"\x63" + data[2:], "got type 99"),
    "an answer": (lambda data: data[:1] + b"\5" + data[2:], "got type 5"),
}


@every_request
@pytest.mark.parametrize("what", MALFORMED)
def test_server_cannot_send_malformed_messages(model: Model, current: Round, what: str) -> None:
    session = Session(model, current)
    change, reason = MALFORMED[what]
    session.refuse(2, change(session.requests[2]), reason)
    session.finish()


BITMAP = b"\1\0\0\0\1\x7f"  # of users 1 .. 7: its form, its length, and a bit for each


def split_at_list(current: Round, request: bytes) -> tuple[bytes, bytes]:
    """What stands before the list of users, and after it."""
    at = 2 if current is Round.SHARE_KEYS else 34
    assert request[at : at + len(BITMAP)] == BITMAP
    return request[:at], request[at + len(BITMAP) :]


@every_request
@pytest.mark.parametrize("declared", [2, 1 << 16, (1 << 32) - 1])
def test_server_cannot_declare_a_list_larger_than_its_message(model: Model, current: Round, declared: int) -> None:
    session = Session(model, current)
    before, after = split_at_list(current, session.requests[2])
    lie = before + BITMAP[:1] + declared.to_bytes(4, "big") + BITMAP[5:] + after
    session.refuse(2, lie, "ends early|of which the last is not 0")
    session.finish()


@every_request
@pytest.mark.parametrize("form", ["ids", "a longer bitmap"])
def test_server_cannot_send_a_list_in_another_form(model: Model, current: Round, form: str) -> None:
    """One list has one encoding, or a request that was answered could come again as another."""
    session = Session(model, current)
    before, after = split_at_list(current, session.requests[2])
    listed = {
        "ids": b"\0\0\0\0\x1c" + b"".join(u.to_bytes(4, "big") for u in EVERYONE),
        "a longer bitmap": b"\1\0\0\0\2\x7f\0",
    }[form]
    session.refuse(2, before + listed + after, "not in its shortest form|of which the last is not 0")
    session.finish()
