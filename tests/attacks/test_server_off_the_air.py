"""One peer that nobody knows, with one script, wants a server for itself."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from secagg.http.bodies import Bodies, Refusal
from secagg.http.bounds import Bounds

from ..support.bounded import Served, answer, echo, one_answer, serving, status

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
ASK = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
CALLBACK_SECONDS = 0.05
MIB = 1 << 20
LONG = 3600.0  # seconds that no test waits for

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an application that says how many bytes it was sent; no callback of it may have taken long."""
    with ExitStack() as stack:
        all_served = []

        def start(max_bytes: int = 16 * MIB, **bounds: Any) -> Served:
            limits = Bounds(**{"head_seconds": LONG, "body_window": LONG} | bounds)
            all_served.append(stack.enter_context(serving(echo(limits, max_bytes), limits)))
            return all_served[-1]

        yield start
        assert all(served.longest < CALLBACK_SECONDS for served in all_served), [s.longest for s in all_served]


def post(content: bytes) -> bytes:
    return HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def flood(connection: socket.socket, piece: bytes, times: int) -> int:
    """Send a piece over and over; how often until the server had enough."""
    for sent in range(times):
        try:
            connection.sendall(piece)
        except OSError:
            return sent
    return times


# --- Heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(HEAD + b"X: ", b"a" * 65536, id="a value"),
        pytest.param(HEAD, b"X: a\r\n" * 10000, id="lines"),
        pytest.param(b"GET /", b"a" * 65536, id="a path"),
        pytest.param(HEAD, b"a" * 65536, id="a name"),
        pytest.param(b"", b"a" * 65536, id="a method"),
    ],
)
def test_an_endless_head_is_refused_and_others_are_answered(serve: Serve, start: bytes, piece: bytes) -> None:
    served = serve()
    connection = served.connect(start)
    assert flood(connection, piece, 96 * MIB // len(piece)) < 96 * MIB // len(piece)
    assert status(answer(connection)) in (431, 400, 0)  # 0: the answer went with the reset
    assert status(served.ask(ASK)) == 200


def test_a_head_has_its_bytes_and_not_one_more(serve: Serve) -> None:
    served = serve(head_bytes=1000)
    request = HEAD + b"Connection: close\r\nX: %s\r\n\r\n"
    fits = request % (b"a" * (1000 - len(request) + 2))
    assert len(fits) == 1000
    assert status(served.ask(fits)) == 200
    assert status(served.ask(request % (b"a" * (1001 - len(request) + 2)))) == 431
    connection = served.connect(fits.replace(b"Connection: close", b"Connection: okay!"))
    assert status(one_answer(connection)) == 200
    connection.sendall(fits)
    assert status(answer(connection)) == 200  # every request has its own


def test_half_a_head_has_its_time(serve: Serve) -> None:
    served = serve(head_seconds=0.2)
    assert status(answer(served.connect(HEAD))) == 408
    assert answer(served.connect()) == b""  # who said nothing is told nothing
    connection = served.connect(ASK.replace(b"Connection: close\r\n", b""))
    assert status(one_answer(connection)) == 200
    connection.sendall(HEAD)
    assert status(answer(connection)) == 408


def test_a_head_that_drips_has_no_more_time(serve: Serve) -> None:
    served = serve(head_seconds=0.3)
    connection = served.connect()
    with suppress(OSError):
        while True:
            connection.sendall(b"X")
            time.sleep(0.05)
    assert status(served.ask(ASK)) == 200


@pytest.mark.parametrize("piece", [b"ab:cd\r\n" * 1000, b"a" * 65536], ids=["fields", "one value"])
@pytest.mark.parametrize("start", [b"1\r\na\r\n0\r\nx: ", b"1;x="], ids=["trailers", "a chunk's extension"])
def test_what_is_no_content_is_bounded_outside_heads_too(serve: Serve, start: bytes, piece: bytes) -> None:
    served = serve()
    connection = served.connect(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + start)
    assert flood(connection, piece, 96 * MIB // len(piece)) < 96 * MIB // len(piece)
    assert status(served.ask(ASK)) == 200


def test_trailers_are_taken_and_left_out(serve: Serve) -> None:
    chunks = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: trailer\r\n\r\n"
    request = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert serve().ask(request).endswith(b"5 bytes")


def test_a_head_has_a_hundred_fields_at_most(serve: Serve) -> None:
    served = serve()
    for count, code in ((98, 200), (101, 431)):
        request = HEAD + b"Connection: close\r\n" + b"X: y\r\n" * count + b"\r\n"
        assert status(served.ask(request)) == code


# --- Connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["silent", "half a head"])
def test_idle_connections_make_room_for_others(serve: Serve, sent: bytes) -> None:
    served = serve(connections=50)
    for _ in range(120):
        served.connect(sent)
        assert served.connections <= 50 + 1
    for _ in range(3):
        assert status(served.ask(ASK)) == 200


def test_a_thousand_silent_sockets_and_a_thousand_half_heads(serve: Serve) -> None:
    served = serve(connections=400)
    for _ in range(200):
        served.connect()
        served.connect(HEAD)
    assert status(served.ask(ASK)) == 200


def test_answered_connections_that_are_kept_make_room(serve: Serve) -> None:
    served = serve(connections=5)
    for _ in range(9):
        connection = served.connect(ASK.replace(b"Connection: close\r\n", b""))
        assert status(one_answer(connection)) == 200
    assert status(served.ask(ASK)) == 200


def test_connections_at_work_are_not_cut_for_new_ones() -> None:
    done = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while not done.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    with serving(slow, Bounds(connections=3)) as served:
        working = [served.connect(ASK) for _ in range(3)]
        assert eventually(lambda: served.working == 3)
        assert [status(served.ask(ASK)) for _ in range(3)] == [503] * 3
        done.set()
        assert all(answer(connection).endswith(b"done") for connection in working)
        assert eventually(lambda: status(served.ask(ASK)) == 200)


def test_requests_whose_content_does_not_come_make_room(serve: Serve) -> None:
    """A head is as cheap as a connection, and held its place as long as a content may take."""
    served = serve(connections=5)
    for count in range(1, 6):
        served.connect(HEAD + b"Content-Length: 1\r\n\r\n")
        assert eventually(lambda: served.arriving == count)  # noqa: B023
    for _ in range(3):
        assert status(served.ask(post(b"abc"))) == 200


def test_closing_connections_that_are_not_read_make_room() -> None:
    """Of an answer that fits into the buffers there is nothing to wait for but its reader."""

    answered = list[object]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = bytes(8 * MIB if scope["path"] == "/long" else 1)
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})
        answered.append(scope)

    with serving(app, Bounds(connections=3, head_seconds=LONG, body_window=LONG)) as served:
        for count in range(1, 4):
            served.connect(ASK.replace(b"GET /", b"GET /long"))
            assert eventually(lambda: len(answered) == count)  # noqa: B023
        assert [status(served.ask(ASK)) for _ in range(3)] == [200] * 3


