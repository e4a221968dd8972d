"""`secagg dp audit`: run a plan's noise on two inputs that are hard to tell apart, and see what tells them apart."""

import os
import random
from math import isqrt
from typing import Annotated

import typer

from ...dp import Budget, Neighbours, Place, Plan, PureDp, Unit
from ...dp.audit import FAILURE, RUNS, Audit
from ...dp.audit import audit as run_audit
from ...dp.exact import fraction
from ...dp.noise import describe
from ..app import require
from ..console import progress_bar, show_json, show_pairs
from ..numbers import integer_option
from ..options import JsonOption
from .options import (
    Adders,
    AggregatorsOption,
    ClientsOption,
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
    SpanOption,
    SurvivorsOption,
    Task,
    TaskOption,
    choose_budget,
    choose_place,
)
from .plans import describe_plan

_SHOWN_ENTRIES = 6  # of an input


def audit(
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
    runs: Annotated[
        int, integer_option(help="How often the noise is drawn for each input: more show larger epsilons, closer.")
    ] = RUNS,
    seed: Annotated[
        int | None, integer_option(help="Repeat an audit: noise from this seed. [default: fresh from the system]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the noise of a plan, and prove a lower bound on epsilon from what comes out.

    The noise is that of `secagg dp calibrate` with the same options. It is drawn many times by the samplers that
    parties use, on two inputs that differ by as much as one privacy unit can change, such as a report in bucket 0 and
    one in bucket 1. Only the noise of the parties that are assumed to be honest is added. Whatever tells the two inputs
    apart more often than e^epsilon allows (and delta) proves that the noise does not keep what the plan promises.

    The bound holds with a confidence of 99.9 %, all thresholds that were tried included: a sound plan fails one audit
    in a thousand, so repeat one that fails. A bound below the claim proves nothing. It is what so many runs can show,
    and the last line says how much that is at most: audit large epsilons with more runs, or at a smaller epsilon.

    Exit codes: 1 the noise does not keep what the plan promises.

    \b
    Examples:
      secagg dp audit --epsilon 1 --task histogram
      secagg dp audit --epsilon 2 --delta 1e-6 --task sum --max-measurement 255 --place distributed --clients 30
      secagg dp audit --rho 0.5 --task l2-bounded --length 1000 --norm-squared 1000000 --runs 1000000
    """
    report = Task(task, length, max_measurement, min_measurement, max_weight, norm_squared, l1, l2_squared, neighbours)
    adders = Adders(place, clients, survivors, corrupt, aggregators, honest)
    budget, unit = choose_budget(epsilon, delta, rho), Unit(reports_per_client, span)
    require(seed is None or seed >= 0, f"--seed must not be negative, got {seed}")

    # What the inputs are and whose noise counts follows from the options, and not from the plan that is audited.
    plan = adders.plan(report, budget, unit, isochronous)
    x, y = ([reports_per_client * value for value in side] for side in neighbouring(report))
    adding = _honest(adders)
    with progress_bar(quiet=json) as progress:
        result = run_audit(
            plan,
            x,
            y,
            honest=adding,
            runs=runs,
            rand=os.urandom if seed is None else random.Random(seed).randbytes,
            progress=lambda done, total: progress("runs", done, total),
        )
    if json:
        show_json({**describe_plan(plan), "inputs": [x, y], "honest": adding, "audit": _numbers(result)})
    else:
        show_pairs(_pairs(plan, budget, x, y, adding, result))
    raise typer.Exit(0 if result.keeps_claim else 1)


def neighbouring(report: Task) -> tuple[list[int], list[int]]:
    """What one report may add to the result, and what it may add instead: as far apart as the task allows.

    Args:
        report: the options that describe a report.

    Raises:
        CommandError: an option is missing, or two contradict each other.
    """
    sensitivity = report.sensitivity()
    name = (report.name or "").strip().lower().replace("_", "-")
    removed = sensitivity.neighbours is Neighbours.ADD_REMOVE
    if name == "histogram":
        return ([1], [0]) if removed else ([1, 0], [0, 1])
    if name == "multihot":
        assert report.length is not None
        assert report.max_weight is not None
        ones = report.max_weight
        others = 0 if removed else min(ones, report.length - ones)
        return [1] * ones + [0] * others, [0] * ones + [1] * others
    if name in ("sum", "vector-sum"):
        assert report.max_measurement is not None
        largest, smallest = report.max_measurement, report.min_measurement
        entries = 1 if report.length is None or name == "sum" else report.length
        if removed:
            return [max(largest, smallest, key=abs)] * entries, [0] * entries
        return [largest] * entries, [smallest] * entries
    if name == "l2-bounded":
        norm = isqrt(int(fraction(report.norm_squared or "", "norm_squared")))
        return [norm], [0 if removed else -norm]

    # Stated norms: one entry, or as many entries of 1 as both allow, whichever differs by more.
    ones = int(min(sensitivity.l1, sensitivity.l2_squared))
    single = min(int(sensitivity.l1), isqrt(int(sensitivity.l2_squared)))
    require(ones >= 1, f"an audit needs integers that differ, and this sensitivity allows none: {sensitivity}")
    return ([single], [0]) if single**2 >= ones else ([1] * ones, [0] * ones)


def _honest(adders: Adders) -> int:
    """How many parties' noise the guarantee may count on."""
    where = choose_place(adders.place)
    if where is Place.AGGREGATORS:
        return adders.honest
    if where is Place.DISTRIBUTED and adders.clients is not None:
        survivors, corrupt = adders.of_cohort(adders.clients)
        return survivors - corrupt
    return 1


def _pairs(plan: Plan, budget: Budget, x: list[int], y: list[int], honest: int, result: Audit) -> list[tuple[str, str]]:
    at = "" if isinstance(budget, PureDp) else f" at delta = {result.delta:g}"
    if result.keeps_claim:
        verdict = f"nothing speaks against the claim; so many runs show an epsilon of {result.reach:.3g} at most"
    else:
        verdict = f"the noise does not keep {budget}: do not use it, and report a fault"
    parties = "party" if honest == 1 else "parties"
    return [
        ("guarantee", f"{budget} for {plan.unit}, {plan.sensitivity.neighbours.value}"),
        ("noise", f"{describe(plan.law)} by {plan.place.party.value}, of {honest:,} honest {parties}"),
        ("inputs", f"{_shown(x)} or {_shown(y)}"),
        ("runs", f"{result.runs:,} with each"),
        ("shown", f"epsilon is at least {result.epsilon:.4g}{at}, with a confidence of {1 - FAILURE:.1%}"),
        ("claimed", f"epsilon is at most {result.claimed:.4g}{at}"),
        ("verdict", verdict),
    ]


def _shown(values: list[int]) -> str:
    more = f", ... ({len(values):,} entries)" if len(values) > _SHOWN_ENTRIES else ""
    return f"({', '.join(map(str, values[:_SHOWN_ENTRIES]))}{more})"


def _numbers(result: Audit) -> dict[str, float | int | bool]:
    return {**vars(result), "keeps_claim": result.keeps_claim}
