"""What the page shows: numbers and words, in the form that page.js reads. Nothing here is secret.

All lists are bounded: TASKS_SHOWN tasks on a page of many, BATCHES_SHOWN batches of each, JOBS_SHOWN jobs of each kind.
Next to a list that was cut stands how many there are.
"""

from contextlib import suppress
from typing import Any

from ....errors import RemoteProtocolError
from ...aggregator.health import helper_state
from ...aggregator.release import collections_left
from ...messages import CollectionJobReq, Interval, Role
from ...privacy.extension import collections_allowed
from ...store import overview
from ...store.engine import Tx
from ...store.outcomes import HOUR, list_outcomes
from ...store.reports import count_open_reports, find_oldest_open_bucket
from ...store.tasks import KnownTasks, TaskRecord
from ...task import Task

TASKS_SHOWN = 25
BATCHES_SHOWN = 6
JOBS_SHOWN = 40
HOURS_SHOWN = 48
WORDS_SHOWN = 300  # characters of what a peer said


def overview_of(tx: Tx, tasks: KnownTasks, role: Role, number: int, now: float) -> dict[str, Any]:
    """What the page shows beside tasks, and the tasks that are on it, by their IDs.

    Args:
        tx: a transaction.
        tasks: those that were loaded.
        role: LEADER or HELPER.
        number: of the page of tasks, from 1 on.
        now: POSIX seconds.
    """
    count = overview.count_tasks(tx)
    jobs, waiting = overview.list_waiting_jobs(tx, role, JOBS_SHOWN)
    queue = {"waiting_reports": count_open_reports(tx)} if role is Role.LEADER else {}
    return {
        "database": "ok",
        "role": role.name.lower(),
        "tasks": count,
        "page": number,
        "first": (number - 1) * TASKS_SHOWN + 1,
        "pages": max(1, -(-count // TASKS_SHOWN)),
        **queue,
        "jobs": [job for each in jobs if (job := _job(tx, tasks, each)) is not None],
        "waiting_jobs": waiting,
        "keys": [_key(each, now) for each in overview.list_key_times(tx)],
        "names": [record.task.text for record, _ in tasks_of(tx, tasks, number)],
    }


def tasks_of(tx: Tx, tasks: KnownTasks, number: int) -> list[tuple[TaskRecord, float]]:
    """The tasks on a page, the newest first, and when they were added.

    Args:
        tx: a transaction.
        tasks: those that were loaded.
        number: of the page, from 1 on.
    """
    keys = overview.list_task_keys(tx, (number - 1) * TASKS_SHOWN, TASKS_SHOWN)
    return [(record, added) for key, added in keys if (record := tasks.find(tx, key)) is not None]


def task_of(tx: Tx, record: TaskRecord, role: Role, added: float, now: float) -> dict[str, Any]:
    """All that the page shows of a task.

    Args:
        tx: a transaction.
        record: the task.
        role: LEADER or HELPER.
        added: POSIX seconds.
        now: POSIX seconds.
    """
    task, privacy = record.task, record.task.privacy
    batches, count, reports = overview.list_open_batches(tx, record, role, BATCHES_SHOWN)
    shown: dict[str, Any] = {
        "id": task.text,
        "added": added,
        "vdaf": task.vdaf.NAME,
        "dialect": task.dialect.name,
        "mode": task.batch_mode.name.lower().replace("_", "-"),
        "min_batch_size": task.min_batch_size,
        "noise": "none" if privacy is None else f"{privacy.mechanism}, {privacy.budget} a collection",
        "collections_left": collections_left(tx, record),
        "collections_allowed": None if privacy is None else collections_allowed(privacy, task.vdaf),
        "collected": overview.count_collected(tx, record),
        "batches": [_batch(task, each) for each in batches],
        "open_batches": count,
        "open_batch_reports": reports,
        "outcomes": _outcomes(tx, record, now),
        "first_hour": _first_hour(now),
    }
    if role is Role.HELPER:
        return shown
    bucket = find_oldest_open_bucket(tx, record)
    oldest = None if bucket is None else bucket * task.time_precision
    helper = helper_state(tx, record)
    return {**shown, "waiting_reports": count_open_reports(tx, record), "oldest": oldest, "helper": helper}


def _outcomes(tx: Tx, record: TaskRecord, now: float) -> dict[str, dict[str, list[int]]]:
    """By stage and outcome, the counts of the last HOURS_SHOWN hours; this one is the last."""
    found: dict[str, dict[str, list[int]]] = {}
    first = _first_hour(now)
    for each in list_outcomes(tx, record, first):
        counts = found.setdefault(each.stage, {}).setdefault(each.name, [0] * HOURS_SHOWN)
        if each.hour < first + HOURS_SHOWN:  # else the clock was set back since
            counts[each.hour - first] = each.count
    return found


def _first_hour(now: float) -> int:
    return int(now) // HOUR - HOURS_SHOWN + 1


def _batch(task: Task, batch: overview.OpenBatch) -> dict[str, Any]:
    """Start and end in POSIX seconds; None where the Leader has selected it."""
    start = None if batch.start is None else batch.start * task.time_precision
    end = None if start is None else start + task.time_precision
    return {"start": start, "end": end, "created": batch.created, "reports": batch.reports, "target": batch.target}


def _job(tx: Tx, tasks: KnownTasks, job: overview.WaitingJob) -> dict[str, Any] | None:
    """A job in words; None if its task was deleted."""
    record = tasks.find(tx, job.task)
    if record is None:
        return None
    shown = {"task": record.task.text, "kind": job.kind, "since": job.since, "due": job.due, "attempts": job.attempts}
    why = None if job.why is None else job.why[:WORDS_SHOWN]
    return {**shown, "why": why, "interval": _interval(record.task, job.request)}


def _interval(task: Task, request: bytes | None) -> list[int] | None:
    """Start and end of the batch that a collection asks for, in POSIX seconds; None where the Leader selects it."""
    if request is None or not task.by_time:
        return None
    with suppress(RemoteProtocolError):  # never: it was checked when it came
        interval = Interval.decode(CollectionJobReq.decode(request).query.config)
        return [interval.start * task.time_precision, interval.end * task.time_precision]
    return None


def _key(key: overview.KeyTimes, now: float) -> dict[str, Any]:
    def lasts(until: float | None) -> bool:
        return until is None or now < until

    ends = {"advertised_until": key.advertised_until, "accepted_until": key.accepted_until}
    told = {"advertised": lasts(key.advertised_until), "accepted": lasts(key.accepted_until)}
    return {"id": key.id, "created": key.created, **ends, **told}
