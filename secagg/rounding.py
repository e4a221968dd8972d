"""Stochastic rounding: to one of the two neighbouring integers at random, right on average."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import require
from .shamir import RandomBytes

_BLOCK = 1 << 14


def blocks(length: int) -> Iterator[slice]:
    """A vector's parts, one after the other: a part, and what is made of it on the way, stay in the processor's cache.
    Of a whole vector each intermediate result would be written to memory that the system has to find first.

    Args:
        length: of the vector.
    """
    return (slice(start, min(start + _BLOCK, length)) for start in range(0, length, _BLOCK))


def round_at_random(values: NDArray[np.floating[Any]], rand: RandomBytes) -> NDArray[np.int64]:
    """Each value rounded down or up, up with the chance of its fractional part (to 2**-32); integers stay.

    Args:
        values: float64[m], finite, of magnitudes below 2**63.
        rand: source of random bytes, 4 for each value.

    Returns:
        int64[m].

    Raises:
        LocalProtocolError: rand returned another number of bytes.
    """
    rounded = np.empty(len(values), np.int64)
    for block in blocks(len(values)):
        rounded[block] = _rounded(values[block], rand)
    return rounded


def _rounded(values: NDArray[np.floating[Any]], rand: RandomBytes) -> NDArray[np.float64]:
    below = np.floor(values)
    drawn = np.frombuffer(rand(4 * len(values)), "<u4")
    require(len(drawn) == len(values), f"rand returned {drawn.nbytes} bytes where {4 * len(values)} were asked for")
    rounded: NDArray[np.float64] = below + (drawn < (values - below) * 2.0**32)
    return rounded
