"""Calibration never exceeds the budget, as checked by summing over outcomes, and wastes little of it."""

import math
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secagg.dp import (
    ApproxDp,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    PureDp,
    Sensitivity,
    ZCdp,
    calibrate,
    classic_gaussian,
    discrete_gaussian,
    discrete_laplace,
    gaussian,
)
from secagg.dp.known_noise import plain
from secagg.dp.mechanisms import Law
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
epsilons = st.fractions(Fraction(1, 4), 6, max_denominator=1000)
deltas = st.integers(1, 15).map(lambda digits: Fraction(1, 10**digits))
differences = st.integers(1, 9)


def decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def weights(law: Law, reach: int) -> dict[int, Decimal]:
    if isinstance(law, DiscreteLaplace):
        raw = {y: (-abs(y) / decimal(law.scale)).exp() for y in range(-reach, reach + 1)}
    else:
        raw = {y: (-y * y / (2 * decimal(law.sigma_squared))).exp() for y in range(-reach, reach + 1)}
    total = sum(raw.values())
    return {y: w / total for y, w in raw.items()}


def delta_by_outcomes(law: Law, difference: int, epsilon: Fraction) -> Decimal:
    """What P[Y in S] exceeds e**epsilon P[Y + difference in S] by, for the worst S."""
    with localcontext() as context:
        context.prec = 50
        p = weights(law, 30 + 20 * int(math.sqrt(law.variance)) + difference)
        factor = decimal(epsilon).exp()
        edge = max(p) - difference  # beyond it the shifted weight is not in the table
        return sum((max(Decimal(0), w - factor * p[y + difference]) for y, w in p.items() if y <= edge), Decimal(0))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(epsilons, deltas, differences)
def test_approx_budget_is_kept_for_every_law(epsilon: Fraction, delta: Fraction, difference: int) -> None:
    budget, sensitivity = ApproxDp(epsilon, delta), Sensitivity.sum(difference, N)
    laws = [
        calibrate(budget, sensitivity),
        discrete_laplace(budget, sensitivity),
        discrete_gaussian(budget, sensitivity),
    ]
    for law in laws:
        for smaller in {1, difference}:
            assert delta_by_outcomes(law, smaller, epsilon) <= decimal(delta) + Decimal("1e-40")
    assert laws[0].variance <= min(law.variance for law in laws[1:])


@settings(max_examples=15, deadline=None)
@given(epsilons, deltas, differences)
def test_approx_budget_is_not_wasted(epsilon: Fraction, delta: Fraction, difference: int) -> None:
    sigma_squared = discrete_gaussian(ApproxDp(epsilon, delta), Sensitivity.sum(difference, N)).sigma_squared
    assume(sigma_squared > 2)
    less = DiscreteGaussian(sigma_squared * Fraction(999, 1000))
    assert delta_by_outcomes(less, difference, epsilon) > decimal(delta)


@given(st.fractions(Fraction(1, 1000), 100), st.fractions(Fraction(1, 100), 10**6), st.integers(1, 100))
def test_pure_and_zcdp_budgets_are_kept(size: Fraction, l1: Fraction, divisor: int) -> None:
    sensitivity = Sensitivity(l1, l1 * l1 / divisor, N)
    scale = discrete_laplace(PureDp(size), sensitivity).scale
    assert l1 / scale <= size <= l1 / scale * (1 + Fraction(1, 10**6))
    sigma_squared = discrete_gaussian(ZCdp(size), sensitivity).sigma_squared
    assert sensitivity.l2_squared / (2 * sigma_squared) <= size
    assert size <= sensitivity.l2_squared / (2 * sigma_squared) * (1 + Fraction(1, 10**6))
    assert (l1 / discrete_laplace(ZCdp(size), sensitivity).scale) ** 2 / 2 <= size


def test_simple_numbers_stay_simple() -> None:
    assert calibrate(PureDp("0.1"), Sensitivity.histogram(N)) == DiscreteLaplace(Fraction(20))
    assert calibrate(ZCdp("0.5"), Sensitivity.sum(10, N)) == DiscreteGaussian(Fraction(100))


def test_the_law_with_less_variance_is_taken() -> None:
    vector = Sensitivity.vector_sum(1000, 1, N)
    assert isinstance(calibrate(ApproxDp(1, "1e-6"), Sensitivity.histogram(N)), DiscreteLaplace)
    assert isinstance(calibrate(ApproxDp(1, "1e-6"), vector), DiscreteGaussian)
    assert isinstance(calibrate(ApproxDp(1, "0.3"), Sensitivity.histogram(N)), DiscreteGaussian)
    assert isinstance(calibrate(ZCdp(1), Sensitivity.sum(1, N)), DiscreteGaussian)
    assert isinstance(calibrate(PureDp(1), vector), DiscreteLaplace)


