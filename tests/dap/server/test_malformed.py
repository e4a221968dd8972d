"""Which problem each malformation of each request has, at Leader and Helper (section 3.6 names the types)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from secagg.dap.dialect import DAP_09, DAP_18
from secagg.dap.messages import (
    AggregateShareReq,
    AggregationJobContinueReq,
    AggregationJobExtension,
    AggregationJobInitReq,
    BatchMode,
    BatchSelector,
    CollectionJobExtension,
    CollectionJobReq,
    Interval,
    Query,
    Report,
    ReportError,
    UploadRequest,
    VerifyContinue,
    VerifyInit,
)
from secagg.dap.reports import encode_upload
from secagg.dap.store import schema
from secagg.http.base64url import base64url

from ...support.outcomes import job_outcomes, refused_reports
from .test_http import COLLECTION, COLLECTOR, JOB, PEER, PPM, SHARE, UPLOAD, Serve, Served, problem, serve

__all__ = ["serve"]

CONTINUE = {"Content-Type": PPM + "aggregation-job-continue-req"}
LED, TIMED = BatchMode.LEADER_SELECTED, BatchMode.TIME_INTERVAL
UNENDING = b"\xff" * 40  # a length that the message does not have
BATCH = AggregationJobExtension(1, bytes(32))
EXTENDED = (CollectionJobExtension(2, b""), CollectionJobExtension(1, b""))

# Requests, each of which would be taken, or be refused for another reason than its form.


def query(served: Served, config: bytes | None = None) -> Query:
    asked = CollectionJobReq.decode(served.world.request()).query
    return asked if config is None else replace(asked, config=config)


def collection(served: Served, **changes: Any) -> bytes:
    return CollectionJobReq(**{"query": query(served)} | changes).encode()


def share(served: Served, *, mode: BatchMode | None = None, config: bytes | None = None, **changes: Any) -> bytes:
    task = served.world.task
    own = query(served).config if task.by_time else bytes(32)
    selector = BatchSelector(mode or task.batch_mode, own if config is None else config)
    request = CollectionJobReq(**{"query": query(served)} | changes)
    return AggregateShareReq(request, selector, 1, bytes(32)).encode()


def job(served: Served, **changes: Any) -> bytes:
    own = AggregationJobInitReq.decode(served.job_body(2))
    return replace(own, **changes).encode()


def continued(step: int, *reports: bytes) -> Callable[[Served], bytes]:
    entries = tuple(VerifyContinue(report, b"-") for report in reports)
    return lambda served: AggregationJobContinueReq(step, entries).encode()


def report_of(served: Served) -> bytes:
    return UploadRequest((served.world.report(),)).encode()


def upload(served: Served, body: bytes) -> Any:
    return served.leader.post(f"{served.task}/reports", content=body, headers=UPLOAD)


def old_upload(served: Served, body: bytes) -> Any:
    headers = {"Content-Type": "application/dap-report"}
    return served.leader.put(f"{served.task}/reports", content=body, headers=headers)


def collect(served: Served, body: bytes) -> Any:
    return served.leader.post(f"{served.task}/collection_jobs", content=body, headers=COLLECTION | COLLECTOR)


def start(served: Served, body: bytes) -> Any:
    return served.helper.post(f"{served.task}/aggregation_jobs", content=body, headers=JOB | PEER)


def proceed(served: Served, body: bytes) -> Any:
    location = served.create_job(served.job_body()).headers["location"]
    return served.helper.post(location, content=body, headers=CONTINUE | PEER)


def ask_share(served: Served, body: bytes) -> Any:
    return served.helper.post(f"{served.task}/aggregate_shares", content=body, headers=SHARE | PEER)


Make = Callable[[Served], bytes]
Ask = Callable[[Served, bytes], Any]

WHOLE: list[tuple[Ask, Make, dict[str, Any]]] = [
    (upload, report_of, {}),
    (old_upload, lambda s: encode_upload(s.world.task, [s.world.report()]), {"dialect": DAP_09}),
    (collect, collection, {}),
    (start, job, {}),
    (ask_share, share, {}),
    (proceed, continued(1, bytes(16)), {}),
]


@pytest.mark.parametrize(("ask", "make", "parameters"), WHOLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_message_that_ends_early_or_late_is_invalid(
    serve: Serve,
    ask: Ask,
    make: Make,
    parameters: dict[str, Any],
) -> None:
    served = serve(**parameters)
    body = make(served)
    for bad in (body[:-1], body + b"\0", body + UNENDING, UNENDING, b"\0"):
        problem(ask(served, bad), 400, "invalidMessage", served)


INVALID = "invalidMessage"
PARAMETER, BOUNDARY = "invalidAggregationParameter", "batchInvalid"
UNSUPPORTED, EXTENSION = "unsupportedExtension", "invalidExtension"

BAD: list[tuple[Ask, str, Make, BatchMode, str]] = [
    # Section 4.6.1, at the Leader.
    (collect, "parameter", lambda s: collection(s, agg_param=b"p"), TIMED, PARAMETER),
    (collect, "mode", lambda s: collection(s, query=Query(LED, b"")), TIMED, INVALID),
    (collect, "mode of the other kind", lambda s: collection(s, query=Query(TIMED, bytes(16))), LED, INVALID),
    (collect, "unknown mode", lambda s: b"\3" + collection(s)[1:], TIMED, INVALID),
    (collect, "query that is short", lambda s: collection(s, query=query(s, bytes(15))), TIMED, INVALID),
    (collect, "query that is long", lambda s: collection(s, query=query(s, bytes(17))), TIMED, INVALID),
    (collect, "query of nothing", lambda s: collection(s, query=query(s, bytes(16))), TIMED, BOUNDARY),
    (collect, "query of a led batch", lambda s: collection(s, query=query(s, bytes(32))), LED, INVALID),
    (collect, "extension", lambda s: collection(s, extensions=EXTENDED[:1]), TIMED, UNSUPPORTED),
    (collect, "extensions", lambda s: collection(s, extensions=EXTENDED), TIMED, EXTENSION),
    # Sections 4.5.3.2 and 5.2.2, at the Helper.
    (start, "parameter", lambda s: job(s, agg_param=b"p"), TIMED, PARAMETER),
    (start, "no report", lambda s: job(s, verify_inits=()), TIMED, INVALID),
    (start, "extension", lambda s: job(s, extensions=(AggregationJobExtension(9, b""),)), TIMED, UNSUPPORTED),
    (start, "extension of a led batch", lambda s: job(s, extensions=(BATCH,)), TIMED, UNSUPPORTED),
    (start, "extension twice", lambda s: job(s, extensions=(BATCH, BATCH)), LED, INVALID),
    (start, "batch ID", lambda s: job(s, extensions=()), LED, INVALID),
    (start, "short batch ID", lambda s: job(s, extensions=(AggregationJobExtension(1, b"b"),)), LED, INVALID),
    # Section 4.5.4.2, at the Helper. A job of Prio3 has no report that waits for another step.
    (proceed, "step 0", continued(0), TIMED, INVALID),
    (proceed, "step 0 with a report", continued(0, bytes(16)), TIMED, INVALID),
    (proceed, "report that does not wait", continued(1, bytes(16)), TIMED, INVALID),
    (proceed, "report twice", continued(1, bytes(16), bytes(16)), TIMED, INVALID),
    (proceed, "empty payload", lambda s: b"\0\1" + bytes(16) + bytes(4), TIMED, INVALID),
    (proceed, "step 1", continued(1), TIMED, "stepMismatch"),
    (proceed, "step 2", continued(2), TIMED, "stepMismatch"),
    # Sections 4.6.4 and 5, at the Helper.
    (ask_share, "parameter", lambda s: share(s, agg_param=b"p"), TIMED, INVALID),
    (ask_share, "parameter of a led batch", lambda s: share(s, agg_param=b"p"), LED, INVALID),
    (ask_share, "mode", lambda s: share(s, query=Query(LED, b"")), TIMED, INVALID),
    (ask_share, "selector's mode", lambda s: share(s, mode=LED), TIMED, INVALID),
    (ask_share, "selector that is short", lambda s: share(s, config=bytes(15)), TIMED, INVALID),
    (ask_share, "selector that is long", lambda s: share(s, config=bytes(17)), TIMED, INVALID),
    (ask_share, "selector of nothing", lambda s: share(s, config=bytes(16)), TIMED, BOUNDARY),
    (ask_share, "selector of another batch", lambda s: share(s, config=Interval(1, 1).encode()), TIMED, BOUNDARY),
    (ask_share, "batch ID", lambda s: share(s, config=bytes(31)), LED, INVALID),
    (ask_share, "query of a led batch", lambda s: share(s, query=query(s, bytes(32))), LED, INVALID),
    (ask_share, "extension", lambda s: share(s, extensions=EXTENDED[:1]), TIMED, UNSUPPORTED),
    (ask_share, "extensions", lambda s: share(s, extensions=EXTENDED), TIMED, EXTENSION),
]


@pytest.mark.parametrize(
    ("ask", "make", "mode", "kind"),
    [pytest.param(ask, *rest, id=f"{ask.__name__}-{name}") for ask, name, *rest in BAD],
)
def test_what_the_draft_does_not_allow_has_its_own_problem(
    serve: Serve,
    ask: Ask,
    make: Make,
    mode: BatchMode,
    kind: str,
) -> None:
    served = serve(batch_mode=mode)
    document = problem(ask(served, make(served)), 400, kind, served)
    assert ("unsupported_extensions" in document) == (kind == UNSUPPORTED)


def test_an_unknown_verification_key_fails_the_job_in_draft_18(serve: Serve) -> None:
    served = serve(dialect=DAP_18)
    problem(start(served, job(served, verification_key_id=1)), 400, INVALID, served)


def test_an_unknown_verification_key_rejects_each_report(serve: Serve) -> None:
    """And only that: under the right key the same reports are verified (section 4.5.3.1)."""
    served = serve()
    world = served.world
    body = served.job_body(2)
    rejected = start(served, replace(AggregationJobInitReq.decode(body), verification_key_id=1).encode())
    assert job_outcomes(world.task, rejected.content) == [ReportError.UNKNOWN_VERIFICATION_KEY_ID] * 2
    assert world.count("helper", schema.aggregated) == 0
    assert all(isinstance(outcome, bytes) for outcome in job_outcomes(world.task, start(served, body).content))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"agg_param": b"p"}, PARAMETER),
        ({"extensions": (AggregationJobExtension(9, b""),)}, UNSUPPORTED),
        ({"verify_inits": ()}, INVALID),
    ],
)
def test_an_unknown_verification_key_excuses_nothing_else(serve: Serve, change: dict[str, Any], kind: str) -> None:
    served = serve()
    problem(start(served, job(served, verification_key_id=1, **change)), 400, kind, served)


# A report that is wrong by itself does not spoil the others.


def resized(report: Report, part: str, change: int) -> Report:
    """The report with one part longer or shorter."""
    old: Any = getattr(report, part)
    content = old if isinstance(old, bytes) else old.payload
    new: Any = content + bytes(change) if change > 0 else content[:change]
    return replace(report, **{part: new if isinstance(old, bytes) else replace(old, payload=new)})


@pytest.mark.parametrize("change", [-1, 2000])
@pytest.mark.parametrize("part", ["public_share", "leader_encrypted_input_share", "helper_encrypted_input_share"])
def test_a_report_of_another_length_is_refused_alone(serve: Serve, part: str, change: int) -> None:
    served = serve()
    good, bad = served.world.report(), resized(served.world.report(), part, change)
    response = served.upload(good, bad)
    assert response.status_code == 200
    refused = [(bad.report_metadata.report_id, ReportError.INVALID_MESSAGE)]
    assert refused_reports(served.world.task, response.content) == refused


def _other_public_share(init: VerifyInit) -> VerifyInit:
    return replace(init, report_share=replace(init.report_share, public_share=b"-"))


def _other_payload(init: VerifyInit) -> VerifyInit:
    return replace(init, payload=init.payload + b"\0")


@pytest.mark.parametrize(
    ("change", "error"),
    [(_other_public_share, ReportError.INVALID_MESSAGE), (_other_payload, ReportError.VDAF_VERIFY_ERROR)],
)
def test_a_report_share_of_another_length_is_refused_alone(
    serve: Serve,
    change: Callable[[VerifyInit], VerifyInit],
    error: ReportError,
) -> None:
    served = serve()
    request = AggregationJobInitReq.decode(served.job_body(2))
    first, second = request.verify_inits
    answer = served.create_job(replace(request, verify_inits=(first, change(second))).encode())
    outcomes = job_outcomes(served.world.task, answer.content)
    assert isinstance(outcomes[0], bytes)
    assert outcomes[1] is error


# What is not in a message's content.


@pytest.mark.parametrize(
    ("step", "kind"), [("", INVALID), ("-1", INVALID), ("\u0662", INVALID), ("x", INVALID), ("1", "stepMismatch")]
)
def test_the_step_of_a_poll_is_a_number_and_the_jobs(serve: Serve, step: str, kind: str) -> None:
    served = serve()
    location = served.create_job(served.job_body()).headers["location"]
    problem(served.helper.get(location, params={"step": step}, headers=PEER), 400, kind, served)
    assert served.helper.get(location, params={"step": "0"}, headers=PEER).status_code == 200


def test_a_continuation_is_checked_for_its_job_before_its_form(serve: Serve) -> None:
    """Task and job come before the message (section 4.5.4.2), and so does its media type."""
    served = serve()
    unknown = f"{served.task}/aggregation_jobs/{base64url(bytes(16))}"
    problem(served.helper.post(unknown, headers=CONTINUE | PEER), 404, "unrecognizedAggregationJob", served)
    location = served.create_job(served.job_body()).headers["location"]
    problem(served.helper.post(location, content=b"\0\1", headers=JOB | PEER), 415, served=served)
    problem(served.helper.post(location, content=bytes(1 << 18), headers=CONTINUE | PEER), 413, served=served)
    problem(served.helper.post(location, headers=CONTINUE | PEER), 400, INVALID, served)


@pytest.mark.parametrize("task", ["x", "A" * 42, "A" * 44, "A" * 42 + "="])
def test_a_malformed_task_id_is_an_invalid_message(serve: Serve, task: str) -> None:
    served = serve()
    requests: list[tuple[httpx.Client, str, dict[str, str]]] = [
        (served.leader, "reports", UPLOAD),
        (served.leader, "collection_jobs", COLLECTION | COLLECTOR),
        (served.helper, "aggregation_jobs", JOB | PEER),
        (served.helper, "aggregate_shares", SHARE | PEER),
    ]
    for client, resource, headers in requests:
        problem(client.post(f"/tasks/{task}/{resource}", headers=headers), 400, INVALID)
