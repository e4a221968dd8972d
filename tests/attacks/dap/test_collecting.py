"""What must never happen to a batch: to be collected twice, or together with one that shares reports with it; to be
released with too few reports; to be of other reports at the Leader than at the Helper.
"""

from collections.abc import Callable
from typing import Any

import pytest

from secagg.dap.aggregator import collection_jobs
from secagg.dap.messages import (
    AggregateShareReq,
    BatchMode,
    BatchSelector,
    CollectionJobExtension,
    CollectionJobReq,
    Interval,
    Query,
    Report,
    ReportError,
)
from secagg.dap.problems import DapProblem
from secagg.dap.store import schema
from secagg.dap.vdafs import vdaf

from ...support.world import MIN_BATCH, PRECISION, Crash, Fault, World, checksum_of, dump, problem_type, restore

NewWorld = Callable[..., World]
MODES = pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())


def collected(world: World, count: int = 4, **request: Any) -> bytes:
    """A batch of so many reports is collected; the encoded result."""
    world.upload_many(count)
    world.aggregate_all()
    return world.result(world.collect(world.request(**request))).encoded


def share_request(world: World, reports: list[Report], interval: Interval, **changes: Any) -> bytes:
    """What a Leader asks the Helper for."""
    query = changes.get("query", interval)
    request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, query.encode()))
    selector = BatchSelector(BatchMode.TIME_INTERVAL, interval.encode())
    count, checksum = changes.get("count", len(reports)), changes.get("checksum", checksum_of(reports))
    return AggregateShareReq(request, selector, count, checksum).encode()


def ask_helper(world: World, body: bytes) -> bytes:
    return world.helper.create_share(world.helper_task, body, world.clock.now)[1]


# Collected twice.


@MODES
def test_collected_batch_is_answered_with_the_same_bytes(dap_world: NewWorld, mode: BatchMode) -> None:
    world = dap_world(batch_mode=mode, batch_size=4)
    first = collected(world)
    request = world.request()
    for _ in range(2):
        world.restart()
        job = world.collect(request)
        assert job.response == first
        assert world.leader.collections.find(world.leader_task, job.id).response == first


OVERLAPS = {"same": (0, 1), "longer": (-1, 3), "starts in it": (0, 5), "ends in it": (-5, 6)}


@pytest.mark.parametrize("overlap", OVERLAPS.values(), ids=OVERLAPS)
def test_batch_that_overlaps_a_collected_one_is_refused(dap_world: NewWorld, overlap: tuple[int, int]) -> None:
    world = dap_world()
    collected(world)
    bucket, (offset, duration) = world.bucket, overlap
    job = world.collect()
    world.leader.collections.delete(world.leader_task, job.id)
    world.clock.now += PRECISION
    world.upload_many(4)
    world.aggregate_all()
    with pytest.raises(DapProblem, match="batchOverlap"):
        world.collect(world.request(start=bucket + offset, duration=duration))
    assert world.result(world.collect(world.request(start=bucket + 1))).count == 4


def test_overlapping_batches_that_are_asked_for_at_once_are_not_both_collected(dap_world: NewWorld) -> None:
    """Neither is collected yet when the Leader takes the requests."""
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    requests = [world.request(duration=duration) for duration in (1, 2, 3)]
    jobs = [world.leader.collections.create(world.leader_task, request, world.clock.now) for request in requests]
    ended = [world.collect(request) for request in requests]
    assert len({job.id for job in jobs}) == 3
    assert sum(job.finished for job in ended) == 1
    assert [problem_type(job) for job in ended if not job.finished] == ["batchOverlap"] * 2
    assert world.count("leader", schema.collected) == world.count("helper", schema.collected) == 1


def test_helper_gives_no_share_of_a_batch_that_overlaps_a_collected_one(dap_world: NewWorld) -> None:
    """A Leader that asks for the buckets again, in another query and in another interval."""
    world = dap_world()
    reports = world.upload_many(4)
    world.aggregate_all()
    world.result(world.collect())
    batch = Interval(world.bucket, 1)
    for request in (
        share_request(world, reports, batch, query=Interval(world.bucket, 2)),
        share_request(world, reports, Interval(world.bucket, 2)),
        share_request(world, [], batch),
        share_request(world, reports[1:], batch),
    ):
        with pytest.raises(DapProblem, match="batchOverlap"):
            ask_helper(world, request)


