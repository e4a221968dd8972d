"""Workers: what they do step by step, and what they count."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.worker import GARBAGE, Housekeeping, Workers
from secagg.dap.metrics import Metrics
from secagg.dap.store.engine import StoreUnavailable

from ...support.world import MIN_BATCH, Urls, World


def test_steps_are_counted_once_and_idle_looks_are_not(tmp_path: Path) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    metrics = Metrics()
    workers = Workers(world.leader, Directory(world.leader_store, world.clock), metrics, clock=world.clock)
    assert not workers.step(world.clock.now)
    assert value(metrics, "secagg_dap_job_seconds_count") == 0

    world.upload_many(MIN_BATCH + 2)
    world.leader.create_jobs(world.clock.now)
    world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    while workers.step(world.clock.now):
        pass
    assert value(metrics, "secagg_dap_job_seconds_count") == 1
    assert value(metrics, aggregated_name(world)) == MIN_BATCH + 2
    assert value(metrics, "secagg_dap_batch_size_sum") == MIN_BATCH + 2
    assert value(metrics, "secagg_dap_batch_size_count") == 1
    world.close()


def test_threads_work_until_they_are_stopped(tmp_path: Path) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    metrics = Metrics()
    workers = Workers(world.leader, Directory(world.leader_store, world.clock), metrics, threads=2, clock=world.clock)
    world.upload_many(MIN_BATCH)
    world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    workers.start()
    for _ in range(6000):
        if value(metrics, "secagg_dap_batch_size_count") == 1:
            break
        time.sleep(0.01)
        world.clock.now += 0.01
    workers.stop()
    assert value(metrics, "secagg_dap_batch_size_sum") == MIN_BATCH
    world.close()


@dataclass
class Clocks:
    """The wall's, and one that nobody sets."""

    now: float
    ticks: float = 0.0


def test_a_clock_that_was_set_ahead_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    clock, seen = Clocks(world.clock.now), list[float | None]()
    monkeypatch.setattr("secagg.dap.aggregator.worker.time.monotonic", lambda: clock.ticks)
    monkeypatch.setattr("secagg.dap.aggregator.worker.GarbageCollector.run", lambda self, now: seen.append(now))
    housekeeping = Housekeeping(world.helper)
    for ahead in (0.0, 0.0, 1e8, 1e8, 0.0):
        housekeeping.step(clock.now + clock.ticks + ahead)
        clock.ticks += GARBAGE
    assert seen == [None, clock.now + GARBAGE, None, clock.now + 3 * GARBAGE + 1e8, None]
    world.close()


@pytest.mark.parametrize("fault", ["jobs cannot be made", "the clock is set back"])
def test_what_waits_is_worked_on_whatever_else_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    metrics = Metrics()
    workers = Workers(world.leader, Directory(world.leader_store, world.clock), metrics, clock=world.clock)
    world.upload_many(MIN_BATCH)
    workers.start()
    wait_for(world, metrics, MIN_BATCH)
    world.upload_many(1)
    if fault == "jobs cannot be made":
        world.leader.create_jobs(world.clock.now)
        monkeypatch.setattr(world.leader, "create_jobs", failing)
    else:
        world.upload_many(1, at=world.clock.now - 7200)
        world.clock.now -= 3600
    wait_for(world, metrics, MIN_BATCH + 1)
    workers.stop()
    world.close()


def failing(*given: object, **others: object) -> int:
    raise StoreUnavailable("not now")


def aggregated_name(world: World) -> str:
    return f'secagg_dap_reports_aggregated_total{{outcome="aggregated",task="{world.task.text}"}}'


def wait_for(world: World, metrics: Metrics, reports: int) -> None:
    """Until so many reports are aggregated."""
    name = aggregated_name(world)
    for _ in range(1000):
        if name in metrics.text().decode() and value(metrics, name) >= reports:
            return
        time.sleep(0.01)
    raise AssertionError("nothing happens")


def value(metrics: Metrics, name: str) -> float:
    """Of one line of what Prometheus reads."""
    lines = [line.rpartition(" ") for line in metrics.text().decode().splitlines()]
    return float(next(number for found, _, number in lines if found == name))
