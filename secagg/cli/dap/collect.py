"""`secagg dap collect`: get results, as the Collector does."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import peer_file, task_file
from ...dap.client.collector import CONFIDENCE, Batch, Collection, CollectionPending, Collector
from ...dap.hpke import PrivateKey
from ...dap.peer_file import CollectorPeer
from ...dap.task import Task, time_text
from ...dap.task_file import CollectorParty, Party
from ...http.steps import Progress
from ..app import CommandError, fail, require
from ..console import console, show, show_json, show_pairs, table
from ..durations import duration
from ..numbers import number_option
from ..options import AllowHttpOption, CaOption, JsonOption
from .common import http_client, instant, load, read_labels
from .due import MOST, Files, Format, Outcome, collect_intervals, collect_selected, intervals

NOT_YET = 3  # the exit code where the batch is not ready; 2 is for errors
REMINDER_SECONDS = 60.0  # between lines that say what is waited for, where stderr is no terminal


def collect(
    task: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The Collector's file of the task, collector.json; with --peer client.json."),
    ],
    interval: Annotated[
        str | None,
        typer.Option(help="START/DURATION or START/END, such as 2026-01-31T12:00Z/1h.", metavar="INTERVAL"),
    ] = None,
    following: Annotated[
        bool, typer.Option("--next", help="The next batch, in a task whose Leader selects the batches.")
    ] = False,
    due: Annotated[
        bool, typer.Option("--due", help="Every batch that is complete and has no file in --into yet, as for cron.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --due: the folder of the batches' files.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --due: how long an interval is. [default: the time precision]"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --due: where the first interval starts. [default: the task's start]"),
    ] = None,
    settle: Annotated[
        str, typer.Option(metavar="DURATION", help="With --due: how long late reports of an interval are waited for.")
    ] = "10m",
    format: Annotated[Format, typer.Option(help="With --due: of the files.")] = Format.CSV,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --due: names of the result's entries, one a line. [default: the task's]"
        ),
    ] = None,
    collector_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The Collector's key file, where the task's file has no key.")
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of an advertised task: the Collector's file, from `peer new`."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long to wait for the batch, such as 5m, or never. [default: 1h; with --due 5m for all intervals"
            " together, or for each batch that the Leader selects]",
        ),
    ] = None,
    early: Annotated[
        bool, typer.Option("--early", help="Collect an interval that is not over; all later reports are refused.")
    ] = False,
    confidence: Annotated[float, number_option(help="The probability that an error is at most what is printed.")] = (
        CONFIDENCE
    ),
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Collect a batch: the sum of its reports, with the noise that the task's privacy requires, and its error bars.

    A batch is collected once: later reports are refused, and no other batch may overlap it. The same interval gives the
    same result again. If the batch is not ready in time, the same command may be run again.

    With --due each batch goes to a file of its own, such as 20260131T120000Z-20260131T130000Z.csv, which is written
    once and whole: remove none, or its batch is asked for again. Intervals follow one another from --since on. One with
    too few reports is named and passed over.

    \b
    Examples:
      secagg dap collect --task collector.json --interval 2026-01-31T12:00Z/1h
      secagg dap collect --task collector.json --next --timeout 5m --json
      secagg dap collect --task collector.json --due --into results --since 2026-01-31 --every 1d

    Exit codes: 3 a batch is not ready yet.
    """
    party = _party(task, peer)
    if not isinstance(party, CollectorParty):
        raise CommandError(f"{task} is another party's file: give the Collector's, collector.json")
    require(0 < confidence < 1, f"--confidence must be above 0 and below 1, got {confidence:g}")
    seconds = None if timeout == "never" else duration("--timeout", timeout or ("5m" if due else "1h"))
    if due:
        require(interval is None and not following and not early, "--due takes none of --interval, --next and --early")
        files = _files(party, into, format, labels)
        batches = _due(party.task, files, every, since, settle)
    else:
        require(into is None, "--into is for --due: without it the result is printed")
        batch = _batch(party.task, interval, following, early)
    with (
        http_client(ca) as http,
        Collector(
            party.task,
            _private_key(task, party, collector_key),
            party.config,
            party.token,
            http=http,
            allow_http=allow_http,
        ) as collector,
        waiting() as progress,
    ):
        if due:
            keep = partial(collector.collect, confidence=confidence, progress=progress, keep=True)
            _collect_due(party.task, batches, files, keep, collector.delete, inf if seconds is None else seconds, json)
            return
        try:
            result = collector.collect(batch, confidence=confidence, timeout=seconds, progress=progress)
        except CollectionPending as pending:
            print(f"error: {pending}", file=sys.stderr)
            raise typer.Exit(NOT_YET) from None
    _show(party.task, result, json)