@pytest.mark.parametrize(
    "law", [DiscreteLaplace(Fraction(1, 9)), DiscreteLaplace(Fraction(3, 2)), DiscreteLaplace(Fraction(40)),
            DiscreteGaussian(Fraction(1, 9)), DiscreteGaussian(Fraction(3, 2)), DiscreteGaussian(Fraction(40))],
)  # fmt: skip
def test_variance_is_that_of_the_law(law: Law) -> None:
    with localcontext() as context:
        context.prec = 30
        true = sum(w * y * y for y, w in weights(law, 2500).items())
    assert law.variance == pytest.approx(float(true), rel=1e-12)


def test_no_guarantee_for_half_the_noise() -> None:
    sensitivity = Sensitivity.histogram(N)
    laplace, gaussian = DiscreteLaplace(Fraction(20)), DiscreteGaussian(Fraction(10))
    assert laplace.satisfies(PureDp("0.1"), sensitivity)
    assert not laplace.satisfies(PureDp("0.0999"), sensitivity)
    assert gaussian.satisfies(ZCdp("0.1"), sensitivity)
    assert not gaussian.satisfies(ZCdp("0.0999"), sensitivity)
    assert not gaussian.satisfies(PureDp(100), sensitivity)
    assert plain(DiscreteGaussian(Fraction(20)).guarantee(sensitivity)) == ZCdp("0.05")
    assert plain(laplace.guarantee(sensitivity)) == PureDp("0.1")


EXTREMES = st.sampled_from(["1e-100", "1e-30", "1e-10", "1e-6", "1e-3", "0.1", "0.9"])


@settings(max_examples=20, deadline=None)
@given(EXTREMES | st.sampled_from(["5", "60", "1000", "9999"]), EXTREMES, st.sampled_from([1, 10, 10**9]))
def test_no_budget_takes_long(epsilon: str, delta: str, difference: int) -> None:
    """A calibration used to add up to five million terms, a minute's work. A term takes a microsecond."""
    budget, terms = ApproxDp(epsilon, delta), 0

    def counted(*args: Any) -> Iterator[gaussian.Term]:
        nonlocal terms
        for term in TERMS(*args):
            terms += 1
            yield term

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian, "_terms", counted)
        for sensitivity in (Sensitivity.histogram(N), Sensitivity.sum(difference, N)):
            calibrate(budget, sensitivity)
    assert terms < 200_000


TERMS = gaussian._terms


def test_tiny_epsilons_get_the_noise_that_they_need() -> None:
    """(1e-10, 1e-9): delta is what matters, and the Gaussian's variance is a 2,500th of Laplace noise's 8e20."""
    for sensitivity, difference in ((Sensitivity.histogram(N), math.sqrt(2)), (Sensitivity.sum(1, N), 1.0)):
        law = calibrate(ApproxDp("1e-10", "1e-9"), sensitivity)
        assert isinstance(law, DiscreteGaussian)
        z = 1e-10 / difference * float(law.sigma_squared) ** 0.5
        tail = math.erfc(z / math.sqrt(2)) / 2
        delta = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * 1e-10 / z - 1e-10 * tail  # of narrow differences
        assert delta == pytest.approx(1e-9, rel=1e-3)


# --- appendix B -------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.fractions(Fraction(1, 20), Fraction(99, 100), max_denominator=1000), st.integers(2, 12), differences)
def test_appendix_b_formula_below_epsilon_1(epsilon: Fraction, digits: int, difference: int) -> None:
    budget, sensitivity = ApproxDp(epsilon, Fraction(1, 10**digits)), Sensitivity.sum(difference, N)
    law = classic_gaussian(budget, sensitivity)
    expected = difference**2 / float(epsilon) ** 2 * 2 * math.log(1.25 * 10**digits)
    assert float(law.sigma_squared) == pytest.approx(expected, rel=1e-6)
    assert law.sigma_squared > discrete_gaussian(budget, sensitivity).sigma_squared


@pytest.mark.parametrize("epsilon", [1, "8.78", 100])
def test_appendix_b_formula_is_refused_from_epsilon_1_on(epsilon: Any) -> None:
    with pytest.raises(LocalProtocolError, match="holds for epsilon < 1 only"):
        classic_gaussian(ApproxDp(epsilon, "1e-6"), Sensitivity.sum(1, N))


@pytest.mark.parametrize(("epsilon", "enough"), [("8.7", True), ("8.9", False)])
def test_why_appendix_b_formula_is_refused(epsilon: str, enough: bool) -> None:
    """At delta = 1e-6 its noise falls short above epsilon = 8.78; a wide sum is as good as continuous."""
    sigma_squared = (1000 / Fraction(epsilon)) ** 2 * 2 * Fraction(math.log(1.25e6))
    satisfied = DiscreteGaussian(sigma_squared).satisfies(ApproxDp(epsilon, "1e-6"), Sensitivity.sum(1000, N))
    assert satisfied is enough


@pytest.mark.parametrize("scale", [0, -1])
def test_no_noise_is_no_law(scale: int) -> None:
    for kind in (DiscreteLaplace, DiscreteGaussian):
        with pytest.raises(LocalProtocolError, match="must be positive"):
            kind(Fraction(scale))
