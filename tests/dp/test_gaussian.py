"""The exact delta of the discrete Gaussian, against sums over all outcomes in 60-digit decimals."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dp import GaussianDp, ZCdp
from secagg.dp.conversion import zcdp_delta
from secagg.dp.exact import sqrt_lower
from secagg.dp.gaussian import (
    continuous_delta,
    histogram_delta,
    lattice_sum,
    scalar_delta,
    tail,
    tail_by_integral,
    tail_by_terms,
)
from secagg.dp.known_noise import gaussian_delta

from ..support.gaussian_curve import curve_delta

sigmas_squared = st.fractions(Fraction(1, 5), 40, max_denominator=50)
epsilons = st.fractions(Fraction(1, 100), 8, max_denominator=100)


def weights(sigma_squared: Fraction, reach: int) -> dict[int, Decimal]:
    spread = 2 * Decimal(sigma_squared.numerator) / Decimal(sigma_squared.denominator)
    raw = {y: (-y * y / spread).exp() for y in range(-reach, reach + 1)}
    total = sum(raw.values())
    return {y: w / total for y, w in raw.items()}


def reach_of(sigma_squared: Fraction) -> int:
    return 12 * math.isqrt(int(sigma_squared) + 1) + 20


def scalar_by_outcomes(sigma_squared: Fraction, difference: int, epsilon: Fraction) -> Decimal:
    """The sum over y of what P[y] exceeds e**epsilon P[y + difference] by."""
    with localcontext() as context:
        context.prec = 60
        p = weights(sigma_squared, reach_of(sigma_squared) + difference)
        factor = (Decimal(epsilon.numerator) / epsilon.denominator).exp()
        return sum((max(Decimal(0), w - factor * p.get(y + difference, Decimal(0))) for y, w in p.items()), Decimal(0))


def histogram_by_outcomes(sigma_squared: Fraction, epsilon: Fraction) -> Decimal:
    """The same over pairs: one entry falls, one rises."""
    with localcontext() as context:
        context.prec = 60
        p = weights(sigma_squared, reach_of(sigma_squared))
        factor = (Decimal(epsilon.numerator) / epsilon.denominator).exp()
        zero = Decimal(0)
        return sum(
            (max(zero, p[a] * p[b] - factor * p.get(a + 1, zero) * p.get(b - 1, zero)) for a in p for b in p), zero
        )


def assert_just_above(bound: Fraction, true: Decimal, relative: float = 1e-12) -> None:
    slack = Fraction(true) * Fraction(relative) + Fraction(1, 10**24)
    assert Fraction(true) - Fraction(1, 10**40) <= bound <= Fraction(true) + slack


@settings(max_examples=30, deadline=None)
@given(sigmas_squared, st.integers(1, 12), epsilons)
def test_scalar_delta_is_exact(sigma_squared: Fraction, difference: int, epsilon: Fraction) -> None:
    true = scalar_by_outcomes(sigma_squared, difference, epsilon)
    assert_just_above(scalar_delta(sigma_squared, difference, epsilon), true)


@settings(max_examples=10, deadline=None)
@given(st.fractions(Fraction(1, 5), 3, max_denominator=20), epsilons)
def test_histogram_delta_is_exact(sigma_squared: Fraction, epsilon: Fraction) -> None:
    assert_just_above(histogram_delta(sigma_squared, epsilon), histogram_by_outcomes(sigma_squared, epsilon))


@settings(max_examples=20, deadline=None)
@given(sigmas_squared, st.integers(1, 12), epsilons)
def test_a_smaller_difference_has_a_smaller_delta(sigma_squared: Fraction, difference: int, epsilon: Fraction) -> None:
    deltas = [scalar_delta(sigma_squared, d, epsilon) for d in range(1, difference + 1)]
    assert all(a <= b + Fraction(1, 10**24) for a, b in pairwise(deltas))


@settings(max_examples=20, deadline=None)
@given(sigmas_squared, epsilons)
def test_exact_deltas_are_below_those_by_zcdp(sigma_squared: Fraction, epsilon: Fraction) -> None:
    assert scalar_delta(sigma_squared, 1, epsilon) <= zcdp_delta(1 / (2 * sigma_squared), epsilon)
    assert histogram_delta(sigma_squared, epsilon) <= zcdp_delta(1 / sigma_squared, epsilon)
    assert scalar_delta(sigma_squared, 1, epsilon) <= histogram_delta(sigma_squared, epsilon) + Fraction(1, 10**24)


@pytest.mark.parametrize("start", [0, "1/2", 300, 2000, 5000, 20_000, -700])
def test_wide_sums_are_bounded_without_their_terms(start: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """sigma = 2500: by power series and by continued fraction, below and beyond the mean."""
    monkeypatch.delattr("secagg.dp.gaussian._terms")
    first, variance = Fraction(start), Fraction(2500**2)
    bounds = tail(first, variance)
    with localcontext() as context:
        context.prec = 40
        x = [Decimal(first.numerator) / first.denominator + k for k in range(max(int(30_000 - first), 25_000))]
        true = Fraction(sum(((-v * v / (2 * 2500**2)).exp() for v in x), Decimal(0)))
    assert bounds.low < true < bounds.high
    assert float((bounds.high - bounds.low) / bounds.low) < 1e-14


@settings(max_examples=40, deadline=None)
@given(st.fractions(256, 10**5, max_denominator=50), st.fractions(0, 12, max_denominator=100))
def test_the_two_ways_to_a_sum_agree(variance: Fraction, sigmas: Fraction) -> None:
    """The term by term one is right to 20 digits, and the other widens as it nears the width where it is given up."""
    start = sigmas * math.isqrt(int(variance))
    by_terms, by_integral = tail_by_terms(start, variance), tail_by_integral(start, variance)
    assert by_integral.low < by_terms.low < by_terms.high < by_integral.high
    if variance >= 1024 and sigmas <= 9:
        assert by_integral.high - by_integral.low < by_terms.low / 10**7


@pytest.mark.parametrize("variance", [Fraction(10**4), Fraction(10**12), Fraction(10**40), Fraction(10**200)])
@pytest.mark.parametrize("sigmas", [0, "1/3", "2.999999", 3, "3.000001", 8, 30])
def test_very_wide_sums_are_integrals(variance: Fraction, sigmas: int | str) -> None:
    """Of the complementary error function as the C library has it, but for half of the first term."""
    sigma = sqrt_lower(variance)
    bounds, z = tail(Fraction(sigmas) * sigma, variance), float(Fraction(sigmas))
    true = math.sqrt(math.pi / 2) * math.erfc(z / math.sqrt(2)) + math.exp(-z * z / 2) / float(2 * sigma)
    near = pytest.approx(true, rel=1e-9 + 100 / float(variance))
    assert float(bounds.low / sigma) == near
    assert float(bounds.high / sigma) == near
    assert bounds.low < bounds.high


def test_far_tails_are_still_bounded() -> None:
    """Where the formula's remainder is larger than the sum, the first term remains from below."""
    bounds = tail(Fraction(100_000), Fraction(2000))
    assert 0 <= bounds.low <= bounds.high < Fraction(1, 10**4000)


