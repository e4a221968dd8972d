"""The Client, where answers are not what one would wish: each test with the blocking and the asynchronous client."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from secagg.dap.client.upload import UploadInterrupted
from secagg.dap.dialect import DAP_09, DAP_18, DAP_19, Dialect
from secagg.dap.media_types import UPLOAD_ERRORS
from secagg.dap.messages import (
    HpkeConfig,
    HpkeConfigList,
    PlaintextInputShare,
    ReportError,
    ReportUploadStatus,
    Role,
    UploadErrors,
)
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem
from secagg.dap.reports import report_size
from secagg.dap.task import Task
from secagg.dp import PureDp
from secagg.errors import RemoteProtocolError
from secagg.http.steps import Retries, Unreachable

from ...support.outcomes import upload_errors
from ...support.peer import (
    HELPER_KEY,
    LEADER_KEY,
    URN,
    Aggregators,
    Answer,
    BlockingUploads,
    UploadsUnderAsyncio,
    answer,
    lost_answer,
    no_network,
    problem,
)
from ...support.tasks import make_task
from ...support.world import MIN_BATCH, Urls, World

TASK, OLD_TASK = make_task(), make_task(dialect=DAP_09)
LIST_TYPE = TASK.dialect.hpke_config_list_media_type


@pytest.fixture(params=[BlockingUploads, UploadsUnderAsyncio], ids=["blocking", "asyncio"])
def uploads(request: pytest.FixtureRequest) -> Callable[..., Any]:
    kind: Callable[..., Any] = request.param
    return kind


def errors(peer: Aggregators, **by_position: int) -> Answer:
    """UploadErrors for reports of the upload, by their position in it: `_0=4`."""

    def reply(request: httpx.Request) -> httpx.Response:
        ids = peer.ids(-1)
        status = tuple(ReportUploadStatus(ids[int(at[1:])], error) for at, error in by_position.items())
        return httpx.Response(200, content=UploadErrors(status).encode(), headers={"Content-Type": UPLOAD_ERRORS})

    return reply


# Uploads.


def test_upload(uploads: Any) -> None:
    peer = Aggregators(TASK)
    result = uploads(peer).upload([3, 1, 4])
    assert (result.accepted, result.errors) == (3, {})
    (request,) = peer.uploads
    assert (request.method, str(request.url)) == (
        "POST",
        f"https://leader.example/dap/tasks/{TASK.text}/reports",
    )
    assert request.headers["content-type"] == "application/ppm-dap;message=upload-req"
    assert sorted(map(str, peer.asked)) == [
        "https://helper.example/hpke_config",
        "https://leader.example/dap/hpke_config",
    ]
    for report in peer.reports(0):
        aad = TASK.input_share_aad(report.report_metadata, report.public_share)
        for role, key, sealed in (
            (Role.LEADER, LEADER_KEY, report.leader_encrypted_input_share),
            (Role.HELPER, HELPER_KEY, report.helper_encrypted_input_share),
        ):
            assert key.open(sealed.enc, TASK.input_share_info(role), aad, sealed.payload)


def test_upload_in_dap_09(uploads: Any) -> None:
    """One report a request, with PUT, and the task's ID in the request for keys."""
    peer = Aggregators(OLD_TASK, script=[answer(201)])
    assert uploads(peer).upload([3, 1]).accepted == 2
    assert [(request.method, request.headers["content-type"]) for request in peer.uploads] == [
        ("PUT", "application/dap-report")
    ] * 2
    assert [url.query.decode() for url in peer.asked] == [f"task_id={OLD_TASK.text}"] * 2
    assert peer.reports(0)[0].report_metadata.time == 1_700_000_100


def test_no_measurements_ask_nobody(uploads: Any) -> None:
    peer = Aggregators(TASK)
    assert uploads(peer).upload([]).accepted == 0
    assert (peer.asked, peer.uploads) == ([], [])


def test_measurements_are_checked_before_anything_is_sent(uploads: Any) -> None:
    peer = Aggregators(TASK)
    with pytest.raises(ValueError, match="measurement 1"):
        uploads(peer).upload([0, 5])
    assert (peer.asked, peer.uploads) == ([], [])


