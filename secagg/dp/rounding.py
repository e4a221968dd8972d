"""Real vectors of bounded L2 norm to vectors of integers, and by how much rounding can lengthen them.

Lengths are in steps of the grid: a vector clipped to norm c and rounded to multiples of g has norm C = c / g here.
What bounds the sensitivity is the norm after rounding (Kairouz, Liu and Steinke 2021, section 4.1):

    to the nearest:             C + sqrt(m) / 2, and never more than 2 C
    at random, unconditionally: C + sqrt(m)
    at random, conditionally:   the lesser of that and the root of
                                C**2 + m/4 + sqrt(2 ln(1 / beta)) * (C + sqrt(m) / 2),

where the last is drawn again until it holds, as each draw does with a chance of 1 - beta at least.
"""

import os
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array, whole
from ..errors import require
from ..shamir import RandomBytes
from .exact import Exact, fraction, log_upper, sqrt_upper

BETA = Fraction(3, 5)  # about exp(-1/2), which the paper takes
DRAWS = 40  # all fail with a chance below beta**40 = 2e-9


class Rounding(Enum):
    """How real numbers become integers."""

    NEAREST = "nearest"
    """Deterministic; adds up to a drift over many vectors that are alike."""
    UNCONDITIONAL = "unconditional"
    """To a neighbour at random, right on average."""
    CONDITIONAL = "conditional"
    """The same, drawn again while the result is too long: far less noise for long vectors."""


def rounded_norm_squared(norm: Exact, length: int, rounding: Rounding, *, beta: Exact = BETA) -> int:
    """The largest squared L2 norm that a vector of this length and L2 norm can have once it is rounded.

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
    """values[m], clipped to an L2 norm and rounded to integers whose squared norm is at most `rounded_norm_squared`.

    Conditional rounding that is too long `draws` times rounds towards 0, which never lengthens. How many draws it takes
    depends on the values, and so does the time.

    Args:
        values: real numbers in steps of the grid, finite.
        norm: the L2 norm that longer vectors are scaled down to, in steps, below 2**30.
        rounding, beta: see the module.
        draws: of conditional rounding, at most.
        rand: source of random bytes, 4 for each value and draw.

    Raises:
        LocalProtocolError: a value is no finite number, or an argument is out of range.
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
        rounded = _at_random(clipped, rand)
        if _norm_squared(rounded) <= largest:
            return rounded
    return _checked(np.trunc(clipped).astype(np.int64), largest)


def _clip(values: NDArray[np.float64], norm: float) -> NDArray[np.float64]:
    length = float(np.linalg.norm(values))
    return values * (norm / length) if length > norm else values


def _at_random(values: NDArray[np.float64], rand: RandomBytes) -> NDArray[np.int64]:
    """Down or up, up with the chance of the fractional part (to 2**-32)."""
    below = np.floor(values)
    uniform = np.frombuffer(rand(4 * len(values)), "<u4")
    require(len(uniform) == len(values), f"rand returned {uniform.nbytes} bytes, {4 * len(values)} were expected")
    return (below + (uniform < (values - below) * 2.0**32)).astype(np.int64)


def _norm_squared(rounded: NDArray[np.int64]) -> int:
    """Exact where it matters: below 2**62."""
    estimate = float(np.dot(rounded.astype(np.float64), rounded.astype(np.float64)))
    return int(np.dot(rounded, rounded)) if estimate < 2.0**62 else int(estimate)


def _checked(rounded: NDArray[np.int64], largest: int) -> NDArray[np.int64]:
    """The privacy of a client hangs on this bound, so no rounding error of float64 may break it."""
    require(_norm_squared(rounded) <= largest, "the rounded vector is longer than it can be")
    return rounded