@pytest.mark.parametrize("variance", [Fraction(1, 100), Fraction(1), Fraction(10**4), Fraction(10**14)])
def test_lattice_sum_is_that_of_poisson_summation(variance: Fraction) -> None:
    """sigma sqrt(2 pi) (1 + 2 exp(-2 pi**2 sigma**2) + ...), Jacobi's other form of the same theta function."""
    sigma = math.sqrt(variance)
    true = (
        sigma * math.sqrt(2 * math.pi) * (1 + 2 * sum(math.exp(-2 * (math.pi * sigma * k) ** 2) for k in range(1, 60)))
    )
    bounds = lattice_sum(Fraction(0), variance)
    assert float(bounds.low) * (1 - 1e-12) <= true <= float(bounds.high) * (1 + 1e-12)
    assert float(bounds.high / bounds.low) < 1 + 1e-4


@settings(deadline=None)
@given(st.fractions("1/1000", 100, max_denominator=1000), st.fractions(0, 30, max_denominator=1000))
def test_the_delta_of_a_continuous_gaussian(mu_squared: Fraction, epsilon: Fraction) -> None:
    """Beside floating point, which is exact to so many digits unless both tails nearly cancel."""
    floating = curve_delta(math.sqrt(mu_squared), float(epsilon))
    exact = float(continuous_delta(mu_squared, epsilon))
    assert exact == pytest.approx(floating, rel=1e-6, abs=1e-13)


def test_what_is_nearly_a_continuous_gaussian_costs_what_it_may_be_away() -> None:
    plain, sloppy = GaussianDp(1, 1), GaussianDp(1, 1, Fraction(1, 10))
    at = Fraction(2)
    assert float(gaussian_delta(plain, at)) == pytest.approx(curve_delta(1.0, 2.0), rel=1e-9)
    assert float(gaussian_delta(sloppy, at)) == pytest.approx(math.exp(0.05) * curve_delta(1.0, 1.9), rel=1e-9)
    assert gaussian_delta(ZCdp(1), at) == zcdp_delta(Fraction(1), at)


@pytest.mark.parametrize("epsilon", ["1e-4", "0.01", 1, 4])
def test_a_wide_discrete_gaussian_is_a_continuous_one(epsilon: int | str) -> None:
    given = Fraction(epsilon)
    results = [
        (scalar_delta(Fraction(10**12), 10**6, given), 1), (scalar_delta(Fraction(10**12), 1000, given), 1e-3),
        (histogram_delta(Fraction(10**10), given), math.sqrt(2) * 1e-5),
    ]  # fmt: skip
    for delta, deviations in results:
        true = curve_delta(deviations, float(given))
        assert float(delta) == pytest.approx(true, rel=2e-4, abs=1e-16)
