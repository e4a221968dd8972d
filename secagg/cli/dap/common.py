"""Options and words that several commands of `secagg dap` share."""

import json
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer

from ...dap import task_file
from ...dap.admission import check_endpoints, check_report_size
from ...dap.client.upload import TIMEOUT
from ...dap.messages import TASK_ID_SIZE, Role
from ...dap.server.config import Config
from ...dap.store.engine import Store, Tx
from ...dap.store.tasks import TaskRecord, add_task, find_task
from ...dap.task_file import AggregatorParty, CollectorParty, Party
from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ...text import read_text
from ..app import CommandError, require

ConfigOption = Annotated[
    Path,
    typer.Option("--config", metavar="FILE", help="The Aggregator's configuration, as `secagg dap init` wrote it."),
]

_T = TypeVar("_T")


def instant(option: str, text: str) -> int:
    """The POSIX seconds of a time: a number of them, or an ISO 8601 time, which without a zone is in UTC."""
    word = text.strip()
    if re.fullmatch(r"\d{1,12}", word, re.ASCII):
        return int(word)
    try:
        parsed = datetime.fromisoformat(word)
        seconds = int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    require(seconds >= 0, f"{option} must be a time such as 2026-01-31, 2026-01-31T12:00Z or POSIX seconds: {text!r}")
    return seconds


@contextmanager
def opened(path: Path, *, create: bool = False) -> Any:
    """(configuration, store) of an Aggregator; the store is closed at the end of the block."""
    config = Config.load(path)
    store: Store = config.open_store(create=create)
    try:
        yield config, store
    finally:
        store.close()


def load(path: Path, reader: Callable[[Path], _T]) -> _T:
    """What a file holds; an error names the file."""
    try:
        return reader(path)
    except RemoteProtocolError as error:
        reason = str(error)
        raise CommandError(reason if str(path) in reason else f"{path}: {reason}") from None


def write_new(path: Path, text: str) -> None:
    """Write a new file that only its owner may read."""
    try:
        task_file.write_secret(path, text)
    except FileExistsError:
        raise CommandError(f"{path} exists already, and is never overwritten") from None


def write_document(path: Path, document: object) -> None:
    """Write JSON to a new file that only its owner may read."""
    write_new(path, json.dumps(document, indent=2) + "\n")


def write_documents(folder: Path, documents: Mapping[str, object]) -> None:
    """Write a file for each party, named after it, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        write_document(folder / f"{name}.json", document)


def read_labels(path: Path) -> tuple[str, ...]:
    """The names of a result's entries in a file, one a line."""
    return tuple(read_text(path).rstrip("\n").split("\n"))


def new_token() -> str:
    """A token that nobody can guess."""
    return base64url(os.urandom(task_file.TOKEN_BYTES))


def stored_task(tx: Tx, task: str, config: Path) -> TaskRecord:
    """The task of a party file or of an ID, as the store has it."""
    file = Path(task)
    task_id = load(file, task_file.load).task.id if file.exists() else decoded_task_id(task)
    record = find_task(tx, task_id)
    if record is None:
        raise CommandError(f"there is no task {task} here; see `secagg dap task list --config {config}`")
    return record


def add_party(path: Path, party: Party, allow_http: bool) -> None:
    """Tell the Aggregator of a configuration of a task."""
    with opened(path) as (config, store):
        own = config.role.name.lower()
        if not isinstance(party, AggregatorParty) or party.secrets.role is not config.role:
            held = "collector" if isinstance(party, CollectorParty) else "client"
            name = party.secrets.role.name.lower() if isinstance(party, AggregatorParty) else held
            raise CommandError(f"this is the {name}'s file, and {path} configures a {own}: give the {own}'s file")
        check_endpoints(party.task, allow_http=allow_http)
        if config.role is Role.LEADER:
            check_report_size(party.task, config.limits.upload_bytes)
        with store.write() as tx:
            add_task(tx, party.task, party.secrets, time.time())


def decoded_task_id(text: str) -> bytes:
    """The ID in an argument TASK."""
    try:
        return from_base64url(text, TASK_ID_SIZE)
    except RemoteProtocolError:
        raise CommandError(f"TASK must be a task ID, 43 characters, as `task list` shows it; got {text!r}") from None


def http_client(ca: Path | None) -> httpx.Client:
    """The HTTP client of a Client or a Collector."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--ca {ca} cannot be used: {error}") from None
    return httpx.Client(verify=context, timeout=TIMEOUT)
