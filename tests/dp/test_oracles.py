"""Bounds beside those of other libraries, where they are installed: dp-accounting, OpenDP and mpmath."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.dp import (
    ApproxDp,
    DiscreteGaussian,
    DiscreteGaussianDp,
    DiscreteLaplace,
    GaussianDp,
    Guarantee,
    LaplaceDp,
    Ledger,
    Neighbours,
    Plan,
    PureDp,
    Sensitivity,
    Skellam,
    SkellamDp,
    Spent,
    ZCdp,
    calibrate,
    keeps_budget,
    loss_of,
    zcdp_epsilon,
)
from secagg.dp.gaussian import scalar_delta
from secagg.dp.skellam import histogram_delta as skellam_histogram_delta
from secagg.dp.skellam import scalar_delta as skellam_scalar_delta

N = Neighbours.REPLACE_ONE
ONE = Sensitivity.sum(1, N)
REACH = 20_000  # of laws that are summed up


@pytest.mark.parametrize(("sigma", "difference"), [(1, 1), (4, 2), (20, 7)])
@pytest.mark.parametrize("epsilon", ["0.1", "1", "3"])
def test_exact_delta_is_within_the_accountants_bracket(sigma: int, difference: int, epsilon: str) -> None:
    """Privacy loss distributions bound delta from both sides: 1e-4 is their step."""
    pld = pytest.importorskip(
        "dp_accounting.pld.privacy_loss_distribution", reason="needs dp-accounting, of the extra oracles"
    )
    ours = float(scalar_delta(Fraction(sigma**2), difference, Fraction(epsilon)))
    above, below = (
        pld.from_discrete_gaussian_mechanism(
            sigma, sensitivity=difference, value_discretization_interval=1e-4, pessimistic_estimate=pessimistic
        ).get_delta_for_epsilon(float(epsilon))
        for pessimistic in (True, False)
    )
    assert below - 1e-12 <= ours <= above + 1e-12


@pytest.mark.parametrize(("variance", "difference"), [(1, 1), (16, 2), (400, 7)])
@pytest.mark.parametrize("epsilon", ["0.1", "1", "3"])
def test_exact_deltas_of_skellam_noise_are_within_the_accountants_bracket(
    variance: int, difference: int, epsilon: str
) -> None:
    """Of a number, and of a histogram, where one entry rises by 1 and one falls by 1: two independent losses."""
    ours = float(skellam_scalar_delta(Fraction(variance), difference, Fraction(epsilon)))
    pair = float(skellam_histogram_delta(Fraction(variance), Fraction(epsilon)))
    chances = skellam(Fraction(variance))
    for delta, shift, entries in ((ours, difference, 1), (pair, 1, 2)):
        above, below = (
            loss(chances, shift, pessimistic, 1e-4).self_compose(entries).get_delta_for_epsilon(float(epsilon))
            for pessimistic in (True, False)
        )
        assert below - 1e-12 <= delta <= above + 1e-12


@pytest.mark.parametrize(("variance", "difference", "epsilon"), [("1/3", 1, 2), (20, 3, 1), (900, 5, "1/4")])
def test_exact_deltas_of_skellam_noise_are_those_of_bessels_functions(
    variance: int | str, difference: int, epsilon: int | str
) -> None:
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath, of the extra oracles")
    with mpmath.workdps(60):
        v, e = (mpmath.mpf(Fraction(x).numerator) / Fraction(x).denominator for x in (variance, epsilon))
        p = {y: mpmath.besseli(y, v) * mpmath.exp(-v) for y in range(30 + 16 * math.isqrt(int(v) + 1))}
        true = sum(
            max(0, w - mpmath.exp(e) * p.get(abs(side * y + difference), 0))
            for y, w in p.items()
            for side in ((1, -1) if y else (1,))
        )
        ours = skellam_scalar_delta(Fraction(variance), difference, Fraction(epsilon))
        assert 0 <= mpmath.mpf(ours.numerator) / ours.denominator / true - 1 < mpmath.mpf(10) ** -25


@pytest.mark.parametrize("releases", [1, 10, 100])
def test_composed_gaussians_cost_no_less_than_the_accountant_says(releases: int) -> None:
    ours = float(zcdp_epsilon(Fraction(releases, 2 * 900), Fraction(1, 10**6)))
    below, above = (
        loss(gaussian(Fraction(900)), 1, pessimistic).self_compose(releases).get_epsilon_for_delta(1e-6)
        for pessimistic in (False, True)
    )
    assert below <= ours <= above * 1.2


def gaussian(sigma_squared: Fraction) -> NDArray[np.float64]:
    return weights([math.exp(-(y**2) / float(2 * sigma_squared)) for y in range(REACH)])


def skellam(variance: Fraction) -> NDArray[np.float64]:
    return weights(pytest.importorskip("scipy.special").ive(np.arange(REACH), float(variance)))


def weights(right: Sequence[float]) -> NDArray[np.float64]:
    """Chances of -n + 1 .. n - 1 from those of 0 .. n - 1, in proportion; no more than 1e-120 of the largest are left
    out."""
    significant = [x for x in right if x > 1e-120 * right[0]]
    both: NDArray[np.float64] = np.array([*reversed(significant[1:]), *significant])
    total: float = both.sum()
    return both / total


def loss(chances: NDArray[np.float64], difference: int, pessimistic: bool, interval: float = 1e-3) -> Any:
    """dp-accounting's account of noise with these chances on a number that changes by so much."""
    pld = pytest.importorskip(
        "dp_accounting.pld.privacy_loss_distribution", reason="needs dp-accounting, of the extra oracles"
    )
    logs = [float(x) for x in np.log(chances)]
    return pld.from_two_probability_mass_functions(
        dict(enumerate(logs)),
        dict(enumerate(logs, difference)),
        pessimistic_estimate=pessimistic,
        value_discretization_interval=interval,
    )


