"""The exact delta of Skellam noise and of sums of discrete Gaussians, against sums over all outcomes."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dp import ApproxDp, DiscreteGaussian, Neighbours, Sensitivity, Skellam, ZCdp
from secagg.dp import skellam as skellam_module
from secagg.dp.conversion import renyi_line_delta, zcdp_delta
from secagg.dp.distributed import GaussianSum, calibrate_distributed
from secagg.dp.skellam import EXACT_VARIANCE_MAX, histogram_delta, scalar_delta

from ..support.gaussian_curve import curve_delta

N = Neighbours.REPLACE_ONE
HISTOGRAM = Sensitivity.histogram(N)
Weights = dict[int, Decimal]  # P[Y = y]

variances = st.fractions(Fraction(1, 100), 30, max_denominator=100)
epsilons = st.fractions(Fraction(1, 100), 10, max_denominator=100)


def skellam_weights(variance: Fraction) -> Weights:
    """The law of the difference of two Poisson variables, by convolution: no Bessel function, and no quotients."""
    mean = Decimal(variance.numerator) / variance.denominator / 2
    poisson = [(-mean).exp()]
    while len(poisson) <= mean or poisson[-1] > Decimal("1e-60"):
        poisson.append(poisson[-1] * mean / len(poisson))
    right = [sum(a * b for a, b in zip(poisson, poisson[y:], strict=False)) for y in range(len(poisson))]
    return {y: Decimal(right[abs(y)]) for y in range(1 - len(right), len(right))}


def gaussian_sum_weights(law: GaussianSum) -> Weights:
    """The law of a sum of discrete Gaussians, by convolution."""
    spread = 2 * Decimal(law.sigma_squared.numerator) / law.sigma_squared.denominator
    reach = 12 * math.isqrt(int(law.sigma_squared) + 1) + 12
    one = {y: (-y * y / spread).exp() for y in range(-reach, reach + 1)}
    scale = sum(one.values())
    total = {0: Decimal(1)}
    for _ in range(law.parties):
        longer: Weights = {}
        for a, p in total.items():
            for b, q in one.items():
                longer[a + b] = longer.get(a + b, Decimal(0)) + p * q / scale
        total = longer
    return total


def scalar_by_outcomes(p: Weights, difference: int, epsilon: Fraction) -> Decimal:
    """What P[y] exceeds e**epsilon P[y + difference] by, summed over y."""
    factor, zero = (Decimal(epsilon.numerator) / epsilon.denominator).exp(), Decimal(0)
    return sum((max(zero, w - factor * p.get(y + difference, zero)) for y, w in p.items()), zero)


def histogram_by_outcomes(p: Weights, epsilon: Fraction) -> Decimal:
    """The same over pairs: one entry falls, one rises."""
    factor, zero = (Decimal(epsilon.numerator) / epsilon.denominator).exp(), Decimal(0)
    pairs = ((p[a] * p[b], p.get(a + 1, zero) * p.get(b - 1, zero)) for a in p for b in p)
    return sum((max(zero, here - factor * there) for here, there in pairs), zero)


def assert_just_above(bound: Fraction, true: Decimal, relative: float = 1e-20) -> None:
    assert (
        Fraction(true) - Fraction(1, 10**45) <= bound <= Fraction(true) * (1 + Fraction(relative)) + Fraction(1, 10**30)
    )


# --- Skellam noise


@settings(max_examples=20, deadline=None)
@given(variances, st.integers(1, 12), epsilons)
def test_scalar_delta_is_exact(variance: Fraction, difference: int, epsilon: Fraction) -> None:
    with localcontext() as context:
        context.prec = 60
        true = scalar_by_outcomes(skellam_weights(variance), difference, epsilon)
    assert_just_above(scalar_delta(variance, difference, epsilon), true)


@settings(max_examples=8, deadline=None)
@given(st.fractions(Fraction(1, 100), 4, max_denominator=100), epsilons)
def test_histogram_delta_is_exact(variance: Fraction, epsilon: Fraction) -> None:
    with localcontext() as context:
        context.prec = 60
        true = histogram_by_outcomes(skellam_weights(variance), epsilon)
    assert_just_above(histogram_delta(variance, epsilon), true)


@pytest.mark.parametrize(("point", "small"), [(8, 1), (8, 1 << 5), (24, 1), (24, 1 << 16)])
@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(2), Fraction(7)])
@pytest.mark.parametrize("epsilon", [Fraction(1, 10), Fraction(1), Fraction(4), Fraction(9)])
def test_deltas_are_never_too_small_however_coarse_the_numbers(
    point: int, small: int, variance: Fraction, epsilon: Fraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bits after the point, and more or fewer outcomes left out: each rounding shows."""
    for name, value in (("_POINT", point), ("_ONE", 1 << point), ("_SMALL", small)):
        monkeypatch.setattr(skellam_module, name, value)
    with localcontext() as context:
        context.prec = 60
        p = skellam_weights(variance)
        for difference in (1, 5, 40):
            true = scalar_by_outcomes(p, difference, epsilon)
            bound = scalar_delta(variance, difference, epsilon)
            assert true <= Decimal(bound.numerator) / bound.denominator
        true, bound = histogram_by_outcomes(p, epsilon), histogram_delta(variance, epsilon)
        assert true <= Decimal(bound.numerator) / bound.denominator


