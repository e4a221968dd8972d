"""Privacy against accuracy: the error for each epsilon, batch size and place of noise, and the epsilon for an error."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TextIO

from ..arguments import convert, real, whole
from ..errors import LocalProtocolError, require
from .budget import ApproxDp, PureDp
from .exact import Exact, fraction, text
from .noise import describe
from .plan import REPORT, Place, Plan, Unit
from .sensitivity import Sensitivity

EPSILON_MIN, EPSILON_MAX = Fraction(1, 10**4), Fraction(100)
_DIGITS = 3  # significant ones, of the epsilon that `epsilon_for` gives

COLUMNS = ("place", "epsilon", "reports", "size", "noise", "deviation", "error", "relative error")


@dataclass(frozen=True)
class Row:
    """One choice, and the error that it has.

    Attributes:
        place: where noise is added.
        epsilon: of the budget.
        reports: number of reports in the batch.
        size: true count of the bucket in question.
        noise: the law that each party adds, in words.
        deviation: standard deviation of the result's noise.
        error: the bound on |noise| with the given confidence.
        relative: the same as a fraction of size.
    """

    place: Place
    epsilon: Fraction
    reports: int
    size: int
    noise: str
    deviation: float
    error: int
    relative: float

    def __post_init__(self) -> None:
        convert(self, fraction, "epsilon")
        convert(self, whole, "reports", "size", "error")
        convert(self, real, "deviation", "relative")

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of COLUMNS."""
        numbers = (f"{self.deviation:.4g}", str(self.error), f"{self.relative:.4g}")
        return (self.place.value, text(self.epsilon), str(self.reports), str(self.size), self.noise, *numbers)


