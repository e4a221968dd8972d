"""`secagg dp compose`: the cost of many releases together, and the least noise for so many."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.table import Table

from ...dp import (
    ApproxDp,
    Budget,
    Neighbours,
    PureDp,
    Sensitivity,
    Spent,
    calibrate,
    laws_of_run,
    least_epsilon,
    releases_allowed,
)
from ...dp.distributed import sum_law
from ...dp.exact import Exact
from ...dp.noise import describe
from ...dp.rounds import ROUNDS_MAX
from ..app import require
from ..console import show, show_json, show_pairs, table
from ..numbers import integer_option
from ..options import JsonOption
from .options import (
    DeltaOption,
    EpsilonOption,
    L1Option,
    L2Option,
    LengthOption,
    MaxMeasurementOption,
    MaxWeightOption,
    MinMeasurementOption,
    NeighboursOption,
    NormOption,
    RhoOption,
    Task,
    TaskOption,
    choose_budget,
)


def compose(
    releases: Annotated[int, integer_option(help="How many there are, such as 52 weekly collections.")],
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    rho: RhoOption = None,
    total_epsilon: Annotated[str | None, typer.Option(help="What all releases together may cost.")] = None,
    total_delta: Annotated[
        str, typer.Option(help="The probability at which the cost of all is stated, and of their total.")
    ] = "1e-6",
    task: TaskOption = None,
    length: LengthOption = None,
    max_measurement: MaxMeasurementOption = None,
    min_measurement: MinMeasurementOption = 0,
    max_weight: MaxWeightOption = None,
    norm_squared: NormOption = None,
    l1: L1Option = None,
    l2_squared: L2Option = None,
    neighbours: NeighboursOption = Neighbours.REPLACE_ONE.value,
    json: JsonOption = False,
) -> None:
    """Find what many releases about the same people cost together, and which noise serves so many best.

    \b
    Examples:
      secagg dp compose --releases 52 --epsilon 0.1 --task histogram
      secagg dp compose --releases 52 --epsilon 0.1 --task histogram --total-epsilon 8
      secagg dp compose --releases 100 --total-epsilon 8 --task histogram

    The first says what a year of weekly collections costs: with --epsilon, --rho, or --epsilon and --delta, the budget
    of each. The second also says how many of them a total allows. The third leaves the budget of each open, and finds
    the least noise with which so many keep to the total: Laplace noise is the best for a single release of a count or a
    histogram, and Gaussian noise for many.

    Epsilons need not be added. Losses of many releases scatter like a sum of coin tosses, so that their total stays far
    below the sum of the worst ones, but for a probability of delta. The printed epsilon follows the exact distribution
    of the privacy loss, rounded up. "added up" is what holds with certainty.

    All releases must be about the same unit, a report or a client. A report that is in one collection only has the cost
    of one. Noise that each of two Aggregators adds in full counts once.
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    given = epsilon is not None or delta is not None or rho is not None
    require(given or total_epsilon is not None, "give the budget of each release, or --total-epsilon, or both")
    total = None if total_epsilon is None else ApproxDp(total_epsilon, total_delta)
    require(1 <= releases <= ROUNDS_MAX, f"--releases must be 1 .. {ROUNDS_MAX:,}, got {releases}")
    budget = choose_budget(epsilon, delta, rho) if given else None
    Composition(report.sensitivity(), releases, budget, total_delta, total).show(json=json)


@dataclass(frozen=True)
class Composition:
    """Releases of one kind, and what they may cost together.

    Attributes:
        sensitivity: of the vector that each release is about.
        releases: their number.
        budget: of each; None where only the noise for a total is asked for.
        delta: at which epsilon is stated.
        total: of all; None where there is no limit.
    """

    sensitivity: Sensitivity
    releases: int
    budget: Budget | None
    delta: Exact
    total: ApproxDp | None

    def show(self, *, json: bool) -> None:
        """Print the answers.

        Args:
            json: print JSON instead of text.

        Raises:
            LocalProtocolError: no noise keeps to a budget, or no epsilon is known for so small a delta.
        """
        cost = {} if self.budget is None else self._cost(self.budget)
        laws = [] if self.total is None else self._laws(self.total)
        if json:
            total = {} if self.total is None else {"total": str(self.total), "laws": laws}
            show_json({"releases": self.releases, "delta": str(self.delta), **cost, **total})
            return
        if cost:
            show_pairs(self._cost_lines(cost))
        if laws:
            show(*[""] * bool(cost), self._law_table(laws))

    def _cost(self, budget: Budget) -> dict[str, Any]:
        """Of one release, and of all; and how many the total allows, counted at its noise or at its budget."""
        law = calibrate(budget, self.sensitivity)
        known, stated = Spent(law.guarantee(self.sensitivity)), Spent(budget)
        answers: dict[str, Any] = {
            "release": str(budget),
            "noise": describe(law),
            "deviation": law.variance**0.5,
            "epsilon": float(least_epsilon(Counter({known: self.releases}), self.delta)),
            "added_epsilon": float(budget.epsilon * self.releases) if isinstance(budget, PureDp) else None,
        }
        if self.total is not None:
            counts = [releases_allowed(self.total, [], cost, ROUNDS_MAX) for cost in (known, stated)]
            answers["allowed"] = max(counts)
        return answers

    def _laws(self, total: ApproxDp) -> list[dict[str, Any]]:
        """The least noise of each law for so many releases, the best first."""
        laws = laws_of_run(total, self.sensitivity, self.releases)
        each = [str(sum_law(law, 1, 1).guarantee(self.sensitivity)) for law in laws]
        return [
            {"noise": describe(law), "deviation": float(law.variance) ** 0.5, "release": guarantee}
            for law, guarantee in zip(laws, each, strict=True)
        ]

    def _cost_lines(self, cost: dict[str, Any]) -> list[tuple[str, str]]:
        lines = [
            ("one release", f"{cost['release']}: {cost['noise']}, a deviation of {cost['deviation']:.4g}"),
            (f"{self.releases:,} releases", f"epsilon = {cost['epsilon']:.4g} at delta = {self.delta}"),
        ]
        if cost["added_epsilon"] is not None:
            lines.append(("added up", f"epsilon = {cost['added_epsilon']:.4g}, if delta must be 0"))
        if "allowed" in cost:
            more = " or more" * (cost["allowed"] == ROUNDS_MAX)
            enough = "enough" if cost["allowed"] >= self.releases else "not enough"
            allows = f"allows {cost['allowed']:,}{more} such releases: {enough} for {self.releases:,}"
            lines.append(("the total", f"{self.total} {allows}"))
        return lines

    def _law_table(self, laws: list[dict[str, Any]]) -> Table:
        rows = table(f"least noise for {self.releases:,} releases in {self.total}", "deviation", "each release")
        for law in laws:
            rows.add_row(law["noise"], f"{law['deviation']:.4g}", law["release"])
        return rows