@MODES
def test_nothing_is_added_to_a_collected_batch(dap_world: NewWorld, mode: BatchMode) -> None:
    """Late reports: refused by time at upload, put into another batch where the Leader selects."""
    world = dap_world(batch_mode=mode, batch_size=4)
    first = collected(world)
    late = [world.report(1) for _ in range(4)]
    assert world.upload(*late) == [ReportError.BATCH_COLLECTED if mode is BatchMode.TIME_INTERVAL else None] * 4
    world.aggregate_all()
    assert world.collect().response == first


def test_report_that_comes_while_its_batch_is_collected_is_in_it_or_refused(dap_world: NewWorld) -> None:
    """Between the Leader's collection and the Helper's."""
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    outcomes: list[ReportError | None] = []
    world.peer.meanwhile = lambda: outcomes.extend(world.upload(world.report()))
    assert world.result(world.collect()).count == 4
    assert outcomes == [ReportError.BATCH_COLLECTED]


@MODES
def test_collection_waits_for_reports_that_are_on_their_way(dap_world: NewWorld, mode: BatchMode) -> None:
    """Accepted ones may be with the Helper already: collected without them, they were lost."""
    world = dap_world(batch_mode=mode, batch_size=8)
    world.upload_many(4)
    world.aggregate_all()
    world.upload_many(4)
    world.peer.faults = [Fault.LOST_ANSWER]
    world.aggregate()
    job = world.collect(steps=3)
    assert not job.finished
    world.aggregate_all()
    assert world.result(world.collect()).count == 8


@MODES
def test_collection_that_two_workers_drive_is_one(dap_world: NewWorld, mode: BatchMode) -> None:
    """The lease of the first runs out just before it collects, and another one's collection is complete by then."""
    world = dap_world(batch_mode=mode, batch_size=4)
    world.upload_many(4)
    world.aggregate_all()
    bucket = world.bucket
    world.upload_many(4)
    world.aggregate_all()
    request = world.request(start=bucket)
    job = world.leader.collections.create(world.leader_task, request, world.clock.now)

    def another_worker() -> None:
        world.clock.now += 1000
        world.peer.faults = [Fault.LOST_REQUEST]
        world.leader.collections.work(world.clock.now)

    world.leader_store.meanwhile = [None, another_worker]
    world.leader.collections.work(world.clock.now)
    assert world.count("leader", schema.collected) == 1
    again = world.collect(request)
    assert again.id == job.id
    assert world.result(again).count == (8 if mode is BatchMode.TIME_INTERVAL else 4)


@MODES
def test_late_failure_of_a_worker_spoils_no_finished_collection(dap_world: NewWorld, mode: BatchMode) -> None:
    """It waits for the Helper in vain while another one gets the answer."""
    world = dap_world(batch_mode=mode, batch_size=4)
    world.upload_many(4)
    world.aggregate_all()
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)

    def another_worker() -> None:
        world.clock.now += 1000
        world.leader.collections.work(world.clock.now)

    world.peer.meanwhile, world.peer.faults = another_worker, [Fault.LOST_ANSWER]
    world.leader.collections.work(world.clock.now)
    finished = world.leader.collections.find(world.leader_task, job.id)
    assert world.result(finished).count == 4
    for _ in range(3):
        world.clock.now += 1000
        world.leader.collections.work(world.clock.now)
    assert world.leader.collections.find(world.leader_task, job.id) == finished


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_batch_whose_share_request_is_lost_is_collected_once(dap_world: NewWorld, fault: Fault) -> None:
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    world.peer.faults = [fault] * 3
    assert world.result(world.collect()).count == 4
    assert world.count("helper", schema.collected) == 1


