"""What a stream of the page tells of the coordinator.

list      the names of all sessions, and which could not be opened; once they change
session   all that the page shows of one session; once it changes, but at most once a PACE
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from ....http.page.stream import BEAT, PACE, Streams, event
from ....http.page.visits import Visit, Visits
from ....http.signals import Signal
from ...problems import ServiceProblem
from ...running import RunningSession
from ..live import LiveSession
from ..sessions import Sessions
from .view import view


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
        self._streams = Streams(visits, stopping, sessions.clock, pace, beat)
        self._written: dict[str, tuple[LiveSession, int, str]] = {}
        self._writing = asyncio.Lock()  # one thread at most looks on behalf of pages

    def stream(self, visit: Visit) -> AsyncIterator[str]:
        """All events of one stream, which ends that browser's stream before.

        Args:
            visit: the browser.
        """
        return self._streams.stream(visit, self._news)

    async def _news(self) -> AsyncGenerator[tuple[str, str], None]:
        """Which sessions there are, and then each of them."""
        lives = self._sessions.all
        yield "", self._list(lives)
        for live in lives:
            yield live.name, await self._session(live)

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
