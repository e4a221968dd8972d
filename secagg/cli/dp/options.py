"""What the commands of `secagg dp` are told: the budget, what a report is, who adds noise, and how often."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

import typer

from ...dp import (
    ApproxDp,
    Budget,
    Neighbours,
    Place,
    Plan,
    PureDp,
    Sensitivity,
    Unit,
    ZCdp,
)
from ...dp.exact import fraction
from ...protocol.thresholds import Threat, default_threshold, max_corrupt
from ..app import CommandError, require
from ..numbers import integer_option, number_option

TASKS = ("sum", "vector-sum", "histogram", "multihot", "l2-bounded")

EpsilonOption = Annotated[str | None, typer.Option(help="The privacy budget: 0.1, 1/3. Pure unless --delta is given.")]
DeltaOption = Annotated[str | None, typer.Option(help="With --epsilon: the probability that it fails, such as 1e-9.")]
RhoOption = Annotated[str | None, typer.Option(help="A zCDP budget, instead of --epsilon.")]
TaskOption = Annotated[
    str | None, typer.Option(help="What a report is: sum, vector-sum, histogram, multihot or l2-bounded.")
]
LengthOption = Annotated[int | None, integer_option(help="Entries of the result: buckets of a histogram.")]
MaxMeasurementOption = Annotated[int | None, integer_option(help="Of sums: the largest value of an entry.")]
MinMeasurementOption = Annotated[int, integer_option(help="Of sums: the smallest value of an entry.")]
MaxWeightOption = Annotated[int | None, integer_option(help="Of multihot reports: the largest number of ones.")]
NormOption = Annotated[
    str | None, typer.Option("--norm-squared", help="Of l2-bounded reports: the largest sum of squares.")
]
L1Option = Annotated[str | None, typer.Option("--l1", help="L1 sensitivity, instead of --task.")]
L2Option = Annotated[str | None, typer.Option("--l2-squared", help="Squared L2 sensitivity, instead of --task.")]
NeighboursOption = Annotated[
    str,
    typer.Option(
        help="What is hidden: replace-one (what was sent) or add-remove (also whether it was; central plans only)."
    ),
]
PlaceOption = Annotated[
    str,
    typer.Option(
        help="Who adds noise: local (each client, all of it), distributed (each client of a SecAgg cohort, a part),"
        " aggregators (each of them, all of it) or central (the Collector)."
    ),
]
ReportsPerClientOption = Annotated[
    int, integer_option(help="Protect a client with up to so many reports, instead of one report.")
]
SpanOption = Annotated[
    str, typer.Option(help='With --reports-per-client: the time over which that is counted, as in "a day".')
]
ClientsOption = Annotated[int | None, integer_option(help="With local and distributed: how many clients.")]
SurvivorsOption = Annotated[
    int | None, integer_option(help="With distributed: the fewest clients in a sum. [default: floor(2n/3) + 1]")
]
CorruptOption = Annotated[
    int | None,
    integer_option(help="With distributed: clients that may add no noise, or tell what they add. [default: below n/3]"),
]
AggregatorsOption = Annotated[int, integer_option(help="With aggregators: how many of them.")]
HonestOption = Annotated[int, integer_option(help="With aggregators: how many are assumed to be honest.")]
IsochronousOption = Annotated[
    bool | None,
    typer.Option(
        "--isochronous/--exact",
        help="Samples whose time does not depend on them but whose law is not quite exact, or exact samples."
        " [default: exact for a pure budget, else isochronous where that is possible]",
    ),
]
ConfidenceOption = Annotated[float, number_option(help="The probability that an error is at most what is printed.")]


@dataclass(frozen=True)
class Task:
    """The options that describe a report, by the same names."""

    name: str | None
    length: int | None
    max_measurement: int | None
    min_measurement: int
    max_weight: int | None
    norm_squared: str | None
    l1: str | None
    l2_squared: str | None
    neighbours: str

    def sensitivity(self) -> Sensitivity:
        """The sensitivity of a report, by task or as stated.

        Raises:
            CommandError: an option is missing, or two contradict each other.
        """
        relation = choose("--neighbours", [n.value for n in Neighbours], self.neighbours)
        neighbours = Neighbours(relation)
        if self.name is None:
            if self.l1 is None or self.l2_squared is None:
                raise CommandError(
                    "the sensitivity is missing: how much one report can change the result; give --task, one of"
                    f" {', '.join(TASKS)}, or both --l1 and --l2-squared"
                )
            return Sensitivity(self.l1, self.l2_squared, neighbours)
        require(
            self.l1 is None and self.l2_squared is None, "--task sets the sensitivity: leave out --l1 and --l2-squared"
        )
        return self._of_task(choose("--task", TASKS, self.name), neighbours)

    def _of_task(self, name: str, neighbours: Neighbours) -> Sensitivity:
        if name == "sum":
            return Sensitivity.sum(self._needed("max_measurement"), neighbours, min_value=self.min_measurement)
        if name == "vector-sum":
            length, largest = self._needed("length"), self._needed("max_measurement")
            return Sensitivity.vector_sum(length, largest, neighbours, min_value=self.min_measurement)
        if name == "histogram":
            return Sensitivity.histogram(neighbours)
        if name == "multihot":
            return Sensitivity.multihot(self._needed("length"), self._needed("max_weight"), neighbours)
        return Sensitivity.l2_bounded(self._needed("norm_squared"), self._needed("length"), neighbours)

    def entries(self, *, matters: bool) -> int:
        """The length of the result.

        Args:
            matters: whether the noise depends on it; if not, or for a single sum, --length may be left out.
        """
        if self.length is None and (self.name == "sum" or not matters):
            return 1
        return int(self._needed("length"))

    def _needed(self, option: str) -> Any:
        value = getattr(self, option)
        require(value is not None, f"{self.name or 'this budget'} needs --{option.replace('_', '-')}, which is missing")
        return value


class Run(NamedTuple):
    """The options that say how many releases a budget is for, by the same names."""

    rounds: int = 1
    per_client: int | None = None


ONE_ROUND = Run()


@dataclass(frozen=True)
class Adders:
    """The options that say who adds noise, by the same names."""

    place: str
    clients: int | None
    survivors: int | None
    corrupt: int | None
    aggregators: int
    honest: int

    def plan(self, report: Task, budget: Budget, unit: Unit, isochronous: bool | None, run: Run = ONE_ROUND) -> Plan:
        """The plan of the least noise.

        Raises:
            CommandError: an option is missing, or two contradict each other.
            LocalProtocolError: a value is out of range, or no such noise keeps to the budget.
        """
        where, sensitivity = choose_place(self.place), report.sensitivity()
        entries = report.entries(matters=not isinstance(budget, PureDp))
        common: dict[str, Any] = {"unit": unit, "isochronous": isochronous, **run._asdict()}
        if where is Place.CENTRAL:
            return Plan.central(budget, sensitivity, entries, **common)
        if where is Place.AGGREGATORS:
            return Plan.aggregators(budget, sensitivity, entries, count=self.aggregators, honest=self.honest, **common)
        if self.clients is None:
            raise CommandError(f"--place {where.value} needs --clients, which is missing")
        if where is Place.LOCAL:
            return Plan.local(budget, sensitivity, entries, clients=self.clients, **common)
        survivors, corrupt = self.of_cohort(self.clients)
        return Plan.distributed(
            budget, sensitivity, entries, clients=self.clients, survivors=survivors, corrupt=corrupt, **common
        )

    def of_cohort(self, clients: int) -> tuple[int, int]:
        """How many clients are at least in a sum, and how many of them may be corrupt."""
        survivors = default_survivors(clients) if self.survivors is None else self.survivors
        return survivors, max_corrupt(clients) if self.corrupt is None else self.corrupt


def default_survivors(n: int) -> int:
    """How many of n clients are at least in a sum, by Fig. 5's last row."""
    return min(n, default_threshold(n, Threat.COLLUDING, max_corrupt(n)))