def plan_at(
    place: Place, budget: PureDp | ApproxDp, sensitivity: Sensitivity, length: int, reports: int, *, unit: Unit = REPORT
) -> Plan:
    """A plan for a batch with the usual parties.

    These are two Aggregators, one of them honest; or a SecAgg cohort with one client for each of the n reports,
    ceil(n / 3) - 1 of them corrupt, and floor(2n / 3) + 1 inputs in every sum (Fig. 5's last row).

    Args:
        place: where noise is added.
        budget: what a privacy unit's data may reveal.
        sensitivity: of one report.
        length: entries of the result.
        reports: number of reports in the batch, from 1 on.
        unit: the privacy unit.

    Raises:
        LocalProtocolError: a value is out of range, or no such noise keeps to the budget.
    """
    reports = whole(reports, "reports")
    require(reports >= 1, f"reports must be at least 1, got {reports}")
    if place is Place.CENTRAL:
        return Plan.central(budget, sensitivity, length, unit=unit)
    if place is Place.AGGREGATORS:
        return Plan.aggregators(budget, sensitivity, length, unit=unit)
    if place is Place.LOCAL:
        return Plan.local(budget, sensitivity, length, clients=reports, unit=unit)
    corrupt, survivors = -(-reports // 3) - 1, min(reports, 2 * reports // 3 + 1)
    return Plan.distributed(
        budget, sensitivity, length, clients=reports, survivors=survivors, corrupt=corrupt, unit=unit
    )


def tradeoff(
    sensitivity: Sensitivity,
    length: int,
    *,
    epsilons: Iterable[Exact],
    reports: Iterable[int],
    places: Sequence[Place] = (Place.AGGREGATORS,),
    delta: Exact | None = None,
    share: Exact = 1,
    confidence: float = 0.95,
    unit: Unit = REPORT,
) -> list[Row]:
    """A row for each choice of place, epsilon and batch size.

    Args:
        sensitivity: of one report.
        length: entries of the result.
        epsilons: to choose from; exact.
        reports: batch sizes to choose from.
        places: to choose from; `plan_at` says who the parties are.
        delta: of all budgets, exact; None for pure budgets.
        share: the fraction of the reports that are in the bucket in question; exact, above 0 and at most 1.
        confidence: of the errors.
        unit: the privacy unit.

    Raises:
        LocalProtocolError: a value is out of range, or no such noise keeps to the budget.
    """
    fraction_of_reports = fraction(share, "share")
    require(0 < fraction_of_reports <= 1, f"share must be above 0 and at most 1, got {share}")
    budgets = [budget_of(epsilon, delta) for epsilon in epsilons]
    batches = [whole(n, "reports") for n in reports]
    return [
        _row(
            plan_at(place, budget, sensitivity, length, n, unit=unit),
            budget.epsilon,
            n,
            fraction_of_reports,
            confidence,
        )
        for place in places
        for budget in budgets
        for n in batches
    ]


def budget_of(epsilon: Exact, delta: Exact | None) -> PureDp | ApproxDp:
    """The budget of an epsilon and a delta; pure without a delta."""
    return PureDp(epsilon) if delta is None else ApproxDp(epsilon, delta)


def _row(plan: Plan, epsilon: Fraction, reports: int, share: Fraction, confidence: float) -> Row:
    size = max(1, round(reports * share))
    error = plan.error(confidence, size).absolute
    noise, deviation = describe(plan.law), plan.variance() ** 0.5
    return Row(plan.place, epsilon, reports, size, noise, deviation, error, error / size)


def write_csv(rows: Iterable[Row], file: TextIO) -> None:
    """Write COLUMNS and a line for each row.

    Args:
        rows: as `tradeoff` gives them.
        file: open for text.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw relative error against epsilon, and against the batch size where that varies, with a line for each choice.

    Args:
        rows: as `tradeoff` gives them.
        path: of the file; its suffix says what kind it is.

    Raises:
        LocalProtocolError: matplotlib is not installed, or cannot write such a file.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise LocalProtocolError("plots need matplotlib: pip install matplotlib") from None
    panels: list[tuple[str, Callable[[Row], float], Callable[[Row], str]]] = [
        ("epsilon", lambda row: float(row.epsilon), lambda row: f"{row.place.value}, {row.reports:,} reports"),
        ("reports", lambda row: row.reports, lambda row: f"{row.place.value}, epsilon = {text(row.epsilon)}"),
    ]
    varied = [panel for panel in panels if len({panel[1](row) for row in rows}) > 1] or panels[:1]
    figure = Figure(figsize=(6.4 * len(varied), 4.8), layout="constrained")
    for axes, (title, x, label) in zip(figure.subplots(1, len(varied), squeeze=False)[0], varied, strict=True):
        for name in dict.fromkeys(map(label, rows)):
            line = sorted((x(row), row.relative) for row in rows if label(row) == name)
            axes.loglog(*zip(*line, strict=True), marker="o", label=name)
        axes.set(xlabel=title, ylabel="relative error")
        axes.legend(fontsize="small")
    try:
        figure.savefig(path)
    except ValueError as problem:
        raise LocalProtocolError(f"cannot write {path}: {problem}") from None


def epsilon_for(
    relative_error: Exact, count: int, plan_for: Callable[[Fraction], Plan], *, confidence: float = 0.95
) -> Plan:
    """The plan of least epsilon with which a bucket has at most this relative error.

    So the largest acceptable error decides epsilon (the post's last strategy).

    Args:
        relative_error: the largest acceptable one, such as "0.02"; exact.
        count: true count of the bucket, from 1 on.
        plan_for: gives the plan for an epsilon.
        confidence: the probability that the error is no larger.

    Returns:
        The plan; its epsilon has three digits and is at least 1e-4.

    Raises:
        LocalProtocolError: a value is out of range, or no epsilon from 1e-4 to 100 is enough.
    """
    accepted, count = fraction(relative_error, "relative error"), whole(count, "count")
    require(accepted > 0, f"relative error must be positive, got {text(accepted)}")
    require(count >= 1, f"count must be at least 1, got {count}")

    def enough(epsilon: Fraction) -> bool:
        return plan_for(epsilon).error(confidence, count).absolute <= accepted * count

    # The first power of ten that is enough.
    decade = EPSILON_MIN
    while not enough(decade):
        decade *= 10
        require(
            decade <= EPSILON_MAX,
            f"no epsilon up to {EPSILON_MAX} has so small an error: {_error_text(accepted, count)}",
        )
    if decade == EPSILON_MIN:
        return plan_for(decade)

    # Three digits below it, by bisection.
    step = decade / 10**_DIGITS
    low, high = 10 ** (_DIGITS - 1), 10**_DIGITS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle * step) else (middle, high)
    return plan_for(high * step)


def _error_text(accepted: Fraction, count: int) -> str:
    return f"{float(accepted):.3g} of {count:,} is {float(accepted * count):.3g}"
