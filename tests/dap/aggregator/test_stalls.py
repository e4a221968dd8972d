"""A Helper that does not answer, answers wrongly or refuses: others go on, the Collector is told, the log says so."""

import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import pytest

from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.peer import Answer, PeerUnavailable
from secagg.dap.aggregator.peer_health import FAILURES, PAUSES, PeerHealth, WatchedPeer
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.messages import AggregationJobInitReq, ReportError
from secagg.dap.problems import DapProblem
from secagg.dap.store import schema
from secagg.dap.store.tasks import TaskRecord

from ...support.world import DirectPeer, World

NewWorld = Callable[..., World]
URL, OTHER = "http://helper.test", "http://other.test"


class Watch:
    """A clock for `PeerHealth`."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted(DirectPeer):
    """A Helper that does, at its next calls, what the test wants.

    Attributes:
        refusal: what each request for a share gets.
        bad: a report ID; a job with it is refused whole.
        wrong: how many answers to jobs are wrong.
        share_polls: how often a share has to be asked for before it is there; None if it comes at once.
        jobs: the number of reports in each job so far.
        keeps_jobs: whether it refuses to delete jobs.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.refusal: Exception | None = None
        self.bad: set[bytes] = set()
        self.wrong = 0
        self.share_polls: int | None = None
        self.jobs: list[int] = []
        self.keeps_jobs = False

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        inits = AggregationJobInitReq.decode(body).verify_inits
        self.jobs.append(len(inits))
        if any(init.report_share.report_metadata.report_id in self.bad for init in inits):
            raise DapProblem("invalidMessage", "a report is malformed", status=400)
        answer = super().create_job(record, body, job_id)
        if self.wrong:
            self.wrong -= 1
            return Answer(b"\0", answer.location)
        return answer

    def delete_job(self, record: TaskRecord, location: str) -> None:
        if self.keeps_jobs:
            raise DapProblem("invalidMessage", "jobs are not deleted here", status=400)
        super().delete_job(record, location)

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        if self.refusal is not None:
            raise self.refusal
        answer = super().create_share(record, body)
        return answer if self.share_polls is None else Answer(None, answer.location, 1.0)

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        assert self.share_polls is not None
        self.share_polls -= 1
        return Answer(None, location, 1.0) if self.share_polls > 0 else super().poll_share(record, location)


@pytest.fixture
def scripted(dap_world: NewWorld) -> tuple[World, Scripted]:
    world = dap_world(settings=Settings(job_size=100, lease=10.0, backoff=5.0, give_up=100.0))
    peer = world.peer = Scripted(world)
    world.restart()
    return world, peer


# --- One Helper and the others' jobs --------------------------------------------------------------------------------


def fail(health: PeerHealth, url: str = URL) -> None:
    with pytest.raises(PeerUnavailable, match="lost"), health.call(url):
        raise PeerUnavailable("lost", kind="unreachable")


def test_a_helper_rests_after_three_failures_and_twice_as_long_each_time() -> None:
    watch, kinds = Watch(), list[str]()
    health = PeerHealth(4, watch, kinds.append)
    pause = PAUSES[0]
    for _ in range(FAILURES - 1):
        fail(health)
        assert health.unavailable() == set()
    for _ in range(12):
        fail(health)
        assert health.unavailable() == {URL}
        with pytest.raises(PeerUnavailable, match="left alone"), health.call(URL):
            raise AssertionError
        watch.now += pause * 0.99
        assert health.unavailable() == {URL}
        watch.now += pause * 0.02
        assert health.unavailable() == set()
        pause = min(2 * pause, PAUSES[1])
    assert pause == PAUSES[1]
    with health.call(URL):
        assert health.unavailable() == {URL}  # one call tries; the others wait for how it ends
    for _ in range(FAILURES - 1):
        fail(health)
    assert health.unavailable() == set()
    assert set(kinds) == {"unreachable", "resting"}


@pytest.mark.parametrize(("workers", "calls"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)])
def test_at_most_half_of_the_workers_wait_for_one_helper(workers: int, calls: int) -> None:
    health = PeerHealth(workers, Watch())
    with health.call(OTHER):
        pass
    waiting = [health.call(URL) for _ in range(calls)]
    for i, call in enumerate(waiting):
        assert health.unavailable() == set(), i
        call.__enter__()
    assert health.unavailable() == {URL}
    with health.call(OTHER):
        pass
    waiting[0].__exit__(None, None, None)
    assert health.unavailable() == set()


