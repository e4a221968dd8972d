"""A plan and its error as `secagg dp` prints them, and what is doubtful about its budget."""

from fractions import Fraction
from typing import Any

from ...dp import ApproxDp, Error, Place, Plan, Views, ZCdp, posterior
from ...dp.exact import text
from ..app import require, warn
from ..console import show_json, show_pairs

EVEN = Fraction(1, 2)
COHORT = ("survivors", "corrupt")  # of distributed noise: t and n_C
DOUBTFUL_EPSILON = 10


def show_plan(
    plan: Plan,
    confidence: float,
    count: int | None,
    json: bool,
    *,
    cohort: tuple[int, int] | None = None,
    seen: Views | None = None,
) -> None:
    """Print a plan, its assumptions and its error, and warn of a budget that hides little.

    Args:
        plan: to print.
        confidence: of the error.
        count: a bucket's true count, for a relative error.
        json: print JSON instead of text.
        cohort: of distributed noise: how many clients are at least in a sum, and how many of them may be corrupt.
        seen: what a run tells, by who looks on, if people are drawn for its rounds.

    Raises:
        LocalProtocolError: no sampler can draw the noise, or the confidence is out of range.
    """
    require(count is None or count >= 1, f"--count must be at least 1, got {count}")
    plan.noise_for(plan.place.party)
    error = plan.error(confidence, count)
    for reason in _doubts(plan, count):
        warn(reason)
    pairs = plan.report()
    sizes = {} if cohort is None or plan.place is not Place.DISTRIBUTED else dict(zip(COHORT, cohort, strict=True))
    if sizes:
        survivors, corrupt = sizes.values()
        pairs.append(
            (
                "cohort",
                f"{plan.parties:,} clients, {survivors:,} or more in a sum (t), {corrupt:,} may be corrupt (n_C)",
            )
        )
    if seen is not None:
        pairs += seen.report()
    pairs.append(("deviation", f"{plan.variance() ** 0.5:.4g} of each entry of the result"))
    pairs.append(("error", _error_text(error, count)))
    if not isinstance(plan.budget, ZCdp):
        chance = _chance_text(posterior(plan.budget, EVEN))
        pairs.append(
            ("worst case", f"someone who is undecided between two values of {plan.unit} guesses right in {chance}")
        )
    if not json:
        show_pairs(pairs)
        return
    show_json(
        {
            **describe_plan(plan),
            **sizes,
            **({} if seen is None else {"views": _seen(seen)}),
            "deviation": plan.variance() ** 0.5,
            "error": {"confidence": confidence, "absolute": error.absolute, "relative": error.relative},
        }
    )


def _doubts(plan: Plan, count: int | None) -> list[str]:
    """Why a budget hides little, whatever the noise.

    Args:
        plan: with the budget.
        count: people that there are at least, where the plan does not know how many.
    """
    if isinstance(plan.budget, ZCdp):
        return []
    epsilon, doubts = plan.budget.epsilon, []
    if epsilon > DOUBTFUL_EPSILON:
        doubts.append(
            f"epsilon = {text(epsilon)} hides next to nothing: a result may become e^{text(epsilon)} times as likely by"
            f" one report; values above {DOUBTFUL_EPSILON} are hardly ever meant"
        )
    people = plan.parties if plan.place in (Place.LOCAL, Place.DISTRIBUTED) else count
    if isinstance(plan.budget, ApproxDp) and people is not None and plan.budget.delta * people > 1:
        doubts.append(
            f"delta = {text(plan.budget.delta)} is above 1/n, with n = {people:,}: it allows publishing somebody's data"
            " outright; choose it far below 1/n"
        )
    return doubts


def _seen(seen: Views) -> dict[str, Any]:
    return {
        "insiders": float(seen.insiders),
        "outsiders": float(seen.outsiders),
        "delta": text(seen.delta),
        "invited": seen.invited.people,
        "population": seen.invited.population,
    }


def _error_text(error: Error, count: int | None) -> str:
    if error.absolute == 0:
        return f"none, with a confidence of {error.confidence:g}: so little noise hides next to nothing"
    relative = "" if error.relative is None else f", {share_text(error.relative)} of {count:,}"
    return f"at most {error.absolute:,}{relative}, with a confidence of {error.confidence:g}"


def share_text(share: float) -> str:
    """An error as a share of a count, in percent."""
    return f"{share:.2%}" if share >= 0.0001 else "less than 0.01%"


def _chance_text(chance: float) -> str:
    return f"{chance:.1%}" if chance < 0.9995 else "more than 99.9%"


def describe_plan(plan: Plan) -> dict[str, Any]:
    """A plan as --json prints it."""
    return {
        "budget": numbers(plan.budget),
        "neighbours": plan.sensitivity.neighbours.value,
        "unit": str(plan.unit),
        "sensitivity": {"l1": str(plan.sensitivity.l1), "l2_squared": str(plan.sensitivity.l2_squared)},
        "place": plan.place.value,
        "noise": numbers(plan.law),
        "isochronous": plan.isochronous,
        "total_variation": str(plan.total_variation),
        "rounds": plan.rounds,
        "per_client": plan.per_client,
        "over_noise": float(plan.over_noise()),
        "assumed": plan.assumptions(),
    }


def numbers(value: Any) -> dict[str, str]:
    """A budget or a law: its kind, and its exact numbers as text."""
    return {"kind": type(value).__name__, **{name: str(number) for name, number in vars(value).items()}}
