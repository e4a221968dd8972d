"""An Aggregator's configuration: one TOML file, with every key that it may have and what the key means.

The secret is never in this file: it is in a file of its own, or in the environment variable SECAGG_DAP_SECRET.
"""

import os
from contextlib import suppress
from dataclasses import MISSING, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Self

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ...durable import require_folder
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
    load_toml,
    one_of,
    option,
    read_tables,
    template_lines,
    whole_kind,
)
from ..aggregator.opt_in import OptIn
from ..aggregator.schedule import Settings
from ..messages import Role
from ..secrets import token_hash
from ..store.engine import Store
from ..store.journal import Journal
from ..store.vault import Vault
from ..task_policy import TaskPolicy
from .limits import Limits
from .taskprov_table import Taskprov

SECRET_VARIABLE = "SECAGG_DAP_SECRET"
ROLES = {"leader": Role.LEADER, "helper": Role.HELPER}
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_QUIET = ("sqlalchemy",)  # below a warning: rows
_MAKING = Lock()


@dataclass(frozen=True)
class Server:
    """Table [server]."""

    listen: str = option("127.0.0.1:8080", ADDRESS, "Where to listen; port 0 takes a free one.")
    processes: int = option(
        1, whole_kind(1, 256), "Server processes. HPKE opening scales by processes: about one for each CPU core."
    )
    certificate: str | None = option(
        None, TEXT, "TLS: the certificate chain, PEM. Without it a proxy in front has to speak TLS.", "tls.crt"
    )
    private_key: str | None = option(None, TEXT, "TLS: the certificate's private key, PEM.", "tls.key")
    metrics: str | None = option(
        None,
        ADDRESS,
        "Where to show /metrics and /healthz/detail, which names the tasks and the Helper's\n"
        "state; without this line beside all else.",
        "127.0.0.1:9100",
    )
    shutdown: float = option(30, SECONDS, "Seconds that requests under way have to finish when the server stops.")


@dataclass(frozen=True)
class Database:
    """Table [store]."""

    database: str = option(
        MISSING,
        TEXT,
        "A SQLite file beside this one, or PostgreSQL: postgresql+psycopg://user@host/name, its password in\n"
        "~/.pgpass or PGPASSWORD. Leader and Helper never share one.",
    )
    secret_file: str | None = option(
        None,
        TEXT,
        "The secret that keys, tokens and shares in the database are sealed under, and that the noise follows from:\n"
        f"64 hexadecimal digits, mode 600. Without this line it is taken from the environment, {SECRET_VARIABLE}.\n"
        "Keep a copy, but never beside a backup of the database.",
    )
    journal: str = option(
        "releases.journal",
        TEXT,
        "A line for each batch that was released, so that a backup that is restored gives nothing away. Keep it out\n"
        "of backups: it must never be older than the database.",
    )


@dataclass(frozen=True)
class HelperClient:
    """Table [helper]: the Leader's connections to Helpers."""

    ca: str | None = option(None, TEXT, "Certificates, PEM, that a Helper's must lead to; else the system's.", "ca.pem")
    timeout: float = option(60, SECONDS, "Seconds to wait for a Helper's answer.")
    connections: int = option(16, whole_kind(1, 1000), "Connections at once.")
    proxy: str | None = option(
        None, TEXT, "An HTTP proxy; variables such as HTTPS_PROXY do not count.", "http://proxy:3128"
    )


@dataclass(frozen=True)
class LeaderJobs:
    """Table [jobs] of a Leader."""

    job_size: int = option(500, whole_kind(1, 10_000), "Reports in an aggregation job, at most.")
    backoff: float = option(60, SECONDS, "Seconds before a failed step is tried again, at most.")
    patience: float = option(
        60, SECONDS, "Seconds that a batch which the Leader selects may take to fill; then min_batch_size is enough."
    )
    give_up: float = option(
        600,
        SECONDS,
        "Seconds after which a collection fails if the Helper gives no share, or if none of its last reports is\n"
        "aggregated, until it is asked for again.",
    )
    lease: float = option(
        120,
        SECONDS,
        "Seconds after which a step that a worker does is taken for lost, and done by another; twice [helper] timeout\n"
        "at least.",
    )


