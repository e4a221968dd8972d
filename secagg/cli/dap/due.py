"""`secagg dap collect --due`: every batch of a task that is complete, each in a file of its own, as cron runs it.

A file is written once, whole, and never overwritten: where it is, its batch is not asked for again. So a run that was
cut off is made good by the next one. The Leader is first asked for all batches, and works on them side by side; then
each is waited for.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...dap.client.collector import Batch, Collection, CollectionPending
from ...dap.problems import DapProblem
from ...dap.task import Task, time_text
from ...durable import create

MOST = 1000
"""Batches that one run asks for, the oldest first."""

Ask = Callable[[Batch, float], Collection]
"""Collects a batch within so many seconds; a job whose batch the Leader selected stays with the Leader."""

Delete = Callable[[str], None]


class Format(StrEnum):
    """Of a batch's file."""

    CSV = "csv"
    """A line for each entry of the result, after a line with the columns' names."""
    JSONL = "jsonl"
    """One line."""


class Outcome(StrEnum):
    """What became of a batch."""

    WRITTEN = "written"
    PENDING = "not ready"
    TOO_FEW = "too few reports"
    REFUSED = "refused"


@dataclass(frozen=True)
class Told:
    """What is told of a batch.

    Attributes:
        batch: in words; empty where the Leader selects batches and none came.
        outcome: see `Outcome`.
        detail: the file, or the reason.
        reports: how many are in the batch; None if it was not written.
    """

    batch: str
    outcome: Outcome
    detail: str
    reports: int | None = None


def intervals(first: int, every: int, until: float) -> Iterator[tuple[int, int]]:
    """Start and duration in seconds of the intervals that are over.

    Args:
        first: where the first one starts, POSIX seconds.
        every: the duration of each, seconds.
        until: POSIX seconds by which they are over.
    """
    return ((start, every) for start in range(first, int(until) - every + 1, every))


@dataclass(frozen=True)
class Files:
    """Where results go.

    Attributes:
        folder: of all files.
        format: of each.
        labels: of the result's entries; numbers without them.
    """

    folder: Path
    format: Format
    labels: Sequence[str]

    def of_interval(self, start: float, seconds: float) -> Path:
        """The file of an interval: 20260131T120000Z-20260131T130000Z.csv."""
        return self.folder / f"{_basic(start)}-{_basic(start + seconds)}.{self.format}"

    def of_job(self, collection: Collection) -> Path:
        """The file of a batch that the Leader selected. Two batches may have the same times, and no job has two."""
        job = sha256(collection.job.encode()).hexdigest()[:8]
        return self.folder / f"{_basic(collection.start)}-{_basic(collection.end)}-{job}.{self.format}"

    def write(self, path: Path, task: Task, collection: Collection, start: float, end: float) -> None:
        """Write a batch's file, unless it is there: whole, and on disk when this returns."""
        lines = {Format.CSV: _csv, Format.JSONL: _json}[self.format]
        content = lines(_released(task, collection, start, end), self._labelled(collection))
        with suppress(FileExistsError):  # another run has written the same result
            create(path, content.encode())

    def _labelled(self, collection: Collection) -> list[tuple[str, float, float]]:
        values, bars = (
            list(each) if isinstance(each, list | tuple) else [each]
            for each in (collection.result, collection.error_bars)
        )
        labels = self.labels or [str(i) for i in range(len(values))]
        return list(zip(labels, values, bars, strict=True))


def collect_intervals(
    task: Task, due: Sequence[tuple[int, int]], files: Files, ask: Ask, timeout: float, clock: Callable[[], float]
) -> Iterator[Told]:
    """Collect intervals and write their files.

    Args:
        task: whose batches are intervals.
        due: start and duration of each, in seconds.
        files: where the results go.
        ask: collects.
        timeout: seconds to wait for all of them together.
        clock: POSIX seconds.
    """
    began = clock()
    for wait in (False, True):
        pending = []
        for start, seconds in due:
            left = max(0.0, began + timeout - clock()) if wait else 0.0
            told = _asked(task, start, seconds, files, ask, left)
            if told.outcome is Outcome.PENDING and not wait:
                pending.append((start, seconds))
            else:
                yield told
        due = pending


def collect_selected(task: Task, files: Files, ask: Ask, delete: Delete, timeout: float) -> Iterator[Told]:
    """Collect the batches that the Leader selects, as long as there is one, and write their files.

    Args:
        task: whose Leader selects the batches.
        files: where the results go.
        ask: collects.
        delete: has the Leader forget a job, whose result is on disk by then.
        timeout: seconds to wait for each.
    """
    for _ in range(MOST):
        try:
            collection = ask(None, timeout)
        except CollectionPending as pending:
            yield Told("", Outcome.PENDING, str(pending))
            return
        except DapProblem as problem:
            yield Told("", Outcome.REFUSED, str(problem))
            return
        path, start, end = files.of_job(collection), collection.start, collection.end
        files.write(path, task, collection, start, end)
        delete(collection.job)
        yield Told(f"{time_text(start)} until {time_text(end)}", Outcome.WRITTEN, str(path), collection.report_count)


def _asked(task: Task, start: int, seconds: int, files: Files, ask: Ask, timeout: float) -> Told:
    batch, path = f"{time_text(start)} until {time_text(start + seconds)}", files.of_interval(start, seconds)
    try:
        collection = ask((start, seconds), timeout)
    except CollectionPending as pending:
        return Told(batch, Outcome.PENDING, str(pending))
    except DapProblem as problem:
        outcome = Outcome.TOO_FEW if problem.type == "invalidBatchSize" else Outcome.REFUSED
        return Told(batch, outcome, problem.detail or str(problem))
    files.write(path, task, collection, start, start + seconds)
    return Told(batch, Outcome.WRITTEN, str(path), collection.report_count)


# --- Contents -------------------------------------------------------------------------------------------------------


def _released(task: Task, collection: Collection, start: float, end: float) -> dict[str, Any]:
    """What was released of a batch, and what it cost."""
    privacy = task.privacy
    return {
        "task_id": task.text,
        "start": time_text(start),
        "end": time_text(end),
        "report_count": collection.report_count,
        "confidence": collection.confidence,
        "mechanism": "none" if privacy is None else str(privacy.mechanism),
        "cost": "" if privacy is None else str(privacy.budget),
    }


def _json(released: dict[str, Any], entries: list[tuple[str, float, float]]) -> str:
    labels, values, bars = (list(column) for column in zip(*entries, strict=True))
    return json.dumps({**released, "labels": labels, "result": values, "error_bars": bars}) + "\n"


def _csv(released: dict[str, Any], entries: list[tuple[str, float, float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*released, "label", "value", "error_bar"])
    writer.writerows([*released.values(), *entry] for entry in entries)
    return text.getvalue()


def _basic(seconds: float) -> str:
    """ISO 8601's basic format, which every file system takes."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y%m%dT%H%M%SZ}"
