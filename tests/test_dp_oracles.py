"""Bounds beside those of other libraries, where they are installed: dp-accounting and OpenDP."""

import math
from fractions import Fraction
from typing import Any

import pytest

from secagg.dp import ApproxDp, DiscreteGaussian, DiscreteLaplace, Neighbours, Sensitivity, calibrate, zcdp_epsilon
from secagg.dp.gaussian import scalar_delta

N = Neighbours.REPLACE_ONE


@pytest.mark.parametrize(("sigma", "difference"), [(1, 1), (4, 2), (20, 7)])
@pytest.mark.parametrize("epsilon", ["0.1", "1", "3"])
def test_exact_delta_is_within_the_accountants_bracket(sigma: int, difference: int, epsilon: str) -> None:
    """Privacy loss distributions bound delta from both sides: 1e-4 is their step."""
    pld = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution", reason="needs dp-accounting")
    ours = float(scalar_delta(Fraction(sigma**2), difference, Fraction(epsilon)))
    above, below = (
        pld.from_discrete_gaussian_mechanism(
            sigma, sensitivity=difference, value_discretization_interval=1e-4, pessimistic_estimate=pessimistic
        ).get_delta_for_epsilon(float(epsilon))
        for pessimistic in (True, False)
    )
    assert below - 1e-12 <= ours <= above + 1e-12


@pytest.mark.parametrize("releases", [1, 10, 100])
def test_composed_gaussians_cost_no_less_than_the_accountant_says(releases: int) -> None:
    pld = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution", reason="needs dp-accounting")
    one = pld.from_discrete_gaussian_mechanism(30.0, sensitivity=1, value_discretization_interval=1e-4)
    theirs = one.self_compose(releases).get_epsilon_for_delta(1e-6)
    ours = float(zcdp_epsilon(Fraction(releases, 2 * 900), Fraction(1, 10**6)))
    assert theirs * 0.99 <= ours <= theirs * 1.2


def opendp() -> Any:
    prelude = pytest.importorskip("opendp.prelude", reason="needs opendp")
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


@pytest.mark.parametrize("epsilon", ["0.1", "1", "4"])
def test_our_noise_keeps_to_the_budget_by_opendps_map(epsilon: str) -> None:
    dp = opendp()
    sensitivity = Sensitivity.l2_bounded(100, 1000, N)
    law = calibrate(ApproxDp(epsilon, "1e-6"), sensitivity)
    assert isinstance(law, DiscreteGaussian)
    integers = dp.vector_domain(dp.atom_domain(T=int))
    theirs = dp.m.make_gaussian(integers, dp.l2_distance(T=float), scale=math.sqrt(law.sigma_squared))
    found = dp.c.make_zCDP_to_approxDP(theirs).map(math.sqrt(sensitivity.l2_squared)).epsilon(1e-6)
    assert float(epsilon) * 0.99 < found <= float(epsilon) * (1 + 1e-6)
