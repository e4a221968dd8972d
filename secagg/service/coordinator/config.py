"""A coordinator's configuration: one TOML file, with every key that it may have and what the key means.

Secrets are never in this file: the operator's token is in a file of its own, and of participants' tokens there are only
hashes, in a file of lines "name hash".
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...errors import LocalProtocolError
from ...http import logs
from ...http.addresses import is_loopback
from ...http.bounds import Bounds
from ...http.tokens import read_token
from ...http.urls import parse_server_url
from ...settings import (
    ADDRESS,
    RATE,
    SECONDS,
    TEXT,
    TRUTH,
    ConfigError,
    is_address,
    load_toml,
    one_of,
    option,
    read_tables,
    template_lines,
    whole_kind,
)
from ...text import read_text
from ..authentication import token_hash
from ..names import Name, name_text, parse_name
from .limits import Limits

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
PARTICIPANTS_BYTES = 1 << 26

_PARTICIPANT = re.compile(r"(?P<name>\S.*?)[ \t]+(?P<hash>[0-9a-f]{64})")


@dataclass(frozen=True)
class ServerTable:
    """Table [server]."""

    listen: str = option("127.0.0.1:8080", ADDRESS, "Where to listen; port 0 takes a free one.")
    url: str | None = option(
        None,
        TEXT,
        "The URL that participants are given. Their signatures are for this URL and no other, so it must be the one\n"
        "that they use, to the letter of host, port and path. Without this line it is the address above. A proxy in\n"
        "front must remove the URL's path from requests.",
        "https://secagg.example.org",
    )
    certificate: str | None = option(
        None, TEXT, "TLS: the certificate chain, PEM. Without it a proxy in front has to speak TLS.", "tls.crt"
    )
    private_key: str | None = option(None, TEXT, "TLS: the certificate's private key, PEM.", "tls.key")
    allow_http: bool = option(
        False,
        TRUTH,
        "Whether to speak plain HTTP beyond this machine. Tokens can be read, and in the semi-honest model messages\n"
        "replaced, by everybody on the way: only where a proxy speaks TLS, or where nobody listens.",
    )
    metrics: str | None = option(
        None,
        ADDRESS,
        "An address of their own for /metrics and /healthz/detail, where anybody may read them: let only monitors\n"
        "reach it. Without this line they are beside all else, for the operator alone.",
        "127.0.0.1:9100",
    )
    shutdown: float = option(30, SECONDS, "Seconds that requests under way have to finish when the server stops.")


@dataclass(frozen=True)
class StateTable:
    """Table [state]."""

    folder: str = option(
        "state",
        TEXT,
        "The sessions, for this coordinator alone: journals, which hold what the server of a running session knows.\n"
        "Keep it out of backups.",
    )
    operator_token: str = option("operator.token", TEXT, "The operator's token, mode 600.")
    participants: str | None = option(
        "participants.txt",
        TEXT,
        "Who may take part in sessions without a roster: lines of a name and the SHA-256 of the token. On SIGHUP the\n"
        "file is read again.",
    )


@dataclass(frozen=True)
class LimitsTable:
    """Table [limits]."""

    connections: int = option(
        2000,
        whole_kind(1, 1_000_000),
        "Connections; then the one that is idle for longest makes room for a new one. A participant that waits for\n"
        "the others is not idle: have as many as participants, and some.",
    )
    uploads: int = option(
        Limits.uploads, whole_kind(1, 1_000_000), "Answers on their way or being taken at once; then 503."
    )
    threads: int = option(Limits.threads, whole_kind(1, 1000), "Threads that wait for the disk.")
    sessions: int = option(Limits.sessions, whole_kind(1, 1_000_000), "Sessions in the folder; then 503 for a new one.")
    request_bytes: int = option(
        Limits.request_bytes, whole_kind(1 << 10, 1 << 30), "Of a request of the operator, which may hold a roster."
    )
    poll_seconds: float = option(Limits.poll_seconds, SECONDS, "Seconds that a request waits for news, at most.")
    head_seconds: float = option(Bounds.head_seconds, SECONDS, "Seconds for which a request's head may be on its way.")
    body_rate: float = option(
        Bounds.body_rate, RATE, "Bytes a second that a request's content must come at, on an average of 10 seconds."
    )
    buffered_bytes: int = option(
        1 << 27,
        whole_kind(1 << 10, 1 << 36),
        "Of the contents of all requests that lie in memory; then 503. Contents above 64 KiB go to disk as they come.",
    )


@dataclass(frozen=True)
class LogTable:
    """Table [log]."""

    level: str = option("info", one_of(LEVELS), f"{', '.join(LEVELS[:-1])} or {LEVELS[-1]}.")
    format: str = option("text", one_of(FORMATS), "text, or json: one object a line.")
    file: str | None = option(
        None, TEXT, "Where to write lines, in place of stderr; on SIGHUP the file is opened again.", "coordinator.log"
    )


TABLES: dict[str, type[Any]] = {"server": ServerTable, "state": StateTable, "limits": LimitsTable, "log": LogTable}


@dataclass(frozen=True, repr=False)
class Config:
    """What one file says.

    Attributes:
        path: of the file; paths in it are relative to its folder.
        server: table [server].
        state: table [state].
        limits: table [limits].
        log: table [log].
    """

    path: Path
    server: ServerTable
    state: StateTable
    limits: LimitsTable
    log: LogTable

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file.

        Args:
            path: of the file.

        Raises:
            ConfigError: a key or a value is not allowed.
            LocalProtocolError: the file is not UTF-8.
            OSError: the file cannot be read.
        """
        config = cls(path, **read_tables(path, "a coordinator", TABLES, load_toml(path)))
        config._check()
        return config

    def file(self, name: str) -> Path:
        """A file that the configuration names.

        Args:
            name: as it stands there.
        """
        return self.path.parent / name

    @property
    def token_file(self) -> Path:
        """The file of the operator's token."""
        return self.file(self.state.operator_token)

    def operator(self) -> bytes:
        """The hash of the operator's token.

        Raises:
            ConfigError: there is none, or others may read it.
        """
        return token_hash(read_token(self.token_file))

    def participants(self) -> dict[Name, bytes]:
        """The hashes of the participants' tokens by name or number; none where there is no file of them.

        Raises:
            ConfigError: a line is something else, or a name comes twice.
            LocalProtocolError: the file is not UTF-8.
        """
        if self.state.participants is None or not (path := self.file(self.state.participants)).exists():
            return {}
        found: dict[Name, bytes] = {}
        for number, line in enumerate(read_text(path, limit=PARTICIPANTS_BYTES).split("\n"), 1):
            entry = line.partition("#")[0].strip()
            match = _PARTICIPANT.fullmatch(entry)
            if entry and match is None:
                raise ConfigError(f"{path}, line {number}: expected a name and a hash of 64 hexadecimal digits")
            if match is not None:
                if (name := _name(match["name"], path, number)) in found:
                    raise ConfigError(f"{path}, line {number}: {name_text(name)} is listed twice")
                found[name] = bytes.fromhex(match["hash"])
        return found

    def start_log(self) -> None:
        """Log from now on as the table [log] says.

        Raises:
            ConfigError: the file cannot be written.
        """
        file = None if self.log.file is None else self.file(self.log.file)
        try:
            logs.configure(self.log.level, self.log.format, "coordinator", file=file)
        except OSError as error:
            raise ConfigError(f"{self.path}: [log] file {file} cannot be written: {error.strerror}") from None

    def app_limits(self) -> Limits:
        """How much the coordinator accepts."""
        table = self.limits
        return Limits(table.uploads, table.threads, table.sessions, table.request_bytes, table.poll_seconds)

    def bounds(self) -> Bounds:
        """What the server takes from connections."""
        table = self.limits
        return Bounds(
            connections=table.connections,
            head_seconds=table.head_seconds,
            body_rate=table.body_rate,
            buffered_bytes=table.buffered_bytes,
        )

    def check_listening(self, address: str) -> None:
        """Refuse to speak plain HTTP beyond this machine, unless that is asked for by name.

        Args:
            address: host and port.

        Raises:
            ConfigError: it would.
        """
        open_to_all = is_address(address) and not is_loopback(address)
        if self.server.certificate is None and not self.server.allow_http and open_to_all:
            raise ConfigError(
                f"{self.path}: [server] needs certificate and private_key to listen on {address}: others could read"
                " every token. Where a proxy in front speaks TLS, say allow_http = true"
            )

    def _check(self) -> None:
        """Check what no single key can tell."""
        here = f"{self.path}: [server]"
        if (self.server.certificate is None) != (self.server.private_key is None):
            raise ConfigError(f"{here} needs both certificate and private_key, or neither")
        if self.limits.buffered_bytes < self.limits.request_bytes:
            raise ConfigError(f"{self.path}: [limits] buffered_bytes must be at least request_bytes")
        if self.server.url is not None:
            try:
                url = parse_server_url(self.server.url)
            except LocalProtocolError as error:
                raise ConfigError(f"{here} url must be the URL of a server: {error}") from None
            if url.scheme == "http" and not (url.loopback or self.server.allow_http):
                raise ConfigError(f"{here} url must be https, or say allow_http = true: others could read every token")


def template(values: dict[str, dict[str, Any]]) -> str:
    """The text of a configuration file, with a comment before each key.

    Args:
        values: by table and key; they replace defaults.
    """
    lines = ["# Configuration of a SecAgg coordinator. Relative paths start at this file's folder."]
    for name, kind in TABLES.items():
        lines += template_lines(name, kind, values.get(name, {}))
    return "\n".join(lines) + "\n"


def _name(text: str, path: Path, line: int) -> Name:
    try:
        return parse_name(text)
    except LocalProtocolError as error:
        raise ConfigError(f"{path}, line {line}: {error}") from None
