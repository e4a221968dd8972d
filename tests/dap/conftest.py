"""Fixtures of DAP's tests: two Aggregators on each database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from secagg.dap.store import engine

from ..support.postgres import drop_spare_schemas, postgres_schemas
from ..support.world import Urls, World


@event.listens_for(Engine, "begin")
def reads_do_not_write(connection: Connection) -> None:
    """A store's, in all tests: on SQLite a read that becomes a write fails if another has written, which is seldom."""
    if event.contains(connection.engine, "begin", engine._begin_sqlite):
        writes = engine._WRITES in connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA query_only = {not writes}")


@pytest.fixture(scope="session", autouse=True)
def no_schema_is_left() -> Iterator[None]:
    yield
    drop_spare_schemas()


@pytest.fixture(params=["sqlite", "postgresql"])
def dap_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Urls]:
    """Two empty databases, on SQLite and on the PostgreSQL that SECAGG_TEST_POSTGRES names."""
    if request.param == "sqlite":
        yield Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db")
    else:
        with postgres_schemas(2) as (leader, helper):
            yield Urls(leader, helper)


@pytest.fixture
def dap_world(dap_urls: Urls) -> Iterator[Callable[..., World]]:
    """Makes a `World` on them."""
    worlds = []

    def make(**parameters: Any) -> World:
        worlds.append(World(dap_urls, **parameters))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