def parse_interval(text: str, precision: int) -> tuple[float, float]:
    """Start and duration of an interval in seconds; both are multiples of the time precision."""
    first, slash, second = text.partition("/")
    require(bool(slash), f"--interval must be START/DURATION or START/END, such as 2026-01-31T12:00Z/1h; got {text!r}")
    start = instant("the start of --interval", first)
    if second.strip()[-1:].lower() in ("s", "m", "h", "d"):
        seconds = duration("the duration of --interval", second)
    else:
        seconds = instant("the end of --interval", second) - start
    require(seconds > 0, "--interval must end after it starts")
    require(
        start % precision == 0 and seconds % precision == 0,
        f"--interval must start and end at whole numbers of the task's time precision, {precision:,} seconds: try"
        f" {time_text(start // precision * precision)}/{-(-seconds // precision) * precision}s",
    )
    return start, seconds


def _batch(task: Task, interval: str | None, following: bool, early: bool) -> Batch:
    if task.by_time:
        require(not following, "--next is for tasks whose Leader selects the batches: give --interval in this one")
        if interval is None:
            raise CommandError("--interval is missing: give START/DURATION, such as 2026-01-31T12:00Z/1h")
        start, seconds = parse_interval(interval, task.time_precision)
        require(
            early or start + seconds <= time.time(),
            f"this interval is not over until {time_text(start + seconds)}, and all its later reports would be refused:"
            " wait, or give --early",
        )
        return start, seconds
    require(interval is None, "--interval is for tasks whose batches are by time: give --next in this one")
    require(following, "--next is missing: the Leader selects the batches of this task, and --next gets the next one")
    return None


def _files(party: CollectorParty, into: Path | None, form: Format, labels: Path | None) -> Files:
    """Where the batches' files go."""
    if into is None:
        raise CommandError("--into is missing: the folder of the batches' files")
    require(into.is_dir(), f"--into {into} is no folder: make it first")
    named = party.labels if labels is None else read_labels(labels)
    entries = party.task.vdaf.entries
    require(labels is None or len(named) == entries, f"{labels} must have {entries:,} lines, and has {len(named):,}")
    return Files(into, form, named)


def _due(task: Task, files: Files, every: str | None, since: str | None, settle: str) -> list[tuple[int, int]]:
    """The intervals that are over and have no file; none where the Leader selects the batches."""
    if not task.by_time:
        require(every is None and since is None, "--every and --since are for tasks whose batches are by time")
        return []
    precision = task.time_precision
    if since is None:
        require(task.interval is not None, "--since is missing: this task does not say when it starts")
        assert task.interval is not None
        first = task.interval.start * precision
    else:
        first = instant("--since", since)
    length = precision if every is None else duration("--every", every)
    require(
        first % precision == 0 and length % precision == 0,
        f"--since and --every must be whole numbers of the task's time precision, {precision:,} seconds",
    )
    until = time.time() - duration("--settle", settle)
    missing = [each for each in intervals(first, length, until) if not files.of_interval(*each).exists()]
    return missing[:MOST]


