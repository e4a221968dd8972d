"""A test runner of other programs drives all four roles, each in a process of its own."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from secagg.dap.interop.aggregator import Aggregator
from secagg.dap.interop.collector import Collectors
from secagg.dap.interop.commands import Command, read_task, read_vdaf, require_loopback
from secagg.dap.messages import BatchMode, Interval, Role
from secagg.dap.problems import DapProblem
from secagg.dap.secrets import token_hash
from secagg.dap.server.config import SECRET_VARIABLE
from secagg.dap.store.engine import Store
from secagg.dap.store.tasks import find_task
from secagg.dap.store.vault import Vault
from secagg.dap.task_file import CollectorKey
from secagg.dap.vdafs import vdaf
from secagg.errors import LocalProtocolError, RemoteProtocolError, SecAggError
from secagg.http.base64url import base64url

from ...support.aggregators import change
from ...support.aggregators import serving as started
from ...support.commands import Command as Commands
from ...support.commands import plain_environment

COMMAND = Commands("dap")
TOKENS = {"leader_authentication_token": "leader-token", "collector_authentication_token": "collector-token"}
TASK_ID, KEY = base64url(bytes(range(32))), base64url(bytes(range(32, 64)))
HOUR = 3600


class Runner:
    """What a test runner does."""

    def __init__(self, http: httpx.Client, urls: dict[str, str]) -> None:
        self._http = http
        self.urls = urls

    def post(self, role: str, name: str, /, **fields: Any) -> dict[str, Any]:
        response = self._http.post(f"{self.urls[role]}/internal/test/{name}", json=fields)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def collected(self, handle: str) -> dict[str, Any]:
        """The answer to the poll that is the last."""
        until = time.monotonic() + 120
        while (answer := self.post("collector", "collection_poll", handle=handle))["status"] == "in progress":
            assert time.monotonic() < until
            time.sleep(0.2)
        return answer


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("interop")
    with ExitStack() as stack:
        stack.enter_context(plain_environment(SECRET_VARIABLE))
        urls = {}
        for role in ("leader", "helper"):
            COMMAND.run("init", "--role", role, "--dir", folder, "--listen", "127.0.0.1:0")
            arguments = (role, "--config", folder / f"{role}.toml", "--interop-test-api")
            urls[role] = stack.enter_context(started(*arguments))[0].split()[-1]
        for role in ("client", "collector"):
            urls[role] = stack.enter_context(started("interop", role, "--listen", "127.0.0.1:0"))[0].split()[-1]
        yield Runner(stack.enter_context(httpx.Client(timeout=120)), urls)


def test_everybody_is_ready(runner: Runner) -> None:
    for role in runner.urls:
        assert runner.post(role, "ready") == {"status": "success"}


def test_what_there_is_not_is_not_found(runner: Runner) -> None:
    for role, name in (("leader", "upload"), ("client", "add_task"), ("collector", "nothing")):
        assert httpx.post(f"{runner.urls[role]}/internal/test/{name}", json={}).status_code == 404
    assert httpx.get(f"{runner.urls['leader']}/internal/test/ready").status_code == 405


CASES: dict[str, tuple[dict[str, Any], list[Any], Any]] = {
    "count, in the draft's words": ({"vdaf": {"type": "Prio3Count"}, "query_type": 1}, ["1", "0", "1"], "2"),
    "sum of bits": ({"vdaf": {"type": "Prio3Sum", "bits": "8"}, "query_type": 1}, ["255", "1"], "256"),
    "a histogram whose batches the Leader selects, in Janus' words": (
        {"vdaf": {"type": "Prio3Histogram", "length": "3", "chunk_length": "2"}, "batch_mode": 2, "min_batch_size": 3},
        ["2", "0", "2"],
        ["1", "0", "2"],
    ),
    "vectors, until tomorrow": (
        {
            "vdaf": {"type": "Prio3SumVec", "length": "2", "chunk_length": "1", "max_measurement": "9"},
            "batch_mode": 1,
            "min_batch_size": 2,
            "task_start": 0,
            "task_end": 1 << 40,
        },
        [["1", "9"], ["3", "0"]],
        ["4", "9"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_runner_aggregates(runner: Runner, case: str) -> None:
    given, measurements, result = CASES[case]
    task = {"task_id": base64url(case.encode().ljust(32)[:32]), "time_precision": HOUR, **given}
    for role in ("leader", "helper"):
        endpoint = runner.post(role, "endpoint_for_task", task_id=task["task_id"], role=role, hostname="127.0.0.1")
        assert endpoint == {"status": "success", "endpoint": "/"}
        task[role] = runner.urls[role] + endpoint["endpoint"]

    added = runner.post("collector", "add_task", **task, collector_authentication_token="collector-token")
    assert added["status"] == "success", added
    secrets = {**TOKENS, "vdaf_verify_key": KEY, "collector_hpke_config": added["collector_hpke_config"]}
    for role in ("leader", "helper"):
        assert runner.post(role, "add_task", role=role, **task, **secrets) == {"status": "success"}
    for measurement in measurements:
        assert runner.post("client", "upload", **task, measurement=measurement) == {"status": "success"}

    now = int(time.time()) // HOUR * HOUR
    query = {"type": 1, "batch_interval_start": now - HOUR, "batch_interval_duration": 3 * HOUR}
    if given.get("batch_mode") == 2:
        query = {"type": 2}
    started = runner.post("collector", "collection_start", task_id=task["task_id"], agg_param="", query=query)
    assert started["status"] == "success", started
    answer = runner.collected(started["handle"])
    assert (answer["status"], answer["report_count"]) == ("complete", len(measurements)), answer
    assert answer["result"] == result
    assert answer["interval_start"] in (now, now + HOUR)
    assert answer["interval_duration"] in (HOUR, 2 * HOUR)


def test_errors_of_dap_are_told_with_200(runner: Runner) -> None:
    task = {"task_id": TASK_ID, "vdaf": {"type": "Prio3Count"}, "time_precision": HOUR,
            "leader": runner.urls["leader"], "helper": runner.urls["helper"]}  # fmt: skip
    refused = [
        (runner.post("client", "upload", **task, measurement="1"), "unrecognizedTask"),
        (runner.post("client", "upload", **task, measurement="2"), "must be"),
        (runner.post("client", "upload", **task | {"vdaf": {"type": "Poplar1"}}, measurement="1"), "unknown VDAF"),
        (runner.post("client", "upload", **task | {"task_id": "x"}, measurement="1"), "task_id must be"),
        (runner.post("leader", "add_task", **task, role="helper"), "this is the leader"),
        (runner.post("collector", "collection_poll", handle="x"), "no such collection job"),
        (runner.post("collector", "collection_start", task_id=TASK_ID, agg_param="", query={}), "add_task comes first"),
    ]
    for answer, reason in refused:
        assert answer["status"] == "error"
        assert reason in answer["error"]
    assert runner.post("collector", "add_task", **task, **TOKENS)["status"] == "success"
    query = {"type": 1, "batch_interval_start": 0, "batch_interval_duration": HOUR}
    started = runner.post("collector", "collection_start", task_id=TASK_ID, agg_param="", query=query)
    assert started["status"] == "error"
    assert "unrecognizedTask" in started["error"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_what_is_no_object_is_refused(runner: Runner, content: bytes) -> None:
    for role in runner.urls:
        url = f"{runner.urls[role]}/internal/test/ready"
        assert httpx.post(url, content=content, headers={"Content-Type": "application/json"}).status_code == 400


def test_a_page_in_a_browser_cannot_send_commands(runner: Runner) -> None:
    """What needs no leave of the server has one of three types, and this is none of them."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        for role in runner.urls:
            url = f"{runner.urls[role]}/internal/test/ready"
            assert httpx.post(url, content=b"{}", headers={"Content-Type": kind}).status_code == 415
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    for role in runner.urls:
        answer = httpx.options(f"{runner.urls[role]}/internal/test/add_task", headers=asked)
        assert "access-control-allow-origin" not in answer.headers


