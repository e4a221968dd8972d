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


Write = Callable[[bytes], Awaitable[None]]


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
        check_declared(scope, max_bytes)
        arrival = _Arrival(self._bounds)
        try:
            await self._read(arrival, receive, max_bytes, partial(self._take, arrival), arrival.keep)
            # A long one is copied on a thread: the event loop would stand still.
            yield arrival.content() if arrival.held < LONG_BYTES else await asyncio.to_thread(arrival.content)
        finally:
            self._free += arrival.held

    @asynccontextmanager
    async def spool(
        self, scope: Scope, receive: Receive, max_bytes: int, write: Write, in_memory: int
    ) -> AsyncIterator[None]:
        """Pass on a request's content as it arrives.

        A content of at most `in_memory` bytes is taken to stay in memory, and takes its room until the context ends. A
        longer one takes no room: of each there is one part at a time, of some 100 KiB at most, since no more is taken
        from the peer while a part is written. The peer's time stands still meanwhile.

        Args:
            scope: ASGI's, of the request.
            receive: ASGI's.
            max_bytes: that the content may have.
            write: is called with each part in turn.
            in_memory: the largest content that stays in memory.

        Raises:
            Refusal: it is longer or declares that it will be (413), comes too slowly (408), or finds no room (503).
            Disconnected: the peer went away.
        """
        check_declared(scope, max_bytes)
        arrival = _Arrival(self._bounds)

        def take(size: int) -> None:
            if arrival.arrived + size <= in_memory:
                self._take(arrival, size)
            else:
                self._release(arrival)

        try:
            await self._read(arrival, receive, max_bytes, take, write)
            yield
        finally:
            self._release(arrival)

    async def _read(
        self, arrival: "_Arrival", receive: Receive, max_bytes: int, take: Callable[[int], None], write: Write
    ) -> None:
        self._arriving[arrival] = None
        try:
            await arrival.read(receive, max_bytes, take, write)
        finally:
            self._arriving.pop(arrival, None)

    def _release(self, arrival: "_Arrival") -> None:
        """From now on the content takes no room, and need not give up any."""
        self._arriving.pop(arrival, None)
        self._free += arrival.held
        arrival.held = 0

    def _take(self, arrival: "_Arrival", size: int) -> None:
        while self._free < size:
            oldest = next(iter(self._arriving))  # this one at the latest
            if oldest is arrival or not oldest.is_slow():
                raise _no_room()
            del self._arriving[oldest]
            self._free += oldest.give_up()
        self._free -= size
        arrival.held += size


class _Arrival:
    """One request's content on its way."""

    def __init__(self, bounds: Bounds) -> None:
        self.held = 0  # bytes that take room
        self.arrived = 0
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

    async def read(self, receive: Receive, max_bytes: int, take: Callable[[int], None], write: Write) -> None:
        """Until it is whole; each window must bring what the rate asks for."""
        window = self._bounds.body_window
        start, until = 0, self._started + window
        more = True
        while more:
            event = await self._next(receive, until)
            if event is not None:
                part, more = self._taken(event, max_bytes, take)
                since = self._loop.time()
                await write(part)
                until += self._loop.time() - since
                self._check_not_given_up()
            if more and self._loop.time() >= until:
                if self.arrived - start < self._bounds.body_rate * window:
                    rate = self._bounds.body_rate
                    raise Refusal(
                        HTTPStatus.REQUEST_TIMEOUT, f"a request's content must come at {rate:g} bytes a second"
                    )
                start, until = self.arrived, self._loop.time() + window

    async def _next(self, receive: Receive, until: float) -> Any:
        """ASGI's next event; None if there is none in time."""
        try:
            async with asyncio.timeout_at(until) as self._waiting:
                event = await receive()
        except TimeoutError:
            event = None
        finally:
            self._waiting = None
        self._check_not_given_up()
        return event

    def _check_not_given_up(self) -> None:
        if self._given_up:
            raise _no_room()

    def _taken(self, event: Any, max_bytes: int, take: Callable[[int], None]) -> tuple[bytes, bool]:
        """What an event brings, and whether more is to come."""
        if event["type"] == "http.disconnect":
            raise Disconnected("the peer went away")
        part: bytes = event.get("body", b"")
        if self.arrived + len(part) > max_bytes:
            raise _too_long(max_bytes)
        take(len(part))
        self.arrived += len(part)
        return part, bool(event.get("more_body", False))

    async def keep(self, part: bytes) -> None:
        """Write a part into memory."""
        self._content += part

    def content(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


def check_declared(scope: Scope, max_bytes: int) -> None:
    """Refuse a request that says that it is too long, before its content comes.

    Args:
        scope: ASGI's, of the request.
        max_bytes: that the content may have.

    Raises:
        Refusal: it declares more (413).
    """
    declared = dict(scope["headers"]).get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_long(max_bytes)


def _too_long(max_bytes: int) -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {max_bytes:,} bytes here")


def _no_room() -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again later", retry_after=1)
