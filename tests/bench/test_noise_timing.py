"""The benchmark that looks for noise in its own timing: its statistics, on times that are known."""

from fractions import Fraction

import numpy as np
import pytest

from bench.noise_timing import LAWS, TOLD_APART, Measured, largest_t, lines, measure, welch_t
from secagg.dp.samplers import ExactLaplace

RNG = np.random.default_rng(0)


def test_welch_t_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = RNG.normal(1, 2, 300), RNG.normal(1.5, 1, 50)
    assert welch_t(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).statistic)
    assert welch_t(np.ones(5), np.ones(5)) == welch_t(np.ones(5), np.ones(0)) == 0


def test_times_that_follow_the_size_are_told_from_times_that_do_not() -> None:
    sizes = RNG.integers(0, 100, 20_000).astype(float)
    interrupts = np.where(RNG.random(20_000) < 0.01, 1e5, 0)
    noise = RNG.exponential(100, 20_000) + interrupts
    leaking, constant = Measured(sizes + noise, sizes), Measured(50 + noise, sizes)
    for t in (leaking.halves, leaking.tenths):
        assert t > 4 * TOLD_APART
    for t in (constant.halves, constant.tenths):
        assert abs(t) < TOLD_APART
    assert leaking.correlation > 0.2 > 0.05 > abs(constant.correlation)


def test_interrupts_are_cropped() -> None:
    fast, slow = RNG.normal(100, 1, 5000), RNG.normal(101, 1, 5000)
    fast[::50] = 1e6
    assert abs(welch_t(slow, fast)) < 20 < largest_t(slow, fast)


def test_sizes_are_those_of_the_noise_that_was_timed() -> None:
    found = measure(ExactLaplace(Fraction(100)), 16, 2000)
    assert found.sizes.mean() == pytest.approx(16 * 100, rel=0.05)
    assert (found.times > 0).all()


def test_every_sampler_has_a_line() -> None:
    rows = [line for line in lines(LAWS, 4, 300) if line.startswith(("| Exact", "| Iso"))]
    assert [row.split(",")[0].removeprefix("| ") for row in rows] == [type(law).__name__ for law in LAWS]
