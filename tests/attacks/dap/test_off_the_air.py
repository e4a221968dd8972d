"""One peer that has no token, with one script, wants a Leader for itself: a process as an operator runs it."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bench.certificates import write_certificate
from secagg.cli.demo.usage import usage
from secagg.dap import task_file
from secagg.dap.aggregator.directory import Directory
from secagg.dap.dialect import DEFAULT
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import (
    HpkeConfig,
    ReportError,
    ReportMetadata,
    ReportUploadStatus,
    UploadErrors,
    UploadRequest,
)
from secagg.dap.reports import encode_upload, make_reports
from secagg.dap.server import leader as leader_resources
from secagg.dap.server.app import leader_app
from secagg.dap.server.common import Context
from secagg.dap.server.leader import LONG_BODY
from secagg.http.bounds import Bounds

from ...support import bounded
from ...support.aggregators import change, serving
from ...support.bounded import status
from ...support.commands import Command
from ...support.world import World

MIB = 1 << 20
PEAK_BYTES = 300 * MIB
CONNECTIONS = 300
UNDER_TLS, BYTES_UNDER_TLS = 100, 300_000  # connections, and what each may take
UPLOAD = "application/ppm-dap;message=upload-req"
UNKNOWN_CONFIG = 255
CALLBACK_SECONDS = 0.05  # of the loop's own CPU time
FUTURE = ReportMetadata(bytes(16), 1 << 40)

run = Command("dap").run


class Target:
    """A Leader with a task of a Histogram, and nobody else."""

    def __init__(self, url: str, pid: int, client: Path) -> None:
        self.url = url
        self.address = (httpx.URL(url).host, httpx.URL(url).port or 0)
        self._pid = pid
        self._task = task_file.load(client).task
        self.reports = f"/tasks/{self._task.text}/reports"

    def body(self, count: int) -> bytes:
        """Reports that are as they must be, but for a key that the Leader does not have."""
        key = PrivateKey.generate(os.urandom)
        config = HpkeConfig(UNKNOWN_CONFIG, 0x20, 1, 1, key.public_bytes)
        return encode_upload(self._task, make_reports(self._task, config, config, [1] * count, 1e9))

    def post(self, body: bytes) -> httpx.Response:
        return httpx.post(self.url + self.reports, content=body, headers={"Content-Type": UPLOAD}, timeout=120)

    def head(self, length: int) -> bytes:
        return (
            f"POST {self.reports} HTTP/1.1\r\nHost: here\r\nContent-Type: {UPLOAD}\r\n"
            f"Content-Length: {length}\r\n\r\n".encode()
        )

    def connect(self, stack: ExitStack, sent: bytes) -> socket.socket:
        connection = stack.enter_context(socket.create_connection(self.address, timeout=120))
        connection.sendall(sent)
        return connection

    def check(self) -> None:
        """It answers others, and has never taken much memory."""
        response = self.post(self.body(3))
        errors = [error.error for error in UploadErrors.decode(response.content).status]
        assert errors == [DEFAULT.error_number(ReportError.HPKE_UNKNOWN_CONFIG_ID)] * 3
        taken = usage(self._pid)
        assert taken is not None
        assert taken.peak_bytes < PEAK_BYTES


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[Target]:
    run("init", "--role", "leader", "--dir", tmp_path)
    config = tmp_path / "leader.toml"
    change(config, listen="127.0.0.1:0", threads=0)
    config.write_text(config.read_text().replace("connections = 1000", f"connections = {CONNECTIONS}"))
    with serving("leader", "--config", config) as (line, process):
        url = line.split()[-1]
        urls = ("--leader", url, "--helper", "https://helper.example", "--config", config)
        kind = ("--vdaf", "histogram", "--length", "4", "--mechanism", "none", "--min-batch-size", "5")
        run("task", "new", *kind, *urls, "--output", tmp_path / "task")
        yield Target(url, process.pid, tmp_path / "task" / "client.json")


def at_once(count: int, target: Target, body: bytes) -> list[int]:
    """The status codes of so many uploads of the same body."""
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(target.post(body).status_code)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


def test_an_endless_head(leader: Target) -> None:
    with ExitStack() as stack:
        connection = leader.connect(stack, b"GET / HTTP/1.1\r\nX: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"a" * 96 * MIB)
        leader.check()


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost"], ids=["silent", "half a head"])
def test_more_idle_connections_than_there_may_be(leader: Target, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS + 100):
            leader.connect(stack, sent)
        leader.check()


def test_contents_that_are_declared_and_never_come(leader: Target) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            leader.connect(stack, leader.head(16 * MIB))
        assert leader.post(leader.body(2000)).status_code == 200
        leader.check()


def test_a_declared_length_that_no_upload_has(leader: Target) -> None:
    with ExitStack() as stack:
        connection = leader.connect(stack, leader.head(99_999_999_999))
        assert status(connection.recv(1000)) == 413
        leader.check()


def test_contents_that_fill_the_memory_and_stop(leader: Target) -> None:
    with ExitStack() as stack:
        for _ in range(12):
            leader.connect(stack, leader.head(16 * MIB) + bytes(15 * MIB // 2))
        leader.check()


def test_connections_under_tls_keep_little_of_what_they_brought(tmp_path: Path) -> None:
    """With the event loop's own TLS each kept 0.8 MB of a content of one, for as long as it stayed open and longer."""
    run("init", "--role", "helper", "--dir", tmp_path)
    write_certificate(tmp_path)
    config = tmp_path / "helper.toml"
    tls = '[server]\ncertificate = "tls.crt"\nprivate_key = "tls.key"\n'
    config.write_text(config.read_text().replace("[server]\n", tls, 1))
    change(config, listen="127.0.0.1:0")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    with serving("helper", "--config", config) as (line, process), ExitStack() as stack:
        url = httpx.URL(line.split()[-1])

        def bring() -> None:
            inner = socket.create_connection((url.host, url.port or 0), timeout=120)
            connection = stack.enter_context(trusted.wrap_socket(inner, server_hostname=url.host))
            connection.sendall(f"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: {MIB}\r\n\r\n".encode() + bytes(MIB))
            assert status(connection.recv(1 << 16)) == 404

        bring()
        before = usage(process.pid)
        for _ in range(UNDER_TLS):
            bring()
        after = usage(process.pid)
    assert before is not None
    assert after is not None
    assert after.peak_bytes - before.peak_bytes < UNDER_TLS * BYTES_UNDER_TLS


