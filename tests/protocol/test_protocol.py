"""Whole sessions of honest parties: every pattern of dropouts, and what travels to the byte."""

from dataclasses import replace
from itertools import product
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
    rounds_of,
    simulate,
)
from secagg.protocol.messages import (
    ROUNDS,
    ConsistencyCheckRequest,
    ShareKeysRequest,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
)
from secagg.protocol.simulate import expected_sum

from ..support.rounds import play_until, run

STEPS = {model: [int(request.ANSWER.ROUND) for request in requests] for model, requests in ROUNDS.items()}


def patterns(n: int, model: Model) -> list[dict[int, set[int]]]:
    """Every way in which each of n users either stays or vanishes before one of the rounds."""
    steps = [0, *STEPS[model]]
    return [
        {current: {u for u, at in enumerate(ats, 1) if at == current} for current in steps}
        for ats in product((None, *steps), repeat=n)
    ]


def remaining(n: int, drops: dict[int, set[int]]) -> int:
    return n - sum(len(users) for users in drops.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "n", "t"),
    [
        (Model.SEMI_HONEST, 2, 2),
        (Model.SEMI_HONEST, 3, 2),
        (Model.SEMI_HONEST, 3, 3),
        (Model.SEMI_HONEST, 4, 3),
        pytest.param(Model.SEMI_HONEST, 5, 3, marks=pytest.mark.nightly),  # thousands of sessions
        (Model.ACTIVE, 2, 2),
        (Model.ACTIVE, 3, 2),
        (Model.ACTIVE, 4, 3),
    ],
)
def test_every_dropout_pattern_gives_the_sum_or_aborts(model: Model, n: int, t: int) -> None:
    for drops in patterns(n, model):
        if remaining(n, drops) >= t:
            run(n, t, drops, m=3, n_corrupt=0, model=model)
        else:
            with pytest.raises(Abort, match=rf"\d answered, {t} needed"):
                run(n, t, drops, m=3, n_corrupt=0, model=model)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_dropouts_up_to_50_users(data: st.DataObject) -> None:
    n = data.draw(st.integers(6, 50))
    model = data.draw(st.sampled_from(Model))
    t = data.draw(st.integers(2 if model is Model.SEMI_HONEST else n // 2 + 1, n))
    leaving = data.draw(st.permutations(range(1, n + 1)))[: data.draw(st.integers(0, n - t))]
    drops: dict[int, set[int]] = {}
    for u in leaving:
        drops.setdefault(data.draw(st.sampled_from([0, *STEPS[model]])), set()).add(u)
    run(n, t, drops, n_corrupt=0, seed=n, model=model)


@pytest.mark.parametrize("modulus", [6, 1 << 7, 1 << 16, (1 << 24) - 3, 1 << 32, (1 << 33) + 17, 1 << 53, 1 << 64])
def test_every_kind_of_modulus(modulus: int) -> None:
    run(5, 3, {2: {1}, 4: {2}}, modulus=modulus)


@pytest.mark.parametrize("drops", [{0: {1}}, {1: {2}}, {2: {3}}, {4: {1}}])
def test_abort_says_how_many_answered_and_how_many_were_needed(drops: dict[int, set[int]]) -> None:
    with pytest.raises(Abort) as caught:
        run(3, 3, drops)
    assert (caught.value.answered, caught.value.needed) == (2, 3)
    assert str(caught.value) == f"{Round(next(iter(drops)))}: 2 answered, 3 needed"


@pytest.mark.parametrize("model", Model)
def test_a_sum_of_fewer_users_than_it_must_hold_is_refused(model: Model) -> None:
    run(5, 3, {2: {1}}, n_corrupt=0, min_users=4, model=model)
    with pytest.raises(Abort, match="MaskedInputCollection: 3 answered, 4 needed"):
        run(5, 3, {2: {1, 2}}, n_corrupt=0, min_users=4, model=model)


@pytest.mark.parametrize("model", Model)
def test_a_client_refuses_to_unmask_a_sum_of_fewer_users_than_it_must_hold(model: Model) -> None:
    params = Params(n=5, m=1, modulus=64, t=3, n_corrupt=0, min_users=4, model=model)
    current = Round.UNMASKING if model is Model.SEMI_HONEST else Round.CONSISTENCY_CHECK
    _, clients, requests = play_until(current, params)
    request = decode(requests[1], UnmaskingRequest if model is Model.SEMI_HONEST else ConsistencyCheckRequest)
    assert isinstance(request, UnmaskingRequest | ConsistencyCheckRequest)
    request = replace(request, users=np.array([1, 2, 3], np.uint32))
    with pytest.raises(Abort, match="3 answered, 4 needed"):
        clients[1].receive(encode(request))


def test_a_roster_may_hold_more_users_than_take_part() -> None:
    """Ids are the roster's, and the first n to come are in."""
    ids = [7, 100, 4_000_000_000, 12, 9]
    identities = {u: Identity.generate() for u in ids}
    roster = Roster({u: identity.verification_key for u, identity in identities.items()})
    params = Params(n=4, m=1, modulus=64, model=Model.ACTIVE)
    server = Server(params, roster=roster)
    clients = {u: Client(params, u, [1], identity=identities[u], roster=roster) for u in ids}
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not None:
        for u, message in messages.items():
            server.receive(u, message)
        messages = {u: clients[u].receive(request) for u, request in server.end_round().items()}
    assert server.survivors == (7, 12, 100, 4_000_000_000)
    assert server.sum.tolist() == [4]
    assert server.strays == [(9, Round.ADVERTISE_KEYS, "the session has n users already")]
    assert server.faults == []


@pytest.mark.parametrize("model", Model)
def test_parties_that_each_build_their_params_are_told_so(model: Model) -> None:
    """Each of them has another nonce. They say nothing wrong, and only the server can end the session."""
    settings: dict[str, Any] = {"n": 3, "m": 1, "modulus": 64, "model": model}
    identities = {u: Identity.generate() for u in (1, 2, 3)} if model is Model.ACTIVE else {}
    roster = Roster({u: identity.verification_key for u, identity in identities.items()}) if identities else None
    server = Server(Params(**settings), roster=roster)
    clients = {u: Client(Params(**settings), u, [1], identity=identities.get(u), roster=roster) for u in (1, 2, 3)}
    with pytest.raises(
        Abort, match=r"\(from 3 more there are only strays: maybe the parties' Params or rosters differ\)"
    ):
        play(server, clients)
    assert server.faults == []
    assert {stray.client for stray in server.strays} == {1, 2, 3}


@pytest.mark.parametrize("model", Model)
def test_a_client_whose_params_are_not_the_servers_says_in_which_fields(model: Model) -> None:
    params = Params(n=3, m=1, modulus=64, model=model, context=b"model 17")
    identity = Identity.generate()
    roster = Roster({u: Identity.generate().verification_key for u in (2, 3)} | {1: identity.verification_key})
    pki: dict[str, Any] = {"identity": identity, "roster": roster} if model is Model.ACTIVE else {}
    other = replace(params, nonce=bytes(16), context=b"model 18")
    client = Client(params, 1, [1], **pki)
    with pytest.raises(RemoteProtocolError, match=r"the server's Params differ from this client's in nonce, context$"):
        client.start(other.encode())
    with pytest.raises(RemoteProtocolError, match="ends early"):
        client.start(other.encode()[:-1])
    assert client.answered is None
    assert client.start(params.encode())  # nothing has been sent or claimed before


def test_a_client_is_told_where_its_parameters_may_differ_from_those_of_others() -> None:
    """As far as an honest server with the same ones would not have sent such a request."""
    _, clients, requests = play_until(Round.SHARE_KEYS, Params(n=5, m=1, modulus=64, t=3))
    fewer = Client(Params(n=4, m=1, modulus=64, t=3), 1)
    fewer.start()
    with pytest.raises(RemoteProtocolError, match="the parties' Params or rosters differ, for one in n"):
        fewer.receive(requests[1])
    request = replace(decode(requests[1], ShareKeysRequest), users=np.array([1, 2], np.uint32))
    with pytest.raises(Abort, match="its min_joined may differ"):
        clients[1].receive(encode(request))
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, Params(n=5, m=1, modulus=64, t=3))
    with pytest.raises(RemoteProtocolError, match="another session, or the parties' Params or rosters differ"):
        clients[1].receive(requests[1][:2] + bytes(32) + requests[1][34:])


def test_several_users_computed_at_once_give_the_same_sum() -> None:
    params = Params(n=8, m=100, modulus=1 << 20)
    inputs = {u: np.full(100, u) for u in range(1, 9)}
    result = simulate(params, inputs, drops={Round.MASKED_INPUT_COLLECTION: {8}}, threads=2)
    assert result.sum.tolist() == [28] * 100


def test_simulation_reports_progress_and_makes_inputs_when_they_are_due() -> None:
    steps: list[tuple[Round, int, int]] = []
    made: list[int] = []

    def make(u: int) -> Any:
        made.append(u)
        return [u]

    simulate(
        Params(n=4, m=1, modulus=64, t=3),
        make,
        drops={Round.MASKED_INPUT_COLLECTION: {4}},
        progress=lambda current, done, total: steps.append((current, done, total)),
    )
    assert made == [1, 2, 3]
    assert steps == [
        *(
            (current, done, total)
            for current, total in zip(rounds_of(Params(n=4, m=1, modulus=64)), (4, 4, 3, 3), strict=True)
            for done in range(1, total + 1)
        ),
        (Round.UNMASKING, 1, 2),
        (Round.UNMASKING, 2, 2),
    ]


@pytest.mark.parametrize(("gone", "tasks"), [(0, 2), (2, 3)])
def test_server_reports_progress_as_it_removes_masks(gone: int, tasks: int) -> None:
    steps: list[tuple[int, int]] = []
    params = Params(n=5, m=200_000, modulus=64, t=3)
    server = Server(params, progress=lambda done, total: steps.append((done, total)))
    clients = {u: Client(params, u, [1] * params.m) for u in range(1, 6)}
    requests = dict.fromkeys(clients, b"")
    while server.round is not None:
        for u, request in requests.items():
            if not (server.round is Round.MASKED_INPUT_COLLECTION and u <= gone):
                server.receive(u, clients[u].receive(request) if request else clients[u].start())
        requests = server.end_round()
    assert server.sum.tolist() == [5 - gone] * params.m
    assert steps == [(done, tasks) for done in range(1, tasks + 1)]


def test_server_tells_whom_it_waits_for_and_when_it_may_go_on() -> None:
    params = Params(n=4, m=1, modulus=64, t=3)
    server = Server(params)
    for u in (1, 2):
        server.receive(u, Client(params, u).start())
    assert not server.ready
    server.receive(4, Client(params, 4).start())
    assert server.ready
    assert server.waiting == {3}
    assert server.round is Round.ADVERTISE_KEYS
    with pytest.raises(LocalProtocolError, match="no sum"):
        _ = server.sum
    with pytest.raises(LocalProtocolError, match="no survivors"):
        _ = server.survivors


def test_noise_enters_the_sum_mod_r_after_the_range_check() -> None:
    params = Params.for_inputs(10, n=3, m=4, room=100)
    noise = {1: [-40, 7, 0, 1], 2: [-60, 5, 0, 0], 3: [0, 0, 0, -1]}
    clients = {u: Client(params, u) for u in (1, 2, 3)}
    for u, client in clients.items():
        client.set_input([10, 10, 0, 0], np.array(noise[u], np.int64))
    total = play(Server(params), clients)
    assert total.tolist() == [(30 - 100) % params.modulus, 42, 0, 0]


@pytest.mark.parametrize("modulus", [1 << 16, (1 << 24) - 3, 1 << 63, (1 << 64) - 59, 1 << 64])
def test_simulations_take_noise_and_check_it(modulus: int) -> None:
    params = Params(n=4, m=3, modulus=modulus, max_value=100, room=10_000)
    rng = np.random.default_rng(1)
    inputs = {u: rng.integers(0, 101, 3) for u in range(1, 5)}
    noises = {u: rng.integers(-2500, 2501, 3) for u in inputs}
    result = simulate(params, inputs, noises=noises.__getitem__, drops={Round.UNMASKING: {2}})
    exact = np.sum([inputs[u] + noises[u] for u in inputs], axis=0)
    assert result.sum.tolist() == [int(entry) % modulus for entry in exact]
    assert np.array_equal(result.sum, expected_sum(params, inputs, result.survivors, noises=noises))
    assert not np.array_equal(result.sum, expected_sum(params, inputs, result.survivors))


def test_a_client_tells_its_session_once_it_knows_it() -> None:
    params = Params(n=2, m=1, modulus=64)
    server, clients = Server(params), {u: Client(params, u, [u]) for u in (1, 2)}
    for u, client in clients.items():
        server.receive(u, client.start())
        assert client.session is None
    for u, data in server.end_round().items():
        clients[u].receive(data)
        request = decode(data, ShareKeysRequest)
        assert isinstance(request, ShareKeysRequest)
        assert clients[u].session == session_id(params, b"", request)


@pytest.mark.parametrize("modulus", [(1 << 24) - 3, 1 << 63, (1 << 64) - 59, 1 << 64])
def test_extreme_noise_is_reduced_exactly(modulus: int) -> None:
    params = Params(n=2, m=2, modulus=modulus, max_value=1, room=5)
    low = -(1 << 63)
    clients = {u: Client(params, u) for u in (1, 2)}
    for client in clients.values():
        client.set_input([1, 1], np.array([low, -1 - low], np.int64))
    assert play(Server(params), clients).tolist() == [2 * (1 + low) % modulus, 2 * -low % modulus]


def play(server: Server, clients: dict[int, Client]) -> Any:
    """All rounds without dropouts."""
    requests = dict.fromkeys(clients, b"")
    while server.round is not None:
        for u, request in requests.items():
            server.receive(u, clients[u].receive(request) if request else clients[u].start())
        requests = server.end_round()
    return server.sum


def test_masked_inputs_do_not_repeat() -> None:
    """Fresh keys make the same input look different in every session."""
    seen = set()
    for _ in range(2):
        params = Params(n=2, m=64, modulus=1 << 8)
        server = Server(params)
        clients = {u: Client(params, u, [0] * 64) for u in (1, 2)}
        requests: dict[int, bytes] = dict.fromkeys(clients, b"")
        for _ in range(2):
            for u, request in requests.items():
                server.receive(u, clients[u].receive(request) if request else clients[u].start())
            requests = server.end_round()
        seen |= {clients[u].receive(requests[u])[34:] for u in (1, 2)}
    assert len(seen) == 4


def test_session_id_covers_params_and_every_key() -> None:
    params = Params(n=3, m=1, modulus=64)
    server = Server(params)
    for u in (1, 2, 3):
        server.receive(u, Client(params, u).start())
    request = decode(server.end_round()[1], ShareKeysRequest)
    changed = decode(encode(request), ShareKeysRequest)
    keys = changed.keys.copy()
    keys[2, 1, 31] ^= 1
    users = np.array([1, 2, 4], np.uint32)
    ids = {
        session_id(params, b"", request),
        session_id(params, bytes(32), request),
        session_id(params, b"", replace(request, keys=keys)),
        session_id(params, b"", replace(request, users=users)),
        session_id(params, b"", replace(request, signatures=np.zeros((1, 64), np.uint8))),
        session_id(Params(n=3, m=1, modulus=64, nonce=params.nonce, context=b"x"), b"", request),
        session_id(Params(n=3, m=1, modulus=64, nonce=bytes(16)), b"", request),
        session_id(Params(n=3, m=2, modulus=64, nonce=params.nonce), b"", request),
    }
    assert len(ids) == 8
