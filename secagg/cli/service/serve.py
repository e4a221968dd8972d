"""`secagg serve`: a coordinator, and everything that it needs to start."""

import json as json_module
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from ...durable import create, make_folder
from ...service.authentication import make_token, token_hash
from ...service.coordinator.config import Config, template
from ...service.coordinator.process import serve as serve_coordinator
from ...service.names import Name, name_text
from ..app import CommandError, fail, require
from ..console import show_json, show_pairs
from ..numbers import integer_option
from ..options import JsonOption
from .common import names_of

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
            help="With --init: names, or numbers of 64 bits, with commas between them, or @FILE with one on each line;"
            " each gets a token.",
        ),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = None,
    demo: Annotated[
        int | None,
        integer_option(help="Run a coordinator and so many participants here, 10 .. 200, and lose three of them."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the coordinator until it is interrupted or terminated. One line on stdout says when it answers, and where.

    With --init it is set up first: a commented configuration, the operator's token (mode 600), and a token for each
    participant. Participants of the active model need none: they sign with their keys of `secagg keygen`.

    --demo takes no set-up: coordinator and participants are processes on this machine, with keys and states in a
    temporary folder. Three participants are killed in different rounds; the sum is printed beside the truth.

    It answers what is under way when it stops; after a crash it goes on where it was. Logs go to stderr, or to [log]
    file. SIGHUP opens that again, and reads the participants again.

    \b
    Examples:
      secagg serve --init coordinator --participants ada,bo,cy,di
      secagg serve --config coordinator/coordinator.toml
      secagg serve --config coordinator/coordinator.toml --listen 127.0.0.1:0 --json
      secagg serve --demo 20

    Exit codes: 1 the sum of --demo is wrong.
    """
    chosen = [given for given in (config, init, demo) if given is not None]
    require(len(chosen) == 1, "give --config to serve, --init to set up a coordinator, or --demo to see one at work")
    require(demo is None or listen is None, "--demo listens where it likes: leave out --listen")
    require(participants is None or init is not None, "--participants goes with --init")
    names = [] if participants is None else names_of("--participants", participants)
    if demo is not None:
        _demonstrate(demo, json)
    if init is not None:
        _set_up(init, names, listen, json)
    if config is not None:
        loaded = Config.load(config)
        loaded.start_log()
        serve_coordinator(loaded, lambda url: _announce(url, json), listen)


def _announce(url: str, as_json: bool) -> None:
    print(json_module.dumps({"listening": url}) if as_json else f"listening on {url}", flush=True)


def _demonstrate(n: int, json: bool) -> None:
    """Run it, and print the sum beside the truth."""
    from ...service.demo import demonstrate

    done = demonstrate(n, lambda line: print(line, file=sys.stderr, flush=True))
    if json:
        show_json(
            {
                "session": done.session,
                "participants": done.n,
                "lost": {str(u): str(current) for u, current in done.lost.items()},
                "survivors": list(done.survivors),
                "sum": done.sum.tolist(),
                "truth": done.truth.tolist(),
                "right": done.right,
                "told": done.told,
                "seconds": round(done.seconds, 3),
            }
        )
    else:
        show_pairs(
            [
                ("vectors in the sum", f"{len(done.survivors)} of {done.n}"),
                ("the sum", " ".join(map(str, done.sum.tolist()))),
                ("the truth", " ".join(map(str, done.truth.tolist()))),
                ("participants who read it", str(done.told)),
                ("seconds", f"{done.seconds:.1f}"),
            ]
        )
    if not done.right:
        fail("the sum differs from the one in the clear", code=1)


def _set_up(folder: Path, names: list[Name], listen: str | None, json: bool) -> None:
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
        tokens = {name_text(name): str(file) for name, file in made}
        show_json({"config": str(path), "operator_token": str(folder / TOKEN), "tokens": tokens})
        return
    show_pairs(
        [
            ("configuration", str(path)),
            ("operator's token", str(folder / TOKEN)),
            *((f"token of {name}", str(file)) for name, file in made),
            ("next", f"secagg serve --config {path}"),
        ]
    )


def _written(folder: Path, names: list[Name], listen: str | None) -> list[tuple[Name, Path]]:
    path, listed = folder / CONFIG, folder / PARTICIPANTS
    make_folder(folder)
    if not path.exists():
        create(folder / TOKEN, make_token().encode() + b"\n")
        create(listed, _HEAD.encode())
        create(path, template({} if listen is None else {"server": {"listen": listen}}).encode())
    known = Config.load(path).participants()
    twice = sorted(map(name_text, known.keys() & set(names)))
    require(not twice, f"{listed} has {', '.join(twice)} already")
    made = []
    if names:
        make_folder(folder / TOKENS)
    for name in names:
        token, file = make_token(), folder / TOKENS / f"{name}.token"
        create(file, token.encode() + b"\n")
        with listed.open("a") as lines:
            lines.write(f"{name_text(name)} {token_hash(token).hex()}\n")
        made.append((name, file))
    return made


def _check_participant(name: Name) -> None:
    """A name that can be a file's. A name of digits cannot: it is a number's."""
    good = _FILE_NAME.fullmatch(name_text(name)) is not None
    require(good, f"{name_text(name)!r} cannot be a participant here: names are letters, digits and . _ @ -")