def eventually(holds: Callable[[], bool]) -> bool:
    """Once the server has noticed what was just done."""
    return any(holds() or time.sleep(0.01) for _ in range(3000))  # type: ignore[func-returns-value]


# --- Contents --------------------------------------------------------------------------------------------------------


def test_declared_contents_take_no_room(serve: Serve) -> None:
    served = serve()
    for _ in range(40):
        served.connect(HEAD + b"Content-Length: %d\r\n\r\n" % (16 * MIB))
    assert status(served.ask(post(bytes(15 * MIB)))) == 200


@pytest.mark.parametrize("length", [b"99999999999", b"9" * 30, b"16777217"])
def test_a_declared_length_beyond_the_limit_is_refused_at_once(serve: Serve, length: bytes) -> None:
    served = serve()
    connection = served.connect(HEAD + b"Content-Length: %s\r\n\r\n" % length)
    assert status(one_answer(connection)) in ({413} if len(length) < 20 else {413, 400})


def test_chunks_beyond_the_limit_are_refused_as_they_come(serve: Serve) -> None:
    served = serve(max_bytes=100_000)
    connection = served.connect(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.sendall((b"8000\r\n" + bytes(0x8000) + b"\r\n") * 4)
    assert status(one_answer(connection)) == 413


def test_a_content_that_drips_is_refused(serve: Serve) -> None:
    served = serve(body_window=0.2, body_rate=1000)
    connection = served.connect(HEAD + b"Content-Length: 1000000\r\n\r\n")
    connection.settimeout(0.05)
    got = b""
    while not got:
        connection.sendall(b"a")
        with suppress(TimeoutError):
            got = one_answer(connection)
    assert status(got) == 408


def test_a_content_at_the_least_rate_is_taken(serve: Serve) -> None:
    """A byte in each window is as much as is asked for; it takes more windows than one."""
    served = serve(body_window=1.5, body_rate=0.5)
    connection = served.connect(HEAD + b"Connection: close\r\nContent-Length: 40\r\n\r\n")
    for _ in range(40):
        connection.sendall(b"a")
        time.sleep(0.1)
    assert answer(connection).endswith(b"40 bytes")


def test_contents_of_all_requests_have_one_room(serve: Serve) -> None:
    served = serve(buffered_bytes=MIB)
    held = [served.connect(HEAD + b"Content-Length: 400000\r\n\r\n" + bytes(399_999)) for _ in range(2)]
    assert eventually(lambda: b"retry-after: 1" in (served.ask(post(bytes(400_000)))))
    for connection in held:
        connection.sendall(b"a")
        assert status(one_answer(connection)) == 200
    assert eventually(lambda: status(served.ask(post(bytes(400_000)))) == 200)


def test_slow_contents_give_their_room_to_others(serve: Serve) -> None:
    served = serve(buffered_bytes=MIB, body_window=0.3, body_rate=1)
    slow = [served.connect(HEAD + b"Content-Length: 400000\r\n\r\n" + bytes(399_000)) for _ in range(2)]
    time.sleep(0.4)
    assert eventually(lambda: status(served.ask(post(bytes(400_000)))) == 200)
    assert status(slow[0].recv(1000)) in (503, 408)


def test_a_request_that_goes_on_after_its_answer_is_cut(serve: Serve) -> None:
    served = serve(head_seconds=0.2, max_bytes=10)
    connection = served.connect(HEAD + b"Content-Length: 1000\r\n\r\n")
    assert status(one_answer(connection)) == 413
    with suppress(OSError):
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)
    assert eventually(lambda: served.connections == 0)