@pytest.mark.parametrize(("room", "sizes"), [(0, [1] * 7), (3, [3, 3, 1]), (7, [7]), (100, [7])])
def test_requests_are_limited(uploads: Any, room: int, sizes: list[int]) -> None:
    peer = Aggregators(TASK)
    limit = room * report_size(TASK) + 1
    assert uploads(peer, max_body=limit).upload(np.arange(7) % 5).accepted == 7
    assert [len(peer.reports(i)) for i in range(len(peer.uploads))] == sizes
    assert len(peer.asked) == 2


# HPKE configurations.


@pytest.mark.parametrize(
    ("headers", "fresh"),
    [
        ({"Cache-Control": "max-age=100"}, 100),
        ({"Cache-Control": 'public, Max-Age="100"'}, 100),
        ({"Cache-Control": "max-age=100", "Age": "40"}, 60),
        ({"Cache-Control": "max-age=100", "Age": "400"}, 0),
        ({"Cache-Control": "no-store"}, 0),
        ({"Cache-Control": "max-age=100, no-cache"}, 0),
        ({"Cache-Control": "max-age=0"}, 0),
        ({"Cache-Control": "max-age=soon"}, 0),
        ({"Cache-Control": "max-age=99999999"}, 7 * 86_400),
        ({}, 3600),
    ],
)
def test_configurations_are_kept_as_long_as_the_aggregator_says(
    uploads: Any, headers: dict[str, str], fresh: int
) -> None:
    peer = Aggregators(TASK, headers=headers)
    client = uploads(peer)
    client.upload([1])
    if fresh:
        peer.now += fresh - 1
        client.upload([1])
        assert len(peer.asked) == 2
        peer.now += 1
    client.upload([1])
    assert len(peer.asked) == 4


GOOD = HpkeConfig(1, 0x20, 1, 1, LEADER_KEY.public_bytes)


def listed(*configs: HpkeConfig) -> bytes:
    return HpkeConfigList(configs).encode()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer(200, listed(GOOD), Content_Type="text/plain"), "an answer of type .*hpke-config-list expected"),
        (answer(200, listed(GOOD)), "got '': is the URL in the task right"),
        (answer(200, listed(GOOD)[:-1], Content_Type=LIST_TYPE), "ends early"),
        (answer(200, listed(GOOD) + b"x", Content_Type=LIST_TYPE), "too many"),
        (answer(200, b"", Content_Type=LIST_TYPE), "ends early"),
        (answer(200, listed(), Content_Type=LIST_TYPE), "none of an Aggregator's 0 HPKE configurations"),
        (answer(200, listed(replace(GOOD, kem_id=0x10)), Content_Type=LIST_TYPE), "none of an Aggregator's 1"),
        (answer(200, listed(GOOD, GOOD), Content_Type=LIST_TYPE), "different numbers"),
        (answer(200, bytes(1 << 18), Content_Type=LIST_TYPE), "more than it may have"),
        (answer(302, Location="https://elsewhere.example"), "redirects"),
    ],
)
def test_bad_configurations_upload_nothing(
    uploads: Any, monkeypatch: pytest.MonkeyPatch, reply: Answer, says: str
) -> None:
    peer = Aggregators(TASK)
    monkeypatch.setattr(peer, "config", reply)
    with pytest.raises(RemoteProtocolError, match=says):
        uploads(peer).upload([1])
    assert peer.uploads == []


