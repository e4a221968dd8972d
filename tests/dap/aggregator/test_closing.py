"""Reports that keep coming into an interval while it is collected: each is in the result, or its upload is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secagg.dap.aggregator.input_shares import SKEW
from secagg.dap.aggregator.peer import PeerUnavailable
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.messages import BatchMode, Report, ReportError
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.store.collections import CollectionJob
from secagg.dp import PureDp

from ...support.world import MIN_BATCH, PRECISION, Fault, World, problem_type

NewWorld = Callable[..., World]
GIVE_UP = 100.0


@pytest.fixture
def world(dap_world: NewWorld) -> World:
    return dap_world(settings=Settings(job_size=100, lease=10.0, backoff=5.0, give_up=GIVE_UP))


def unreadable(world: World, start: int) -> Report:
    """A report that no Aggregator can open."""
    report = world.report(time=start)
    sealed = report.leader_encrypted_input_share
    return replace(report, leader_encrypted_input_share=replace(sealed, payload=bytes(len(sealed.payload))))


def collect_while_reports_come(
    world: World, start: int, make: Callable[[], Report], steps: int = 30
) -> tuple[CollectionJob, list[ReportError | None]]:
    """Reports come at every moment at which none waits any more."""
    request, outcomes = world.request(start), list[ReportError | None]()
    job = world.leader.collections.create(world.leader_task, request, world.clock.now)
    for _ in range(steps):
        world.aggregate()
        outcomes += world.upload(*(make() for _ in range(MIN_BATCH)))
        world.leader.collections.work(world.clock.now)
        world.clock.now += 1.0
        job = world.leader.collections.find(world.leader_task, job.id)
        if job.finished or job.problem is not None:
            break
    return job, outcomes


@pytest.mark.parametrize("over", [False, True])
def test_a_batch_is_collected_while_reports_come_for_ever(world: World, over: bool) -> None:
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    start = world.bucket
    world.clock.now += (PRECISION + SKEW) * over
    job, outcomes = collect_while_reports_come(world, start, lambda: world.report(time=start))
    assert world.result(job).count == MIN_BATCH + outcomes.count(None)
    assert set(outcomes) == {None, ReportError.BATCH_COLLECTED}


def test_an_interval_that_is_over_is_closed_for_reports_that_may_make_it_enough(world: World) -> None:
    start = world.clock.bucket
    world.clock.now += PRECISION + SKEW
    world.upload_many(MIN_BATCH, time=start)
    job = world.collect(world.request(start), steps=1)
    assert job.waiting == f"{MIN_BATCH} reports of the batch are not aggregated yet"
    assert world.upload(world.report(time=start)) == [ReportError.BATCH_COLLECTED]
    assert world.upload(world.report(time=start - 1), world.report(time=start + 1)) == [None, None]
    world.aggregate_all()
    assert world.result(world.collect(world.request(start))).count == MIN_BATCH


def test_an_interval_that_is_not_over_stays_open_until_it_has_enough(world: World) -> None:
    start = world.bucket
    world.upload_many(MIN_BATCH)
    world.collect(world.request(start), steps=2)
    assert world.upload(world.report(time=start)) == [None]


@pytest.mark.parametrize("good", [0, MIN_BATCH - 1])
def test_reports_that_come_for_ever_and_are_no_good_do_not_hold_up_the_answer(world: World, good: int) -> None:
    start = world.clock.bucket
    world.upload_many(good)
    world.aggregate_all()
    world.clock.now += PRECISION + SKEW
    job, outcomes = collect_while_reports_come(world, start, lambda: unreadable(world, start))
    assert ReportError.BATCH_COLLECTED in outcomes
    assert problem_type(job) == "invalidBatchSize"
    needed = world.upload_many(MIN_BATCH - good, time=start)  # the interval is open again
    world.aggregate_all()
    assert world.result(world.collect(world.request(start))).count == good + len(needed)


@pytest.fixture
def closed(world: World) -> tuple[World, bytes]:
    """A request whose job has closed its interval, and waits for a report that the Helper never gets."""
    start = world.bucket
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    world.upload(world.report())
    world.leader.create_jobs(world.clock.now)
    world.peer.faults = [Fault.LOST_REQUEST] * 1000
    world.step_job()
    world.collect(world.request(start), steps=1)
    assert world.upload(world.report()) == [ReportError.BATCH_COLLECTED]
    return world, world.request(start)


def test_a_closed_interval_stays_closed_over_a_restart(closed: tuple[World, bytes]) -> None:
    world, _ = closed
    world.restart()
    assert world.upload(world.report()) == [ReportError.BATCH_COLLECTED]


def test_a_deleted_job_opens_its_interval_again(closed: tuple[World, bytes]) -> None:
    world, request = closed
    world.leader.collections.delete(world.leader_task, world.collect(request, steps=0).id)
    assert world.upload(world.report()) == [None]
    world.peer.faults = []
    world.aggregate_all()
    assert world.result(world.collect(request)).count == MIN_BATCH + 2


def test_reports_that_the_helper_does_not_take_are_given_up(
    closed: tuple[World, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    world, request = closed
    start, late = world.clock.now, world.report()
    job = world.collect(request, steps=0)
    while job.problem is None:
        assert job.waiting is not None
        assert "the request is lost" in job.waiting  # the Collector is told at once
        world.aggregate()
        job = world.collect(request, steps=1)
    assert GIVE_UP <= world.clock.now - start <= GIVE_UP + 2
    assert "1 reports of the batch are not aggregated yet: the request is lost" in job.problem
    assert "ask again with the same query" in job.problem
    assert "has failed: about:blank: for 100 s 1 reports" in caplog.text
    assert world.upload(late) == [None]  # it is open again
    world.peer.faults = []
    world.aggregate_all()
    again = world.collect(request)
    assert again.id == job.id
    assert world.result(again).count == MIN_BATCH + 2


def test_a_collection_goes_on_as_long_as_reports_are_aggregated(world: World) -> None:
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    start = world.bucket
    more = [world.report(time=start) for _ in range(4)]
    for report in more:
        world.upload(report)
        world.leader.create_jobs(world.clock.now)
    job = world.collect(world.request(start), steps=1)
    for _ in more:
        world.clock.now += 0.9 * GIVE_UP
        assert world.collect(world.request(start), steps=1).problem is None
        world.step_job()
    assert world.result(world.collect(world.request(start))).count == MIN_BATCH + len(more)
    assert world.leader.collections.find(world.leader_task, job.id).finished


def test_a_batch_of_the_leaders_that_the_helper_does_not_take_is_given_up(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, settings=Settings(backoff=5.0, give_up=GIVE_UP))
    world.upload_many(MIN_BATCH)
    world.peer.faults = [Fault.LOST_REQUEST] * 1000
    world.aggregate()
    job = world.collect(steps=int(GIVE_UP) + 3)
    assert job.problem is not None
    assert f"{MIN_BATCH} reports of the batch are not aggregated yet: the request is lost" in job.problem
    world.peer.faults = []
    world.aggregate_all()
    assert world.result(world.collect()).count == MIN_BATCH


def test_an_interval_whose_share_is_refused_stays_closed(world: World) -> None:
    """It is collected here, whatever the Helper says."""
    world.upload_many(MIN_BATCH)
    world.aggregate_all()

    def refuse() -> None:
        raise PeerUnavailable("no")

    world.peer.meanwhile = refuse
    world.collect(steps=1)
    assert world.upload(world.report()) == [ReportError.BATCH_COLLECTED]


def test_a_wait_for_reports_begins_anew_with_each_batch(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, settings=Settings(backoff=5.0, give_up=GIVE_UP))
    world.upload(*(unreadable(world, world.clock.bucket) for _ in range(MIN_BATCH)))
    world.leader.create_jobs(world.clock.now)
    job = world.collect(steps=1)
    assert job.waiting == f"{MIN_BATCH} reports of the batch are not aggregated yet"
    world.aggregate_all()  # they are rejected, and no batch has reports
    assert world.collect(steps=1).waiting == f"no batch has {MIN_BATCH:,} reports yet that are aggregated"
    world.clock.now += 10 * GIVE_UP
    world.upload_many(MIN_BATCH)
    world.leader.create_jobs(world.clock.now)
    assert world.collect(steps=1).problem is None
    world.aggregate_all()
    assert world.result(world.collect()).count == MIN_BATCH


def test_a_wait_for_reports_begins_anew_with_another_batch_of_as_many(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, settings=Settings(backoff=5.0, give_up=GIVE_UP))
    for make in (unreadable, lambda world, start: world.report(time=start)):
        world.upload(*(make(world, world.bucket) for _ in range(MIN_BATCH)))
        world.leader.create_jobs(world.clock.now)
        world.clock.now += 1.0
    world.collect(steps=1)
    world.clock.now += 0.9 * GIVE_UP
    assert world.collect(steps=1).problem is None
    assert world.step_job() is not None  # the first batch has no reports any more
    world.clock.now += 0.9 * GIVE_UP
    job = world.collect(steps=1)
    assert (job.problem, job.waiting) == (None, f"{MIN_BATCH} reports of the batch are not aggregated yet")
    world.aggregate_all()
    assert world.result(world.collect()).count == MIN_BATCH


def test_a_report_that_comes_again_while_its_interval_is_closed_is_accepted_again(world: World) -> None:
    start = world.bucket
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    waits = world.report()
    world.upload(waits)
    world.collect(world.request(start), steps=1)
    assert world.upload(world.report(), waits) == [ReportError.BATCH_COLLECTED, None]
    world.aggregate_all()
    assert world.result(world.collect(world.request(start))).count == MIN_BATCH + 1
    assert world.upload(waits) == [ReportError.BATCH_COLLECTED]


def test_an_interval_that_the_budget_does_not_afford_stays_open(dap_world: NewWorld) -> None:
    world = dap_world(privacy=Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("1"), PureDp("1")))
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished
    world.clock.now += PRECISION
    start = world.clock.bucket
    world.upload_many(MIN_BATCH, time=start)
    world.aggregate_all()
    assert world.upload(world.report(time=start)) == [None]
    assert problem_type(world.collect(world.request(start), steps=1)) == "budgetSpent"
    assert world.upload(world.report(time=start)) == [None]