@dataclass(frozen=True)
class HelperJobs:
    """Table [jobs] of a Helper."""

    later: bool = option(
        False, TRUTH, "Answer aggregation jobs when the Leader polls, from workers, instead of at once."
    )


@dataclass(frozen=True)
class Workers:
    """Table [workers]."""

    threads: int = option(
        1, whole_kind(0, 64), "Worker threads in each server process; 0 leaves all work to `secagg dap worker`."
    )
    metrics: str | None = option(None, ADDRESS, "Where `secagg dap worker` shows its own metrics.", "127.0.0.1:9100")


@dataclass(frozen=True)
class LimitsTable:
    """Table [limits]."""

    upload_bytes: int = option(Limits.upload_bytes, whole_kind(1 << 10, 1 << 30), "Of a request with reports.")
    request_bytes: int = option(Limits.request_bytes, whole_kind(1 << 10, 1 << 30), "Of any other request.")
    waiting_reports: int = option(
        Limits.waiting_reports, whole_kind(1, 10_000_000), "Uploaded reports that may wait for the disk; then 503."
    )
    requests: int = option(
        Limits.requests, whole_kind(1, 10_000), "Requests of Leader or Collector worked on at once; then 503."
    )
    head_seconds: float = option(Bounds.head_seconds, SECONDS, "Seconds for which a request's head may be on its way.")
    body_rate: float = option(
        Bounds.body_rate, RATE, "Bytes a second that a request's content must come at, on an average of 10 seconds."
    )
    buffered_bytes: int = option(
        Bounds.buffered_bytes,
        whole_kind(1 << 10, 1 << 36),
        "Of the contents of all requests of a process together; then 503. At least upload_bytes and request_bytes.",
    )
    connections: int = option(
        Bounds.connections,
        whole_kind(1, 1_000_000),
        "Connections of a server process; then the one that is idle for longest makes room for a new one.",
    )


@dataclass(frozen=True)
class Keys:
    """Table [keys]."""

    cache: int = option(
        Limits.key_cache,
        whole_kind(1, 30 * 86_400),
        "Seconds for which Clients may keep our HPKE configurations. After a rotation the old key is accepted for\n"
        "twice as long.",
    )


@dataclass(frozen=True)
class PageTable:
    """Table [page]."""

    listen: str | None = option(
        None,
        ADDRESS,
        "Where the operator's page is, which shows tasks, batches and jobs in a browser. Without this line there is\n"
        "none. It is for the operator alone: on this machine, or behind a proxy that speaks TLS.",
        "127.0.0.1:9200",
    )
    url: str | None = option(
        None,
        TEXT,
        "The URL that the page has in a browser, where a proxy is in front, which must remove the URL's path from\n"
        "requests. Without this line it is the address above.",
        "https://dap.example/operator",
    )
    token_file: str = option("page.token", TEXT, "The operator's token, which is typed on the page; mode 600.")
    allow_http: bool = option(
        False,
        TRUTH,
        "Whether to speak plain HTTP beyond this machine, where everybody on the way can read the token: only where a\n"
        "proxy speaks TLS, or where nobody listens.",
    )


@dataclass(frozen=True)
class Logs:
    """Table [log]."""

    level: str = option("info", one_of(LEVELS), f"{', '.join(LEVELS[:-1])} or {LEVELS[-1]}.")
    format: str = option("text", one_of(FORMATS), "text, or json: one object a line.")
    file: str | None = option(
        None, TEXT, "Where to write lines, in place of stderr; on SIGHUP the file is opened again.", "leader.log"
    )


def tables(role: Role) -> dict[str, type[Any]]:
    """The tables of a role's file by name, in the file's order.

    Args:
        role: LEADER or HELPER.
    """
    leader = role is Role.LEADER
    return {
        "server": Server,
        "store": Database,
        **({"helper": HelperClient} if leader else {}),
        "jobs": LeaderJobs if leader else HelperJobs,
        "workers": Workers,
        "limits": LimitsTable,
        "keys": Keys,
        "taskprov": Taskprov,
        "page": PageTable,
        "log": Logs,
    }


