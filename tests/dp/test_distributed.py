"""Noise in parts: the bounds on Skellam and on sums of discrete Gaussians against divergences summed over outcomes."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.dp import ApproxDp, DiscreteGaussian, DiscreteLaplace, Neighbours, PureDp, Sensitivity, ZCdp, calibrate
from secagg.dp.distributed import SKELLAM_VARIANCE_MAX, GaussianSum, Skellam, calibrate_distributed, sum_law
from secagg.dp.polya import POLYA_SCALE_MAX, Polya
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
ONE = Sensitivity.sum(1, N)


def skellam_weights(variance: Fraction, reach: int) -> list[Decimal]:
    """exp(-V) I_y(V) for y = 0 .. reach, by the Bessel function's power series."""
    half = Decimal(variance.numerator) / Decimal(variance.denominator) / 2
    weights = []
    for y in range(reach + 1):
        term = total = half**y / math.factorial(y)
        for m in range(1, 40 + 4 * int(half)):
            term *= half * half / (m * (m + y))
            total += term
        weights.append(total * (-2 * half).exp())
    return weights


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(1), Fraction(4), Fraction(25)])
@pytest.mark.parametrize("difference", [1, 2, 4])
def test_skellam_guarantee_bounds_every_integer_order(variance: Fraction, difference: int) -> None:
    line = Skellam(variance).guarantee(Sensitivity.sum(difference, N))
    with localcontext() as context:
        context.prec = 60
        reach = 60 + 30 * math.isqrt(int(variance))
        p = skellam_weights(variance, reach + difference)
        assert abs(p[0] + 2 * sum(p[1:]) - 1) < Decimal("1e-25")
        for alpha in (2, 3, 5, 9):
            moments = (p[abs(y)] ** alpha * p[abs(y - difference)] ** (1 - alpha) for y in range(-reach, reach + 1))
            divergence = float(sum(moments, Decimal(0)).ln()) / (alpha - 1)
            assert divergence <= float(line.xi + line.rho * alpha)


@given(
    st.integers(1, 10**4), st.integers(1, 10**4), st.fractions(Fraction(1, 10), 10**4, max_denominator=100),
    st.integers(2, 100),
)  # fmt: skip
def test_skellam_guarantee_is_never_below_corollary_3_6(l1: int, more: int, v: Fraction, alpha: int) -> None:
    """Of Agarwal, Kairouz and Liu 2021, as printed there: it is equal at alpha = 2. Divergences themselves are less."""
    l2_squared = l1 * more  # integers have L1 <= L2**2
    line = Skellam(v).guarantee(Sensitivity(l1, l2_squared, N))

    def printed(a: int) -> Fraction:
        return a * Fraction(l2_squared) / (2 * v) + min(
            ((2 * a - 1) * l2_squared + 6 * l1) / (4 * v**2), 3 * l1 / (2 * v)
        )

    assert line.xi + 2 * line.rho == printed(2)
    assert line.xi + alpha * line.rho >= printed(alpha)


