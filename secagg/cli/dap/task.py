"""`secagg dap task`: tell an Aggregator of tasks, look at them, and forget them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import task_file
from ...dap.aggregator.health import helper_state
from ...dap.aggregator.release import collections_left
from ...dap.messages import Role
from ...dap.store.engine import Tx
from ...dap.store.reports import count_open_reports
from ...dap.store.tasks import KnownTasks, TaskRecord, delete_task, find_task
from ...dap.task import Task
from ..app import App, CommandError, require
from ..console import show, show_json, show_pairs, table
from ..options import AllowHttpOption, JsonOption
from . import tokens
from .common import ConfigOption, add_party, decoded_task_id, load, opened, stored_task
from .new_task import new
from .task_text import described, in_words, mode_text, state_in_words, vdaf_text

app = App(
    help="""Tasks: what is measured, how it is added up, and how private results are.

    \b
    Examples:
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --epsilon 1 --collections 10 --output task
      secagg dap task show task/helper.json
      secagg dap task add --config helper.toml task/helper.json
      secagg dap task list --config helper.toml
    """,
)

PartyFile = Annotated[Path, typer.Argument(metavar="PARTYFILE", help="A file that `secagg dap task new` wrote.")]


def add(config: ConfigOption, file: PartyFile, allow_http: AllowHttpOption = False, json: JsonOption = False) -> None:
    """Tell an Aggregator of a task. Look at it first with `task show`: this Aggregator will promise what it says.

    Running servers know the task within seconds.

    \b
    Example:
      secagg dap task add --config helper.toml task/helper.json
    """
    party = load(file, task_file.load)
    add_party(config, party, allow_http)
    _show_task(party.task, json)


def show_one(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A file that `task new` wrote, or with --config an ID.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The Aggregator's configuration: also show how the task is at it."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say in words what a task is, without its secrets: look at it before you add it.

    With --config, also say what is left of its budget and, at the Leader, how many reports wait, and whether the Helper
    has the task and accepts the Leader's token: the Leader asks it when the task is added, until that is so.

    \b
    Examples:
      secagg dap task show task/helper.json
      secagg dap task show --config leader.toml task/leader.json
    """
    if config is None:
        _show_task(load(Path(task), task_file.load).task, json)
        return
    with opened(config) as (loaded, store), store.read() as tx:
        record = stored_task(tx, task, config)
        state: dict[str, Any] = {"collections_left": collections_left(tx, record)}
        if loaded.role is Role.LEADER:
            state |= {"waiting": count_open_reports(tx, record), "helper_check": helper_state(tx, record)}
            state["client_tokens"] = len(record.client_tokens)
    if json:
        show_json({**described(record.task), **state})
    else:
        show_pairs([*in_words(record.task), *state_in_words(state)])


def list_tasks(config: ConfigOption, json: JsonOption = False) -> None:
    """Show the tasks of an Aggregator, and what is left of their budgets.

    \b
    Example:
      secagg dap task list --config leader.toml
    """
    with opened(config) as (_, store), store.read() as tx:
        rows = [_row(tx, record) for record in KnownTasks().list_all(tx)]
    if json:
        show_json(rows)
        return
    made = table("task", "VDAF", "batch", "noise", "collections left", "waiting reports")
    for row in rows:
        left = "" if row["collections_left"] is None else f"{row['collections_left']:,}"
        batch = f"{row['min_batch_size']:,} or more, {row['batch_mode']}"
        made.add_row(row["task_id"], row["vdaf"], batch, row["mechanism"] or "none", left, f"{row['waiting']:,}")
    show(made)


def delete(
    config: ConfigOption,
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="Its ID, as `task list` shows it.")],
    force: Annotated[bool, typer.Option("--force", help="Even if reports wait that were never aggregated.")] = False,
    json: JsonOption = False,
) -> None:
    """Forget a task's secrets: it accepts no more reports and gives no more results. Its ID is never used again.

    \b
    Example:
      secagg dap task delete --config leader.toml aBc...
    """
    decoded = decoded_task_id(task_id)
    with opened(config) as (_, store), store.write() as tx:
        record = find_task(tx, decoded)
        if record is None:
            raise CommandError(f"there is no task {task_id} here; see `secagg dap task list --config {config}`")
        left = count_open_reports(tx, record)
        require(
            force or not left,
            f"{left:,} reports of this task are not aggregated yet and would be lost: wait, or give --force",
        )
        delete_task(tx, decoded)
    if json:
        show_json({"deleted": task_id})
    else:
        show(f"task {task_id} is deleted here; delete it at the other Aggregator, too")


app.command("new", short_help="Make a task, with what each party has to hold.")(new)
app.command("show", short_help="Say what a task is, and how it is at an Aggregator.")(show_one)
app.command("add", short_help="Tell an Aggregator of a task.")(add)
app.command("list", short_help="Show an Aggregator's tasks.")(list_tasks)
app.command("delete", short_help="Forget a task.")(delete)
app.command("new-token", short_help="Make a token that a party of a task shows.")(tokens.make)
app.command("accept-token", short_help="Accept a new token, and the old one for some time.")(tokens.accept)
app.command("use-token", short_help="Show a new token from now on.")(tokens.use)
app.command("end-token", short_help="Accept the new token alone.")(tokens.end)


def _show_task(task: Task, json: bool) -> None:
    if json:
        show_json(described(task))
    else:
        show_pairs(in_words(task))


def _row(tx: Tx, record: TaskRecord) -> dict[str, Any]:
    task, privacy = record.task, record.task.privacy
    return {
        "task_id": task.text,
        "vdaf": vdaf_text(task),
        "batch_mode": mode_text(task),
        "min_batch_size": task.min_batch_size,
        "mechanism": None if privacy is None else str(privacy.mechanism),
        "budget": None if privacy is None else str(privacy.budget),
        "collections_left": collections_left(tx, record),
        "waiting": count_open_reports(tx, record),
    }