def test_deleted_job_collects_its_batch_no_second_time(dap_world: NewWorld) -> None:
    """Deleted when it is done, and between the two Aggregators' collections."""
    world = dap_world()
    collected(world)
    world.leader.collections.delete(world.leader_task, world.collect().id)
    with pytest.raises(DapProblem, match="batchOverlap"):
        world.collect()
    world.clock.now += PRECISION
    world.upload_many(4)
    world.aggregate_all()
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    world.peer.meanwhile = lambda: world.leader.collections.delete(world.leader_task, job.id)
    world.leader.collections.work(world.clock.now)
    with pytest.raises(DapProblem, match="404"):
        world.leader.collections.find(world.leader_task, job.id)
    with pytest.raises(DapProblem, match="batchOverlap"):
        world.collect()


def test_deleted_job_of_a_leader_selected_batch_gives_way_to_another_batch(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, batch_size=4)
    first = collected(world)
    job = world.collect()
    world.leader.collections.delete(world.leader_task, job.id)
    assert not world.collect(steps=3).finished
    assert collected(world) != first
    assert world.count("leader", schema.collected) == 2


def test_deleted_share_is_not_made_again(dap_world: NewWorld) -> None:
    world = dap_world()
    collected(world)
    body = world.peer.seen[-1]
    share_id, share = world.helper.create_share(world.helper_task, body, world.clock.now)
    assert world.helper.find_share(world.helper_task, share_id) == share
    world.helper.delete_share(world.helper_task, share_id)
    with pytest.raises(DapProblem, match="404"):
        world.helper.find_share(world.helper_task, share_id)
    with pytest.raises(DapProblem, match="batchOverlap"):
        ask_helper(world, body)


# Too few reports.


def test_batch_with_too_few_reports_is_not_released_by_the_leader(dap_world: NewWorld) -> None:
    """It waits while more may come, fails once none can, and tells how many there are; a longer one is another."""
    world = dap_world()
    world.upload_many(MIN_BATCH - 1)
    world.aggregate_all()
    request = world.request()
    waiting = world.collect(request, steps=50)
    assert waiting.problem is None
    assert not waiting.finished
    world.clock.now += 5 * PRECISION
    assert problem_type(world.collect(request)) == "invalidBatchSize"
    assert world.count("leader", schema.collected) == world.count("helper", schema.collected) == 0
    bucket = world.bucket
    world.upload_many(1)
    world.aggregate_all()
    assert problem_type(world.collect(request)) == "invalidBatchSize"
    result = world.result(world.collect(world.request(start=bucket, duration=world.bucket - bucket + 1)))
    assert result.count == MIN_BATCH


def test_collection_that_failed_for_too_few_reports_can_be_asked_for_again(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(MIN_BATCH - 1)
    world.aggregate_all()
    request, moment = world.request(), world.clock.now
    world.clock.now += 5 * PRECISION
    assert problem_type(world.collect(request)) == "invalidBatchSize"
    assert world.upload(world.report(at=moment)) == [None]
    world.aggregate_all()
    assert world.result(world.collect(request)).count == MIN_BATCH


def test_batch_whose_sum_may_be_beyond_the_field_is_not_released(dap_world: NewWorld) -> None:
    """Of ten reports of 2^62; each interval of three that is in it still has a result, which is right."""
    world = dap_world(vdaf=vdaf("Sum", max_measurement=1 << 62), min_batch_size=2)
    first, reports = world.clock.bucket, []
    for bucket in range(2):
        world.clock.now += bucket * PRECISION
        made = [world.report(1 << 62) for _ in range(3)]
        assert world.upload(*made) == [None] * 3
        reports += made
    world.aggregate_all()
    job = world.collect(world.request(start=first, duration=2))
    assert problem_type(job) == "invalidBatchSize"
    assert "batch has 6 reports, and at most 3 are sure to sum up in the field; ask for" in str(job.problem)
    with pytest.raises(DapProblem, match="at most 3 are sure"):
        ask_helper(world, share_request(world, reports, Interval(first, 2)))
    assert world.count("leader", schema.collected) == world.count("helper", schema.collected) == 0
    for start in (first, first + 1):
        assert world.sum_of(world.collect(world.request(start=start))) == 3 << 62


def test_leader_selects_no_batch_whose_sum_may_be_beyond_the_field(dap_world: NewWorld) -> None:
    chosen = vdaf("Sum", max_measurement=1 << 62)
    world = dap_world(vdaf=chosen, min_batch_size=2, batch_size=10, batch_mode=BatchMode.LEADER_SELECTED)
    assert world.upload(*(world.report(1 << 62) for _ in range(6))) == [None] * 6
    world.aggregate_all()
    for _ in range(2):
        job = world.collect()
        assert world.sum_of(job) == 3 << 62
        world.leader.collections.delete(world.leader_task, job.id)


def test_batch_with_too_few_reports_is_not_released_by_the_helper(dap_world: NewWorld) -> None:
    """To a Leader that asks although it should not."""
    world = dap_world()
    reports = world.upload_many(MIN_BATCH - 1)
    world.aggregate_all()
    batch = Interval(world.bucket, 1)
    for request in (
        share_request(world, reports, batch),
        share_request(world, reports, batch, count=MIN_BATCH),
        share_request(world, [], Interval(world.bucket + 5, 1)),
    ):
        with pytest.raises(DapProblem, match="invalidBatchSize"):
            ask_helper(world, request)
    assert world.count("helper", schema.collected) == 0


def test_bad_reports_make_no_batch_large_enough(dap_world: NewWorld) -> None:
    """In leader-selected mode, too, where a batch was assigned enough."""
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED)
    world.upload_many(MIN_BATCH - 1)
    good = world.report()
    bad = type(good)(
        good.report_metadata,
        good.public_share,
        good.leader_encrypted_input_share,
        good.leader_encrypted_input_share,
    )
    assert world.upload(bad) == [None]
    world.aggregate_all()
    assert not world.collect(steps=5).finished
    world.upload_many(1)
    world.aggregate_all()
    assert world.result(world.collect()).count == MIN_BATCH


