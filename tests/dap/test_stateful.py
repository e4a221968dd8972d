"""A task's whole life, drawn step by step: uploads, aggregation and collection jobs, with requests and answers that are
lost, processes that die at any transaction and start anew, jobs that are deleted and made again.

Whatever happens, what is released is the sum of exactly the reports that were accepted for it, and nothing is released
twice.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from secagg.dap.aggregator.input_shares import SKEW
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.messages import BatchMode, CollectionJobReq, Interval, Report, ReportError, Role
from secagg.dap.problems import DapProblem
from secagg.dap.store import buckets, schema
from secagg.dap.store.collections import CollectionJob

from ..support.world import (
    BUCKETS,
    MIN_BATCH,
    PRECISION,
    START,
    Crash,
    Fault,
    Urls,
    World,
    extensions,
    problem_type,
    wipe,
)

FIRST = int(START) // PRECISION
SPAN = 4  # buckets into which reports fall
FAULTS = st.one_of(
    st.none(),
    st.sampled_from(Fault),
    st.tuples(st.sampled_from(["leader", "helper"]), st.integers(0, 3), st.booleans()),
)


class Model:
    """What was accepted, and what was released: all that a task is for its users."""

    def __init__(self) -> None:
        self.accepted: dict[bytes, tuple[int, int]] = {}  # by ID: bucket and measurement
        self.released: list[Interval] = []

    def sums(self, interval: Interval) -> list[int]:
        within = [measurement for bucket, measurement in self.accepted.values() if bucket in interval]
        return [within.count(value) for value in range(BUCKETS)]


class Life(RuleBasedStateMachine):
    def __init__(self, urls: Urls, mode: BatchMode) -> None:
        super().__init__()
        wipe(urls.leader)
        wipe(urls.helper)
        self.world = World(urls, batch_mode=mode, batch_size=5, settings=Settings(job_size=3, lease=5.0, backoff=3.0))
        self.by_time = mode is BatchMode.TIME_INTERVAL
        self.model = Model()
        self.reports: list[Report] = []
        self.requests: list[bytes] = []
        self.answers: dict[bytes, bytes] = {}  # by job ID
        self.released_sums = [0] * BUCKETS
        self.world.clock.now += SPAN * PRECISION  # so that no bucket is in the future

    def teardown(self) -> None:
        self.world.peer.later = False
        self.world.aggregate_all()
        self.check_what_is_left()
        self.world.close()

    # Uploads.

    @rule(offsets=st.lists(st.tuples(st.integers(0, SPAN - 1), st.integers(0, BUCKETS - 1)), min_size=1, max_size=5))
    def upload(self, offsets: list[tuple[int, int]]) -> None:
        reports = [self.world.report(value, time=FIRST + offset) for offset, value in offsets]
        self.reports += reports
        for report, (offset, value), error in zip(reports, offsets, self.world.upload(*reports), strict=True):
            self.note(report, FIRST + offset, value, error)

    @rule(offset=st.integers(0, SPAN - 1), value=st.integers(0, BUCKETS - 1), committed=st.booleans())
    def upload_into_a_crash(self, offset: int, value: int, committed: bool) -> None:
        """The Client hears nothing, and sends the same again."""
        report = self.world.report(value, time=FIRST + offset)
        self.reports.append(report)
        self.with_fault(("leader", 0, committed), lambda: self.world.upload(report))
        (error,) = self.world.upload(report)
        self.note(report, FIRST + offset, value, error)

    @rule(data=st.data())
    def upload_again(self, data: st.DataObject) -> None:
        if self.reports:
            report = data.draw(st.sampled_from(self.reports))
            (error,) = self.world.upload(report)
            assert error in (None, ReportError.BATCH_COLLECTED)

    @rule(kind=st.sampled_from(["future", "public extension", "private extension", "swapped"]))
    def upload_bad(self, kind: str) -> None:
        world, moment = self.world, FIRST
        if kind == "future":
            early = world.report(at=world.clock.now + SKEW + PRECISION)
            assert world.upload(early) == [ReportError.REPORT_TOO_EARLY]
        elif kind == "public extension":
            refused = world.task.dialect.at_upload.unknown_extension
            assert world.upload(world.report(time=moment, public=extensions(7))) == [refused]
        elif kind == "private extension":
            world.upload(world.report(time=moment, private={Role.HELPER: extensions(7)}))
        else:
            good = world.report(time=moment)
            share = good.leader_encrypted_input_share
            world.upload(Report(good.report_metadata, good.public_share, share, share))

    def note(self, report: Report, bucket: int, value: int, error: ReportError | None) -> None:
        if error is None:
            assert not any(bucket in interval for interval in self.model.released), "too late for its batch"
            self.model.accepted[report.report_metadata.report_id] = (bucket, value)
        else:
            assert error is ReportError.BATCH_COLLECTED
            assert self.by_time
            assert bucket in self.collected_buckets("leader") | self.closed_buckets()

    # Aggregation.

    @rule()
    def create_jobs(self) -> None:
        self.world.leader.create_jobs(self.world.clock.now)

    @rule(fault=FAULTS)
    def step_job(self, fault: Any) -> None:
        self.with_fault(fault, self.world.step_job)

    @rule(later=st.booleans())
    def helper_answers_later(self, later: bool) -> None:
        self.world.peer.later = later

    @rule(fault=FAULTS)
    def helper_works(self, fault: Any) -> None:
        keys = self.world.keys(Role.HELPER)
        self.with_fault(fault, lambda: self.world.helper.work(keys, self.world.helper_now))

    @rule()
    def delete_helper_jobs(self) -> None:
        """Once the Leader needs no answer any more."""
        if self.world.waiting() == 0:
            with self.world.helper_store.read() as tx:
                ids = list(tx.execute(select(schema.helper_jobs.c.id)).scalars())
            for job_id in ids:
                try:
                    self.world.helper.delete_job(self.world.helper_task, job_id)
                except DapProblem as problem:
                    assert problem.status == 404  # noqa: PT017 (deleted before)

    # Collection.

    @rule(start=st.integers(0, SPAN - 1), duration=st.integers(1, SPAN))
    def ask(self, start: int, duration: int) -> None:
        world, interval = self.world, Interval(FIRST + start, duration)
        request = world.request(interval.start, interval.duration)
        try:
            job = world.leader.collections.create(world.leader_task, request, world.clock.now)
        except DapProblem as problem:
            assert problem.type == "batchOverlap"  # noqa: PT017
            assert self.collected_buckets("leader") & set(range(interval.start, interval.end))
            return
        self.requests.append(request)
        self.look_at(job)

    @rule(fault=FAULTS)
    def step_collection(self, fault: Any) -> None:
        world = self.world
        job = self.with_fault(fault, lambda: world.leader.collections.work(world.clock.now))
        if job is not None:
            self.look_at(world.leader.collections.find(world.leader_task, job.id))

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        if self.requests:
            request = data.draw(st.sampled_from(self.requests))
            try:
                self.look_at(
                    self.world.leader.collections.create(self.world.leader_task, request, self.world.clock.now)
                )
            except DapProblem as problem:
                assert problem.type == "batchOverlap"  # noqa: PT017 (deleted meanwhile)

    @rule(data=st.data())
    def delete_collection(self, data: st.DataObject) -> None:
        if self.answers:
            job_id = data.draw(st.sampled_from(sorted(self.answers)))
            try:
                self.world.leader.collections.delete(self.world.leader_task, job_id)
            except DapProblem as problem:
                assert problem.status == 404  # noqa: PT017

    def look_at(self, job: CollectionJob) -> None:
        """The answer to a collection is checked when it is there for the first time, and the same ever after."""
        if job.problem is not None:
            assert problem_type(job) in ("batchOverlap", "invalidBatchSize")
            event(problem_type(job))
        if not job.finished:
            return
        assert job.response is not None
        if job.id in self.answers:
            assert self.answers[job.id] == job.response
            return
        self.answers[job.id] = job.response
        result = self.world.result(job)
        event("released")
        assert result.count >= MIN_BATCH
        assert sum(result.sums) == result.count
        self.released_sums = [a + b for a, b in zip(self.released_sums, result.sums, strict=True)]
        if self.by_time:
            interval = Interval.decode(CollectionJobReq.decode(job.request).query.config)
            assert not any(interval.start < old.end and old.start < interval.end for old in self.model.released)
            assert result.sums == self.model.sums(interval)
            self.model.released.append(interval)

    # The rest.

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.now += seconds

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @invariant()
    def no_report_is_twice_in_either_store(self) -> None:
        accepted = len(self.model.accepted)
        assert self.world.count("helper", schema.aggregated) <= accepted
        assert sum(self.released_sums) <= accepted

    def with_fault(self, fault: Any, step: Callable[[], Any]) -> Any:
        """Take a step while a request or an answer is lost, or a process dies; after that, both start anew."""
        world = self.world
        if isinstance(fault, Fault):
            world.peer.faults = [fault]
        elif fault is not None:
            side, transaction, committed = fault
            store = world.leader_store if side == "leader" else world.helper_store
            store.crash_at, store.committed = transaction, committed
        try:
            return step()
        except Crash:
            event("crash")
            world.restart()
            return None
        finally:
            world.peer.faults = []
            world.leader_store.crash_at = world.helper_store.crash_at = None

    def collected_buckets(self, side: str) -> set[int]:
        store, table = getattr(self.world, f"{side}_store"), schema.collected
        with store.read() as tx:
            rows = tx.execute(select(table.c.start, table.c.end)).all()
        return {bucket for row in rows if row.start is not None for bucket in range(row.start, row.end)}

    def closed_buckets(self) -> set[int]:
        """Those that take no more reports because of a collection job that may still succeed."""
        table = schema.collection_jobs
        with self.world.leader_store.read() as tx:
            rows = tx.execute(select(table.c.start, table.c.end).where(table.c.due.is_not(None))).all()
        return {bucket for row in rows if row.start is not None for bucket in range(row.start, row.end)}

    def check_what_is_left(self) -> None:
        """What was accepted and not collected lies in both stores, once."""
        everything = Interval(FIRST, SPAN)
        if self.by_time:
            gone = self.collected_buckets("leader")
            for bucket in set(range(everything.start, everything.end)) - gone:
                self.check_batch(Interval(bucket, 1), self.model.sums(Interval(bucket, 1)))
        elif not self.count_collected() > len(self.answers):  # none was deleted before its answer was seen
            with self.world.leader_store.read() as tx:
                open_batches = list(tx.execute(select(schema.buckets.c.bucket)).scalars())
            left = [self.unshard(batch) for batch in open_batches]
            total = np.sum([self.released_sums, *left], axis=0).tolist()
            assert total == self.model.sums(everything)

    def count_collected(self) -> int:
        return self.world.count("leader", schema.collected)

    def check_batch(self, batch: Interval, sums: list[int]) -> None:
        with self.world.leader_store.read() as tx:
            assert buckets.count_reports(tx, self.world.leader_task, batch) == sum(sums)
        if sum(sums):
            assert self.unshard(batch) == sums

    def unshard(self, batch: Interval | bytes) -> list[int]:
        prio3 = self.world.task.prio3
        shares = [prio3.decode_agg_share(share) for share in self.world.raw_shares(batch)]
        return [int(x) for x in prio3.unshard(shares, 1, signed=True)]


def live(urls: Urls, mode: BatchMode, examples: int, steps: int) -> None:
    World(urls).close()  # makes the tables
    run_state_machine_as_test(
        partial(Life, urls, mode),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_what_is_released_is_what_was_accepted(dap_urls: Urls, mode: BatchMode) -> None:
    live(dap_urls, mode, examples=3 if "postgresql" in dap_urls.leader else 6, steps=25)


@pytest.mark.nightly
@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_what_is_released_is_what_was_accepted_in_many_lives(dap_urls: Urls, mode: BatchMode) -> None:
    live(dap_urls, mode, examples=30, steps=60)
