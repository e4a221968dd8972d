"""The Leader's requests to the Helper, against answers that it must not trust."""

import gzip
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from secagg.dap.aggregator import peer as peer_module
from secagg.dap.aggregator.peer import HttpPeer, PeerUnavailable
from secagg.dap.media_types import JOB_RESP, SHARE
from secagg.dap.problems import DapProblem
from secagg.dap.vdafs import vdaf

from ...support.world import BUCKETS, World

NewWorld = Callable[..., World]
Handler = Callable[[httpx.Request], httpx.Response]
TOKEN_HEADERS = ("authorization", "dap-auth-token")


@pytest.fixture
def ask(dap_world: NewWorld) -> Callable[[Handler], object]:
    """Sends an aggregation job to a Helper that answers so."""
    record = dap_world().leader_task

    def create(handler: Handler) -> object:
        with httpx.Client(transport=httpx.MockTransport(handler)) as http:
            return HttpPeer(http).create_job(record, b"request", bytes(16))

    return create


def test_an_answer_that_does_not_end_is_not_read_to_its_end(
    ask: Callable[[Handler], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "MAX_BYTES", 1000)
    share = vdaf("Histogram", length=BUCKETS).prio3().OUT_SHARE_SIZE
    headers = {"Content-Type": JOB_RESP, "Location": "/jobs/a"}
    ask(lambda request: httpx.Response(200, headers=headers, content=bytes(1000 + share)))
    with pytest.raises(PeerUnavailable, match="more than"):
        ask(lambda request: httpx.Response(200, headers=headers, content=bytes(1001 + share)))


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_helper_that_asks_for_years_is_asked_again_in_minutes(ask: Callable[[Handler], object], status: int) -> None:
    with pytest.raises((DapProblem, PeerUnavailable)) as error:
        ask(lambda request: httpx.Response(status, headers={"Retry-After": "999999999"}))
    assert vars(error.value)["retry_after"] == 600.0


def test_a_job_that_is_not_ready_is_polled_in_minutes_at_the_latest(ask: Callable[[Handler], object]) -> None:
    answer = ask(lambda request: httpx.Response(200, headers={"Retry-After": "999999999", "Location": "/jobs/a"}))
    assert vars(answer)["retry_after"] == 600.0
    assert vars(answer)["body"] is None


@pytest.mark.parametrize(
    ("token", "shown"),
    [(b"abc", {"authorization": "Bearer abc"}), (b"DAP-Auth-Token: abc", {"dap-auth-token": "abc"})],
    ids=["bearer", "dap-auth-token"],
)
def test_each_request_shows_the_token_in_the_header_that_it_names(
    dap_world: NewWorld, token: bytes, shown: dict[str, str]
) -> None:
    record, asked = dap_world().leader_task, []
    record = replace(record, secrets=replace(record.secrets, peer_token=token))

    def helper(request: httpx.Request) -> httpx.Response:
        asked.append({name: request.headers[name] for name in TOKEN_HEADERS if name in request.headers})
        return httpx.Response(200, headers={"Location": "/here"})

    with httpx.Client(transport=httpx.MockTransport(helper)) as http:
        peer = HttpPeer(http)
        peer.create_job(record, b"request", bytes(16))
        peer.poll_job(record, "http://helper.test/job")
        peer.delete_job(record, "http://helper.test/job")
        peer.create_share(record, b"request")
        peer.poll_share(record, "http://helper.test/share")
    assert asked == [shown] * 5


def test_our_token_goes_to_no_other_host(ask: Callable[[Handler], object]) -> None:
    with pytest.raises(PeerUnavailable, match="another host"):
        ask(lambda request: httpx.Response(200, headers={"Location": "http://attacker.example/jobs/a"}))


@pytest.mark.parametrize(("status", "error"), [(400, DapProblem), (401, DapProblem), (500, PeerUnavailable)])
def test_refusals_are_problems_and_failures_are_tried_again(
    ask: Callable[[Handler], object], status: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(lambda request: httpx.Response(status))


def test_an_answer_of_another_media_type_is_none(ask: Callable[[Handler], object]) -> None:
    with pytest.raises(PeerUnavailable, match="not of type"):
        ask(lambda request: httpx.Response(200, headers={"Content-Type": "text/html"}, content=b"x"))


@pytest.mark.parametrize("location", ["http://[", "//[::1", "http://helper.test:port/"])
def test_a_location_that_is_no_url_is_an_answer_that_does_not_count(
    ask: Callable[[Handler], object], location: str
) -> None:
    with pytest.raises(PeerUnavailable, match=r"not a URL|another host"):
        ask(lambda request: httpx.Response(200, headers={"Location": location}))


def test_a_job_at_a_location_that_cannot_be_asked_for_is_sent_anew(dap_world: NewWorld) -> None:
    with httpx.Client() as http, pytest.raises(PeerUnavailable, match="InvalidURL"):
        HttpPeer(http).poll_job(dap_world().leader_task, "http://helper.test/a\nb")


def test_a_job_that_is_not_ready_is_not_polled_without_a_pause(ask: Callable[[Handler], object]) -> None:
    answer = ask(lambda request: httpx.Response(200, headers={"Retry-After": "0", "Location": "/jobs/a"}))
    assert vars(answer)["retry_after"] == 0.1


def test_an_answer_that_only_drips_is_not_waited_for(
    ask: Callable[[Handler], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "MAX_SECONDS", -1.0)
    with pytest.raises(PeerUnavailable, match="takes longer"):
        ask(lambda request: httpx.Response(200, headers={"Content-Type": JOB_RESP}, content=b"x"))


def test_a_compressed_answer_is_not_unpacked(ask: Callable[[Handler], object]) -> None:
    headers = {"Content-Type": JOB_RESP, "Content-Encoding": "gzip"}
    with pytest.raises(PeerUnavailable, match="compressed"):
        ask(lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(gzip.compress(b"x"))))


@pytest.mark.parametrize("location", ["/dap/shares/a", "http://helper.test/dap/shares/a", "shares/a"])
def test_a_share_is_fetched_where_the_helper_keeps_it(dap_world: NewWorld, location: str) -> None:
    record, asked = dap_world().leader_task, list[tuple[str, str]]()

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path))
        if request.method == "POST":
            return httpx.Response(200, headers={"Location": location})
        return httpx.Response(200, headers={"Content-Type": f'{SHARE} ; version="19"'}, content=b"share")

    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        peer = HttpPeer(http)
        first = peer.create_share(record, b"request")
        assert first.body is None
        assert peer.poll_share(record, first.location).body == b"share"
    assert asked[1][0] == "GET"
    assert asked[1][1].endswith("shares/a")