# Off, and for this machine alone.


def test_without_the_flag_there_is_no_such_thing(tmp_path: Path) -> None:
    with plain_environment(SECRET_VARIABLE):
        COMMAND.run("init", "--role", "helper", "--dir", tmp_path, "--listen", "127.0.0.1:0")
        with started("helper", "--config", tmp_path / "helper.toml") as (line, _):
            assert httpx.post(f"{line.split()[-1]}/internal/test/ready", json={}).status_code == 404


def test_other_machines_are_kept_out(tmp_path: Path) -> None:
    with plain_environment(SECRET_VARIABLE):
        COMMAND.run("init", "--role", "helper", "--dir", tmp_path)
        helper = ("helper", "--config", tmp_path / "helper.toml", "--interop-test-api")
        assert "for loopback only, and would listen on 0.0.0.0" in COMMAND.refused(*helper, "--listen", "0.0.0.0:0")
        for role in ("client", "collector"):
            assert "for loopback only" in COMMAND.refused("interop", role, "--listen", "0.0.0.0:0")
        change(tmp_path / "helper.toml", processes=2)
        assert "takes [server] processes = 1" in COMMAND.refused(*helper, "--listen", "127.0.0.1:0")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "10.0.0.1", "::", "2001:db8::1", "::ffff:127.0.0.1"])
