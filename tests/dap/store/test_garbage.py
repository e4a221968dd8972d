"""What garbage collection leaves, and what it does not even look at."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, update

from secagg.dap.messages import BatchMode
from secagg.dap.store import schema
from secagg.dap.store.engine import Store
from secagg.dap.store.garbage import GarbageCollector
from secagg.dap.store.tasks import delete_task

from ...support.world import MIN_BATCH, World

NewWorld = Callable[..., World]
OF_LEADER = ("reports", "jobs", "batches", "buckets", "collection_jobs")
OF_HELPER = ("aggregated", "helper_jobs", "buckets", "aggregate_shares")


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_of_a_deleted_task_only_its_marks_and_ledger_stay(dap_world: NewWorld, mode: BatchMode) -> None:
    world = dap_world(batch_mode=mode)
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished
    world.upload_many(MIN_BATCH, at=world.clock.now - 1000)
    world.aggregate()
    world.upload_many(2, at=world.clock.now - 1000)
    world.leader.create_jobs(world.clock.now)
    world.upload_many(1, at=world.clock.now - 1000)
    for side, store, tables in (
        ("leader", world.leader_store, OF_LEADER),
        ("helper", world.helper_store, OF_HELPER),
    ):
        with store.write() as tx:
            delete_task(tx, world.task.id)
        GarbageCollector(store).run(world.clock.now)
        left = {name: world.count(side, schema.metadata.tables[name]) for name in tables}
        assert left == dict.fromkeys(tables, 0)
        assert world.count(side, schema.collected) == 1
    assert world.waiting() == 0


def test_other_tasks_keep_what_they_have(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    for store in (world.leader_store, world.helper_store):
        GarbageCollector(store).run(world.clock.now)
    assert world.count("leader", schema.reports) == world.count("helper", schema.aggregated) == MIN_BATCH
    assert world.collect().finished


def test_a_store_that_has_had_many_reports_is_not_searched_from_its_first(dap_world: NewWorld) -> None:
    """Numbers of reports only grow."""
    world = dap_world()
    world.upload_many(MIN_BATCH)
    with world.leader_store.write() as tx:
        tx.execute(update(schema.reports).values(key=schema.reports.c.key + 10**9))
    world.aggregate_all()
    assert world.collect().finished
    assert statements(world.leader_store, "DELETE FROM reports", world) == 1
    assert world.count("leader", schema.reports) == 0


def test_only_tasks_that_have_collected_since_are_searched(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished
    garbage = GarbageCollector(world.helper_store)
    assert statements(world.helper_store, "DELETE FROM aggregated", world, garbage) == 256
    assert statements(world.helper_store, "DELETE FROM aggregated", world, garbage) == 0


def statements(store: Store, beginning: str, world: World, garbage: GarbageCollector | None = None) -> int:
    """How many statements of a collection of garbage begin so."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    (garbage or GarbageCollector(store)).run(world.clock.now)
    event.remove(store.engine, "before_cursor_execute", note)
    return sum(statement.startswith(beginning) for statement in seen)
