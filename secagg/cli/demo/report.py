"""The report of `secagg dap demo`, as JSON and as text."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ...dap.server.config import ROLES
from ..console import show, show_pairs, table
from .demo import CONFIDENCE, UPLOAD_SIZE, Release
from .usage import Usage

ROWS = 25  # of the histogram
BAR = 32  # columns


@dataclass(frozen=True, repr=False)
class Run:
    """What happened in a run.

    Attributes:
        release: the result.
        seed: of what the browsers saw.
        urls: of the Aggregators, by the name of their role.
        after_upload: what the Aggregators' processes had taken when all reports were uploaded, by the name of the role.
        after_collection: the same when the result was collected.
        seconds: by phase.
        figures: files.
    """

    release: Release
    seed: int
    urls: dict[str, str]
    after_upload: dict[str, Usage | None]
    after_collection: dict[str, Usage | None]
    seconds: dict[str, float]
    figures: list[Path]

    @property
    def wrong(self) -> str | None:
        """See `Release.wrong`."""
        return self.release.wrong


def describe(run: Run, folder: Path | None) -> dict[str, Any]:
    """A run as --json prints it: times in seconds, sizes in bytes.

    Args:
        run: that has ended.
        folder: where its files are kept, if they are.
    """
    release = run.release
    task, batch = release.batch.task, release.batch
    assert task.privacy is not None
    return {
        "reports": len(batch.seen),
        "length": task.vdaf.entries,
        "epsilon": batch.epsilon,
        "seed": run.seed,
        "report_count": release.report_count,
        "truth": batch.truth,
        "result": release.result,
        "error_bar": release.bar,
        "confidence": CONFIDENCE,
        "wrong": release.wrong,
        "privacy": [list(pair) for pair in task.privacy.report(task.vdaf)],
        "seconds": run.seconds,
        "processes": [*(_process(run, name) for name in ROLES), {"role": "collector", **_used(release.collector)}],
        "folder": folder and str(folder),
        "figures": [str(file) for file in run.figures],
    }


def _process(run: Run, name: str) -> dict[str, Any]:
    uploaded = run.after_upload[name]
    return {
        "role": name,
        "url": run.urls[name],
        **_used(run.after_collection[name]),
        "peak_bytes_uploaded": uploaded and uploaded.peak_bytes,
    }


def _used(taken: Usage | None) -> dict[str, Any]:
    return {} if taken is None else vars(taken)


def show_report(report: dict[str, Any]) -> None:
    """Print the report as text."""
    show_pairs(_setup(report))
    show("", _histogram(report), *_remarks(report), "")
    show(_processes(report))
    show("")
    show_pairs((name, f"{seconds:6.1f} s") for name, seconds in report["seconds"].items())
    if report["folder"] is not None:
        show(f"{report['folder']} has the configurations, stores and logs of both Aggregators, and their secrets")
    show(*(f"drawn: {file}" for file in report["figures"]))


def _setup(report: dict[str, Any]) -> list[tuple[str, str]]:
    n = report["reports"]
    requests = f"in requests of {min(n, UPLOAD_SIZE):,}" if n > 1 else ""
    return [
        ("browsers", f"{n:,}, one report each {requests}; simulated here, seed {report['seed']}"),
        ("measured", f"which of {report['length']:,} network errors each has seen"),
        *((name, value) for name, value in report["privacy"]),
    ]


def _histogram(report: dict[str, Any]) -> Table:
    """Error types, the most common first."""
    truth, result, bar = report["truth"], report["result"], report["error_bar"]
    largest = max(max(truth), max(result) + bar)
    histogram = table("error type", "truth", "collected", "error at most", "stands out")
    histogram.add_column("", no_wrap=True)
    for kind in sorted(range(len(truth)), key=lambda kind: -truth[kind])[:ROWS]:
        cells = (f"{truth[kind]:,}", f"{result[kind]:,}", f"{bar:,.0f}", "yes" if result[kind] > bar else "no")
        histogram.add_row(str(kind), *cells, bar_text(truth[kind], result[kind], bar, largest))
    return histogram


def bar_text(truth: int, result: int, bar: float, largest: float) -> str:
    """A bar that is solid up to the result less its error bar, and faint up to their sum; | is the truth.

    Its length grows with the square root of the counts, so that a long tail can be seen.

    Args:
        truth: the true count.
        result: the noisy count.
        bar: the error bar.
        largest: the count at which a bar has the full length.
    """
    sure, likely, true = (_column(value, largest) for value in (result - bar, result + bar, truth))
    cells = list("█" * sure + "░" * (likely - sure))
    cells += " " * (true + 1 - len(cells))
    cells[true] = "|"
    return "".join(cells)


def _column(value: float, largest: float) -> int:
    """Between 0 and BAR."""
    return round(BAR * math.sqrt(max(0.0, value) / largest))


def _remarks(report: dict[str, Any]) -> list[str]:
    result, bar, rows = report["result"], report["error_bar"], len(report["result"])
    clear = sum(value > bar for value in result)
    lines = [] if rows <= ROWS else [f"and {rows - ROWS:,} rarer types, which --json has"]
    lines.append(
        f"bars: what the Collector knows, {report['confidence']:.0%} sure of each type by itself; | the truth; lengths"
        " go by square roots"
    )
    lines.append(
        f"{clear:,} of {rows:,} types stand out of the noise"
        + ("" if clear == rows else "; of the others it cannot tell whether anybody has seen them")
    )
    return lines


def _processes(report: dict[str, Any]) -> Table:
    processes = table("party", "process", "CPU s", "peak MB")
    processes.add_column("where", no_wrap=True)
    for row in report["processes"]:
        numbers = (
            (str(row["pid"]), f"{row['cpu_seconds']:.1f}", f"{row['peak_bytes'] / 1e6:.0f}")
            if "pid" in row
            else ("",) * 3
        )
        processes.add_row(row["role"].capitalize(), *numbers, row.get("url", "asks the Leader"))
    processes.add_row("browsers", str(os.getpid()), "", "", "simulated by this command")
    return processes