def test_what_is_no_loopback(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="for loopback only"):
        require_loopback(host)


def test_loopback() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1"):
        require_loopback(host)


# What a runner sends.


def test_tasks_are_read() -> None:
    command = Command({"task_id": TASK_ID, "leader": "http://leader:8080/", "helper": "http://helper:8080/dap",
                       "vdaf": {"type": "Prio3Sum", "max_measurement": "7"}, "batch_mode": 2, "min_batch_size": 5,
                       "time_precision": 300, "task_start": 600, "task_end": 1000, "other": None})  # fmt: skip
    task = read_task(command)
    assert task.configuration.task_info == b"task-info"
    assert (task.leader_url, task.helper_url) == ("http://leader:8080", "http://helper:8080/dap")
    assert (task.batch_mode, task.min_batch_size) == (BatchMode.LEADER_SELECTED, 5)
    assert (task.time_precision, task.interval, task.vdaf) == (300, Interval(2, 1), vdaf("Sum", max_measurement=7))


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"type": "Prio3Sum", "bits": "65"}, "bits must be 1 .. 64"), ({"type": "Prio3Sum", "bits": 8}, "in base 10"),
     ({"type": "Prio3Sum", "bits": "-8"}, "in base 10"), ({"type": "Prio3Sum", "bits": "٣"}, "in base 10"),
     ({"type": "Prio3Sum", "max_measurement": "9" * 41}, "in base 10"), ({"type": "Prio3Sum"}, "Sum needs"),
     ({}, "type must be text"), ({"type": "Prio3Count", "length": "3"}, "Count takes no parameters")],
)  # fmt: skip
def test_vdafs_that_are_none(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(SecAggError, match=reason):
        read_vdaf(Command(given))


def test_numbers_are_numbers() -> None:
    for value in (True, -1, 1.5, "1", 1 << 63):
        with pytest.raises(RemoteProtocolError, match="time must be a number"):
            Command({"time": value}).number("time")


def test_the_collector_shows_its_token_in_the_drafts_header() -> None:
    shown: list[httpx.Headers] = []

    def leader(request: httpx.Request) -> httpx.Response:
        shown.append(request.headers)
        return httpx.Response(404)

    async def collect() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(leader)) as http:
            collectors = Collectors(http)
            task = {"task_id": TASK_ID, "leader": "http://127.0.0.1:1", "helper": "http://127.0.0.1:2",
                    "vdaf": {"type": "Prio3Count"}, "batch_mode": 2, "min_batch_size": 1,
                    "time_precision": HOUR}  # fmt: skip
            await collectors.add_task(Command(task | TOKENS))
            with pytest.raises(DapProblem):
                await collectors.start(Command({"task_id": TASK_ID, "agg_param": "", "query": {"type": 2}}))

    anyio.run(collect)
    assert [(each.get("dap-auth-token"), each.get("authorization")) for each in shown] == [("collector-token", None)]


def test_the_leader_shows_its_token_in_the_drafts_header(tmp_path: Path) -> None:
    """It is stored with the header's name; `HttpPeer` shows it so."""
    store = Store(f"sqlite:///{tmp_path}/leader.db", Vault(bytes(32)))
    task = {"task_id": TASK_ID, "leader": "http://127.0.0.1:1", "helper": "http://127.0.0.1:2",
            "vdaf": {"type": "Prio3Count"}, "batch_mode": 2, "min_batch_size": 1, "time_precision": HOUR,
            "vdaf_verify_key": KEY, "collector_hpke_config": base64url(CollectorKey.generate().config.encode()),
            "role": "leader"}  # fmt: skip
    anyio.run(Aggregator(store, Role.LEADER).add_task, Command(task | TOKENS))
    with store.read() as tx:
        record = find_task(tx, bytes(range(32)))
    store.close()
    assert record is not None
    assert record.secrets.peer_token == b"DAP-Auth-Token: leader-token"
    assert record.secrets.collector_token == token_hash(b"collector-token")
