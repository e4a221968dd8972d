"""Leader and Helper of tasks in DAP-09 by HTTP, asked by a Leader and a Collector that are scripted from that draft."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from secagg.dap.aggregator.peer import PeerUnavailable
from secagg.dap.dialect import DAP_09, DAP_19
from secagg.dap.messages import BatchMode, Interval, Report, Role
from secagg.dap.server.limits import Limits
from secagg.dap.store import schema
from secagg.http.base64url import base64url
from secagg.http.bounds import Bounds

from ...support import dap09 as twin
from ...support.world import MIN_BATCH, PEER_TOKEN, PRECISION, Urls, extensions
from .test_http import COLLECTOR, PEER, Served, problem

INIT = {"Content-Type": "application/dap-aggregation-job-init-req"} | PEER
CONTINUE = {"Content-Type": "application/dap-aggregation-job-continue-req"} | PEER
SHARE = {"Content-Type": "application/dap-aggregate-share-req"} | PEER
COLLECT = {"Content-Type": "application/dap-collect-req"} | COLLECTOR
JOB_ID, OTHER_ID = b"j" * 16, b"k" * 16
BATCH = b"b" * 32
BY_TIME: dict[str, Any] = {}
FIXED_SIZE: dict[str, Any] = {"batch_mode": BatchMode.LEADER_SELECTED}
MODES = pytest.mark.parametrize("mode", [BY_TIME, FIXED_SIZE], ids=["time_interval", "fixed_size"])
ERROR = {name: number for number, name in enumerate(twin.PREPARE_ERRORS)}

Serve = Callable[..., "Served09"]


class Served09(Served):
    """What a Leader and a Collector of DAP-09 ask."""

    def share_of(self, report: Report) -> twin.Share:
        metadata, sealed = report.report_metadata, report.helper_encrypted_input_share
        ciphertext = twin.Ciphertext(sealed.config_id, sealed.enc, sealed.payload)
        return twin.Share(metadata.report_id, metadata.time, report.public_share, ciphertext)

    def prepared(self, reports: list[Report]) -> tuple[Any, list[tuple[twin.Share, bytes]]]:
        """The Leader's states, and what it sends the Helper of each report."""
        task, key = self.world.task, self.world.keys(Role.LEADER)
        opened = []
        for report in reports:
            sealed, aad = report.leader_encrypted_input_share, self._input_aad(report)
            (private,) = key.values()
            plaintext = private.open(sealed.enc, b"dap-09 input share\x01\x02", aad, sealed.payload)
            opened.append(plaintext[6:])  # after no extensions, and the payload's length
        ids = [report.report_metadata.report_id for report in reports]
        public = [report.public_share for report in reports]
        states, outbound = task.ping_pong.leader_init(self.world.verify_key, b"", ids, public, opened)
        return states, [(self.share_of(report), outbound[i]) for i, report in enumerate(reports)]

    def _input_aad(self, report: Report) -> bytes:
        """An InputShareAad (section 4.4.2)."""
        metadata = report.report_metadata
        stated = metadata.report_id + twin.number(metadata.time, 8)
        return self.world.task.id + stated + twin.sized(report.public_share, 4)

    @property
    def batch(self) -> bytes | None:
        """What an AggregationJobInitReq says of its batch."""
        return None if self.world.task.by_time else BATCH

    @property
    def selected(self) -> twin.Batch:
        """The batch of reports that were made now."""
        return self.interval() if self.world.task.by_time else BATCH

    def interval(self, count: int = 1) -> tuple[int, int]:
        return self.world.clock.bucket * PRECISION, count * PRECISION

    def put_job(self, body: bytes, job_id: bytes = JOB_ID, headers: dict[str, str] = INIT) -> Any:
        url = f"{self.task}/aggregation_jobs/{base64url(job_id)}"
        return self.helper.put(url, content=body, headers=headers)

    def outcomes(self, inits: list[tuple[twin.Share, bytes]], job_id: bytes = JOB_ID) -> list[bytes | int | None]:
        """What the Helper answers of each report."""
        response = self.put_job(twin.job_init(self.batch, inits), job_id)
        assert response.status_code == 201, response.text
        assert response.headers["content-type"] == "application/dap-aggregation-job-resp"
        answered = twin.take_job_resp(response.content)
        assert [report_id for report_id, _ in answered] == [one.report_id for one, _ in inits]
        return [outcome for _, outcome in answered]

    def ask_share(self, body: bytes) -> Any:
        return self.helper.post(f"{self.task}/aggregate_shares", content=body, headers=SHARE)

    def put_collection(self, body: bytes, job_id: bytes = JOB_ID) -> Any:
        return self.leader.put(f"{self.task}/collection_jobs/{base64url(job_id)}", content=body, headers=COLLECT)

    def poll(self, job_id: bytes = JOB_ID) -> Any:
        return self.leader.post(f"{self.task}/collection_jobs/{base64url(job_id)}", headers=COLLECTOR)

    def result(self, job_id: bytes = JOB_ID) -> Any:
        """The answer once there is one."""
        for _ in range(20):
            response = self.poll(job_id)
            if response.status_code != 202:
                return response
            assert not response.content
            assert int(response.headers["retry-after"]) >= 1
            self.world.leader.collections.work(self.world.clock.now)
            self.world.clock.now += 1.0
        raise AssertionError("the job is not ready")

    def opened(self, role: Role, sealed: twin.Ciphertext, batch: twin.Batch) -> bytes:
        """An aggregate share, as the Collector opens it (section 4.6.4)."""
        info = b"dap-09 aggregate share" + bytes([role, 0])
        key = self.world._keys[Role.COLLECTOR]
        return key.open(sealed.enc, info, twin.agg_share_aad(self.world.task.id, batch), sealed.payload)

    def sums(self, content: bytes, batch: twin.Batch) -> tuple[int, tuple[int, int], list[int]]:
        """Report count, interval and result of a Collection."""
        named, count, interval, sealed = twin.take_collection(content)
        assert named == (batch if isinstance(batch, bytes) else None)
        prio3 = self.world.task.prio3
        shares = [self.opened(role, each, batch) for role, each in zip((Role.LEADER, Role.HELPER), sealed, strict=True)]
        return count, interval, [int(n) for n in prio3.unshard([prio3.decode_agg_share(s) for s in shares], count)]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a world in DAP-09, on SQLite."""
    with ExitStack() as stack:
        urls = Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db")

        def make(*, later: bool = False, **parameters: Any) -> Served09:
            return Served09(urls, stack, Limits(), Bounds(), later, {"dialect": DAP_09} | parameters)

        yield make


# Aggregation jobs.


@MODES
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_scripted_leader_aggregates_and_gets_the_share(serve: Serve, mode: dict[str, Any], later: bool) -> None:
    """A Helper that may answer later in newer drafts answers at once in this one."""
    served = serve(later=later, **mode)
    world, prio3 = served.world, served.world.task.prio3
    reports = [world.report(i) for i in (0, 1, 1)]
    states, inits = served.prepared(reports)
    outcomes = served.outcomes(inits)
    payloads = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    out_shares = world.task.ping_pong.leader_continued(states, payloads)
    assert not out_shares.rejected
    own = prio3.agg_init()
    prio3.agg_update(own, out_shares)

    ids = [report.report_metadata.report_id for report in reports]
    response = served.ask_share(twin.share_req(served.selected, 3, twin.checksum(ids)))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/dap-aggregate-share"
    share = served.opened(Role.HELPER, twin.take_share(response.content), served.selected)
    assert [int(n) for n in prio3.unshard([own, prio3.decode_agg_share(share)], 3)] == [1, 2, 0, 0]


def test_the_same_job_has_the_same_answer_and_another_one_needs_another_id(serve: Serve) -> None:
    served = serve()
    _, inits = served.prepared([served.world.report() for _ in range(2)])
    body = twin.job_init(None, inits)
    first, again = served.put_job(body), served.put_job(body)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    problem(served.put_job(twin.job_init(None, inits[:1])), 409, served=served)
    assert served.put_job(body).content == first.content
    assert served.world.count("helper", schema.aggregated) == 2


def test_reports_that_the_helper_refuses_have_the_drafts_numbers(serve: Serve) -> None:
    served = serve(interval=Interval(17_000_000 - 10, 13))
    world = served.world
    good, replayed = world.report(), world.report()
    _, inits = served.prepared([good, replayed])
    served.outcomes(inits[1:], OTHER_ID)

    def sealed(**changes: Any) -> tuple[twin.Share, bytes]:
        one, payload = served.prepared([world.report()])[1][0]
        return one._replace(ciphertext=one.ciphertext._replace(**changes)), payload

    cases = {
        "report_replayed": inits[1],
        "hpke_unknown_config_id": sealed(config_id=99),
        "hpke_decrypt_error": sealed(payload=b"\0" * 60),
        "vdaf_prep_error": (served.prepared([world.report()])[1][0][0], inits[0][1]),
        "report_too_early": served.prepared([world.report(at=world.clock.now + 500)])[1][0],
        "task_expired": served.prepared([world.report(time=1_700_000_300)])[1][0],
        "report_dropped": served.prepared([world.report(time=1_699_998_900)])[1][0],
        "invalid_message": (
            served.share_of(world.report(private={Role.HELPER: extensions(1)})),
            inits[0][1],
        ),
    }
    world.clock.now += 301
    late = cases.pop("report_too_early")
    assert served.outcomes([inits[0], *cases.values()])[1:] == [ERROR[name] for name in cases]
    world.clock.now -= 301
    assert served.outcomes([late], b"l" * 16) == [ERROR["report_too_early"]]


def test_a_report_of_a_collected_batch_is_refused_by_number_0(serve: Serve) -> None:
    served = serve()
    reports = [served.world.report() for _ in range(4)]
    _, inits = served.prepared(reports)
    served.outcomes(inits[:3])
    ids = [report.report_metadata.report_id for report in reports[:3]]
    assert served.ask_share(twin.share_req(served.selected, 3, twin.checksum(ids))).status_code == 200
    assert served.outcomes(inits[3:], OTHER_ID) == [ERROR["batch_collected"]]


@MODES
def test_jobs_that_the_draft_does_not_allow_are_invalid_messages(serve: Serve, mode: dict[str, Any]) -> None:
    """No problem has a type that DAP-09 does not have."""
    served = serve(**mode)
    _, inits = served.prepared([served.world.report()])
    other = BATCH if served.batch is None else None
    honest = twin.job_init(served.batch, inits)
    for body in (
        twin.job_init(other, inits),
        twin.job_init(served.batch, inits, b"parameter"),
        twin.job_init(served.batch, inits * 2),
        twin.job_init(served.batch, []),
        honest[:-1],
        honest + b"\0",
    ):
        problem(served.put_job(body), 400, "invalidMessage", served)
    assert served.put_job(honest).status_code == 201


def test_a_job_is_continued_by_nobody_and_deleted_once(serve: Serve) -> None:
    served = serve()
    _, inits = served.prepared([served.world.report()])
    url = f"{served.task}/aggregation_jobs/{base64url(JOB_ID)}"
    body = twin.job_continue(1, [(inits[0][0].report_id, b"payload")])
    problem(served.helper.post(url, content=body, headers=CONTINUE), 404, "unrecognizedAggregationJob", served)
    served.outcomes(inits)
    problem(served.helper.post(url, content=body, headers=CONTINUE), 400, "invalidMessage", served)
    problem(served.helper.post(url, content=body, headers=INIT), 415)
    assert served.helper.delete(url, headers=PEER).status_code == 200
    problem(served.helper.delete(url, headers=PEER), 404, "unrecognizedAggregationJob", served)
    assert served.outcomes(inits) == [ERROR["report_replayed"]]


def test_resources_of_newer_drafts_are_not_there(serve: Serve) -> None:
    served = serve()
    _, inits = served.prepared([served.world.report()])
    served.outcomes(inits)
    served.put_collection(twin.collection_req(served.interval()))
    problem(served.helper.post(f"{served.task}/aggregation_jobs", content=b"", headers=INIT), 404, served=served)
    problem(served.leader.post(f"{served.task}/collection_jobs", content=b"", headers=COLLECT), 404, served=served)
    for client, path, token in (
        (served.helper, "aggregation_jobs", PEER),
        (served.leader, "collection_jobs", COLLECTOR),
    ):
        response = client.get(f"{served.task}/{path}/{base64url(JOB_ID)}", headers=token)
        problem(response, 405, served=served)
        assert response.headers["allow"] == "PUT, POST, DELETE"


def test_resources_of_this_draft_are_not_in_newer_ones(serve: Serve) -> None:
    served = serve(dialect=DAP_19)
    problem(served.put_job(b""), 405, served=served)
    problem(served.put_collection(b""), 405, served=served)
    response = served.poll()
    problem(response, 405, served=served)
    assert response.headers["allow"] == "GET, DELETE"


def test_either_header_shows_a_token_and_what_shows_none_is_unauthorized(serve: Serve) -> None:
    """Section 3.1 of the draft names DAP-Auth-Token."""
    served = serve()
    _, inits = served.prepared([served.world.report()])
    body = twin.job_init(None, inits)
    media_type = {"Content-Type": INIT["Content-Type"]}
    for wrong in ({}, {"DAP-Auth-Token": "x"}, {"Authorization": "Bearer x"}, COLLECTOR):
        problem(served.put_job(body, headers=media_type | wrong), 401, "unauthorizedRequest", served)
    problem(served.leader.post(f"{served.task}/collection_jobs/{base64url(JOB_ID)}"), 401, "unauthorizedRequest")
    named = media_type | {"DAP-Auth-Token": PEER_TOKEN.decode()}
    assert served.put_job(body, headers=named).status_code == 201


# Aggregate shares.


def test_a_share_is_released_once_and_given_again(serve: Serve) -> None:
    served = serve()
    reports = [served.world.report() for _ in range(3)]
    served.outcomes(served.prepared(reports)[1])
    ids = [report.report_metadata.report_id for report in reports]
    body = twin.share_req(served.selected, 3, twin.checksum(ids))
    first, again = served.ask_share(body), served.ask_share(body)
    assert first.content == again.content
    wider = twin.share_req(served.interval(2), 3, twin.checksum(ids))
    problem(served.ask_share(wider), 400, "batchOverlap", served)


def test_a_share_is_refused_unless_both_have_the_same_reports(serve: Serve) -> None:
    served = serve()
    reports = [served.world.report() for _ in range(3)]
    served.outcomes(served.prepared(reports)[1])
    right = twin.checksum([report.report_metadata.report_id for report in reports])
    start, duration = served.interval()
    cases = [
        (twin.share_req((start, duration), 3, bytes(32)), "batchMismatch"),
        (twin.share_req((start, duration), 4, right), "batchMismatch"),
        (twin.share_req((start + 1, duration), 3, right), "batchInvalid"),
        (twin.share_req((start, duration + 1), 3, right), "batchInvalid"),
        (twin.share_req((start, 0), 3, right), "batchInvalid"),
        (twin.share_req((start + 100 * PRECISION, duration), 0, bytes(32)), "invalidBatchSize"),
        (twin.share_req(BATCH, 3, right), "invalidMessage"),
        (twin.share_req((start, duration), 3, right, b"parameter"), "invalidMessage"),
        (twin.share_req((start, duration), 3, right)[:-1], "invalidMessage"),
    ]
    for body, kind in cases:
        problem(served.ask_share(body), 400, kind, served)
    assert served.ask_share(twin.share_req((start, duration), 3, right)).status_code == 200


def test_a_batch_id_that_no_job_had_is_invalid(serve: Serve) -> None:
    served = serve(**FIXED_SIZE)
    served.outcomes(served.prepared([served.world.report()])[1])
    problem(served.ask_share(twin.share_req(b"c" * 32, 0, bytes(32))), 400, "batchInvalid", served)
    problem(served.ask_share(twin.share_req(BATCH, 1, bytes(32))), 400, "invalidBatchSize", served)


# Collection jobs.


def test_a_scripted_collector_collects_an_interval(serve: Serve) -> None:
    served = serve()
    served.world.upload_many(3)
    body, interval = twin.collection_req(served.interval(2)), served.interval()
    wide = served.interval(2)
    created = served.put_collection(body)
    assert (created.status_code, created.content) == (201, b"")
    assert served.poll().status_code == 202
    served.world.aggregate()
    ready = served.result()
    assert ready.headers["content-type"] == "application/dap-collection"
    assert served.sums(ready.content, wide) == (3, interval, [1, 1, 1, 0])
    assert served.poll().content == ready.content

    # The same request is the same job; another one is none.
    assert served.put_collection(body).status_code == 201
    problem(served.put_collection(twin.collection_req(interval)), 409, served=served)
    problem(served.put_collection(twin.collection_req(interval), OTHER_ID), 400, "batchOverlap", served)

    # Deleted, it is gone, and its batch stays collected.
    url = f"{served.task}/collection_jobs/{base64url(JOB_ID)}"
    assert served.leader.delete(url, headers=COLLECTOR).status_code == 200
    problem(served.poll(), 404, served=served)
    problem(served.put_collection(body), 400, "batchOverlap", served)


@pytest.mark.parametrize("when", ["collected", "asked for", "waiting"])
def test_the_same_batch_in_another_job_has_the_same_result_and_costs_nothing(serve: Serve, when: str) -> None:
    """A Collector that has lost its random ID asks again under another one."""
    served = serve()
    served.world.upload_many(3)
    body, interval = twin.collection_req(served.interval()), served.interval()
    served.put_collection(body)
    if when != "waiting":
        served.world.aggregate()
    if when == "asked for":  # and the Helper's answer is lost
        served.world.peer.meanwhile = _lost
        served.world.leader.collections.work(served.world.clock.now)
    if when == "collected":
        served.result()
    assert served.put_collection(body, OTHER_ID).status_code == 201
    served.world.aggregate()
    served.world.clock.now += 60
    first, other = served.result(), served.result(OTHER_ID)
    assert first.content == other.content
    assert served.sums(other.content, interval) == (3, interval, [1, 1, 1, 0])
    assert served.world.count("leader", schema.collected) == served.world.count("helper", schema.collected) == 1
    assert served.world.count("helper", schema.aggregate_shares) == 1


def _lost() -> None:
    raise PeerUnavailable("lost")


def test_each_job_for_the_current_batch_has_a_batch_of_its_own(serve: Serve) -> None:
    served = serve(**FIXED_SIZE)
    world = served.world
    world.upload_many(2 * MIN_BATCH)
    world.aggregate()
    body, found = twin.collection_req(None), []
    for job_id in (JOB_ID, OTHER_ID):
        assert served.put_collection(body, job_id).status_code == 201
        content = served.result(job_id).content
        batch_id = twin.take_collection(content)[0]
        assert batch_id is not None
        assert served.sums(content, batch_id)[0] == MIN_BATCH
        found.append(batch_id)
    assert found[0] != found[1]

    # By its ID, a batch that was collected has its result again, and no other one has any.
    again, unknown = b"m" * 16, b"n" * 16
    served.put_collection(twin.collection_req(found[0]), again)
    assert served.result(again).content == served.result(JOB_ID).content
    served.put_collection(twin.collection_req(b"c" * 32), unknown)
    problem(served.result(unknown), 400, "batchInvalid", served)
    assert world.count("helper", schema.aggregate_shares) == 2

    # Its jobs deleted, it is collected and has no result.
    for job_id in (JOB_ID, again):
        served.leader.delete(f"{served.task}/collection_jobs/{base64url(job_id)}", headers=COLLECTOR)
    served.put_collection(twin.collection_req(found[0]), b"o" * 16)
    problem(served.result(b"o" * 16), 400, "batchOverlap", served)


@MODES
def test_queries_that_the_draft_does_not_allow_are_refused(serve: Serve, mode: dict[str, Any]) -> None:
    served = serve(**mode)
    start, duration = served.interval()
    by_time = [
        (twin.collection_req((start + 1, duration)), "batchInvalid"),
        (twin.collection_req((start, duration - 1)), "batchInvalid"),
        (twin.collection_req((start, 0)), "batchInvalid"),
    ]
    other = twin.collection_req(None) if served.world.task.by_time else twin.collection_req((start, duration))
    own = twin.collection_req((start, duration) if served.world.task.by_time else None, b"parameter")
    cases = [(other, "invalidMessage"), (own, "invalidMessage"), (own[:-1], "invalidMessage")]
    for body, kind in cases + (by_time if served.world.task.by_time else []):
        problem(served.put_collection(body), 400, kind, served)
    problem(served.leader.put(f"{served.task}/collection_jobs/short", content=own, headers=COLLECT), 404)


def test_jobs_of_one_batch_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is stored with the result."""
    monkeypatch.setattr("secagg.dap.aggregator.collection_jobs.MAX_COLLECTION_JOBS", 3)
    served = serve()
    served.world.upload_many(3)
    served.world.aggregate()
    body = twin.collection_req(served.interval())
    for number in range(4):
        assert served.put_collection(body, bytes([number]) * 16).status_code == 201
        served.result(bytes([number]) * 16)
    problem(served.put_collection(body, JOB_ID), 429, served=served)


