"""`secagg dap store`: upgrade and back up the store of an Aggregator."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ...dap.server.config import Config
from ...dap.store.migrations import VERSION
from ...durable import require_folder
from ..app import App, CommandError, require
from ..console import show, show_json
from ..options import JsonOption
from .common import ConfigOption, opened

app = App(
    help="""An Aggregator's store.

    \b
    Examples:
      secagg dap store upgrade --config leader.toml
      secagg dap store backup --config leader.toml --output leader-2026-01-31.db
    """,
)


def upgrade(config: ConfigOption, json: JsonOption = False) -> None:
    """Bring a store to this program's schema, or make one, in one transaction.

    Before, back the store up, and stop servers and workers of the older program: they do not know the new tables.

    \b
    Example:
      secagg dap store upgrade --config leader.toml
    """
    with opened(config, create=True):
        pass
    if json:
        show_json({"version": VERSION})
    else:
        show(f"the store's schema is version {VERSION}")


def backup(
    config: ConfigOption,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The new file; one that exists is never overwritten.")],
    json: JsonOption = False,
) -> None:
    """Copy a SQLite store while its servers run, as it is at one moment.

    Keys, tokens and shares in the copy are sealed, as they are in the store; keep the secret elsewhere. Before you
    restore a backup, read in docs/operations.md what that means for privacy.

    \b
    Example:
      secagg dap store backup --config leader.toml --output leader-2026-01-31.db
    """
    loaded = Config.load(config)
    file = loaded.sqlite_file
    if file is None:
        raise CommandError(
            "this store is a PostgreSQL database: back it up with pg_dump, which also copies it as it is at one moment"
        )
    require(file.exists(), f"there is no store {file}")
    require_folder(output)
    try:
        os.close(os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise CommandError(f"{output} exists already, and is never overwritten") from None
    try:
        _copy(file, output)
    except sqlite3.Error as error:
        output.unlink()
        raise CommandError(f"the backup failed: {error}") from None
    if json:
        show_json({"file": str(output), "bytes": output.stat().st_size})
    else:
        show(f"{output}: {output.stat().st_size:,} bytes")


def accept_journal(
    config: ConfigOption,
    lost: Annotated[bool, typer.Option("--lost", help="There is no journal any more: begin a new one.")] = False,
    json: JsonOption = False,
) -> None:
    """Let a store go on with the journal of releases that is there, or with a new one. Stop its servers before.

    What only the store's own journal knew is then forgotten. If a backup of the database was or will be restored,
    nothing here prevents a second release of what was released since that backup. Read docs/operations.md before you
    accept that. Where several machines work on one PostgreSQL database, a further machine begins its journal like this.

    \b
    Example:
      secagg dap store accept-journal --config leader.toml --lost
    """
    loaded = Config.load(config)
    file = loaded.journal_file
    if lost:
        require(not file.exists(), f"there is a journal, {file}: accept it without --lost")
    else:
        require(file.exists(), f"there is no journal {file}: if it is lost, say so with --lost")
    loaded.open_store(accept_journal=True).close()
    if json:
        show_json({"journal": str(file), "lost": lost})
    else:
        show(f"the store goes on with {'a new journal' if lost else 'the journal'}, {file}")


def _copy(source: Path, target: Path) -> None:
    """Copy by SQLite itself, which includes its log; then check every page of the copy."""
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file
        verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


app.command("upgrade", short_help="Bring the schema to this program's version.")(upgrade)
app.command("accept-journal", short_help="Go on after the journal of releases is lost.")(accept_journal)
app.command("backup", short_help="Copy a SQLite store while it is in use.")(backup)