def test_all_workers_may_wait_for_the_only_helper() -> None:
    health = PeerHealth(3, Watch())
    with health.call(URL), health.call(URL), health.call(URL):
        assert health.unavailable() == {URL}
    assert health.unavailable() == set()


def test_a_refusal_is_an_answer() -> None:
    kinds = list[str]()
    health = PeerHealth(1, Watch(), kinds.append)
    for _ in range(5):
        with pytest.raises(DapProblem), health.call(URL):
            raise DapProblem("invalidMessage", "no")
    assert (health.unavailable(), kinds) == (set(), ["refused"] * 5)


def test_jobs_of_a_helper_that_rests_are_left_alone(dap_world: NewWorld) -> None:
    world, watch = dap_world(), Watch()
    health = PeerHealth(2, watch)
    leader = Leader(world.leader_store, WatchedPeer(world.peer, health), health=health)
    world.upload_many(3)
    leader.create_jobs(world.clock.now)
    for _ in range(FAILURES):
        fail(health, world.task.helper_url)
    keys = world.keys(world.leader_task.secrets.role)
    assert leader.work_job(keys, world.clock.now) is None
    watch.now += 2 * PAUSES[0]
    done = leader.work_job(keys, world.clock.now)
    assert done is not None
    assert done.aggregated == 3


# --- Aggregation jobs -----------------------------------------------------------------------------------------------


