"""Aggregators as a Client or Collector sees them, for answers that the real ones do not give: scripted, over httpx's
mock transport. Real Aggregators are in the end-to-end tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from secagg.dap.client.upload import AsyncClient, Client, UploadInterrupted, UploadResult
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import HpkeConfig, HpkeConfigList, Report
from secagg.dap.reports import decode_upload
from secagg.dap.task import Task

from .tasks import NOW

LEADER_KEY, HELPER_KEY = PrivateKey.from_bytes(b"l" * 32), PrivateKey.from_bytes(b"h" * 32)
PROBLEM = {"Content-Type": "application/problem+json"}
URN = "urn:ietf:params:ppm:dap:error:"

Answer = Callable[[httpx.Request], httpx.Response]


def problem(kind: str, status: int = 400, **headers: str) -> Answer:
    return lambda request: httpx.Response(status, json={"type": kind}, headers={**PROBLEM, **headers})


def answer(status: int = 200, content: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, content=content, headers=named)


def no_network(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused")


def lost_answer(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("")


@dataclass
class Aggregators:
    """Serves HPKE configurations, and answers uploads with the script's answers, then with success.

    Attributes:
        script: answers to uploads, in order.
        asked: the paths of requests for HPKE configurations.
        uploads: the requests with reports.
        now: the clock, which waiting moves.
        waits: seconds of each wait.
    """

    task: Task
    script: list[Answer] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: {"Cache-Control": "max-age=86400"})
    config_number: int = 1
    asked: list[httpx.URL] = field(default_factory=list)
    uploads: list[httpx.Request] = field(default_factory=list)
    now: float = NOW
    waits: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/hpke_config"):
            self.asked.append(request.url)
            return self.config(request)
        self.uploads.append(request)
        return self.script.pop(0)(request) if self.script else httpx.Response(200)

    def config(self, request: httpx.Request) -> httpx.Response:
        key = LEADER_KEY if request.url.host.startswith("leader") else HELPER_KEY
        configs = HpkeConfigList((HpkeConfig(self.config_number, 0x20, 1, 1, key.public_bytes),))
        media_type = self.task.dialect.hpke_config_list_media_type
        return httpx.Response(200, content=configs.encode(), headers={"Content-Type": media_type, **self.headers})

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)

    def reports(self, upload: int) -> tuple[Report, ...]:
        return decode_upload(self.task, self.uploads[upload].content)

    def ids(self, upload: int) -> list[bytes]:
        return [report.report_metadata.report_id for report in self.reports(upload)]


class BlockingUploads:
    """`Client`, and `UploadsUnderAsyncio` with the same face: each test runs with both."""

    def __init__(self, peer: Aggregators, **options: Any) -> None:
        http = httpx.Client(transport=httpx.MockTransport(peer))
        self._client = Client(peer.task, http=http, clock=peer.clock, sleep=peer.sleep, **options)

    def upload(self, measurements: Any) -> UploadResult:
        return self._client.upload(measurements)

    def resume(self, interrupted: UploadInterrupted) -> UploadResult:
        return self._client.resume(interrupted)


class UploadsUnderAsyncio:
    def __init__(self, peer: Aggregators, **options: Any) -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(peer))
        self._client = AsyncClient(peer.task, http=http, clock=peer.clock, sleep=peer.sleep_async, **options)

    def upload(self, measurements: Any) -> UploadResult:
        return anyio.run(self._client.upload, measurements)

    def resume(self, interrupted: UploadInterrupted) -> UploadResult:
        return anyio.run(self._client.resume, interrupted)