def test_a_leader_asks_a_helper_of_this_draft(serve: Serve) -> None:
    """What our Leader sends, as the twin takes it apart."""
    served = serve()
    reports = served.world.upload_many(3)
    served.world.aggregate()
    interval = served.interval()
    served.put_collection(twin.collection_req(interval))
    served.result()
    job, share = served.world.peer.seen
    assert twin.take_job_init(job)[:2] == (b"", None)
    assert {one for one, _ in twin.take_job_init(job)[2]} == {served.share_of(report) for report in reports}
    ids = [report.report_metadata.report_id for report in reports]
    assert twin.take_share_req(share) == (interval, b"", 3, twin.checksum(ids))


def test_other_ciphertexts_do_not_open(serve: Serve) -> None:
    """An aggregate share is bound to its batch, and is its Aggregator's."""
    served = serve()
    served.world.upload_many(3)
    served.world.aggregate()
    interval = served.interval()
    served.put_collection(twin.collection_req(interval))
    _, _, _, (leader, helper) = twin.take_collection(served.result().content)
    assert served.opened(Role.LEADER, leader, interval)
    for role, sealed, batch in (
        (Role.HELPER, leader, interval),
        (Role.LEADER, helper, interval),
        (Role.LEADER, leader, (interval[0], 2 * interval[1])),
        (Role.LEADER, leader, BATCH),
    ):
        with pytest.raises(Exception, match="ciphertext"):
            served.opened(role, sealed, batch)
