"""`secagg dap init`: everything that an Aggregator needs to start."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ...dap.aggregator.key_rotation import new_key
from ...dap.server.config import ROLES, SECRET_VARIABLE, Config, template
from ...dap.store.journal import Journal
from ...dap.store.vault import SECRET_SIZE
from ..app import require
from ..console import show_json, show_pairs
from ..dp.options import choose
from ..options import JsonOption
from .common import new_token, write_new


def init(
    role: Annotated[str, typer.Option(help="leader or helper.")],
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where the files go; made if missing.")
    ] = Path(),
    listen: Annotated[str, typer.Option(help="Where the server listens; port 0 takes a free one.")] = "127.0.0.1:8080",
    database: Annotated[
        str | None, typer.Option(help="Its store, as a URL. [default: a SQLite file in DIR]", metavar="URL")
    ] = None,
    secret_file: Annotated[
        bool, typer.Option(help=f"Write the secret to a file; else it is in the environment, {SECRET_VARIABLE}.")
    ] = True,
    page: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve the operator's page there too, and write the page's token."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a commented configuration and a fresh secret, and make the store with a first HPKE key.

    Secrets in the database are sealed under the secret (mode 600), and the noise of every batch follows from it: keep a
    copy of it, but never beside a backup of the database.

    \b
    Examples:
      secagg dap init --role leader --dir leader --page 127.0.0.1:9200
      secagg dap init --role helper --listen 127.0.0.1:8081 --database postgresql+psycopg://dap@db.example/helper
    """
    name = choose("--role", tuple(ROLES), role)
    directory.mkdir(0o700, parents=True, exist_ok=True)
    path, secret, token = (directory / f"{name}.{suffix}" for suffix in ("toml", "secret", "token"))
    for file in (path, secret, *([token] if page is not None else [])):
        require(not file.exists(), f"{file} exists already, and is never overwritten")
    if secret_file:
        require(SECRET_VARIABLE not in os.environ, f"{SECRET_VARIABLE} is set: unset it, or give --no-secret-file")
    Journal(directory / f"{name}.journal")  # first: it refuses a folder that others may write to
    stored = {
        "database": database or f"sqlite:///{name}.db",
        "secret_file": secret.name if secret_file else None,
        "journal": f"{name}.journal",
    }
    beside = [directory / f"{name}.db{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]  # SQLite's files
    shown = {"listen": page, "token_file": token.name}
    with _nothing_left(path, secret, token, *beside):
        if secret_file:
            write_new(secret, os.urandom(SECRET_SIZE).hex() + "\n")
        if page is not None:
            write_new(token, new_token() + "\n")
        write_new(path, template(ROLES[name], {"server": {"listen": listen}, "store": stored, "page": shown}))
        config = Config.load(path)
        store = config.open_store(create=True)
        try:
            pair = new_key(store, time.time(), config.keys.cache)
        finally:
            store.close()
    if json:
        secret_path = str(secret) if secret_file else None
        show_json(
            {
                "config": str(path),
                "secret_file": secret_path,
                "database": stored["database"],
                "key": pair.config.id,
                "page_token": None if page is None else str(token),
            }
        )
        return
    show_pairs(
        [
            ("configuration", str(path)),
            ("secret", str(secret) if secret_file else f"in the environment, {SECRET_VARIABLE}"),
            ("store", str(stored["database"])),
            ("HPKE key", f"number {pair.config.id}"),
            *([] if page is None else [("the page's token", str(token))]),
            ("next", f"secagg dap {name} --config {path}"),
        ]
    )


@contextmanager
def _nothing_left(*files: Path) -> Iterator[None]:
    """Delete those of the files that the block has made if it fails, as where the database is not reached: the same
    command may then be tried again."""
    absent = [file for file in files if not file.exists()]
    try:
        yield
    except BaseException:
        for file in absent:
            file.unlink(missing_ok=True)
        raise
