"""The least noise for a run of several releases, whose budget is that of all of them together.

Each law has its own account over many releases, so that the best one for a run may be another than for a single
release: a pure epsilon adds up to large sums at worst, and the loss of a Gaussian grows with the root of their number.
"""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from ..arguments import whole
from ..errors import LocalProtocolError, require
from .budget import ApproxDp, Budget, Guarantee, PureDp
from .calibrate import PARAMETER_BITS, budget_rho, smallest_sufficient
from .composition import Spent, keeps_budget
from .distributed import SKELLAM_VARIANCE_MAX, PartyLaw, Skellam, sum_law
from .exact import round_up
from .mechanisms import DiscreteGaussian, DiscreteLaplace
from .polya import POLYA_SCALE_MAX, Polya
from .sensitivity import Sensitivity

ROUNDS_MAX = 1 << 16


def laws_of_run(
    total: Budget, sensitivity: Sensitivity, rounds: int, *, parties: int = 1, length: int = 1
) -> list[PartyLaw]:
    """The least noise of each law with which a run keeps to its budget, the least variance first.

    Args:
        total: what all releases together may reveal.
        sensitivity: of the vector that each release is about.
        rounds: number of releases, 1 .. 65,536.
        parties: how many share the noise of a release.
        length: entries of the vector.

    Returns:
        The law of each party's noise: Laplace, or its parts, for a pure total; else also the discrete Gaussian, and for
        several parties and a total with a delta Skellam.

    Raises:
        LocalProtocolError: a number is out of range, or no law keeps to the total.
    """
    rounds, parties, length = whole(rounds, "rounds"), whole(parties, "parties"), whole(length, "length")
    require(1 <= rounds <= ROUNDS_MAX, f"rounds must be 1 .. {ROUNDS_MAX:,}, got {rounds}")
    require(parties >= 1 and length >= 1, "parties and length must be at least 1")

    def keeps(law: PartyLaw) -> bool:
        return run_keeps(total, sum_law(law, parties, length).guarantee(sensitivity), rounds)

    laws = [_laplace(total, sensitivity, rounds, parties, keeps)]
    if not isinstance(total, PureDp):
        start = round_up(sensitivity.l2_squared * rounds / (2 * budget_rho(total) * parties), PARAMETER_BITS)
        laws.append(_least(DiscreteGaussian, start, keeps, at_least=Fraction(1, 4) if parties > 1 else Fraction(0)))
        if parties > 1 and isinstance(total, ApproxDp) and start <= SKELLAM_VARIANCE_MAX:
            laws.append(_least(Skellam, start, keeps))
    found = sorted((law for law in laws if law is not None), key=lambda law: float(law.variance))
    if not found:
        raise LocalProtocolError(
            f"noise that {parties} parties share cannot keep {rounds:,} releases to {total}: give a larger one, or"
            " epsilon and delta"
        )
    return found


def run_keeps(total: Budget, guarantee: Guarantee, rounds: int) -> bool:
    """Whether so many releases of one guarantee keep to a budget together.

    Args:
        total: what all of them may reveal.
        guarantee: of each.
        rounds: their number.
    """
    return keeps_budget(total, Counter({Spent(guarantee): rounds}))


def _laplace(
    total: Budget, sensitivity: Sensitivity, rounds: int, parties: int, keeps: Callable[[PartyLaw], bool]
) -> PartyLaw | None:
    """Laplace noise, in parts if several parties share it; None where it is too wide for that."""

    def law(scale: Fraction) -> PartyLaw:
        return DiscreteLaplace(scale) if parties == 1 else Polya(scale, parties)

    if isinstance(total, PureDp):
        scale = round_up(sensitivity.l1 * rounds / total.epsilon, PARAMETER_BITS)
    else:
        start = round_up(sensitivity.l1 * Fraction(rounds) / max(budget_rho(total), Fraction(1, 10**9)), PARAMETER_BITS)
        scale = smallest_sufficient(start, lambda scale: keeps(law(scale)))
    return law(scale) if parties == 1 or scale <= POLYA_SCALE_MAX else None


def _least(
    law: Callable[[Fraction], PartyLaw],
    start: Fraction,
    keeps: Callable[[PartyLaw], bool],
    at_least: Fraction = Fraction(0),
) -> PartyLaw:
    return law(smallest_sufficient(start, lambda parameter: parameter >= at_least and keeps(law(parameter))))
