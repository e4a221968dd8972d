"""The Collector of a task in DAP-09 against a Leader that is scripted from that draft, one that keeps deleted jobs' IDs
among them."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from secagg.dap import hpke
from secagg.dap.client.collector import Collection, CollectionPending, Collector
from secagg.dap.dialect import DAP_09
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig, Interval
from secagg.dap.problems import DapProblem
from secagg.dap.task import Task
from secagg.errors import RemoteProtocolError
from secagg.http.base64url import from_base64url

from ...support import dap09 as twin
from ...support.peer import problem
from ...support.tasks import NOW, make_task

BY_TIME = make_task(dialect=DAP_09)
SELECTED = make_task(dialect=DAP_09, batch_mode=BatchMode.LEADER_SELECTED)
KEY = PrivateKey.from_bytes(b"c" * 32)
CONFIG = HpkeConfig(8, 0x20, 1, 1, KEY.public_bytes)
TOKEN = "s3cret-token"
SECONDS = (1_699_998_000, 3_600)
BATCH = b"b" * 32
TOTAL = [8, 8, 8, 8, 8]


def collection(task: Task, batch: twin.Batch, *, interval: tuple[int, int] = SECONDS, named: Any = ...) -> bytes:
    """What honest Aggregators answer for 40 reports."""
    prio3, entries = task.prio3, np.array(TOTAL)
    parts = prio3.field.array(np.full(5, 1 << 40)), prio3.field.array(entries - (1 << 40))
    sealed = []
    for role, share in zip((2, 3), parts, strict=True):
        info = b"dap-09 aggregate share" + bytes([role, 0])
        aad = twin.agg_share_aad(task.id, batch)
        sealed.append(twin.Ciphertext(8, *hpke.seal(KEY.public_bytes, info, aad, prio3.encode_agg_share(share))))
    batch_id = (batch if isinstance(batch, bytes) else None) if named is ... else named
    return twin.collection(batch_id, 40, interval, (sealed[0], sealed[1]))


@dataclass
class Leader:
    """Jobs by ID: pending for as often as the test says, then a result, or deleted.

    Attributes:
        forgets: whether a deleted job's ID is free again; else polling it is answered with 204, as the draft allows.
    """

    task: Task = BY_TIME
    polls: int = 0
    forgets: bool = False
    body: bytes = b""
    jobs: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    deleted: set[bytes] = field(default_factory=set)
    requests: list[httpx.Request] = field(default_factory=list)
    now: float = NOW

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        path, _, text = request.url.path.rpartition("/")
        assert path == f"/dap/tasks/{self.task.text}/collection_jobs"
        job_id = from_base64url(text, 16)
        return getattr(self, request.method.lower())(job_id, request)  # type: ignore[no-any-return]

    def put(self, job_id: bytes, request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/dap-collect-req"
        before = self.jobs.setdefault(job_id, (request.content, self.polls))
        return httpx.Response(201 if before[0] == request.content else 409)

    def post(self, job_id: bytes, request: httpx.Request) -> httpx.Response:
        assert not request.content
        if job_id in self.deleted:
            return httpx.Response(204)
        if job_id not in self.jobs:
            return httpx.Response(404)
        body, polls = self.jobs[job_id]
        self.jobs[job_id] = body, polls - 1
        if polls > 0:
            return httpx.Response(202, headers={"Retry-After": "7"})
        content = self.body or collection(self.task, SECONDS if self.task.by_time else BATCH)
        return httpx.Response(200, headers={"Content-Type": "application/dap-collection"}, content=content)

    def delete(self, job_id: bytes, request: httpx.Request) -> httpx.Response:
        if self.forgets:
            del self.jobs[job_id]
        else:
            self.deleted.add(job_id)
        return httpx.Response(204)

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def collect(self, *batch: Any, **options: Any) -> Collection:
        http = httpx.Client(transport=httpx.MockTransport(self))
        with Collector(self.task, KEY, CONFIG, TOKEN, http=http, clock=self.clock, sleep=self.sleep) as collector:
            return collector.collect(*batch, **options)


def test_an_interval_is_put_polled_and_opened() -> None:
    leader = Leader(polls=2)
    result = leader.collect(SECONDS)
    assert (result.report_count, result.result) == (40, TOTAL)
    assert (result.interval, result.start, result.end) == (Interval(5_666_660, 12), SECONDS[0], sum(SECONDS))
    assert leader.methods == ["PUT", "POST", "POST", "POST"]
    assert leader.requests[0].content == twin.collection_req(SECONDS)
    assert leader.now == NOW + 14
    assert str(leader.requests[0].url) == result.job


def test_the_same_query_finds_the_same_job() -> None:
    """Also in another process: the ID is not drawn."""
    leader = Leader(polls=100)
    with pytest.raises(CollectionPending) as pending:
        leader.collect(SECONDS, timeout=10)
    leader.polls = 0
    leader.jobs = {job_id: (body, 0) for job_id, (body, _) in leader.jobs.items()}
    assert leader.collect(SECONDS).job == pending.value.job
    assert len(leader.jobs) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_batches_that_the_leader_selects_are_jobs_of_their_own(count: int) -> None:
    """Where a deleted job keeps its ID, the next one is found by asking for ever later ones, and then in between."""
    leader = Leader(SELECTED)
    for number in range(count):
        result = leader.collect()
        assert (result.result, result.deleted) == (TOTAL, True)
        assert len(leader.deleted) == number + 1
    assert len(leader.jobs) == count
    assert {body for body, _ in leader.jobs.values()} == {twin.collection_req(None)}


def test_a_leader_that_forgets_a_deleted_job_has_its_id_for_the_next_one() -> None:
    leader = Leader(SELECTED, forgets=True)
    assert leader.collect().job == leader.collect().job
    assert leader.methods == ["PUT", "POST", "DELETE"] * 2


def test_a_job_that_is_kept_is_found_again() -> None:
    leader = Leader(SELECTED)
    first, again = leader.collect(keep=True), leader.collect(keep=True)
    assert first == again
    assert not leader.deleted


def test_a_leader_that_says_of_any_job_that_it_was_deleted_is_not_asked_for_ever() -> None:
    leader = Leader(SELECTED)
    leader.post = lambda job_id, request: httpx.Response(204)  # type: ignore[method-assign]
    with pytest.raises(RemoteProtocolError, match="of any collection job that it was deleted"):
        leader.collect()
    assert len(leader.requests) < 60


def test_a_job_that_is_deleted_meanwhile_is_not_awaited() -> None:
    leader = Leader(polls=5)
    before = leader.sleep

    def sleep(seconds: float) -> None:
        before(seconds)
        leader.deleted = set(leader.jobs)

    leader.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(RemoteProtocolError, match="was deleted while its batch was awaited"):
        leader.collect(SECONDS)


def test_a_refusal_is_a_problem() -> None:
    leader = Leader()
    leader.put = lambda job_id, request: problem("urn:ietf:params:ppm:dap:error:batchOverlap")(request)  # type: ignore[method-assign]
    with pytest.raises(DapProblem, match="batchOverlap"):
        leader.collect(SECONDS)
    assert leader.methods == ["PUT"]


@pytest.mark.parametrize(
    ("task", "body", "why"),
    [
        (BY_TIME, collection(BY_TIME, SECONDS, named=BATCH), "another query type"),
        (SELECTED, collection(SELECTED, BATCH, named=None), "another query type"),
        (BY_TIME, collection(BY_TIME, (SECONDS[0], 7200)), "does not open"),
        (SELECTED, collection(SELECTED, BATCH, named=b"c" * 32), "does not open"),
        (BY_TIME, collection(BY_TIME, SECONDS, interval=(SECONDS[0], 3601)), "outside the interval"),
        (BY_TIME, collection(BY_TIME, SECONDS, interval=(SECONDS[0] + 1, 300)), "multiples of 300 seconds"),
        (BY_TIME, collection(BY_TIME, SECONDS)[:-1], "ends early"),
    ],
)
def test_what_is_no_result_of_the_query_is_not_shown(task: Task, body: bytes, why: str) -> None:
    leader = Leader(task, body=body)
    with pytest.raises(RemoteProtocolError, match=why):
        leader.collect(*([SECONDS] if task.by_time else []))


def test_a_result_of_another_media_type_is_none() -> None:
    leader = Leader()
    leader.post = lambda job_id, request: httpx.Response(200, content=b"x")  # type: ignore[method-assign]
    with pytest.raises(RemoteProtocolError, match="application/dap-collection expected"):
        leader.collect(SECONDS)
