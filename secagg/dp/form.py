"""Exact samples or isochronous ones: which a plan takes, and what that costs.

All isochronous samples of a release together are within a total variation distance eta of their law. An (epsilon,
delta) budget pays for it: (1 + e**epsilon) eta is taken off delta before the law is chosen, or, where half of delta
does not pay for that and isochronous samples are asked for, (1 + e**epsilon') eta at the largest epsilon' for which it
does. The law then keeps to epsilon', which implies the budget. A pure or zCDP budget has
nothing to pay with. What is promised there is closeness alone: the samples are within eta of a mechanism that keeps to
the budget. Over several releases etas add up. Under a pure budget that is (epsilon, (1 + e**epsilon) eta)-DP; under
zCDP nothing is said about divergences, which can be infinite between laws that are close.
"""

from fractions import Fraction

from ..errors import require
from .budget import ApproxDp, Budget, PureDp
from .distributed import PartyLaw
from .exact import exp_upper, log_lower, power_above
from .noise import TOTAL_VARIATION_MAX, isochronous_sampler, sampler_of


def law_budget(budget: Budget, samples: int, isochronous: bool | None) -> Budget:
    """What the law must keep to, so that so many samples of this form keep to the budget; the larger that is, the more.

    Args:
        budget: of the plan.
        samples: of all honest parties, over all entries.
        isochronous: as asked for; None leaves a delta that cannot pay whole, and the samples exact.

    Raises:
        LocalProtocolError: isochronous samples are asked for, and delta cannot pay for them at any epsilon.
    """
    if not isinstance(budget, ApproxDp) or isochronous is False:
        return budget
    if _is_affordable(budget, samples):
        return ApproxDp(budget.epsilon, budget.delta - _reserve(budget.epsilon, samples))
    if not isochronous:
        return budget
    epsilon = _affordable_epsilon(budget.delta, samples)
    require(
        epsilon > 0,
        f"half of delta must pay for how far {samples:,} isochronous samples may be from their law: it must be at least"
        f" {power_above(2 * _reserve(Fraction(0), samples))}, got {budget}; leave out isochronous=True for exact"
        " samples",
    )
    return ApproxDp(epsilon, budget.delta - _reserve(epsilon, samples))


def is_isochronous(budget: Budget, samples: int, law: PartyLaw, isochronous: bool | None) -> bool:
    """Whether the samples take the isochronous form: if asked for, or by default where the budget is not pure and the
    law is not too wide.

    Raises:
        LocalProtocolError: it is asked for, and the law is too wide.
    """
    if isochronous is None:
        default = not isinstance(budget, PureDp) and _is_affordable(budget, samples)
        return default and isochronous_sampler(law) is not None
    if isochronous:
        sampler_of(law, isochronous=True)
    return isochronous


def _is_affordable(budget: Budget, samples: int) -> bool:
    return not isinstance(budget, ApproxDp) or 2 * _reserve(budget.epsilon, samples) <= budget.delta


def _reserve(epsilon: Fraction, samples: int) -> Fraction:
    """The part of delta that covers samples which are a little off their law: within a total variation of eta,
    (epsilon, delta) becomes (epsilon, delta + (1 + e**epsilon) eta)."""
    return (1 + exp_upper(epsilon)) * samples * TOTAL_VARIATION_MAX


def _affordable_epsilon(delta: Fraction, samples: int) -> Fraction:
    """The largest epsilon at which half of delta is the reserve, down to a multiple of 2**-20; 0 if there is none."""
    power = delta / (2 * samples * TOTAL_VARIATION_MAX) - 1
    return Fraction(int(log_lower(power) * 2**20), 2**20) if power > 1 else Fraction(0)
