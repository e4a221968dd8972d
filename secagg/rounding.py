"""Rounding: to one of the two neighbouring integers at random, right on average; or to the nearer one."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from . import _kernels
from .errors import require
from .shamir import RandomBytes

_BLOCK = 1 << 14


def round_at_random(values: NDArray[np.float64], rand: RandomBytes) -> NDArray[np.int64]:
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
    for block in _blocks(len(values)):
        part = rounded[block]
        _kernels.round_at_random(part, values[block], _drawn(len(part), rand))
    return rounded


def quantize(
    out: NDArray[np.uint64],
    values: NDArray[np.float64],
    *,
    clip: float,
    scale: float,
    offset: int,
    rand: RandomBytes | None,
) -> None:
    """out[i] := offset + (values[i], clipped to [-clip, clip]) / clip * scale, the product rounded.

    In this order no rounding of float64 takes the product beyond scale.

    Args:
        out: uint64[m], which is written.
        values: float64[m], finite.
        clip: above 0, finite.
        scale: 0 .. 2**52.
        offset: an integer, at least scale.
        rand: source of random bytes, 4 for each value, to round at random; None to round to the nearest integer.

    Raises:
        LocalProtocolError: rand returned another number of bytes.
    """
    for block in _blocks(len(values)):
        part = out[block]
        drawn = None if rand is None else _drawn(len(part), rand)
        _kernels.quantize(part, values[block], drawn, clip, scale, offset)


def _blocks(length: int) -> Iterator[slice]:
    """A vector's parts, one after the other: the bytes that are drawn for one stay in the processor's cache."""
    return (slice(start, min(start + _BLOCK, length)) for start in range(0, length, _BLOCK))


def _drawn(count: int, rand: RandomBytes) -> NDArray[np.uint8]:
    drawn = np.frombuffer(rand(4 * count), np.uint8)
    require(len(drawn) == 4 * count, f"rand returned {len(drawn)} bytes where {4 * count} were asked for")
    return drawn
