"""`secagg dp calibrate`: the least noise for a budget."""

from typing import Annotated

from ...dp import ApproxDp, Neighbours, Place, Unit, views
from ..app import require
from ..numbers import integer_option
from ..options import JsonOption
from .options import (
    Adders,
    AggregatorsOption,
    ClientsOption,
    ConfidenceOption,
    CorruptOption,
    DeltaOption,
    EpsilonOption,
    HonestOption,
    IsochronousOption,
    L1Option,
    L2Option,
    LengthOption,
    MaxMeasurementOption,
    MaxWeightOption,
    MinMeasurementOption,
    NeighboursOption,
    NormOption,
    PlaceOption,
    ReportsPerClientOption,
    RhoOption,
    Run,
    SpanOption,
    SurvivorsOption,
    Task,
    TaskOption,
    choose_budget,
)
from .plans import show_plan


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
    population: Annotated[
        int | None,
        integer_option(help="With --place distributed: of how many people the --clients of each round are drawn."),
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
          --place distributed --clients 100 --rounds 100 --per-client 10 --population 1000

    With --rounds the budget is of a whole run. A client that joins fewer rounds needs less noise in each, if its own
    ledger sees to it: Plan.ledger. With --population, what the run tells those who see its results alone is stated
    beside what it tells the server and the clients, who know who took part.
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    adders = Adders(place, clients, survivors, corrupt, aggregators, honest)
    unit, run = Unit(reports_per_client, span), Run(rounds, per_client)
    plan = adders.plan(report, choose_budget(epsilon, delta, rho), unit, isochronous, run)
    require(population is None or isinstance(plan.budget, ApproxDp), "--population goes with --epsilon and --delta")
    seen = None
    if population is not None and isinstance(plan.budget, ApproxDp):
        seen = views(plan, population, plan.budget.delta)
    show_plan(plan, confidence, count, json, cohort=adders.of_cohort(plan.parties), seen=seen)
