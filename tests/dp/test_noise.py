"""Noise as parties add it: to shares mod R, from a replayed seed, and audited from outside for what it promises."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
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
from secagg.dp.form import is_isochronous
from secagg.dp.noise import TOTAL_VARIATION_MAX, Noise, exact_sampler, isochronous_sampler, sampler_of
from secagg.dp.polya import Polya
from secagg.dp.samplers import (
    MAX_SCANNED_POLYA_SCALE,
    ExactGaussian,
    ExactLaplace,
    ExactPolya,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousPolya,
    IsochronousSkellam,
    IsochronousWideGaussian,
)
from secagg.errors import ArgumentTypeError, LocalProtocolError

from ..support import noise_twin
from ..support.noise_audit import RUNS, Release, audited_epsilon

N = Neighbours.REPLACE_ONE
SECRET = bytes(range(16))
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


@pytest.mark.parametrize(
    "modulus", [1 << 20, 1000, (1 << 32) + 15, (1 << 64) - (1 << 32) + 1, 1 << 64, (1 << 64) + 13, (1 << 128) - 1]
)
@pytest.mark.parametrize("isochronous", [False, True])
def test_noise_is_added_mod_r_and_is_what_the_twin_derives(modulus: int, isochronous: bool) -> None:
    """Shares at both ends of 0 .. R - 1, as uint32, uint64 and pairs of words."""
    plan = Plan.aggregators(PureDp("0.5"), HISTOGRAM, 200, isochronous=isochronous)
    assert plan.law == DiscreteLaplace(Fraction(4))
    size = 4 if modulus <= 1 << 32 else 8 if modulus <= 1 << 64 else 16
    before = [modulus - 1, 0] * 100
    data = b"".join(x.to_bytes(size, "little") for x in before)
    share = np.frombuffer(data, np.uint32 if size == 4 else np.uint64).copy()
    share = share.reshape(200, 2) if size == 16 else share
    form = "IsochronousLaplace" if isochronous else "ExactLaplace"
    seed = noise_twin.draw_seed(SECRET, form, Fraction(4), 200, modulus, noise_twin.SHARE, data)
    noise = plan.noise_for(Party.AGGREGATOR)
    assert noise.sampler is not None
    samples = noise.sampler.sample(200, rand=lambda _: seed)
    noise.add_to(share, modulus, rand=lambda _: SECRET)
    expected = [(x + int(y)) % modulus for x, y in zip(before, samples, strict=True)]
    assert share.tobytes() == b"".join(x.to_bytes(size, "little") for x in expected)
    assert expected != before


@pytest.mark.parametrize(
    ("sampler", "twin"),
    [(ExactLaplace(Fraction(22, 7)), noise_twin.laplace), (ExactGaussian(Fraction(50, 3)), noise_twin.gaussian)],
)
def test_noise_is_the_twins_from_the_secret_to_the_sample(sampler: Any, twin: Any) -> None:
    """HKDF, AES and the algorithms themselves by other code: signed integers, and noise without a share."""
    (scale,), share = vars(sampler).values(), np.arange(-50, 50)
    before, name = share.tobytes(), type(sampler).__name__
    tape = noise_twin.tape_of(noise_twin.draw_seed(SECRET, name, scale, 100, 0, noise_twin.SHARE, before), 4000)
    Noise(sampler, 100).add_to(share, rand=lambda _: SECRET)
    assert (share - np.arange(-50, 50)).tolist() == [twin(tape, scale) for _ in range(100)]
    tape = noise_twin.tape_of(noise_twin.draw_seed(SECRET, name, scale, 100, 0, noise_twin.CONTEXT, b"why"), 4000)
    samples = Noise(sampler, 100).sample(rand=lambda _: SECRET, context=b"why")
    assert samples.tolist() == [twin(tape, scale) for _ in range(100)]


def test_the_same_secret_gives_the_same_noise_on_the_same_share() -> None:
    noise = Plan.central(ZCdp("0.01"), HISTOGRAM, 30).noise_for(Party.COLLECTOR)

    def noisy(secret: int | None, first: int = 0) -> list[int]:
        share = np.arange(first, first + 30)
        noise.add_to(share, rand=os.urandom if secret is None else seed_of(secret))
        return [int(x) for x in share]

    assert noisy(1) == noisy(1)
    assert len({tuple(noisy(secret)) for secret in (1, 2, None, None)}) == 4
    assert noisy(1, first=1) != [x + 1 for x in noisy(1)]


def test_samples_of_a_secret_are_those_of_its_context() -> None:
    noise = Plan.central(ZCdp("0.01"), HISTOGRAM, 30).noise_for(Party.COLLECTOR)
    given: list[tuple[int, Any]] = [(1, b"a"), (1, bytearray(b"a")), (1, b"b"), (2, b"a")]
    draws = {tuple(noise.sample(rand=seed_of(secret), context=context).tolist()) for secret, context in given}
    assert len(draws) == 3
    assert noise.sample().tolist() != noise.sample().tolist()


@pytest.mark.parametrize("sampler", [ExactLaplace(Fraction(3)), None])
def test_a_secret_of_ones_own_needs_a_context(sampler: Any) -> None:
    noise: Any = Noise(sampler, 4)
    for given in ({"rand": seed_of(1)}, {"context": b"a"}, {"rand": seed_of(1), "context": None}):
        with pytest.raises(ArgumentTypeError, match="rand and context go together"):
            noise.sample(**given)
    with pytest.raises(ArgumentTypeError, match="context must be bytes, got str"):
        noise.sample(rand=seed_of(1), context="a")
    with pytest.raises(LocalProtocolError, match="context must say what the noise is for"):
        noise.sample(rand=seed_of(1), context=b"")


@pytest.mark.parametrize(
    ("budget", "form"),
    [(PureDp(1), ExactLaplace), (ZCdp(1), IsochronousGaussian), (ApproxDp(1, "1e-9"), IsochronousLaplace)],
)
def test_the_budget_decides_the_form(budget: Any, form: type) -> None:
    plan = Plan.central(budget, HISTOGRAM, 10)
    assert type(plan.noise_for(Party.COLLECTOR).sampler) is form
    assert plan.isochronous == (form is not ExactLaplace)


def test_a_cohorts_noise_is_isochronous_whether_narrow_or_wide() -> None:
    cohort: dict[str, Any] = {"clients": 100, "survivors": 67, "corrupt": 33}
    least = Plan.distributed(ApproxDp(1, "1e-9"), HISTOGRAM, 10, **cohort)
    assert type(least.noise_for(Party.CLIENT).sampler) is IsochronousPolya
    little = Plan.distributed(ApproxDp(1, "1e-9"), Sensitivity.l2_bounded(50, 100, N), 10, **cohort)
    assert type(little.noise_for(Party.CLIENT).sampler) is IsochronousGaussian
    crowd = {name: 300 * number for name, number in cohort.items()}
    least = Plan.distributed(ApproxDp(1, "1e-9"), Sensitivity.l2_bounded(50, 100, N), 10, **crowd)
    assert type(least.noise_for(Party.CLIENT).sampler) is IsochronousSkellam
    pure = Plan.distributed(PureDp(1), HISTOGRAM, 10, **cohort)
    assert type(pure.noise_for(Party.CLIENT).sampler) is ExactPolya
    much = Plan.distributed(ApproxDp(1, "1e-9"), Sensitivity.l2_bounded(10**9, 1000, N), 1000, **cohort)
    assert type(much.noise_for(Party.CLIENT).sampler) is IsochronousWideGaussian
    assert (much.isochronous, much.keeps_budget) == (True, True)


def test_skellam_noise_that_no_plan_takes_is_too_wide_to_be_isochronous() -> None:
    law = Skellam(Fraction((1 << 20) + 1))
    assert isochronous_sampler(law) is None
    assert not is_isochronous(ZCdp(1), 1, law, None)
    assert isinstance(sampler_of(law, isochronous=False), ExactSkellam)
    with pytest.raises(LocalProtocolError, match="too wide for isochronous samples"):
        is_isochronous(ZCdp(1), 1, law, True)


@pytest.mark.parametrize(
    "law",
    [
        *(DiscreteLaplace(Fraction(scale)) for scale in ("1/50", 10**9)),
        *(DiscreteGaussian(Fraction(variance)) for variance in ("1/50", 10**5, 1 << 80)),
        *(Skellam(Fraction(variance)) for variance in ("1/50", 3000)),
        *(Polya(Fraction(scale), 100) for scale in ("1/50", MAX_SCANNED_POLYA_SCALE)),
    ],
)
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
    assert isochronous_sampler(DiscreteGaussian(Fraction(2**81))) is None


@pytest.mark.parametrize(
    ("share", "modulus", "reason"),
    [(np.zeros(3, np.int64), None, "a share of 4 entries"), (np.zeros((2, 2), np.int64), None, "a share of 4 entries"),
     (np.zeros(4, np.uint32), None, "needs a modulus")],
)  # fmt: skip
def test_shares_that_do_not_fit(share: NDArray[Any], modulus: int | None, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Noise(ExactLaplace(Fraction(3)), 4).add_to(share, modulus)


@pytest.mark.parametrize("modulus", [-1, 0, 1, 1 << 128])
def test_moduli_out_of_range_are_refused(modulus: int) -> None:
    share = np.zeros(4, np.uint64)
    with pytest.raises(LocalProtocolError, match="modulus must be 2"):
        Noise(ExactLaplace(Fraction(3)), 4).add_to(share, modulus)
    assert not share.any()


@pytest.mark.parametrize(
    ("share", "modulus", "reason"),
    [([0] * 4, 1 << 64, "share must be an array without a mask, got list"),
     (np.ma.MaskedArray(np.zeros(4, np.int64), True), None, "share must be an array without a mask, got MaskedArray"),
     (np.zeros(4, np.uint64), 2.0**64, "modulus must be an integer, got float"),
     (np.zeros(4, np.uint32), 1 << 64, r"must be uint64\[n\], got uint32\[4\]")],
)  # fmt: skip
def test_arguments_of_other_types_are_refused(share: Any, modulus: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Noise(ExactLaplace(Fraction(3)), 4).add_to(share, modulus)


def test_a_modulus_of_numpy_is_the_same_number() -> None:
    noise, shares = Noise(ExactLaplace(Fraction(3)), 4), [np.zeros(4, np.uint32) for _ in range(2)]
    moduli: list[Any] = [1000, np.int16(1000)]
    for share, modulus in zip(shares, moduli, strict=True):
        noise.add_to(share, modulus, rand=seed_of(1))
    assert shares[0].tolist() == shares[1].tolist()


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_secret_of_another_size_is_refused_and_the_share_left_alone(size: int) -> None:
    share = np.zeros(4, np.uint64)
    with pytest.raises(LocalProtocolError, match=f"a seed of 16 bytes, got {size}"):
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
