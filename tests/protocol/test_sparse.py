"""Sessions over sparse graphs: what `Params` accepts, and which numbers are per neighbourhood and which over all."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import (
    Abort,
    Client,
    Identity,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    Server,
    Threat,
    rounds_of,
    shamir,
)
from secagg.protocol import unmask
from secagg.protocol.graph import COMPLETE, Sparse
from secagg.protocol.messages import (
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
    signed,
)
from secagg.signatures import SIGNATURE_BYTES

from ..support.rounds import parties, play_until, run


def make(**changes: Any) -> Params:
    """Twenty users with eight neighbours each, two of them corrupt: c = 2, and four may leave of any neighbourhood."""
    settings = {"n": 20, "m": 3, "modulus": 1 << 16, "n_corrupt": 2, "graph": Sparse(8), "t": 4, "min_joined": 16}
    return Params(**{**settings, "min_users": 15, **changes})


# --- Params ---


def active(**changes: Any) -> Params:
    """The same against a server that lies, nobody else corrupt: c = 0, and three may leave of any neighbourhood."""
    return make(**{"model": Model.ACTIVE, "n_corrupt": 0, "t": 6, **changes})


def test_two_kinds_of_numbers() -> None:
    params = make()
    over_all = (params.n, params.min_joined, params.quorum, params.min_users, params.n_corrupt, params.min_inputs)
    around = (params.holders, params.t, params.min_holders, params.corrupt_holders, params.max_liars)
    assert over_all == (20, 16, 12, 15, 2, 13)
    assert around == (9, 4, 4, 2, 2)
    complete = Params(n=20, m=3, modulus=1 << 16, n_corrupt=2, t=12)
    assert (complete.holders, complete.min_holders, complete.corrupt_holders, complete.max_liars) == (20, 12, 2, 4)
    assert (complete.min_joined, complete.quorum, complete.min_users, complete.graph) == (12, 12, 12, COMPLETE)
    assert make(t=6).quorum == 12


def test_defaults_are_the_least_that_protect_an_input() -> None:
    params = make(t=None, min_joined=None, min_users=None)
    assert (params.t, params.min_joined, params.min_users) == (3, 18, 15)
    for changes in ({"t": 2}, {"min_users": 14}):
        with pytest.raises(LocalProtocolError, match=r"see Params\.sparse"):
            make(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": Model.ACTIVE}, r"t must be 8 \.\. degree = 8 where a user may have c = 2 corrupt neighbours, got 4"),
        ({"model": Model.ACTIVE, "n_corrupt": 1, "t": 6}, r"t must be 7 \.\. degree = 8"),
        ({"model": Model.ACTIVE, "n_corrupt": 3, "t": 8}, r"t must be 9 \.\. degree = 8"),
        ({"t": 2}, r"t must be 3 \.\. degree = 8 where a user may have c = 2 corrupt neighbours, got 2"),
        ({"t": 9}, r"t must be 3 \.\. degree = 8 where"),
        ({"min_users": 14}, "min_users = 14 and degree = 8 leave sums of a part of the honest users known"),
        ({"min_users": 21}, r"min_users must be quorum = 12 \.\. n = 20, got 21"),
        ({"min_joined": 11}, r"min_joined must be quorum = 12 \.\. n = 20, got 11"),
        ({"min_joined": 21}, r"min_joined must be quorum = 12 \.\. n = 20, got 21"),
        ({"graph": Sparse(16), "t": 4}, r"degree = 16 must be below min_joined - 1 = 15, or there is no circle"),
        ({"n_corrupt": 3}, "min_users = 15 and degree = 8 leave sums"),
        ({"graph": 8}, r"graph must be COMPLETE or Sparse\(degree\)"),
        ({"graph": COMPLETE, "min_joined": 3}, r"min_joined must be quorum = 4 \.\. n = 20, got 3"),
    ],
)
def test_graphs_that_do_not_protect_inputs_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        make(**changes)


def test_users_who_do_not_join_make_corrupt_ones_more_frequent() -> None:
    """c is of the smallest U1 that clients accept."""
    many = {"n": 10_000, "n_corrupt": 500, "graph": Sparse(40), "t": None, "min_users": None}
    assert make(**many, min_joined=10_000).corrupt_holders < make(**many, min_joined=6_000).corrupt_holders
    with pytest.raises(LocalProtocolError, match="corrupt neighbours"):
        make(**{**many, "t": make(**many, min_joined=10_000).t}, min_joined=6_000)


def test_graphs_travel() -> None:
    encoded = make(nonce=bytes(16)).encode()
    assert Params.decode(encoded) == make(nonce=bytes(16))
    place = encoded.index(bytes([0, 0, 0, 8, 0, 0, 0, 16]))
    for degree in (7, 10, 1 << 31):
        other = encoded[:place] + degree.to_bytes(4, "big") + encoded[place + 4 :]
        if degree == 10:
            assert Params.decode(other).graph == Sparse(10)
        else:
            with pytest.raises(RemoteProtocolError, match="degree"):
                Params.decode(other)


def test_the_graph_and_min_joined_are_in_the_sessions_id() -> None:
    _, _, requests = play_until(Round.SHARE_KEYS, make())
    request = decode(requests[1], ShareKeysRequest)
    variants = (make(nonce=bytes(16), **changes) for changes in ({}, {"min_joined": 17}, {"graph": Sparse(10)}))
    assert len({session_id(params, b"", request) for params in variants}) == 3


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("threat", Threat)
@pytest.mark.parametrize(("n", "corrupt", "dropouts"), [(100, 0, 5), (1_000, 50, 45), (10_000, 500, 900), (300, 0, 9)])
def test_what_is_found_is_accepted(n: int, corrupt: int, dropouts: int, threat: Threat, model: Model) -> None:
    choice = Params.sparse(n, corrupt=corrupt, dropouts=dropouts, model=model)
    if threat is Threat.SERVER_ONLY and corrupt:
        return
    params = Params(**choice.settings, m=1, modulus=1 << 32, threat=threat)
    assert params.graph == Sparse(choice.degree)
    assert (params.t, params.corrupt_holders) == (choice.t, choice.c)
    assert params.min_users == params.min_joined - dropouts
    with pytest.raises(LocalProtocolError, match=r"see Params\.sparse"):
        replace(params, t=params.t - 1 if choice.c or model is Model.ACTIVE else 1)


def test_a_dense_cohort_gets_the_complete_graph_and_is_told_so() -> None:
    choice = Params.sparse(200, corrupt=40, dropouts=20, model=Model.ACTIVE)
    assert choice.complete
    params = Params(**choice.settings, m=1, modulus=1 << 32)
    assert (params.graph, params.model, params.min_joined) == (COMPLETE, Model.ACTIVE, 180)


def test_a_server_that_lies_takes_more_neighbours() -> None:
    """(C) and (D): t - 1 neighbours are more than one side of the circle and the corrupt ones."""
    choice = Params.sparse(10_000, corrupt=500, dropouts=450, model=Model.ACTIVE)
    assert (choice.degree, choice.t, choice.c) == (212, 177, 69)
    params = Params(**choice.settings, m=1, modulus=1 << 32)
    assert (params.quorum, params.min_joined, params.min_holders, params.max_liars) == (5_251, 9_000, 177, 18)
    least = active(t=None)
    assert (least.t, least.corrupt_holders, least.min_joined, least.min_users) == (6, 0, 16, 15)


# --- Whole sessions ---


@pytest.mark.parametrize("model", Model)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_pattern_of_dropouts_gives_the_right_sum(model: Model, data: st.DataObject) -> None:
    """Four of twenty leave at any moment, or three; each neighbourhood of eight keeps four, or six."""
    most, chosen = (4, make()) if model is Model.SEMI_HONEST else (3, active())
    gone = data.draw(st.permutations(range(1, 21)))[: data.draw(st.integers(0, most))]
    rounds = [data.draw(st.sampled_from([*map(int, rounds_of(chosen)[1:])])) for _ in gone]
    drops = {number: {u for u, r in zip(gone, rounds, strict=True) if r == number} for number in set(rounds)}
    run(**_settings(chosen, modulus=data.draw(st.sampled_from([1 << 16, (1 << 16) - 15]))), drops=drops)


@pytest.mark.parametrize("products", [1, 5, 8, 1000])
def test_agreements_are_cut_into_stretches_of_the_circle(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmask, "PRODUCTS", products)
    run(**_settings(), drops={2: {3, 7, 11, 15}})


def test_users_who_never_join_are_not_on_the_circle() -> None:
    run(**_settings(), drops={0: {1, 7}, 1: {20}, 2: {3}})


def test_a_session_of_a_hundred_as_it_was_found() -> None:
    choice = Params.sparse(100, corrupt=5, dropouts=6, min_joined=97)
    assert choice.degree < 30
    run(**choice.settings, m=5, modulus=1 << 30, drops={0: {1, 2, 3}, 1: {30, 31}, 2: {50, 99}, 4: {7, 8}})


def test_an_active_session_of_a_hundred_as_it_was_found() -> None:
    choice = Params.sparse(100, corrupt=1, dropouts=2, min_joined=97, model=Model.ACTIVE)
    assert (choice.degree, choice.t, choice.c) == (10, 8, 1)
    run(**choice.settings, m=5, modulus=1 << 30, drops={0: {1, 2, 3}, 1: {30}, 3: {50}})


def _settings(params: Params | None = None, **changes: Any) -> dict[str, Any]:
    names = ("n", "m", "modulus", "n_corrupt", "graph", "t", "min_joined", "min_users", "model")
    return {name: getattr(params or make(), name) for name in names} | changes


@pytest.mark.parametrize("params", [make(), active()], ids=["semi-honest", "active"])
def test_a_client_sends_and_receives_what_concerns_its_neighbours(params: Params) -> None:
    """And everybody's keys, once."""
    signature = SIGNATURE_BYTES if params.model is Model.ACTIVE else 0
    before, clients, requests = play_until(Round.SHARE_KEYS, params)
    assert len(decode(requests[1], ShareKeysRequest).users) == 20
    for u, request in requests.items():
        answer = clients[u].receive(request)
        assert len(decode(answer[: len(answer) - signature], ShareKeys).ciphertexts) == 8
        before.receive(u, answer)
    requests = before.end_round()
    for u, request in requests.items():
        shown = decode(request, MaskedInputCollectionRequest)
        assert len(shown.users) == 9
        assert u in shown.users
        assert len(shown.ciphertexts) == 8
        before.receive(u, clients[u].receive(request))
    requests = before.end_round()
    if params.model is Model.ACTIVE:
        for u, request in requests.items():
            before.receive(u, clients[u].receive(request))
        requests = before.end_round()
        assert len(decode(requests[1], UnmaskingRequest).signatures) == params.quorum == 11
    for u, request in requests.items():
        answer = clients[u].receive(request)
        assert len(decode(answer[: len(answer) - signature], Unmasking).shares) == 9


