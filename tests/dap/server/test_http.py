"""Leader and Helper by HTTP, as the draft and its older Clients have it: resources, media types, tokens, problems."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg.dap.aggregator.directory import FRESH, SETTLED, Directory
from secagg.dap.aggregator.peer import PeerUnavailable
from secagg.dap.dialect import DAP_09, DAP_09_CLIENTS, DAP_18, DAP_19, Dialect
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import (
    AggregationJobExtension,
    AggregationJobInitReq,
    AggregationJobResp,
    CollectionJobResp,
    HpkeConfig,
    HpkeConfigList,
    Interval,
    Report,
    ReportError,
    Role,
    UploadRequest,
)
from secagg.dap.reports import decode_upload, encode_upload
from secagg.dap.secrets import token_hash
from secagg.dap.server import leader as leader_resources
from secagg.dap.server.app import helper_app, leader_app
from secagg.dap.server.common import Context
from secagg.dap.server.limits import Limits
from secagg.dap.store.engine import StoreUnavailable
from secagg.dap.store.keys import KeyPair, add_key
from secagg.dap.store.tokens import accept_token
from secagg.http.base64url import base64url
from secagg.http.bodies import Bodies
from secagg.http.bounds import Bounds

from ...support.outcomes import refused_reports
from ...support.tasks import make_task
from ...support.world import COLLECTOR_TOKEN, MIN_BATCH, PEER_TOKEN, Urls, World, extensions, serving

PPM = "application/ppm-dap;message="
UPLOAD = {"Content-Type": PPM + "upload-req"}
COLLECTION = {"Content-Type": PPM + "collection-job-req"}
JOB = {"Content-Type": PPM + "aggregation-job-init-req"}
SHARE = {"Content-Type": PPM + "aggregate-share-req"}
COLLECTOR = {"Authorization": f"Bearer {COLLECTOR_TOKEN.decode()}"}
PEER = {"Authorization": f"Bearer {PEER_TOKEN.decode()}"}
URN = "urn:ietf:params:ppm:dap:error:"


class Served:
    """A world whose Aggregators are served."""

    def __init__(
        self, urls: Urls, stack: ExitStack, limits: Limits, bounds: Bounds, later: bool, parameters: dict[str, Any]
    ) -> None:
        self.world = World(urls, **parameters)
        stack.callback(self.world.close)
        clock = self.world.clock
        contexts = [
            Context(Directory(store, clock), limits=limits, bodies=Bodies(bounds), clock=clock, helper_later=later)
            for store in (self.world.leader_store, self.world.helper_store)
        ]
        self.leader_directory, self.helper_directory = (context.directory for context in contexts)
        leader, helper = leader_app(self.world.leader, contexts[0]), helper_app(self.world.helper, contexts[1])
        served = stack.enter_context(serving(leader, helper))
        self.leader, self.helper = (stack.enter_context(httpx.Client(base_url=url)) for url in served)
        self.task = f"/tasks/{self.world.task.text}"

    def upload(self, *reports: Report, **changes: Any) -> Any:
        body = UploadRequest(reports).encode()
        return self.leader.post(f"{self.task}/reports", **{"content": body, "headers": UPLOAD} | changes)

    def job_body(self, count: int = 3) -> bytes:
        """An aggregation job that the Leader would send."""
        world = self.world
        world.upload_many(count)
        world.leader.create_jobs(world.clock.now)
        world.peer.meanwhile = _unreachable
        world.step_job()
        return world.peer.seen[-1]

    def create_job(self, body: bytes, **headers: str) -> Any:
        return self.helper.post(f"{self.task}/aggregation_jobs", content=body, headers=JOB | PEER | headers)

    def collect(self, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        content = self.world.request() if body is None else body
        return self.leader.post(
            f"{self.task}/collection_jobs", content=content, headers=COLLECTION | COLLECTOR | (headers or {})
        )


def _unreachable() -> None:
    raise PeerUnavailable("not served here")


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a world, on SQLite."""
    with ExitStack() as stack:
        urls = Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db")

        def make(
            *, limits: Limits | None = None, bounds: Bounds | None = None, later: bool = False, **parameters: Any
        ) -> Served:
            return Served(urls, stack, limits or Limits(), bounds or Bounds(), later, parameters)

        yield make


