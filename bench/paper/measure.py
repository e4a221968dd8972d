"""The paper's evaluation (section 7.3) on this machine: `python -m bench.paper` measures Figures 6 to 8 and how cost
grows, and writes tables (CSV, Markdown) and plots.

As in the paper: the semi-honest model, wall-clock time, one thread, no network, and users who drop out after ShareKeys.
The other parties' messages are made once for each point; only the measured party runs again and again. Each point is
saved as soon as it is measured, and `--resume` goes on from there.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from secagg import _kernels

from ..machine import compiler, cpu
from ..paired import Timer
from ..script import client_script, server_script
from ..suites import bench_client, bench_server
from . import figures, growth
from .points import FULL, QUICK, Plan, Point, Split, Store, Traffic, params_of

FIGURES = Path(__file__).parents[1] / "results" / "figures"
QUICK_FIGURES = Path("build") / "figures"
SELECTIONS = ("fig6", "fig7", "fig8", "growth")
CLOCKS: dict[str, Timer] = {"wall": perf_counter, "cpu": process_time}


def player(point: Point) -> Callable[[Timer], Split]:
    """What plays a point's session once, its messages made: milliseconds of each round."""
    params = params_of(point.n, point.m)
    if point.role == "client":
        to_client = client_script(params, point.dropped)
        return lambda timer: bench_client.play(to_client, timer)
    to_server = server_script(params, point.dropped)
    return lambda timer: bench_server.play(to_server, timer)


def traffic(n: int, m: int) -> Traffic:
    """One client's, counted on real messages."""
    script = client_script(params_of(n, m))
    client = script.client()
    client.set_input(script.x)
    answers = [client.start(), *(client.receive(request) for request in script.requests.values())]
    return Traffic(sum(map(len, answers)), sum(map(len, script.requests.values())))


def selected(plan: Plan, selection: Collection[str]) -> tuple[list[Point], list[tuple[int, int]]]:
    """The points to time, and the (n, m) to count traffic for."""
    points = set()
    for figure, role in (("fig6", "client"), ("fig7", "server")):
        if {figure, "growth"} & set(selection):
            points |= {*plan.along_n(role), *plan.along_m(role)}
    points |= set(plan.table if "fig8" in selection else ())
    return sorted(points), plan.traffic if "fig6" in selection else []


class Pace(NamedTuple):
    """Seconds that a role takes for each pair of users whose mask it expands, and for each of the mask's entries."""

    pair: float
    entry: float

    @classmethod
    def of(cls, short: Point, long: Point, seconds: tuple[float, float]) -> "Pace":
        entry = (seconds[1] - seconds[0]) / pairs(short) / (long.m - short.m)
        return cls(seconds[0] / pairs(short), max(0.0, entry))

    def seconds(self, point: Point) -> float:
        return pairs(point) * (self.pair + self.entry * point.m)


def pairs(point: Point) -> int:
    """A client has n masks; a server n - d, and d (n - d) of the dropped."""
    d = len(point.dropped)
    return point.n if point.role == "client" else (d + 1) * (point.n - d)


class Estimate:
    """How long points will take, from two small sessions of each role; these warm the machine up as well."""

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations
        self._paces = {role: self._try(role) for role in ("client", "server")}

    def _try(self, role: str) -> tuple[Pace, Pace]:
        """Of making messages, and of playing."""
        short, long = (Point(role, 100, m, 30) for m in (1_000, 100_000))
        making, playing = zip(*map(self._once, (short, long)), strict=True)
        return Pace.of(short, long, making), Pace.of(short, long, playing)

    def _once(self, point: Point) -> tuple[float, float]:
        start = perf_counter()
        play = player(point)
        made = perf_counter()
        play(perf_counter)
        return made - start, perf_counter() - made

    def seconds(self, point: Point) -> float:
        making, playing = self._paces[point.role]
        return making.seconds(point) + self._iterations * playing.seconds(point)

    def total(self, points: Iterable[Point]) -> float:
        return sum(map(self.seconds, points))


class Remaining(NamedTuple):
    """What there is to do: points to time, and (n, m) to count traffic for."""

    points: list[Point]
    counts: list[tuple[int, int]]
    iterations: int

    @classmethod
    def of(cls, plan: Plan, selection: Collection[str], store: Store) -> "Remaining":
        """What is selected and the store lacks."""
        points, counts = selected(plan, selection)
        return cls(
            [point for point in points if len(store.times.get(point, ())) < plan.iterations],
            [key for key in counts if key not in store.traffic],
            plan.iterations,
        )

    def describe(self, estimate: Estimate) -> None:
        print(f"{len(self.points)} points to measure, {self.iterations} iterations each")
        for role in ("client", "server"):
            points = [point for point in self.points if point.role == role]
            print(f"  {role}: {len(points)} points, about {estimate.total(points) / 60:.1f} minutes")
        print(f"  traffic: {len(self.counts)} sessions", flush=True)


