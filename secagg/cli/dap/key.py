"""`secagg dap key` and `collector-key`: HPKE keys of an Aggregator and of a Collector."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import task_file
from ...dap.aggregator.key_rotation import import_key, new_key, retire_key
from ...dap.hpke import PrivateKey
from ...dap.store.keys import KeyPair, list_keys
from ...dap.task import time_text
from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ..app import App, CommandError, require
from ..console import show, show_json, table
from ..durations import duration
from ..numbers import integer
from ..options import JsonOption
from .common import ConfigOption, new_token, opened, write_document, write_new
from .task_options import secret_word

_CONFIG = "The key's HPKE configuration, encoded, in base64url."
_PRIVATE_KEY = "The X25519 private key of it, in base64url; - is stdin."

app = App(
    help="""HPKE keys that Clients seal reports to. Running servers notice a change within seconds.

    \b
    Examples:
      secagg dap key new --config leader.toml
      secagg dap key import --config leader.toml --hpke-config AQAg... --private-key-file old.key
      secagg dap key list --config leader.toml
      secagg dap key end --config leader.toml 3
    """,
)


def new(
    config: ConfigOption,
    lifetime: Annotated[
        str | None, typer.Option(help="Stop telling Clients of it after 90d, say. [default: at the next rotation]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Rotate: make a new key. Some seconds later Clients are told of it in place of the old one.

    The old key is accepted for twice the time that Clients may keep it ([keys] cache in the configuration).

    \b
    Example:
      secagg dap key new --config leader.toml --lifetime 90d
    """
    seconds = None if lifetime is None else duration("--lifetime", lifetime)
    with opened(config) as (loaded, store):
        pair = new_key(store, time.time(), loaded.keys.cache, lifetime=seconds)
    if json:
        show_json(_described(pair, time.time()))
    else:
        show(f"HPKE key {pair.config.id} is made; see `secagg dap key list --config {config}`")


def import_one(
    config: ConfigOption,
    hpke_config: Annotated[str, typer.Option(help=_CONFIG)],
    private_key_file: Annotated[Path, typer.Option(metavar="FILE", help=_PRIVATE_KEY)],
    json: JsonOption = False,
) -> None:
    """Take a key that another server had, with its number: Clients that know it go on as they were.

    Clients are told of it in place of the old one, which is accepted for a while, as after `key new`.

    \b
    Example:
      secagg dap key import --config leader.toml --hpke-config AQAg... --private-key-file old.key
    """
    made = _given_key(hpke_config, private_key_file)
    with opened(config) as (loaded, store):
        pair = import_key(store, made.config, made.private_key, time.time(), loaded.keys.cache)
    if json:
        show_json(_described(pair, time.time()))
    else:
        show(f"HPKE key {pair.config.id} is here; see `secagg dap key list --config {config}`")


def list_all(config: ConfigOption, json: JsonOption = False) -> None:
    """Show an Aggregator's HPKE keys, the newest first.

    \b
    Example:
      secagg dap key list --config leader.toml
    """
    with opened(config) as (_, store), store.read() as tx:
        pairs = list_keys(tx)
    rows = [_described(pair, time.time()) for pair in pairs]
    if json:
        show_json(rows)
        return
    made = table("key", "made", "told to clients", "accepted", "public key")
    for row in rows:
        made.add_row(
            str(row["key"]), row["created"], _span(row, "advertised"), _span(row, "accepted"), row["public_key"]
        )
    show(made)


def end(
    config: ConfigOption,
    number: Annotated[int, typer.Argument(parser=integer, metavar="KEY", help="Its number.")],
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Refuse new reports to it from now on, as when it was stolen.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """End a key. Reports that were accepted in time are still opened.

    \b
    Example:
      secagg dap key end --config leader.toml 3
    """
    with opened(config) as (loaded, store):
        retire_key(store, number, time.time(), loaded.keys.cache, at_once=at_once)
        with store.read() as tx:
            pair = next(pair for pair in list_keys(tx) if pair.config.id == number)
    row = _described(pair, time.time())
    if json:
        show_json(row)
    else:
        show(f"HPKE key {number}: told to clients {_span(row, 'advertised')}, accepted {_span(row, 'accepted')}")


def collector_key(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The new file; one that exists is never overwritten.")],
    hpke_config: Annotated[str | None, typer.Option(help=_CONFIG)] = None,
    private_key_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_PRIVATE_KEY)] = None,
    json: JsonOption = False,
) -> None:
    """Make a Collector's HPKE key pair: the private key in a new file (mode 600), what others need on stdout.

    The file never leaves the Collector. Whoever makes tasks gives the printed line to `task new --collector-config`.
    With --hpke-config and --private-key-file it is a key pair that there is already.

    \b
    Examples:
      secagg dap collector-key --output collector.key
      secagg dap collector-key --output collector.key --hpke-config AQAg... --private-key-file old.key
    """
    require((hpke_config is None) == (private_key_file is None), "--hpke-config goes with --private-key-file")
    key = (
        task_file.CollectorKey.generate()
        if hpke_config is None or private_key_file is None
        else _given_key(hpke_config, private_key_file)
    )
    write_document(output, task_file.key_document(key))
    config = base64url(key.config.encode())
    if json:
        show_json({"file": str(output), "hpke_config": config})
    else:
        print(config)


def _given_key(hpke_config: str, private_key_file: Path) -> task_file.CollectorKey:
    """A key pair that was made elsewhere."""
    try:
        config = task_file.config_from_text(hpke_config)
        word = secret_word("--private-key-file", private_key_file)
        private_key = PrivateKey.from_bytes(from_base64url(word, 32, name="--private-key-file"))
        return task_file.CollectorKey(task_file.checked_config(config, private_key), private_key)
    except RemoteProtocolError as error:
        raise CommandError(f"this is no key pair: {error}") from None


def page_token(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The new file; one that exists is never overwritten.")],
) -> None:
    """Make the token that an operator types on the page of a Leader or Helper: in a new file, mode 600.

    The configuration names the file and where the page is, in its table [page]. `init --page` writes both.

    \b
    Example:
      secagg dap page-token --output leader/leader.token
    """
    write_new(output, new_token() + "\n")
    show(f"the token is in {output}: name the file in [page] token_file, and restart the server")


app.command("new", short_help="Rotate to a new key.")(new)
app.command("import", short_help="Take a key that another server had.")(import_one)
app.command("list", short_help="Show the keys.")(list_all)
app.command("end", short_help="End a key.")(end)


def _described(pair: KeyPair, now: float) -> dict[str, Any]:
    """A key without its secrets."""
    return {
        "key": pair.config.id,
        "created": time_text(pair.created),
        "public_key": base64url(pair.config.public_key),
        "advertised": pair.advertised(now),
        "advertised_until": None if pair.advertised_until is None else time_text(pair.advertised_until),
        "accepted": pair.accepted(now),
        "accepted_until": None if pair.accepted_until is None else time_text(pair.accepted_until),
    }


def _span(row: dict[str, Any], what: str) -> str:
    until = row[f"{what}_until"]
    if until is None:
        return "yes"
    return f"until {until}" if row[what] else "no"
