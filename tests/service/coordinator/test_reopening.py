"""When a session that could not be opened is tried again."""

import asyncio

from secagg.service.coordinator.reopening import DAMAGED_SECONDS, FIRST_SECONDS, LONGEST_SECONDS, Reopening


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pauses(*, damaged: bool, took: float = 0.0, count: int = 12) -> list[float]:
    """Those after so many failures, if nobody asks."""
    clock = Clock()
    again, found = Reopening(clock), []
    for _ in range(count):
        again.failed(took, damaged=damaged)
        found.append(again.seconds_left)
        clock.now += again.seconds_left
        assert again.seconds_left == 0
    return found


def test_the_first_attempt_is_due_at_once() -> None:
    assert Reopening(Clock()).seconds_left == 0


def test_pauses_grow_up_to_an_hour() -> None:
    assert pauses(damaged=False)[:4] == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses(damaged=True)[:3] == [DAMAGED_SECONDS * factor for factor in (1, 2, 4)]
    for damaged in (False, True):
        assert pauses(damaged=damaged, count=2000)[-1] == LONGEST_SECONDS


def test_whoever_asks_cuts_a_pause_short_but_for_its_least() -> None:
    clock = Clock()
    again = Reopening(clock)
    for _ in range(6):
        again.failed(0.0, damaged=False)
    assert again.seconds_left > FIRST_SECONDS
    assert again.ask() == again.ask() == FIRST_SECONDS
    clock.now += FIRST_SECONDS - 1
    assert again.ask() == 1
    clock.now += 5
    assert again.ask() == 0


def test_asking_wins_nothing_where_attempts_are_long() -> None:
    """A stranger who asks all the time must not keep a thread at work with a large journal."""
    clock = Clock()
    again = Reopening(clock)
    again.failed(30.0, damaged=False)
    assert again.ask() == 300
    again.failed(10_000.0, damaged=True)
    assert again.ask() == LONGEST_SECONDS


def test_who_waits_is_woken_by_whoever_asks_and_by_the_end() -> None:
    async def waits() -> None:
        clock, stopping = Clock(), asyncio.Event()
        again = Reopening(clock)
        for _ in range(6):
            again.failed(0.0, damaged=False)
        clock.now += FIRST_SECONDS
        waiting = asyncio.create_task(again.wait(stopping))
        await asyncio.sleep(0)
        assert not waiting.done()
        again.ask()
        await asyncio.wait_for(waiting, 60)

        again.failed(0.0, damaged=True)
        waiting = asyncio.create_task(again.wait(stopping))
        await asyncio.sleep(0)
        assert again.ask() == DAMAGED_SECONDS
        stopping.set()
        again.wake()
        await asyncio.wait_for(waiting, 60)

    asyncio.run(waits())
