"""A Leader and its Helper in DAP-09: the Leader chooses the IDs of jobs, and the Helper answers at once."""

from collections.abc import Callable

import httpx
import pytest

from secagg.dap.aggregator.helper_check import HelperState, ask_helper
from secagg.dap.aggregator.peer import Answer, HttpPeer, PeerUnavailable
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.dialect import DAP_09
from secagg.dap.media_types import PPM_DAP
from secagg.dap.messages import BatchMode, ReportError
from secagg.dap.problems import URN
from secagg.dap.store import schema
from secagg.dap.store.tasks import TaskRecord
from secagg.http.base64url import base64url
from secagg.http.problems import MEDIA_TYPE

from ...support import dap09 as twin
from ...support.world import PEER_TOKEN, DirectPeer, Fault, World, problem_type

NewWorld = Callable[..., World]
JOB_ID = b"j" * 16
MODES = pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())


class NamingPeer(DirectPeer):
    """Notes the IDs of jobs, and may answer wrongly."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.ids: list[bytes] = []
        self.deletes: list[str] = []
        self.answer: Callable[[bytes], bytes] | None = None

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        self.ids.append(job_id)
        answer = super().create_job(record, body, job_id)
        if self.answer is not None and answer.body is not None:
            return Answer(self.answer(answer.body), answer.location)
        return answer

    def delete_job(self, record: TaskRecord, location: str) -> None:
        self.deletes.append(location)
        super().delete_job(record, location)


def named(dap_world: NewWorld, **parameters: object) -> tuple[World, NamingPeer]:
    world = dap_world(dialect=DAP_09, settings=Settings(job_size=100, backoff=50.0), **parameters)
    world.peer = NamingPeer(world)
    world.restart()
    return world, world.peer


@MODES
def test_a_lost_answer_is_asked_for_under_the_same_id(dap_world: NewWorld, mode: BatchMode) -> None:
    world, peer = named(dap_world, batch_mode=mode)
    world.upload_many(3)
    peer.faults = [Fault.LOST_ANSWER, Fault.LOST_REQUEST]
    world.aggregate_all()
    assert len(peer.ids) == 3
    assert len(set(peer.ids)) == len(set(peer.seen)) == 1
    assert world.result(world.collect()).sums == [1, 1, 1, 0]


def test_different_jobs_have_different_ids(dap_world: NewWorld) -> None:
    world, peer = named(dap_world)
    for _ in range(3):
        world.upload_many(3)
        world.aggregate_all()
    assert len(set(peer.ids)) == 3


@pytest.mark.parametrize("fault", [None, Fault.LOST_REQUEST], ids=["deleted", "not deleted"])
def test_reports_that_were_too_early_go_into_a_job_of_another_id(dap_world: NewWorld, fault: Fault | None) -> None:
    """Some Helpers refuse a deleted job's ID for good, and the draft lets none answer the same job otherwise."""
    world, peer = named(dap_world)
    world.helper_skew = -900.0
    world.upload_many(5)
    peer.faults = [None, fault]
    world.aggregate_all()
    assert len(set(peer.seen)) == 1
    assert len(set(peer.ids)) == len(peer.ids) > 1
    result = world.result(world.collect())
    assert (result.count, sum(result.sums)) == (5, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda body: twin.job_resp([(report_id, None) for report_id, _ in twin.take_job_resp(body)]),
        lambda body: twin.job_resp(twin.take_job_resp(body)[::-1]),
        lambda body: twin.job_resp(twin.take_job_resp(body)[1:]),
        lambda body: body[:-1],
        lambda body: body[4:],
    ],
    ids=["finished", "another order", "one missing", "truncated", "of a newer draft"],
)
def test_a_wrong_answer_abandons_the_job(dap_world: NewWorld, wrong: Callable[[bytes], bytes]) -> None:
    """Section 4.5.1.1: the Leader MUST abort it, and SHOULD delete it."""
    world, peer = named(dap_world)
    world.upload_many(3)
    peer.answer = wrong
    (done,) = world.aggregate()
    assert isinstance(done.problem, PeerUnavailable)
    assert peer.deletes == [peer.ids[0].hex()]
    assert world.waiting() == 3


