"""Opening a store, its transactions and the version of its schema.

A transaction that writes takes its lock when it begins: on SQLite the whole file's, on PostgreSQL those of the rows
that it names `FOR UPDATE`. What is committed is on disk: SQLite runs with synchronous = FULL, PostgreSQL with its
default.

SQLite waits for a lock where a transaction has none yet. Where a read lock would have to become a write lock, it
refuses at once, since two that waited so would wait for each other. Nothing here asks for that except the switch to a
write-ahead log, which is not to be had otherwise and is tried again. What is read in `read` is not written there, as
the tests check.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from random import uniform
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Column, Connection, Engine, Executable, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, TimeoutError

from ...errors import LocalProtocolError, SecAggError
from .journal import Journal
from .journals import attach
from .migrations import VERSION, migrate, version
from .vault import Vault

PAGE_BYTES = 1 << 14
"""Of a new SQLite file: a report of 1,000 buckets, some 16 KB, lies in one or two pages and not in five."""

_WRITES = "secagg_writes"  # an execution option
_BUSY_SECONDS = 30
_BUSY_PAUSE = 0.05  # longest pause, in seconds, before another attempt at a lock that SQLite does not wait for
_POOL: dict[str, Any] = {"hide_parameters": True, "pool_size": 8, "max_overflow": 56}  # more than threads of a process


class StoreUnavailable(SecAggError):
    """The database cannot be reached or is full. Nothing of the transaction is in it; try again later."""


class Store:
    """A database, and the vault of what is sealed in it.

    Args:
        url: as SQLAlchemy writes it, such as `sqlite:///leader.db` or `postgresql+psycopg://localhost/leader`.
        vault: opens what is sealed.
        journal: of releases, outside the database; None to do without, in a store that never had one.
        create: make the tables, or bring them to this version; False if they must be of this version already.
        accept_journal: take this journal although the store had another one, or had one that is gone.

    Raises:
        LocalProtocolError: the URL opens no database, the tables are of another version, or the store's journal is not
            there.
        StoreUnavailable: the database cannot be reached.
    """

    def __init__(
        self,
        url: str,
        vault: Vault,
        journal: Journal | None = None,
        *,
        create: bool = True,
        accept_journal: bool = False,
    ) -> None:
        self.vault = vault
        self.journal = journal
        self.engine = _engine(url)
        try:
            self._check_version(create)
            with self.write() as tx:
                attach(tx.connection, journal, accept=accept_journal)
        except BaseException:
            self.close()
            raise

    def _check_version(self, create: bool) -> None:
        with self.write() as tx:
            if create:
                migrate(tx.connection)
            current = version(tx.connection)
        if current != VERSION:
            raise LocalProtocolError(
                f"the store's schema is version {current}, this program's is {VERSION}:"
                + (" upgrade it with `secagg dap store upgrade`" if current < VERSION else " use a newer program")
            )

    @contextmanager
    def read(self) -> "Iterator[Tx]":
        """A transaction that changes nothing."""
        with _translated(), self.engine.begin() as connection:
            yield Tx(connection, self.vault, self.journal)

    @contextmanager
    def write(self) -> "Iterator[Tx]":
        """A transaction: all of it is on disk when the block is left, or nothing is."""
        with _translated(), self.engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield Tx(connection, self.vault, self.journal)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class Tx:
    """A transaction under way.

    Attributes:
        connection: of SQLAlchemy.
        vault: opens what is sealed.
        journal: of releases; None if the store does without.
    """

    def __init__(self, connection: Connection, vault: Vault, journal: Journal | None) -> None:
        self.connection = connection
        self.vault = vault
        self.journal = journal

    def execute(self, statement: Executable, rows: Any = None) -> Any:
        """Run a statement.

        Args:
            statement: of SQLAlchemy.
            rows: its parameters, of one row or of many; None for none.
        """
        return self.connection.execute(statement, rows)

    def insert_new(self, table: Table, rows: Sequence[dict[str, Any]], key: Column[Any]) -> set[Any]:
        """Insert those rows whose keys are not there yet.

        A row that another transaction inserts meanwhile is waited for. The rows are taken in the order of `key`, so
        that no two transactions wait for each other.

        Args:
            table: where to.
            rows: values by column.
            key: the column that says which rows were inserted.

        Returns:
            The values of `key` in the rows that were inserted.
        """
        new = _insert_new(self.connection.dialect.name, table, key)
        return set(self.connection.execute(new, sorted(rows, key=lambda row: row[key.name])).scalars())


@lru_cache
def _insert_new(dialect: str, table: Table, key: Column[Any]) -> Any:
    """The statement, made once for each table: every upload needs it."""
    made = postgresql if dialect == "postgresql" else sqlite
    return made.insert(table).on_conflict_do_nothing().returning(key)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            engine = create_engine(parsed, **_POOL, connect_args={"timeout": _BUSY_SECONDS})
        else:
            engine = create_engine(parsed, **_POOL, pool_pre_ping=True)
    except (ArgumentError, ImportError) as error:
        raise LocalProtocolError(f"the URL opens no database: {error}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name != "postgresql":
        raise LocalProtocolError(f"a store must be a SQLite or PostgreSQL database, not {engine.dialect.name}")
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions begin as `_begin_sqlite` says
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that is new; another keeps what it has
    _write_ahead(connection)
    for setting in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, unless it has one; waits as long as a transaction does."""
    end = monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= end:
                raise
        sleep(uniform(0, _BUSY_PAUSE))  # random, so that several do not collide again and again


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise StoreUnavailable("too many transactions at once") from None
    except OperationalError as error:
        raise StoreUnavailable(f"the database does not answer: {error.orig}") from None
    except DBAPIError as error:
        if error.connection_invalidated or "full" in str(error.orig):
            raise StoreUnavailable(f"the database does not answer: {error.orig}") from None
        raise
