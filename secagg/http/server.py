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

FEED_BYTES = 1 << 16
"""Bytes that the parser takes at once, so that no callback of the event loop is long."""

PIPELINED_MAX = 16
"""Requests that a peer may send before the first of them is answered."""

HANDSHAKE_SECONDS = 10.0
"""For TLS' handshake, before which a connection is not ours to close."""

LINGER_SECONDS = 1.0
"""For which a peer that was refused may read why; what it had sent would otherwise reset the connection before."""

log = logging.getLogger(__name__)


def configured(app: Any, bounds: Bounds, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration for an application, bounded.

    Args:
        app: an ASGI application, or an import path with `factory=True`.
        bounds: see there.
        options: uvicorn's own.
    """
    fixed: dict[str, Any] = {
        "http": partial(BoundedProtocol, bounds, {}),
        "ws": "none",
        "loop": f"{__name__}:event_loop",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
    return uvicorn.Config(app, **fixed | options)


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, whose servers give a peer HANDSHAKE_SECONDS for TLS' handshake, and not a minute."""
    loop: Any = uvloop.new_event_loop()
    create_server = loop.create_server

    def bounded(*args: Any, ssl: Any = None, **options: Any) -> Any:
        limit = {} if ssl is None else {"ssl_handshake_timeout": HANDSHAKE_SECONDS}
        return create_server(*args, ssl=ssl, **limit, **options)

    loop.create_server = bounded
    return loop  # type: ignore[no-any-return]


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A head that is too long is answered with 431, one that takes too long with 408; then the
    connection is closed. So is one on which a request goes on for long after it was answered, or an answer is not read.

    Args:
        bounds: see there.
        idle: the process' connections on which nobody works, in the order in which they became so.
        args: uvicorn's.
        options: uvicorn's.
    """

    def __init__(self, bounds: Bounds, idle: dict["BoundedProtocol", None], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._idle = idle
        self._in_head = True
        self._head_bytes = 0
        self._refused = False
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
        self._stop_clock()
        self._idle.pop(self, None)
        self.pipeline.clear()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest: this one, where all others are at work."""
        oldest = next(iter(self._idle))
        if oldest is self:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later")
            return
        del self._idle[oldest]
        self.connections.discard(oldest)
        oldest.transport.abort()

    # --- Heads ------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the parser, a head no further than it may be long: the parser itself would gather any length, and take
        time that grows with its square."""
        start = 0
        while start < len(data) and not (self._refused or self.transport.is_closing()):
            size = FEED_BYTES
            if self._in_head:
                size = min(size, self._bounds.head_bytes - self._head_bytes)
                if size == 0:
                    kib = self._bounds.head_bytes >> 10
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {kib} KiB")
                    return
                if self._deadline is None:
                    self._start_clock()
            piece = data[start : start + size]
            start += size
            if self._in_head:
                self._head_bytes += len(piece)
            super().data_received(piece)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._stop_clock()
        self._idle.pop(self, None)
        if len(self.pipeline) >= PIPELINED_MAX:
            self.transport.abort()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        if self.cycle.response_complete:
            self._start_clock()  # uvicorn's, for a connection that is kept, ended when the request went on

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return  # of a pipelined request that waited the answer is still to come
        self._idle[self] = None
        if not self._in_head:
            # The peer still sends. If the connection ended now, the answer would be lost with it.
            self._unset_keepalive_if_required()
            self._start_clock()

    # --- Answers ----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Give a peer that does not read its answer as long as for a head, for what is buffered."""
        super().pause_writing()
        self._reading = self.loop.call_later(self._bounds.head_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

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
        if self._in_head and self._head_bytes:
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
