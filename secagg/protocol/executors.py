"""Work for any `concurrent.futures` executor, with few tasks under way at a time."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

Call = TypeVar("Call")
Result = TypeVar("Result")


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def borrowed(executor: Executor | None) -> Iterator[Executor]:
    """The executor itself, which its owner shuts down; for None, threads (one for each CPU) that end with the block."""
    if executor is not None:
        yield executor
        return
    with ThreadPoolExecutor(usable_cpus()) as pool:
        yield pool


def completed(
    executor: Executor, function: Callable[[Call], Result], calls: Iterable[Call], limit: int
) -> Generator[tuple[Call, Result]]:
    """Run function(call) for every call, and yield each call with its result, in the order in which they end.

    Closing the generator cancels the calls that have not begun.

    Args:
        executor: runs the calls.
        function: takes one call as its only argument.
        calls: the arguments; the next one is taken when fewer than `limit` calls are under way.
        limit: how many calls may be under way, or wait to be yielded, at a time.

    Raises:
        Exception: what a call or the executor raised.
    """
    calls = iter(calls)
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    pending: dict[Future[Result], Call] = {}
    try:
        while True:
            # Fill up to the limit.
            for call in islice(calls, limit - len(pending)):
                future = executor.submit(function, call)
                pending[future] = call
                future.add_done_callback(ended.put)
            if not pending:
                return

            # Whichever ends next.
            future = ended.get()
            yield pending.pop(future), future.result()
    finally:
        for future in pending:
            future.cancel()