@dataclass(frozen=True, repr=False)
class Config:
    """What one file says.

    Attributes:
        path: of the file; paths in it are relative to its folder.
        role: LEADER or HELPER.
        server: table [server].
        store: table [store].
        jobs: table [jobs].
        workers: table [workers].
        limits: table [limits].
        keys: table [keys].
        taskprov: table [taskprov].
        page: table [page].
        log: table [log].
        helper: table [helper]; None for a Helper.
    """

    path: Path
    role: Role
    server: Server
    store: Database
    jobs: LeaderJobs | HelperJobs
    workers: Workers
    limits: LimitsTable
    keys: Keys
    taskprov: Taskprov
    page: PageTable
    log: Logs
    helper: HelperClient | None = None

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
        given = load_toml(path)
        name = given.pop("role", None)
        if not isinstance(name, str) or name not in ROLES:
            raise ConfigError(f'{path}: role must be "leader" or "helper", before the first table')
        config = cls(path, ROLES[name], **read_tables(path, f"a {name}", tables(ROLES[name]), given))
        config._check()
        return config

    def file(self, name: str) -> Path:
        """A file that the configuration names.

        Args:
            name: as it stands there.
        """
        return self.path.parent / name

    @property
    def journal_file(self) -> Path:
        """The file of the journal of releases."""
        return self.file(self.store.journal)

    @property
    def url(self) -> str:
        """The database's URL; the path of a SQLite file is made absolute."""
        parsed = make_url(self.store.database)
        if self.sqlite_file is not None:
            parsed = parsed.set(database=str(self.sqlite_file.absolute()))
        return parsed.render_as_string(hide_password=False)

    @property
    def sqlite_file(self) -> Path | None:
        """The file of the database; None if it is PostgreSQL."""
        parsed = make_url(self.store.database)
        return self.file(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None

    def vault(self) -> Vault:
        """The vault of this Aggregator's secret.

        Raises:
            ConfigError: the secret is in no place, or in two.
            LocalProtocolError: it is not a secret.
        """
        text, file = os.environ.get(SECRET_VARIABLE), self.store.secret_file
        if (text is None) == (file is None):
            here = f"{self.path}: [store] secret_file"
            raise ConfigError(
                f"no secret: set {SECRET_VARIABLE} or {here}"
                if file is None
                else f"two secrets: unset {SECRET_VARIABLE}, or remove {here}"
            )
        return Vault.from_text(text or "", SECRET_VARIABLE) if file is None else Vault.load(self.file(file))

    def open_store(self, *, create: bool = False, accept_journal: bool = False) -> Store:
        """Open the store, which exists, or with `create` is made or upgraded.

        Args:
            create: make the store, or bring it to this version.
            accept_journal: go on with the journal of releases that is there, or with a new one.

        Raises:
            ConfigError, LocalProtocolError, StoreUnavailable: the store cannot be opened; the message says what to do.
            OSError: the journal cannot be read or made.
        """
        vault, file = self.vault(), self.sqlite_file
        if file is not None and not _there(file, create):
            raise ConfigError(f"there is no store {file}: make it with `secagg dap store upgrade --config {self.path}`")
        journal = Journal(self.journal_file)
        return Store(self.url, vault, journal, create=create, accept_journal=accept_journal)

    def start_log(self) -> None:
        """Log from now on as the table [log] says.

        Raises:
            ConfigError: the file cannot be written.
        """
        file = None if self.log.file is None else self.file(self.log.file)
        try:
            logs.configure(self.log.level, self.log.format, self.role.name.lower(), file=file, quiet=_QUIET)
        except OSError as error:
            raise ConfigError(f"{self.path}: [log] file {file} cannot be written: {error.strerror}") from None

    def app_limits(self) -> Limits:
        """How much one server process accepts."""
        table = self.limits
        return Limits(
            table.upload_bytes,
            table.request_bytes,
            table.waiting_reports,
            table.requests,
            self.keys.cache,
        )

    def opt_in(self, store: Store) -> OptIn | None:
        """What decides about advertised tasks; None where they are not taken.

        Args:
            store: of this Aggregator.

        Raises:
            ConfigError: table [taskprov] contradicts itself, or has no budget.
        """
        policy = self._policy()
        return None if policy is None else OptIn(store, self.role, policy, self.taskprov.quota())

    def bounds(self) -> Bounds:
        """What a server process takes from connections."""
        table = self.limits
        return Bounds(
            connections=table.connections,
            head_seconds=table.head_seconds,
            body_rate=table.body_rate,
            buffered_bytes=table.buffered_bytes,
        )

    def page_token(self) -> bytes:
        """The hash of the token that the operator types on the page.

        Raises:
            ConfigError: there is none, or others may read it.
        """
        return token_hash(read_token(self.file(self.page.token_file)).encode())

    def settings(self) -> Settings:
        """How the Leader schedules its work."""
        assert isinstance(self.jobs, LeaderJobs)
        assert self.helper is not None
        lease = max(self.jobs.lease, 2 * self.helper.timeout)  # nobody else begins again while we wait for the Helper
        return Settings(self.jobs.job_size, lease, self.jobs.backoff, self.jobs.patience, self.jobs.give_up)

    def _policy(self) -> TaskPolicy | None:
        if not self.taskprov.opt_in:
            return None
        return self.taskprov.policy(f"{self.path}: [taskprov]", self.limits.upload_bytes)

    def _check(self) -> None:
        """Check what no single key can tell."""
        self._policy()
        where = f"{self.path}: [store] database"
        try:
            parsed = make_url(self.store.database)
            backend = parsed.get_backend_name()
        except ArgumentError:
            raise ConfigError(f'{where} must be a URL such as "sqlite:///{self.path.stem}.db"') from None
        if backend not in ("sqlite", "postgresql"):
            raise ConfigError(f"{where} must be SQLite or PostgreSQL, not {backend}")
        if parsed.password is not None or "password" in parsed.query:
            raise ConfigError(f"{where} must not hold a password: put it into ~/.pgpass or PGPASSWORD")
        if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
            raise ConfigError(f'{where} must name a file, such as "sqlite:///{self.path.stem}.db"')
        if self.helper is not None and self.helper.proxy is not None:
            self._check_proxy(self.helper.proxy)
        largest = max(self.limits.upload_bytes, self.limits.request_bytes)
        if self.limits.buffered_bytes < largest:
            raise ConfigError(
                f"{self.path}: [limits] buffered_bytes must be at least {largest}: one request may have them"
            )
        if (self.server.certificate is None) != (self.server.private_key is None):
            raise ConfigError(f"{self.path}: [server] needs both certificate and private_key, or neither")
        self._check_page()

    def _check_page(self) -> None:
        """Refuse a page whose token could be read on its way, unless that is asked for by name."""
        here, table = f"{self.path}: [page]", self.page
        if table.listen is not None and not table.allow_http and not is_loopback(table.listen):
            raise ConfigError(
                f"{here} speaks plain HTTP, and listens on {table.listen}: others could read the operator's token."
                " Where a proxy in front speaks TLS, say allow_http = true"
            )
        if table.url is not None:
            try:
                url = parse_server_url(table.url)
            except LocalProtocolError as error:
                raise ConfigError(f"{here} url must be the URL of a server: {error}") from None
            if url.scheme == "http" and not (url.loopback or table.allow_http):
                raise ConfigError(f"{here} url must be https, or say allow_http = true: others could read the token")

    def _check_proxy(self, url: str) -> None:
        where = f"{self.path}: [helper] proxy"
        if "@" in url:
            raise ConfigError(f"{where} must not hold a password: let the proxy know us by our address")
        try:
            parse_server_url(url)
        except LocalProtocolError as error:
            raise ConfigError(f"{where} must be the URL of a server: {error}") from None


def _there(file: Path, create: bool) -> bool:
    """Whether this SQLite store exists; with `create`, an empty file that only we may read is made if there is none.

    SQLite gives the files that it puts beside the store the same mode. A process that closes a file loses all its locks
    on that file, SQLite's included. So nobody opens a store before the process that made it has closed it, and an
    existing file is not opened here.
    """
    with _MAKING:
        if create:
            with suppress(FileExistsError):
                require_folder(file)
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return file.exists()


def template(role: Role, values: dict[str, dict[str, Any]]) -> str:
    """The text of a configuration file, with a comment before each key.

    Args:
        role: LEADER or HELPER.
        values: by table and key; they replace defaults.
    """
    name = role.name.lower()
    lines = [f"# Configuration of a DAP {name.capitalize()}. Relative paths start at this file's folder.", ""]
    lines.append(f'role = "{name}"')
    for table, kind in tables(role).items():
        lines += template_lines(table, kind, values.get(table, {}))
    return "\n".join(lines) + "\n"