@settings(max_examples=10, deadline=None)
@given(variances, st.integers(2, 12), epsilons)
def test_a_smaller_difference_has_a_smaller_delta(variance: Fraction, difference: int, epsilon: Fraction) -> None:
    deltas = [scalar_delta(variance, d, epsilon) for d in range(1, difference + 1)]
    assert all(a <= b + Fraction(1, 10**30) for a, b in pairwise(deltas))
    assert deltas[0] <= histogram_delta(variance, epsilon) + Fraction(1, 10**30)


@settings(max_examples=12, deadline=None)
@given(variances, st.integers(1, 8), epsilons)
def test_the_better_of_two_bounds_is_taken(variance: Fraction, difference: int, epsilon: Fraction) -> None:
    for sensitivity in (Sensitivity.sum(difference, N), HISTOGRAM):
        line = Skellam(variance).guarantee(sensitivity)
        exact = histogram_delta(variance, epsilon)
        if sensitivity is not HISTOGRAM:
            exact = scalar_delta(variance, difference, epsilon)
        by_divergences = renyi_line_delta(line.xi, line.rho, epsilon)
        assert Skellam(variance).delta(epsilon, sensitivity) == min(exact, by_divergences)
        unknown = Sensitivity(sensitivity.l1, sensitivity.l2_squared, N)
        assert Skellam(variance).delta(epsilon, unknown) == by_divergences


@pytest.mark.parametrize(("difference", "epsilon"), [(512, 4), (512, 1), (64, "1/4")])
def test_wide_noise_is_nearly_gaussian(difference: int, epsilon: int | str) -> None:
    delta = scalar_delta(Fraction(EXACT_VARIANCE_MAX), difference, Fraction(epsilon))
    assert float(delta) == pytest.approx(curve_delta(difference / 512, float(Fraction(epsilon))), rel=2e-2)


def test_wider_noise_has_the_bound_of_its_divergences() -> None:
    wide, sensitivity = Skellam(Fraction(EXACT_VARIANCE_MAX) + 1), Sensitivity.sum(1000, N)
    line = wide.guarantee(sensitivity)
    assert wide.delta(Fraction(3), sensitivity) == renyi_line_delta(line.xi, line.rho, Fraction(3))


# --- Sums of discrete Gaussians


@pytest.mark.parametrize("parties", [2, 3, 5])
@pytest.mark.parametrize("sigma_squared", ["1/4", "1/2", "3/4", "1", "2"])
@pytest.mark.parametrize("epsilon", ["1/2", "2", "5"])
def test_delta_of_a_gaussian_sum_is_never_below_that_of_its_outcomes(
    parties: int, sigma_squared: str, epsilon: str
) -> None:
    law, given_epsilon = GaussianSum(Fraction(sigma_squared), parties, 1), Fraction(epsilon)
    with localcontext() as context:
        context.prec = 60
        p = gaussian_sum_weights(law)
        exact = {d: scalar_by_outcomes(p, d, given_epsilon) for d in (1, 3)}
        pair = histogram_by_outcomes({y: w for y, w in p.items() if w > Decimal("1e-25")}, given_epsilon)
    slack = Fraction(1, 10**20)  # 60 digits, and the reach of the tables
    for difference, true in exact.items():
        sensitivity = Sensitivity.sum(difference, N)
        bound = law.delta(given_epsilon, sensitivity)
        assert Fraction(true) <= bound + slack
        assert bound <= zcdp_delta(law.guarantee(sensitivity).rho, given_epsilon)
    assert Fraction(pair) <= law.delta(given_epsilon, HISTOGRAM) + slack
    if Fraction(sigma_squared) == 2:  # tau is 3e-8 for each party
        assert float(law.delta(given_epsilon, Sensitivity.sum(3, N))) == pytest.approx(float(exact[3]), rel=1e-4)


