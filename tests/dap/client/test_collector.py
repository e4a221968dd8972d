"""The Collector against a scripted Leader: each test with the blocking and the asynchronous collector."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from secagg.dap import hpke
from secagg.dap.client.collector import AsyncCollector, Collection, CollectionPending, Collector
from secagg.dap.hpke import PrivateKey
from secagg.dap.media_types import COLLECTION_RESP
from secagg.dap.messages import (
    BatchMode,
    CollectionJobReq,
    CollectionJobResp,
    HpkeCiphertext,
    HpkeConfig,
    Interval,
    Query,
    Role,
)
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem
from secagg.dap.task import Task
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp
from secagg.errors import LocalProtocolError, RemoteProtocolError, SecAggError
from secagg.http.steps import Progress, Retries, Unreachable

from ...support.peer import URN, Answer, answer, lost_answer, problem
from ...support.tasks import NOW, make_task

TASK = make_task()
SELECTED = make_task(batch_mode=BatchMode.LEADER_SELECTED)
KEY = PrivateKey.from_bytes(b"c" * 32)
CONFIG = HpkeConfig(8, 0x20, 1, 1, KEY.public_bytes)
TOKEN = "s3cret-token"
INTERVAL = Interval(5_666_660, 12)
SECONDS = (5_666_660 * 300, 12 * 300)
JOBS = f"https://leader.example/dap/tasks/{TASK.text}/collection_jobs"
JOB = JOBS + "/lc7aUeGpdSNosNlh-UZhKA"
PENDING = answer(201, Location=JOB.removeprefix("https://leader.example"), Retry_After="4")


@dataclass
class Leader:
    """Answers with the script, in order; a DELETE with success, unless `deletes` says otherwise."""

    task: Task = TASK
    script: list[Answer] = field(default_factory=list)
    deletes: Answer = field(default_factory=lambda: answer())
    requests: list[httpx.Request] = field(default_factory=list)
    now: float = NOW
    waits: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply: Answer = self.deletes if request.method == "DELETE" else self.script.pop(0)
        return reply(request)

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def sealed(task: Task, role: Role, share: bytes, request: CollectionJobReq) -> HpkeCiphertext:
    aad = task.agg_share_aad(request)
    return HpkeCiphertext(8, *hpke.seal(KEY.public_bytes, task.agg_share_info(role), aad, share))


def job_response(task: Task, total: Any, count: int = 40, interval: Interval = INTERVAL) -> CollectionJobResp:
    """What honest Aggregators answer; their sum is `total`, which may have negative entries."""
    prio3 = task.prio3
    entries = np.atleast_1d(total)
    leader, helper = prio3.field.array(np.full(len(entries), 1 << 40)), prio3.field.array(entries - (1 << 40))
    config = INTERVAL.encode() if task.by_time else b""
    request = CollectionJobReq(Query(task.batch_mode, config))
    shares = [
        sealed(task, role, prio3.encode_agg_share(share), request)
        for role, share in ((Role.LEADER, leader), (Role.HELPER, helper))
    ]
    return CollectionJobResp(count, interval, *shares)


def ready(response: CollectionJobResp, **headers: str) -> Answer:
    return answer(200, response.encode(), Content_Type=COLLECTION_RESP, Location=JOB, **headers)


class Blocking:
    """`Collector`, and `UnderAsyncio` with the same face."""

    def __init__(self, leader: Leader, token: str = TOKEN, **options: Any) -> None:
        http = httpx.Client(transport=httpx.MockTransport(leader))
        self._collector = Collector(
            leader.task, KEY, CONFIG, token, http=http, clock=leader.clock, sleep=leader.sleep, **options
        )

    def collect(self, *batch: Any, **options: Any) -> Collection:
        return self._collector.collect(*batch, **options)

    def delete(self, job: str) -> None:
        self._collector.delete(job)


class UnderAsyncio:
    def __init__(self, leader: Leader, token: str = TOKEN, **options: Any) -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(leader))
        self._collector = AsyncCollector(
            leader.task, KEY, CONFIG, token, http=http, clock=leader.clock, sleep=leader.sleep_async, **options
        )

    def collect(self, *batch: Any, **options: Any) -> Collection:
        async def collect() -> Collection:
            return await self._collector.collect(*batch, **options)

        return anyio.run(collect)

    def delete(self, job: str) -> None:
        anyio.run(self._collector.delete, job)


@pytest.fixture(params=[Blocking, UnderAsyncio], ids=["blocking", "asyncio"])
def collector(request: pytest.FixtureRequest) -> Callable[..., Any]:
    kind: Callable[..., Any] = request.param
    return kind


RESPONSE = job_response(TASK, [1, 0, 5, 2, 0])


# Queries and results.


@pytest.mark.parametrize("batch", [INTERVAL, SECONDS, tuple(map(float, SECONDS))])
def test_collect(collector: Any, batch: Any) -> None:
    leader = Leader(script=[ready(replace(RESPONSE, interval=Interval(5_666_661, 3)))])
    collection = collector(leader).collect(batch)
    assert (collection.result, collection.report_count) == ([1, 0, 5, 2, 0], 40)
    assert (collection.start, collection.end) == (5_666_661 * 300, 5_666_664 * 300)
    assert (collection.error_bars, collection.confidence, collection.deleted) == ([0.0] * 5, 0.95, False)
    assert collection.job == JOB
    (request,) = leader.requests
    assert (request.method, str(request.url)) == ("POST", JOBS)
    assert request.headers["content-type"] == "application/ppm-dap;message=collection-job-req"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.content == bytes([1, 0, 16]) + INTERVAL.encode() + bytes(6)


def test_a_job_that_is_not_ready_is_polled_when_the_leader_says(collector: Any) -> None:
    leader = Leader(script=[PENDING, answer(200, Retry_After="30"), answer(202), ready(RESPONSE)])
    told: list[Progress] = []
    assert collector(leader).collect(INTERVAL, progress=told.append).result == [1, 0, 5, 2, 0]
    assert leader.waits == [4, 30, 1]
    assert told == [Progress(0, 4), Progress(4, 30), Progress(34, 1)]
    assert [(request.method, str(request.url)) for request in leader.requests[1:]] == [("GET", JOB)] * 3
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in leader.requests)


def test_a_leader_selected_job_is_deleted_once_the_result_is_there(collector: Any) -> None:
    """The next identical query gets the next batch."""
    leader = Leader(SELECTED, [PENDING, ready(job_response(SELECTED, [1, 0, 5, 2, 0]))])
    collection = collector(leader).collect()
    assert (collection.result, collection.deleted) == ([1, 0, 5, 2, 0], True)
    assert leader.requests[0].content == bytes([2]) + bytes(8)
    assert leader.methods == ["POST", "GET", "DELETE"]
    assert str(leader.requests[2].url) == JOB


def test_a_result_outlives_a_failed_deletion(collector: Any) -> None:
    leader = Leader(SELECTED, [ready(job_response(SELECTED, [1, 0, 5, 2, 0]))], deletes=answer(500))
    collecting = collector(leader)
    collection = collecting.collect()
    assert (collection.result, collection.deleted) == ([1, 0, 5, 2, 0], False)
    leader.deletes = answer(200)
    collecting.delete(collection.job)
    assert leader.methods == ["POST", "DELETE", "DELETE"]


def test_a_result_that_does_not_open_is_not_deleted(collector: Any) -> None:
    leader = Leader(SELECTED, [ready(replace(RESPONSE, report_count=50))])
    with pytest.raises(RemoteProtocolError, match="does not open"):
        collector(leader).collect()
    assert leader.methods == ["POST"]


def test_deleting_an_unknown_job_is_an_error(collector: Any) -> None:
    leader = Leader(deletes=problem("about:blank", 404))
    with pytest.raises(DapProblem, match="404"):
        collector(leader).delete(JOB)


@pytest.mark.parametrize(
    ("chosen", "total", "result"), [(vdaf("Count"), 7, 7), (vdaf("Sum", max_measurement=255), 300, 300)]
)
def test_numbers_have_numbers_for_error_bars(collector: Any, chosen: Any, total: int, result: int) -> None:
    privacy = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(10)))
    for task in (make_task(vdaf=chosen), make_task(vdaf=chosen, privacy=privacy)):
        collection = collector(Leader(task, [ready(job_response(task, total))])).collect(INTERVAL)
        assert collection.result == result
        assert (collection.error_bars > 0) == (task.privacy is not None)


def test_sums_beyond_the_field_are_not_shown(collector: Any) -> None:
    task = make_task(vdaf=vdaf("Sum", max_measurement=1 << 62))
    leader = Leader(task, [ready(job_response(task, 3 << 62, count=3))])
    assert collector(leader).collect(INTERVAL).result == 3 << 62
    wrapped = (10 << 62) % task.prio3.field.MODULUS
    for count in (4, 10):
        leader = Leader(task, [ready(job_response(task, wrapped, count=count))])
        with pytest.raises(LocalProtocolError, match=f"the batch has {count} reports, and the sum of more than 3 may"):
            collector(leader).collect(INTERVAL)


def test_noise_has_its_room_in_the_field(collector: Any) -> None:
    """Half of the field is for negative results, and the noise may come on top of the sum."""
    privacy = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(10)))
    chosen = vdaf("Sum", max_measurement=1 << 30)
    task = make_task(vdaf=chosen, privacy=privacy)
    half, room = task.prio3.field.MODULUS // 2, privacy.plan(chosen).room()
    max_count = (half - room) // (1 << 30)
    assert max_count < half // (1 << 30)
    leader = Leader(
        task, [ready(job_response(task, -5, count=max_count)), ready(job_response(task, -5, count=max_count + 1))]
    )
    assert collector(leader).collect(INTERVAL).result == -5
    with pytest.raises(LocalProtocolError, match=f"of more than {max_count:,} may be beyond"):
        collector(leader).collect(INTERVAL)


# Differential privacy.


def test_noise_makes_results_signed_and_gives_them_error_bars(collector: Any) -> None:
    task = make_task(privacy=Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(10))))
    bars = []
    for confidence in (0.9, 0.99):
        leader = Leader(task, [ready(job_response(task, [-3, 0, 5, 2, -1]))])
        collection = collector(leader).collect(INTERVAL, confidence=confidence)
        assert (collection.result, collection.confidence) == ([-3, 0, 5, 2, -1], confidence)
        bars.append(collection.error_bars[0])
        assert collection.error_bars == [bars[-1]] * 5
    assert 0 < bars[0] < bars[1]


def test_without_noise_a_result_is_what_the_field_has(collector: Any) -> None:
    """A negative count is no count: without noise it is shown as the broken thing it is."""
    leader = Leader(script=[ready(job_response(TASK, [-1, 0, 0, 0, 0]))])
    assert collector(leader).collect(INTERVAL).result[0] == TASK.prio3.field.MODULUS - 1


def test_local_randomization_is_undone(collector: Any) -> None:
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(Fraction(1)), PureDp(Fraction(1)), honest=0)
    task = make_task(privacy=privacy)
    response = privacy.randomized_response(task.vdaf)
    counts = [float(1000 * response.q)] * 4 + [float(1000 * response.p)]
    leader = Leader(task, [ready(job_response(task, np.rint(counts).astype(int), count=1000))])
    collection = collector(leader).collect(INTERVAL)
    assert collection.result == pytest.approx([0, 0, 0, 0, 1000], abs=5)
    assert all(bar > 10 for bar in collection.error_bars)


# Batches that cannot be asked for.


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (None, "intervals of time: pass one"),
        (Interval(5, 0), "at least 300 seconds"),
        ((300, 0), "at least 300 seconds"),
        ((301, 300), "multiples of the task's time_precision, 300 seconds"),
        ((300, 299), "multiples"),
        ((0.5, 300), "multiples"),
        ((-300, 300), "multiples"),
    ],
)
def test_bad_intervals_are_refused_before_anything_is_sent(collector: Any, batch: Any, says: str) -> None:
    leader = Leader()
    with pytest.raises(LocalProtocolError, match=says):
        collector(leader).collect(batch)
    assert leader.requests == []


def test_leader_selected_batches_have_no_interval(collector: Any) -> None:
    with pytest.raises(LocalProtocolError, match="the Leader selects this task's batches"):
        collector(Leader(SELECTED)).collect(INTERVAL)


@pytest.mark.parametrize("confidence", [0, 1, -1, 2])
def test_impossible_confidence_is_refused_before_anything_is_sent(collector: Any, confidence: float) -> None:
    leader = Leader()
    with pytest.raises(LocalProtocolError, match="confidence"):
        collector(leader).collect(INTERVAL, confidence=confidence)
    assert leader.requests == []


def test_every_request_shows_the_token_in_the_header_that_it_names(collector: Any) -> None:
    leader = Leader(SELECTED, script=[PENDING, ready(job_response(SELECTED, [1, 0, 5, 2, 0]))])
    collector(leader, token=f"DAP-Auth-Token: {TOKEN}").collect()
    assert leader.methods == ["POST", "GET", "DELETE"]
    assert {request.headers.get("dap-auth-token") for request in leader.requests} == {TOKEN}
    assert not any("authorization" in request.headers for request in leader.requests)


@pytest.mark.parametrize("token", ["", "two words", "line\r\nbreak", "\u00e9"])
def test_tokens_that_cannot_be_sent_are_refused(token: str) -> None:
    with pytest.raises(LocalProtocolError, match="printable ASCII") as raised:
        Collector(TASK, KEY, CONFIG, token)
    assert not token or token not in str(raised.value)


def test_key_and_configuration_belong_together() -> None:
    with pytest.raises(LocalProtocolError, match="does not belong to the private key"):
        Collector(TASK, PrivateKey.from_bytes(b"d" * 32), CONFIG, TOKEN)


# What the Leader refuses, or never answers.


@pytest.mark.parametrize("before", [[], [PENDING], [PENDING, answer(202)]], ids=len)
def test_problems_are_raised_with_what_the_leader_says(collector: Any, before: list[Answer]) -> None:
    def too_few(request: httpx.Request) -> httpx.Response:
        document = {"type": URN + "invalidBatchSize", "detail": "batch has 37 reports, needs 100"}
        return httpx.Response(409, json=document, headers={"Content-Type": "application/problem+json"})

    leader = Leader(script=[*before, too_few])
    with pytest.raises(DapProblem, match="batch has 37 reports, needs 100") as raised:
        collector(leader).collect(INTERVAL)
    assert (raised.value.type, raised.value.status) == ("invalidBatchSize", 409)
    assert "DELETE" not in leader.methods


def test_a_leader_selected_job_that_failed_is_deleted(collector: Any) -> None:
    """Otherwise it would answer every query to come."""
    leader = Leader(SELECTED, [PENDING, problem(URN + "batchMismatch")])
    with pytest.raises(DapProblem, match="batchMismatch"):
        collector(leader).collect()
    assert leader.methods == ["POST", "GET", "DELETE"]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_leader_selected_job_is_not_deleted_for_what_is_no_verdict(collector: Any, status: int) -> None:
    leader = Leader(SELECTED, [PENDING, answer(status)])
    with pytest.raises(DapProblem, match=str(status)):
        collector(leader).collect()
    assert leader.methods == ["POST", "GET"]


def test_patience_has_an_end(collector: Any) -> None:
    leader = Leader(script=[PENDING] * 4)
    with pytest.raises(CollectionPending, match="not ready after 10 s; ask again later") as raised:
        collector(leader).collect(INTERVAL, timeout=10)
    assert leader.waits == [4, 4, 2]
    assert (raised.value.job, len(leader.requests)) == (JOB, 4)
    assert pickle.loads(pickle.dumps(raised.value)).job == JOB


def test_an_absurd_pause_is_cut(collector: Any) -> None:
    leader = Leader(script=[answer(201, Location=JOB, Retry_After="99999999"), ready(RESPONSE)])
    collector(leader).collect(INTERVAL)
    assert leader.waits == [3600]


def test_requests_are_sent_again_after_network_failures(collector: Any) -> None:
    leader = Leader(script=[lost_answer, PENDING, lost_answer, answer(503, Retry_After="9"), ready(RESPONSE)])
    assert collector(leader).collect(INTERVAL).report_count == 40
    assert leader.waits == [0.5, 4, 0.5, 9]
    assert leader.methods == ["POST", "POST", "GET", "GET", "GET"]
    assert leader.requests[0].content == leader.requests[1].content


def test_an_unreachable_leader(collector: Any) -> None:
    with pytest.raises(Unreachable, match=r"leader\.example does not answer"):
        collector(Leader(script=[lost_answer] * 2), retries=Retries(attempts=2)).collect(INTERVAL)


# Answers that are not answers.


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer(200, RESPONSE.encode(), Location=JOB), "an answer of type .*collection-job-resp expected"),
        (answer(200, RESPONSE.encode()[:-1], Location=JOB, Content_Type=COLLECTION_RESP), "ends early"),
        (answer(200, RESPONSE.encode() + b"x", Location=JOB, Content_Type=COLLECTION_RESP), "too many"),
        (answer(200, bytes(1 << 20), Location=JOB, Content_Type=COLLECTION_RESP), "more than it may have"),
        (ready(replace(RESPONSE, report_count=2)), "2 reports, and the task requires at least 3"),
        (ready(replace(RESPONSE, interval=Interval(5_666_659, 3))), "outside the interval"),
        (ready(replace(RESPONSE, interval=Interval(5_666_671, 2))), "outside the interval"),
        (
            ready(
                replace(
                    RESPONSE,
                    helper_encrypted_agg_share=RESPONSE.leader_encrypted_agg_share,
                )
            ),
            "the Helper's aggregate share does not open",
        ),
        (
            ready(
                replace(
                    RESPONSE,
                    leader_encrypted_agg_share=replace(RESPONSE.leader_encrypted_agg_share, config_id=9),
                )
            ),
            "the Leader sealed its share to HPKE configuration 9, and ours is 8",
        ),
        (answer(302, Location="https://elsewhere.example/"), "not the Leader's"),
        (answer(302), "redirects"),
        (answer(201), "the collection job is nowhere"),
        (answer(201, Location="https://elsewhere.example/x"), "not the Leader's"),
        (answer(201, Location="http://leader.example/x"), "not the Leader's"),
        (answer(201, Location="//elsewhere.example/x"), "not the Leader's"),
        (answer(201, Location="http://["), "not a URL"),
    ],
)
def test_malformed_answers(collector: Any, reply: Answer, says: str) -> None:
    leader = Leader(script=[reply])
    with pytest.raises(RemoteProtocolError, match=says):
        collector(leader).collect(INTERVAL)
    assert len(leader.requests) == 1


def test_the_token_does_not_follow_a_job_elsewhere_later(collector: Any) -> None:
    leader = Leader(script=[PENDING, answer(200, Location="https://elsewhere.example/x")])
    with pytest.raises(RemoteProtocolError, match="not the Leader's"):
        collector(leader).collect(INTERVAL)
    with pytest.raises(RemoteProtocolError, match="not the Leader's"):
        collector(leader).delete("https://elsewhere.example/x")
    assert {request.url.host for request in leader.requests} == {"leader.example"}


@pytest.mark.parametrize(("size", "says"), [(79, "80 bytes expected, got 79"), (80, "not below the modulus")])
def test_shares_that_are_none(collector: Any, size: int, says: str) -> None:
    request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, INTERVAL.encode()))
    share = sealed(TASK, Role.HELPER, b"\xff" * size, request)
    leader = Leader(script=[ready(replace(RESPONSE, helper_encrypted_agg_share=share))])
    with pytest.raises(RemoteProtocolError, match=says):
        collector(leader).collect(INTERVAL)


def test_shares_are_bound_to_the_query(collector: Any) -> None:
    leader = Leader(script=[ready(RESPONSE)])
    with pytest.raises(RemoteProtocolError, match="was asked another query"):
        collector(leader).collect(Interval(INTERVAL.start, INTERVAL.duration + 1))


def test_no_error_shows_the_token_or_the_key(collector: Any) -> None:
    for reply in (answer(401), answer(500), answer(201), lost_answer):
        with pytest.raises(SecAggError) as raised:
            collector(Leader(script=[reply]), retries=Retries(attempts=1)).collect(INTERVAL)
        shown = f"{raised.value!r} {raised.value} {raised.value.__cause__!r}"
        assert TOKEN not in shown
        assert KEY.private_bytes.decode() not in shown
