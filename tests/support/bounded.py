"""A server with bounds around any ASGI application, in a thread of its own, and how long its callbacks take."""

import asyncio
import gc
import socket
import threading
import time
from asyncio import events
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from secagg.http.bodies import Bodies, Disconnected, Refusal
from secagg.http.bounds import Bounds
from secagg.http.server import configured


@dataclass
class Served:
    """A server that runs.

    Attributes:
        address: host and port.
        longest: seconds of its thread's CPU time that one callback of the event loop has taken, at most.
        connections: how many it has now.
    """

    address: tuple[str, int]
    server: uvicorn.Server
    longest: float = 0.0
    open_sockets: ExitStack = field(default_factory=ExitStack)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def working(self) -> int:
        """Connections with a whole request that is not answered."""
        protocol: Any = self.server.config.http
        return self.connections - len(protocol.args[1]) - len(protocol.args[2])

    @property
    def arriving(self) -> int:
        """Connections with a request of which the head is there, and not the rest."""
        protocol: Any = self.server.config.http
        return len(protocol.args[2])

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which this was sent; closed with the server."""
        connection = self.open_sockets.enter_context(socket.create_connection(self.address, timeout=60))
        connection.sendall(sent)
        return connection

    def ask(self, request: bytes) -> bytes:
        """The whole answer to a request that asks for the connection to be closed."""
        return answer(self.connect(request))


def on_a_loop() -> bool:
    """Whether an event loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def answer(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection, or resets it."""
    got = bytearray()
    with suppress(ConnectionResetError, BrokenPipeError):
        while part := connection.recv(1 << 16):
            got += part
    return bytes(got)


def one_answer(connection: socket.socket) -> bytes:
    """The next answer, of a connection that stays open; empty if the server has closed it."""
    got = bytearray()
    while b"\r\n\r\n" not in got:
        if not (part := connection.recv(1 << 16)):
            return bytes(got)
        got += part
    head = bytes(got.partition(b"\r\n\r\n")[0]).lower()
    size = len(head) + 4 + int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(got) < size:
        got += connection.recv(size - len(got))
    return bytes(got)


def status(response: bytes) -> int:
    """Of an answer's first line; 0 if there is none."""
    return int(response.split(b" ", 2)[1]) if response else 0


def echo(bounds: Bounds, max_bytes: int) -> Any:
    """An application that says how many bytes it was sent."""
    bodies = Bodies(bounds)

    async def app(scope: Mapping[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            return
        try:
            async with bodies.read(scope, receive, max_bytes) as content:
                await _send(send, 200, b"%d bytes" % len(content))
        except Refusal as refusal:
            again = [] if refusal.retry_after is None else [(b"retry-after", b"%d" % refusal.retry_after)]
            await _send(send, refusal.status, str(refusal).encode(), again)
        except Disconnected:
            pass

    return app


async def _send(send: Any, status: int, content: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": int(status), "headers": [length, *(headers or [])]})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def serving(app: Any, bounds: Bounds, **options: Any) -> Iterator[Served]:
    """Serve it on a free port of this machine, by asyncio's own loop, whose callbacks can be measured."""
    with ExitStack() as stack:
        sock = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        options = {"loop": "asyncio", "lifespan": "off"} | options
        server = uvicorn.Server(configured(app, bounds, **options))
        served = Served(sock.getsockname(), server)
        thread = threading.Thread(target=server.run, args=([sock],))
        stack.enter_context(_measured(served, thread))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server does not start"
                time.sleep(0.002)
            yield served
        finally:
            served.open_sockets.close()
            server.should_exit = True
            thread.join()


@contextmanager
def _measured(served: Served, thread: threading.Thread) -> Iterator[None]:
    """Every callback of that thread, by its own CPU time: how long others keep it waiting does not count."""
    run = events.Handle._run

    def measured(handle: events.Handle) -> Any:
        if threading.current_thread() is not thread:
            return run(handle)
        start = time.thread_time()
        try:
            return run(handle)
        finally:
            served.longest = max(served.longest, time.thread_time() - start)

    gc.freeze()  # what the tests' process holds is no work of the server's
    events.Handle._run = measured  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        gc.unfreeze()
        events.Handle._run = run  # type: ignore[method-assign]
