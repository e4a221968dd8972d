"""`secagg dp epsilon-for`: the least epsilon for an accuracy."""

from fractions import Fraction
from typing import Annotated

import typer

from ...dp import ApproxDp, Neighbours, Place, Plan, PureDp, Unit, epsilon_for, plan_at
from ..numbers import integer_option
from ..options import JsonOption
from .options import (
    ConfidenceOption,
    DeltaOption,
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
    SpanOption,
    Task,
    TaskOption,
    choose_place,
    percent,
)
from .plans import show_plan


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
