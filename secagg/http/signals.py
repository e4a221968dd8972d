"""Signals that many wait for, several at a time, at little cost for each who waits."""

import asyncio


class Signal:
    """Like `asyncio.Event`, and can be waited for together with others without a task for each: see `first_of`."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: set[asyncio.Future[None]] = set()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Wake all who wait for it, now and later."""
        self._is_set = True
        for future in self._waiting:
            _wake(future)

    def clear(self) -> None:
        """Let those who come later wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Until it is set."""
        await first_of(None, self)

    def _add(self, future: "asyncio.Future[None]") -> None:
        self._waiting.add(future)

    def _discard(self, future: "asyncio.Future[None]") -> None:
        self._waiting.discard(future)


async def first_of(seconds: float | None, *signals: Signal) -> None:
    """Wait until one of the signals is set, or for so long.

    Args:
        seconds: at most; None for any time.
        signals: that are waited for.
    """
    if any(signal.is_set() for signal in signals):
        return
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    timer = None if seconds is None else loop.call_later(max(0.0, seconds), _wake, future)
    for signal in signals:
        signal._add(future)
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()
        for signal in signals:
            signal._discard(future)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
