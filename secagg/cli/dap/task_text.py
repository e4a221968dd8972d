"""A task in words, and as JSON; without its secrets."""

from typing import Any

from ...dap.privacy.extension import MAX_REPORTS, collections_allowed
from ...dap.task import Task, time_text
from ..durations import duration_text


def vdaf_text(task: Task) -> str:
    """Its VDAF with the parameters."""
    given = ", ".join(f"{name} = {value}" for name, value in vars(task.vdaf).items())
    return f"{task.vdaf.NAME}({given})" if given else task.vdaf.NAME


def mode_text(task: Task) -> str:
    """How its batches are chosen."""
    return task.batch_mode.name.lower().replace("_", "-")


def _dialect_text(task: Task) -> str:
    among, dialect = task.dialect.aggregators_tag, task.dialect
    return dialect.name if among == dialect.tag else f"{dialect.name}, by Clients; {among.decode()} among the others"


def _sizes_text(task: Task) -> str:
    text = f"{task.min_batch_size:,} reports or more"
    if task.max_batch_size >= MAX_REPORTS:
        return text
    return f"{text}, at most {task.max_batch_size:,}, whose sum is sure to be in the field"


def _interval(task: Task) -> tuple[float, float] | None:
    """Start and end of the task interval in POSIX seconds; None for any time."""
    interval = task.interval
    return None if interval is None else (interval.start * task.time_precision, interval.end * task.time_precision)


def in_words(task: Task) -> list[tuple[str, str]]:
    """What a task is, in pairs of a name and a value."""
    interval = _interval(task)
    when = "any time" if interval is None else f"from {time_text(interval[0])} until {time_text(interval[1])}"
    seen = task.dialect.binds_task
    pairs = [
        ("task", task.text),
        (
            "info",
            "".join(c if c.isprintable() else "?" for c in task.configuration.task_info.decode("utf-8", "replace")),
        ),
        ("leader", task.leader_url),
        ("helper", task.helper_url),
        ("vdaf", vdaf_text(task)),
        ("batches", f"{_sizes_text(task)}, {mode_text(task)}"),
        ("times", f"rounded to {duration_text(task.time_precision)}; {when}"),
        ("dialect", _dialect_text(task)),
    ]
    if task.privacy is None:
        return [*pairs, ("privacy", "none: results are exact")]
    return pairs + task.privacy.report(task.vdaf, seen=seen)


def described(task: Task) -> dict[str, Any]:
    """The same as JSON has it."""
    interval, privacy = _interval(task), task.privacy
    return {
        "task_id": task.text,
        "leader": task.leader_url,
        "helper": task.helper_url,
        "vdaf": {"name": task.vdaf.NAME, **vars(task.vdaf)},
        "batch_mode": mode_text(task),
        "min_batch_size": task.min_batch_size,
        "time_precision": task.time_precision,
        "interval": interval and {"start": time_text(interval[0]), "end": time_text(interval[1])},
        "dialect": task.dialect.name,
        "privacy": None
        if privacy is None
        else {
            "mechanism": str(privacy.mechanism),
            "budget": str(privacy.budget),
            "total": str(privacy.total),
            "collections": collections_allowed(privacy, task.vdaf),
            "report": [list(pair) for pair in privacy.report(task.vdaf, seen=task.dialect.binds_task)],
        },
    }


def state_in_words(state: dict[str, Any]) -> list[tuple[str, str]]:
    """How a task is at an Aggregator, in pairs of a name and a value.

    Args:
        state: as `secagg dap task show --config --json` has it.
    """
    pairs = []
    if state["collections_left"] is not None:
        pairs.append(("left", f"{state['collections_left']:,} collections of the total"))
    if "helper_check" in state:
        check = state["helper_check"]
        said = f" ({check['reason']})" if check["fails"] and check["reason"] else ""
        when = "" if check["checked"] is None else f"; asked at {check['checked']}"
        pairs += [("waiting", f"{state['waiting']:,} reports"), ("helper is", f"{check['advice']}{said}{when}")]
    if "client_tokens" in state:
        count = state["client_tokens"]
        pairs.append(("uploads", f"need a Client's token ({count:,} known)" if count else "need no token"))
    return pairs