@pytest.mark.parametrize(
    ("guarantee", "chances"),
    [(DiscreteGaussian(Fraction(400)).guarantee(ONE), gaussian(Fraction(400))),
     (Skellam(Fraction(400)).guarantee(ONE), skellam(Fraction(400))),
     (DiscreteLaplace(Fraction(20)).guarantee(ONE), weights([math.exp(-y / 20) for y in range(REACH)]))],
    ids=["Gaussian", "Skellam", "Laplace"],
)  # fmt: skip
def test_what_a_ledger_takes_keeps_to_its_total_by_the_accountant(
    guarantee: Guarantee, chances: NDArray[np.float64]
) -> None:
    """As many releases as it takes, at what they exactly cost, and twice as many would not."""
    ledger, taken = Ledger(ApproxDp(1, "1e-6")), 0
    while ledger.affords(guarantee):
        ledger.spend(guarantee, str(taken))
        taken += 1
    one = loss(chances, 1, True)
    assert loss(chances, 1, False).self_compose(taken).get_delta_for_epsilon(1.0) <= 1e-6
    assert taken >= 10
    assert one.self_compose(taken * 2).get_delta_for_epsilon(1.0) > 1e-6


@pytest.mark.parametrize(("difference", "kind"), [(3, Skellam), (60, DiscreteGaussian)])
def test_what_honest_parties_add_together_keeps_to_the_budget_by_the_accountant(difference: int, kind: type) -> None:
    """Skellam noise, and where that is too slow discrete Gaussian: the exact law of the sum, by convolution."""
    budget = ApproxDp(1, "1e-6")
    plan = Plan.aggregators(budget, Sensitivity.sum(difference, N), 1, count=3, honest=2, polya=False)
    assert (plan.honest, type(plan.law)) == (2, kind)
    if isinstance(plan.law, Skellam):
        total = skellam(2 * plan.law.variance)
    else:
        assert isinstance(plan.law, DiscreteGaussian)
        total = np.convolve(gaussian(plan.law.sigma_squared), gaussian(plan.law.sigma_squared))
    above, below = (loss(total, difference, pessimistic).get_delta_for_epsilon(1.0) for pessimistic in (True, False))
    assert below <= 1e-6  # which is the exact delta, and between both
    assert 0.98e-6 < above < 1.02e-6


