"""HTTP over real sockets, with a server that says what a script holds, byte for byte."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from secagg.errors import RemoteProtocolError
from secagg.http.steps import (
    Progress,
    Request,
    Response,
    Retries,
    Steps,
    Unreachable,
    Wait,
    perform,
    perform_async,
    run,
    run_async,
    send,
)

ONCE, TWICE = Retries(attempts=1), Retries(attempts=2)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Name: a\r\n\r\ngood"


class Server:
    """Answers each connection with the script's next bytes, then closes it."""

    def __init__(self) -> None:
        self.script: list[bytes] = []
        self.requests: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                if not self.script:
                    return
                try:
                    connection.sendall(self.script.pop(0))
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass  # the client has had enough

    def close(self) -> None:
        self.script = []
        with socket.create_connection(self._listening.getsockname()) as connection:
            connection.sendall(b"end")
        self._thread.join()
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server()
    yield serving
    serving.close()


def blocking(steps: Steps[Any], **options: Any) -> Any:
    with httpx.Client(timeout=10) as http:
        return run(http, steps, lambda seconds: None, **options)


def under(backend: str) -> Callable[..., Any]:
    async def sleep(seconds: float) -> None:
        return None

    async def main(steps: Steps[Any], options: dict[str, Any]) -> Any:
        async with httpx.AsyncClient(timeout=10) as http:
            return await run_async(http, steps, sleep, **options)

    return lambda steps, **options: anyio.run(main, steps, options, backend=backend)


@pytest.fixture(params=[blocking, under("asyncio")], ids=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Callable[..., Any]:
    driver: Callable[..., Any] = request.param
    return driver


def get(server: Server, retries: Retries = ONCE, max_bytes: int = 100) -> Steps[Response]:
    return send(
        Request("GET", server.url + "/x", {"X-Asked": "1"}, max_bytes=max_bytes), clock=lambda: 0.0, retries=retries
    )


def test_an_answer(server: Server, drive: Any) -> None:
    server.script = [GOOD]
    response = drive(get(server))
    assert (response.status, response.content, response.headers["x-name"]) == (200, b"good", "a")
    assert not response.doubtful
    assert b"GET /x HTTP/1.1" in server.requests[0]
    assert b"x-asked: 1" in server.requests[0].lower()
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoo",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
        b"not HTTP at all\r\n\r\n",
    ],
    ids=["nothing", "short body", "short chunk", "short header", "no HTTP"],
)
def test_what_breaks_off_is_asked_for_again(server: Server, drive: Any, broken: bytes) -> None:
    server.script = [broken, GOOD]
    response = drive(get(server, TWICE))
    assert (response.content, response.doubtful) == (b"good", True)
    server.script = [broken]
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+ does not answer: RemoteProtocolError") as raised:
        drive(get(server))
    assert raised.value.doubtful


def test_nobody_listens(drive: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match="ConnectError") as raised:
        drive(send(Request("GET", url), clock=lambda: 0.0, retries=TWICE))
    assert not raised.value.doubtful


def test_an_answer_is_read_no_further_than_it_may_be_long(server: Server, drive: Any) -> None:
    """The server declares a terabyte and sends more than is read."""
    server.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n" + bytes(1 << 20)]
    with pytest.raises(RemoteProtocolError, match="more than 100 bytes"):
        drive(get(server, TWICE))


def test_an_answer_may_be_as_long_as_it_may_be(server: Server, drive: Any) -> None:
    server.script = [GOOD]
    assert drive(get(server, max_bytes=4)).content == b"good"


def test_a_compressed_answer_is_refused_before_it_is_unpacked(server: Server, drive: Any) -> None:
    packed = gzip.compress(bytes(1 << 24))
    header = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server.script = [header + packed]
    with pytest.raises(RemoteProtocolError, match="compressed"):
        drive(get(server))


def test_redirections_are_not_followed(server: Server, drive: Any) -> None:
    server.script = [b"HTTP/1.1 307 Moved\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"]
    assert drive(get(server)).status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize("timeout", [None, 2.5])
def test_a_request_s_own_timeout_takes_the_place_of_the_client_s(timeout: float | None) -> None:
    request, seen = Request("GET", "http://server.example", timeout=timeout), []

    def answer(sent: httpx.Request) -> httpx.Response:
        seen.append(sent.extensions["timeout"])
        return httpx.Response(200)

    async def asynchronously() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), timeout=7.0) as http:
            await perform_async(http, request)

    with httpx.Client(transport=httpx.MockTransport(answer), timeout=7.0) as http:
        perform(http, request)
    anyio.run(asynchronously)
    assert seen == [dict.fromkeys(("connect", "read", "write", "pool"), timeout or 7.0)] * 2


def test_steps_end_where_they_say_and_progress_is_told(drive: Any) -> None:
    def steps() -> Steps[str]:
        yield Progress(1.0, 2.0)
        yield Wait(2.0)
        return "end"

    told: list[Progress] = []
    assert drive(steps(), notify=told.append) == "end"
    assert told == [Progress(1.0, 2.0)]
    assert drive(steps()) == "end"


def test_a_task_that_asyncio_cancels_waits_for_the_step_that_computes() -> None:
    """A generator that computes cannot be closed, and whoever cancels closes it then."""
    computing, go, closed = threading.Event(), threading.Event(), []

    def steps() -> Steps[None]:
        try:
            computing.set()
            go.wait()
            yield Wait(0)
        finally:
            closed.append(True)

    async def cancelled() -> None:
        doing = steps()
        async with httpx.AsyncClient() as http:
            task = asyncio.create_task(run_async(http, doing))
            while not computing.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        doing.close()

    asyncio.run(cancelled())
    assert closed == [True]


def test_what_steps_raise_comes_out(drive: Any) -> None:
    def steps() -> Steps[None]:
        yield Wait(0.0)
        raise RemoteProtocolError("mine")

    with pytest.raises(RemoteProtocolError, match="mine"):
        drive(steps())
