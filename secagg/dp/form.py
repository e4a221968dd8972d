"""Exact or isochronous samples: which form a plan takes, and what it costs.

All isochronous samples of a release together are within a total variation distance eta of their law. Under an (epsilon,
delta) budget, delta pays for it: (1 + e**epsilon) eta is subtracted from delta before the law is chosen. Where half of
delta is not enough for that, and isochronous samples are asked for, (1 + e**epsilon') eta is subtracted, at the largest
epsilon' for which half of delta is enough. The law then keeps to epsilon', which implies the budget.

A pure or zCDP budget has no delta to pay with. There the promise is that the samples are within eta of a mechanism that
keeps to the budget. Over several releases etas add up. Under a pure budget this is (epsilon, (1 + e**epsilon) eta)-DP.
Under zCDP it says nothing about divergences, which can be infinite between laws that are close.
"""

from fractions import Fraction

from ..errors import require
from .budget import ApproxDp, Budget, PureDp
from .distributed import PartyLaw
from .exact import exp_upper, log_lower, power_above
from .noise import TOTAL_VARIATION_MAX, isochronous_sampler, sampler_of


def law_budget(budget: Budget, samples: int, isochronous: bool | None) -> Budget:
    """The budget that the law must keep to, so that the samples of this form keep to the plan's budget.

    A larger budget of the plan gives a larger one here.

    Args:
        budget: of the plan.
        samples: how many there are, of all honest parties over all entries.
        isochronous: the form, as asked for; with None a delta that cannot pay is left whole, and samples are exact.

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
    """Whether the samples are isochronous: if asked for, or by default under budgets that are not pure.

    Args:
        budget: of the plan.
        samples: how many there are, of all honest parties over all entries.
        law: of the noise.
        isochronous: the form, as asked for; with None samples are exact where the law is too wide or delta cannot pay.

    Raises:
        LocalProtocolError: isochronous samples are asked for, and the law is too wide.
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