COMPOSED: list[tuple[Guarantee, NDArray[np.float64] | None, int]] = [
    (LaplaceDp(Fraction(3, 20), 3, 1), weights([math.exp(-y / 20) for y in range(REACH)]), 3),
    (DiscreteGaussianDp(Fraction(9, 800), 3, 1), gaussian(Fraction(400)), 3),
    (SkellamDp(Fraction(0), Fraction(1), Fraction(400), 3, 1), None, 3),
]


@pytest.mark.parametrize("releases", [1, 30, 300, 1000])
@pytest.mark.parametrize(("guarantee", "chances", "change"), COMPOSED, ids=["Laplace", "Gaussian", "Skellam"])
def test_composed_losses_are_within_the_accountants_bracket(
    guarantee: Guarantee, chances: NDArray[np.float64] | None, change: int, releases: int
) -> None:
    """Between the optimistic and the pessimistic result, but for the width of our own steps, at several epsilons."""
    noise = skellam(Fraction(400)) if chances is None else chances
    below, above = (loss(noise, change, pessimistic).self_compose(releases) for pessimistic in (False, True))
    known = loss_of(guarantee)
    assert known is not None
    ours = known.times(releases)
    middle = float(above.get_epsilon_for_delta(1e-3))
    for epsilon in (middle / 2, middle, middle * 1.5):
        delta = float(ours.delta(Fraction(epsilon)))
        assert below.get_delta_for_epsilon(epsilon) - 1e-12 <= delta
        assert delta <= above.get_delta_for_epsilon(epsilon * 0.998 - 0.002) + 1e-12


def test_a_histogram_under_laplace_noise_costs_what_the_accountant_says() -> None:
    """Two entries change by 1: the issue's (8, 1e-6) and 0.1 a collection, by either account 471 or 472."""
    one = loss(weights([math.exp(-y / 20) for y in range(REACH)]), 1, True)
    optimistic = loss(weights([math.exp(-y / 20) for y in range(REACH)]), 1, False)
    allowed = Ledger(ApproxDp(8, "1e-6")).releases_left(LaplaceDp("0.1", 1, 2))
    assert optimistic.self_compose(2 * allowed).get_delta_for_epsilon(8.0) <= 1e-6
    assert one.self_compose(2 * (allowed + 5)).get_delta_for_epsilon(8.0) > 1e-6


@pytest.mark.parametrize(("epsilon", "count"), [("0.05", 942), ("0.5", 60), ("2", 7)])
@pytest.mark.parametrize("fraction_of_sum", ["0.1", "0.3", "0.6"])
def test_randomized_responses_cost_what_mpmath_says(epsilon: str, count: int, fraction_of_sum: str) -> None:
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath, of the extra oracles")
    known = loss_of(PureDp(epsilon))
    assert known is not None
    at = Fraction(epsilon) * count * Fraction(fraction_of_sum)
    with mpmath.workdps(60):
        e, target = mpmath.mpf(epsilon), mpmath.mpf(at.numerator) / at.denominator
        p = 1 / (1 + mpmath.exp(-e))
        exact = mpmath.fsum(
            mpmath.binomial(count, k)
            * p**k
            * (1 - p) ** (count - k)
            * max(0, 1 - mpmath.exp(target - (2 * k - count) * e))
            for k in range(count + 1)
        )
        assert exact <= float(known.times(count).delta(at)) * (1 + mpmath.mpf("1e-15")) <= exact * 1.05 + 1e-30