def test_a_million_reports_that_are_too_short(leader: Target) -> None:
    """48 bytes each, the least that the wire allows: an upload had 349,525 of them."""
    tiny = bytes(26) + (bytes(4) + (bytes([0]) + b"\0\1a" + b"\0\0\0\1a") * 2)
    assert len(tiny) == 48
    assert {400} <= set(at_once(8, leader, tiny * (16 * MIB // 48))) <= {400, 503}
    leader.check()


def test_as_many_reports_as_an_upload_may_have(leader: Target) -> None:
    body = leader.body(100)
    assert {200} <= set(at_once(8, leader, body * (16 * MIB // len(body)))) <= {200, 503}
    leader.check()


@pytest.mark.parametrize("size", [LONG_BODY, 16 * MIB], ids=["on the loop", "on threads"])
def test_no_upload_keeps_the_event_loop_for_long(dap_world: Callable[..., World], size: int) -> None:
    world = dap_world()
    context = Context(Directory(world.leader_store, world.clock), clock=world.clock)
    upload = world.report()
    short = replace(upload, public_share=b"")
    with bounded.serving(leader_app(world.leader, context), Bounds(), lifespan="on") as served:
        host, port = served.address
        for report, codes in ((upload, {200}), (replace(upload, report_metadata=FUTURE), {200}), (short, {200, 400})):
            one = UploadRequest((report,)).encode()
            response = httpx.post(
                f"http://{host}:{port}/tasks/{world.task.text}/reports",
                content=one * (size // len(one)),
                headers={"Content-Type": UPLOAD},
                timeout=120,
            )
            assert response.status_code in codes
        assert served.longest < CALLBACK_SECONDS


def test_refusals_of_many_reports_are_written_on_a_thread(
    dap_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_loop = list[bool]()

    def written(report_id: bytes, error: int) -> ReportUploadStatus:
        on_loop.append(bounded.on_a_loop())
        return ReportUploadStatus(report_id, error)

    monkeypatch.setattr(leader_resources, "ReportUploadStatus", written)
    world = dap_world()
    upload = UploadRequest((replace(world.report(), report_metadata=FUTURE),) * 3).encode()
    context = Context(Directory(world.leader_store, world.clock), clock=world.clock)
    with bounded.serving(leader_app(world.leader, context), Bounds(), lifespan="on") as served:
        url = "http://{}:{}".format(*served.address) + f"/tasks/{world.task.text}/reports"
        assert httpx.post(url, content=upload, headers={"Content-Type": UPLOAD}, timeout=120).status_code == 200
    assert on_loop == [False] * 3


def test_other_methods_and_types_are_refused_before_the_content_comes(leader: Target) -> None:
    head = leader.head(16 * MIB)
    with ExitStack() as stack:
        for wrong, code in (
            (head.replace(b"upload-req", b"upload"), 415),
            (head.replace(b"POST", b"PUT"), 405),
            (head.replace(b"/reports", b"/nothing"), 404),
        ):
            assert status(leader.connect(stack, wrong).recv(1000)) == code
    leader.check()


def test_metrics_are_for_no_other_page(leader: Target) -> None:
    for path, allowed in (("/metrics", None), ("/healthz", None), ("/hpke_config", "*")):
        response = httpx.get(leader.url + path, headers={"Origin": "https://evil.example"})
        assert response.headers.get("access-control-allow-origin") == allowed
    assert httpx.options(leader.url + leader.reports, headers=PREFLIGHT).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in httpx.options(leader.url + "/metrics", headers=PREFLIGHT).headers


PREFLIGHT = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}


def test_metrics_may_have_an_address_of_their_own(tmp_path: Path) -> None:
    run("init", "--role", "helper", "--dir", tmp_path)
    config = tmp_path / "helper.toml"
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = f"127.0.0.1:{free.getsockname()[1]}"
    text = config.read_text().replace("[server]\n", f'[server]\nmetrics = "{own}"\n', 1)
    config.write_text(text)
    change(config, listen="127.0.0.1:0")
    with serving("helper", "--config", config) as (line, _):
        assert httpx.get(line.split()[-1] + "/metrics").status_code == 404
        assert httpx.get(line.split()[-1] + "/healthz/detail").status_code == 404
        assert "secagg_dap_requests" in httpx.get(f"http://{own}/metrics").text
        assert httpx.get(f"http://{own}/healthz/detail").json()["database"] == "ok"
        assert httpx.get(f"http://{own}/hpke_config").status_code == 404
