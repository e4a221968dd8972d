"""Privacy losses, alone and composed: never below the exact delta, which is found here by enumeration in decimals, and
close above it."""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product as pairs

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dp import (
    DiscreteGaussianDp,
    GaussianDp,
    Guarantee,
    LaplaceDp,
    PrivacyLoss,
    PureDp,
    SkellamDp,
    ZCdp,
    loss_of,
)
from secagg.dp.budget import ApproxDp, RenyiDp
from secagg.dp.dominating import discrete_gaussian, gaussian, gaussian_curve, laplace, randomized_response, skellam
from secagg.dp.privacy_loss import POINTS, from_atoms
from secagg.errors import LocalProtocolError

from ..support.gaussian_curve import curve_delta

Law = dict[int, Decimal]
DIGITS = 80


def law_of(weight: Callable[[int], Decimal], reach: int) -> Law:
    """Probabilities in proportion to weights, of -reach .. reach."""
    weights = {y: weight(abs(y)) for y in range(-reach, reach + 1)}
    total = sum(weights.values())
    return {y: w / total for y, w in weights.items()}


def laplace_law(scale: Fraction, reach: int) -> Law:
    return law_of(lambda y: (-Decimal(y) * scale.denominator / scale.numerator).exp(), reach)


def gaussian_law(sigma_squared: Fraction, reach: int) -> Law:
    return law_of(lambda y: (-Decimal(y * y) * sigma_squared.denominator / (2 * sigma_squared.numerator)).exp(), reach)


def skellam_law(variance: int, reach: int) -> Law:
    """Of the difference of two Poisson variables, term by term."""
    mean = Decimal(variance) / 2
    poisson = [(-mean).exp()]
    for k in range(1, 4 * reach):
        poisson.append(poisson[-1] * mean / k)
    return law_of(lambda y: sum((a * b for a, b in zip(poisson, poisson[y:], strict=False)), Decimal(0)), reach)


def exact_delta(pair: Iterable[tuple[Decimal, Decimal]], epsilon: Fraction) -> Decimal:
    """The sum of max(0, P - e**epsilon Q)."""
    growth = (Decimal(epsilon.numerator) / epsilon.denominator).exp()
    return sum((max(Decimal(0), p - growth * q) for p, q in pair), Decimal(0))


def shifted(law: Law, change: int) -> list[tuple[Decimal, Decimal]]:
    """(P[y], Q[y]) of noise on a number that changes; what leaves the law has probability 0 elsewhere."""
    return [(law.get(y, Decimal(0)), law.get(y - change, Decimal(0))) for y in range(min(law), max(law) + change + 1)]


def together(pair: list[tuple[Decimal, Decimal]], count: int) -> list[tuple[Decimal, Decimal]]:
    """Of several releases: the products, where outcomes of one quotient P / Q may be added."""
    total = [(Decimal(1), Decimal(1))]
    for _ in range(count):
        merged: dict[str, tuple[Decimal, Decimal]] = {}
        for (p, q), (r, s) in pairs(total, pair):
            key = f"{p * r / (q * s):.25e}" if q * s else "infinite"
            old = merged.get(key, (Decimal(0), Decimal(0)))
            merged[key] = (old[0] + p * r, old[1] + q * s)
        total = list(merged.values())
    return total


