"""Schemas in the PostgreSQL that SECAGG_TEST_POSTGRES names.

To make a store's tables and to drop them took longer than most tests. A schema that a test leaves with these tables is
therefore emptied, and another test of this process gets it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url

from secagg.dap.store import schema
from secagg.dap.store.engine import Store
from secagg.dap.store.migrations import VERSION
from secagg.dap.store.vault import Vault

SHAPE = """
    SELECT md5(string_agg(
        concat_ws(' ', relname, relkind, attname, atttypid, attnotnull), ',' ORDER BY relname, attnum
    ))
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = '{name}'::regnamespace AND attnum > 0
"""
_spare: list[str] = []
_shapes: list[str] = []
"""Of a new store's tables, once it is known."""


@contextmanager
def postgres_schemas(count: int) -> Iterator[tuple[str, ...]]:
    """URLs of so many empty schemas; skips the test where there is no PostgreSQL."""
    server = os.environ.get("SECAGG_TEST_POSTGRES")
    if not server:
        pytest.skip("SECAGG_TEST_POSTGRES names no PostgreSQL; ci/postgres.sh starts one")
    names = [_new_name() for _ in range(count)]
    with _connected() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    try:
        yield tuple(
            make_url(server)
            .update_query_dict({"options": f"-csearch_path={name}", "application_name": name})
            .render_as_string(hide_password=False)
            for name in names
        )
    finally:
        with _connected() as connection:
            for name in names:
                _take_back(connection, name)


def make_tables(url: str) -> None:
    """Those of a new store, in one of these schemas if it has none."""
    name = make_url(url).query["application_name"]
    with _connected() as connection:
        if connection.exec_driver_sql(SHAPE.format(name=name)).scalar() is not None:
            return
        if not _spare:
            Store(url, Vault(bytes(32))).close()
            _shapes[:] = [connection.exec_driver_sql(SHAPE.format(name=name)).scalar_one()]
            return
        connection.exec_driver_sql(f"DROP SCHEMA {name}; ALTER SCHEMA {_spare.pop()} RENAME TO {name}")


def drop_spare_schemas() -> None:
    """Those that no test of this process needs any more."""
    if _spare:
        with _connected() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {', '.join(_spare)} CASCADE")
        _spare.clear()


def _take_back(connection: Connection, name: str) -> None:
    """Keep a schema that has the tables of a new store and that nothing is connected to any more; drop another."""
    if not (_is_left(connection, name) and _has_new_tables(connection, name)):
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        return
    tables = [f"{name}.{table.name}" for table in reversed(schema.metadata.sorted_tables)]
    connection.exec_driver_sql("; ".join(f"DELETE FROM {table}" for table in tables))
    _spare.append(_new_name())
    connection.exec_driver_sql(f"ALTER SCHEMA {name} RENAME TO {_spare[-1]}")


def _is_left(connection: Connection, name: str) -> bool:
    """Whether no process of the test can write any more; those of connections that were closed end at once."""
    for _ in range(20):
        query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
        if not connection.exec_driver_sql(query).scalar_one():
            return True
        time.sleep(0.005)
    return False


def _has_new_tables(connection: Connection, name: str) -> bool:
    if [connection.exec_driver_sql(SHAPE.format(name=name)).scalar()] != _shapes:
        return False
    return bool(connection.exec_driver_sql(f"SELECT version FROM {name}.secagg_store").scalar() == VERSION)


def _new_name() -> str:
    return f"test_{os.urandom(8).hex()}"


@contextmanager
def _connected() -> Iterator[Connection]:
    engine: Engine = create_engine(os.environ["SECAGG_TEST_POSTGRES"], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
