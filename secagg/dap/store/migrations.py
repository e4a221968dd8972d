"""The versions of the schema: each migration brings a store from version i to version i + 1.

An upgrade is one transaction, on both databases. An older program refuses to open a store of a newer version.
"""

from collections.abc import Callable

from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, inspect, select, update

from . import schema

_store = Table("secagg_store", MetaData(), Column("version", Integer, nullable=False))


def _create(connection: Connection) -> None:
    schema.metadata.create_all(connection)


def _know_journals(connection: Connection) -> None:
    schema.journals.create(connection, checkfirst=True)  # a new store has all tables of this program


def _know_when_shares_were_asked_for(connection: Connection) -> None:
    _add_columns(connection, schema.collection_jobs, "asked", "share_location")


def _close_intervals(connection: Connection) -> None:
    _add_columns(connection, schema.jobs, "problem")
    _add_columns(connection, schema.collection_jobs, "start", "end", "open_reports")
    schema.collection_jobs_end.create(connection, checkfirst=True)


def _add_columns(connection: Connection, table: Table, *names: str) -> None:
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in known:  # a new store has all columns of this program
            kind = table.c[name].type.compile(connection.dialect)
            connection.exec_driver_sql(f'ALTER TABLE {table.name} ADD COLUMN "{name}" {kind}')


def _watch_tasks(connection: Connection) -> None:
    schema.task_watch.create(connection, checkfirst=True)


def _know_which_batch_is_waited_for(connection: Connection) -> None:
    _add_columns(connection, schema.collection_jobs, "batch")


def _know_dialects(connection: Connection) -> None:
    _add_columns(connection, schema.tasks, "dialect")


def _keep_outcomes(connection: Connection) -> None:
    schema.outcomes.create(connection, checkfirst=True)


def _know_peers(connection: Connection) -> None:
    schema.peers.create(connection, checkfirst=True)
    schema.advertised.create(connection, checkfirst=True)


def _know_what_chosen_jobs_were_asked(connection: Connection) -> None:
    _add_columns(connection, schema.helper_jobs, "digest")


def _rotate_tokens(connection: Connection) -> None:
    schema.old_tokens.create(connection, checkfirst=True)


def _know_clients(connection: Connection) -> None:
    schema.client_tokens.create(connection, checkfirst=True)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create,
    _know_journals,
    _know_when_shares_were_asked_for,
    _close_intervals,
    _watch_tasks,
    _know_which_batch_is_waited_for,
    _know_dialects,
    _keep_outcomes,
    _know_peers,
    _know_what_chosen_jobs_were_asked,
    _rotate_tokens,
    _know_clients,
)
VERSION = len(MIGRATIONS)


def version(connection: Connection) -> int:
    """The version of the store's schema; 0 if it has none yet.

    Args:
        connection: to the database.
    """
    if not inspect(connection).has_table(_store.name):
        return 0
    return int(connection.execute(select(_store.c.version)).scalar_one())


def migrate(connection: Connection) -> None:
    """Bring a store's schema to VERSION; one of this version or a newer one stays as it is.

    Args:
        connection: in a transaction that writes.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7291744)")  # processes that start together take turns
    current = version(connection)
    if current >= VERSION:
        return
    if current == 0:
        _store.create(connection)
        connection.execute(insert(_store).values(version=0))
    for step in MIGRATIONS[current:]:
        step(connection)
    connection.execute(update(_store).values(version=VERSION))
