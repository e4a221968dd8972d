"""A batch is collected, or the Collector is told within `give_up` why not and the log says so, whatever the other
Aggregator makes of the draft's freedoms, and however it fails, refuses or errs.

The other Aggregator is `Stage`. Time is the test's: it moves to whatever is due next.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import func, select

from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.input_shares import SKEW
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.peer import HttpPeer
from secagg.dap.aggregator.peer_health import PeerHealth, WatchedPeer
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.client.upload import Client
from secagg.dap.messages import BatchMode, Role
from secagg.dap.server.app import helper_app, leader_app
from secagg.dap.server.common import Context
from secagg.dap.store import schema
from secagg.dap.store.collections import CollectionJob

from ...support.stage import BEHAVIOURS, FREE, JOBS, PASSING, SHARES, TOO_EARLY, WRONG, Behaviour, Kind, Stage, refuses
from ...support.world import BUCKETS, MIN_BATCH, PRECISION, Clock, Urls, World, problem_type, wipe

GIVE_UP = 20.0
LATEST = 5.0  # seconds after `give_up` at which the Collector must have been told: the longest pause between two looks
SETTINGS = Settings(job_size=4, lease=10.0, backoff=4.0, patience=5.0, give_up=GIVE_UP)


SAYS = {Kind.PASSING: "the Helper has given no share for 2", Kind.REFUSING: "the Helper refuses its share"}
_BEHAVIOURS = st.one_of(st.sampled_from(BEHAVIOURS), st.integers(400, 599).map(refuses))


class Log(logging.Handler):
    """Warnings about the task."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Play:
    """A Leader and a Helper with a `Stage` between them, and what the Collector may expect.

    Args:
        urls: of the Aggregators' databases.
        portal: to the event loop of their applications.
        seed: of everything that is free.
        mode: of the batches.
        watched: whether a Helper that fails is left alone for a while.
    """

    def __init__(
        self, urls: Urls, portal: BlockingPortal, seed: int, mode: BatchMode = BatchMode.TIME_INTERVAL, *, watched: bool
    ) -> None:
        for url in (urls.leader, urls.helper):
            wipe(url)
        self.clock, self.rand = Clock(), Random(seed)
        self.world = World(urls, clock=self.clock, batch_mode=mode, settings=SETTINGS, batch_size=6)
        world, clock = self.world, self.clock
        self.context = Context(Directory(world.helper_store, clock), clock=clock)
        leader_context = Context(Directory(world.leader_store, clock), clock=clock)
        apps = {
            "leader.test": leader_app(world.leader, leader_context),
            "helper.test": helper_app(world.helper, self.context),
        }
        self.stage = Stage(portal, apps, clock, self.rand)
        self.stage.work = self.help
        self.http = httpx.Client(transport=self.stage)
        peer, health = HttpPeer(self.http, clock), PeerHealth(2, clock)
        self.leader = Leader(world.leader_store, peer, world.leader.settings)
        if watched:
            self.leader = Leader(world.leader_store, WatchedPeer(peer, health), world.leader.settings, health)
        self.log = Log()
        logging.getLogger("secagg.dap").addHandler(self.log)
        self.accepted: dict[bytes, tuple[int, int]] = {}  # bucket and measurement, by report ID
        self.bucket = world.clock.bucket  # into which reports fall
        self.request: bytes | None = None
        self.asked = 0.0

    def close(self) -> None:
        logging.getLogger("secagg.dap").removeHandler(self.log)
        self.stage.close()
        self.http.close()
        self.world.close()

    # What the others do.

    def upload(self, count: int, *, by_client: bool = False) -> None:
        """Reports into the bucket; those of a Client, by HTTP, if that has not passed."""
        values = [self.rand.randrange(BUCKETS) for _ in range(count)]
        if by_client and self.clock.bucket == self.bucket:
            with Client(self.world.task, http=self.http, clock=self.clock, allow_http=True) as client:
                for value in values:
                    before = self.report_ids()
                    assert client.upload([value]).accepted == 1
                    (report_id,) = self.report_ids() - before
                    self.accepted[report_id] = (self.bucket, value)
            return
        reports = [self.world.report(value, time=self.bucket) for value in values]
        for report, value, error in zip(reports, values, self.world.upload(*reports), strict=True):
            if error is None:
                self.accepted[report.report_metadata.report_id] = (self.bucket, value)

    def report_ids(self) -> set[bytes]:
        with self.world.leader_store.read() as tx:
            return set(tx.execute(select(schema.reports.c.id)).scalars())

    def behave(self, behaviour: Behaviour, *resources: str) -> None:
        for resource in resources or (JOBS, SHARES):
            self.stage.behaviours[resource] = behaviour

    def help(self) -> None:
        """Our Helper does what it has kept for later."""
        while self.world.helper.work(self.world.keys(Role.HELPER), self.clock.now):
            pass

    def ask(self) -> CollectionJob:
        """Ask for the batch; by time once its interval is over, from when on nothing excuses a wait."""
        if self.world.task.by_time:
            self.clock.now = max(self.clock.now, (self.bucket + 1) * PRECISION + SKEW)
        self.request = self.world.request(self.bucket)
        self.asked = self.clock.now
        return self.leader.collections.create(self.world.leader_task, self.request, self.asked)

    def job(self) -> CollectionJob:
        assert self.request is not None
        return self.leader.collections.create(self.world.leader_task, self.request, self.clock.now)

    # What the Leader does.

    def step(self) -> None:
        """Everything that is due; then time moves to what is due next."""
        self.leader.create_jobs(self.clock.now)
        keys = self.world.keys(Role.LEADER)
        worked = 0
        while self.logged(lambda: self.leader.work_job(keys, self.clock.now)) is not None:
            worked += 1
            assert worked < 100, "jobs are tried again without a pause"
        self.help()
        self.logged(lambda: self.leader.collections.work(self.clock.now))
        with self.world.leader_store.read() as tx:
            due = [tx.execute(select(func.min(t.c.due))).scalar_one() for t in (schema.jobs, schema.collection_jobs)]
        soon = next((moment for moment in due if moment is not None), 0.0)
        least = 0.25 if worked else 2.0  # due jobs may be left alone because their Helper rests
        self.clock.now = min(max(soon, self.clock.now + least), self.clock.now + LATEST)

    def logged(self, work: Callable[[], object]) -> object:
        """What fails is in the log at once, with task and Helper."""
        faults, lines = self.stage.faults, len(self.log.lines)
        done = work()
        if self.stage.faults > faults:
            new = [line for line in self.log.lines[lines:] if self.world.task.helper_url in line]
            assert new, "a failure is not in the log"
        return done

    # What the Collector may expect.

    def drive(self) -> CollectionJob:
        """The job once it has ended, which must not be later than it may; or while the Leader has no batch, because the
        Helper loses all reports."""
        more = 0
        while True:
            job = self.leader.collections.find(self.world.leader_task, self.ask_id)
            if job.finished or job.problem is not None:
                return job
            waited = self.clock.now - max(self.asked, self.stage.delivered)
            if job.waiting is not None and job.waiting.startswith("no batch has"):  # of the Leader's choice
                if (more := more + 1) > 12:
                    assert self.stage.lost
                    return job
                self.upload(1)
                self.asked = self.clock.now
            else:
                assert waited <= GIVE_UP + LATEST, f"the Collector is not told for {waited} s: {job.waiting}"
            self.step()

    def collect(self) -> CollectionJob:
        """Ask once, and check what the Collector is told."""
        lines = len(self.log.lines)
        self.ask_id = self.ask().id
        job = self.drive()
        if job.finished:
            self.check(job)
        elif job.problem is not None:
            self.check_problem(job, self.log.lines[lines:])
        if self.stage.kinds == {Kind.FREE}:
            assert not any("Helper" in line and "has failed" not in line for line in self.log.lines), self.log.lines
        if not self.world.task.by_time and ended(job):
            self.leader.collections.delete(self.world.leader_task, job.id)  # it would answer every query
        return job

    def check_problem(self, job: CollectionJob, lines: list[str]) -> None:
        """The log says so, too, and there is a reason."""
        assert any("a collection job of task" in line and "has failed" in line for line in lines)
        if problem_type(job) == "invalidBatchSize":
            assert self.world.task.by_time
            certain = [
                each for each in self.in_batch() if each not in self.stage.lost and each not in self.stage.dropped
            ]
            assert len(certain) < MIN_BATCH
        elif problem_type(job) == "batchMismatch":
            assert self.stage.lost
        else:
            assert self.stage.kinds != {Kind.FREE}, job.problem

    def in_batch(self) -> list[bytes]:
        return [report_id for report_id, (bucket, _) in self.accepted.items() if bucket == self.bucket]

    def check(self, job: CollectionJob) -> None:
        """The result has the reports that were accepted, but those that the Helper has dropped."""
        result = self.world.result(job)
        assert sum(result.sums) == result.count >= MIN_BATCH
        if not self.world.task.by_time:
            return
        kept = [each for each in self.in_batch() if each not in self.stage.dropped]
        certain = [each for each in kept if each not in self.stage.lost]
        for value, counted in enumerate(result.sums):
            least, most = (sum(self.accepted[each][1] == value for each in some) for some in (certain, kept))
            assert least <= counted <= most

    def settle(self) -> None:
        """A Helper that is well again: the batch is collected if enough of it is left and nothing was lost."""
        self.behave(FREE)
        for _ in range(20):  # it may rest for 5 minutes
            job = self.collect()
            if ended(job):
                return
        raise AssertionError(f"not collected: {job.problem}")

    def next_batch(self) -> None:
        """Another interval."""
        self.clock.now = max(self.clock.now, (self.bucket + 1) * PRECISION)
        self.bucket, self.request = self.clock.bucket, None


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def urls() -> Iterator[Urls]:
    """Databases in memory, if there is room for files there: what is on disk when is no question here."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        urls = Urls(f"sqlite:///{Path(folder)}/leader.db", f"sqlite:///{Path(folder)}/helper.db")
        World(urls).close()  # makes the tables
        yield urls


def ended(job: CollectionJob) -> bool:
    """Whether asking again changes nothing."""
    final = "invalidBatchSize", "batchMismatch"
    return job.finished or (job.problem is not None and problem_type(job) in final)


def test_every_behaviour_is_told_while_it_lasts_and_forgiven_afterwards(urls: Urls, portal: BlockingPortal) -> None:
    """Each for good, then not any more, at the aggregation jobs and at the shares."""
    with closing(Play(urls, portal, 0, watched=False)) as play:
        for resource in (JOBS, SHARES):
            for behaviour in BEHAVIOURS:
                play.upload(MIN_BATCH + 1)
                play.behave(behaviour, resource)
                before, job = play.stage.faults, play.collect()
                assert (job.problem is None) == (behaviour is FREE), behaviour
                assert play.stage.faults - before < 50, "it is asked again without longer and longer pauses"
                if resource == SHARES and behaviour.kind in SAYS:
                    assert SAYS[behaviour.kind] in (job.problem or ""), behaviour
                play.settle()
                play.next_batch()


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_what_the_draft_leaves_free_fails_nowhere(urls: Urls, portal: BlockingPortal, mode: BatchMode) -> None:
    with closing(Play(urls, portal, 0, mode, watched=True)) as play:
        for later in (False, True) * 4:
            play.context.helper_later, play.stage.drops = later, True
            play.upload(2 * MIN_BATCH, by_client=True)
            play.settle()
            play.next_batch()
        assert play.stage.dropped
        assert play.stage.kinds == {Kind.FREE}


def test_a_job_whose_answer_is_lost_costs_no_report(urls: Urls, portal: BlockingPortal) -> None:
    """A Helper that has dropped some of a job's reports, found others too early and counted the rest says so again."""
    with closing(Play(urls, portal, 0, watched=False)) as play:
        for behaviour in PASSING:
            play.stage.drops = True
            play.behave(behaviour, JOBS)
            play.upload(5 * MIN_BATCH)
            play.step()
            play.stage.drops = False
            play.settle()
            play.next_batch()
        assert play.stage.dropped
        assert any(TOO_EARLY in errors.values() for errors in play.stage.errors.values())
        assert not play.stage.lost