def test_an_unknown_task_is_said_so(uploads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Aggregators(OLD_TASK)
    monkeypatch.setattr(peer, "config", problem(URN + "unrecognizedTask", 404))
    with pytest.raises(DapProblem, match="unrecognizedTask") as raised:
        uploads(peer).upload([1])
    assert (raised.value.status, peer.uploads) == (404, [])


# Errors of single reports.


def test_errors_are_reported_by_measurement(uploads: Any) -> None:
    peer = Aggregators(TASK)
    peer.script = [errors(peer, _1=2), errors(peer), errors(peer, _0=8, _1=3)]
    result = uploads(peer, max_body=2 * report_size(TASK)).upload([0, 1, 2, 3, 4, 0])
    assert result.accepted == 3
    assert result.errors == {
        1: ReportError.REPORT_REPLAYED,
        4: ReportError.REPORT_TOO_EARLY,
        5: ReportError.REPORT_DROPPED,
    }


@pytest.mark.parametrize(("dialect", "number"), [(DAP_19, 4), (DAP_18, 11)], ids=["dap-19", "dap-18"])
def test_an_outdated_configuration_is_fetched_anew_and_the_report_made_anew(
    uploads: Any, dialect: Dialect, number: int
) -> None:
    peer = Aggregators(make_task(dialect=dialect))

    def outdated(request: httpx.Request) -> httpx.Response:
        peer.config_number = 2
        return errors(peer, _0=number, _1=3, _3=number)(request)

    peer.script = [outdated]
    result = uploads(peer).upload([0, 1, 2, 3])
    assert (result.accepted, result.errors) == (3, {1: ReportError.REPORT_DROPPED})
    assert len(peer.asked) == 4
    assert [report.leader_encrypted_input_share.config_id for report in peer.reports(1)] == [2, 2]
    assert not set(peer.ids(0)) & set(peer.ids(1))


def test_a_report_is_made_anew_once(uploads: Any) -> None:
    peer = Aggregators(TASK)
    peer.script = [errors(peer, _0=4, _1=4), errors(peer, _1=4)]
    result = uploads(peer).upload([0, 1])
    assert (result.accepted, result.errors) == (1, {1: ReportError.HPKE_UNKNOWN_CONFIG_ID})
    assert [len(peer.reports(i)) for i in range(2)] == [2, 2]
    peer.script = []
    assert len(peer.uploads) == 2


def test_outdated_configuration_in_dap_09(uploads: Any) -> None:
    peer = Aggregators(OLD_TASK, script=[problem(URN + "outdatedConfig"), answer(), problem(URN + "reportTooEarly")])
    result = uploads(peer).upload([0, 1])
    assert (result.accepted, result.errors) == (1, {0: ReportError.REPORT_TOO_EARLY})
    assert len(peer.asked) == 4
    assert len({*peer.ids(0), *peer.ids(1), *peer.ids(2)}) == 3


def test_rejected_report_in_dap_09(uploads: Any) -> None:
    peer = Aggregators(OLD_TASK, script=[problem(URN + "reportRejected")])
    assert uploads(peer).upload([0, 1]).errors == {0: ReportError.REPORT_DROPPED}


def opened_shares(peer: Aggregators, task: Task, upload: int) -> list[bytes]:
    """The measurement in each report, by adding both shares of it."""
    prio3, results = task.prio3, []
    for report in peer.reports(upload):
        aad = task.input_share_aad(report.report_metadata, report.public_share)
        keys = {Role.LEADER: LEADER_KEY, Role.HELPER: HELPER_KEY}
        sealed = {Role.LEADER: report.leader_encrypted_input_share, Role.HELPER: report.helper_encrypted_input_share}
        shares = {
            role: PlaintextInputShare.decode(
                keys[role].open(ciphertext.enc, task.input_share_info(role), aad, ciphertext.payload)
            ).payload
            for role, ciphertext in sealed.items()
        }
        arguments = (bytes(range(32)), task.ctx, [report.report_metadata.report_id], [report.public_share])
        leader, request = task.ping_pong.leader_init(*arguments, [shares[Role.LEADER]])
        helper, response = task.ping_pong.helper_init(*arguments, [shares[Role.HELPER]], request)
        outs = [task.ping_pong.leader_continued(leader, response), helper]
        results.append(prio3.unshard([prio3.aggregate(out) for out in outs], 1))
    return results


def test_a_report_that_is_made_anew_is_not_randomized_anew(uploads: Any) -> None:
    """A Leader that calls every configuration outdated would otherwise learn two answers of one person."""
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(Fraction(1)), PureDp(Fraction(1)), honest=0)
    task = make_task(privacy=privacy)
    peer = Aggregators(task)
    peer.script = [errors(peer, **{f"_{i}": 4 for i in range(20)})]
    uploads(peer).upload([2] * 20)
    first, second = opened_shares(peer, task, 0), opened_shares(peer, task, 1)
    assert first == second
    assert len({tuple(result) for result in first}) > 1


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer(200, bytes(17)), "an answer of type .*upload-errors expected"),
        (answer(200, bytes(16), Content_Type=UPLOAD_ERRORS), "ends early"),
        (answer(200, bytes(16) + b"\x02", Content_Type=UPLOAD_ERRORS), "was not sent"),
        (answer(200, bytes(16) + b"\x00", Content_Type=UPLOAD_ERRORS), "unknown value"),
        (answer(200, bytes(1 << 17), Content_Type=UPLOAD_ERRORS), "more than it may have"),
    ],
)
def test_malformed_answers_leave_the_upload_in_doubt(uploads: Any, reply: Answer, says: str) -> None:
    peer = Aggregators(TASK, script=[reply])
    client = uploads(peer)
    with pytest.raises(UploadInterrupted, match=says) as raised:
        client.upload([0, 1])
    assert isinstance(raised.value.__cause__, RemoteProtocolError)
    assert client.resume(raised.value).accepted == 2
    assert peer.uploads[0].content == peer.uploads[1].content