def test_leader_gives_no_share_that_the_helper_withholds(dap_world: NewWorld) -> None:
    """The Helper has lost reports, so that its batch is too small: the Collector gets neither share."""
    world = dap_world()
    before = dump(world.urls.helper)
    world.upload_many(4)
    world.aggregate_all()
    restore(world.urls.helper, before)
    job = world.collect()
    assert problem_type(job) == "invalidBatchSize"
    assert not job.finished


# Other reports.


DIFFERENCES: dict[str, Callable[[list[Report]], dict[str, Any]]] = {
    "count": lambda reports: {"count": len(reports) + 1},
    "checksum": lambda reports: {"checksum": checksum_of(reports[1:])},
    "both": lambda reports: {"count": len(reports) - 1, "checksum": checksum_of(reports[1:])},
}


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_helper_gives_no_share_of_other_reports_than_the_leaders(
    dap_world: NewWorld, difference: Callable[[list[Report]], dict[str, Any]]
) -> None:
    world = dap_world()
    reports = world.upload_many(5)
    world.aggregate_all()
    batch = Interval(world.bucket, 1)
    with pytest.raises(DapProblem, match="batchMismatch"):
        ask_helper(world, share_request(world, reports, batch, **difference(reports)))
    assert world.count("helper", schema.collected) == 0
    assert world.result(world.collect()).count == 5


@pytest.mark.parametrize("side", ["leader", "helper"])
def test_batch_of_which_an_aggregator_has_lost_reports_is_not_released(dap_world: NewWorld, side: str) -> None:
    """One database is restored from a backup; enough reports are left at both, but not the same."""
    world = dap_world()
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    url = world.urls.leader if side == "leader" else world.urls.helper
    before = dump(url)
    world.upload_many(2)
    world.aggregate_all()
    restore(url, before)
    assert problem_type(world.collect()) == "batchMismatch"
    with pytest.raises(AssertionError, match="batchMismatch"):
        world.result(world.collect())


def test_helper_answers_only_within_the_collectors_query(dap_world: NewWorld) -> None:
    world = dap_world()
    reports = world.upload_many(4)
    world.aggregate_all()
    request = share_request(world, reports, Interval(world.bucket, 2), query=Interval(world.bucket, 1))
    with pytest.raises(DapProblem, match="batchInvalid"):
        ask_helper(world, request)


# Requests that are none.


