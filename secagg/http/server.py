"""uvicorn with limits on connections and on the heads of requests, for any ASGI application.

uvicorn itself bounds neither the length of a head nor the time that it takes, and refuses everybody once silent
connections are as many as it may have. Nobody has to show who he is before a head is there: so one peer with one script
must not keep others out.
"""

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .bounds import Bounds
from .tls import encrypted

FEED_BYTES = 1 << 16
"""Bytes that are read from a connection, and that the parser takes, at once: no callback of the event loop is long."""

PIPELINED_MAX = 16
"""Requests that a peer may send before the first of them is answered."""

FIELDS_MAX = 100
"""Header fields of a request: many short ones take many times the memory of their bytes."""

LINGER_SECONDS = 1.0
"""For which a peer that was refused may read why; what it had sent would otherwise reset the connection before."""

log = logging.getLogger(__name__)

_Ordered = dict["BoundedProtocol", None]


def configured(app: Any, bounds: Bounds, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration for an application, bounded.

    Args:
        app: an ASGI application, or an import path with `factory=True`.
        bounds: see there.
        options: uvicorn's own.
    """
    fixed: dict[str, Any] = {
        "http": partial(ReadInPieces, bounds, {}, {}, bytearray(FEED_BYTES)),
        "ws": "none",
        "loop": f"{__name__}:event_loop",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
    return uvicorn.Config(app, **fixed | options)


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, whose servers speak TLS as `tls.encrypted` does."""
    loop: Any = uvloop.new_event_loop()
    create_server = loop.create_server

    def create(factory: Any, *args: Any, ssl: Any = None, **options: Any) -> Any:
        return create_server(factory if ssl is None else encrypted(ssl, factory), *args, **options)

    loop.create_server = create
    return loop  # type: ignore[no-any-return]


class ReadInPieces(asyncio.BufferedProtocol):
    """A BoundedProtocol that is given FEED_BYTES at once: an event loop may read four times as many by itself, which a
    thousand connections would all hold at the same time.

    Args:
        bounds: see `BoundedProtocol`, as for the others.
        idle: see there.
        arriving: see there.
        buffer: FEED_BYTES to read to, of all connections of one event loop, which copies what it has read at once. Two
            loops need one each: a loop reads without the interpreter's lock, and would fill the other's requests. It
            can be pickled, as uvicorn does to give a configuration to its processes.
        args: uvicorn's.
        options: uvicorn's.
    """

    def __init__(
        self, bounds: Bounds, idle: "_Ordered", arriving: "_Ordered", buffer: bytearray, *args: Any, **options: Any
    ) -> None:
        self._buffer = memoryview(buffer)
        self._protocol = BoundedProtocol(bounds, idle, arriving, *args, **options)
        self.connection_made = self._protocol.connection_made  # type: ignore[method-assign, assignment]
        self.connection_lost = self._protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = self._protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = self._protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = self._protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self._protocol.data_received(bytes(self._buffer[:nbytes]))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A head that is too long is answered with 431, one that takes too long with 408; then the
    connection is closed. So is one on which a request goes on for long after it was answered, or an answer is not read.

    Args:
        bounds: see there.
        idle: the process' connections on which nobody works, in the order in which they became so.
        arriving: those with a request that is not there as a whole, in the order in which its head was.
        args: uvicorn's.
        options: uvicorn's.
    """

    def __init__(self, bounds: Bounds, idle: "_Ordered", arriving: "_Ordered", *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._idle = idle
        self._arriving = arriving
        self._in_head = True
        self._head_bytes = 0  # or outside a head, bytes that are no content: of chunks' sizes and of trailers
        self._refused = False
        self._lost = False
        self._unread = 0  # bytes of answers when it was looked last
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    # --- Connections ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle[self] = None
        self._start_clock()
        while len(self.connections) > self._bounds.connections and not self._refused:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._stop_clock()
        self.resume_writing()
        self._idle.pop(self, None)
        self._arriving.pop(self, None)
        self.pipeline.clear()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, or else that has been sending its request for longest.
        Where all others are at work, refuse this one."""
        oldest = next((other for other in (*self._idle, *self._arriving) if other is not self), None)
        if oldest is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later")
            return
        self._idle.pop(oldest, None)
        self._arriving.pop(oldest, None)
        self.connections.discard(oldest)
        oldest.transport.abort()

    def _close_soon(self) -> None:
        """The connection is closing, and its last bytes are not read yet: it waits for that no longer than for a head,
        and makes room for others."""
        self._idle[self] = None
        self._start_clock()

    # --- Heads ------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the parser, a head no further than it may be long: the parser itself would gather any length, and take
        time that grows with its square."""
        start = 0
        while start < len(data) and not (self._refused or self.transport.is_closing()):
            size = FEED_BYTES
            if self._in_head:
                size = min(size, self._bounds.head_bytes - self._head_bytes)
                if self._deadline is None:
                    self._start_clock()
            if size == 0:
                kib = self._bounds.head_bytes >> 10
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {kib} KiB")
                return
            if self._head_bytes > self._bounds.head_bytes:  # of trailers or chunks' extensions
                self.transport.abort()
                return
            piece = data[start : start + size]
            start += size
            self._head_bytes += len(piece)
            super().data_received(piece)
        if self.transport.is_closing() and not (self._refused or self._lost):
            self._close_soon()
        self._wait_for_the_application()

    def _wait_for_the_application(self) -> None:
        """Read no more of a content before the application asks for more of it: uvicorn would read ahead."""
        if not (self._in_head or self._refused or self.transport.is_closing()) and self.cycle.body:
            self.flow.pause_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which nobody asks for
        super().on_header(name, value)
        if len(self.headers) > FIELDS_MAX and not self._refused:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {FIELDS_MAX} fields")

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        if not self._refused:
            super().on_body(body)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._in_head, self._head_bytes = False, 0
        self._stop_clock()
        self._idle.pop(self, None)
        self._arriving[self] = None
        if len(self.pipeline) >= PIPELINED_MAX:
            self.transport.abort()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._refused:
            return
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0
        self._arriving.pop(self, None)
        if self.cycle.response_complete:
            self._start_clock()  # uvicorn's, for a connection that is kept, ended when the request went on

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._lost:
            return
        if self.transport.is_closing():
            self._close_soon()
            return
        if not self.cycle.response_complete:
            return  # of a pipelined request that waited the answer is still to come
        self.cycle.body.clear()
        self._arriving.pop(self, None)
        self._idle[self] = None
        if not self._in_head:
            # The peer still sends. If the connection ended now, the answer would be lost with it.
            self._unset_keepalive_if_required()
            self._start_clock()

    # --- Answers ----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Look now and then whether the peer reads its answer, at the rate at which it has to send."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _look_again(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self._bounds.body_window, self._check_reading)

    def _check_reading(self) -> None:
        read = self._unread - self.transport.get_write_buffer_size()
        if read < self._bounds.body_rate * self._bounds.body_window:
            self.transport.abort()
        else:
            self._look_again()

    # --- Time -------------------------------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self._bounds.head_seconds, self._too_late)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self._in_head and self._head_bytes and not self.transport.is_closing():
            seconds = self._bounds.head_seconds
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"a request's head must come within {seconds:g} s")
        else:
            self.transport.abort()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        log.info("a connection was closed: %s", message)
        head = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        again = "Retry-After: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
        self.transport.write(f"{head}{again}Content-Length: {len(message)}\r\n\r\n{message}".encode("ascii"))
        self.transport.pause_reading()
        self._refused = True
        self._stop_clock()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