def test_a_sum_that_is_far_from_a_gaussian_has_the_bound_of_its_divergences() -> None:
    law = GaussianSum(Fraction(1, 4), 20, 1)
    assert law.tau / 2 > Fraction(1, 10)
    rho = law.guarantee(Sensitivity.sum(1, N)).rho
    assert law.delta(Fraction(1, 10), Sensitivity.sum(1, N)) == zcdp_delta(rho, Fraction(1, 10))


def test_the_distance_of_a_sum_counts_once_for_each_entry_that_changes() -> None:
    """Where the correction shows: it is charged to epsilon and to delta."""
    law, epsilon = GaussianSum(Fraction(3, 4), 2, 1), Fraction(1)
    off = float(law.tau) / 2
    assert 0.001 < off < 0.01
    one = DiscreteGaussian(Fraction(3, 2))
    for sensitivity, entries in ((Sensitivity.sum(1, N), 1), (HISTOGRAM, 2)):
        shifted = one.delta(epsilon - entries * law.tau / 2, sensitivity)
        assert float(law.delta(epsilon, sensitivity)) == pytest.approx(math.exp(entries * off) * float(shifted))


# --- What it buys


@pytest.mark.parametrize("parties", [2, 34])
@pytest.mark.parametrize("epsilon", ["1/2", "2", "10"])
@pytest.mark.parametrize("sensitivity", [Sensitivity.sum(1, N), Sensitivity.sum(3, N), HISTOGRAM], ids=str)
def test_calibrated_skellam_noise_wastes_nothing(parties: int, epsilon: str, sensitivity: Sensitivity) -> None:
    """It keeps to the budget by its outcomes, and a thousandth less would not."""
    law = calibrate_distributed(ApproxDp(epsilon, "1e-4"), sensitivity, parties, 1, polya=False)
    assert isinstance(law, Skellam)
    with localcontext() as context:
        context.prec = 60
        for variance, keeps in ((parties * law.variance, True), (parties * law.variance * Fraction(999, 1000), False)):
            p = skellam_weights(variance)
            if sensitivity is HISTOGRAM:
                p = {y: w for y, w in p.items() if w > Decimal("1e-12")}
                delta = histogram_by_outcomes(p, Fraction(epsilon))
            else:
                delta = scalar_by_outcomes(p, int(sensitivity.l1), Fraction(epsilon))
            assert (delta <= Decimal("1e-4")) is keeps


def test_wide_noise_of_many_is_gaussian_and_exact_as_well() -> None:
    """A number of 8 bits in a large cohort: Skellam's delta is not computed there, and the Gaussian's is."""
    budget, sensitivity = ApproxDp(1, "1e-6"), Sensitivity.sum(255, N)
    wide = calibrate_distributed(budget, sensitivity, 667, 1, polya=False)
    assert isinstance(wide, DiscreteGaussian)
    total = GaussianSum(wide.sigma_squared, 667, 1)
    assert total.satisfies(budget, sensitivity)
    assert not GaussianSum(wide.sigma_squared * Fraction(999, 1000), 667, 1).satisfies(budget, sensitivity)
    assert float(667 * wide.sigma_squared) == pytest.approx(1_160_672, rel=1e-3)  # by zCDP it is 1,335,050


def test_a_zcdp_budget_is_kept_by_divergences() -> None:
    law = calibrate_distributed(ZCdp("0.01"), Sensitivity.sum(3, N), 34, 1, polya=False)
    assert isinstance(law, DiscreteGaussian)
    assert float(34 * law.sigma_squared) == pytest.approx(450, rel=1e-3)


def test_polya_noise_is_chosen_never_always_or_where_it_is_the_least() -> None:
    budget, wide = ApproxDp(4, "1e-3"), Sensitivity.sum(200, N)
    kinds = [type(calibrate_distributed(budget, wide, 2, 1, polya=polya)).__name__ for polya in (False, True, None)]
    assert kinds == ["DiscreteGaussian", "Polya", "Polya"]
    loose = ApproxDp("1/4", "1e-1")
    kinds = [type(calibrate_distributed(loose, wide, 2, 1, polya=polya)).__name__ for polya in (False, True, None)]
    assert kinds == ["DiscreteGaussian", "Polya", "DiscreteGaussian"]
