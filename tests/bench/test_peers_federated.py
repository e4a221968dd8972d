"""bench.peers.federated: every way gives the mean of the nodes that stay, and what is counted is what travels."""

import math
from typing import Any

import numpy as np
import pytest

from bench.peers.federated.work import Setting

reason = "needs flwr, of the extra peers: ci/slow peers"
ways = pytest.importorskip("bench.peers.federated.ways", reason=reason, exc_type=ImportError)
measure = pytest.importorskip("bench.peers.federated.measure", reason=reason, exc_type=ImportError)

SMALL = Setting(n=5, m=2_000, dropped=1)
ENTRIES = sum(array.size for array in SMALL.model)
FLOATS = 4 * ENTRIES  # bytes
STEP = {"plain": 1e-6, "ours": 1e-5, "flowers": 1e-3}  # the coarsest that each way calculates with


@pytest.mark.parametrize("name", STEP)
def test_every_way_gives_the_survivors_mean(name: str) -> None:
    arrays, _ = getattr(ways, name)(SMALL)
    for found, wanted in zip(arrays, SMALL.mean([1, 2, 3, 4]), strict=True):
        np.testing.assert_allclose(found, wanted, atol=STEP[name])
    everybody = SMALL.mean([0, 1, 2, 3, 4])
    assert max(np.abs(a - b).max() for a, b in zip(arrays, everybody, strict=True)) > STEP[name]


def test_the_active_model_gives_it_too() -> None:
    arrays, grid = ways.ours(SMALL, active=True)
    for found, wanted in zip(arrays, SMALL.mean([1, 2, 3, 4]), strict=True):
        np.testing.assert_allclose(found, wanted, atol=grid.bound + 1e-6)
    assert max(node.cost.messages for node in grid.nodes.values()) == 5


def test_bytes_are_those_of_the_model_and_some_more() -> None:
    _, plain = ways.plain(SMALL)
    _, ours = ways.ours(SMALL)
    first, other = plain.nodes[1].cost, plain.nodes[2].cost
    assert (first.up, first.down) == (0, 0)  # it is gone
    assert FLOATS < other.up < FLOATS + 3_000
    assert FLOATS < other.down < FLOATS + 3_000
    bits = 16 + math.ceil(math.log2(5 * 1000)) + 1  # R holds five weighted updates
    masked = ENTRIES * bits // 8
    assert masked < ours.nodes[2].cost.up < masked + 8_000


def test_a_wrong_mean_is_measured() -> None:
    def wrong(setting: Setting) -> Any:
        arrays, grid = ways.plain(setting)
        return [array + np.float32(0.5) for array in arrays], grid

    assert measure.measured(ways.plain, SMALL).error < 1e-6
    assert measure.measured(wrong, SMALL).error > 0.4
