"""What a stream of the page tells of an Aggregator.

overview  what is not of one task, and which tasks are on this page of them; once it changes
task      all that the page shows of one task; once it changes
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial

from starlette.concurrency import run_in_threadpool

from ....http.page.resources import STREAMS_MAX
from ....http.page.stream import BEAT, Streams, event
from ....http.page.visits import Visit, Visits
from ....http.signals import Signal
from ...messages import Role
from ...store.engine import Store, StoreUnavailable
from ...store.tasks import KnownTasks
from . import view

PACE = 2.0  # seconds between two looks of a stream

log = logging.getLogger(__name__)

_Look = dict[str, str]  # events by the name of what they show


class Events:
    """What all streams tell. The store is read on a thread, one at a time, and each page once a PACE for all streams.

    Args:
        store: of this Aggregator.
        role: LEADER or HELPER.
        visits: the browsers that are signed in.
        stopping: set once the server is about to stop.
        clock: POSIX seconds.
        pace: seconds between two looks.
        beat: seconds between two events, at most.
    """

    def __init__(
        self,
        store: Store,
        role: Role,
        visits: Visits,
        stopping: Signal,
        clock: Callable[[], float],
        pace: float = PACE,
        beat: float = BEAT,
    ) -> None:
        self._store = store
        self._role = role
        self._clock = clock
        self._pace = pace
        self._streams = Streams(visits, stopping, clock, pace, beat)
        self._tasks = KnownTasks()
        self._looks: dict[int, tuple[float, _Look]] = {}  # by page, when it was looked at, the latest last
        self._looking = asyncio.Lock()

    def stream(self, visit: Visit, number: int) -> AsyncIterator[str]:
        """All events of one stream, which ends that browser's stream before.

        Args:
            visit: the browser.
            number: of the page of tasks, from 1 on.
        """
        return self._streams.stream(visit, partial(self._news, number))

    async def _news(self, number: int) -> AsyncGenerator[tuple[str, str], None]:
        for name, text in (await self._seen(number)).items():
            yield name, text

    async def _seen(self, number: int) -> _Look:
        """A page as it stands, or stood less than a PACE ago."""
        now = asyncio.get_running_loop().time
        async with self._looking:
            at, look = self._looks.get(number, (float("-inf"), {}))
            if now() - at >= 0.9 * self._pace:
                self._looks.pop(number, None)
                look = await run_in_threadpool(self._look, number)
                self._looks[number] = now(), look
                while len(self._looks) > STREAMS_MAX:
                    del self._looks[next(iter(self._looks))]
            return look

    def _look(self, number: int) -> _Look:
        now, role = self._clock(), self._role
        try:
            with self._store.read() as tx:
                found = {"": event("overview", view.overview_of(tx, self._tasks, role, number, now))}
                for record, added in view.tasks_of(tx, self._tasks, number):
                    found[record.task.text] = event("task", view.task_of(tx, record, role, added, now))
        except StoreUnavailable as error:
            log.warning("the page is not up to date: %s", error)
            return {"": event("overview", {"database": "does not answer", "role": role.name.lower()})}
        return found
