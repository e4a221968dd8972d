"""Clocks that differ: a report that the Leader has accepted waits for the Helper's clock, and is counted once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from secagg.dap.aggregator.schedule import Settings
from secagg.dap.messages import AggregationJobInitReq, BatchMode
from secagg.dap.store import schema
from secagg.dap.store.tasks import TaskRecord

from ..support.world import BUCKETS, Fault, World

BEHIND = -900.0  # seconds: further than the Helper lets a report be ahead


def settled(world: World) -> World:
    """Until the Helper's clock, which goes as ours does, has come to the reports' time."""
    world.aggregate_all()
    assert not world.count("leader", schema.jobs)
    return world


@pytest.mark.parametrize("mode", BatchMode)
def test_what_is_too_early_for_the_helper_is_counted_later(dap_world: Callable[..., World], mode: BatchMode) -> None:
    world = dap_world(batch_mode=mode, settings=Settings(job_size=100, backoff=50.0), batch_size=10)
    old = world.upload_many(4)
    world.helper_skew = BEHIND
    world.clock.now += 1000.0
    new = world.upload_many(6)
    done = world.aggregate()
    assert sum(job.aggregated for job in done) == len(old)
    assert all(not job.errors for job in done)
    settled(world)
    if mode is BatchMode.TIME_INTERVAL:
        world.clock.now += 10.0
        first = int(world.clock.now) // world.task.time_precision - 100
        result = world.result(world.collect(world.request(first, 200)))
    else:
        result = world.result(world.collect())
    assert result.count == len(old) + len(new)
    assert result.sums == [3, 3, 2, 2][:BUCKETS]


def test_a_job_that_is_all_too_early_is_asked_anew(dap_world: Callable[..., World]) -> None:
    """The Helper answers the same request as it did before, unless its answer is deleted."""
    world = dap_world(settings=Settings(job_size=100, backoff=50.0))
    world.helper_skew = BEHIND
    world.upload_many(5)
    world.peer.faults = [None, Fault.LOST_REQUEST]  # and that the deletion is lost costs time alone
    settled(world)
    assert len(set(world.peer.seen)) == 1
    result = world.result(world.collect())
    assert (result.count, sum(result.sums)) == (5, 5)


def test_reports_wait_for_a_helper_without_their_verification_key(dap_world: Callable[..., World]) -> None:
    """Neither are they lost, nor does the Helper's answer stand once it has the key (section 4.5.3.1)."""
    world = dap_world(settings=Settings(job_size=100, backoff=50.0))
    world.upload_many(5)
    create_job = world.helper.create_job

    def without_key(record: TaskRecord, keys: Any, body: bytes, now: float, **options: Any) -> Any:
        other = replace(AggregationJobInitReq.decode(body), verification_key_id=1).encode()
        return create_job(record, keys, other, now, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.helper, "create_job", without_key)
        (done,) = world.aggregate()
    assert (done.aggregated, done.errors, done.later) == (0, {}, 5)
    assert world.count("helper", schema.aggregated) == 0
    with world.leader_store.read() as tx:
        why = tx.execute(select(schema.jobs.c.problem)).scalar_one()
    assert why == "the Helper does not know verification key 0"
    settled(world)
    result = world.result(world.collect())
    assert (result.count, sum(result.sums)) == (5, 5)


def test_what_is_too_early_in_a_lost_answer_is_still_so_in_the_next(dap_world: Callable[..., World]) -> None:
    """The Helper's clock has come to the reports' time, yet the same request gets the same answer: a new one would take
    what is counted for replays, and the Leader would not count it."""
    world = dap_world(settings=Settings(job_size=100, backoff=50.0))
    old = world.upload_many(4)
    world.helper_skew = BEHIND
    world.clock.now += 1000.0
    new = world.upload_many(6)
    world.peer.faults = [Fault.LOST_ANSWER]
    world.aggregate()
    world.helper_skew = 0.0
    settled(world)
    first, again, rest = world.peer.seen
    assert first == again != rest
    world.clock.now += 10.0
    begin = int(world.clock.now) // world.task.time_precision - 100
    result = world.result(world.collect(world.request(begin, 200)))
    assert result.count == len(old) + len(new)
