"""The page of benchmarks, from the data that the benchmarks left in bench/."""

import csv
import json
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.suites import TITLES
from bench.tables import number, table

BENCH = Path(__file__).parents[2] / "bench"
WIDEST = 16  # em, of a bar

_INTRODUCTION = """# Benchmarks

Every figure on this page is read from data that a benchmark wrote, when the site is built.
[The headlines](bench/headlines.md) say what they amount to, and [which question, which command](bench/index.md) how to
measure again.

"""


def page() -> str:
    """The whole page."""
    return _INTRODUCTION + "\n".join([*_beside_the_paper(), *_ratios()])


def _beside_the_paper() -> Iterator[str]:
    """Fig. 8's totals."""
    yield "## Beside the paper's Java\n"
    yield (
        "Whole sessions of Fig. 8, in milliseconds: 100,000 entries of 24 bits. The paper's machine was a Xeon E5-1650"
        " v3; here it was\n"
    )
    yield (BENCH / "results" / "figures" / "machine.txt").read_text()
    with (BENCH / "results" / "figures" / "fig8.csv").open() as lines:
        totals = [row for row in csv.DictReader(lines) if row["round"] == "Total"]
    yield from table(
        ("party", "n", "dropped out", "the paper", "here, ± half of the 95 % interval", "times as fast"),
        (
            (
                row["role"],
                f"{int(row['n']):,}",
                f"{row['dropouts']} %",
                f"{int(row['paper_ms']):,}",
                f"{number(float(row['ours_ms']))} ± {number(float(row['half_of_95_percent_interval']))}",
                _bar(float(row["ratio"]), max(float(each["ratio"]) for each in totals)),
            )
            for row in totals
        ),
    )
    yield "[All rounds, and Figures 6 and 7](bench/figures.md), with plots.\n"


def _ratios() -> Iterator[str]:
    """What `bench.compare` compares with, a section for each suite."""
    data = json.loads((BENCH / "ratios.json").read_text())
    machine = data["machine"]
    yield "## Beside their baselines\n"
    yield (
        "How many times as fast as its baseline each benchmark was: the median of pairs that were timed turn and turn"
        f" about, and the quartiles. {machine['cpu']}, {machine['cores']} cores, {machine['flags']};"
        f" {machine['versions']}; clock: `{machine['timer']}`.\n"
    )
    named = [(*name.partition(": ")[::2], each) for name, each in data["ratios"].items()]
    for suite, rows in groupby(named, key=lambda row: row[0]):
        yield f"### {TITLES.get(suite, suite)}\n"
        yield from _suite([(name, each) for _, name, each in rows])


def _suite(rows: list[tuple[str, dict[str, Any]]]) -> Iterable[str]:
    largest = max(each["ratio"][1] for _, each in rows)
    return table(
        ("what", "beside", "times as fast", "quartiles"),
        (
            (*map(escape, name.rpartition(" / ")[::2]), _bar(each["ratio"][1], largest), _quartiles(each["ratio"]))
            for name, each in rows
        ),
    )


def _bar(value: float, largest: float) -> str:
    return f'{number(value)} <span class="bar" style="width: {WIDEST * value / largest / 2:.2f}em"></span>'


def _quartiles(ratio: list[float]) -> str:
    return f"{number(ratio[0])} - {number(ratio[2])}"
