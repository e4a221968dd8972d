"""`secagg serve`: a coordinator, and everything that it needs to start."""

import json as json_module
import re
from pathlib import Path
from typing import Annotated

import typer

from ...durable import create, make_folder
from ...errors import LocalProtocolError
from ...service.authentication import make_token, token_hash
from ...service.coordinator.config import Config, template
from ...service.coordinator.process import serve as serve_coordinator
from ...service.setup import check_name
from ..app import CommandError, require
from ..console import show_json, show_pairs
from .common import JsonOption, names_of

CONFIG, TOKEN, PARTICIPANTS, TOKENS = "coordinator.toml", "operator.token", "participants.txt", "tokens"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,99}")
_HEAD = "# Who may take part in sessions without a roster: a name, and the SHA-256 of the participant's token.\n"


def serve(
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The coordinator's configuration, as --init wrote it.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write configuration and token into this folder, or add --participants."),
    ] = None,
    participants: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="With --init: names with commas between them, or @FILE with one on each line; each gets a token.",
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the coordinator until it is interrupted or terminated. One line on stdout says when it answers, and where.

    With --init it is set up first: a commented configuration, the operator's token (mode 600), and a token for each
    participant. Participants of the active model need none: they sign with their keys of `secagg keygen`.

    It answers what is under way when it stops; after a crash it goes on where it was. Logs go to stderr, or to [log]
    file. SIGHUP opens that again, and reads the participants again.

    \b
    Examples:
      secagg serve --init coordinator --participants ada,bo,cy,di
      secagg serve --config coordinator/coordinator.toml
      secagg serve --config coordinator/coordinator.toml --listen 127.0.0.1:0 --json
    """
    require((config is None) != (init is None), "give --config to serve, or --init to set up a coordinator")
    require(participants is None or init is not None, "--participants goes with --init")
    names = [] if participants is None else names_of("--participants", participants)
    if init is not None:
        _set_up(init, names, listen, json)
    if config is not None:
        loaded = Config.load(config)
        loaded.start_log()
        serve_coordinator(loaded, lambda url: _announce(url, json), listen)


def _announce(url: str, as_json: bool) -> None:
    print(json_module.dumps({"listening": url}) if as_json else f"listening on {url}", flush=True)


def _set_up(folder: Path, names: list[str], listen: str | None, json: bool) -> None:
    """Write what is missing; nothing is overwritten."""
    path = folder / CONFIG
    require(not path.exists() or bool(names), f"{path} exists already, and is never overwritten")
    for name in names:
        _check_participant(name)
    try:
        made = _written(folder, names, listen)
    except FileExistsError as error:
        raise CommandError(f"{error.filename} exists already, and is never overwritten") from None
    if json:
        show_json({"config": str(path), "operator_token": str(folder / TOKEN), "tokens": {n: str(f) for n, f in made}})
        return
    show_pairs(
        [
            ("configuration", str(path)),
            ("operator's token", str(folder / TOKEN)),
            *((f"token of {name}", str(file)) for name, file in made),
            ("next", f"secagg serve --config {path}"),
        ]
    )


def _written(folder: Path, names: list[str], listen: str | None) -> list[tuple[str, Path]]:
    path, listed = folder / CONFIG, folder / PARTICIPANTS
    make_folder(folder)
    if not path.exists():
        create(folder / TOKEN, make_token().encode() + b"\n")
        create(listed, _HEAD.encode())
        create(path, template({} if listen is None else {"server": {"listen": listen}}).encode())
    known = Config.load(path).participants()
    twice = sorted(known.keys() & set(names))
    require(not twice, f"{listed} has {', '.join(twice)} already")
    made = []
    if names:
        make_folder(folder / TOKENS)
    for name in names:
        token, file = make_token(), folder / TOKENS / f"{name}.token"
        create(file, token.encode() + b"\n")
        with listed.open("a") as lines:
            lines.write(f"{name} {token_hash(token).hex()}\n")
        made.append((name, file))
    return made


def _check_participant(name: str) -> None:
    """A name that can be a file's."""
    try:
        check_name(name)
        good = _FILE_NAME.fullmatch(name) is not None
    except LocalProtocolError:
        good = False
    require(good, f"{name!r} cannot be a participant: names are letters, digits and . _ @ -")
