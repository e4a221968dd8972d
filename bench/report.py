"""Runs every suite and writes the tables of results/suites.md: `python -m bench.report`, which took 13 minutes on a
busy machine, and five more for memory.

It refuses to write what a busy machine measured, unless `--loaded` insists. On a machine that others use as well,
`--timer time.process_time` counts this process's own time alone; what uses threads is measured by the wall clock all
the same.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import memory, plot_vdaf
from .machine import LIBRARIES, machine_lines
from .paired import Target
from .suites import TITLES, Record, run_suites
from .tables import number, spread, table

RESULTS = Path(__file__).parent / "results" / "suites.md"
BEGIN, END = "<!-- written by bench.report -->", "<!-- end -->"
QUIET = 0.5
"""The largest load average at which a run that is written may begin."""


def measured(figures: dict[str, list[float]]) -> str:
    return ", ".join(f"{spread(values)} {unit}" for unit, values in figures.items())


def beside(baseline: Record) -> str:
    return ", ".join(
        [baseline["name"], *(f"{number(value[1])} {unit}" for unit, value in baseline.items() if unit != "name")]
    )


def target_cells(info: Record) -> tuple[str, str]:
    """The target in words, and whether it was met."""
    if info["target"] is None:
        return "", ""
    target = Target(**info["target"])
    unit = "x" if target.of == "ratio" else f" {target.of}"
    words = f"{'at least' if target.at_least else 'under'} {target.bound:g}{unit}"
    return words, "yes" if is_met(target, info) else "**no**"


def is_met(target: Target, info: Record) -> bool:
    """By the median."""
    reached = reached_of(target, info)
    return reached >= target.bound if target.at_least else reached < target.bound


def reached_of(target: Target, info: Record) -> float:
    """The median of what the target is about."""
    median: float = (info["ratio"] if target.of == "ratio" else info["figures"][target.of])[1]
    return median


def suite_table(records: list[Record]) -> Iterator[str]:
    rows = (
        (info["case"], measured(info["figures"]), beside(info["baseline"]), spread(info["ratio"]), *target_cells(info))
        for info in records
    )
    yield from table(("what", "measured", "baseline", "times as fast", "target", "met"), rows)


def summary(records: list[Record]) -> Iterator[str]:
    """How many targets were met; which were not, by how much, and why."""
    aimed = [info for info in records if info["target"]]
    missed = [info for info in aimed if not is_met(Target(**info["target"]), info)]
    yield f"{len(aimed) - len(missed)} of {len(aimed)} targets met, memory aside.{' Missed:' if missed else ''}\n"
    if missed:
        yield from (f"- {info['case']}: {shortfall(info)}" for info in missed)
        yield ""


def shortfall(info: Record) -> str:
    """What was reached of a target that was missed, and why not all."""
    target = Target(**info["target"])
    reached, (words, _) = number(reached_of(target, info)), target_cells(info)
    return f"{reached}, {words}: {target.why or 'no cause is known'}"


def rounds_table(records: list[Record]) -> Iterator[str]:
    """How a session's time splits up, beside the paper's where it has numbers."""
    timed = [row for info in records for row in (info, info.get("beside", {})) if "rounds" in row]
    if timed:
        rounds = list(timed[0]["rounds"])
        title = "ms (the paper's)" if any("paper_ms" in info for info in timed) else "ms"
        rows = ((info["case"], *(round_cell(info, key) for key in rounds)) for info in timed)
        yield from table((title, *rounds), rows)


def round_cell(info: Record, key: str) -> str:
    paper = f" ({info['paper_ms'][key]:,})" if "paper_ms" in info else ""
    return number(info["rounds"][key][1]) + paper if key in info["rounds"] else ""


def paper_table(records: Iterable[Record]) -> Iterator[str]:
    rows = (
        (info["case"], number(paper), spread(info["figures"]["ms"]), f"{paper / info['figures']['ms'][1]:.1f}")
        for info in records
        if "paper_ms" in info
        for paper in [info["paper_ms"]["total"]]
    )
    yield "## Beside the paper's Java (Fig. 8, no dropouts, Xeon E5-1650 v3)\n"
    yield from table(("", "paper, ms", "here, ms", "times as fast"), rows)


def memory_table(cases: list[Record]) -> Iterator[str]:
    yield "## Memory\n"
    rows = (
        (
            figures["case"],
            f"**{figures['mb']:.0f}** MB",
            f"under {figures['limit_mb']} MB",
            "yes" if figures["mb"] < figures["limit_mb"] else "**no**",
            f"{figures['s']:.0f} s",
        )
        for figures in cases
    )
    yield from table(("what", "peak RSS", "target", "met", "took"), rows)


def lines(
    report: Record, memory_figures: list[Record], timer: str, loads: tuple[float | None, float | None]
) -> Iterator[str]:
    """The page, from a report of pytest-benchmark, the memory's figures, the clock, and the load before and after."""
    yield from machine_lines(timer, loads[0], LIBRARIES, loads[1])
    everything = [benchmark["extra_info"] | {"group": benchmark["group"]} for benchmark in report["benchmarks"]]
    yield from summary(everything)
    yield from paper_table(everything)
    measured_groups = {info["group"] for info in everything}
    for group in [*(group for group in TITLES if group in measured_groups), *sorted(measured_groups - {*TITLES})]:
        records = [info for info in everything if info["group"] == group]
        yield f"## {TITLES.get(group, group)}\n"
        yield f"`python -m pytest bench/suites/bench_{group}.py`\n"
        yield from suite_table(records)
        yield from rounds_table(records)
        if group == "vdaf" and plot_vdaf.histograms(report):
            yield f"![cost against buckets]({plot_vdaf.PLOT.name})\n"
    if memory_figures:
        yield from memory_table(memory_figures)


def write(text: str) -> None:
    """Replace what stands between the marks; the words around it are kept."""
    before, _, rest = RESULTS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    RESULTS.write_text(f"{before}{BEGIN}\n\n{text.rstrip()}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timer", default="time.perf_counter", help="clock of all times")
    parser.add_argument("--json", type=Path, help="a report that pytest-benchmark saved, instead of running the suites")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory table, which takes minutes")
    parser.add_argument("--print", action="store_true", help="print the tables instead of writing them")
    parser.add_argument("--loaded", action="store_true", help="write the tables although the machine is busy")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    if before > QUIET and not (options.print or options.loaded or options.json):
        parser.error(f"the load average is {before:.1f}: wait until it is at most {QUIET}, or insist by --loaded")
    report = json.loads(options.json.read_text()) if options.json else run_suites(options.timer)
    loads = (None, None) if options.json else (before, os.getloadavg()[0])
    memory_figures = [] if options.no_memory else [memory.measure(case) for case in memory.CASES]
    text = "\n".join(lines(report, memory_figures, options.timer, loads))
    if plot_vdaf.histograms(report):
        plot_vdaf.write(report)
    print(text) if options.print else write(text)


if __name__ == "__main__":
    main()