NEAR = Fraction(1, 100)  # a loss of this size is what bounds are off at most, where a law has few losses
EPSILONS = [Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(3)]
CASES = [
    ("randomized response", randomized_response(Fraction(1, 2)), lambda: laplace_law(Fraction(2), 300), 1),
    ("Laplace, 1 of 3", laplace(Fraction(3), 1), lambda: laplace_law(Fraction(3), 400), 1),
    ("Laplace, 5 of 7", laplace(Fraction(7), 5), lambda: laplace_law(Fraction(7), 900), 5),
    ("Gaussian, narrow", discrete_gaussian(Fraction(1, 2), 1), lambda: gaussian_law(Fraction(1, 2), 40), 1),
    ("Gaussian, 3 of 5", discrete_gaussian(Fraction(25), 3), lambda: gaussian_law(Fraction(25), 120), 3),
    ("Skellam, narrow", skellam(Fraction(1), 1), lambda: skellam_law(1, 60), 1),
    ("Skellam, 3 of 5", skellam(Fraction(25), 3), lambda: skellam_law(25, 140), 3),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "law", "change"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("direction", [1, -1])
def test_delta_of_one_release_is_the_exact_one_from_above(
    loss: PrivacyLoss, law: Callable[[], Law], change: int, direction: int
) -> None:
    """In both directions of adjacency: Q after P, and P after Q."""
    with localcontext(prec=DIGITS):
        pair = [(p, q) if direction > 0 else (q, p) for p, q in shifted(law(), change)]
        for epsilon in EPSILONS:
            exact, bound = exact_delta(pair, epsilon), loss.delta(epsilon)
            above, near = Decimal(bound.numerator) / bound.denominator, exact_delta(pair, epsilon - NEAR)
            assert exact - Decimal("1e-30") <= above <= near * Decimal("1.001") + Decimal("1e-30")


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("loss", "law", "change"), [case[1:] for case in CASES[:4]], ids=[c[0] for c in CASES[:4]])
def test_delta_of_several_releases_is_the_exact_one_from_above(
    loss: PrivacyLoss, law: Callable[[], Law], change: int, count: int
) -> None:
    with localcontext(prec=DIGITS):
        pair = together(shifted(law(), change), count)
        for epsilon in EPSILONS:
            exact, bound = exact_delta(pair, epsilon), loss.times(count).delta(epsilon)
            above, near = Decimal(bound.numerator) / bound.denominator, exact_delta(pair, epsilon - NEAR)
            assert exact - Decimal("1e-25") <= above <= near * Decimal("1.001") + Decimal("1e-25")


def binomial_delta(epsilon: Fraction, count: int, at: Fraction) -> Decimal:
    """Of so many randomized responses, in closed form."""
    with localcontext(prec=DIGITS):
        e = Decimal(epsilon.numerator) / epsilon.denominator
        p = 1 / (1 + (-e).exp())
        target = Decimal(at.numerator) / at.denominator
        terms = (
            math.comb(count, k)
            * p**k
            * (1 - p) ** (count - k)
            * max(Decimal(0), 1 - (target - (2 * k - count) * e).exp())
            for k in range(count + 1)
        )
        return sum(terms, Decimal(0))


@settings(max_examples=40, deadline=None)
@given(
    st.fractions(Fraction(1, 1000), 4, max_denominator=1000),
    st.integers(1, 200),
    st.fractions(0, 4, max_denominator=50),
)
def test_randomized_responses_add_up_to_the_binomial_law(epsilon: Fraction, count: int, times: Fraction) -> None:
    """At the mean of the loss and up to four deviations above it."""
    mean, deviation = float(epsilon) * math.tanh(float(epsilon) / 2) * count, float(epsilon) * math.sqrt(count)
    at = max(Fraction(0), Fraction(mean) + times * Fraction(deviation)).limit_denominator(1000)
    exact = binomial_delta(epsilon, count, at)
    loss = loss_of(PureDp(epsilon))
    assert loss is not None
    bound = loss.times(count).delta(at)
    near = binomial_delta(epsilon, count, max(Fraction(0), at - Fraction(deviation) / 200))
    assert Fraction(exact) <= bound <= Fraction(near) * Fraction(101, 100) + Fraction(1, 10**30)


def test_a_histogram_is_two_changes_by_one_and_not_twice_its_epsilon() -> None:
    """The issue's case: 0.1 a collection, in all (8, 1e-6)."""
    histogram, alone = loss_of(LaplaceDp("0.1", 1, 2)), loss_of(PureDp("0.1"))
    assert histogram is not None
    assert alone is not None
    assert histogram.times(471).delta(8) <= Fraction(1, 10**6) < histogram.times(473).delta(8)
    assert binomial_delta(Fraction(1, 20), 2 * 471, Fraction(8)) < Decimal("1e-6")
    assert alone.times(471).delta(8) > Fraction(1, 1000)


@pytest.mark.parametrize("mu", [0.01, 0.1, 1.0, 4.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 8.0])
def test_the_continuous_gaussian_has_its_curve(mu: float, epsilon: float) -> None:
    exact = curve_delta(mu, epsilon)
    bound = float(gaussian(Fraction(mu) ** 2, Fraction(0)).delta(Fraction(epsilon)))
    assert exact * (1 - 1e-9) <= bound <= exact * 1.02 + 1e-16