def measure(store: Store, remaining: Remaining, estimate: Estimate, timer: Timer) -> None:
    """Do the work, saving each result as it comes."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=estimate.total(remaining.points))
        for point in remaining.points:
            bar.update(task, description=title(point))
            play = player(point)
            store.times[point] = [play(timer) for _ in range(remaining.iterations)]
            del play  # before the next one is made: 1.5 GB, the largest
            store.save()
            bar.advance(task, estimate.seconds(point))
        task = bar.add_task("traffic", total=len(remaining.counts))
        for n, m in remaining.counts:
            store.traffic[n, m] = traffic(n, m)
            store.save()
            bar.advance(task)


def title(point: Point) -> str:
    return f"{point.role}, n = {point.n}, m = {point.m:,}, {point.dropouts} % drop out"


def machine(clock: str) -> str:
    """What the measurements depend on."""
    model, flags = cpu()
    versions = ", ".join(f"{library} {importlib.metadata.version(library)}" for library in ("numpy", "cryptography"))
    return (
        f"- {model}, {os.cpu_count()} cores; {flags}; kernels: {_kernels.isa()}\n"
        f"- {platform.system()}, {compiler()}; Python {platform.python_version()}; {versions}\n"
        f"- clock: {clock}\n"
    )


def opened(folder: Path, origin: str, points: Iterable[Point], counts: Iterable[tuple[int, int]]) -> Store:
    """What the folder holds from the same origin, without what is to be measured again."""
    try:
        store = Store.load(folder, origin)
    except ValueError:
        return Store(folder, origin)
    for point in points:
        store.times.pop(point, None)
    for key in counts:
        store.traffic.pop(key, None)
    return store


def chosen(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(SELECTIONS)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(SELECTIONS)}"
        )
    return names


def introduction(plan: Plan, command: str, clock: str, origin: str, load: float) -> Iterator[str]:
    yield "# The paper's figures, measured here\n"
    yield f"`{command}`\n"
    yield (
        f"Sessions as in section 7.3: the semi-honest model, entries of 24 bits, one thread, no network, {clock} time;"
        " users who drop out do so after ShareKeys. The threshold is t = floor(2n/3) + 1; the paper does not print its"
        f" own. Times are means with 95 % confidence intervals (Student's t) over at least {plan.iterations} iterations"
        " of the measured party; everyone else's messages are made beforehand, once for each point. The server's sum is"
        " checked every time.\n"
    )
    yield (
        "The paper prints no data for Figures 6 and 7, only plots: what can be compared number by number is Fig. 8."
        " Its machine was a Xeon E5-1650 v3 at 3.5 GHz, its program Java.\n"
    )
    yield from left_out(plan)
    yield f"{origin}- load average when the run began: {load:.1f}\n"


def left_out(plan: Plan) -> Iterator[str]:
    """What of the paper's evaluation this plan does not measure."""
    missing = {
        "n": sorted({*FULL.counts} - {*plan.counts}),
        "m": sorted({*FULL.lengths} - {*plan.lengths}),
        "Fig. 8's rows for n": sorted({*FULL.table_counts} - {*plan.table_counts}),
    }
    parts = [f"{what} = {', '.join(f'{value:,}' for value in values)}" for what, values in missing.items() if values]
    if plan.iterations < FULL.iterations:
        parts.append(f"{FULL.iterations - plan.iterations} of the paper's {FULL.iterations} iterations")
    if parts:
        yield f"**A subset**; left out: {'; '.join(parts)}.\n"


def run(options: argparse.Namespace, plan: Plan, command: str) -> None:
    """Measure what is selected, and write all figures that the folder then has the points for."""
    load = os.getloadavg()[0]
    folder, origin = options.output, machine(options.clock)
    store = Store.load(folder, origin) if options.resume else opened(folder, origin, *selected(plan, options.only))
    remaining, estimate = Remaining.of(plan, options.only, store), Estimate(plan.iterations)
    remaining.describe(estimate)
    if options.plan:
        return
    measure(store, remaining, estimate, CLOCKS[options.clock])
    store.save()
    text = [*introduction(plan, command, options.clock, store.machine, load), *figures.write(store, plan)]
    text += growth.write(store, plan)
    (folder / "figures.md").write_text("\n".join(text).rstrip() + "\n")
    print(f"written to {folder}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.paper", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=chosen, default=SELECTIONS, help=f"of {','.join(SELECTIONS)}; growth takes all")
    parser.add_argument("--quick", action="store_true", help="fewer points and iterations: two minutes")
    parser.add_argument("--iterations", type=int, help=f"of each point: {FULL.iterations}, or {QUICK.iterations} quick")
    parser.add_argument("--plan", action="store_true", help="say what is to be measured and how long it takes; no more")
    parser.add_argument("--resume", action="store_true", help="measure only what the output folder lacks")
    parser.add_argument("--output", type=Path, help=f"folder: bench/results/figures, or {QUICK_FIGURES} for --quick")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="wall as in the paper, or on a busy machine this process's CPU time",
    )
    options = parser.parse_args(arguments)
    options.output = options.output or (QUICK_FIGURES if options.quick else FIGURES)
    return options


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    plan = QUICK if options.quick else FULL
    if options.iterations is not None:
        plan = replace(plan, iterations=options.iterations)
    try:
        run(options, plan, " ".join(["python -m bench.paper", *arguments]))
    except ValueError as error:
        sys.exit(str(error))
