"""`secagg dap task new-token`, `accept-token`, `use-token` and `end-token`: rotation of a task's tokens."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...dap import task_file
from ...dap.messages import Role
from ...dap.secrets import HASH_BYTES, TOKEN_FORM, is_token, token_hash
from ...dap.store.tasks import TaskRecord
from ...dap.store.tokens import accept_token, end_old_token, use_token
from ...dap.task import time_text
from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ..app import CommandError, require
from ..console import show, show_json
from ..durations import duration
from ..options import JsonOption
from .common import ConfigOption, load, new_token, opened, stored_task, write_document, write_new
from .task_options import secret_word

TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="Its ID, as `task list` shows it.")]
TokenFileOption = Annotated[
    Path, typer.Option("--token-file", metavar="FILE", help="The new token, as `task new-token` wrote it; - is stdin.")
]


def make(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The new file; one that exists is never overwritten.")],
    json: JsonOption = False,
) -> None:
    """Make a token: itself in a new file (mode 600) for the party that shows it, its hash on stdout for the other one.

    The Leader makes the token that it shows to the Helper, and the Collector the one that it shows to the Leader. The
    hash is no secret.

    \b
    Example:
      secagg dap task new-token --output new.token
    """
    token = new_token()
    write_new(output, token + "\n")
    digest = base64url(token_hash(token.encode()))
    if json:
        show_json({"file": str(output), "hash": digest})
    else:
        print(digest)


def accept(
    config: ConfigOption,
    task_id: TaskArgument,
    digest: Annotated[str, typer.Argument(metavar="HASH", help="Of the new token, as `task new-token` printed it.")],
    keep: Annotated[str, typer.Option(help="How long the present token is accepted beside the new one.")] = "7d",
    json: JsonOption = False,
) -> None:
    """Accept a new token, and the present one for some time: at the Helper the Leader's, at the Leader the Collector's.

    Running servers do so within five seconds. Nobody is refused meanwhile, whichever of the two tokens it shows.

    \b
    Example:
      secagg dap task accept-token --config helper.toml aBc... dEf... --keep 7d
    """
    decoded, now = decoded_hash(digest), time.time()
    until = now + duration("--keep", keep)
    with opened(config) as (_, store), store.write() as tx:
        record = stored_task(tx, task_id, config)
        accept_token(tx, record.key, record.task.id, record.secrets, decoded, now, until)
    _say(json, record, f"accepts the new token, and the one before until {time_text(until)}", until=time_text(until))


def use(
    token_file: TokenFileOption,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The Leader's configuration.")] = None,
    task_id: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="With --config: its ID, as `task list` shows it.")
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option("--task", metavar="FILE", help="Instead the Collector's file of the task."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --task: the Collector's new file, to be used from now on.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show another token from now on, once the other party accepts it: the Leader to the Helper, the Collector to the
    Leader.

    At the Leader, running servers and workers show it with their next request, and the Helper is asked whether it takes
    it: `task show` says what it has answered. A file that begins with 'DAP-Auth-Token: ' names the header that shows
    its token; otherwise that is 'Authorization: Bearer'.

    \b
    Examples:
      secagg dap task use-token --config leader.toml --token-file new.token aBc...
      secagg dap task use-token --task collector.json --token-file new.token --output collector-2.json
    """
    token = secret_word("--token-file", token_file)
    require(is_token(token.encode()), TOKEN_FORM)
    require((config is None) != (task is None), "give --config of the Leader, or --task of the Collector")
    if config is not None:
        require(task_id is not None and output is None, "--config goes with TASK, and without --output")
        _use_at_leader(config, task_id or "", token.encode(), json)
    if task is not None:
        require(task_id is None and output is not None, "--task goes with --output, and without TASK")
        _use_at_collector(task, output or Path(), token, json)


def decoded_hash(text: str) -> bytes:
    """The hash of a token in an argument HASH."""
    try:
        return from_base64url(text, HASH_BYTES)
    except RemoteProtocolError:
        raise CommandError("HASH must be what `secagg dap task new-token` printed, 43 characters") from None


def _use_at_leader(config: Path, task_id: str, token: bytes, json: bool) -> None:
    with opened(config) as (loaded, store), store.write() as tx:
        require(loaded.role is Role.LEADER, f"{config} configures a helper, which shows no token to anybody")
        record = stored_task(tx, task_id, config)
        use_token(tx, record.key, record.task.id, record.secrets, token, time.time())
    _say(json, record, f"shows the new token; see `secagg dap task show --config {config} {task_id}`")


def _use_at_collector(file: Path, output: Path, token: str, json: bool) -> None:
    party = load(file, task_file.load)
    if not isinstance(party, task_file.CollectorParty):
        raise CommandError(f"{file} is not the Collector's file of a task")
    changed = replace(party, token=token)
    write_document(output, task_file.to_document(changed))
    if json:
        show_json({"task_id": party.task.text, "file": str(output)})
    else:
        show(f"{output} has the new token: collect with it from now on, and delete {file}")


def end(config: ConfigOption, task_id: TaskArgument, json: JsonOption = False) -> None:
    """Accept the new token alone: the other party shows it, or the old one was stolen.

    \b
    Example:
      secagg dap task end-token --config helper.toml aBc...
    """
    with opened(config) as (_, store), store.write() as tx:
        record = stored_task(tx, task_id, config)
        end_old_token(tx, record.key)
    _say(json, record, "accepts the new token alone")


def _say(json: bool, record: TaskRecord, words: str, **members: str) -> None:
    if json:
        show_json({"task_id": record.task.text, **members})
    else:
        show(f"task {record.task.text} {words}")
