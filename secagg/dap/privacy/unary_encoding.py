"""Optimized unary encoding: a Client reports a bit for each bucket, and flips each of them at random.

Its own bucket's bit is 1 with probability 1/2, each other bit with probability q, about 1 / (e**epsilon + 1) (Wang,
Blocki, Li and Jha 2017, OUE). Between two values only two bits have other laws, and any vector of bits is likelier from
one of them by a factor of at most

    (1/2) / q * (1 - q) / (1/2) = (1 - q) / q <= e**epsilon.

So the guarantee holds against everybody, as that of `randomized_response` does. The error of an estimate does not grow
with the number of buckets k: it is the smaller one where k > 3 e**epsilon + 2.

Any vector of bits may come out. So the VDAF must take them all: one that allows only so many ones would refuse the
others, and the law of those that are left would not be this one.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...arguments import convert, whole
from ...dp.exact import exp_lower, fraction
from ...dp.samplers import Rand
from ...errors import require
from .randomized_response import debiased, standard_errors_of

__all__ = ["UnaryEncoding"]

_BITS = 64  # of a draw


@dataclass(frozen=True)
class UnaryEncoding:
    """Reports a value as bits, of which the own one is 1 with probability p, and each other one with probability q.

    q is the least fraction with 64 binary places that is at least 1 / (e**epsilon + 1).

    Attributes:
        buckets: k, the number of values: 0 .. k - 1.
        epsilon: of one report: no two values make any report likelier by more than a factor of e**epsilon.

    Raises:
        LocalProtocolError: there are fewer than 2 values, or epsilon is so small that reports would say nothing.
    """

    buckets: int
    epsilon: Fraction

    def __post_init__(self) -> None:
        convert(self, whole, "buckets")
        convert(self, fraction, "epsilon")
        require(self.buckets >= 2, f"unary encoding needs at least 2 buckets, got {self.buckets}")
        require(self.q < self.p, "epsilon is so small that reports would say nothing: choose a larger one")

    @property
    def p(self) -> Fraction:
        """The probability that the bit of the own value is 1."""
        return Fraction(1, 2)

    @property
    def q(self) -> Fraction:
        """The probability that one certain other bit is 1."""
        least = (1 << _BITS) / (1 + exp_lower(self.epsilon))
        return Fraction(math.ceil(least), 1 << _BITS)

    def randomize(self, value: int, *, rand: Rand = os.urandom) -> NDArray[np.uint64]:
        """The bits to report instead of a value, drawn exactly and in a time that does not depend on it.

        Call this once for each measurement: two reports of one value tell an observer twice as much.

        Args:
            value: 0 .. k - 1.
            rand: cryptographic randomness, 8 bytes for each bucket.

        Returns:
            uint64[k], each 0 or 1.

        Raises:
            LocalProtocolError: the value is not 0 .. k - 1.
        """
        value = whole(value, "value")
        require(0 <= value < self.buckets, f"value must be 0 .. {self.buckets - 1}")
        own = np.arange(self.buckets) == value
        thresholds = np.where(own, *(np.uint64(int(chance * (1 << _BITS))) for chance in (self.p, self.q)))
        drawn = np.frombuffer(rand(_BITS // 8 * self.buckets), "<u8")
        bits: NDArray[np.uint64] = (drawn < thresholds).astype(np.uint64)
        return bits

    def debias(self, counts: Sequence[int], reports: int) -> list[float]:
        """Unbiased estimates of the true counts; they may be negative.

        Args:
            counts: how many reports have each bit; any of the bits may be left out.
            reports: the number of all reports.
        """
        return debiased(self.p, self.q, counts, reports)

    def standard_errors(self, estimates: Sequence[float] | None, reports: int, entries: int) -> NDArray[np.float64]:
        """The standard errors of `debias`'s estimates, float64[entries]; see `RandomizedResponse.standard_errors`.

        Args:
            estimates: from `debias`, one for each entry; None for the worst case.
            reports: the number of all reports, n.
            entries: how many standard errors to return.
        """
        return standard_errors_of(self.p, self.q, estimates, reports, entries)
