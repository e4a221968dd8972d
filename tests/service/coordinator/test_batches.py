"""What comes while a thread is at work is done by the next, together; and signals, which wake those who wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from secagg.http.signals import Signal, first_of
from secagg.service.coordinator.batches import Batches, each

LONG = 50.0  # seconds that no test waits for


def test_what_comes_while_a_thread_works_is_done_together() -> None:
    async def play() -> tuple[list[list[int]], list[int]]:
        seen, go = [], asyncio.Event()

        async def run(act: Callable[[], Any]) -> Any:
            await go.wait()
            return act()

        def double(items: list[int]) -> list[int]:
            seen.append(items)
            return [2 * item for item in items]

        batches: Batches[int, int] = Batches(run, double)
        first = asyncio.ensure_future(batches.do(1))
        while not batches._working:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(batches.do(item)) for item in (2, 3, 4)]
        await asyncio.sleep(0)
        go.set()
        done = await asyncio.gather(first, *others)
        return seen, [*done, await batches.do(5)]

    assert asyncio.run(play()) == ([[1], [2, 3, 4], [5]], [2, 4, 6, 8, 10])


def test_no_batch_is_longer_than_it_may_be() -> None:
    async def play() -> tuple[list[list[int]], list[int]]:
        seen = []

        def double(items: list[int]) -> list[int]:
            seen.append(items)
            return [2 * item for item in items]

        batches: Batches[int, int] = Batches(at_once, double, 3)
        return seen, await asyncio.gather(*map(batches.do, range(8)))

    assert asyncio.run(play()) == ([[0, 1, 2], [3, 4, 5], [6, 7]], list(range(0, 16, 2)))


def fails() -> int:
    raise ValueError("no")


async def at_once(act: Callable[[], Any]) -> Any:
    return act()


def outcomes(*acts: Callable[[], int], run: Callable[[Callable[[], Any]], Awaitable[Any]] = at_once) -> list[Any]:
    async def play() -> list[Any]:
        batches: Batches[Callable[[], int], int] = Batches(run, each)
        return await asyncio.gather(*(batches.do(act) for act in acts), return_exceptions=True)

    return [str(outcome) for outcome in asyncio.run(play())]


def test_an_error_is_raised_for_whose_it_is() -> None:
    assert outcomes(lambda: 1, fails, lambda: 3) == ["1", "no", "3"]


def test_an_error_of_the_thread_is_raised_for_all() -> None:
    async def broken(act: Callable[[], Any]) -> Any:
        raise OSError("no thread")

    assert outcomes(lambda: 1, lambda: 2, run=broken) == ["no thread"] * 2


def test_who_stops_waiting_stops_nothing() -> None:
    async def play() -> tuple[list[int], int]:
        done, go = [], asyncio.Event()

        async def run(act: Callable[[], Any]) -> Any:
            await go.wait()
            return act()

        def note(items: list[int]) -> list[int]:
            done.extend(items)
            return items

        batches: Batches[int, int] = Batches(run, note)
        impatient, patient = (asyncio.ensure_future(batches.do(item)) for item in (1, 2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        return done, await patient

    assert asyncio.run(play()) == ([1, 2], 2)


def test_the_first_signal_that_is_set_wakes() -> None:
    async def play() -> None:
        one, other = Signal(), Signal()
        waiting = [asyncio.ensure_future(first_of(LONG, one, other)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(future.done() for future in waiting)
        other.set()
        await asyncio.gather(*waiting)
        assert not one._waiting
        assert not other._waiting
        await first_of(LONG, one, other)  # it is set already
        other.clear()
        await first_of(0.0, one, other)

    asyncio.run(asyncio.wait_for(play(), LONG))


def test_who_stops_waiting_for_a_signal_is_forgotten() -> None:
    async def play() -> None:
        signal = Signal()
        waiting = asyncio.ensure_future(signal.wait())
        await asyncio.sleep(0)
        assert len(signal._waiting) == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not signal._waiting

    asyncio.run(play())
