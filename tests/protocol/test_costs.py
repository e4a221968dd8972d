"""What a session costs, beside sessions that were played."""

from dataclasses import asdict, replace
from itertools import count
from typing import Any

import pytest

from secagg import Model, Params, Sparse
from secagg.protocol.costs import Rates, Size, client_seconds, client_traffic, measure, server_seconds

from ..support.randomness import rand
from ..support.rounds import run

SIZE = Size(n=100, holders=100, t=67, m=50, modulus=1 << 24, model=Model.SEMI_HONEST, quorum=67)
AROUND = replace(SIZE, holders=13, t=7)
STILL = Rates(**dict.fromkeys(("agreement", "revealed", "ciphertext", "expansion", "addition", "sharing", "recovery",
                               "signature", "listing"), 0.0))  # fmt: skip


def size_of(params: Params) -> Size:
    return Size(params.n, params.holders, params.t, params.m, params.modulus, params.model, params.quorum)


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 5, "m": 7, "modulus": 1 << 13},
        {"n": 6, "m": 7, "modulus": (1 << 20) - 3, "model": Model.ACTIVE},
        {"n": 12, "m": 3, "modulus": 1 << 20, "n_corrupt": 1, "t": 3, "graph": Sparse(6)},
        {"n": 12, "m": 3, "modulus": 1 << 20, "n_corrupt": 1, "graph": Sparse(6), "model": Model.ACTIVE},
    ],
)
def test_bytes_are_those_of_a_session(settings: dict[str, Any]) -> None:
    result = run(**settings)
    traffic, costs = client_traffic(size_of(result.params)), result.costs
    for kind, answer in traffic.answers.items():
        assert answer == max(costs[kind.ROUND].sent.values())
    for asks, request in traffic.requests.items():
        assert request == max(costs[asks.ANSWER.ROUND].received.values())
    assert traffic.sent == sum(max(cost.sent.values()) for cost in costs.values())
    assert traffic.received == sum(max(cost.received.values(), default=0) for cost in costs.values())


def test_bytes_of_a_large_session_are_these() -> None:
    """By hand: lists of users are a bitmap of all, and of few neighbours the ids."""
    size = replace(SIZE, n=10_000, holders=221, t=184, m=100_000, model=Model.ACTIVE, quorum=5251)
    session, signed = 2 + 32, 64
    traffic = client_traffic(size)
    assert [*traffic.answers.values()] == [
        2 + 64 + signed,
        session + 32 + 4 + 220 * 88 + signed,
        session + 32 + 4 + 300_000 + 4 + signed,
        session + 32 + signed,
        session + 4 + 221 * 32 + signed,
    ]
    assert [*traffic.requests.values()] == [
        2 + 5 + 1250 + 4 + 10_000 * 64 + 4 + 10_000 * signed,
        session + 5 + 221 * 4 + 4 + 220 * 88,
        session + 5 + 1250,
        session + 5 + 657 + 4 + 5251 * signed,
    ]


@pytest.mark.parametrize(
    ("rate", "client", "around"),
    [
        ("agreement", 198, 24), ("ciphertext", 198, 24), ("expansion", 100, 13), ("sharing", 1, 1),
        ("signature", 200, 113), ("listing", 100, 100), ("addition", 0, 0), ("revealed", 0, 0), ("recovery", 0, 0),
    ],
)  # fmt: skip
def test_a_client_takes_so_many_steps(rate: str, client: int, around: int) -> None:
    rates = replace(STILL, **{rate: 1.0})
    assert (client_seconds(SIZE, rates), client_seconds(AROUND, rates)) == (client, around)


def test_signatures_of_neighbours_and_of_a_quorum_are_verified_in_a_sparse_graph() -> None:
    rates = replace(STILL, signature=1.0)
    sizes = [replace(size, model=Model.ACTIVE) for size in (SIZE, AROUND)]
    assert [client_seconds(size, rates) for size in sizes] == [200, 13 + 67]


@pytest.mark.parametrize(
    ("rate", "server", "around"),
    [
        ("revealed", 900, 12 * 900 / 99), ("expansion", 90 + 900, 90 + 12 * 900 / 99), ("addition", 90, 90),
        ("recovery", 100, 100), ("signature", 470, 470), ("agreement", 0, 0),
    ],
)  # fmt: skip
def test_a_server_takes_so_many_steps_when_ten_of_a_hundred_leave(rate: str, server: float, around: float) -> None:
    rates = replace(STILL, **{rate: 1.0})
    assert server_seconds(SIZE, rates, 10) == pytest.approx(server)
    assert server_seconds(AROUND, rates, 10) == pytest.approx(around)


@pytest.mark.parametrize(
    "size", [SIZE, AROUND, replace(SIZE, model=Model.ACTIVE), replace(SIZE, n=10**6, holders=10**6)]
)
def test_every_step_is_timed(size: Size) -> None:
    """By a clock that goes on by one second whenever it is looked at."""
    ticks = count()
    rates = asdict(measure(size, lambda: float(next(ticks)), rand))
    assert all(seconds > 0 for name, seconds in rates.items() if name != "signature")
    assert rates["signature"] == (1 / 64 if size.model is Model.ACTIVE else 0)
    assert rates["agreement"] == 1 / min(size.neighbours, 64)
    assert rates["revealed"] == (1 / 1024 if size.holders == size.n else 1 / 48)
    assert rates["sharing"] == pytest.approx(max(1, size.t * size.holders / (67 * min(size.holders, 256))), rel=0.01)
