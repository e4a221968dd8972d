"""`secagg dp`: the noise for a privacy budget, its cost in accuracy, and the budget for an accuracy."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from ..dp import (
    ApproxDp,
    Budget,
    Error,
    Neighbours,
    Place,
    Plan,
    PureDp,
    Sensitivity,
    Unit,
    ZCdp,
    epsilon_for,
    plan_at,
    plot,
    posterior,
    tradeoff,
    write_csv,
)
from ..dp.exact import fraction, text
from ..dp.rounds import ROUNDS_MAX
from ..dp.tradeoff import COLUMNS
from ..protocol.thresholds import Threat, default_threshold, max_corrupt
from .app import App, CommandError, Later, require, warn
from .compose import Composition
from .console import check_writable, integer_option, number_option, show, show_json, show_pairs, table
from .options import JsonOption

app = App(
    later={
        "calibrate": Later("dp:calibrate", "The least noise for a budget."),
        "tradeoff": Later("dp:sweep", "Accuracy for every choice, as table, CSV and plot."),
        "epsilon-for": Later("dp:find_epsilon", "The epsilon for an accuracy."),
        "compose": Later("dp:compose", "What many releases cost together."),
        "audit": Later("audit:audit", "Whether the noise keeps what it promises, by running it."),
    },
    help="""Differential privacy: choose noise before any data is there. Nothing here reads data.

    \b
    Examples:
      secagg dp calibrate --epsilon 0.1 --task histogram
      secagg dp tradeoff --task histogram --share 10% --reports 100,1000,10000 --plot tradeoff.png
      secagg dp epsilon-for --relative-error 2% --count 500 --task histogram
      secagg dp compose --releases 52 --epsilon 0.1 --task histogram
      secagg dp audit --epsilon 1 --task histogram
    """,
)

TASKS = ("sum", "vector-sum", "histogram", "multihot", "l2-bounded")
EVEN = Fraction(1, 2)
COHORT = ("survivors", "corrupt")  # of distributed noise: t and n_C
DOUBTFUL_EPSILON = 10

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


def calibrate(
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    rho: RhoOption = None,
    task: TaskOption = None,
    length: LengthOption = None,
    max_measurement: MaxMeasurementOption = None,
    min_measurement: MinMeasurementOption = 0,
    max_weight: MaxWeightOption = None,
    norm_squared: NormOption = None,
    l1: L1Option = None,
    l2_squared: L2Option = None,
    neighbours: NeighboursOption = Neighbours.REPLACE_ONE.value,
    place: PlaceOption = Place.AGGREGATORS.value,
    clients: ClientsOption = None,
    survivors: SurvivorsOption = None,
    corrupt: CorruptOption = None,
    aggregators: AggregatorsOption = 2,
    honest: HonestOption = 1,
    reports_per_client: ReportsPerClientOption = 1,
    span: SpanOption = "",
    isochronous: IsochronousOption = None,
    rounds: Annotated[int, integer_option(help="How many releases the budget is for, all of them together.")] = 1,
    per_client: Annotated[
        int | None, integer_option(help="With --rounds: the most of them that one client joins. [default: all]")
    ] = None,
    count: Annotated[int | None, integer_option(help="A bucket's true count, for a relative error.")] = None,
    confidence: ConfidenceOption = 0.95,
    json: JsonOption = False,
) -> None:
    """Find the least noise that keeps to a budget, and the error of the result.

    \b
    Examples:
      secagg dp calibrate --epsilon 0.1 --task histogram
      secagg dp calibrate --epsilon 1 --delta 1e-9 --task sum --max-measurement 255 --count 10000
      secagg dp calibrate --epsilon 1 --delta 1e-6 --task l2-bounded --length 100000 --norm-squared 1000000
          --place distributed --clients 1000
      secagg dp calibrate --epsilon 8 --delta 1e-6 --task l2-bounded --length 20000 --norm-squared 1000000
          --place distributed --clients 100 --rounds 100 --per-client 10

    With --rounds the budget is of a whole run. A client that joins fewer rounds needs less noise in each, if its own
    ledger sees to it: Plan.ledger. Nothing is won from not knowing in which rounds it took part.
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    adders = Adders(place, clients, survivors, corrupt, aggregators, honest)
    unit, run = Unit(reports_per_client, span), Run(rounds, per_client)
    plan = adders.plan(report, choose_budget(epsilon, delta, rho), unit, isochronous, run)
    show_plan(plan, confidence, count, json, cohort=adders.of_cohort(plan.parties))


def default_survivors(n: int) -> int:
    """How many of n clients are at least in a sum, by Fig. 5's last row."""
    return min(n, default_threshold(n, Threat.COLLUDING, max_corrupt(n)))


