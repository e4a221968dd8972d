"""Stochastic rounding: to one of the two neighbouring integers at random, right on average."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import require
from .shamir import RandomBytes


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
    below = np.floor(values)
    drawn = np.frombuffer(rand(4 * len(values)), "<u4")
    require(len(drawn) == len(values), f"rand returned {drawn.nbytes} bytes where {4 * len(values)} were asked for")
    rounded: NDArray[np.int64] = (below + (drawn < (values - below) * 2.0**32)).astype(np.int64)
    return rounded
