"""What the commands of coordinator and operator share."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer

from ...http.tokens import read_token
from ...http.urls import ServerUrl
from ...service.calls import parse_coordinator_url
from ...service.coordinator.config import Config
from ...service.names import Name, parse_name
from ...service.operator import Operator
from ...service.resources import SESSION_NAME
from ...text import read_text
from ..app import CommandError, require

TIMEOUT = httpx.Timeout(60.0, connect=10.0)

UrlArgument = Annotated[
    str | None,
    typer.Argument(metavar="[URL]", help="The coordinator's, or a session's: https://HOST/v1/sessions/NAME."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The coordinator's configuration, for its URL and token."),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The operator's token. [default: that of --config, or ./operator.token]"),
]
SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="NAME", help="The session, if URL is the coordinator's.")
]


@dataclass(frozen=True, repr=False)
class Place:
    """Where a coordinator is, and who asks.

    Attributes:
        url: the coordinator's.
        session: that was named; None for none.
        token: the operator's.
    """

    url: ServerUrl
    session: str | None
    token: str

    @property
    def named(self) -> str:
        """The session, which must have been named."""
        if self.session is None:
            raise CommandError("name the session: --session NAME, or a URL that ends in /v1/sessions/NAME")
        return self.session


def place(url: str | None, config: Path | None, token: Path | None, session: str | None, allow_http: bool) -> Place:
    """Where a coordinator is by the options of a command.

    Raises:
        CommandError: the options do not say it.
        ConfigError, LocalProtocolError: the configuration, the token or the URL cannot be used.
    """
    loaded = None if config is None else Config.load(config)
    if url is None:
        require(loaded is not None, "give the coordinator's URL, or --config")
        assert loaded is not None
        url = loaded.server.url or _listening(loaded)
    parsed, named = parse_coordinator_url(url, allow_http=allow_http)
    require(session is None or named in (None, session), f"URL names session {named}, and --session another")
    chosen = session or named
    require(
        chosen is None or SESSION_NAME.fullmatch(chosen) is not None,
        "a session's name is 1 .. 64 of a-z, 0-9 and -, and does not begin with -",
    )
    file = token or (Path("operator.token") if loaded is None else loaded.token_file)
    return Place(parsed, chosen, read_token(file))


def _listening(config: Config) -> str:
    listen, scheme = config.server.listen, "http" if config.server.certificate is None else "https"
    host, _, port = listen.rpartition(":")
    require(port != "0", f"{config.path} takes any free port: give the URL that the coordinator printed")
    known = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
    return f"{scheme}://{known.get(host, host)}:{port}"


@contextmanager
def operating(at: Place, ca: Path | None) -> Iterator[Operator]:
    """The operator's side of the coordinator there."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--ca {ca} cannot be used: {error}") from None
    with httpx.Client(verify=context, timeout=TIMEOUT) as http:
        yield Operator(at.url, at.token, http)


def names_of(option: str, text: str) -> list[Name]:
    """Names and numbers with commas between them, or with @ before it the file that has one on each line."""
    if text.startswith("@"):
        lines = (line.partition("#")[0].strip() for line in read_text(Path(text[1:])).split("\n"))
    else:
        lines = (name.strip() for name in text.split(","))
    names = [parse_name(name) for name in lines if name]
    require(bool(names), f"{option} names nobody")
    require(len(set(names)) == len(names), f"{option} has a name twice")
    return names