@pytest.mark.parametrize(("sigma_squared", "squares"), [(20, (1,)), (20, (4, 4, 1)), (60, (9,)), (60, (1,) * 9)])
def test_the_curve_lies_above_the_discrete_gaussian(sigma_squared: int, squares: tuple[int, ...]) -> None:
    """On vectors whose entries differ by the roots of `squares`: the exact loss, by convolution."""
    curve = gaussian_curve(Fraction(sigma_squared), Fraction(sum(squares)), sum(squares))
    assert curve is not None
    mu_squared, slack = curve
    above = gaussian(mu_squared, slack)
    losses = [loss_of(DiscreteGaussianDp(Fraction(s, 2 * sigma_squared), math.isqrt(s), 1)) for s in squares]
    exact = losses[0]
    assert exact is not None
    for loss in losses[1:]:
        assert loss is not None
        exact = exact.compose(loss)
    for epsilon in EPSILONS:
        assert exact.delta(epsilon) * Fraction(99, 100) < above.delta(epsilon)  # which is itself up to 1 % above
    assert float(above.delta(1)) < 4 * float(exact.delta(1))


def test_no_curve_is_known_for_noise_that_is_too_narrow_or_too_far_from_its_law() -> None:
    assert gaussian_curve(Fraction(3), Fraction(1), 1) is None
    assert gaussian_curve(Fraction(100), Fraction(1), 1, Fraction(1, 1000)) is None
    mu_squared, slack = gaussian_curve(Fraction(100), Fraction(1), 1, Fraction(1, 10**9)) or (0, 0)
    assert Fraction(1, 100) < mu_squared < Fraction(1, 95)
    assert slack > Fraction(1, 10**9)


def test_a_slack_is_paid_for_in_mass_and_in_loss() -> None:
    plain, slack = gaussian(Fraction(1), Fraction(0)), Fraction(1, 10)
    for epsilon in (Fraction(1, 2), Fraction(2)):
        needed = float(plain.delta(epsilon - slack)) * math.exp(0.05)
        assert 0.98 * needed < float(gaussian(Fraction(1), slack).delta(epsilon)) < 1.03 * needed


def test_wide_laplace_noise_is_no_better_than_it_is() -> None:
    """A change by 10**9 is counted on a coarser grid, which must not change what it costs."""
    scale, change = Fraction(2 * 10**9), 10**9
    fine = laplace(Fraction(2 * 1000), 1000)
    for epsilon in (Fraction(0), Fraction(1, 5), Fraction(2, 5)):
        wide = float(laplace(scale, change).delta(epsilon))
        # P[Y <= a] - e**epsilon P[Y <= a - change] at the best a, for continuous noise.
        continuous = 1 - math.exp((float(epsilon) - 0.5) / 2)
        assert continuous <= wide < float(fine.delta(epsilon)) * 1.01 + 1e-6


@pytest.mark.parametrize("change", [1025, 2049, 3000])
def test_a_change_that_the_coarser_grid_does_not_divide_is_rounded_up(change: int) -> None:
    scale, epsilon = Fraction(change), Fraction(1, 3)
    exact = 1 - math.exp((float(epsilon) - 1) / 2)  # of continuous noise, which is a function of discrete noise
    assert exact - 1e-12 <= float(laplace(scale, change).delta(epsilon)) < exact * 1.01


def test_an_approximate_guarantee_fails_with_its_delta() -> None:
    """Two (epsilon, delta) releases: Kairouz, Oh and Viswanath 2015, Theorem 3.3."""
    epsilon, delta = Fraction(1), Fraction(1, 1000)
    loss = loss_of(ApproxDp(epsilon, delta))
    assert loss is not None
    for count in (1, 2, 5):
        kept = (1 - delta) ** count
        for at in (Fraction(0), Fraction(1, 2), Fraction(1), Fraction(2)):
            exact = kept * Fraction(binomial_delta(epsilon, count, at)) + 1 - kept
            assert exact <= loss.times(count).delta(at) <= exact * Fraction(1001, 1000)


