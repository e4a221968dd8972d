"""Processes that do something at the same moment, as tests of what they share need them."""

import multiprocessing
from collections.abc import Callable, Sequence
from threading import Barrier
from typing import TypeVar

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


def at_once(act: Callable[[_Argument, Barrier], _Result], arguments: Sequence[_Argument]) -> list[_Result]:
    """What `act` makes of each argument, in a process for each, which all wait for each other at the barrier."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(len(arguments)) as pool:
        start = manager.Barrier(len(arguments))
        return pool.starmap(act, [(argument, start) for argument in arguments], chunksize=1)
