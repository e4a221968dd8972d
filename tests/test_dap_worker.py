"""Workers: what they do step by step, and what they count."""

import time
from pathlib import Path

from dap_world import MIN_BATCH, Urls, World

from secagg.dap.directory import Directory
from secagg.dap.metrics import Metrics
from secagg.dap.worker import Workers


def test_steps_are_counted_once_and_idle_looks_are_not(tmp_path: Path) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    metrics = Metrics()
    workers = Workers(world.leader, Directory(world.leader_store, world.clock), metrics, clock=world.clock)
    assert not workers.step(world.clock.now)
    assert value(metrics, "secagg_dap_job_seconds_count") == 0

    world.upload_many(MIN_BATCH + 2)
    world.leader.create_jobs(world.clock.now)
    world.leader.create_collection(world.leader_task, world.request(), world.clock.now)
    while workers.step(world.clock.now):
        pass
    assert value(metrics, "secagg_dap_job_seconds_count") == 1
    assert value(metrics, 'secagg_dap_reports_aggregated_total{outcome="aggregated"}') == MIN_BATCH + 2
    assert value(metrics, "secagg_dap_batch_size_sum") == MIN_BATCH + 2
    assert value(metrics, "secagg_dap_batch_size_count") == 1
    world.close()


def test_threads_work_until_they_are_stopped(tmp_path: Path) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    metrics = Metrics()
    workers = Workers(world.leader, Directory(world.leader_store, world.clock), metrics, threads=2, clock=world.clock)
    world.upload_many(MIN_BATCH)
    world.leader.create_collection(world.leader_task, world.request(), world.clock.now)
    workers.start()
    for _ in range(6000):
        if value(metrics, "secagg_dap_batch_size_count") == 1:
            break
        time.sleep(0.01)
        world.clock.now += 0.01
    workers.stop()
    assert value(metrics, "secagg_dap_batch_size_sum") == MIN_BATCH
    world.close()


def value(metrics: Metrics, name: str) -> float:
    """Of one line of what Prometheus reads."""
    lines = [line.rpartition(" ") for line in metrics.text().decode().splitlines()]
    return float(next(number for found, _, number in lines if found == name))
