"""What bench.peers compares does the work it claims to do; Flower's part runs where `flwr` is installed."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.peers.obvious import Obvious, expand
from bench.peers.ours import Ours
from bench.peers.work import MODULUS, Setting, Work, seconds
from secagg import masking

SMALL = Setting(n=8, m=50, dropped=2, masks=3)
CASES = ("mask", "masks", "share", "reconstruct", "agree", "client", "unmask")


def flower(setting: Setting) -> Any:
    reason = "needs flwr, of the extra peers: ci/slow peers"
    return pytest.importorskip("bench.peers.flower", reason=reason, exc_type=ImportError).Flower(setting)


@pytest.mark.parametrize("implementation", [Ours, Obvious, flower])
@pytest.mark.parametrize("case", CASES)
def test_every_case_runs_twice_and_is_right(implementation: Any, case: str) -> None:
    work = getattr(implementation(SMALL), case)()
    for _ in range(2):
        assert work.check(work.run(work.prepare()))


def tampered(result: Any) -> Any:
    """A secret or a vector, or what Flower sends for one, with one bit changed."""
    if isinstance(result, bytes):
        return bytes([result[0] ^ 1]) + result[1:]
    if isinstance(result, np.ndarray):
        return np.concatenate([result[:1] ^ 1, result[1:]])
    common = pytest.importorskip("flwr.common")
    (vector,) = common.parameters_to_ndarrays(result)
    return common.ndarrays_to_parameters([np.concatenate([vector[:1] + 1, vector[1:]])])


@pytest.mark.parametrize("implementation", [Ours, Obvious, flower])
@pytest.mark.parametrize("case", ["reconstruct", "unmask"])
def test_a_wrong_result_is_noticed(implementation: Any, case: str) -> None:
    work = getattr(implementation(SMALL), case)()
    assert not work.check(tampered(work.run(work.prepare())))


def test_the_obvious_mask_is_aes_in_counter_mode() -> None:
    assert np.array_equal(expand(bytes(range(16)), 50), masking.expand(50, bytes(range(16)), bits=32) % MODULUS)


def test_a_slice_is_a_fair_part_of_the_users() -> None:
    dropped, survivors = Setting(n=100, m=1, dropped=10, masks=1).slice_of_users
    assert (dropped, survivors) == (1, list(range(11, 20)))


def ticking(step: float) -> Any:
    """A clock that is read twice for each run."""
    ticks = count()
    return lambda: step * next(ticks)


def test_a_part_counts_for_the_whole() -> None:
    assert seconds(Work(lambda _: None, parts=10), ticking(1.0)) == pytest.approx(10.0)


def test_quick_work_is_repeated_unless_it_must_be_prepared() -> None:
    runs = SimpleNamespace(free=0, prepared=0)

    def free(_: object) -> None:
        runs.free += 1

    def prepared(_: object) -> None:
        runs.prepared += 1

    assert seconds(Work(free), ticking(0.001)) == pytest.approx(0.001)
    assert seconds(Work(prepared, prepare=dict), ticking(0.001)) == pytest.approx(0.001)
    assert (runs.free, runs.prepared) == (5, 1)


def test_a_wrong_result_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="wrong"):
        seconds(Work(lambda _: 1, check=lambda result: result == 2), ticking(1.0))
