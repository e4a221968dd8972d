"""`secagg dap upload`: what it says became of measurements, where the network or the Leader fail."""

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from secagg.dap.client.upload import Client
from secagg.dap.media_types import UPLOAD_ERRORS
from secagg.dap.messages import ReportError
from secagg.dap.task import Task
from secagg.http.steps import Retries

from ..support.commands import Command
from ..support.outcomes import upload_errors
from ..support.peer import Aggregators
from ..support.tasks import make_task

UPLOAD = import_module("secagg.cli.dap.upload")
URLS = ("--leader", "https://leader.example", "--helper", "https://helper.example")
TASK = ("task", "new", "--vdaf", "histogram", "--length", "4", *URLS, "--min-batch-size", "5", "--mechanism", "none")

Ids = Callable[[], list[bytes]]  # of the reports that were sent
Reply = Callable[[Ids, httpx.Request], httpx.Response]

COMMAND = Command("dap")
outcome, run, refused = COMMAND.outcome, COMMAND.run, COMMAND.refused


def script_leader(monkeypatch: pytest.MonkeyPatch, *script: Reply) -> None:
    """`secagg dap upload` meets this script in place of Aggregators."""
    peer: Aggregators = Aggregators(make_task(), script=[partial(reply, lambda: peer.ids(-1)) for reply in script])

    def http_client(ca: Path | None) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(peer))

    def client(task: Task, *, token: str | None, http: httpx.Client, allow_http: bool) -> Client:
        peer.task = task
        return Client(task, token=token, http=http, retries=Retries(attempts=2), sleep=peer.sleep)

    monkeypatch.setattr(UPLOAD, "http_client", http_client)
    monkeypatch.setattr(UPLOAD, "Client", client)


def lost(ids: Ids, request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("")


def unreachable(ids: Ids, request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused")


def taken(ids: Ids, request: httpx.Request) -> httpx.Response:
    return httpx.Response(200)


def refusing(*errors: ReportError | None) -> Reply:
    def reply(ids: Ids, request: httpx.Request) -> httpx.Response:
        refusals = [(report, error) for report, error in zip(ids(), errors, strict=True) if error]
        content = upload_errors(make_task(), refusals)
        return httpx.Response(200, content=content, headers={"Content-Type": UPLOAD_ERRORS})

    return reply


def late(ids: Ids, request: httpx.Request) -> httpx.Response:
    response = refusing(ReportError.BATCH_COLLECTED, None)(ids, request)
    response.headers["Secagg-Refused"] = "collected\x1b, and takes no more reports: the batch from A until B"
    return response


def test_an_upload_says_which_batch_was_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*TASK, "--output", tmp_path)
    script_leader(monkeypatch, late)
    code, out, err = outcome("upload", "--task", tmp_path / "client.json", "0", "1")
    assert (code, err) == (1, "")
    assert out.splitlines()[:2] == ["1 accepted", "1 refused: batch_collected"]
    assert out.splitlines()[2].endswith("and takes no more reports: the batch from A until B")
    assert "\x1b" not in out


def test_where_clients_encode_buckets_a_measurement_is_the_number_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_leader(monkeypatch, taken)
    private = ("--mechanism", "unary-encoding", "--epsilon", "1", "--collections", "1")
    vdaf = ("--vdaf", "sum-vec", "--length", "4", "--max-measurement", "1")
    run("task", "new", *vdaf, *URLS, "--min-batch-size", "5", *private, "--output", tmp_path)
    options = ("upload", "--task", tmp_path / "client.json")
    assert "measurement 1 has 4 numbers; unary encoding takes 1" in refused(*options, "0,1,0,0")
    assert "counted from 0" in refused(*options, "4")
    assert run(*options, "0", "3", "1").splitlines() == ["3 accepted"]


def test_an_upload_says_what_was_accepted_refused_and_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*TASK, "--output", tmp_path)
    script = lost, refusing(None, ReportError.REPORT_REPLAYED, ReportError.REPORT_TOO_EARLY)
    command = ("upload", "--task", tmp_path / "client.json", "0", "1", "2")
    script_leader(monkeypatch, *script)
    code, out, err = outcome(*command)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "1 accepted",
        "1 refused: report_too_early",
        "1 unknown: the Leader refuses them now, and may have taken them at a first try",
    ]
    script_leader(monkeypatch, *script)
    code, out, err = outcome(*command, "--json")
    refusal = {"measurement": 3, "reason": "report_too_early"}
    assert (code, json.loads(out)) == (1, {"accepted": 1, "refused": [refusal], "unknown": [2]})


def test_an_upload_of_which_something_is_unknown_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*TASK, "--output", tmp_path)
    script_leader(monkeypatch, lost, refusing(ReportError.REPORT_REPLAYED))
    assert outcome("upload", "--task", tmp_path / "client.json", "1")[0] == 1


@pytest.mark.parametrize(
    ("script", "says"),
    [((taken, lost, lost), "2 of 5 measurements were accepted, and of 2 it is not known. The first 2 are done; of the"
      " next 2 some may have arrived, and would count twice if they were sent again"),
     ((lost, refusing(ReportError.REPORT_REPLAYED, None), unreachable, unreachable),
      "1 of 5 measurements were accepted, and of 1 it is not known, and after the first 2 none was sent"),
     ((unreachable, unreachable), "and the network")],
)  # fmt: skip
def test_an_upload_that_ends_early_says_how_far_it_came(
    script: tuple[Reply, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*TASK, "--output", tmp_path)
    monkeypatch.setattr(UPLOAD, "SLICE", 2)
    script_leader(monkeypatch, *script)
    reason = refused("upload", "--task", tmp_path / "client.json", "0", "1", "2", "3", "0")
    assert reason.startswith("leader.example does not answer: ")
    assert reason.endswith(says)
