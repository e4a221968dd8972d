"""Work for `concurrent.futures` executors: any of them, with little of it under way at a time."""

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
    """The same executor, which is its owner's to shut down; or for None a thread for each CPU, for the block alone."""
    if executor is not None:
        yield executor
        return
    with ThreadPoolExecutor(usable_cpus()) as pool:
        yield pool


def completed(
    executor: Executor, function: Callable[[Call], Result], calls: Iterable[Call], limit: int
) -> Generator[tuple[Call, Result]]:
    """Each call, which is an argument, with function(call), in the order in which they come to an end.

    At most `limit` are under way or waiting to be taken; the next is asked of `calls` when there is room. Closing the
    generator cancels what has not begun.

    Raises:
        what a call raised, or the executor.
    """
    calls = iter(calls)
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    pending: dict[Future[Result], Call] = {}
    try:
        while True:
            for call in islice(calls, limit - len(pending)):
                future = executor.submit(function, call)
                pending[future] = call
                future.add_done_callback(ended.put)
            if not pending:
                return
            future = ended.get()
            yield pending.pop(future), future.result()
    finally:
        for future in pending:
            future.cancel()