def problem(response: Any, status: int, kind: str | None = None, served: Served | None = None) -> dict[str, Any]:
    """The problem document of a response, which must be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    if kind is not None:
        assert document["type"] == URN + kind
    if served is not None:
        assert document["taskid"] == served.world.task.text
    return document


# HPKE configurations.


@pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())
def test_hpke_configurations_are_listed_and_may_be_cached(serve: Serve, role: Role) -> None:
    served = serve(limits=Limits(key_cache=3600))
    response = (served.leader if role is Role.LEADER else served.helper).get("/hpke_config")
    assert response.status_code == 200
    assert response.headers["content-type"] == PPM + "hpke-config-list"
    assert response.headers["cache-control"] == "max-age=3600"
    assert HpkeConfigList.decode(response.content).configs == (served.world.configs[role],)


def test_keys_are_rotated_without_refusing_reports_under_the_old_one(serve: Serve) -> None:
    """The newest first, once all processes have it; an ended one is no longer listed, but still taken until its end."""
    served = serve()
    world, clock = served.world, served.world.clock
    new = PrivateKey.generate()
    config = HpkeConfig(9, 0x20, 1, 1, new.public_bytes)
    clock.now += 10
    with world.leader_store.write() as tx:
        add_key(tx, KeyPair(config, new), clock.now)
    clock.now += SETTLED
    listed = HpkeConfigList.decode(served.leader.get("/hpke_config").content).configs
    assert listed == (config, world.configs[Role.LEADER])
    assert served.upload(world.report()).content == b""


def test_report_under_an_unknown_key_is_outdated(serve: Serve) -> None:
    served = serve()
    report = served.world.report()
    sealed = report.leader_encrypted_input_share
    unknown = type(sealed)(200, sealed.enc, sealed.payload)
    bad = Report(report.report_metadata, report.public_share, unknown, report.helper_encrypted_input_share)
    assert upload_errors(served.upload(bad)) == [(report.report_metadata.report_id, ReportError.HPKE_UNKNOWN_CONFIG_ID)]


# Uploads.


def upload_errors(response: Any) -> list[tuple[bytes, ReportError]]:
    assert response.status_code == 200
    assert response.headers["content-type"] == PPM + "upload-errors"
    return refused_reports(make_task(), response.content)


def test_upload_is_answered_once_it_is_on_disk(serve: Serve) -> None:
    served = serve()
    response = served.upload(served.world.report(), served.world.report())
    assert (response.status_code, response.content) == (200, b"")
    assert served.world.waiting() == 2


def test_upload_errors_come_in_the_requests_order_and_name_only_what_failed(serve: Serve) -> None:
    served = serve(time_precision=1)
    world = served.world
    early = world.report(at=world.clock.now + 1000)
    unknown = world.report(public=extensions(5))
    reports = [early, world.report(), unknown, world.report(), early]
    errors = upload_errors(served.upload(*reports))
    assert errors == [
        (early.report_metadata.report_id, ReportError.REPORT_TOO_EARLY),
        (unknown.report_metadata.report_id, ReportError.UNSUPPORTED_EXTENSION),
        (early.report_metadata.report_id, ReportError.REPORT_TOO_EARLY),
    ]
    assert world.waiting() == 2


def interval_of(world: World, start: int) -> str:
    """The bucket that begins then, as the Leader writes it."""
    moments = (datetime.fromtimestamp((start + i) * world.task.time_precision, UTC) for i in (0, 1))
    return "from {:%Y-%m-%dT%H:%M:%SZ} until {:%Y-%m-%dT%H:%M:%SZ}".format(*moments)


def test_upload_to_a_collected_batch_is_refused_with_the_batch(serve: Serve) -> None:
    served = serve()
    world, start = served.world, served.world.bucket
    for bucket in (start, start - 1):
        world.upload_many(MIN_BATCH, time=bucket)
        world.aggregate_all()
        world.result(world.collect(world.request(bucket)))
    late = [world.report(time=bucket) for bucket in (start - 2, start, start - 1, start)]
    response = served.upload(*late)
    assert upload_errors(response) == [
        (report.report_metadata.report_id, ReportError.BATCH_COLLECTED) for report in late[1:]
    ]
    expected = f"collected, and takes no more reports: the batch {interval_of(world, start)} and 1 more"
    assert response.headers["secagg-refused"] == expected
    assert "secagg-refused" not in served.upload(world.report(public=extensions(5), time=start)).headers


def test_upload_of_another_media_type_is_refused(serve: Serve) -> None:
    served = serve()
    for given in ("application/dap-report", "application/octet-stream", ""):
        problem(served.upload(headers={"Content-Type": given}), 415)


@pytest.mark.parametrize(
    "given",
    [
        "application/ppm-dap;message=upload-req;version=19",
        'Application/PPM-DAP ;\tMessage="upload-req"; Version="19"',
        "application/ppm-dap; version=19; message=upload-req",
    ],
)
def test_a_media_type_may_be_spelled_as_http_has_it(serve: Serve, given: str) -> None:
    """And name the draft (section 9.1), but no other one."""
    served = serve()
    assert served.upload(served.world.report(), headers={"Content-Type": given}).status_code == 200
    problem(served.upload(headers={"Content-Type": given.replace("19", "18")}), 415)


@pytest.mark.parametrize(
    ("dialect", "clients", "others"),
    [(DAP_19, "19", "19"), (DAP_18, "18", "18"), (DAP_09_CLIENTS, "09", "18")],
    ids=["dap-19", "dap-18", "dap-09 of Clients"],
)
def test_each_party_may_name_the_draft_that_it_speaks(
    serve: Serve, dialect: Dialect, clients: str, others: str
) -> None:
    served = serve(dialect=dialect)
    body = encode_upload(served.world.task, [served.world.report()])
    for version, status in ((clients, 200), ("17", 415)):
        headers = {"Content-Type": f"{dialect.upload_media_type};version={version}"}
        response = served.leader.request(dialect.upload_method, f"{served.task}/reports", content=body, headers=headers)
        assert response.status_code == status
    for version, status in ((others, 200), ("17", 415)):
        named = {"Content-Type": f"{JOB['Content-Type']};version={version}"}
        assert served.create_job(served.job_body(), **named).status_code == status
        collecting = {"Content-Type": f"{COLLECTION['Content-Type']};version={version}"}
        assert served.collect(headers=collecting).status_code == status


def test_a_compressed_content_is_refused_and_not_read_as_plain(serve: Serve) -> None:
    served = serve()
    body = UploadRequest((served.world.report(),)).encode()
    problem(served.upload(content=gzip.compress(body), headers=UPLOAD | {"Content-Encoding": "gzip"}), 415)
    assert served.upload(content=body, headers=UPLOAD | {"Content-Encoding": "identity"}).status_code == 200


def test_refusals_name_the_task(serve: Serve) -> None:
    served = serve(limits=Limits(upload_bytes=1000))
    problem(served.upload(headers={"Content-Type": "text/plain"}), 415, served=served)
    problem(served.upload(content=bytes(1001)), 413, served=served)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/tasks/x", 404), ("/hpke_config/", 404)])
def test_what_there_is_not_is_a_problem_and_leads_nowhere(serve: Serve, path: str, status: int) -> None:
    """Not to the name in the Host header, by http."""
    response = serve().leader.get(path, headers={"Host": "evil.example"})
    problem(response, status)
    assert "location" not in response.headers


def test_another_method_is_a_problem(serve: Serve) -> None:
    response = serve().leader.post("/hpke_config")
    problem(response, 405)
    assert "GET" in response.headers["allow"]


def test_configurations_come_in_the_dialect_that_is_accepted(serve: Serve) -> None:
    """A Client of DAP-09 need not name its task (its section 4.4.1)."""
    served = serve()
    accept = {"Accept": "text/html, application/dap-hpke-config-list"}
    assert served.leader.get("/hpke_config", headers=accept).headers["content-type"] == accept["Accept"].split(", ")[1]


def test_the_helpers_kem_is_not_the_leaders_to_judge(serve: Serve) -> None:
    served = serve()
    good = served.world.report()
    sealed = good.helper_encrypted_input_share
    other = [replace(good, helper_encrypted_input_share=replace(sealed, enc=bytes(size))) for size in (65, 60_000)]
    refused = upload_errors(served.upload(*other))
    assert [why for _, why in refused] == [ReportError.INVALID_MESSAGE]
    assert served.world.waiting() == 1


def test_upload_that_cannot_be_decoded_is_an_invalid_message(serve: Serve) -> None:
    served = serve()
    body = UploadRequest((served.world.report(),)).encode()
    problem(served.upload(content=body[:-1]), 400, "invalidMessage", served)
    problem(served.upload(content=body + b"\0"), 400, "invalidMessage", served)
    assert served.world.waiting() == 0


def test_large_bodies_are_refused_before_they_are_read(serve: Serve) -> None:
    served = serve(limits=Limits(upload_bytes=1000, request_bytes=500))
    problem(served.upload(content=bytes(1001)), 413)
    problem(served.collect(bytes(501)), 413)
    problem(served.create_job(bytes(501)), 413)

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    problem(served.upload(content=endless()), 413)


def test_upload_from_a_page_of_another_origin_is_allowed(serve: Serve) -> None:
    served = serve()
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    preflight = served.leader.options(f"{served.task}/reports", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(
        preflight.headers["access-control-allow-headers"].lower().split(", ")
    )
    assert "access-control-allow-credentials" not in preflight.headers
    origin = {"Origin": "https://page.example"}
    response = served.upload(served.world.report(), headers=UPLOAD | origin)
    assert response.headers["access-control-allow-origin"] == "*"
    assert served.leader.get("/hpke_config", headers=origin).headers["access-control-allow-origin"] == "*"


def test_task_that_is_unknown_is_not_found(serve: Serve) -> None:
    served = serve()
    unknown = base64url(bytes(32))
    for response in (
        served.leader.post(f"/tasks/{unknown}/reports", headers=UPLOAD),
        served.leader.post(f"/tasks/{unknown}/collection_jobs", headers=COLLECTION | COLLECTOR),
        served.helper.post(f"/tasks/{unknown}/aggregation_jobs", headers=JOB | PEER),
        served.helper.post(f"/tasks/{unknown}/aggregate_shares", headers=SHARE | PEER),
        served.leader.get(f"/hpke_config?task_id={unknown}"),
    ):
        assert problem(response, 404, "unrecognizedTask")["taskid"] == unknown
    problem(served.leader.post("/tasks/no-task/reports", headers=UPLOAD), 400, "invalidMessage")
    assert served.leader.get("/tasks").status_code == 404


# Backpressure.


def test_upload_waits_not_when_the_writer_is_full(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request is with the disk, which hangs; the next is one too many."""
    served = serve(limits=Limits(waiting_reports=2))
    entered, go_on = threading.Event(), threading.Event()
    add_reports = served.world.leader.add_reports

    def slow(*args: Any) -> list[Interval | None]:
        entered.set()
        assert go_on.wait(10)
        return add_reports(*args)

    monkeypatch.setattr(served.world.leader, "add_reports", slow)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(served.upload(*[served.world.report()] * 2)))
    first.start()
    assert entered.wait(10)
    refused = served.upload(served.world.report())
    go_on.set()
    first.join()
    problem(refused, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert answers[0].status_code == 200
    assert served.upload(served.world.report()).status_code == 200


def test_requests_are_refused_while_the_store_does_not_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    body = served.job_body()

    def unavailable() -> Any:
        raise StoreUnavailable("the database does not answer: secret detail")

    monkeypatch.setattr(served.world.leader_store, "write", unavailable)
    monkeypatch.setattr(served.world.helper_store, "write", unavailable)
    for response in (served.upload(served.world.report()), served.collect(), served.create_job(body)):
        document = problem(response, 503)
        assert int(response.headers["retry-after"]) >= 1
        assert "secret" not in str(document)


def test_requests_beyond_the_limit_are_refused(serve: Serve) -> None:
    served = serve(limits=Limits(requests=0))
    for response in (served.collect(), served.create_job(b"")):
        problem(response, 503)
        assert int(response.headers["retry-after"]) >= 1


def test_unforeseen_error_says_nothing_of_itself(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()

    def broken(*args: Any) -> Any:
        raise RuntimeError("verify key 1234")

    monkeypatch.setattr(served.world.leader.collections, "create", broken)
    assert "1234" not in str(problem(served.collect(), 500))


# Tokens.


def test_tokens_are_asked_for_wherever_the_draft_wants_authentication(serve: Serve) -> None:
    """Missing, wrong, of the other role, empty or of another scheme."""
    served = serve()
    jobs, shares, collections = (
        f"{served.task}/{name}" for name in ("aggregation_jobs", "aggregate_shares", "collection_jobs")
    )
    resource = base64url(bytes(16))
    requests: list[tuple[Any, str, str, dict[str, str], dict[str, str]]] = [
        (served.leader, "POST", collections, COLLECTION, PEER),
        (served.leader, "GET", f"{collections}/{resource}", {}, PEER),
        (served.leader, "DELETE", f"{collections}/{resource}", {}, PEER),
        (served.helper, "POST", jobs, JOB, COLLECTOR),
        (served.helper, "GET", f"{jobs}/{resource}?step=0", {}, COLLECTOR),
        (served.helper, "POST", f"{jobs}/{resource}", {}, COLLECTOR),
        (served.helper, "DELETE", f"{jobs}/{resource}", {}, COLLECTOR),
        (served.helper, "POST", shares, SHARE, COLLECTOR),
        (served.helper, "GET", f"{shares}/{resource}", {}, COLLECTOR),
        (served.helper, "DELETE", f"{shares}/{resource}", {}, COLLECTOR),
    ]
    for client, method, url, headers, other_role in requests:
        right = PEER if client is served.helper else COLLECTOR
        token = right["Authorization"].removeprefix("Bearer ")
        for wrong in (
            {},
            other_role,
            {"Authorization": "Bearer"},
            {"Authorization": f"Bearer {token}x"},
            {"Authorization": f"Basic {token}"},
            {"DAP-Auth-Token": token[:-1]},
            {"DAP-Auth-Token": ""},
            {"Authorization": "Bearer \u00fc".encode("latin-1")},
        ):
            response = client.request(method, url, headers=headers | wrong)
            assert "taskid" in problem(response, 401, served=served)
            assert response.headers["www-authenticate"] == "Bearer"
        for good in (right, {"DAP-Auth-Token": token}, {"Authorization": f"bearer {token}"}):
            assert client.request(method, url, headers=headers | good).status_code in (400, 404)


@pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())
def test_two_tokens_are_accepted_while_one_replaces_the_other(serve: Serve, role: Role) -> None:
    served = serve()
    world, resource = served.world, base64url(bytes(16))
    client, store, old, url = {
        Role.LEADER: (served.leader, world.leader_store, COLLECTOR, f"{served.task}/collection_jobs/{resource}"),
        Role.HELPER: (served.helper, world.helper_store, PEER, f"{served.task}/aggregation_jobs/{resource}"),
    }[role]
    new = {"Authorization": "Bearer the-new-token"}

    def statuses() -> tuple[int, int]:
        world.clock.now += FRESH  # servers read tasks again
        with_old, with_new = (client.get(url, headers=headers).status_code for headers in (old, new))
        return with_old, with_new

    assert statuses() == (404, 401)
    task = world.leader_task if role is Role.LEADER else world.helper_task
    with store.write() as tx:
        now = world.clock.now
        accept_token(tx, task.key, task.task.id, task.secrets, token_hash(b"the-new-token"), now, now + 100)
    assert statuses() == (404, 404)
    world.clock.now = now + 100
    assert statuses() == (401, 404)
    problem(client.get(url, headers=old), 401, served=served)


# Aggregation jobs.


def test_aggregation_job_is_created_once_for_the_same_bytes(serve: Serve) -> None:
    served = serve()
    body = served.job_body()
    first, again = served.create_job(body), served.create_job(body)
    assert first.status_code == again.status_code == 200
    assert first.headers["content-type"] == PPM + "aggregation-job-resp"
    assert first.headers["location"].startswith(f"{served.task}/aggregation_jobs/")
    assert (again.headers["location"], again.content) == (first.headers["location"], first.content)
    got = served.helper.get(first.headers["location"] + "?step=0", headers=PEER)
    assert got.content == first.content
    wanted = [init.report_share.report_metadata.report_id for init in AggregationJobInitReq.decode(body).verify_inits]
    assert [resp.report_id for resp in AggregationJobResp.decode(first.content).verify_resps] == wanted


def test_aggregation_job_that_is_kept_for_later_is_polled(serve: Serve) -> None:
    served = serve(later=True)
    body = served.job_body()
    created = served.create_job(body)
    location = created.headers["location"]
    assert (created.status_code, created.content) == (200, b"")
    assert location.endswith("?step=0")
    for pending in (created, served.create_job(body), served.helper.get(location, headers=PEER)):
        assert pending.content == b""
        assert int(pending.headers["retry-after"]) >= 1
        assert pending.headers["location"] == location
    assert served.world.helper.work(served.world.keys(Role.HELPER), served.world.clock.now)
    ready = served.helper.get(location, headers=PEER)
    assert ready.headers["content-type"] == PPM + "aggregation-job-resp"
    assert len(AggregationJobResp.decode(ready.content).verify_resps) == 3


def test_aggregation_job_of_one_round_has_no_other_step(serve: Serve) -> None:
    served = serve()
    location = served.create_job(served.job_body()).headers["location"]
    problem(served.helper.get(location + "?step=1", headers=PEER), 400, "stepMismatch", served)
    headers = {"Content-Type": PPM + "aggregation-job-continue-req"} | PEER
    response = served.helper.post(location, content=b"\0\1", headers=headers)
    problem(response, 400, "stepMismatch", served)
    unknown = f"{served.task}/aggregation_jobs/{base64url(bytes(16))}"
    problem(served.helper.post(unknown, headers=headers), 404, "unrecognizedAggregationJob", served)


def test_deleted_aggregation_job_is_gone(serve: Serve) -> None:
    served = serve()
    location = served.create_job(served.job_body()).headers["location"]
    assert served.helper.delete(location, headers=PEER).status_code == 200
    for response in (served.helper.get(location, headers=PEER), served.helper.delete(location, headers=PEER)):
        problem(response, 404, "unrecognizedAggregationJob", served)
    problem(served.helper.get(f"{served.task}/aggregation_jobs/x", headers=PEER), 404)


def test_aggregation_job_that_the_draft_does_not_allow_is_refused(serve: Serve) -> None:
    served = serve()
    inits = AggregationJobInitReq.decode(served.job_body()).verify_inits
    batch = AggregationJobExtension(1, bytes(32))
    cases = [
        (AggregationJobInitReq(0, b"p", (), inits), "invalidAggregationParameter"),
        (AggregationJobInitReq(0, b"", (AggregationJobExtension(99, b""),), inits), "unsupportedExtension"),
        (AggregationJobInitReq(0, b"", (batch,), inits), "unsupportedExtension"),
        (AggregationJobInitReq(0, b"", (), (inits[0], inits[0])), "invalidMessage"),
        (AggregationJobInitReq(0, b"", (), ()), "invalidMessage"),
    ]
    for request, kind in cases:
        document = problem(served.create_job(request.encode()), 400, kind, served)
        assert ("unsupported_extensions" in document) == (kind == "unsupportedExtension")
    problem(served.create_job(cases[0][0].encode()[:-1]), 400, "invalidMessage", served)
    response = served.helper.post(f"{served.task}/aggregation_jobs", content=b"", headers=UPLOAD | PEER)
    problem(response, 415)


# Collection jobs and aggregate shares.


def test_collection_job_is_polled_and_answered_and_deleted(serve: Serve) -> None:
    served = serve()
    world = served.world
    world.upload_many(4)
    world.aggregate_all()
    created = served.collect()
    location = created.headers["location"]
    assert location.startswith(f"{served.task}/collection_jobs/")
    for pending in (created, served.collect(), served.leader.get(location, headers=COLLECTOR)):
        assert (pending.status_code, pending.content) == (200, b"")
        assert pending.headers["location"] == location
        assert int(pending.headers["retry-after"]) >= 1
    world.leader.collections.work(world.clock.now)
    for ready in (served.collect(), served.leader.get(location, headers=COLLECTOR)):
        assert ready.headers["content-type"] == PPM + "collection-job-resp"
        assert CollectionJobResp.decode(ready.content).report_count == 4
    assert served.leader.delete(location, headers=COLLECTOR).status_code == 200
    problem(served.leader.get(location, headers=COLLECTOR), 404, served=served)
    problem(served.collect(), 400, "batchOverlap", served)


def test_collection_job_that_is_worked_on_is_asked_for_again_soon(serve: Serve) -> None:
    """Not only when the worker's lease would end."""
    served = serve()
    served.world.upload_many(4)
    served.world.aggregate_all()
    served.collect()
    answers: list[Any] = []
    served.world.peer.meanwhile = lambda: answers.append(served.collect())
    served.world.leader.collections.work(served.world.clock.now)
    assert [(answer.content, answer.headers["retry-after"]) for answer in answers] == [(b"", "1")]
    assert served.collect().content


def test_failed_collection_job_says_why(serve: Serve) -> None:
    served = serve()
    served.world.upload_many(MIN_BATCH - 1)
    served.world.aggregate_all()
    location = served.collect().headers["location"]
    served.world.clock.now += 10_000
    served.world.leader.collections.work(served.world.clock.now)
    document = problem(served.leader.get(location, headers=COLLECTOR), 400, "invalidBatchSize", served)
    assert document["detail"].startswith(f"batch has {MIN_BATCH - 1} reports, needs {MIN_BATCH}")


def test_collection_request_that_is_bad_is_refused_by_its_media_type_or_content(serve: Serve) -> None:
    served = serve()
    problem(served.collect(headers={"Content-Type": "text/plain"}), 415)
    problem(served.collect(b"\0"), 400, "invalidMessage", served)


def test_aggregate_share_is_created_once_for_the_same_bytes(serve: Serve) -> None:
    served = serve()
    world = served.world
    world.upload_many(4)
    world.aggregate_all()
    world.collect()
    body, url = world.peer.seen[-1], f"{served.task}/aggregate_shares"
    first, again = (served.helper.post(url, content=body, headers=SHARE | PEER) for _ in range(2))
    assert first.headers["content-type"] == PPM + "aggregate-share"
    assert (again.headers["location"], again.content) == (first.headers["location"], first.content)
    location = first.headers["location"]
    assert served.helper.get(location, headers=PEER).content == first.content
    assert served.helper.delete(location, headers=PEER).status_code == 200
    problem(served.helper.get(location, headers=PEER), 404, served=served)
    problem(served.helper.post(url, content=body, headers=SHARE | PEER), 400, "batchOverlap", served)
    problem(served.helper.post(url, content=body[:-1], headers=SHARE | PEER), 400, "invalidMessage", served)


def test_what_the_helper_says_reaches_the_collector_in_any_script(serve: Serve) -> None:
    served = serve()
    world = served.world
    world.upload_many(MIN_BATCH)
    world.leader.create_jobs(world.clock.now)

    def fail() -> None:
        raise PeerUnavailable("fermé 閉")

    world.peer.meanwhile = fail
    world.step_job()
    served.collect()
    world.leader.collections.work(world.clock.now)
    response = served.collect()
    assert response.status_code == 200
    assert response.headers["secagg-waiting"].endswith("are not aggregated yet: ferm? ?")


# Clients that speak DAP-09.


def test_dap_09_upload_is_put_and_answered_with_200(serve: Serve) -> None:
    """Its report has no public extensions and a time in seconds; it is counted beside others of its kind."""
    served = serve(dialect=DAP_09)
    world = served.world
    reports = [world.report(i) for i in range(3)]
    assert all(report.report_metadata.time == int(world.clock.now) for report in reports)
    for report in reports:
        response = served.leader.put(
            f"{served.task}/reports",
            content=encode_upload(world.task, [report]),
            headers={"Content-Type": "application/dap-report"},
        )
        assert (response.status_code, response.content) == (200, b"")
    world.aggregate_all()
    assert world.result(world.collect()).sums == [1, 1, 1, 0]


def test_dap_09_keys_are_listed_letter_by_letter(serve: Serve) -> None:
    served = serve(dialect=DAP_09)
    for client, role in ((served.leader, Role.LEADER), (served.helper, Role.HELPER)):
        response = client.get(f"/hpke_config?task_id={served.world.task.text}")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/dap-hpke-config-list"
        assert HpkeConfigList.decode(response.content).configs == (served.world.configs[role],)
    assert served.leader.get("/hpke_config").headers["content-type"] == PPM + "hpke-config-list"


def test_dap_09_upload_to_a_collected_batch_is_refused_with_the_batch(serve: Serve) -> None:
    served = serve(dialect=DAP_09)
    world = served.world
    start = world.bucket
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    world.result(world.collect())
    response = served.leader.put(
        f"{served.task}/reports",
        content=encode_upload(world.task, [world.report()]),
        headers={"Content-Type": "application/dap-report"},
    )
    problem(response, 400, "reportRejected", served)
    assert f"the batch {interval_of(world, start)}" in response.json()["detail"]


def test_dap_09_problems_are_documents_of_their_own(serve: Serve) -> None:
    served = serve(dialect=DAP_09)
    world, url = served.world, f"{served.task}/reports"
    headers = {"Content-Type": "application/dap-report"}

    def put(report: Report) -> Any:
        return served.leader.put(url, content=encode_upload(world.task, [report]), headers=headers)

    problem(put(world.report(at=world.clock.now + 10_000)), 400, "reportTooEarly", served)
    report = world.report()
    sealed = report.leader_encrypted_input_share
    unknown = type(sealed)(200, sealed.enc, sealed.payload)
    bad = Report(report.report_metadata, report.public_share, unknown, report.helper_encrypted_input_share)
    problem(put(bad), 400, "outdatedConfig", served)
    problem(served.leader.put(url, content=b"\0", headers=headers), 400, "invalidMessage", served)
    problem(served.leader.put(url, content=b"", headers=UPLOAD), 415)
    response = served.leader.post(url, content=b"", headers=headers)
    problem(response, 405, served=served)
    assert response.headers["allow"] == "PUT"
    world.upload_many(3)
    world.aggregate_all()
    world.result(world.collect())
    problem(put(world.report()), 400, "reportRejected", served)


# Health and metrics.


def test_health_and_metrics_are_served(serve: Serve) -> None:
    served = serve()
    served.upload(served.world.report())
    for client in (served.leader, served.helper):
        assert client.get("/healthz").text == "ok\n"
    labels = f'outcome="accepted",task="{served.world.task.text}"'
    assert f"secagg_dap_reports_uploaded_total{{{labels}}} 1.0" in served.leader.get("/metrics").text


# Where and how long.


def test_resources_are_under_their_endpoint_also_where_a_proxy_takes_its_path_off(serve: Serve) -> None:
    served = serve(leader_url="https://leader.test/dap/v1/", helper_url="https://helper.test/dap")
    body = served.job_body()
    job = served.create_job(body).headers["location"]
    assert job.startswith(f"/dap{served.task}/aggregation_jobs/")
    assert served.helper.get(job.removeprefix("/dap"), headers=PEER).headers["location"] == job
    collection = served.collect().headers["location"]
    assert collection.startswith(f"/dap/v1{served.task}/collection_jobs/")
    assert served.leader.get(collection.removeprefix("/dap/v1"), headers=COLLECTOR).headers["location"] == collection


def test_a_request_that_does_not_come_is_not_waited_for(serve: Serve) -> None:
    """Else a few of these would hold all the room that uploads have."""
    served = serve(bounds=Bounds(body_window=0.2))
    with socket.create_connection((served.leader.base_url.host, served.leader.base_url.port or 0)) as sock:
        head = f"POST {served.task}/reports HTTP/1.1\r\nHost: x\r\nContent-Type: {PPM}upload-req\r\n"
        sock.sendall(f"{head}Content-Length: 1000\r\n\r\nonly this".encode())
        sock.settimeout(30)
        assert sock.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_collector_may_not_send_more_than_a_query_can_have(serve: Serve) -> None:
    served = serve()
    problem(served.collect(bytes(1 << 18)), 413)


def test_reports_that_no_report_of_the_task_is_as_long_as_are_not_kept(serve: Serve) -> None:
    """Else anybody could fill the disk and the memory with a few of them."""
    served = serve()
    good = served.world.report()
    sealed = good.leader_encrypted_input_share
    long = replace(good, leader_encrypted_input_share=replace(sealed, payload=bytes(1 << 20)))
    short = replace(good, helper_encrypted_input_share=replace(good.helper_encrypted_input_share, payload=b"x"))
    public = replace(good, public_share=bytes(1000))
    enc = replace(good, leader_encrypted_input_share=replace(sealed, enc=bytes(60_000)))
    response = served.upload(good, long, short, public, enc)
    assert [why for _, why in upload_errors(response)] == [ReportError.INVALID_MESSAGE] * 4
    assert served.world.waiting() == 1


def test_others_are_answered_while_an_endless_upload_is_decoded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served, decoding, done = serve(), threading.Event(), threading.Event()
    decode = decode_upload

    def slow(*given: Any) -> Any:
        decoding.set()
        assert done.wait(30)
        return decode(*given)

    monkeypatch.setattr(leader_resources, "decode_upload", slow)
    uploading = threading.Thread(target=served.upload, args=[served.world.report()] * 1000)
    uploading.start()
    assert decoding.wait(30)
    assert served.leader.get("/hpke_config").status_code == 200
    done.set()
    uploading.join()
