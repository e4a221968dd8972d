"""The audit: bounds that hold, sound noise that passes close to its claim, and noise that does not keep it."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dp import (
    ApproxDp,
    Audit,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Noise,
    Plan,
    Polya,
    PureDp,
    Sensitivity,
    Skellam,
    Unit,
    ZCdp,
    audit,
)
from secagg.dp.audit import _Bounds
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
COUNT, HISTOGRAM = Sensitivity.sum(1, N), Sensitivity.histogram(N)
LONG = Sensitivity.l2_bounded(10_000, 50, N)


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def tail(runs: int, hits: int, p: Fraction) -> Fraction:
    """P[Binomial(runs, p) >= hits], exactly."""
    return sum((math.comb(runs, k) * p**k * (1 - p) ** (runs - k) for k in range(hits, runs + 1)), Fraction(0))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.data(), st.sampled_from([1e-6, 1e-3, 0.1]))
def test_bounds_are_clopper_and_pearsons(runs: int, data: st.DataObject, failure: float) -> None:
    hits = data.draw(st.integers(0, runs))
    bounds = _Bounds(runs, failure)
    low, high = bounds.lower(hits), bounds.upper(hits)
    assert 0 <= low <= hits / runs <= high <= 1
    if hits:
        assert float(tail(runs, hits, Fraction(low))) == pytest.approx(failure, rel=1e-6)
    else:
        assert low == 0
    if hits < runs:
        assert float(1 - tail(runs, hits + 1, Fraction(high))) == pytest.approx(failure, rel=1e-6)
    else:
        assert high == 1


def test_bounds_of_many_runs_are_those_of_scipy() -> None:
    beta = pytest.importorskip("scipy.stats").beta
    bounds = _Bounds(90_000, 1e-5)
    for hits in (1, 10, 400, 45_000, 89_000, 89_999):
        assert bounds.lower(hits) == pytest.approx(beta.ppf(1e-5, hits, 90_000 - hits + 1), rel=1e-6)
        assert bounds.upper(hits) == pytest.approx(beta.ppf(1 - 1e-5, hits + 1, 90_000 - hits), rel=1e-6)


DISTRIBUTED: dict[str, Any] = {"clients": 20, "survivors": 14, "corrupt": 6}
SOUND: list[tuple[Plan, type, tuple[int, ...], tuple[int, ...], float]] = [
    (Plan.central(PureDp(1), COUNT, 1), DiscreteLaplace, (1,), (0,), 0.9),
    (Plan.aggregators(PureDp(3), HISTOGRAM, 9), DiscreteLaplace, (1, 0, 7), (0, 1, 7), 0.9),
    (Plan.distributed(PureDp(1), HISTOGRAM, 9, **DISTRIBUTED), Polya, (1, 0), (0, 1), 0.9),
    (Plan.local(PureDp("1/2"), COUNT, 1, clients=7), DiscreteLaplace, (1,), (0,), 0.85),
    (Plan.central(ApproxDp("1/2", "1e-1"), Sensitivity.sum(50, N), 1), DiscreteGaussian, (50,), (0,), 0.8),
    (Plan.central(ZCdp("0.5"), LONG, 50), DiscreteGaussian, (100,), (-100,), 0.4),
    (
        Plan.aggregators(ApproxDp(2, "1e-2"), HISTOGRAM, 9, honest=2, polya=False),
        Skellam,
        (1, 0),
        (0, 1),
        0.8,
    ),
    (Plan.central(PureDp(1), COUNT, 1, unit=Unit(3, "a day")), DiscreteLaplace, (3,), (0,), 0.9),
]


@pytest.mark.parametrize(
    ("plan", "law", "x", "y", "close"), SOUND, ids=[f"{s[1].__name__}-{s[0].budget}" for s in SOUND]
)
def test_sound_noise_keeps_its_claim_and_comes_close_to_it(
    plan: Plan, law: type, x: tuple[int, ...], y: tuple[int, ...], close: float
) -> None:
    assert type(plan.law) is law
    result = audit(plan, x, y, rand=seeded(1))
    assert result.keeps_claim
    assert close * result.claimed < result.epsilon <= result.claimed < result.reach
    assert (result.runs, result.failure) == (100_000, 1e-3)


BROKEN: dict[str, tuple[Plan, Plan, tuple[int, ...], tuple[int, ...]]] = {
    # The plan that is promised, the one whose noise is drawn, and the inputs.
    "half of the scale": (SOUND[0][0], Plan.central(PureDp(2), COUNT, 1), (1,), (0,)),
    "half of the sensitivity": (SOUND[1][0], Plan.aggregators(PureDp(3), COUNT, 9), (1, 0), (0, 1)),
    "half of the parts": (
        SOUND[2][0],
        Plan.distributed(PureDp(1), HISTOGRAM, 9, clients=40, survivors=22, corrupt=6),
        (1, 0),
        (0, 1),
    ),
    "half of the variance": (SOUND[4][0], Plan.central(ApproxDp(2, "1e-1"), Sensitivity.sum(50, N), 1), (50,), (0,)),
    "half of the rho's variance": (SOUND[5][0], Plan.central(ZCdp(1), LONG, 50), (100,), (-100,)),
    "the noise of one report": (SOUND[7][0], SOUND[0][0], (3,), (0,)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_noise_that_does_not_keep_its_claim_is_found(fault: str) -> None:
    promised, drawn, x, y = BROKEN[fault]
    result = audit(replace(promised, law=drawn.law, isochronous=drawn.isochronous), x, y, rand=seeded(2))
    assert not result.keeps_claim
    assert result.epsilon > result.claimed


def test_no_noise_is_found() -> None:
    class Silent(Plan):
        def noise_for(self, party: Any) -> Noise:
            return Noise(None, self.length)

    silent = Silent(**vars(SOUND[0][0]))
    result = audit(silent, (1,), (0,), rand=seeded(3))
    assert result.epsilon == result.reach > 9


def test_noise_that_tells_only_one_input_apart_is_found() -> None:
    """Noise never above 1: only the larger input has the largest result."""
    laplace = SOUND[0][0]

    class Skewed(Plan):
        def noise_for(self, party: Any) -> Any:
            return _CutOff(super().noise_for(party).sampler, self.length)

    for x, y in (((1,), (0,)), ((0,), (1,))):
        result = audit(Skewed(**vars(laplace)), x, y, rand=seeded(4))
        assert result.epsilon > 3 > result.claimed


class _CutOff(Noise):
    """Noise that is at most 1: a result of 2 is never that of an input of 0."""

    def add_to(self, share: Any, modulus: int | None = None, *, rand: Any = None) -> None:
        before = share.copy()
        super().add_to(share, modulus, rand=rand)
        noise = (share - before).view(np.int64)
        share[:] = before + np.minimum(noise, 1).view(np.uint64)


def test_only_the_honest_parties_noise_counts() -> None:
    plan = SOUND[2][0]
    assert (plan.parties, plan.honest) == (20, 8)
    assert audit(plan, (1, 0), (0, 1), honest=20, rand=seeded(5)).epsilon < 0.9
    assert audit(plan, (1, 0), (0, 1), honest=2, rand=seeded(5)).epsilon > 1.5


@pytest.mark.parametrize("failure", [0.05, 0.4])
def test_sound_noise_fails_no_more_often_than_stated(failure: float) -> None:
    """Of 50 audits of the tightest claim there is: of Laplace noise, whose loss is its epsilon at many thresholds."""
    failed = sum(
        not audit(SOUND[0][0], (1,), (0,), runs=1000, failure=failure, rand=seeded(seed)).keeps_claim
        for seed in range(50)
    )
    assert failed <= 50 * failure / 2


def test_delta_is_allowed() -> None:
    """A mechanism that tells everything with a chance of delta, and else nothing."""
    plan = Plan.central(ApproxDp("1/10", "1/10"), COUNT, 1)

    class Leaking(Plan):
        def noise_for(self, party: Any) -> Any:
            return _Leak(None, self.length)

    leaking = Leaking(**vars(plan))
    assert audit(leaking, (1,), (0,), rand=seeded(6)).keeps_claim
    strict = replace(leaking, budget=ApproxDp("1/10", "1/20"))
    assert not audit(strict, (1,), (0,), rand=seeded(6)).keeps_claim


class _Leak(Noise):
    """Shows the value, as 2 or -2, once in ten times; else 0."""

    def add_to(self, share: Any, modulus: int | None = None, *, rand: Any = None) -> None:
        shown = np.random.default_rng(int.from_bytes(rand(8))).random(len(share)) < 0.1
        value = np.where(share.view(np.int64) == 1, 2, -2)
        share[:] = np.where(shown, value, 0).view(np.uint64)


def test_every_block_and_party_has_a_secret_of_its_own() -> None:
    secrets: list[bytes] = []
    source = seeded(7)

    def rand(size: int) -> bytes:
        secrets.append(source(size))
        return secrets[-1]

    done: list[tuple[int, int]] = []
    audit(SOUND[2][0], (1, 0), (0, 1), rand=rand, progress=lambda *progress: done.append(progress))
    assert all(len(secret) == 16 for secret in secrets)
    assert len(set(secrets)) == len(secrets) == 4 * 8  # a pilot and the runs that count, of two inputs
    assert done[-1] == (200_000, 200_000)
    assert [d for d, _ in done] == sorted(d for d, _ in done)
    one, other, again = (audit(SOUND[0][0], (1,), (0,), runs=2000, rand=seeded(seed)) for seed in (1, 2, 1))
    assert one == again != other


def test_fresh_noise_by_default() -> None:
    """Two of so few runs are equal by chance once in 10,000 times."""
    assert len({audit(SOUND[0][0], (1,), (0,), runs=2000) for _ in range(3)}) > 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": (1, 2)}, "as many entries, got 2 and 1"),
        ({"x": (0,)}, "must differ"),
        ({"x": (1 << 40,)}, "below 2\\*\\*40"),
        ({"runs": 999}, "1,000 .. 10,000,000, got 999"),
        ({"runs": 10**7 + 1}, "got 10,000,001"),
        ({"failure": 0.0}, "above 0 and below 1"),
        ({"failure": 1.0}, "above 0 and below 1"),
        ({"honest": 0}, "at least one party"),
    ],
)
def test_what_cannot_be_audited(change: dict[str, Any], says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        audit(SOUND[0][0], **{"x": (1,), "y": (0,), **change})


def test_the_claim_of_zcdp_is_that_at_the_delta_that_says_most() -> None:
    result = audit(SOUND[5][0], (100,), (-100,), rand=seeded(8))
    assert result.delta in (0.1, 0.01, 0.001)
    assert isinstance(result, Audit)
