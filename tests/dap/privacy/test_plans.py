"""How the store finds rows: what is done for each report or all the time reads by an index, however many there are.
And what an aggregation job holds in memory."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from secagg.dap.aggregator.schedule import Settings
from secagg.dap.messages import BatchMode
from secagg.dap.store import schema
from secagg.dap.vdafs import vdaf

from ...support.tasks import make_task
from ...support.world import MIN_BATCH, Urls, World

NewWorld = Callable[..., World]
GROWING = ("reports", "aggregated", "collected", "helper_jobs", "collection_jobs", "aggregate_shares", "ledger")


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_no_step_from_upload_to_result_searches_a_table(tmp_path: Path, mode: BatchMode) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"), batch_mode=mode)
    stores = world.leader_store, world.helper_store
    seen: dict[str, Any] = {}

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen[statement] = parameters[0] if isinstance(parameters, list) else parameters

    for store in stores:
        event.listen(store.engine, "before_cursor_execute", note)
    world.upload_many(MIN_BATCH)
    world.peer.later = True
    world.aggregate()
    while world.helper.work(world.keys(world.helper_task.secrets.role), world.helper_now):
        pass
    world.clock.now += 10
    world.aggregate()
    assert world.collect().finished
    for store in stores:
        event.remove(store.engine, "before_cursor_execute", note)
    world.close()
    plans = {}
    with closing(sqlite3.connect(tmp_path / "leader.db")) as plain:
        for statement, parameters in seen.items():
            if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                plans[statement] = [row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    scans = [step for plan in plans.values() for step in plan if step.startswith("SCAN")]
    assert [step for step in scans if step.split()[1] in GROWING] == []
    overlaps = [plan for statement, plan in plans.items() if "collected.start" in statement]
    assert all(any("collected_end" in step for step in plan) for plan in overlaps)
    assert bool(overlaps) == (mode is BatchMode.TIME_INTERVAL)


def test_batches_may_be_larger_than_a_database_counts_in_four_bytes(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, batch_size=1 << 40)
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished


def test_jobs_of_long_shares_have_fewer_reports() -> None:
    """A job's shares are in memory at once."""
    settings = Settings()
    assert settings.size(make_task()) == settings.job_size
    task = make_task(vdaf=vdaf("SumVec", length=10_000, max_measurement=1))
    share = task.prio3.LEADER_SHARE_SIZE + task.prio3.OUT_SHARE_SIZE
    assert 1 < settings.size(task) <= (1 << 25) // share < settings.job_size
    assert settings.size(make_task(vdaf=vdaf("SumVec", length=3_000_000, max_measurement=1))) == 1


def test_long_shares_are_aggregated_in_jobs_of_their_size(dap_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "size", lambda self, task: 2)
    world = dap_world(settings=Settings(job_size=100))
    world.upload_many(5)
    assert world.leader.create_jobs(world.clock.now, min_reports=100) == 4
    assert world.count("leader", schema.jobs) == 2
    world.aggregate_all()
    assert world.collect().finished
