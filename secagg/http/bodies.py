"""The contents of requests, read with limits on size, time and memory, for any ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

from ..errors import SecAggError
from .bounds import Bounds

LONG_BYTES = 1 << 20

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]


class Refusal(SecAggError):
    """A request is refused for what it takes, before the application has looked into it.

    Attributes:
        status: the HTTP status code to answer.
        retry_after: seconds after which the same request may be taken; None if never.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Disconnected(SecAggError):
    """The peer went away before the request was there."""


class Bodies:
    """The contents of all requests that a process has in memory.

    Bytes count from when they arrive until the request is answered, and not before: what is only declared takes no
    room. Where none is left, the content that has been arriving for longest gives up its own, if that is longer than
    `body_window`: those who send slowly keep others out for no longer.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._free = bounds.buffered_bytes
        self._arriving: dict[_Arrival, None] = {}  # the oldest first

    @asynccontextmanager
    async def read(self, scope: Scope, receive: Receive, max_bytes: int) -> AsyncIterator[bytes]:
        """A request's content, which takes its room until the context ends.

        Args:
            scope: ASGI's, of the request.
            receive: ASGI's.
            max_bytes: that the content may have.

        Raises:
            Refusal: it is longer or declares that it will be (413), comes too slowly (408), or finds no room (503).
            Disconnected: the peer went away.
        """
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > max_bytes:
            raise _too_long(max_bytes)
        arrival = _Arrival(self._bounds)
        self._arriving[arrival] = None
        try:
            try:
                await arrival.read(receive, max_bytes, partial(self._take, arrival))
            finally:
                self._arriving.pop(arrival, None)
            # A long one is copied on a thread: the event loop would stand still.
            yield arrival.content() if arrival.held < LONG_BYTES else await asyncio.to_thread(arrival.content)
        finally:
            self._free += arrival.held

    def _take(self, arrival: "_Arrival", size: int) -> None:
        while self._free < size:
            oldest = next(iter(self._arriving))
            if oldest is arrival or not oldest.is_slow():
                raise _no_room()
            del self._arriving[oldest]
            self._free += oldest.give_up()
        self._free -= size
        arrival.held += size


class _Arrival:
    """One request's content on its way."""

    def __init__(self, bounds: Bounds) -> None:
        self.held = 0
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._content = bytearray()  # no list of parts, each of which would take 40 bytes more than it has
        self._waiting: asyncio.Timeout | None = None
        self._given_up = False

    def is_slow(self) -> bool:
        return self._loop.time() - self._started > self._bounds.body_window

    def give_up(self) -> int:
        """End `read` with a refusal, and return the bytes that it held."""
        self._given_up, held, self.held = True, self.held, 0
        self._content.clear()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._loop.time())
        return held

    async def read(self, receive: Receive, max_bytes: int, take: Callable[[int], None]) -> None:
        """Until it is whole; each window must bring what the rate asks for."""
        window = self._bounds.body_window
        start, until = 0, self._started + window
        more = True
        while more:
            event = await self._next(receive, until)
            if event is not None:
                more = self._add(event, max_bytes, take)
            if more and self._loop.time() >= until:
                if self.held - start < self._bounds.body_rate * window:
                    rate = self._bounds.body_rate
                    raise Refusal(
                        HTTPStatus.REQUEST_TIMEOUT, f"a request's content must come at {rate:g} bytes a second"
                    )
                start, until = self.held, self._loop.time() + window

    async def _next(self, receive: Receive, until: float) -> Any:
        """ASGI's next event; None if there is none in time."""
        try:
            async with asyncio.timeout_at(until) as self._waiting:
                event = await receive()
        except TimeoutError:
            event = None
        finally:
            self._waiting = None
        if self._given_up:
            raise _no_room()
        return event

    def _add(self, event: Any, max_bytes: int, take: Callable[[int], None]) -> bool:
        """Keep what an event brings; whether more is to come."""
        if event["type"] == "http.disconnect":
            raise Disconnected("the peer went away")
        part = event.get("body", b"")
        if self.held + len(part) > max_bytes:
            raise _too_long(max_bytes)
        take(len(part))
        self._content += part
        return bool(event.get("more_body", False))

    def content(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def _too_long(max_bytes: int) -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {max_bytes:,} bytes here")


def _no_room() -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again later", retry_after=1)
