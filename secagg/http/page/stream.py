"""The stream of events that keeps a page up to date (server-sent events, of the HTML standard).

Each page has kinds of its own; these two are of every page:

clock     POSIX seconds here; at least every BEAT, so that a silent stream is a broken one
end       why no more events come: "elsewhere", "signed-out" or "stopping"
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import ExitStack, aclosing, suppress
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ...arguments import real
from ..signals import Signal
from .visits import Visit, Visits

PACE = 1.0  # seconds between two looks
BEAT = 15.0

EVENTS = "text/event-stream"

News = Callable[[], AsyncGenerator[tuple[str, str], None]]
"""One look at everything that a page shows: a name for each part, and its event as it stands. An empty event leaves the
part as it was told."""


class Streams:
    """What all streams of a page have in common.

    Args:
        visits: the browsers that are signed in.
        stopping: set once the server is about to stop.
        clock: POSIX seconds.
        pace: seconds between two looks.
        beat: seconds between two events, at most.
    """

    def __init__(
        self, visits: Visits, stopping: Signal, clock: Callable[[], float], pace: float = PACE, beat: float = BEAT
    ) -> None:
        self._visits = visits
        self._stopping = stopping
        self._clock = clock
        self._pace = real(pace, "pace")
        self._beat = real(beat, "beat")

    async def stream(self, visit: Visit, news: News) -> AsyncIterator[str]:
        """All events of one stream, which ends that browser's stream before.

        Args:
            visit: the browser.
            news: looks.
        """
        visit.stream = own = object()
        loop, told, beat = asyncio.get_running_loop(), dict[str, str](), 0.0
        while (why := self._why_not(visit, own)) is None:
            # That the stream is still there, and what time it is.
            if loop.time() >= beat:
                beat = loop.time() + self._beat
                yield event("clock", self._clock())

            # Each part that is not as it was; one that is gone and comes again is told again.
            seen = dict[str, str]()
            async with aclosing(news()) as parts:
                async for name, text in parts:
                    before = told.get(name, "")
                    seen[name] = text or before
                    if seen[name] != before:
                        yield text
            told = seen
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pace)
        yield event("end", why)

    def _why_not(self, visit: Visit, own: object) -> str | None:
        """Why the stream ends; None if it goes on."""
        if self._stopping.is_set():
            return "stopping"
        if not self._visits.lasts(visit):
            return "signed-out"
        return None if visit.stream is own else "elsewhere"


def event(kind: str, data: Any) -> str:
    """One event as it is sent.

    Args:
        kind: its name.
        data: what JSON can write, in which there is no line feed.
    """
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


class EventStream(StreamingResponse):
    """The answer that a stream is.

    Args:
        events: of `Streams.stream`.
        held: what is let go of once the stream is over.
        headers: beside its own.
    """

    def __init__(self, events: AsyncIterator[str], held: ExitStack, headers: dict[str, str]) -> None:
        super().__init__(events, headers={**headers, "X-Accel-Buffering": "no"}, media_type=EVENTS)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        with self._held:
            await super().__call__(scope, receive, send)
