"""The paper's Fig. 9 with the service: `python -m bench.paper.wan`.

A coordinator and its participants run as processes of their own, and every participant has a link with a delay, jitter
and bandwidth: Toxiproxy, which Go builds on the first run. Each sum is compared with what was put in; a wrong one ends
the program with an error. The whole keeps to its time by itself: what there is no time for is left out, and the report
says so. Results of the parts that are not run again stay, if they are of the same machine.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from secagg.http.serving import allow_files

from ...machine import machine_lines
from . import parts, report
from .coordinator import RunFailed
from .parts import PARTS, QUICK, Pace, Part
from .report import Measured
from .result import Run
from .run import Place, WrongSum, run
from .toxiproxy import NoToxiproxy, toxiproxy

RESULTS, QUICK_RESULTS = Path(__file__).parents[2] / "results", Path("build") / "wan"
LIBRARIES = ("numpy", "cryptography", "httpx", "uvicorn")
FILES = 20_000  # that may be open, in the proxy above all
TMPFS, TMPFS_BYTES = Path("/dev/shm"), 4e9  # of the saved clients of a thousand participants, and more
MINUTES = 60.0

Runner = Callable[[Part, int, Place, float], Run]


def measure(
    chosen: Sequence[Part],
    measured: Measured,
    place: Place,
    seconds: float,
    *,
    save: Callable[[], None],
    runner: Runner = run,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the parts as often as there is time for, after a small one that says how long they take.

    Args:
        chosen: which parts.
        measured: is given the runs; those that it has of these parts are replaced.
        place: where and how.
        seconds: that there are.
        save: is called after each run.
        runner: does one run.
        clock: seconds.
    """
    until = clock() + seconds
    first = runner(QUICK[0], 0, place, 0.0)
    pace = Pace.of(QUICK[0], first.took, first.whole)
    wanted, done = {part: part.runs for part in chosen}, dict.fromkeys(chosen, 0)
    if chosen == QUICK:
        _keep(measured, QUICK[0], first, 0)
        save()
        return
    for line in parts.estimate(parts.fitted(wanted, done, pace, until - clock()), pace):
        say(line)
    while part := _next(parts.fitted(wanted, done, pace, until - clock())):
        found = runner(part, done[part], place, pace.deadline(part))
        _keep(measured, part, found, done[part])
        save()
        wanted[part] -= 1
        done[part] += 1
        if part.everybody >= pace.n and not (part.dropouts or part.slow):
            pace = Pace.of(part, found.took, found.whole)
        left = until - clock()
        say(f"{part.name}, run {done[part]} of {part.runs}: {_summary(part, found)}; {left / 60:.0f} minutes are left")


def _next(runs: dict[Part, int]) -> Part | None:
    return next((part for part, count in runs.items() if count), None)


def _keep(measured: Measured, part: Part, found: Run, before: int) -> None:
    """The first run of a part takes the place of those of an earlier command."""
    measured.runs[part.name] = [*measured.runs.get(part.name, [])[:before], found]


def _summary(part: Part, found: Run) -> str:
    ratio = f", {found.whole / found.bound:.2f} of its bound" if found.bound else ""
    return (
        f"{found.whole:.1f} s{ratio}, {found.computing / part.everybody:.3f} CPU s a participant,"
        f" {found.survivors} inputs, {found.peak / 1e6:.0f} MB,"
        f" {found.rate:.0f} ShareKeys messages a CPU second (load {found.load:.1f})"
    )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def origin(place: Place) -> dict[str, Any]:
    """What results depend on."""
    machine = list(machine_lines("time.time", 0.0, LIBRARIES))
    return {
        "machine": [line for line in machine if "load average" not in line],
        "cores": os.cpu_count() or 1,
        "disk": _file_system(place.folder),
        "memory": _file_system(place.memory),
        "processes": place.processes,
        "seed": place.seed,
    }


def memory(folder: Path) -> Path:
    """A folder in memory, or this one where there is none with enough room."""
    if TMPFS.is_dir() and shutil.disk_usage(TMPFS).free >= TMPFS_BYTES:
        return TMPFS
    say(f"there are not {TMPFS_BYTES / 1e9:.0f} GB free in {TMPFS}: what is to be in memory is in {folder}")
    return folder


def _file_system(folder: Path) -> str:
    found = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        "bench.paper.wan", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"of {','.join(part.name for part in PARTS)}")
    parser.add_argument("--quick", action="store_true", help="one run of n = 100, in less than a minute")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"that it may take: {MINUTES:.0f}")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="of participants: one for each core")
    parser.add_argument("--seed", type=int, default=0, help="of links and inputs")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on disk, for the coordinator's state")
    parser.add_argument("--output", type=Path, help=f"folder: bench/results, or {QUICK_RESULTS} for --quick")
    options = parser.parse_args(arguments)
    options.output = options.output or (QUICK_RESULTS if options.quick else RESULTS)
    options.parts = QUICK if options.quick else options.parts
    return options


def _parts(text: str) -> tuple[Part, ...]:
    try:
        return parts.named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def _ended_by_term() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does, so that all it has started ends, too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for, and write the report."""
    options, began = parsed(arguments), time.monotonic()
    try:
        program = toxiproxy()
    except NoToxiproxy as error:
        say(f"skipped: {error}")
        return
    allow_files(FILES)
    place = Place(program, options.folder, memory(options.folder), options.processes, options.seed)
    data = options.output / "figures" / "fig9.json"
    measured = Measured.load(data, origin(place))
    command, date = " ".join(["python -m bench.paper.wan", *arguments]), f"{datetime.now(UTC):%Y-%m-%d}"

    def save() -> None:
        for part in options.parts:
            if part.name in measured.runs:
                measured.commands[part.name], measured.dates[part.name] = command, date
        measured.minutes = (time.monotonic() - began) / 60
        measured.save(data)
        report.write(measured, options.output)

    seconds = 60 * options.minutes - (time.monotonic() - began)
    try:
        with _ended_by_term():
            measure(options.parts, measured, place, seconds, save=save)
    except (RunFailed, WrongSum) as error:
        raise SystemExit(str(error)) from None
    print("\n".join(report.lines(measured)))
    say(f"took {(time.monotonic() - began) / 60:.1f} minutes; written to {options.output}")


if __name__ == "__main__":
    main(sys.argv[1:])
