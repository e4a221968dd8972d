"""Where a coordinator blocks: never on the event loop."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from ...arguments import whole

T = TypeVar("T")

_QUICK, _WRITES, _TICKS = 16, 8, 8


class Threads:
    """Threads for four kinds of work, none of which can keep the others waiting for a thread.

    Args:
        deliveries: how many wait for the disk, and give messages to sessions.
    """

    def __init__(self, deliveries: int) -> None:
        self._deliveries = CapacityLimiter(whole(deliveries, "deliveries"))
        self._quick = CapacityLimiter(_QUICK)
        self._writes = CapacityLimiter(_WRITES)
        self._ticks = CapacityLimiter(_TICKS)

    async def quick(self, act: Callable[[], T]) -> T:
        """What takes a few milliseconds, such as reading a request.

        Args:
            act: what to do.
        """
        return await anyio.to_thread.run_sync(act, limiter=self._quick)

    async def deliveries(self, act: Callable[[], T]) -> T:
        """What waits for the disk.

        Args:
            act: what to do.
        """
        return await anyio.to_thread.run_sync(act, limiter=self._deliveries)

    async def writes(self, act: Callable[[], T]) -> T:
        """What the disk takes in without being waited for.

        Args:
            act: what to do.
        """
        return await anyio.to_thread.run_sync(act, limiter=self._writes)

    async def ticks(self, act: Callable[[], T]) -> T:
        """What may take as long as the sum does.

        Args:
            act: what to do.
        """
        return await anyio.to_thread.run_sync(act, limiter=self._ticks)