@pytest.mark.parametrize("mu", ["0.3", "1", "3"])
@pytest.mark.parametrize("releases", [1, 100])
@pytest.mark.parametrize("epsilon", ["0.5", "2", "8"])
def test_gaussians_cost_what_mpmath_says(mu: str, releases: int, epsilon: str) -> None:
    """So many Gaussians of mu / sqrt(releases) are one of mu, whose curve mpmath integrates."""
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath, of the extra oracles")
    cost = Spent(GaussianDp(100, Fraction(mu) ** 2 / releases))
    with mpmath.workdps(40):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(-e / m + m / 2) - mpmath.exp(e) * mpmath.ncdf(-e / m - m / 2)
        delta = Fraction(str(mpmath.nstr(exact, 30)))
    assert not keeps_budget(ApproxDp(epsilon, delta * (1 - Fraction(1, 10**20))), [cost] * releases)
    assert keeps_budget(ApproxDp(epsilon, delta * (1 + Fraction(1, 10**20))), [cost] * releases)


def opendp() -> Any:
    prelude = pytest.importorskip("opendp.prelude", reason="opendp, of the extra oracles")
    prelude.enable_features("contrib")
    return prelude


@pytest.mark.parametrize("scale", [1, 10, 300])
def test_guarantees_are_those_of_opendp(scale: int) -> None:
    dp = opendp()
    integers = dp.vector_domain(dp.atom_domain(T=int))
    gaussian = dp.m.make_gaussian(integers, dp.l2_distance(T=float), scale=float(scale))
    laplace = dp.m.make_laplace(integers, dp.l1_distance(T=float), scale=float(scale))
    sensitivity = Sensitivity.sum(3, N)
    rho = DiscreteGaussian(Fraction(scale**2)).guarantee(sensitivity).rho
    epsilon = DiscreteLaplace(Fraction(scale)).guarantee(sensitivity).epsilon
    assert gaussian.map(3.0) == pytest.approx(float(rho))
    assert laplace.map(3.0) == pytest.approx(float(epsilon))
    theirs = dp.c.make_zCDP_to_approxDP(gaussian).map(3.0).epsilon(1e-6)
    assert float(zcdp_epsilon(rho, Fraction(1, 10**6))) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("rho", ["0.001", "0.02", "0.5"])
def test_our_noise_keeps_to_the_budget_by_opendps_map(rho: str) -> None:
    """Of zCDP, which is what OpenDP knows of Gaussian noise."""
    dp = opendp()
    sensitivity = Sensitivity.l2_bounded(100, 1000, N)
    law = calibrate(ZCdp(rho), sensitivity)
    assert isinstance(law, DiscreteGaussian)
    integers = dp.vector_domain(dp.atom_domain(T=int))
    theirs = dp.m.make_gaussian(integers, dp.l2_distance(T=float), scale=math.sqrt(law.sigma_squared))
    assert float(rho) * 0.999 < theirs.map(math.sqrt(sensitivity.l2_squared)) <= float(rho) * (1 + 1e-6)


@pytest.mark.parametrize("epsilon", ["0.1", "1", "4"])
def test_noise_of_a_vector_keeps_to_the_budget_by_the_accountant(epsilon: str) -> None:
    pld = pytest.importorskip(
        "dp_accounting.pld.privacy_loss_distribution", reason="needs dp-accounting, of the extra oracles"
    )
    sensitivity = Sensitivity.l2_bounded(10**6, 1000, N)
    law = calibrate(ApproxDp(epsilon, "1e-6"), sensitivity)
    assert isinstance(law, DiscreteGaussian)
    mu = math.sqrt(sensitivity.l2_squared / law.sigma_squared)
    above, below = (
        pld.from_gaussian_mechanism(
            1 / mu, value_discretization_interval=1e-4, pessimistic_estimate=pessimistic
        ).get_delta_for_epsilon(float(epsilon))
        for pessimistic in (True, False)
    )
    assert below <= 1e-6
    assert 0.99e-6 < above < 1.01e-6