def _collect_due(
    task: Task,
    batches: list[tuple[int, int]],
    files: Files,
    collect: Callable[..., Collection],
    delete: Callable[[str], None],
    timeout: float,
    json: bool,
) -> None:
    """Collect and write what is due, and say what became of each."""

    def ask(batch: Batch, seconds: float) -> Collection:
        return collect(batch, timeout=None if seconds == inf else seconds)

    if task.by_time:
        steps = collect_intervals(task, batches, files, ask, timeout, time.time)
    else:
        steps = collect_selected(task, files, ask, delete, timeout)
    told = []
    for each in steps:
        told.append(each)
        if not json:
            show(f"{each.batch}: {each.outcome}: {each.detail}".removeprefix(": "))
    if json:
        show_json([asdict(each) for each in told])
    elif not told:
        show("nothing is due")
    outcomes = {each.outcome for each in told}
    if Outcome.REFUSED in outcomes:
        fail("a batch was refused")
    if Outcome.PENDING in outcomes and task.by_time:
        raise typer.Exit(NOT_YET)


def _party(task: Path, peer: Path | None) -> Party:
    """What the task's file holds; for an advertised task, with what the Collector holds of all of them."""
    party = load(task, task_file.load)
    if peer is None:
        return party
    held = load(peer, peer_file.load)
    if not isinstance(held, CollectorPeer):
        raise CommandError(f"{peer} is another party's file: give the Collector's, collector.json of `peer new`")
    return held.party(party.task)


def _private_key(path: Path, party: CollectorParty, file: Path | None) -> PrivateKey:
    if file is None:
        if party.private_key is None:
            raise CommandError(
                f"{path} has no private key: give --collector-key FILE, as `secagg dap collector-key` wrote it"
            )
        return party.private_key
    return load(file, task_file.load_key).private_key


@contextmanager
def waiting() -> Iterator[Callable[[Progress], None]]:
    """What the batch waits for, on stderr: a line that changes if that is a terminal, or else a line a minute."""
    err, told = console(stderr=True), 0.0

    def tell(step: Progress) -> None:
        nonlocal told
        if step.waited - told >= REMINDER_SECONDS:
            told = step.waited
            print(_progress(step), file=sys.stderr, flush=True)

    if not err.is_interactive:
        yield tell
        return
    with err.status("asking the Leader") as status:
        yield lambda step: status.update(_progress(step))


def _progress(step: Progress) -> str:
    return (
        f"the batch is not ready after {step.waited:.0f} s{': ' * bool(step.reason)}{step.reason};"
        f" the Leader is asked again in {step.pause:.0f} s"
    )


def _show(task: Task, collection: Collection, json: bool) -> None:
    if json:
        show_json(_described(task, collection))
        return
    noise = "none" if task.privacy is None else f"{task.privacy.mechanism}, {task.privacy.budget}"
    show_pairs(
        [
            ("reports", f"{collection.report_count:,}"),
            ("from", f"{time_text(collection.start)} until {time_text(collection.end)}"),
            ("noise", noise),
        ]
    )
    made = table("entry", "result", *(["error at most"] if task.privacy is not None else []))
    for i, (value, bar) in enumerate(zip(_listed(collection.result), _listed(collection.error_bars), strict=True)):
        made.add_row(str(i), _number(value), *([_number(bar)] if task.privacy is not None else []))
    show("", made)
    if task.privacy is not None:
        show(f"errors: of each entry by itself, with a confidence of {collection.confidence:g}")
    if not task.by_time and not collection.deleted:
        show("the Leader still has this job, and --next would get it again: try once more")


def _described(task: Task, collection: Collection) -> dict[str, Any]:
    return {
        "task_id": task.text,
        "report_count": collection.report_count,
        "start": time_text(collection.start),
        "end": time_text(collection.end),
        "result": collection.result,
        "error_bars": collection.error_bars,
        "confidence": collection.confidence,
        "deleted": collection.deleted,
    }


def _listed(value: Any) -> list[float]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