def test_errors_are_read_by_the_drafts_numbers(dap_world: NewWorld) -> None:
    world, peer = named(dap_world)
    world.upload_many(3)
    errors = iter([0, 6, 200])
    peer.answer = lambda body: twin.job_resp([(report_id, next(errors)) for report_id, _ in twin.take_job_resp(body)])
    (done,) = world.aggregate()
    assert set(done.errors.values()) == {
        ReportError.BATCH_COLLECTED,
        ReportError.BATCH_SATURATED,
        ReportError("unknown_200"),
    }


def test_a_helper_with_other_reports_gives_no_share(dap_world: NewWorld) -> None:
    """The checksum tells as many reports, but others, apart."""
    world, _ = named(dap_world)
    world.upload_many(3)
    world.aggregate_all()
    with world.helper_store.write() as tx:
        tx.execute(schema.buckets.update().values(checksum=bytes(32)))
    assert problem_type(world.collect()) == "batchMismatch"


# By HTTP.


def asked(
    record: TaskRecord, answer: httpx.Response, ask: Callable[[HttpPeer], object]
) -> tuple[httpx.Request, object]:
    """A request, and what is made of this answer to it."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer

    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        returned = ask(HttpPeer(http))
    return seen[0], returned


def test_a_job_is_put_under_its_id_and_a_share_asked_for_by_post(dap_world: NewWorld) -> None:
    record = dap_world(dialect=DAP_09).leader_task
    base, token = f"http://helper.test/tasks/{record.task.text}", f"Bearer {PEER_TOKEN.decode()}"
    resp = httpx.Response(
        201, headers={"Content-Type": "application/dap-aggregation-job-resp", "Location": "http://x"}, content=b"r"
    )
    request, answer = asked(record, resp, lambda peer: peer.create_job(record, b"body", JOB_ID))
    assert (request.method, str(request.url)) == ("PUT", f"{base}/aggregation_jobs/{base64url(JOB_ID)}")
    assert request.headers["content-type"] == "application/dap-aggregation-job-init-req"
    assert (request.content, request.headers["authorization"]) == (b"body", token)
    assert answer == Answer(b"r", f"{base}/aggregation_jobs/{base64url(JOB_ID)}")

    share = httpx.Response(200, headers={"Content-Type": "application/dap-aggregate-share"}, content=b"s")
    request, answer = asked(record, share, lambda peer: peer.create_share(record, b"body"))
    assert (request.method, str(request.url)) == ("POST", f"{base}/aggregate_shares")
    assert request.headers["content-type"] == "application/dap-aggregate-share-req"
    assert isinstance(answer, Answer)
    assert answer.body == b"s"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(200), "must answer at once"),
        (httpx.Response(202, headers={"Retry-After": "1", "Location": "/x"}), "must answer at once"),
        (httpx.Response(200, headers={"Content-Type": PPM_DAP.job_resp}, content=b"x"),
         "is not of type application/dap-aggregation-job-resp"),
    ],
)  # fmt: skip
def test_answers_of_newer_drafts_do_not_count(dap_world: NewWorld, answer: httpx.Response, why: str) -> None:
    record = dap_world(dialect=DAP_09).leader_task
    with pytest.raises(PeerUnavailable, match=why):
        asked(record, answer, lambda peer: peer.create_job(record, b"body", JOB_ID))


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (400, "unrecognizedAggregationJob", HelperState.READY),
        (400, "unrecognizedTask", HelperState.NO_TASK),
        (403, "unauthorizedRequest", HelperState.TOKEN_REFUSED),
        (410, None, HelperState.UNCLEAR),
    ],
)
def test_a_helper_is_asked_for_the_task_by_a_deletion_of_nothing(
    dap_world: NewWorld, status: int, kind: str | None, state: HelperState
) -> None:
    """The draft has no GET there."""
    record = dap_world(dialect=DAP_09).leader_task
    document = {} if kind is None else {"type": URN + kind}
    answer = httpx.Response(status, json=document, headers={"Content-Type": MEDIA_TYPE})
    request, found = asked(record, answer, lambda peer: ask_helper(peer, record)[0])
    assert (request.method, request.url.path) == (
        "DELETE", f"/tasks/{record.task.text}/aggregation_jobs/{base64url(bytes(16))}",
    )  # fmt: skip
    assert found is state
