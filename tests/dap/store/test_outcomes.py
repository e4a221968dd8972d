"""What became of reports, as the store keeps it: exact over processes, by the hour, and not for ever."""

import threading
from collections.abc import Callable

import pytest

from secagg.dap.messages import ReportError, Role
from secagg.dap.metrics import Metrics
from secagg.dap.store import schema
from secagg.dap.store.engine import StoreUnavailable
from secagg.dap.store.garbage import GarbageCollector
from secagg.dap.store.outcomes import HOUR, HOURS_KEPT, Outcome, keep_tally, list_outcomes
from secagg.dap.store.tasks import delete_task
from secagg.dap.tally import Stage

from ...support.world import MIN_BATCH, START, World

NewWorld = Callable[..., World]
NOW = int(START) // HOUR


def kept(world: World, since: int = 0, role: Role = Role.LEADER) -> list[Outcome]:
    store, task = (
        (world.leader_store, world.leader_task) if role is Role.LEADER else (world.helper_store, world.helper_task)
    )
    with store.read() as tx:
        return list_outcomes(tx, task, since)


def test_outcomes_add_up_by_the_hour(dap_world: NewWorld) -> None:
    world, processes = dap_world(), [Metrics(), Metrics()]
    for hour in (0, 0, 1):
        for metrics in processes:
            metrics.count_uploads(world.task, 5, [ReportError.REPORT_REPLAYED] * 2)
            metrics.count_job(world.task, 0, {7: ReportError.VDAF_VERIFY_ERROR})
            keep_tally(world.leader_store, metrics.tally, START + hour * HOUR)
            keep_tally(world.leader_store, metrics.tally, START + hour * HOUR)  # what is stored is not counted again
    later = [
        Outcome(NOW + 1, Stage.AGGREGATION, "vdaf_verify_error", 2),
        Outcome(NOW + 1, Stage.UPLOAD, "accepted", 10),
        Outcome(NOW + 1, Stage.UPLOAD, "report_replayed", 4),
    ]
    assert kept(world, NOW + 1) == later
    assert kept(world) == [Outcome(NOW, each.stage, each.name, 2 * each.count) for each in later] + later


def test_processes_that_count_at_once_lose_nothing(dap_world: NewWorld) -> None:
    world = dap_world()

    def count() -> None:
        metrics = Metrics()
        for _ in range(20):
            metrics.count_uploads(world.task, 1, [ReportError.REPORT_TOO_EARLY])
            keep_tally(world.leader_store, metrics.tally, START)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.name: each.count for each in kept(world)} == {"accepted": 80, "report_too_early": 80}


def test_what_could_not_be_stored_stays_counted(dap_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world, metrics = dap_world(), Metrics()
    metrics.count_uploads(world.task, 3, [])
    with monkeypatch.context() as broken:
        broken.setattr("secagg.dap.store.outcomes.add_outcomes", unavailable)
        with pytest.raises(StoreUnavailable):
            keep_tally(world.leader_store, metrics.tally, START)
    metrics.count_uploads(world.task, 4, [])
    keep_tally(world.leader_store, metrics.tally, START)
    assert [each.count for each in kept(world)] == [7]


def unavailable(*anything: object) -> None:
    raise StoreUnavailable("the disk is full")


def test_a_deleted_task_has_no_outcomes(dap_world: NewWorld) -> None:
    world, metrics = dap_world(), Metrics()
    metrics.count_uploads(world.task, 3, [])
    keep_tally(world.leader_store, metrics.tally, START)
    metrics.count_uploads(world.task, 1, [])
    with world.leader_store.write() as tx:
        delete_task(tx, world.task.id)
    keep_tally(world.leader_store, metrics.tally, START)
    assert kept(world) == [Outcome(NOW, Stage.UPLOAD, "accepted", 3)]
    GarbageCollector(world.leader_store).run(START)
    assert world.count("leader", schema.outcomes) == 0


def test_outcomes_are_forgotten_after_two_weeks(dap_world: NewWorld) -> None:
    world, metrics = dap_world(), Metrics()
    for hour in (0, 1):
        metrics.count_uploads(world.task, 3, [])
        keep_tally(world.leader_store, metrics.tally, START + hour * HOUR)
    garbage = GarbageCollector(world.leader_store)
    garbage.run(None)  # the clock cannot be trusted
    garbage.run(START + HOURS_KEPT * HOUR)
    assert len(kept(world)) == 2
    garbage.run(START + (HOURS_KEPT + 1) * HOUR)
    assert [each.hour for each in kept(world)] == [NOW + 1]


def test_the_helper_counts_what_it_aggregates_and_rejects(dap_world: NewWorld) -> None:
    """Once for each job, however often the Leader sends it."""
    world, metrics = dap_world(), Metrics()
    world.helper._count = metrics.count_job
    good = world.upload_many(MIN_BATCH)
    world.aggregate_all()
    bad = world.report(1)
    spoiled = bytearray(bad.helper_encrypted_input_share.payload)
    spoiled[-1] ^= 1
    object.__setattr__(bad.helper_encrypted_input_share, "payload", bytes(spoiled))
    assert world.upload(bad) == [None]
    world.aggregate_all()
    keep_tally(world.helper_store, metrics.tally, START)
    found = {each.name: each.count for each in kept(world, role=Role.HELPER)}
    assert found == {"aggregated": len(good), "hpke_decrypt_error": 1}
    for body in world.peer.seen:
        world.helper.create_job(world.helper_task, world.keys(Role.HELPER), body, world.clock.now)
    assert not metrics.tally.take()
