"""Whole SecAgg sessions between real machines, over real bytes."""

from typing import Any

import numpy as np
import pytest

from secagg import Client, Identity, Model, Params, Roster, Round, Server, Simulation, rounds_of, simulate
from secagg.protocol.graph import CompleteGraph, Sparse


def run(
    n: int = 10,
    t: int | None = None,
    drops: dict[int, set[int]] | None = None,
    *,
    m: int = 20,
    modulus: int = 1 << 24,
    seed: int = 0,
    **params: Any,
) -> Simulation:
    """A whole session over real bytes, `drops` by the paper's round number; checks the sum over U3 and who answered."""
    settings = Params(n=n, t=t, m=m, modulus=modulus, **params)
    rng = np.random.default_rng(seed)
    inputs = {u: rng.integers(0, settings.max_value, m, np.uint64, endpoint=True) for u in range(1, n + 1)}
    vanish = {Round(number): users for number, users in (drops or {}).items()}
    result = simulate(settings, inputs, drops=vanish)
    left = set(inputs)
    for current in rounds_of(settings):
        left -= vanish.get(current, set())
        assert set(result.answered[current]) == left
    assert result.survivors == result.answered[Round.MASKED_INPUT_COLLECTION]
    expected = [sum(int(inputs[u][i]) for u in result.survivors) % modulus for i in range(m)]
    assert result.sum.tolist() == expected
    assert result.faults == []
    return result


def on_a_circle(monkeypatch: pytest.MonkeyPatch, degree: int, t: int, quorum: int) -> None:
    """All sessions over a sparse graph, in both models and whatever `Params` would say to it."""
    monkeypatch.setattr(CompleteGraph, "over", lambda _, session, users: Sparse(degree).over(session, users))
    monkeypatch.setattr(Params, "quorum", quorum)
    monkeypatch.setattr(Params, "min_holders", t)


def parties(params: Params) -> tuple[Server, dict[int, Client]]:
    """The server and all n clients, x_u being u in every entry; in the active model with identities and a roster."""
    if params.model is Model.SEMI_HONEST:
        return Server(params), {u: Client(params, u, [u] * params.m) for u in range(1, params.n + 1)}
    identities = {u: Identity.generate() for u in range(1, params.n + 1)}
    roster = Roster({u: identity.verification_key for u, identity in identities.items()})
    clients = {
        u: Client(params, u, [u] * params.m, identity=identity, roster=roster) for u, identity in identities.items()
    }
    return Server(params, roster=roster), clients


def play_until(
    current: Round, params: Params, drops: dict[int, set[int]] | None = None
) -> tuple[Server, dict[int, Client], dict[int, bytes]]:
    """Honest machines just before the users' answers of a round: the server, the clients, their unanswered requests."""
    server, clients = parties(params)
    requests = dict.fromkeys(clients, b"")
    while server.round != current:
        assert server.round is not None
        for u, request in requests.items():
            if u not in (drops or {}).get(server.round, set()):
                server.receive(u, clients[u].receive(request) if request else clients[u].start())
        requests = server.end_round()
    assert server.faults == []
    return server, clients, requests
