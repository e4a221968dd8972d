"""`secagg dp tradeoff`: accuracy for every choice, as table, CSV and plot."""

from pathlib import Path
from typing import Annotated

import typer

from ...dp import Neighbours, Unit, plot, tradeoff, write_csv
from ...dp.tradeoff import COLUMNS
from ..console import show, show_json, table
from ..options import JsonOption, check_writable
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
    ReportsPerClientOption,
    SpanOption,
    Task,
    TaskOption,
    choose_place,
    percent,
    split,
    whole,
)
from .plans import share_text


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
        choices.add_row(*row.cells()[:-1], share_text(row.relative))
    show(choices, f"error: with a confidence of {confidence:g}")
