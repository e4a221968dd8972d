"""Noise as parties add it: to shares mod R, from a replayed seed, and audited from outside for what it promises."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from noise_audit import RUNS, Release, audited_epsilon
from numpy.typing import NDArray

from secagg import vector
from secagg.dp import (
    ApproxDp,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Party,
    Plan,
    PureDp,
    Sensitivity,
    Skellam,
    ZCdp,
)
from secagg.dp.noise import TOTAL_VARIATION_MAX, Noise, exact_sampler, isochronous_sampler
from secagg.dp.samplers import ExactGaussian, ExactLaplace, IsochronousGaussian, IsochronousLaplace, IsochronousSkellam
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
HISTOGRAM = Sensitivity.histogram(N)


def seed_of(number: int) -> Callable[[int], bytes]:
    return lambda size: number.to_bytes(size, "little")


def test_only_the_party_of_the_plan_adds() -> None:
    plan = Plan.aggregators(PureDp("0.1"), HISTOGRAM, 50)
    share = np.arange(50, dtype=np.int64)
    for party in (Party.CLIENT, Party.COLLECTOR):
        plan.noise_for(party).add_to(share)
        assert share.tolist() == list(range(50))
        assert not plan.noise_for(party).sample().any()
    plan.noise_for(Party.AGGREGATOR).add_to(share)
    assert share.tolist() != list(range(50))


@pytest.mark.parametrize("modulus", [1 << 20, 1000, (1 << 32) + 15, (1 << 64) - (1 << 32) + 1, 1 << 64])
def test_noise_is_added_mod_r_and_comes_back_signed(modulus: int) -> None:
    noise = Plan.aggregators(PureDp("0.5"), HISTOGRAM, 200).noise_for(Party.AGGREGATOR)
    share = np.array([modulus - 1, 0] * 100, vector.dtype(modulus))
    expected = [(int(x) + int(y)) % modulus for x, y in zip(share, noise.sample(rand=seed_of(7)), strict=True)]
    noise.add_to(share, modulus, rand=seed_of(7))
    assert share.tolist() == expected


def test_the_same_seed_gives_the_same_noise() -> None:
    noise = Plan.central(ZCdp("0.01"), HISTOGRAM, 30).noise_for(Party.COLLECTOR)
    assert noise.sample(rand=seed_of(1)).tolist() == noise.sample(rand=seed_of(1)).tolist()
    assert noise.sample(rand=seed_of(1)).tolist() != noise.sample(rand=seed_of(2)).tolist()
    assert noise.sample().tolist() != noise.sample().tolist()


@pytest.mark.parametrize(
    ("budget", "form"),
    [(PureDp(1), ExactLaplace), (ZCdp(1), IsochronousGaussian), (ApproxDp(1, "1e-9"), IsochronousLaplace)],
)
def test_the_budget_decides_the_form(budget: Any, form: type) -> None:
    plan = Plan.central(budget, HISTOGRAM, 10)
    assert type(plan.noise_for(Party.COLLECTOR).sampler) is form
    assert plan.isochronous == (form is not ExactLaplace)


def test_a_cohorts_noise_is_isochronous_skellam_and_too_wide_noise_is_exact() -> None:
    cohort: dict[str, Any] = {"clients": 100, "survivors": 67, "corrupt": 33}
    little = Plan.distributed(ApproxDp(1, "1e-9"), HISTOGRAM, 10, **cohort)
    assert type(little.noise_for(Party.CLIENT).sampler) is IsochronousSkellam
    much = Plan.distributed(ApproxDp(1, "1e-9"), Sensitivity.l2_bounded(10**9, 1000, N), 1000, **cohort)
    assert type(much.noise_for(Party.CLIENT).sampler) is ExactGaussian
    assert (much.isochronous, much.kept) == (False, True)
    assert much.total_variation == 0


@pytest.mark.parametrize(
    "law", [DiscreteLaplace(Fraction(1, 50)), DiscreteLaplace(Fraction(10**9)), DiscreteGaussian(Fraction(1, 50)),
            DiscreteGaussian(Fraction(10**5)), Skellam(Fraction(1, 50)), Skellam(Fraction(3000))],
)  # fmt: skip
def test_isochronous_samplers_are_near_enough(law: Any) -> None:
    sampler = isochronous_sampler(law)
    assert sampler is not None
    assert 0 < sampler.total_variation <= TOTAL_VARIATION_MAX
    assert exact_sampler(law).total_variation == 0


@pytest.mark.parametrize(
    "law", [DiscreteLaplace(Fraction(5)), DiscreteGaussian(Fraction(30)), Skellam(Fraction(30))]
)  # fmt: skip
def test_both_forms_have_the_variance_of_the_law(law: Any) -> None:
    for sampler in (exact_sampler(law), isochronous_sampler(law)):
        assert sampler is not None
        samples = sampler.sample(200_000, rand=seed_of(3)).astype(np.float64)
        assert samples.mean() == pytest.approx(0, abs=6 * math.sqrt(float(law.variance) / 200_000))
        assert samples.var() == pytest.approx(float(law.variance), rel=0.04)


def test_noise_that_nobody_can_sample() -> None:
    plan = Plan.central(PureDp("1e-20"), HISTOGRAM, 1)
    with pytest.raises(LocalProtocolError, match="this noise cannot be sampled: scale"):
        plan.noise_for(Party.COLLECTOR)
    assert isochronous_sampler(DiscreteGaussian(Fraction(2**21))) is None


@pytest.mark.parametrize(
    ("share", "modulus", "reason"),
    [(np.zeros(3, np.int64), None, "a share of 4 entries"), (np.zeros((2, 2), np.int64), None, "a share of 4 entries"),
     (np.zeros(4, np.uint32), None, "give the modulus")],
)  # fmt: skip
def test_shares_that_do_not_fit(share: NDArray[Any], modulus: int | None, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Noise(ExactLaplace(Fraction(3)), 4).add_to(share, modulus)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_seed_of_another_size_is_refused_and_the_share_left_alone(size: int) -> None:
    share = np.zeros(4, np.uint64)
    with pytest.raises(ValueError, match="seed must be 16 bytes"):
        Noise(ExactLaplace(Fraction(3)), 4).add_to(share, 1 << 64, rand=lambda _: bytes(size))
    assert not share.any()


# --- audit ------------------------------------------------------------------------------------------------------

EPSILON = Fraction(1)


def two_aggregators(plan: Plan, *, forgets: bool = False) -> Release:
    """Shares mod R, the honest Aggregator's noise, sum, signed decode. The other Aggregator is corrupt: it tells the
    Collector its noise, which is then as good as none."""
    modulus = (1 << 64) - (1 << 32) + 1

    def release(values: NDArray[np.int64]) -> NDArray[np.int64]:
        leader = np.random.default_rng(5).integers(0, modulus, values.size, np.uint64)
        helper = values.astype(np.uint64)
        vector.subtract(helper, leader, modulus)
        if not forgets:
            plan.noise_for(Party.AGGREGATOR).add_to(helper, modulus)
        vector.add(leader, helper, modulus)
        wrapped = leader - np.uint64(modulus)  # mod 2**64: two's complement
        return np.where(leader > modulus // 2, wrapped, leader).view(np.int64)

    return release


def plan_of(sensitivity: Sensitivity, **form: Any) -> Plan:
    return Plan.aggregators(PureDp(EPSILON), sensitivity, 2 * RUNS, **form)


@pytest.mark.parametrize("isochronous", [False, True])
def test_audit_finds_no_more_than_the_budget_and_not_much_less(isochronous: bool) -> None:
    assert 0.8 < audited_epsilon(two_aggregators(plan_of(HISTOGRAM, isochronous=isochronous))) <= EPSILON


def test_audit_catches_half_the_sensitivity() -> None:
    assert audited_epsilon(two_aggregators(plan_of(Sensitivity(1, 1, N)))) > 1.7


def test_audit_catches_an_aggregator_that_adds_nothing() -> None:
    assert audited_epsilon(two_aggregators(plan_of(HISTOGRAM), forgets=True)) > 5
