"""How each ratio went over commits: `python -m bench.history`, ten minutes, or `--json` of a saved report.

Runs the suites, appends the median of each ratio (`bench.paired`) to results/history.jsonl with the commit and the
machine, and draws them, a figure for each suite, into results/history/, which is not committed. Ratios of machines that
differ are lines of their own. The table names the cases whose last ratio is more than 15 % below the best median of the
five commits before it on the same machine: `bench.compare` tells noise from a regression, this shows when it came.

    python -m bench.history                    measures this commit, appends, draws
    python -m bench.history --json report.json the same from a report that pytest-benchmark saved at this commit
    python -m bench.history --draw             draws what is there
"""

import argparse
import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .compare import ALLOWED_FALL, measured, this_machine, timer_of
from .suites import Record, run_suites
from .tables import number, table

RESULTS = Path(__file__).parent / "results"
HISTORY = RESULTS / "history.jsonl"
PLOTS = RESULTS / "history"
RECENT = 5
"""Commits among which the best is what the last is compared with."""

COLUMNS = 4


@dataclass(frozen=True)
class Entry:
    """What one run measured.

    Attributes:
        date: of the run, UTC, YYYY-MM-DD.
        commit: short; with `+` if files had changed since.
        machine: as `bench.compare` states it.
        ratios: by case, the median of how many times as fast as its baseline it was.
    """

    date: str
    commit: str
    machine: dict[str, Any]
    ratios: dict[str, float]

    @property
    def where(self) -> str:
        """The machine in a few words: runs of one are one line."""
        return f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['timer'].removeprefix('time.')}"


@dataclass(frozen=True)
class Fall:
    """A case that was faster before, on the same machine."""

    case: str
    where: str
    best: float
    commit: str
    now: float

    @property
    def change(self) -> float:
        """As a fraction."""
        return self.now / self.best - 1


def entry_of(report: Record, date: str, commit: str) -> Entry:
    """What a report of pytest-benchmark, made here, is in the history."""
    ratios = {case: float(f"{each.median:.4g}") for case, each in sorted(measured(report).items())}
    return Entry(date, commit, this_machine(timer_of(report)), ratios)


def read(path: Path) -> list[Entry]:
    """All entries, the oldest first.

    Raises:
        ValueError: a line is none.
    """
    if not path.exists():
        return []
    return [Entry(**json.loads(line)) for line in path.read_text().splitlines()]


def append(path: Path, entry: Entry) -> None:
    """One line more."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(entry)) + "\n")


def by_machine(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The runs of each machine, in their order."""
    machines: dict[str, list[Entry]] = {}
    for entry in entries:
        machines.setdefault(entry.where, []).append(entry)
    return machines


def falls(entries: Sequence[Entry]) -> Iterator[Fall]:
    """The cases whose last ratio on a machine is well below the best of the runs before."""
    for where, runs in by_machine(entries).items():
        *before, last = runs
        for case, now in last.ratios.items():
            earlier = [(run.ratios[case], run.commit) for run in before[-RECENT:] if case in run.ratios]
            if earlier and now < (1 - ALLOWED_FALL) * max(earlier)[0]:
                best, commit = max(earlier)
                yield Fall(case, where, best, commit, now)


def rows(fallen: Iterable[Fall]) -> Iterator[str]:
    cells = (
        (fall.case, fall.where, number(fall.best), fall.commit, number(fall.now), f"{fall.change:+.0%}")
        for fall in fallen
    )
    yield from table(("case", "machine", "best", "at", "now", "change"), cells)


# --- Drawing --------------------------------------------------------------------------------------------------------


def suites_of(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """The cases of each suite, in the order in which they came."""
    cases = dict.fromkeys(case for entry in entries for case in entry.ratios)
    suites: dict[str, list[str]] = {}
    for case in cases:
        suites.setdefault(case.partition(":")[0], []).append(case)
    return suites


def draw_case(axes: Axes, entries: Sequence[Entry], case: str) -> None:
    """One ratio over the runs, a line for each machine."""
    for where, runs in by_machine(entries).items():
        points = [(entries.index(run), run.ratios[case]) for run in runs if case in run.ratios]
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=3, label=where)
    axes.set_title(case.partition(": ")[2], fontsize=7)
    axes.set_xticks(range(len(entries)), [entry.commit for entry in entries], rotation=90, fontsize=6)
    axes.set_xlim(-0.5, len(entries) - 0.5)
    axes.set_ylim(0, 1.1 * max(run.ratios.get(case, 0) for run in entries))
    axes.tick_params(axis="y", labelsize=6)
    axes.grid(alpha=0.3)


def draw_suite(path: Path, entries: Sequence[Entry], suite: str, cases: Sequence[str]) -> None:
    """A figure with a small plot for each case of a suite."""
    lines = -(-len(cases) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 1.8 * lines + 0.8), layout="constrained")
    figure.suptitle(f"{suite}: times as fast as the baseline named in each title")
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes, case in zip(panels, cases, strict=False):
        draw_case(axes, entries, case)
    for unused in panels[len(cases) :]:
        unused.set_axis_off()
    figure.legend(handles=panels[0].get_lines(), loc="outside lower left", fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def draw(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """A figure for each suite."""
    matplotlib.rcParams["svg.hashsalt"] = "secagg"
    folder.mkdir(exist_ok=True)
    drawn = []
    for suite, cases in suites_of(entries).items():
        drawn.append(folder / f"{suite}.svg")
        draw_suite(drawn[-1], entries, suite, cases)
    return drawn


def commit_here() -> str:
    """The commit that is checked out; with `+` if files differ from it."""
    head, changed = (
        subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, cwd=RESULTS).stdout.strip()
        for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", ":/*.py", ":/csrc"))
    )
    return f"{head}{'+' if changed else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="a report that pytest-benchmark saved, instead of running the suites")
    parser.add_argument("--timer", default="time.process_time", help="clock of all times [%(default)s]")
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.draw:
        report: Record = json.loads(options.json.read_text()) if options.json else run_suites(options.timer)
        append(HISTORY, entry_of(report, f"{datetime.now(UTC):%Y-%m-%d}", commit_here()))
    entries = read(HISTORY)
    for path in draw(PLOTS, entries):
        print(path)
    if fallen := list(falls(entries)):
        print("\n".join(rows(fallen)))


if __name__ == "__main__":
    main()