def test_an_error_of_one_report_twice_is_malformed(uploads: Any) -> None:
    peer = Aggregators(TASK)

    def twice(request: httpx.Request) -> httpx.Response:
        once = errors(peer, _0=2)(request)
        return httpx.Response(200, content=once.content * 2, headers=once.headers)

    peer.script = [twice]
    with pytest.raises(UploadInterrupted, match="or names one twice"):
        uploads(peer).upload([0, 1])


# Busy servers and bad networks.


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_leader_is_asked_again_when_it_says(uploads: Any, status: int) -> None:
    busy = answer(status, Retry_After="7")
    peer = Aggregators(TASK, script=[busy, busy])
    assert uploads(peer).upload([0, 1]).accepted == 2
    assert peer.waits == [7, 7]
    assert len({request.content for request in peer.uploads}) == 1


def test_a_busy_leader_that_says_nothing_is_given_more_and_more_time(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[answer(503)] * 3)
    assert uploads(peer).upload([0]).accepted == 1
    assert peer.waits == [0.5, 1, 2]


def test_nobody_waits_for_ever(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[answer(503, Retry_After="3600")])
    with pytest.raises(UploadInterrupted, match="Service Unavailable") as raised:
        uploads(peer).upload([0])
    assert isinstance(raised.value.__cause__, DapProblem)
    assert raised.value.__cause__.retry_after == 3600
    assert peer.waits == []


def test_nobody_tries_for_ever(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[answer(503)] * 9)
    with pytest.raises(UploadInterrupted):
        uploads(peer, retries=Retries(attempts=3, longest=1)).upload([0])
    assert (len(peer.uploads), peer.waits) == (3, [0.5, 1])


@pytest.mark.parametrize("fault", [no_network, lost_answer])
def test_identical_bytes_are_sent_again_after_a_network_failure(uploads: Any, fault: Answer) -> None:
    peer = Aggregators(TASK, script=[fault, fault])
    assert uploads(peer).upload([0, 1]).accepted == 2
    assert len({request.content for request in peer.uploads}) == 1
    assert len(peer.uploads) == 3


# First tries that were lost.

LASTING = {
    ReportError.INVALID_MESSAGE,
    ReportError.REPORT_TOO_EARLY,
    ReportError.TASK_NOT_STARTED,
    ReportError.UNSUPPORTED_EXTENSION,
}
ERRORS = dict.fromkeys(DAP_18.report_errors, DAP_18) | dict.fromkeys(DAP_19.report_errors, DAP_19)


@pytest.mark.parametrize("doubt", [lost_answer, answer(503), answer(502)], ids=["lost", "busy", "bad gateway"])
@pytest.mark.parametrize(("error", "dialect"), ERRORS.items(), ids=ERRORS)
def test_a_refusal_after_a_lost_try_is_no_acceptance(
    uploads: Any, error: ReportError, dialect: Dialect, doubt: Answer
) -> None:
    """Refused is only what must have been refused the first time, too; and nothing is made anew, to count twice."""
    peer = Aggregators(make_task(dialect=dialect))
    peer.script = [doubt, errors(peer, _1=dialect.error_number(error))]
    result = uploads(peer).upload([0, 1, 2])
    known = error in LASTING
    assert (result.accepted, result.errors, result.unknown) == (2, {1: error} if known else {}, () if known else (1,))
    assert len(peer.uploads) == 2