def test_a_wrong_answer_is_asked_for_again_later_and_later(
    scripted: tuple[World, Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    world, peer = scripted
    peer.wrong = 3
    world.upload_many(4)
    start, moments = world.clock.now, list[float]()
    with caplog.at_level(logging.WARNING):
        while world.waiting():
            if world.aggregate():
                moments.append(world.clock.now - start)
            world.clock.now += 0.25
            assert len(moments) < 10
    assert moments == [0.0, 1.0, 3.0, 7.0]
    text = [record.getMessage() for record in caplog.records]
    assert len(text) == 3
    assert all(world.task.text in line and world.task.helper_url in line for line in text)
    assert "attempt 3, the next in 4 s" in text[2]


def test_a_job_that_is_refused_whole_is_halved_until_one_report_stands_alone(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    reports = world.upload_many(16)
    peer.bad = {reports[11].report_metadata.report_id}
    done = world.aggregate_all()
    assert sum(each.aggregated for each in done) == 15
    assert [error for each in done for error in each.errors.values()] == [ReportError.REPORT_DROPPED]
    assert world.count("leader", schema.jobs) == 0
    assert {1, 2, 4, 8, 16} <= set(peer.jobs)
    assert len(peer.jobs) < 20


def test_a_refusal_to_delete_a_job_is_about_no_report(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    peer.wrong, peer.keeps_jobs = 2, True
    world.upload_many(8)
    assert sum(done.aggregated for done in world.aggregate_all()) == 8
    assert set(peer.jobs) == {8}


def test_a_helper_that_refuses_everything_loses_no_report(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    reports = world.upload_many(4)
    peer.bad = {report.report_metadata.report_id for report in reports}
    for _ in range(50):
        world.aggregate()
        world.clock.now += 1.0
    garbled = world.report()
    sealed = replace(
        garbled.leader_encrypted_input_share, payload=bytes(len(garbled.leader_encrypted_input_share.payload))
    )
    world.upload(replace(garbled, leader_encrypted_input_share=sealed))  # of which the Helper is never asked
    for _ in range(50):
        world.aggregate()
        world.clock.now += 1.0
    assert world.waiting() == 4
    more = world.upload_many(64)
    peer.bad |= {report.report_metadata.report_id for report in more}
    before = len(peer.jobs)
    for _ in range(20):
        world.aggregate()
        world.clock.now += 1.0
    assert min(peer.jobs[before:]) == 1
    assert max(peer.jobs[before:]) == 64
    assert set(peer.jobs[before:]) <= {1, 2, 64}  # nothing more is halved for a Helper that takes nothing
    peer.bad = set()
    assert sum(done.aggregated for done in world.aggregate_all()) == 68


# --- Collections ----------------------------------------------------------------------------------------------------


def ready(world: World) -> None:
    """Enough reports to collect, aggregated."""
    world.upload_many(6)
    world.aggregate_all()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("about:blank", HTTPStatus.UNAUTHORIZED),
        ("unrecognizedTask", HTTPStatus.NOT_FOUND),
        ("unsupportedExtension", HTTPStatus.BAD_REQUEST),
        ("about:blank", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
def test_a_refused_share_reaches_the_collector_at_once(
    scripted: tuple[World, Scripted], kind: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world, peer = scripted
    ready(world)
    peer.refusal = DapProblem(kind, "for a reason", status=status)
    with caplog.at_level(logging.WARNING):
        job = world.collect(steps=1)
    assert job.problem is not None
    assert kind in job.problem
    assert f"the Helper refuses its share: for a reason (HTTP {int(status)})" in job.problem
    assert '"status": 400' in job.problem  # not 401, for which a Collector would look at its own token
    assert "has failed" in caplog.text
    peer.refusal = None
    assert world.result(world.collect()).count == 6  # the same request; nothing is lost


def test_a_share_that_does_not_come_is_given_up(
    scripted: tuple[World, Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    world, peer = scripted
    ready(world)
    start = world.clock.now
    peer.refusal = PeerUnavailable("the Helper does not answer")
    with caplog.at_level(logging.WARNING):
        job = world.collect()
    assert job.problem is not None
    assert "has given no share" in job.problem
    assert "ask again with the same query" in job.problem
    assert 100 <= world.clock.now - start <= 110
    assert "attempt 2" in caplog.text
    peer.refusal = None
    again = world.collect()
    assert again.id == job.id
    assert world.result(again).count == 6


def test_a_conflict_is_not_asked_for_again(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    ready(world)
    peer.refusal = DapProblem("batchMismatch", "other reports")
    assert world.collect(steps=1).problem is not None
    peer.refusal = None
    assert world.collect(steps=3).problem is not None


@pytest.mark.parametrize("polls", [1, 3])
def test_a_share_that_is_not_ready_is_fetched_where_the_helper_keeps_it(
    scripted: tuple[World, Scripted], polls: int
) -> None:
    world, peer = scripted
    ready(world)
    peer.share_polls = polls
    job = world.collect()
    assert world.result(job).count == 6
    assert peer.share_polls == 0


def test_a_collection_waits_for_its_reports(scripted: tuple[World, Scripted]) -> None:
    world, _ = scripted
    world.upload_many(6)
    request = world.request()
    job = world.collect(request, steps=3)
    assert not job.finished
    assert job.waiting == "6 reports of the batch are not aggregated yet"
    world.aggregate_all()
    assert world.result(world.collect(request)).count == 6


def test_a_share_is_given_up_while_the_helper_rests(scripted: tuple[World, Scripted]) -> None:
    """Its aggregation jobs took every call that a rest allowed, and the Collector was never told."""
    world, peer = scripted
    ready(world)
    watch = Watch()
    leader = Leader(world.leader_store, WatchedPeer(peer, PeerHealth(1, watch)), world.leader.settings)
    peer.refusal = PeerUnavailable("the Helper does not answer")
    job = leader.collections.create(world.leader_task, world.request(), world.clock.now)
    for _ in range(200):
        leader.collections.work(world.clock.now)
        world.clock.now += 1.0
        watch.now += 1.0
    found = leader.collections.find(world.leader_task, job.id)
    assert found.problem is not None
    assert "has given no share" in found.problem
    assert "the Helper does not answer; ask again" in found.problem


def test_the_collector_reads_why_the_share_does_not_come(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    ready(world)
    peer.refusal = PeerUnavailable("the Helper does not answer")
    assert world.collect(steps=1).waiting == "the Helper's share is awaited: the Helper does not answer"


def test_looks_for_reports_are_no_attempts_to_get_the_share(scripted: tuple[World, Scripted]) -> None:
    world, peer = scripted
    world.upload_many(6)
    assert world.collect(steps=20).waiting == "6 reports of the batch are not aggregated yet"
    world.aggregate_all()
    peer.refusal = PeerUnavailable("the Helper does not answer")
    dues = list[float]()
    for _ in range(4):
        job = world.leader.collections.work(world.clock.now)
        assert job is not None
        assert job.due is not None
        dues.append(job.due - world.clock.now)
        world.clock.now = job.due
    assert dues == [1.0, 2.0, 4.0, 5.0]
