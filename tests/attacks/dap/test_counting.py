"""What must never happen to a report: to be counted twice, to be lost once it was accepted, to be counted although it
is from the future, outside the task's interval or says something that nobody understands.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from secagg.dap.aggregator.input_shares import SKEW
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.dialect import DAP_18, DAP_19, Dialect
from secagg.dap.messages import AggregationJobInitReq, AggregationJobResp, BatchMode, Interval, ReportError, Role
from secagg.dap.problems import DapProblem
from secagg.dap.store import garbage, schema
from secagg.dap.store.engine import StoreUnavailable

from ...support.outcomes import job_outcomes
from ...support.world import BUCKETS, PRECISION, Crash, Fault, World, extensions, problem_type

NewWorld = Callable[..., World]
MODES = pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
QUICK = Settings(job_size=3, lease=10.0, backoff=5.0)


def counted(world: World, **request: Any) -> int:
    """Reports in the collected batch, whose sums say the same."""
    result = world.result(world.collect(world.request(**request)))
    assert sum(result.sums) == result.count
    return result.count


# Counted twice.


def test_report_that_is_uploaded_again_is_counted_once(dap_world: NewWorld) -> None:
    world = dap_world()
    reports = world.upload_many(4)
    assert world.upload(*reports) == [None] * 4  # a retry is no error
    assert world.upload(reports[0], reports[0], reports[1]) == [None] * 3
    world.aggregate_all()
    assert world.upload(*reports) == [None] * 4
    world.aggregate_all()
    assert counted(world) == 4


def test_report_whose_id_is_taken_is_not_counted(dap_world: NewWorld) -> None:
    world = dap_world()
    reports = world.upload_many(4)
    world.upload(world.report(report_id=reports[0].report_metadata.report_id))
    world.aggregate_all()
    assert counted(world) == 4


def test_reports_that_many_requests_upload_at_once_are_counted_once(dap_world: NewWorld) -> None:
    """In all orders, so that transactions that wait for one another would be seen."""
    world = dap_world()
    rounds = [[world.report(i % BUCKETS) for i in range(50)] for _ in range(8)]
    start, failures = threading.Barrier(4), []

    def send(turn: int) -> None:
        for reports in rounds:
            order = (reports[10 * turn :] + reports[: 10 * turn])[:: 1 if turn % 2 else -1]
            start.wait()
            try:
                world.upload(*order)
            except StoreUnavailable as error:
                failures.append(error)

    threads = [threading.Thread(target=send, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    world.aggregate_all()
    assert counted(world) == 400


def test_reports_in_two_jobs_at_once_are_counted_once(dap_world: NewWorld) -> None:
    """A Leader that puts the same reports into several jobs, in other orders, and sends them all together."""
    world = dap_world(settings=Settings(job_size=20))
    world.upload_many(20)
    world.peer.faults = [Fault.LOST_REQUEST]
    world.leader.create_jobs(world.clock.now)
    captured = capture_job(world)
    inits = captured.verify_inits
    start, answers, failures = threading.Barrier(3), [], []

    def send(order: Any) -> None:
        request = AggregationJobInitReq(0, b"", (), tuple(order)).encode()
        start.wait()
        try:
            _, job = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), request, world.clock.now)
            answers.append(job_outcomes(world.task, job.response))
        except Exception as error:
            failures.append(error)

    orders = [inits, inits[::-1], inits[10:] + inits[:10]]
    threads = [threading.Thread(target=send, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    outcomes = [outcome for answer in answers for outcome in answer]
    assert sum(isinstance(outcome, bytes) for outcome in outcomes) == 20
    assert outcomes.count(ReportError.REPORT_REPLAYED) == 40
    assert world.count("helper", schema.aggregated) == 20


def capture_job(world: World) -> AggregationJobInitReq:
    """What the Leader sends for its next job, which is lost on the way."""
    faults, world.peer.faults = world.peer.faults, [Fault.LOST_REQUEST]
    world.step_job()
    world.peer.faults = faults
    return AggregationJobInitReq.decode(world.peer.seen[-1])


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@MODES
def test_job_that_is_sent_again_is_counted_once(dap_world: NewWorld, mode: BatchMode, fault: Fault) -> None:
    world = dap_world(batch_mode=mode, batch_size=7)
    world.upload_many(7)
    world.peer.faults = [fault, fault]
    world.aggregate_all()
    assert len(set(world.peer.seen)) == 1  # the same bytes each time
    assert counted(world) == 7


def test_report_in_a_job_that_the_helper_has_forgotten_is_counted_once(dap_world: NewWorld) -> None:
    """The answer is lost and the job deleted; its marks stay, so that the Helper takes the reports for replays, and
    the batches no longer agree: nothing is released rather than something wrong."""
    world = dap_world()
    world.upload_many(4)
    world.peer.faults = [Fault.LOST_ANSWER]
    world.aggregate()
    (job_id,) = stored_ids(world, schema.helper_jobs)
    world.helper.delete_job(world.helper_task, job_id)
    world.aggregate_all()
    assert world.count("helper", schema.aggregated) == 4
    world.upload_many(3)
    world.aggregate_all()
    assert problem_type(world.collect()) == "batchMismatch"


def test_job_that_was_deleted_before_it_was_begun_begins_anew(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(4)
    world.peer.later = True
    world.aggregate()
    (job_id,) = stored_ids(world, schema.helper_jobs)
    world.helper.delete_job(world.helper_task, job_id)
    world.peer.later = False
    world.aggregate_all()
    assert counted(world) == 4


def stored_ids(world: World, table: Any) -> list[bytes]:
    with world.helper_store.read() as tx:
        return list(tx.execute(select(table.c.id)).scalars())


@MODES
def test_job_that_two_workers_drive_is_counted_once(dap_world: NewWorld, mode: BatchMode) -> None:
    """The first is so slow that its lease runs out while the Helper works."""
    world = dap_world(batch_mode=mode, batch_size=5)
    world.upload_many(5)

    def another_worker() -> None:
        world.clock.now += 1000
        done = world.step_job()
        assert done is not None
        assert done.aggregated == 5

    world.peer.meanwhile = another_worker
    world.leader.create_jobs(world.clock.now)
    late = world.step_job()
    assert late is not None
    assert late.aggregated == 0
    assert counted(world, start=world.clock.bucket - 10) == 5


@MODES
def test_late_worker_does_not_end_the_job_that_was_made_since(dap_world: NewWorld, mode: BatchMode) -> None:
    """While it waits for the Helper its lease runs out, another worker ends the job, and the next job is made."""
    world = dap_world(batch_mode=mode, batch_size=10)
    world.upload_many(5)

    def another_worker() -> None:
        world.clock.now += 1000
        done = world.step_job()
        assert done is not None
        assert done.aggregated == 5
        world.upload_many(5, at=world.clock.now - 1000)
        world.leader.create_jobs(world.clock.now)

    world.peer.meanwhile = another_worker
    world.leader.create_jobs(world.clock.now)
    late = world.step_job()
    assert late is not None
    assert late.aggregated == 0
    world.aggregate_all()
    assert counted(world, start=world.clock.bucket - 10) == 10


# Lost, or counted twice, in a crash.


@pytest.mark.parametrize("committed", [False, True], ids=["before_commit", "after_commit"])
@pytest.mark.parametrize("side", ["leader", "helper"])
@MODES
def test_report_is_counted_once_wherever_an_aggregator_crashes(
    dap_world: NewWorld, mode: BatchMode, side: str, committed: bool
) -> None:
    """A batch for each transaction of the way from waiting report to collected batch, at which the process dies."""
    world = dap_world(batch_mode=mode, settings=QUICK, batch_size=5)
    for transaction in range(100):
        world.upload_many(5)
        crashed = run_into_crash(world, side, transaction, committed)
        world.aggregate_all()
        assert counted(world) == 5
        forget_collection(world)
        world.clock.now = (world.clock.bucket + 1) * PRECISION
        if not crashed:
            break
    assert transaction >= (6 if side == "leader" else 4)


def run_into_crash(world: World, side: str, transaction: int, committed: bool) -> bool:
    """Aggregate and collect until the crash, if there is one, and start anew."""
    store = world.leader_store if side == "leader" else world.helper_store
    store.crash_at, store.committed = transaction, committed
    try:
        world.aggregate_all()
        world.collect()
    except Crash:
        world.restart()
        return True
    store.crash_at = None
    return False


def forget_collection(world: World) -> None:
    """In leader-selected mode all requests are alike: the next one is answered anew once this job is deleted."""
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    world.leader.collections.delete(world.leader_task, job.id)


def test_report_is_kept_or_refused_wherever_the_leader_crashes_in_an_upload(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(3)
    for committed in (False, True):
        world.leader_store.crash_at, world.leader_store.committed = 0, committed
        reports = [world.report(), world.report()]
        with pytest.raises(Crash):
            world.upload(*reports)
        world.restart()
        assert world.upload(*reports) == [None, None]  # what a Client does that heard nothing
    world.aggregate_all()
    assert counted(world) == 7


# Lost.


def test_report_that_the_leader_takes_is_not_too_early_for_a_helper_whose_clock_is_behind(
    dap_world: NewWorld,
) -> None:
    world = dap_world(time_precision=1)
    world.helper_skew = -200.0
    early = world.report(at=world.clock.now + SKEW - 1)
    assert world.upload(early, world.report(), world.report()) == [None] * 3
    world.aggregate_all()
    start = int(world.clock.now) - 3000
    assert counted(world, start=start, duration=6000) == 3


@pytest.mark.parametrize("fault", [None, *Fault], ids=lambda fault: fault.name.lower() if fault else "none")
@MODES
def test_report_is_not_lost_to_a_helper_whose_clock_is_far_behind(
    dap_world: NewWorld, mode: BatchMode, fault: Fault | None
) -> None:
    """All of a job at first, then some of one; the same reports make the same job, whose answer must be another."""
    world = dap_world(batch_mode=mode, settings=QUICK, batch_size=7, time_precision=1)
    world.helper_skew = -1000.0
    start = int(world.clock.now) - 700
    world.upload_many(3)
    for _ in range(3):
        done = world.aggregate()
        assert [(job.aggregated, job.errors) for job in done] == [(0, {})]
        world.clock.now += 60.0
    world.upload_many(2, at=start)
    world.upload_many(2)
    world.peer.faults = [None, fault, fault]
    world.aggregate()
    world.helper_skew = 0.0
    world.aggregate_all()
    assert counted(world, start=start, duration=6000) == 7
    assert world.count("helper", schema.aggregated) == 7


@MODES
def test_report_is_not_lost_while_the_helper_is_unreachable_for_long(dap_world: NewWorld, mode: BatchMode) -> None:
    """More attempts than a float has powers of two."""
    world = dap_world(batch_mode=mode, settings=QUICK, batch_size=5)
    world.upload_many(5)
    world.leader.create_jobs(world.clock.now)
    set_attempts(world, schema.jobs, 5000)
    world.peer.faults = [Fault.LOST_REQUEST]
    failed = world.step_job()
    assert failed is not None
    assert failed.problem is not None
    world.clock.now += QUICK.backoff
    assert sum(done.aggregated for done in world.aggregate()) == 5
    job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    set_attempts(world, schema.collection_jobs, 5000)
    world.peer.faults = [Fault.LOST_REQUEST]
    world.leader.collections.work(world.clock.now)
    world.clock.now += QUICK.backoff
    world.leader.collections.work(world.clock.now)
    assert world.result(world.leader.collections.find(world.leader_task, job.id)).count == 5


def set_attempts(world: World, table: Any, attempts: int) -> None:
    with world.leader_store.write() as tx:
        tx.execute(table.update().values(attempts=attempts))


@pytest.mark.parametrize(
    ("dialect", "of_unknown_key"),
    [(DAP_19, ReportError.HPKE_UNKNOWN_CONFIG_ID), (DAP_18, ReportError.HPKE_DECRYPT_ERROR)],
    ids=["dap-19", "dap-18"],
)
def test_good_reports_are_counted_beside_bad_ones(
    dap_world: NewWorld, dialect: Dialect, of_unknown_key: ReportError
) -> None:
    """All outcomes in one job, and a job that has nothing but reports that do not open."""
    world = dap_world(dialect=dialect)
    good = world.upload_many(4)
    metadata = good[0].report_metadata
    foreign = [type(good[0])(metadata_with_id(metadata, i), *parts(good[0])) for i in range(2)]
    unknown_key = world.report()
    config = type(unknown_key.helper_encrypted_input_share)
    sealed = unknown_key.helper_encrypted_input_share
    unknown_key = type(unknown_key)(
        unknown_key.report_metadata,
        unknown_key.public_share,
        unknown_key.leader_encrypted_input_share,
        config(99, sealed.enc, sealed.payload),
    )
    assert world.upload(*foreign, unknown_key) == [None] * 3
    (done,) = world.aggregate_all()
    assert (done.aggregated, sorted(done.errors.values())) == (
        4,
        [ReportError.HPKE_DECRYPT_ERROR] * 2 + [of_unknown_key],
    )
    world.upload(type(good[0])(metadata_with_id(metadata, 7), *parts(good[0])))
    (done,) = world.aggregate_all()
    assert (done.aggregated, list(done.errors.values())) == (0, [ReportError.HPKE_DECRYPT_ERROR])
    assert counted(world) == 4


def metadata_with_id(metadata: Any, number: int) -> Any:
    return type(metadata)(number.to_bytes(16, "big"), metadata.time, metadata.public_extensions)


def parts(report: Any) -> tuple[Any, Any, Any]:
    return report.public_share, report.leader_encrypted_input_share, report.helper_encrypted_input_share


# Replays.


def test_retried_request_is_no_replay(dap_world: NewWorld) -> None:
    """After its answer was lost, and after a restart, the same bytes get the same bytes."""
    world = dap_world()
    world.upload_many(4)
    world.peer.faults = [Fault.LOST_ANSWER]
    world.aggregate()
    (body,) = world.peer.seen
    first = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), body, world.clock.now)
    world.restart()
    again = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), body, world.clock.now + 1e5)
    assert (again[0], again[1].response) == (first[0], first[1].response)
    outcomes = [resp.outcome for resp in AggregationJobResp.decode(first[1].response or b"").verify_resps]
    assert all(isinstance(outcome, bytes) for outcome in outcomes)


def test_report_of_another_job_is_a_replay(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(3)
    world.aggregate_all()
    init = AggregationJobInitReq.decode(world.peer.seen[0])
    other = AggregationJobInitReq(0, b"", (), init.verify_inits[:2]).encode()
    _, job = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), other, world.clock.now)
    assert job_outcomes(world.task, job.response) == [ReportError.REPORT_REPLAYED] * 2


def test_collected_report_is_refused_after_garbage_collection_too(dap_world: NewWorld) -> None:
    world = dap_world()
    reports = world.upload_many(3)
    world.aggregate_all()
    assert counted(world) == 3
    for store in (world.leader_store, world.helper_store):
        garbage.GarbageCollector(store).run(world.clock.now)
    assert world.count("leader", schema.reports) == world.count("helper", schema.aggregated) == 0
    assert world.upload(*reports) == [ReportError.BATCH_COLLECTED] * 3
    init = AggregationJobInitReq.decode(world.peer.seen[0])
    other = AggregationJobInitReq(0, b"", (), init.verify_inits[:2]).encode()
    _, job = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), other, world.clock.now)
    assert job_outcomes(world.task, job.response) == [ReportError.BATCH_COLLECTED] * 2


def test_garbage_collection_keeps_what_still_refuses_replays(dap_world: NewWorld) -> None:
    """Open batches, and all of leader-selected mode, where nothing but the ID refuses."""
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED)
    reports = world.upload_many(3)
    world.aggregate_all()
    assert counted(world) == 3
    for store in (world.leader_store, world.helper_store):
        garbage.GarbageCollector(store).run(world.clock.now + 1e7)
    world.upload(*reports)
    world.aggregate_all()
    assert world.count("leader", schema.reports) == world.count("helper", schema.aggregated) == 3
    assert world.count("leader", schema.jobs) == 0


def test_rewound_job_is_not_begun_again(dap_world: NewWorld) -> None:
    """Deleted and sent again: a new job, in which every report is a replay."""
    world = dap_world()
    world.upload_many(3)
    world.aggregate_all()
    (job_id,) = stored_ids(world, schema.helper_jobs)
    world.helper.delete_job(world.helper_task, job_id)
    keys = world.keys(Role.HELPER)
    again, job = world.helper.create_job(world.helper_task, keys, world.peer.seen[0], world.clock.now)
    assert again == job_id
    assert job_outcomes(world.task, job.response) == [ReportError.REPORT_REPLAYED] * 3
    assert counted(world) == 3


# Reports that no Aggregator may count.


def test_report_from_the_future_is_refused_by_both(dap_world: NewWorld) -> None:
    world = dap_world(time_precision=1)
    early = world.report(at=world.clock.now + SKEW + 1)
    assert world.upload(early, world.report(time=(1 << 64) - 1)) == [ReportError.REPORT_TOO_EARLY] * 2
    assert refused_by_helper(world, early) is ReportError.REPORT_TOO_EARLY


OUTSIDE = {
    "dap-19": (DAP_19, ReportError.REPORT_DROPPED, ReportError.REPORT_DROPPED),
    "dap-18": (DAP_18, ReportError.TASK_NOT_STARTED, ReportError.TASK_EXPIRED),
}


@pytest.mark.parametrize(("dialect", "before", "after"), OUTSIDE.values(), ids=OUTSIDE)
def test_report_outside_the_tasks_interval_is_refused_by_both(
    dap_world: NewWorld, dialect: Dialect, before: ReportError, after: ReportError
) -> None:
    world = dap_world(interval=Interval(17_000_000, 10), dialect=dialect)
    for time, error in ((16_999_999, before), (17_000_010, after)):
        world.clock.now = 1_700_001_100.0
        report = world.report(time=time)
        assert world.upload(report) == [ReportError.REPORT_DROPPED]
        assert refused_by_helper(world, report) is error
    assert world.upload(world.report(time=17_000_000), world.report(time=17_000_009)) == [None, None]


BAD_LISTS = {"unknown": (5,), "repeated": (5, 5), "unordered": (9, 5), "reserved": (0,)}


@pytest.mark.parametrize("types", BAD_LISTS.values(), ids=BAD_LISTS)
@pytest.mark.parametrize(
    ("dialect", "at_upload"),
    [(DAP_19, ReportError.UNSUPPORTED_EXTENSION), (DAP_18, ReportError.INVALID_MESSAGE)],
    ids=["dap-19", "dap-18"],
)
def test_report_with_bad_public_extensions_is_refused_by_both(
    dap_world: NewWorld, dialect: Dialect, at_upload: ReportError, types: tuple[int, ...]
) -> None:
    world = dap_world(dialect=dialect)
    report = world.report(public=extensions(*types))
    assert world.upload(report) == [at_upload]
    assert refused_by_helper(world, report) is ReportError.INVALID_MESSAGE


@pytest.mark.parametrize("types", BAD_LISTS.values(), ids=BAD_LISTS)
@pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())
def test_report_with_bad_private_extensions_is_not_counted(
    dap_world: NewWorld, role: Role, types: tuple[int, ...]
) -> None:
    """To whom they are private sees them when it opens its share; the other learns it from him."""
    world = dap_world()
    world.upload_many(3)
    world.upload(world.report(private={role: extensions(*types)}))
    (done,) = world.aggregate_all()
    assert list(done.errors.values()) == [ReportError.INVALID_MESSAGE]
    assert world.count("helper", schema.aggregated) == 3
    assert counted(world) == 3


def test_report_with_the_same_extension_public_and_private_is_not_counted(dap_world: NewWorld) -> None:
    world = dap_world()
    report = world.report(public=extensions(5), private={Role.HELPER: extensions(5)})
    assert refused_by_helper(world, report) is ReportError.INVALID_MESSAGE


def refused_by_helper(world: World, report: Any) -> ReportError:
    """Why the Helper refuses a report that a Leader lets pass without a look."""
    assert world.upload(within_reach(world)) == [None]
    world.leader.create_jobs(world.clock.now)
    request = capture_job(world)
    (init,) = request.verify_inits
    share = type(init.report_share)(report.report_metadata, report.public_share, report.helper_encrypted_input_share)
    altered = AggregationJobInitReq(0, b"", (), (type(init)(share, init.payload),)).encode()
    _, job = world.helper.create_job(world.helper_task, world.keys(Role.HELPER), altered, world.clock.now)
    (outcome,) = job_outcomes(world.task, job.response)
    assert isinstance(outcome, ReportError)
    return outcome


def within_reach(world: World) -> Any:
    """A good report, from which the Leader makes a job."""
    interval = world.task.interval
    return world.report(time=None if interval is None else interval.start)


def test_job_with_a_report_twice_is_refused(dap_world: NewWorld) -> None:
    world = dap_world()
    world.upload_many(1)
    world.leader.create_jobs(world.clock.now)
    (init,) = capture_job(world).verify_inits
    body = AggregationJobInitReq(0, b"", (), (init, init)).encode()
    with pytest.raises(DapProblem, match="invalidMessage"):
        world.helper.create_job(world.helper_task, world.keys(Role.HELPER), body, world.clock.now)
