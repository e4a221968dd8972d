"""`secagg dap leader`, `helper` and `worker`: the processes of an Aggregator."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ...dap.server import server
from ...dap.server.config import ROLES, Config
from ..app import require
from ..numbers import integer_option
from ..options import JsonOption
from .common import ConfigOption

ListenOption = Annotated[
    str | None, typer.Option(help="In place of the configured address; port 0 takes a free one.", metavar="HOST:PORT")
]


InteropOption = Annotated[
    bool,
    typer.Option(
        "--interop-test-api",
        help="Let test runners of other programs add tasks; on loopback only, and never for people.",
    ),
]


def leader(
    config: ConfigOption, listen: ListenOption = None, interop: InteropOption = False, json: JsonOption = False
) -> None:
    """Run the Leader until it is interrupted or terminated. One line on stdout says when it answers, and where.

    It finishes the requests under way when it stops. Logs go to stderr, or to [log] file, which SIGHUP opens again.

    \b
    Example:
      secagg dap leader --config leader.toml
    """
    _serve("leader", config, listen, interop, json)


def helper(
    config: ConfigOption, listen: ListenOption = None, interop: InteropOption = False, json: JsonOption = False
) -> None:
    """Run the Helper until it is interrupted or terminated. One line on stdout says when it answers, and where.

    It finishes the requests under way when it stops. Logs go to stderr, or to [log] file, which SIGHUP opens again.

    \b
    Example:
      secagg dap helper --config helper.toml
    """
    _serve("helper", config, listen, interop, json)


def worker(
    config: ConfigOption,
    threads: Annotated[
        int | None, integer_option(minimum=1, maximum=64, help="Worker threads. [default: as configured, 1 at least]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Do an Aggregator's work, such as aggregation and collection jobs, until interrupted or terminated.

    Any number of workers may run on one store; with PostgreSQL, on any number of machines. Each worker leases what it
    does, and another one takes over what a crash leaves behind. More processes open HPKE faster, more threads do not.

    \b
    Example:
      secagg dap worker --config leader.toml
    """
    loaded = _configured(config)
    server.work(loaded, threads or max(1, loaded.workers.threads), lambda text: announce("working", text, json))


def _serve(role: str, path: Path, listen: str | None, interop: bool, json: bool) -> None:
    config = _configured(path)
    own_role = config.role.name.lower()
    require(config.role is ROLES[role], f"{path} configures a {own_role}: run `secagg dap {own_role} --config {path}`")
    server.serve(config, lambda url: announce("listening", url, json), listen, interop=interop)


def announce(what: str, where: str, as_json: bool) -> None:
    """One line on stdout: what runs, and where."""
    preposition = "on" if what == "listening" else "with"
    print(json.dumps({what: where}) if as_json else f"{what} {preposition} {where}", flush=True)


def _configured(path: Path) -> Config:
    config = Config.load(path)
    config.start_log()
    return config
