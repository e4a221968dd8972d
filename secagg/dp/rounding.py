"""Rounds real vectors of bounded L2 norm to integers, and bounds their norm after rounding.

Lengths are in steps of the grid: a vector clipped to norm c and rounded to multiples of g has norm C = c / g here.
The norm after rounding bounds the sensitivity (Kairouz, Liu and Steinke 2021, section 4.1):

    to the nearest:             C + sqrt(m) / 2, and never more than 2 C
    at random, unconditionally: C + sqrt(m)
    at random, conditionally:   the lesser of that and the root of
                                C**2 + m/4 + sqrt(2 ln(1 / beta)) * (C + sqrt(m) / 2),

where the last is drawn again until the bound holds. Each draw keeps to it with a probability of at least 1 - beta.
"""

import os
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array, whole
from ..errors import require
from ..rounding import round_at_random
from ..shamir import RandomBytes
from .exact import Exact, fraction, log_upper, sqrt_upper

BETA = Fraction(3, 5)  # about exp(-1/2), which the paper takes
DRAWS = 40  # all fail with a probability below beta**40 = 2e-9


class Rounding(Enum):
    """How real numbers become integers."""

    NEAREST = "nearest"
    """Deterministic; the errors of many similar vectors add up."""
    UNCONDITIONAL = "unconditional"
    """To the integer below or above at random, without bias."""
    CONDITIONAL = "conditional"
    """The same, drawn again while the result is too long: long vectors need far less noise."""


def rounded_norm_squared(norm: Exact, length: int, rounding: Rounding, *, beta: Exact = BETA) -> int:
    """The largest squared L2 norm that a vector can have after rounding.

    Args:
        norm: the L2 norm before rounding, in steps of the grid; exact.
        length: entries of the vector.
        rounding: how entries become integers.
        beta: of conditional rounding, see the module; exact, between 0 and 1.

    Raises:
        LocalProtocolError: norm is not positive, length is below 1, or beta is not between 0 and 1.
    """
    c, b, length = fraction(norm, "norm"), fraction(beta, "beta"), whole(length, "length")
    require(c > 0, f"norm must be positive, got {norm}")
    require(length >= 1, f"length must be at least 1, got {length}")
    require(0 < b < 1, f"beta must be between 0 and 1, got {beta}")
    root = sqrt_upper(Fraction(length))
    if rounding is Rounding.NEAREST:
        return int(min(c + root / 2, 2 * c) ** 2)
    unconditional = (c + root) ** 2
    if rounding is Rounding.UNCONDITIONAL:
        return int(unconditional)
    excess = sqrt_upper(2 * log_upper(1 / b)) * (c + root / 2)
    return int(min(unconditional, c * c + Fraction(length, 4) + excess))


def round_vector(
    values: NDArray[np.floating[Any]],
    norm: Exact,
    rounding: Rounding,
    *,
    beta: Exact = BETA,
    draws: int = DRAWS,
    rand: RandomBytes = os.urandom,
) -> NDArray[np.int64]:
    """Clips a vector to an L2 norm and rounds it to integers whose squared norm is at most `rounded_norm_squared`.

    Conditional rounding whose result is too long `draws` times rounds towards 0, which never lengthens a vector. The
    number of draws depends on the values, and so does the time.

    Args:
        values: float[m], finite, in steps of the grid.
        norm: the L2 norm that longer vectors are scaled down to, in steps, below 2**30; exact.
        rounding: how entries become integers.
        beta: of conditional rounding, see the module; exact, between 0 and 1.
        draws: the most draws of conditional rounding.
        rand: source of random bytes, 4 for each value and draw.

    Returns:
        int64[m].

    Raises:
        LocalProtocolError: a value is not a finite number, or an argument is out of range.
    """
    values, draws = array(values, "values"), whole(draws, "draws")
    require(values.ndim == 1 and bool(np.isfinite(values).all()), "values must be one vector of finite numbers")
    require(draws >= 1, f"draws must be at least 1, got {draws}")
    largest = rounded_norm_squared(norm, len(values), rounding, beta=beta)
    require(largest < 1 << 62, f"norm must be below 2**30 steps, got {norm}")
    clipped = _clip(values.astype(np.float64), float(fraction(norm, "norm")))
    if rounding is Rounding.NEAREST:
        return _checked(np.rint(clipped).astype(np.int64), largest)
    for _ in range(draws if rounding is Rounding.CONDITIONAL else 1):
        rounded = round_at_random(clipped, rand)
        if _norm_squared(rounded) <= largest:
            return rounded
    return _checked(np.trunc(clipped).astype(np.int64), largest)


def _clip(values: NDArray[np.float64], norm: float) -> NDArray[np.float64]:
    length = float(np.linalg.norm(values))
    return values * (norm / length) if length > norm else values


def _norm_squared(rounded: NDArray[np.int64]) -> int:
    """Exact where it matters: below 2**62."""
    estimate = float(np.dot(rounded.astype(np.float64), rounded.astype(np.float64)))
    return int(np.dot(rounded, rounded)) if estimate < 2.0**62 else int(estimate)


def _checked(rounded: NDArray[np.int64], largest: int) -> NDArray[np.int64]:
    """The privacy of a client depends on this bound, so no rounding error of float64 may break it."""
    require(_norm_squared(rounded) <= largest, "the rounded vector is longer than it can be")
    return rounded