@pytest.mark.parametrize("parties", [2, 3, 8])
@pytest.mark.parametrize("sigma_squared", ["1/4", "1/2", "1", "2"])
@pytest.mark.parametrize("difference", [1, 3])
def test_gaussian_sum_guarantee_bounds_every_order(parties: int, sigma_squared: str, difference: int) -> None:
    law = GaussianSum(Fraction(sigma_squared), parties, 1)
    rho = float(law.guarantee(Sensitivity.sum(difference, N)).rho)
    p = gaussian_sum_weights(law)
    unshifted, shifted = p[difference:], p[:-difference]
    for alpha in (1.01, 1.5, 2, 3, 5):
        middle = slice(len(unshifted) // 4, -len(unshifted) // 4)  # outside, the tables' ends count
        logs = alpha * np.log(unshifted[middle]) + (1 - alpha) * np.log(shifted[middle])
        divergence = float(np.log(np.exp(logs).sum())) / (alpha - 1)
        assert divergence <= rho * alpha + 1e-9


def gaussian_sum_weights(law: GaussianSum) -> NDArray[np.float64]:
    reach = 10
    y = np.arange(-reach, reach + 1)
    one = np.exp(-y * y / float(2 * law.sigma_squared))
    total = np.ones(1)
    for _ in range(law.parties):
        total = np.convolve(total, one / one.sum())
    return total


def test_tau_is_that_of_the_paper_and_never_less() -> None:
    for parties, sigma_squared in ((2, 1.0), (16, 0.5), (17, 0.25), (500, 0.25)):
        true = 10 * sum(math.exp(-2 * math.pi**2 * sigma_squared * k / (k + 1)) for k in range(1, parties))
        tau = float(GaussianSum(Fraction(sigma_squared), parties, 1).tau)
        assert true <= tau <= 2 * true
    assert GaussianSum(Fraction(1), 1, 10).tau == 0
    assert float(GaussianSum(Fraction(100), 10**9, 10**9).tau) < 1e-160


def test_one_part_is_a_discrete_gaussian() -> None:
    sensitivity = Sensitivity.l2_bounded(100, 50, N)
    assert GaussianSum(Fraction(40), 1, 50).guarantee(sensitivity) == DiscreteGaussian(Fraction(40)).guarantee(
        sensitivity
    )


@settings(max_examples=25, deadline=None)
@given(
    st.fractions(Fraction(1, 10), 5, max_denominator=100), st.integers(3, 12), st.integers(2, 3000),
    st.integers(1, 10**6), st.integers(1, 10**5),
)  # fmt: skip
def test_parts_keep_to_the_budget_together(
    epsilon: Fraction, digits: int, parties: int, norm_squared: int, length: int
) -> None:
    sensitivity = Sensitivity.l2_bounded(norm_squared, length, N)
    for budget in (ApproxDp(epsilon, Fraction(1, 10**digits)), ZCdp(epsilon)):
        law = calibrate_distributed(budget, sensitivity, parties, length)
        assert sum_law(law, parties, length).satisfies(budget, sensitivity)
        if isinstance(law, Skellam):
            assert law.variance <= 2 * SKELLAM_VARIANCE_MAX


def skellam_delta(variance: Fraction, epsilon: Fraction) -> Decimal:
    """For a difference of 1, summed over outcomes, without a Renyi divergence."""
    with localcontext() as context:
        context.prec = 50
        reach = 40 + 15 * math.isqrt(int(variance))
        p = skellam_weights(variance, reach + 1)
        factor = (Decimal(epsilon.numerator) / epsilon.denominator).exp()
        excess = (max(Decimal(0), p[abs(y)] - factor * p[abs(y + 1)]) for y in range(-reach, reach + 1))
        return sum(excess, Decimal(0))


@pytest.mark.parametrize(("epsilon", "delta", "parties"), [("1", "1e-6", 10), ("3", "1e-4", 2), ("1/2", "1e-3", 7)])
def test_skellam_by_its_own_tail_keeps_to_the_budget(epsilon: str, delta: str, parties: int) -> None:
    law = calibrate_distributed(ApproxDp(epsilon, delta), ONE, parties, 1, polya=False)
    assert isinstance(law, Skellam)
    assert skellam_delta(law.variance * parties, Fraction(epsilon)) <= Decimal(delta)
    assert skellam_delta(law.variance * parties / 30, Fraction(epsilon)) > Decimal(delta)


def test_the_law_of_least_variance_is_chosen() -> None:
    budget, vector = ApproxDp(1, "1e-6"), Sensitivity.l2_bounded(50, 100, N)
    assert calibrate_distributed(budget, ONE, 100, 10) == Polya(Fraction(1), 100)
    assert isinstance(calibrate_distributed(budget, vector, 100, 10), DiscreteGaussian)
    assert isinstance(calibrate_distributed(budget, vector, 3000, 10), Skellam)  # parts of a Gaussian are too narrow
    assert isinstance(calibrate_distributed(budget, Sensitivity.l2_bounded(10**6, 10**5, N), 100, 10), DiscreteGaussian)
    assert isinstance(calibrate_distributed(ZCdp("0.01"), ONE, 100, 10), DiscreteGaussian)
    assert isinstance(calibrate_distributed(ZCdp(1), ONE, 100, 10), Polya)  # parts of a Gaussian have 1/4 at least
    assert calibrate_distributed(budget, ONE, 1, 10) == calibrate(budget, ONE)
    assert isinstance(calibrate_distributed(budget, ONE, 100, 10, polya=False), Skellam)


def test_wide_laplace_noise_is_not_shared() -> None:
    """Its table would take too long: another law is, or there is none."""
    most, too_wide = Sensitivity.sum(POLYA_SCALE_MAX, N), Sensitivity.sum(POLYA_SCALE_MAX + 1, N)
    assert calibrate_distributed(PureDp(1), most, 2, 1) == Polya(Fraction(POLYA_SCALE_MAX), 2)
    with pytest.raises(LocalProtocolError, match="may have a scale of 4,096 at most, and this budget takes 4,097"):
        calibrate_distributed(PureDp(1), too_wide, 2, 1)
    assert isinstance(calibrate_distributed(ApproxDp(1, "1e-6"), too_wide, 2, 1), DiscreteGaussian)


def test_parts_waste_little() -> None:
    """Against one discrete Gaussian by zCDP, the variance of the sum is at most 2 % more."""
    sensitivity = Sensitivity.l2_bounded(10_000, 1000, N)
    for epsilon in ("0.1", "1", "4"):
        budget = ApproxDp(epsilon, "1e-6")
        one = calibrate(budget, sensitivity).variance
        law = calibrate_distributed(budget, sensitivity, 200, 1000)
        assert one * 0.99 < 200 * law.variance < one * 1.02


def test_what_cannot_be_shared() -> None:
    with pytest.raises(LocalProtocolError, match="at least one party must be honest"):
        calibrate_distributed(ZCdp(1), ONE, 0, 1)
    with pytest.raises(LocalProtocolError, match="length"):
        calibrate_distributed(ZCdp(1), ONE, 2, 0)
    with pytest.raises(LocalProtocolError, match="variance must be positive"):
        Skellam(Fraction(0))
    with pytest.raises(LocalProtocolError, match="at least 1/4"):
        GaussianSum(Fraction(1, 5), 2, 1)
    with pytest.raises(LocalProtocolError, match="whole Laplace noise of several parties has no law"):
        sum_law(DiscreteLaplace(Fraction(3)), 2, 1)
    with pytest.raises(LocalProtocolError, match="3 parties' noise is one whole, got that of 2"):
        sum_law(Polya(Fraction(3), 3), 2, 1)
    assert not Skellam(Fraction(10**9)).satisfies(ZCdp(1), ONE)
    assert not GaussianSum(Fraction(10**9), 2, 1).satisfies(PureDp(1), ONE)