GUARANTEES: st.SearchStrategy[Guarantee] = st.one_of(
    st.fractions(Fraction(1, 100), 2, max_denominator=100).map(PureDp),
    st.builds(
        LaplaceDp, st.fractions(Fraction(1, 100), 2, max_denominator=100), st.integers(1, 9), st.integers(1, 3)
    ),
    st.builds(
        lambda rho, entries: DiscreteGaussianDp(rho, 1, entries),
        st.fractions(Fraction(1, 1000), 1, max_denominator=1000), st.integers(1, 3),
    ),
    st.builds(lambda v: SkellamDp(Fraction(0), Fraction(1, v), Fraction(v), 1, 1), st.integers(1, 500)),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(GUARANTEES, GUARANTEES, st.integers(1, 40), st.fractions(Fraction(0), 3, max_denominator=20))
def test_more_releases_never_cost_less(one: Guarantee, other: Guarantee, count: int, epsilon: Fraction) -> None:
    first, second = loss_of(one), loss_of(other)
    assert first is not None
    assert second is not None
    several = first.times(count)
    assert several.delta(epsilon) >= first.delta(epsilon)
    assert several.compose(second).delta(epsilon) * Fraction(1000001, 1000000) >= several.delta(epsilon)
    assert several.delta(epsilon + Fraction(1, 10)) <= several.delta(epsilon)
    for total in (several, several.compose(second)):
        assert len(total.masses) <= POINTS
        assert 1 <= total.masses.sum() + total.infinite <= 1 + 1e-6


@settings(max_examples=40, deadline=None)
@given(GUARANTEES, st.integers(1, 40), st.integers(1, 12))
def test_epsilon_is_where_delta_is_reached(guarantee: Guarantee, count: int, digits: int) -> None:
    loss, delta = loss_of(guarantee), Fraction(1, 10**digits)
    assert loss is not None
    epsilon = loss.times(count).epsilon(delta)
    assert loss.times(count).delta(epsilon) <= delta
    if epsilon > 0:
        assert loss.times(count).delta(epsilon * Fraction(999, 1000)) > delta


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.fractions(0, 3, max_denominator=30), st.integers(0, 2))
def test_a_grid_never_lowers_a_delta(losses: list[float], epsilon: Fraction, coarser: int) -> None:
    """Whatever the losses are: split between points, and on every second or fourth of these."""
    weight = 1 / len(losses)
    loss = from_atoms(np.array(losses), np.full(len(losses), weight), 0.0)
    for _ in range(coarser):
        loss = loss.coarsened()
    exact = sum(weight * max(0.0, -math.expm1(float(epsilon) - x)) for x in losses)
    assert float(loss.delta(epsilon)) >= exact * (1 - 1e-14)
    assert float(loss.delta(epsilon)) <= exact + 1e-2


MASSES = st.lists(st.floats(1e-15, 1.0), min_size=2, max_size=9)  # no product is moved to an end of the grid


