"""`secagg dap demo`: a whole deployment on this machine, which aggregates the reports of simulated browsers."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...dap.server.config import ROLES, SECRET_VARIABLE
from ...dap.vdafs import vdaf
from ..app import CommandError, fail, require
from ..console import Progress, progress_bar, show_json
from ..numbers import integer_option
from ..options import JsonOption
from . import experiments
from .demo import Demo, browsers, privacy_for
from .local import Local
from .report import Run, describe, show_report
from .usage import Usage, usage

REPORTS, BUCKETS = (10, 1_000_000), (2, 1000)
POST_BUCKETS = 20  # as in the post: the figures are about two of these types


def demo(
    reports: Annotated[int, integer_option(help="Browsers, each with one report: 10 .. 1,000,000.")] = 1000,
    epsilon: Annotated[str, typer.Option(help="The budget for the noise of each Aggregator: 1, 0.1, 1/3.")] = "1",
    length: Annotated[int, integer_option(help="Error types: 2 .. 1,000.")] = POST_BUCKETS,
    seed: Annotated[int, integer_option(help="Repeat what the browsers see. Keys and noise are always fresh.")] = 1,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep configurations, secrets, stores and logs in this new folder."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw error against epsilon and batch size here; takes a few minutes."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a Leader, a Helper and a Collector here, on network errors that simulated browsers report.

    Leader and Helper are processes on loopback, each with a SQLite store in a temporary folder; the Collector is a
    third process. None of them ever sees a browser's error. The noise that both Aggregators add hides from the
    Collector what any single browser has sent. The result is printed beside the truth, which only this command knows.

    --figures runs the experiments of Cloudflare's "Have your data and hide it too" on this deployment, with a task for
    every point: noisy histograms, and the error of a common and a rare type against epsilon and against batch size.

    \b
    Examples:
      secagg dap demo
      secagg dap demo --reports 100000 --epsilon 0.1
      secagg dap demo --keep deployment --json
      secagg dap demo --figures figures

    Exit codes: 1 the result is wrong.
    """
    _check(reports, epsilon, length, seed, keep, figures)
    begin = time.perf_counter()
    with terminable() as check, _folder(keep) as folder, progress_bar() as show:

        def progress(text: str, done: int, total: int) -> None:
            check()
            show(text, done, total)

        run = _run(folder, reports, epsilon, length, seed, figures, progress)
    run.seconds["in all"] = time.perf_counter() - begin
    report = describe(run, keep)
    show_json(report) if json else show_report(report)
    if run.wrong is not None:
        fail(run.wrong, code=1)


def _run(
    folder: Path, reports: int, epsilon: str, buckets: int, seed: int, figures: Path | None, progress: Progress
) -> Run:
    rng, timer = np.random.default_rng(seed), _Timer()
    progress("starting Leader and Helper", 0, 1)
    with ExitStack() as stack:
        local = stack.enter_context(Local(folder))
        timer.lap("start Leader and Helper")
        deployment = Demo(local, buckets, progress)
        batch = deployment.new_batch(browsers(reports, buckets, rng), epsilon)
        timer.lap("make the task")
        deployment.upload([batch])
        timer.lap("make and upload reports")
        after_upload = _usages(local)
        (release,) = deployment.collect([batch])
        timer.lap("aggregate and collect")
        after_collection = _usages(local)
        measured = None if figures is None else experiments.run(deployment, reports, buckets, rng)
        if measured is not None:
            timer.lap("run the experiments")
        urls = {name: local.urls[role] for name, role in ROLES.items()}
        progress("stopping Leader and Helper", 0, 1)
    timer.lap("stop")
    files = [] if figures is None or measured is None else _draw(measured, figures)
    return Run(release, seed, urls, after_upload, after_collection, timer.seconds, files)


def _draw(measured: experiments.Experiments, folder: Path) -> list[Path]:
    from .figures import draw

    return draw(measured, folder)


def _usages(local: Local) -> dict[str, Usage | None]:
    return {name: usage(local.processes[role].pid) for name, role in ROLES.items()}


class _Timer:
    """Measures the seconds of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


def _check(reports: int, epsilon: str, buckets: int, seed: int, keep: Path | None, figures: Path | None) -> None:
    """Refuse what cannot be done, before the work and not after it."""
    for option, value, (minimum, maximum) in (("--reports", reports, REPORTS), ("--length", buckets, BUCKETS)):
        require(minimum <= value <= maximum, f"{option} must be {minimum:,} .. {maximum:,}, got {value:,}")
    require(
        SECRET_VARIABLE not in os.environ,
        f"{SECRET_VARIABLE} is set, but the demo's Aggregators have secrets of their own: unset it",
    )
    require(seed >= 0, f"--seed must not be negative, got {seed}")
    privacy_for(epsilon, vdaf("Histogram", length=buckets)).plan(vdaf("Histogram", length=buckets))
    if keep is not None:
        require(
            not keep.exists() or (keep.is_dir() and not any(keep.iterdir())),
            f"--keep {keep}: it must be a new or empty folder",
        )
    if figures is not None:
        require(buckets == POST_BUCKETS, f"--figures are about types 8 and 15 of {POST_BUCKETS}: leave out --length")
        require(not figures.exists() or figures.is_dir(), f"--figures {figures}: it is not a folder")
        try:
            import matplotlib  # noqa: F401
        except ModuleNotFoundError:
            raise CommandError("--figures needs matplotlib: pip install matplotlib") from None


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as folder:
        yield Path(folder)


class _Signalled(BaseException):
    """A signal came; no `except Exception` stops it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def terminable() -> Iterator[Callable[[], None]]:
    """Let SIGTERM and SIGHUP end this command as Ctrl-C does, so that no process is left running.

    A signal may come where its exception is lost, as while Python collects garbage: so the function that the block gets
    raises it again, and is called now and then. None of them is a KeyboardInterrupt: where one comes out of `exec`, as
    while a dataclass is made, CPython ends by SIGINT whoever catches it.

    Raises:
        typer.Exit: with 128 and the signal's number.
    """
    caught: list[_Signalled] = []

    def end(number: int, frame: Any) -> None:
        caught.append(_Signalled(number))
        raise caught[0]

    def check() -> None:
        if caught:
            raise caught[0]

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_value not in caught:
            report(lost)

    report, sys.unraisablehook = sys.unraisablehook, unraisable
    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as in the background
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield check
    except _Signalled as signalled:
        raise typer.Exit(128 + signalled.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = report