@pytest.mark.parametrize(
    ("kind", "expected", "unknown"),
    [
        ("reportRejected", {}, (0,)),
        ("outdatedConfig", {}, (0,)),
        ("reportTooEarly", {0: ReportError.REPORT_TOO_EARLY}, ()),
    ],
)
def test_a_refusal_after_a_lost_try_in_dap_09(
    uploads: Any, kind: str, expected: dict[int, ReportError], unknown: tuple[int, ...]
) -> None:
    peer = Aggregators(OLD_TASK, script=[lost_answer, problem(URN + kind)])
    result = uploads(peer).upload([0, 1])
    assert (result.accepted, result.errors, result.unknown) == (1, expected, unknown)


def test_a_configuration_that_is_outdated_after_a_lost_try_is_fetched_anew_for_the_next(uploads: Any) -> None:
    peer = Aggregators(TASK)
    peer.script = [lost_answer, errors(peer, _0=4)]
    result = uploads(peer, max_body=1).upload([0, 1])
    assert (result.accepted, result.errors, result.unknown) == (1, {}, (0,))
    assert len(peer.asked) == 4


def test_a_try_that_cannot_have_arrived_leaves_no_doubt(uploads: Any) -> None:
    peer = Aggregators(TASK)
    peer.script = [no_network, no_network, errors(peer, _0=2, _1=4)]
    result = uploads(peer).upload([0, 1])
    assert (result.accepted, result.errors, result.unknown) == (1, {0: ReportError.REPORT_REPLAYED}, ())
    assert len(peer.uploads) == 4  # the second was made anew


class LosesFirstTry(Aggregators):
    """A real Leader behind a network that loses the first try, on its way there or on the way back."""

    def __init__(self, world: World, *, arrives: bool, collected: bool) -> None:
        super().__init__(world.task, now=world.clock.now)
        self._world = world
        self._arrives = arrives
        self._collected = collected

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/hpke_config"):
            config = self._world.configs[Role.LEADER if "leader" in request.url.host else Role.HELPER]
            content = HpkeConfigList((config,)).encode()
            return httpx.Response(200, content=content, headers={"Content-Type": LIST_TYPE})
        self.uploads.append(request)
        reports = self.reports(-1)
        if len(self.uploads) > 1:
            outcomes = zip(reports, self._world.upload(*reports), strict=True)
            refused = [(report.report_metadata.report_id, error) for report, error in outcomes if error is not None]
            content = upload_errors(self._world.task, refused)
            return httpx.Response(200, content=content, headers={"Content-Type": UPLOAD_ERRORS})
        if self._arrives:
            assert self._world.upload(*reports) == [None]
        if self._collected:
            self._world.upload_many(MIN_BATCH)
            self._world.aggregate_all()
            count = self._world.result(self._world.collect()).count
            assert count == MIN_BATCH + self._arrives
        raise httpx.ReadTimeout("")


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("collected", [False, True])
def test_never_more_reports_are_accepted_than_can_be_in_a_batch(
    uploads: Any, tmp_path: Path, arrives: bool, collected: bool
) -> None:
    """Once the batch is collected the Leader refuses the report, whether it is in there or not."""
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    result = uploads(LosesFirstTry(world, arrives=arrives, collected=collected), allow_http=True).upload([1])
    world.close()
    assert (result.accepted, result.errors) == (0 if collected else 1, {})
    assert result.unknown == ((0,) if collected else ())


def test_an_interruption_says_of_what_nothing_is_known(uploads: Any) -> None:
    peer = Aggregators(TASK)
    client = uploads(peer, max_body=2 * report_size(TASK), retries=Retries(attempts=1))
    peer.script = [answer(), lost_answer]
    error = interrupted(peer, client, [0, 1, 2, 3, 4])
    assert (error.result.accepted, error.result.unknown) == (2, (2, 3))
    peer.script = [errors(peer, _0=2)]
    result = client.resume(error)
    assert (result.accepted, result.errors, result.unknown) == (4, {}, (2,))