def choose(option: str, known: Any, text: str) -> str:
    """The known word that is meant, in any spelling of dashes and case.

    Args:
        option: name, for the error.
        known: the words.
        text: as typed.

    Raises:
        CommandError: the word is unknown.
    """
    word = text.strip().lower().replace("_", "-")
    require(word in known, f"{option} must be one of {', '.join(known)}; got {text!r}")
    return word


def choose_place(text: str) -> Place:
    """The place that --place names."""
    return Place(choose("--place", [place.value for place in Place], text))


def choose_budget(epsilon: str | None, delta: str | None, rho: str | None) -> Budget:
    """The budget of --epsilon, with or without --delta, or of --rho.

    Raises:
        CommandError: neither is given, or both are.
    """
    if rho is not None:
        require(epsilon is None and delta is None, "--rho is a budget of its own: leave out --epsilon and --delta")
        return ZCdp(rho)
    if epsilon is None:
        raise CommandError("the budget is missing: give --epsilon, --epsilon with --delta, or --rho")
    return PureDp(epsilon) if delta is None else ApproxDp(epsilon, delta)


def percent(option: str, text: str) -> Fraction:
    """The fraction that is written, such as 2% or 0.02."""
    number = text.strip()
    return fraction(number.removesuffix("%"), option) / (100 if number.endswith("%") else 1)


def split(option: str, text: str) -> list[str]:
    """The values that commas separate; none may be empty."""
    items = [item.strip() for item in text.split(",")]
    require(all(items), f"{option} must be values separated by commas, got {text!r}")
    return items


def whole(option: str, text: str) -> int:
    """The integer that is written as any exact number."""
    number = fraction(text, option)
    require(number.denominator == 1, f"{option} must be whole numbers, got {text}")
    return int(number)