def test_a_request_that_ends_soon_after_its_answer_keeps_the_connection(serve: Serve) -> None:
    served = serve(max_bytes=10)
    connection = served.connect(HEAD + b"Content-Length: 11\r\n\r\n")
    assert status(one_answer(connection)) == 413
    connection.sendall(bytes(11) + ASK)
    assert status(answer(connection)) == 200


def test_an_answer_that_is_not_read_ends_the_connection() -> None:
    asked = list[object]()

    async def long_answer(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(MIB // 4), "more_body": True})
        await send({"type": "http.response.body"})

    with serving(long_answer, Bounds(body_window=0.3)) as served:
        silent = [served.connect(ASK) for _ in range(20)]
        assert eventually(lambda: len(asked) == 20 and served.connections == 0)
        assert all(len(answer(connection)) < 25 * MIB for connection in silent)
        assert len(served.ask(ASK)) > 25 * MIB


def test_a_long_answer_has_its_time_if_it_is_read() -> None:
    async def long_answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(8 * MIB)})

    with serving(long_answer, Bounds(body_window=0.2, body_rate=1000)) as served:
        connection = served.connect(ASK)
        got = 0
        while part := connection.recv(MIB // 4):
            got += len(part)
            time.sleep(0.02)
        assert got > 8 * MIB


def test_room_is_not_lost_where_two_contents_run_out_of_time_at_once() -> None:
    """One gives up its room just when its own time is over."""

    async def scene() -> int:
        bounds = Bounds(buffered_bytes=100, body_window=0.05, body_rate=1)
        bodies, never = Bodies(bounds), asyncio.Event()

        async def hold(first: bytes) -> None:
            events = [{"type": "http.request", "body": first, "more_body": True}]

            async def receive() -> Any:
                if not events:
                    await never.wait()
                return events.pop()

            with suppress(Refusal):
                async with bodies.read({"headers": []}, receive, 100):
                    raise AssertionError

        slow = [asyncio.create_task(hold(bytes(40))) for _ in range(2)]
        await asyncio.sleep(0.01)
        (oldest, _) = bodies._arriving
        assert oldest._waiting is not None
        oldest._waiting.reschedule(asyncio.get_running_loop().time())
        await asyncio.sleep(0)  # its timer has fired, and its task has not gone on
        bodies._free += oldest.give_up()
        del bodies._arriving[oldest]
        await asyncio.gather(*slow)
        return bodies._free

    assert asyncio.run(scene()) == 100


# --- Pipelines -------------------------------------------------------------------------------------------------------


def test_requests_before_the_answers_are_few(serve: Serve) -> None:
    served = serve()
    waiting = HEAD + b"Content-Length: 1\r\n\r\n"
    connection = served.connect()
    flood(connection, waiting + b"a" + (HEAD + b"Content-Length: 0\r\n\r\n") * 20_000, 4)
    answer(connection)  # until the server closes it
    assert status(served.ask(ASK)) == 200


def test_a_few_requests_in_a_row_are_answered_in_order(serve: Serve) -> None:
    served = serve()
    requests = [HEAD + b"Content-Length: %d\r\n\r\n" % n + bytes(n) for n in range(1, 9)]
    got = served.ask(b"".join(requests) + ASK)
    assert [line for line in got.replace(b"HTTP", b"\nHTTP").splitlines() if line.endswith(b"bytes")] == [
        b"%d bytes" % n for n in [*range(1, 9), 0]
    ]


# --- Reading ahead ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "secagg.http.server:event_loop"])
def test_of_a_content_that_nobody_takes_little_is_read(loop: str) -> None:
    """A thousand contents on their way must not lie in memory before anybody has asked for them."""
    done = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(done.wait)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with serving(app, Bounds(), loop=loop) as served:
        connection = served.connect(HEAD + b"Content-Length: %d\r\n\r\n" % (64 * MIB))
        connection.settimeout(0.5)
        with suppress(TimeoutError):
            connection.sendall(bytes(64 * MIB))
        (protocol,) = served.server.server_state.connections
        held = len(protocol.cycle.body)  # type: ignore[union-attr]
        done.set()
    assert 0 < held <= 1 << 16