def test_what_cannot_have_been_sent_is_not_in_doubt(uploads: Any) -> None:
    """And is sealed anew when the upload goes on, since its keys may be old by then."""
    peer = Aggregators(TASK)
    client = uploads(peer, max_body=1, retries=Retries(attempts=1))
    peer.script = [no_network]
    with pytest.raises(Unreachable):
        client.upload([0, 1])
    peer.script = [answer(), no_network]
    error = interrupted(peer, client, [0, 1])
    assert (error.result.accepted, error.result.unknown) == (1, ())
    assert client.resume(error).accepted == 2
    assert peer.uploads[-1].content != peer.uploads[-2].content


def test_what_is_unknown_survives_an_error_that_follows(uploads: Any) -> None:
    peer = Aggregators(TASK)
    client = uploads(peer, max_body=1)
    peer.script = [lost_answer, errors(peer, _0=2), problem(URN + "unrecognizedTask", 404)]
    error = interrupted(peer, client, [0, 1])
    assert (error.result.accepted, error.result.unknown) == (0, (0,))


def test_unreachable_aggregators_are_named(uploads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Aggregators(TASK)
    monkeypatch.setattr(peer, "config", no_network)
    with pytest.raises(Unreachable, match=r"leader\.example does not answer: ConnectError: Connection refused; check"):
        uploads(peer).upload([0])
    assert len(peer.waits) == 4


# Interrupted uploads.


def interrupted(peer: Aggregators, client: Any, measurements: Any) -> UploadInterrupted:
    with pytest.raises(UploadInterrupted) as raised:
        client.upload(measurements)
    return raised.value


@pytest.mark.parametrize("pickled", [False, True])
def test_an_interrupted_upload_goes_on_and_counts_nothing_twice(uploads: Any, pickled: bool) -> None:
    peer = Aggregators(TASK)
    once = Retries(attempts=1)
    client = uploads(peer, max_body=2 * report_size(TASK), retries=once)
    peer.script = [errors(peer, _0=3), lost_answer]
    error = interrupted(peer, client, [0, 1, 2, 3, 4])
    assert str(error).startswith("upload interrupted with 1 of 5 reports accepted: leader.example does not answer")
    assert (error.result.accepted, error.result.errors) == (1, {0: ReportError.REPORT_DROPPED})
    if pickled:
        error = pickle.loads(pickle.dumps(error))
    result = client.resume(error)
    assert (result.accepted, result.errors) == (4, {0: ReportError.REPORT_DROPPED})
    assert peer.uploads[1].content == peer.uploads[2].content
    assert [len(peer.reports(i)) for i in range(4)] == [2, 2, 2, 1]


def test_a_refusal_of_everything_is_the_problem_itself(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[problem(URN + "unrecognizedTask", 404)])
    with pytest.raises(DapProblem, match="unrecognizedTask"):
        uploads(peer).upload([0, 1])
    assert len(peer.uploads) == 1


def test_a_refusal_after_some_were_accepted_is_an_interruption(uploads: Any) -> None:
    """What was refused is sealed anew when the upload goes on, since its keys may be old by then."""
    peer = Aggregators(TASK, script=[answer(), problem(URN + "unrecognizedTask", 404)])
    client = uploads(peer, max_body=1)
    error = interrupted(peer, client, [0, 1, 2])
    assert client.resume(error).accepted == 3
    assert len({tuple(peer.ids(i)) for i in range(4)}) == 4


def test_a_refusal_after_a_lost_answer_leaves_doubt(uploads: Any) -> None:
    """The Leader may have taken the reports the first time."""
    peer = Aggregators(TASK, script=[lost_answer, problem("about:blank", 404)])
    client = uploads(peer)
    error = interrupted(peer, client, [0, 1])
    assert client.resume(error).accepted == 2
    assert len({request.content for request in peer.uploads}) == 1


def test_a_failing_leader_leaves_doubt(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[answer(500)])
    client = uploads(peer)
    assert client.resume(interrupted(peer, client, [0, 1])).accepted == 2
    assert len({request.content for request in peer.uploads}) == 1


def test_an_interruption_shows_no_measurement(uploads: Any) -> None:
    peer = Aggregators(TASK, script=[answer(500)])
    error = interrupted(peer, uploads(peer), [4, 4, 4])
    assert "4, 4" not in f"{error!r} {error} {error._upload!r} {error._upload.sent!r}"
