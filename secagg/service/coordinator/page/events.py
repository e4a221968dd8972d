"""The stream of events that keeps the page up to date (server-sent events, of the HTML standard).

list      the names of all sessions, and which could not be opened; once they change
session   all that the page shows of one session; once it changes, but at most once a PACE
clock     POSIX seconds here; at least every BEAT, so that a silent stream is a broken one
end       why no more events come: "elsewhere", "signed-out" or "stopping"
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ....arguments import real
from ...problems import ServiceProblem
from ...running import RunningSession
from ..live import LiveSession
from ..sessions import Sessions
from ..signals import Signal
from .view import view
from .visits import Visit, Visits

PACE = 1.0  # seconds between two looks
BEAT = 15.0

EVENTS = "text/event-stream"


class Events:
    """What all streams tell; each session's state is written once for all of them.

    Args:
        sessions: all of them.
        visits: the browsers that are signed in.
        stopping: set once the coordinator is about to stop.
        pace: seconds between two looks.
        beat: seconds between two events, at most.
    """

    def __init__(
        self, sessions: Sessions, visits: Visits, stopping: Signal, pace: float = PACE, beat: float = BEAT
    ) -> None:
        self._sessions = sessions
        self._visits = visits
        self._stopping = stopping
        self._pace = real(pace, "pace")
        self._beat = real(beat, "beat")
        self._written: dict[str, tuple[LiveSession, int, str]] = {}
        self._writing = asyncio.Lock()  # one thread at most looks on behalf of pages

    async def stream(self, visit: Visit) -> AsyncIterator[str]:
        """All events of one stream, which ends that browser's stream before.

        Args:
            visit: the browser.
        """
        visit.stream = own = object()
        loop, told, listed, beat = asyncio.get_running_loop(), dict[str, str](), "", 0.0
        while (why := self._why_not(visit, own)) is None:
            # That the stream is still there, and what time it is.
            if loop.time() >= beat:
                beat = loop.time() + self._beat
                yield event("clock", self._sessions.clock())

            # Which sessions there are, and then each that is not as it was.
            lives = self._sessions.all
            if (names := self._list(lives)) != listed:
                listed = names
                yield listed
            told = {live.name: told.get(live.name, "") for live in lives}
            for live in lives:
                text = await self._session(live)
                if text and text != told[live.name]:
                    told[live.name] = text
                    yield text
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

    def _list(self, lives: list[LiveSession]) -> str:
        for name in self._written.keys() - {live.name for live in lives}:
            del self._written[name]
        return event("list", {"names": [live.name for live in lives], "unopened": sorted(self._sessions.unopened)})

    async def _session(self, live: LiveSession) -> str:
        """The event of a session as it stands; empty while it is being opened again."""
        async with self._writing:
            known, news, text = self._written.get(live.name, (None, 0, ""))
            if known is not live or news != live.news:
                news = live.news  # before the look: what comes meanwhile is looked at again
                try:
                    text = await live.work(_look, live.running)
                except ServiceProblem:
                    text = ""
                self._written[live.name] = live, news, text
            return text


def _look(running: RunningSession) -> str:
    return event("session", view(running.setup, running.describe()))


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
        events: of `Events.stream`.
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