def find_epsilon(
    relative_error: Annotated[str, typer.Option(help="The largest that is acceptable: 2% or 0.02.")],
    count: Annotated[int, integer_option(help="The bucket's true count.")],
    delta: DeltaOption = None,
    task: TaskOption = None,
    length: LengthOption = None,
    max_measurement: MaxMeasurementOption = None,
    min_measurement: MinMeasurementOption = 0,
    max_weight: MaxWeightOption = None,
    norm_squared: NormOption = None,
    l1: L1Option = None,
    l2_squared: L2Option = None,
    neighbours: NeighboursOption = Neighbours.REPLACE_ONE.value,
    place: PlaceOption = Place.AGGREGATORS.value,
    clients: Annotated[int, integer_option(help="In the batch; matters with local and distributed.")] = 1000,
    reports_per_client: ReportsPerClientOption = 1,
    span: SpanOption = "",
    confidence: ConfidenceOption = 0.95,
    json: JsonOption = False,
) -> None:
    """Find the least epsilon with which a bucket's relative error is acceptable.

    \b
    Example:
      secagg dp epsilon-for --relative-error 2% --count 500 --confidence 0.95 --task histogram
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    sensitivity, where, unit = report.sensitivity(), choose_place(place), Unit(reports_per_client, span)
    entries = report.entries(matters=delta is not None)

    def plan_for(epsilon: Fraction) -> Plan:
        budget = PureDp(epsilon) if delta is None else ApproxDp(epsilon, delta)
        return plan_at(where, budget, sensitivity, entries, clients, unit=unit)

    plan = epsilon_for(percent("--relative-error", relative_error), count, plan_for, confidence=confidence)
    show_plan(plan, confidence, count, json)


def sweep(
    epsilon: Annotated[str, typer.Option(help="Budgets, separated by commas.")] = "0.01,0.03,0.1,0.3,1,3",
    reports: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1000",
    place: Annotated[str, typer.Option(help="Places of noise, separated by commas; see calibrate.")] = "aggregators",
    share: Annotated[str, typer.Option(help="Of the reports, how many are in the bucket: 10% or 0.1.")] = "100%",
    delta: DeltaOption = None,
    task: TaskOption = None,
    length: LengthOption = None,
    max_measurement: MaxMeasurementOption = None,
    min_measurement: MinMeasurementOption = 0,
    max_weight: MaxWeightOption = None,
    norm_squared: NormOption = None,
    l1: L1Option = None,
    l2_squared: L2Option = None,
    neighbours: NeighboursOption = Neighbours.REPLACE_ONE.value,
    reports_per_client: ReportsPerClientOption = 1,
    span: SpanOption = "",
    confidence: ConfidenceOption = 0.95,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table here, as CSV.")] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it here: .png, .svg, .pdf (needs matplotlib).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show accuracy for every choice of epsilon, batch size and place of noise.

    \b
    Example:
      secagg dp tradeoff --task histogram --share 10% --reports 100,1000,10000 --plot tradeoff.png
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    for output in (csv, plot_file):
        check_writable(output)
    rows = tradeoff(
        report.sensitivity(),
        report.entries(matters=delta is not None),
        epsilons=split("--epsilon", epsilon),
        reports=[whole("--reports", item) for item in split("--reports", reports)],
        places=[choose_place(item) for item in split("--place", place)],
        delta=delta,
        share=percent("--share", share),
        confidence=confidence,
        unit=Unit(reports_per_client, span),
    )
    if csv is not None:
        with csv.open("w") as file:
            write_csv(rows, file)
    if plot_file is not None:
        plot(rows, plot_file)
    if json:
        show_json([dict(zip((c.replace(" ", "_") for c in COLUMNS), row.cells(), strict=True)) for row in rows])
        return
    choices = table(COLUMNS[0], *COLUMNS[1:])
    for row in rows:
        choices.add_row(*row.cells()[:-1], _share_text(row.relative))
    show(choices, f"error: with a confidence of {confidence:g}")


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


def show_plan(
    plan: Plan, confidence: float, count: int | None, json: bool, *, cohort: tuple[int, int] | None = None
) -> None:
    """Print a plan, its assumptions and its error, and warn of a budget that hides little.

    Args:
        plan: to print.
        confidence: of the error.
        count: a bucket's true count, for a relative error.
        json: print JSON instead of text.
        cohort: of distributed noise: how many clients are at least in a sum, and how many of them may be corrupt.

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
            "over_noise": float(plan.over_noise()),
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


def _error_text(error: Error, count: int | None) -> str:
    if error.absolute == 0:
        return f"none, with a confidence of {error.confidence:g}: so little noise hides next to nothing"
    relative = "" if error.relative is None else f", {_share_text(error.relative)} of {count:,}"
    return f"at most {error.absolute:,}{relative}, with a confidence of {error.confidence:g}"


def _share_text(share: float) -> str:
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