@settings(max_examples=60, deadline=None)
@given(MASSES, MASSES, st.integers(-9, 9), st.integers(-6, 0))
def test_no_step_rounds_a_mass_down(some: list[float], others: list[float], first: int, exponent: int) -> None:
    """Convolution, coarsening and the sum for delta, beside rational numbers and 80 digits."""
    one, two = (PrivacyLoss(exponent, first, np.array(masses), 0.0) for masses in (some, others))
    together = one.compose(two)
    for at, mass in enumerate(together.masses):
        terms = (Fraction(a) * Fraction(others[at - i]) for i, a in enumerate(some) if 0 <= at - i < len(others))
        assert Fraction(mass) >= sum(terms)

    with localcontext(prec=DIGITS):
        step = Decimal(2) ** exponent
        exact: dict[int, Decimal] = {}
        for at, mass in enumerate(some, first):
            lower, upper = at // 2, -(-at // 2)
            to_upper = 1 / (1 + (-step).exp())
            exact[lower] = exact.get(lower, Decimal(0)) + Decimal(mass) * (1 - to_upper if at % 2 else 1)
            exact[upper] = exact.get(upper, Decimal(0)) + Decimal(mass) * (to_upper if at % 2 else 0)
        coarse = one.coarsened()
        for at, mass in enumerate(coarse.masses, coarse.first):
            assert Decimal(float(mass)) >= exact.get(at, Decimal(0)) * (1 - Decimal("1e-60"))
        gains = (Decimal(m) * max(Decimal(0), 1 - (-at * step).exp()) for at, m in enumerate(some, first))
        assert Fraction(min(Decimal(1), sum(gains, Decimal(0))) * (1 - Decimal("1e-60"))) <= one.delta(0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_no_mass_is_lost_on_the_way_to_a_grid(losses: list[float]) -> None:
    """P and Q keep their mass, to a rounding error above it."""
    weight = 1 / 3
    loss = from_atoms(np.array(losses), np.full(len(losses), weight), 0.0)
    at = [Decimal(first) * Decimal(2) ** loss.exponent for first in range(loss.first, loss.first + len(loss.masses))]
    with localcontext(prec=DIGITS):
        p = sum((Decimal(float(m)) for m in loss.masses), Decimal(0))
        q = sum((Decimal(float(m)) * (-x).exp() for x, m in zip(at, loss.masses, strict=True)), Decimal(0))
        exact = sum((Decimal(weight) * (-Decimal(x)).exp() for x in losses), Decimal(0))
        assert len(losses) * Decimal(weight) <= p <= len(losses) * Decimal(weight) * Decimal("1.000001")
        assert exact <= q <= exact * Decimal("1.000001")


@pytest.mark.parametrize("entries", [1, 1000, 10**12])
def test_the_slack_of_a_curve_covers_the_quotients_of_the_laws(entries: int) -> None:
    """2 ln((1 + e) / (1 - e)) on each entry, with e of the part v of the variance that is set aside."""
    curve = gaussian_curve(Fraction(10**4), Fraction(entries), entries)
    assert curve is not None
    v = 10**4 - Fraction(entries) / curve[0]
    with localcontext(prec=DIGITS):
        q = (-2 * Decimal("3.14159265358979323846") ** 2 * v.numerator / v.denominator).exp()
        e = 2 * q / (1 - q**3)
        quotient = (1 + e) / (1 - e)
        assert Fraction(2 * entries * quotient.ln()) <= curve[1]
        assert curve[1] < Fraction(1, 10**12)


def test_what_is_cut_off_counts_as_lost() -> None:
    """Improbable large losses become infinite, improbable small ones are raised."""
    masses = np.array([2.0**-130, 0.5, 0.5, 2.0**-130])
    loss = PrivacyLoss(0, -1, masses, 0.0).shortened()
    assert (loss.first, len(loss.masses)) == (0, 2)
    assert loss.infinite >= 2.0**-130
    assert loss.masses[0] >= 0.5 + 2.0**-130
    assert loss.times(3).infinite >= 3 * 2.0**-130


def test_the_cheapest_epsilon_is_where_the_sum_is_least() -> None:
    loss = loss_of(LaplaceDp("0.1", 1, 2))
    assert loss is not None
    many = loss.times(100)
    for eta in (1e-4, 1e-8, 1e-20):

        def cost(epsilon: float) -> float:
            return float(many.delta(Fraction(epsilon))) + (1 + math.exp(epsilon)) * eta  # noqa: B023

        cheapest = float(many.cheapest_epsilon(Fraction(eta)))
        assert cost(cheapest) <= min(map(cost, np.linspace(0, 20, 500))) * (1 + 1e-9)


@pytest.mark.parametrize("guarantee", [ZCdp("0.1"), RenyiDp(Fraction(0), Fraction(1, 10)), GaussianDp(1, 10**5)])
def test_no_worst_pair_is_known_of_a_bound_alone(guarantee: Guarantee) -> None:
    assert loss_of(guarantee) is None


def test_what_cannot_be_answered_is_refused() -> None:
    loss = loss_of(ApproxDp(1, "1e-6"))
    assert loss is not None
    with pytest.raises(LocalProtocolError, match="no epsilon has so small a delta"):
        loss.epsilon("1e-7")
    with pytest.raises(LocalProtocolError, match="above 0 and below 1"):
        loss.epsilon(1)
    with pytest.raises(LocalProtocolError, match="epsilon must be at least 0"):
        loss.delta(-1)
    with pytest.raises(LocalProtocolError, match="count must be at least 1"):
        loss.times(0)
    for wrong in (lambda: DiscreteGaussianDp("1e-9", 1, 1), lambda: DiscreteGaussianDp(100, 1, 1),
                  lambda: LaplaceDp(1, 0, 1), lambda: SkellamDp(Fraction(0), Fraction(1), Fraction(1, 100), 1, 1),
                  lambda: GaussianDp(1, 1, -1)):  # fmt: skip
        with pytest.raises(LocalProtocolError):
            wrong()
