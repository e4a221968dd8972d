"""The least noise that keeps to a budget, by law and budget."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

from ..errors import LocalProtocolError, require
from .budget import ApproxDp, Budget, PureDp, ZCdp
from .conversion import zcdp_delta
from .exact import log_upper, round_up, sqrt_lower
from .mechanisms import DiscreteGaussian, DiscreteLaplace, Law
from .sensitivity import Sensitivity

AnyLaw = TypeVar("AnyLaw", bound=Law)

PARAMETER_BITS = 24  # of a parameter that is rounded up: by some 1e-7 of its size
_SEARCH_BITS = 12  # of a parameter from bisection: the variance is then 2.5e-4 above the least


def calibrate(budget: Budget, sensitivity: Sensitivity) -> Law:
    """The law of least variance that keeps to the budget; its parameter is rounded up, and then checked again.

    For a pure budget it is the discrete Laplace law, for a zCDP budget nearly always the discrete Gaussian. For an
    (epsilon, delta) budget it is the one with less variance: Laplace where one entry changes and delta is tiny.

    Args:
        budget: what the release may reveal.
        sensitivity: of the vector that is released.

    Raises:
        LocalProtocolError: no law keeps to the budget; it is then too small or too large to be useful.
    """
    laplace = discrete_laplace(budget, sensitivity)
    if isinstance(budget, PureDp) or _laplace_wins(laplace.variance, budget, sensitivity):
        return laplace
    gaussian = discrete_gaussian(budget, sensitivity)
    return gaussian if gaussian.variance < laplace.variance else laplace


def discrete_laplace(budget: Budget, sensitivity: Sensitivity) -> DiscreteLaplace:
    """The discrete Laplace law for a budget: scale = L1 / epsilon.

    Args:
        budget: what the release may reveal; delta is not used, and for zCDP epsilon is sqrt(2 rho).
        sensitivity: of the vector that is released.

    Raises:
        LocalProtocolError: no such law keeps to the budget.
    """
    epsilon = sqrt_lower(2 * budget.rho) if isinstance(budget, ZCdp) else budget.epsilon
    return _checked(DiscreteLaplace(round_up(sensitivity.l1 / epsilon, PARAMETER_BITS)), budget, sensitivity)


def discrete_gaussian(budget: ZCdp | ApproxDp, sensitivity: Sensitivity) -> DiscreteGaussian:
    """The discrete Gaussian for a budget: sigma**2 = L2**2 / (2 rho) under zCDP.

    For (epsilon, delta), where rho is the largest that implies it, less noise is enough.

    Args:
        budget: what the release may reveal.
        sensitivity: of the vector that is released.

    Raises:
        LocalProtocolError: no such law keeps to the budget.
    """
    # Start from the zCDP that implies the budget.
    rho = budget_rho(budget)
    sigma_squared = round_up(sensitivity.l2_squared / (2 * rho), PARAMETER_BITS)

    # Its delta is exact, or nearly (`gaussian`): search for the least sigma**2 that it allows.
    if isinstance(budget, ApproxDp):
        sigma_squared = smallest_sufficient(
            sigma_squared, lambda candidate: DiscreteGaussian(candidate).satisfies(budget, sensitivity)
        )
    return _checked(DiscreteGaussian(sigma_squared), budget, sensitivity)


def classic_gaussian(budget: ApproxDp, sensitivity: Sensitivity) -> DiscreteGaussian:
    """The formula sigma = L2 / epsilon * sqrt(2 ln(1.25 / delta)), for comparison: `calibrate` needs less noise.

    It is Theorem A.1 of Dwork and Roth 2014, in the paper's appendix B, and holds for epsilon < 1 only. Other epsilons
    are refused: at delta = 1e-6 the noise is not enough above epsilon = 8.78.

    Args:
        budget: what the release may reveal.
        sensitivity: of the vector that is released.

    Raises:
        LocalProtocolError: epsilon is 1 or more.
    """
    require(
        budget.epsilon < 1,
        f"sigma = L2 / epsilon * sqrt(2 ln(1.25 / delta)) holds for epsilon < 1 only, got {budget}: use calibrate",
    )
    sigma_squared = sensitivity.l2_squared / budget.epsilon**2 * 2 * log_upper(Fraction(5, 4) / budget.delta)
    return _checked(DiscreteGaussian(round_up(sigma_squared, PARAMETER_BITS)), budget, sensitivity)


def _laplace_wins(variance: float, budget: ZCdp | ApproxDp, sensitivity: Sensitivity) -> bool:
    """Whether a Gaussian surely needs more variance than this, so that the search for the least need not be made.

    Only the choice of the law depends on it, and not privacy. So delta is that of a continuous Gaussian in floating
    point (Balle and Wang 2018, Theorem 8). Below a variance of 4, continuous and discrete laws differ.
    """
    if isinstance(budget, ZCdp) or sensitivity.worst is None or variance < 4:
        return False
    epsilon, ratio = float(budget.epsilon), math.sqrt(sensitivity.l2_squared / Fraction(variance))
    tails = [math.erfc((epsilon / ratio + side * ratio / 2) / math.sqrt(2)) / 2 for side in (-1, 1)]
    return epsilon < 100 and tails[0] - math.exp(epsilon) * tails[1] > 1.1 * float(budget.delta)


def budget_rho(budget: ZCdp | ApproxDp) -> Fraction:
    """A rho for which rho-zCDP implies the budget."""
    return budget.rho if isinstance(budget, ZCdp) else largest_rho(budget)


def largest_rho(budget: ApproxDp) -> Fraction:
    """A rho for which rho-zCDP implies the budget: the largest, to within 2.5e-4 of it."""
    low, high = Fraction(0), budget.epsilon
    while zcdp_delta(high, budget.epsilon) <= budget.delta:
        low, high = high, 2 * high
    while low == 0 or high - low > high / (1 << _SEARCH_BITS):
        middle = (low + high) / 2
        if zcdp_delta(middle, budget.epsilon) <= budget.delta:
            low = middle
        else:
            high = middle
    return low


def smallest_sufficient(start: Fraction, suffices: Callable[[Fraction], bool]) -> Fraction:
    """The least parameter that suffices, to within 2.5e-4 of it.

    The result itself was checked. So it suffices even where more does not always suffice when less does.

    Args:
        start: where the search begins, positive.
        suffices: whether a parameter is enough.
    """
    high = start
    while not suffices(high):
        high *= 2
    low = high / 2
    while suffices(low):
        low, high = low / 2, low
    while high - low > high / (1 << _SEARCH_BITS):
        middle = round_up((low + high) / 2, PARAMETER_BITS)
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _checked(law: AnyLaw, budget: Budget, sensitivity: Sensitivity) -> AnyLaw:
    if not law.satisfies(budget, sensitivity):
        raise LocalProtocolError(f"{law} does not keep to {budget} at sensitivity {sensitivity}: choose another budget")
    return law
