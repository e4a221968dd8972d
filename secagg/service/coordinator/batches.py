"""Short work that is done together: a thread is woken for all that has come, and not for each."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from ...arguments import whole

T = TypeVar("T")
R = TypeVar("R")

Outcomes = Sequence[R | Exception]


class Batches(Generic[T, R]):
    """One batch at a time is at work, and the next is all that has come meanwhile.

    To wake a thread and to hear from it costs more than to look into a session. So the more comes at once, the less
    each costs; and what comes alone waits for nobody.

    Args:
        run: has a function called, on a thread or later on.
        act: works on items in turn, and gives what each comes to, or the error that is to be raised for it. An error
            that it raises is raised for all of them.
        most: items that it is given at once, at most.
    """

    def __init__(
        self,
        run: Callable[[Callable[[], Outcomes[R]]], Awaitable[Outcomes[R]]],
        act: Callable[[list[T]], Outcomes[R]],
        most: int = sys.maxsize,
    ) -> None:
        self._run = run
        self._act = act
        self._most = whole(most, "most")
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """What an item comes to. Whoever stops waiting for it does not stop the work.

        Args:
            item: for a thread to work on.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                for (_, future), outcome in zip(batch, await self._done([item for item, _ in batch]), strict=True):
                    _tell(future, outcome)
        finally:
            self._working = None

    async def _done(self, items: list[T]) -> Outcomes[R]:
        try:
            return await self._run(partial(self._act, items))
        except Exception as error:
            return [error] * len(items)


def each(acts: list[Callable[[], R]]) -> list[R | Exception]:
    """What each function gives or raises.

    Args:
        acts: without arguments.
    """
    return [_outcome(act) for act in acts]


def _outcome(act: Callable[[], R]) -> R | Exception:
    try:
        return act()
    except Exception as error:
        return error


def _tell(future: "asyncio.Future[R]", outcome: R | Exception) -> None:
    if future.done():  # nobody waits for it any more
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
