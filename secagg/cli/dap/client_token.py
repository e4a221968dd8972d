"""`secagg dap client-token`: who may upload to a task."""

import time
from typing import Annotated

import typer

from ...dap.messages import Role
from ...dap.store.client_tokens import add_client_token, delete_client_token, list_client_tokens
from ...dap.task import time_text
from ..app import App, require
from ..console import show, show_json, table
from ..options import JsonOption
from .common import ConfigOption, opened, stored_task
from .tokens import TaskArgument, decoded_hash

app = App(
    help="""Take uploads to a task from those Clients alone that were given a token, which the Leader then asks for.

    A token says who may upload, and is no part of a report: the Leader sees whose token came with which reports, as it
    sees addresses. Give many clients the same token where it must not tell them apart.

    `dap task new-token` makes a token, and `dap upload --token-file` shows it.

    \b
    Examples:
      secagg dap client-token add --config leader.toml aBc... site-7 dEf...
      secagg dap client-token list --config leader.toml aBc...
      secagg dap client-token delete --config leader.toml aBc... site-7
    """
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The token's, for yourself: of a site or a release.")]


def add(
    config: ConfigOption,
    task_id: TaskArgument,
    name: NameArgument,
    digest: Annotated[str, typer.Argument(metavar="HASH", help="Of the token, as `task new-token` printed it.")],
    json: JsonOption = False,
) -> None:
    """Accept a token of Clients at the Leader. From the first one on, uploads without any are refused.

    Running servers do so within five seconds. A Client shows it with `upload --token-file`.

    \b
    Example:
      secagg dap client-token add --config leader.toml aBc... site-7 dEf...
    """
    decoded = decoded_hash(digest)
    with opened(config) as (loaded, store), store.write() as tx:
        require(loaded.role is Role.LEADER, f"{config} configures a helper: Clients upload to the Leader")
        record = stored_task(tx, task_id, config)
        add_client_token(tx, record.key, record.task.id, name, decoded, time.time())
        count = len(list_client_tokens(tx, record.key))
    if json:
        show_json({"task_id": record.task.text, "name": name, "tokens": count})
    else:
        show(f"uploads to task {record.task.text} need a token ({count:,} known); {name} is the newest")


def list_all(config: ConfigOption, task_id: TaskArgument, json: JsonOption = False) -> None:
    """Show the names of a task's tokens of Clients, and when they were added.

    \b
    Example:
      secagg dap client-token list --config leader.toml aBc...
    """
    with opened(config) as (_, store), store.read() as tx:
        tokens = list_client_tokens(tx, stored_task(tx, task_id, config).key)
    rows = [{"name": name, "added": time_text(created)} for name, created in tokens]
    if json:
        show_json(rows)
    elif not rows:
        show("none: everybody may upload")
    else:
        made = table("token", "added")
        for row in rows:
            made.add_row(*row.values())
        show(made)


def delete(
    config: ConfigOption,
    task_id: TaskArgument,
    name: NameArgument,
    to_everybody: Annotated[
        bool, typer.Option("--to-everybody", help="Even the last token: from then on everybody may upload.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Refuse a token of Clients from now on; reports that came with it stay.

    \b
    Example:
      secagg dap client-token delete --config leader.toml aBc... site-7
    """
    with opened(config) as (_, store), store.write() as tx:
        record = stored_task(tx, task_id, config)
        delete_client_token(tx, record.key, name, to_everybody=to_everybody)
        count = len(list_client_tokens(tx, record.key))
    if json:
        show_json({"task_id": record.task.text, "name": name, "tokens": count})
    elif count:
        show(f"uploads to task {record.task.text} need a token ({count:,} known); {name} is none any more")
    else:
        show(f"everybody may upload to task {record.task.text} now")


app.command("add", short_help="Accept a token of Clients.")(add)
app.command("list", short_help="Show a task's tokens of Clients.")(list_all)
app.command("delete", short_help="Refuse a token of Clients.")(delete)