def test_a_client_verifies_the_keys_of_its_neighbours_and_a_quorum_of_signatures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own key among the former, of which it knows that it is right."""
    verified: list[int] = []

    def counted(roster: Roster, users: list[int], *others: Any) -> list[bool]:
        verified.append(len(users))
        return verify_all(roster, users, *others)

    verify_all = Roster.verify_all
    server, clients, requests = play_until(Round.SHARE_KEYS, active())
    counts = []
    while server.round is not None:
        for u, request in requests.items():
            monkeypatch.setattr(Roster, "verify_all", counted if u == 1 else verify_all)
            answer = clients[u].receive(request)
            monkeypatch.setattr(Roster, "verify_all", verify_all)
            server.receive(u, answer)
        counts.append(sum(verified))
        requests = server.end_round()
    assert counts == [9, 9, 9, 9 + 11]


@pytest.mark.parametrize(
    ("params", "at"), [(params, at) for params in (make(), active()) for at in range(len(rounds_of(params)))]
)
def test_a_client_is_saved_between_any_two_rounds(params: Params, at: int, tmp_path: Path) -> None:
    server, clients = parties(params)
    whose = {"params": params, "user_id": 5, "identity": clients[5]._identity, "roster": server._pki._roster}
    options: dict[str, Any] = {"key": bytes(32)}
    clients[5].save(tmp_path / "client", **options)
    requests = dict.fromkeys(clients, b"")
    for number in range(len(rounds_of(params))):
        if number == at:
            clients[5] = Client.load(tmp_path / "client", **whose, **options)  # type: ignore[arg-type]
        if number == 2:
            requests.pop(9)
        for u, request in requests.items():
            server.receive(u, clients[u].receive(request) if request else clients[u].start())
        requests = server.end_round()
    assert server.sum.tolist() == [sum(range(1, 21)) - 9] * 3


def test_a_server_goes_on_from_a_checkpoint() -> None:
    params = make()
    servers, (_, clients) = (Server(params), Server(params)), parties(params)
    requests = dict.fromkeys(clients, b"")
    for _ in range(2):
        for u, request in requests.items():
            answer = clients[u].receive(request) if request else clients[u].start()
            for server in servers:
                server.receive(u, answer)
        requests, again = (server.end_round() for server in servers)
        assert requests == again
    stopped, server = servers
    answers = {u: clients[u].receive(requests[u]) for u in range(1, 19)}
    for u in range(1, 11):
        stopped.receive(u, answers[u], digest=sha256(answers[u]).digest())
    server.resume(stopped.checkpoint())
    for u in range(11, 19):
        server.receive(u, answers[u])
    for u, request in server.end_round().items():
        server.receive(u, clients[u].receive(request))
    server.end_round()
    assert server.sum.tolist() == [sum(range(1, 19))] * 3


def test_a_server_begins_with_as_many_as_must_join() -> None:
    """Twelve would be a quorum."""
    server, clients = parties(make())
    for u in range(1, 16):
        server.receive(u, clients[u].start())
    assert not server.ready
    assert server.needed == 16
    with pytest.raises(Abort, match=r"^AdvertiseKeys: 15 answered, 16 needed$"):
        server.end_round()


def test_a_roster_has_one_quorum() -> None:
    """Of two, users could be listed in one session and drop out of another: U3 would have fewer inputs than users."""
    keys = {u: Identity.generate() for u in range(1, 23)}
    roster = Roster({u: identity.verification_key for u, identity in keys.items()})
    for make_machine in (lambda: Server(active(), roster=roster),
                         lambda: Client(active(), 1, identity=keys[1], roster=roster)):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="a roster of 22 users has two quorums of 11 without"):
            make_machine()


# --- What a client refuses ---


def test_a_client_that_sees_too_few_users_join_says_how_many() -> None:
    _, clients, requests = play_until(Round.SHARE_KEYS, make())
    request = decode(requests[1], ShareKeysRequest)
    few = replace(request, users=request.users[:15], keys=request.keys[:15])
    with pytest.raises(Abort, match=r"^too few users have joined .*min_joined may differ\): 15 answered, 16 needed$"):
        clients[1].receive(encode(few))


def shown(clients: dict[int, Client], requests: dict[int, bytes], u: int, others: int) -> bytes:
    """A U2 in which u has so many neighbours."""
    request = decode(requests[u], MaskedInputCollectionRequest)
    neighbours = request.users[request.users != u]
    users = np.sort(np.append(neighbours[:others], np.uint32(u)))
    return encode(replace(request, users=users, ciphertexts=request.ciphertexts[:others]))


def test_server_cannot_show_a_user_a_u2_without_its_neighbours() -> None:
    """It would get x_u + PRG(b_u), and b_u of the others. t - 1 neighbours are needed, of 20 users who are there."""
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make())
    reason = (
        r"^too few of those who hold shares of this user's secrets are left, itself included: {} answered, 4 needed$"
    )
    for u, others in ((1, 0), (2, 2)):
        with pytest.raises(Abort, match=reason.format(others + 1)):
            clients[u].receive(shown(clients, requests, u, others))
        assert clients[u].finished
    assert clients[3].receive(shown(clients, requests, 3, 3))


def test_neighbours_whose_shares_do_not_open_do_not_count() -> None:
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make())
    request = decode(requests[1], MaskedInputCollectionRequest)
    spoiled = request.ciphertexts.copy()
    spoiled[2:] = 0
    with pytest.raises(Abort, match=r"^too few shares can be opened: 3 answered, 4 needed$"):
        clients[1].receive(encode(replace(request, ciphertexts=spoiled)))


def test_server_cannot_give_a_user_other_neighbours() -> None:
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make())
    request = decode(requests[1], MaskedInputCollectionRequest)
    stranger = next(u for u in range(2, 21) if u not in request.users)
    users = np.sort(np.append(request.users, np.uint32(stranger)))
    with pytest.raises(RemoteProtocolError, match="names users that the round before did not name"):
        clients[1].receive(encode(replace(request, users=users)))


def test_a_neighbour_who_was_not_in_u2_cannot_be_in_u3() -> None:
    """u added no mask for it. Of strangers u does not know whether they were."""
    server, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make())
    u, request = 1, decode(requests[1], MaskedInputCollectionRequest)
    missing = int(request.users[request.users != u][0])
    clients[u].receive(encode(replace(request, users=request.users[request.users != missing],
                                      ciphertexts=request.ciphertexts[1:])))  # fmt: skip
    for v in range(2, 21):
        server.receive(v, clients[v].receive(requests[v]))
    with pytest.raises(RemoteProtocolError, match="names users that the round before did not name"):
        clients[u].receive(next(iter(server.end_round().values())))


# --- What a server does about wrong shares ---


def liars(server: Server, clients: dict[int, Client], requests: dict[int, bytes], wrong: set[int]) -> None:
    """Everybody answers Unmasking; some with random shares."""
    for u, request in requests.items():
        message = clients[u].receive(request)
        if u in wrong:
            identity = clients[u]._identity
            answer = decode(message if identity is None else message[:-SIGNATURE_BYTES], Unmasking)
            answer = replace(answer, shares=shamir.random_scalars(len(answer.shares)))
            own = b"" if identity is None else identity.sign(signed(answer.session, u, answer))
            message = encode(answer) + own
        server.receive(u, message)


def test_max_liars_wrong_shares_are_corrected_in_every_neighbourhood() -> None:
    """Nine shares of a secret, four reveal it, two are wrong. Six others agree, which t - 1 + c = 5 could fake."""
    params = make()
    server, clients, requests = play_until(Round.UNMASKING, params)
    liars(server, clients, requests, {4, 11})
    server.end_round()
    assert server.sum.tolist() == [210] * 3
    assert {fault.client for fault in server.faults} <= {4, 11}
    assert {pair.holder for pair in server.disputes} <= {4, 11}
    assert server.faults or server.disputes


def test_a_liar_among_neighbours_is_blamed_where_it_is_proven() -> None:
    """t - 1 + c = 7 of nine shares contradict one; and one user lies about more neighbours than c = 1."""
    server, clients, requests = play_until(Round.UNMASKING, active(n_corrupt=1, t=7))
    assert (server.params.max_liars, server.params.corrupt_holders) == (1, 1)
    liars(server, clients, requests, {4})
    server.end_round()
    assert server.sum.tolist() == [210] * 3
    assert [(fault.client, fault.round) for fault in server.faults] == [(4, Round.UNMASKING)]
    assert server.disputes == []


def test_nobody_is_blamed_where_a_neighbourhood_is_too_small_to_prove_it() -> None:
    """More than all holders would have to agree, t - 1 + c: a wrong share is corrected, and disputed."""
    found = Params.sparse(300, corrupt=15, dropouts=15)
    params = Params(**found.settings, m=3, modulus=1 << 20)
    assert params.t - 1 + params.corrupt_holders > params.holders
    server, clients, requests = play_until(Round.UNMASKING, params)
    liars(server, clients, requests, {4})
    server.end_round()
    assert server.sum.tolist() == [300 * 301 // 2] * 3
    assert server.faults == []
    assert {pair.holder for pair in server.disputes} == {4}


@pytest.mark.parametrize("more", [0, 1])
def test_c_bounds_how_many_may_accuse_one_user_and_not_how_many_are_corrupt(more: int) -> None:
    """Of 24 neighbours 13 may be corrupt, of all 300 users 15: 14 whom its shares do not open prove that it lied."""
    found = Params.sparse(300, corrupt=15, dropouts=15)
    params = Params(**found.settings, m=3, modulus=1 << 20)
    assert params.corrupt_holders + 1 < params.n_corrupt
    server, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, params)
    near = server._graph.neighbours(4, server._u2).tolist()
    for v in near[: params.corrupt_holders + more]:
        requests[v] = with_a_bit_flipped(requests[v], recipient=v, sender=4)
    for _ in range(2):
        for u, request in requests.items():
            server.receive(u, clients[u].receive(request))
        if server.round is Round.MASKED_INPUT_COLLECTION:
            requests = server.end_round()
    with pytest.raises(Abort, match=r"^shares of user 4's secret"):
        server.end_round()
    assert [fault.client for fault in server.faults] == [4] * more
    assert {pair.dealer for pair in server.disputes} == {4} - {4 * more}


def with_a_bit_flipped(request: bytes, recipient: int, sender: int) -> bytes:
    asked = decode(request, MaskedInputCollectionRequest)
    ciphertexts = asked.ciphertexts.copy()
    ciphertexts[asked.users[asked.users != recipient] == sender, 0] ^= 1
    return encode(replace(asked, ciphertexts=ciphertexts))


def test_more_wrong_shares_than_a_neighbourhood_corrects_end_the_session() -> None:
    server, clients, requests = play_until(Round.UNMASKING, make())
    near = sorted(int(v) for v in server._graph.neighbours(1, server._u2))
    liars(server, clients, requests, set(near[:6]))
    with pytest.raises(Abort, match=r"too many shares of user \d+'s secret are wrong to recover it"):
        server.end_round()


def test_a_neighbourhood_that_left_ends_the_session_although_most_users_stay() -> None:
    server, clients, requests = play_until(Round.UNMASKING, make())
    near = server._graph.neighbours(1, server._u2).tolist()
    for u, request in requests.items():
        if u not in near[:6]:
            server.receive(u, clients[u].receive(request))
    assert server.ready
    with pytest.raises(Abort, match=r"^shares of user \d+'s secret: 3 answered, 4 needed$"):
        server.end_round()


def test_a_server_refuses_what_is_not_for_a_users_neighbours() -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, make())
    answer = decode(clients[1].receive(requests[1]), ShareKeys)
    server.receive(1, encode(replace(answer, ciphertexts=answer.ciphertexts[:7])))
    assert [(fault.client, fault.reason) for fault in server.faults] == [(1, "7 ciphertexts for 8 recipients")]

    server, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make())
    first, second = (decode(clients[u].receive(requests[u]), MaskedInputCollection) for u in (1, 2))
    server.receive(1, encode(replace(first, u2_hash=second.u2_hash)))
    stranger = next(u for u in range(2, 21) if u not in server._graph.holders(2, server._u2))
    server.receive(2, encode(replace(second, unopened=np.array([stranger], np.uint32))))
    assert [fault.reason for fault in server.faults] == [
        "has masked its input for another list than U2",
        "the list of unopened ciphertexts is not an ascending part of U2",
    ]


def test_a_server_keeps_a_ciphertext_and_a_share_for_each_pair_of_neighbours() -> None:
    params = Params(n=100, m=1, modulus=1 << 20, n_corrupt=2, graph=Sparse(12), t=4, min_users=92)
    server, clients, requests = play_until(Round.SHARE_KEYS, params)
    assert server._ciphertexts.size == server._graph.size == 100 * 13
    for u, request in requests.items():
        server.receive(u, clients[u].receive(request))
    server.end_round()
    assert server._reconstruction._shares.nbytes == 100 * 13 * 32
    assert max(np.asarray(value).size for value in vars(server._graph).values()) <= 100 * 13
