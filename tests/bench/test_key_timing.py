"""The benchmark that looks for private keys in the time of agreements, on a clock of its own."""

from typing import Any

import numpy as np
import pytest

from bench import key_timing
from bench.key_timing import CURVES, P256, X25519, Curve, lines, measure, told_apart
from secagg import _kernels

RNG = np.random.default_rng(0)


def test_every_kernel_and_key_has_a_line() -> None:
    found = [line.removeprefix("| ").partition(" |")[0] for line in lines(20)]
    for isa in _kernels.isa_with("agreement"):
        expected = [f"{isa}, {curve.name}, {name}" for curve in CURVES for name in curve.keys]
        assert [name for name in found if name.startswith(f"{isa}, ")] == expected


@pytest.mark.parametrize("more", [0, 300])
@pytest.mark.parametrize(
    ("curve", "name", "kernel"),
    [(P256, "1", "p256_exchange"), (X25519, "0", "x25519_exchange")],
    ids=["P-256", "X25519"],
)
def test_a_kernel_that_takes_longer_for_one_key_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, curve: Curve, name: str, kernel: str, more: int
) -> None:
    key, now = curve.keys[name], [0]

    def exchange(agreed: Any, made: Any, scalar: Any, xs: Any) -> None:
        now[0] += 1000 + int(RNG.exponential(300)) + more * (scalar.tobytes() == key)

    monkeypatch.setattr(_kernels, kernel, exchange)
    monkeypatch.setattr(key_timing, "perf_counter_ns", lambda: now[0])
    assert told_apart(measure(curve, key, 2000).t, 0) == (more > 0)
    assert not told_apart(measure(curve, None, 2000).t, 0)


def test_what_a_control_reaches_alone_is_no_difference() -> None:
    assert told_apart(4.6, 2)
    assert told_apart(-9, 4.4)
    assert not told_apart(4.4, 0)
    assert not told_apart(-9, 4.6)