def test_collection_request_that_the_task_does_not_allow_is_refused(dap_world: NewWorld) -> None:
    world = dap_world()
    by_time = Query(BatchMode.TIME_INTERVAL, Interval(1, 1).encode())
    bad = {
        "invalidMessage": [
            CollectionJobReq(Query(BatchMode.LEADER_SELECTED, b"")).encode(),
            CollectionJobReq(Query(BatchMode.TIME_INTERVAL, b"")).encode(),
            CollectionJobReq(by_time).encode() + b"x",
            b"",
        ],
        "invalidAggregationParameter": [CollectionJobReq(by_time, b"p").encode()],
        "batchInvalid": [
            world.request(duration=0),
            world.request(start=(1 << 64) - 1, duration=(1 << 64) - 1),
            world.request(start=0, duration=1 << 63),
        ],
        "unsupportedExtension": [CollectionJobReq(by_time, b"", (CollectionJobExtension(9, b""),)).encode()],
        "invalidExtension": [
            CollectionJobReq(by_time, b"", (CollectionJobExtension(9, b""), CollectionJobExtension(9, b""))).encode()
        ],
    }
    for kind, requests in bad.items():
        for request in requests:
            with pytest.raises(DapProblem, match=kind):
                world.leader.collections.create(world.leader_task, request, world.clock.now)
    assert world.count("leader", schema.collection_jobs) == 0


def test_leader_selected_query_names_no_batch(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED)
    for query in (Query(BatchMode.LEADER_SELECTED, bytes(32)), Query(BatchMode.TIME_INTERVAL, Interval(1, 1).encode())):
        with pytest.raises(DapProblem, match="invalidMessage"):
            world.leader.collections.create(world.leader_task, CollectionJobReq(query).encode(), world.clock.now)


@pytest.mark.parametrize("committed", [False, True], ids=["before_commit", "after_commit"])
def test_crash_after_the_answer_has_left_changes_nothing(dap_world: NewWorld, committed: bool) -> None:
    """The Leader dies as it stores the result: the Helper is asked once more and answers with the same bytes."""
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    world.leader_store.crash_at, world.leader_store.committed = 2, committed
    with pytest.raises(Crash):
        world.leader.collections.work(world.clock.now)
    world.restart()
    again = world.collect()
    assert again.id == job.id
    assert world.result(again).count == 4
    shares = [body for body in world.peer.seen if body.startswith(world.request())]
    assert len(set(shares)) == 1


def test_collector_does_not_fill_the_store_with_queries(dap_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would be looked at again and again; what has a result does not count, and a known query is found."""
    monkeypatch.setattr(collection_jobs, "MAX_COLLECTION_JOBS", 3)
    world = dap_world()
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished
    queries = [world.request(start=world.clock.bucket + 10 + i) for i in range(4)]
    jobs = [world.leader.collections.create(world.leader_task, query, world.clock.now) for query in queries[:3]]
    with pytest.raises(DapProblem, match="collection jobs already") as error:
        world.leader.collections.create(world.leader_task, queries[3], world.clock.now)
    assert error.value.status == 429
    assert world.leader.collections.create(world.leader_task, queries[0], world.clock.now).id == jobs[0].id
    world.leader.collections.delete(world.leader_task, jobs[1].id)
    world.leader.collections.create(world.leader_task, queries[3], world.clock.now)


def test_collector_hears_what_a_collection_waits_for(dap_world: NewWorld) -> None:
    world = dap_world(time_precision=100, min_batch_size=5)
    world.clock.now = 100 * (world.clock.now // 100) + 59
    world.upload_many(3)
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    world.leader.collections.work(world.clock.now)
    waiting = world.leader.collections.find(world.leader_task, job.id)
    assert waiting.waiting == "3 reports of the batch are not aggregated yet"
    world.aggregate_all()
    world.clock.now = 100 * (world.clock.now // 100) + 60
    world.leader.collections.work(world.clock.now)
    waiting = world.leader.collections.find(world.leader_task, job.id)
    assert waiting.waiting == "batch has 3 reports, needs 5; newest interval still open, for 40 s"
    world.upload_many(2)
    world.aggregate_all()
    world.peer.faults = [Fault.LOST_REQUEST]
    world.clock.now += 10
    world.leader.collections.work(world.clock.now)
    waiting = world.leader.collections.find(world.leader_task, job.id)
    assert (waiting.waiting, waiting.finished) == ("the Helper's share is awaited: the request is lost", False)
