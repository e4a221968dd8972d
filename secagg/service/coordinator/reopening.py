"""When a session that could not be opened or removed is tried again: after pauses that grow, and sooner if asked for.

A disk that is full or away may be back soon. A journal that is damaged stays so until somebody puts it right, which
nobody tells us: it is tried as well, but seldom.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from ...arguments import flag, real

FIRST_SECONDS, DAMAGED_SECONDS = 5.0, 60.0
"""Before the second attempt, and at least between any two; the longer is for what is damaged. Each pause that nobody
cuts short is twice as long as the one before."""

LONGEST_SECONDS = 3600.0
SHARE = 10
"""A pause is at least so many times as long as the attempt before it took, whoever asks."""


class Reopening:
    """The attempts to open or remove one session.

    Args:
        ticks: seconds that are never set back.

    Attributes:
        attempts: that have failed in a row.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self.attempts = 0
        self._ticks = ticks
        self._earliest = self._due = ticks()
        self._woken = asyncio.Event()

    def failed(self, took: float, *, damaged: bool) -> None:
        """An attempt has failed.

        Args:
            took: the seconds that it took.
            damaged: whether another one is in vain until somebody puts the session's folder right.
        """
        first = DAMAGED_SECONDS if flag(damaged, "damaged") else FIRST_SECONDS
        least = min(max(first, SHARE * real(took, "took")), LONGEST_SECONDS)
        grown = min(first * 2.0 ** min(self.attempts, 20), LONGEST_SECONDS)
        self.attempts += 1
        self._earliest = self._ticks() + least
        self._due = self._ticks() + max(least, grown)

    def ask(self) -> float:
        """Somebody asks for the session, which is worth an attempt as soon as there may be one.

        Returns:
            The seconds until then.
        """
        if self._due > self._earliest:
            self._due = self._earliest
            self.wake()
        return self.seconds_left

    @property
    def seconds_left(self) -> float:
        """Until the next attempt; 0 if it is due."""
        return max(0.0, self._due - self._ticks())

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._woken.set()

    async def wait(self, stopping: asyncio.Event) -> None:
        """Wait until the next attempt is due.

        Args:
            stopping: set, and followed by `wake`, once there are to be no more attempts.
        """
        while self.seconds_left > 0 and not stopping.is_set():
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_left):
                    await self._woken.wait()