@pytest.mark.parametrize("later", [False, True], ids=["here", "later"])
def test_a_job_whose_poll_is_answered_wrongly_loses_no_other_report(
    urls: Urls, portal: BlockingPortal, later: bool
) -> None:
    """Our Leader abandons it, whether or not our Helper has done it."""
    with closing(Play(urls, portal, 0, watched=False)) as play:
        for behaviour in WRONG:
            play.context.helper_later = later
            play.upload(5 * MIN_BATCH)
            play.step()
            play.behave(behaviour, JOBS)
            play.step()
            play.settle()
            play.next_batch()
        assert play.stage.lost


class Freedoms(RuleBasedStateMachine):
    """Everything in any order."""

    def __init__(self, urls: Urls, portal: BlockingPortal, mode: BatchMode) -> None:
        super().__init__()
        self.play = Play(urls, portal, 0, mode, watched=True)

    def teardown(self) -> None:
        try:
            self.play.settle()
        finally:
            self.play.close()

    @rule(seed=st.integers(0, 1 << 30))
    def draw(self, seed: int) -> None:
        """What is free is drawn in another order."""
        self.play.rand.seed(seed)

    @rule(resource=st.sampled_from([JOBS, SHARES]), behaviour=_BEHAVIOURS)
    def behave(self, resource: str, behaviour: Behaviour) -> None:
        self.play.behave(behaviour, resource)

    @rule(later=st.booleans(), drops=st.booleans())
    def change(self, later: bool, drops: bool) -> None:
        self.play.context.helper_later, self.play.stage.drops = later, drops

    @rule(count=st.integers(1, 9), by_client=st.booleans())
    def upload(self, count: int, by_client: bool) -> None:
        self.play.upload(count, by_client=by_client)

    @rule(steps=st.integers(1, 5))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.play.step()

    @rule()
    def collect(self) -> None:
        event(str(self.play.collect().finished))

    @rule()
    def settle(self) -> None:
        self.play.settle()
        self.play.next_batch()


def explore(urls: Urls, portal: BlockingPortal, mode: BatchMode, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        partial(Freedoms, urls, portal, mode),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # the seconds that a smaller example would take have no bound
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_a_batch_is_collected_or_the_collector_is_told_why_not(
    urls: Urls, portal: BlockingPortal, mode: BatchMode
) -> None:
    explore(urls, portal, mode, examples=25 if mode is BatchMode.TIME_INTERVAL else 6, steps=20)


@pytest.mark.nightly
def test_a_batch_is_collected_or_the_collector_is_told_why_not_in_many_lives(
    urls: Urls, portal: BlockingPortal
) -> None:
    explore(urls, portal, BatchMode.TIME_INTERVAL, examples=100, steps=40)
