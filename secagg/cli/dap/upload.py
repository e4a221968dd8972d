"""`secagg dap upload`: upload measurements, as a Client does."""

import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ...dap import task_file
from ...dap.client.upload import Client, UploadInterrupted, UploadResult
from ...dap.reports import check_measurements
from ...dap.task import Task
from ...dap.vdafs import MultihotCountVec, SumVec
from ...errors import SecAggError
from ...text import decode_text, read_text
from ..app import CommandError, require
from ..console import progress_bar, show, show_json
from ..numbers import integer
from ..options import AllowHttpOption, CaOption, JsonOption
from .common import http_client, load
from .task_options import secret_word

SLICE = 1000  # measurements between two looks at the progress


def upload(
    task: Annotated[Path, typer.Option(metavar="FILE", help="The Client's file of the task, client.json.")],
    measurements: Annotated[
        list[str] | None,
        typer.Argument(metavar="MEASUREMENT", help="Numbers; vectors as 0,1,0. Begin with -- before a minus sign."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="Read them here, one on each line; - is stdin.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A token, if the Leader takes uploads only with one; - is stdin."),
    ] = None,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Split each measurement into two shares, seal one to each Aggregator, and upload them.

    Neither Aggregator sees a measurement. If the task has Clients randomize, measurements are randomized first.
    Where they do so by unary encoding, a measurement is the number of a bucket, from 0 on.

    \b
    Examples:
      secagg dap upload --task client.json 3
      secagg dap upload --task client.json -- 1,0,2 0,0,1
      secagg dap upload --task client.json --input measurements.txt
      secagg dap upload --task client.json --token-file site-7.token 3

    Exit codes: 1 some measurements were refused, or their outcome is not known.
    """
    require((source is None) != (not measurements), "give measurements, or --input FILE with one on each line")
    require(not str(source) == str(token_file) == "-", "only one of --input and --token-file can come from stdin")
    token = None if token_file is None else secret_word("--token-file", token_file)
    client_task = load(task, task_file.load).task
    lines = list(measurements or []) if source is None else _lines(source)
    values = [parse(client_task, line, i) for i, line in enumerate(lines, 1)]
    checked = _checked(client_task, values)
    total = UploadResult(0, {})
    quiet = json or len(values) <= SLICE
    with (
        http_client(ca) as http,
        Client(client_task, token=token, http=http, allow_http=allow_http) as client,
        progress_bar(quiet=quiet) as progress,
    ):
        progress("measurements uploaded", 0, len(values))
        for start in range(0, len(values), SLICE):
            try:
                result = client.upload(checked[start : start + SLICE])
            except UploadInterrupted as error:
                raise CommandError(_interrupted(error, start, total, len(values))) from None
            except SecAggError as error:  # nothing of this slice was sent, or all of it refused
                if not start:
                    raise
                raise CommandError(_ended(error, start, total, len(values))) from None
            total = _joined(total, result, start)
            progress("measurements uploaded", min(start + SLICE, len(values)), len(values))
    _show(total, json)


def parse(task: Task, text: str, number: int) -> Any:
    """A measurement from text: an integer, or for vectors integers between commas. Errors do not repeat it."""
    try:
        numbers = [integer(number) for number in text.split(",")]
    except typer.BadParameter:
        raise CommandError(f"measurement {number} must be a number, or for vectors numbers between commas") from None
    buckets = task.privacy is not None and task.privacy.takes_buckets
    vector = isinstance(task.vdaf, SumVec | MultihotCountVec) and not buckets
    wanted = task.vdaf.entries if vector else 1
    taker = "unary encoding" if buckets else task.vdaf.NAME
    require(len(numbers) == wanted, f"measurement {number} has {len(numbers):,} numbers; {taker} takes {wanted:,}")
    return numbers if vector else numbers[0]


def _checked(task: Task, values: list[Any]) -> Any:
    """The measurements as an array, once all are known to be in range."""
    try:
        return check_measurements(task, np.array(values, dtype=object))
    except ValueError as error:
        raise CommandError(f"{error}, counted from 0") from None


def _lines(source: Path) -> list[str]:
    text = decode_text(sys.stdin.buffer.read(), "stdin") if str(source) == "-" else read_text(source)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _joined(total: UploadResult, result: UploadResult, start: int) -> UploadResult:
    """The outcomes of the measurements before `start` and of those from there on, together."""
    errors = {start + i: reason for i, reason in result.errors.items()}
    unknown = (*total.unknown, *(start + i for i in result.unknown))
    collected = result.collected or total.collected
    return UploadResult(total.accepted + result.accepted, {**total.errors, **errors}, unknown, collected)


def _interrupted(error: UploadInterrupted, start: int, total: UploadResult, count: int) -> str:
    known = _joined(total, error.result, start)
    return (
        f"{error.__cause__ or error}; {_outcomes(known, count)}. The first {start:,} are done; of the next"
        f" {SLICE:,} some may have arrived, and would count twice if they were sent again"
    )


def _ended(error: SecAggError, start: int, total: UploadResult, count: int) -> str:
    return f"{error}; {_outcomes(total, count)}, and after the first {start:,} none was sent"


def _outcomes(known: UploadResult, count: int) -> str:
    unknown = f", and of {len(known.unknown):,} it is not known" if known.unknown else ""
    return f"{known.accepted:,} of {count:,} measurements were accepted{unknown}"


def _show(total: UploadResult, json: bool) -> None:
    named = {i: reason.name.lower() for i, reason in total.errors.items()}
    if json:
        refused = [{"measurement": i + 1, "reason": reason} for i, reason in named.items()]
        show_json({"accepted": total.accepted, "refused": refused, "unknown": [i + 1 for i in total.unknown]})
    else:
        show(f"{total.accepted:,} accepted", *(f"{n:,} refused: {reason}" for reason, n in _counted(named.values())))
        if total.collected:
            show(f"the Leader says: {total.collected}")
        if total.unknown:
            show(f"{len(total.unknown):,} unknown: the Leader refuses them now, and may have taken them at a first try")
    if total.errors or total.unknown:
        raise typer.Exit(1)


def _counted(names: Iterable[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return list(islice(counts.items(), 20))
