"""k-ary randomized response: with a stated probability, a Client reports another bucket than its own.

The report is still one of the k buckets, so it stays valid, and nobody has to be trusted: the guarantee holds against
Aggregators and Collector together (Kairouz, Bonawitz and Ramage 2016). The price is accuracy: the error grows with the
root of the number of reports, whereas that of an Aggregator's noise stays the same.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...arguments import array, convert, whole
from ...dp.exact import exp_lower, fraction
from ...dp.samplers import Rand
from ...errors import ArgumentTypeError, require

__all__ = ["RandomizedResponse"]

_SCALE_BITS = 64  # of the ratio of two probabilities, after the point


@dataclass(frozen=True)
class RandomizedResponse:
    """Reports each of `buckets` values as itself with probability p, and as each of the others with probability q.

    p / q is the largest fraction with 64 binary places that is at most e**epsilon.

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
        require(self.buckets >= 2, f"randomized response needs at least 2 buckets, got {self.buckets}")
        require(self.ratio > 1, "epsilon is so small that reports would say nothing: choose a larger one")

    @property
    def ratio(self) -> Fraction:
        """p / q, at most e**epsilon."""
        return Fraction(exp_lower(self.epsilon) * (1 << _SCALE_BITS) // 1, 1 << _SCALE_BITS)

    @property
    def p(self) -> Fraction:
        """The probability of reporting the own value."""
        return self.ratio * self.q

    @property
    def q(self) -> Fraction:
        """The probability of reporting one certain other value."""
        return 1 / (self.ratio + self.buckets - 1)

    def randomize(self, value: int, *, rand: Rand = os.urandom) -> int:
        """What to report instead of a value, drawn exactly: there is only integer arithmetic between random bytes and
        report.

        Call this once for each measurement: two reports of one value tell an observer twice as much.

        Args:
            value: 0 .. k - 1.
            rand: cryptographic randomness.

        Raises:
            LocalProtocolError: the value is not 0 .. k - 1.
        """
        value = whole(value, "value")
        require(0 <= value < self.buckets, f"value must be 0 .. {self.buckets - 1}")
        own, other = self.ratio.as_integer_ratio()
        drawn = _below(own + (self.buckets - 1) * other, rand)
        if drawn < own:
            return value
        picked = (drawn - own) // other  # one of k - 1, in which the own value is left out
        return picked + (picked >= value)

    def debias(self, counts: Sequence[int], reports: int) -> list[float]:
        """Unbiased estimates of the true counts; they may be negative.

        Args:
            counts: how many reports state each value; any of the values may be left out.
            reports: the number of all reports.
        """
        return debiased(self.p, self.q, counts, reports)

    def standard_errors(self, estimates: Sequence[float] | None, reports: int, entries: int) -> NDArray[np.float64]:
        """The standard errors of `debias`'s estimates, float64[entries].

        Given the true counts n_j they are sqrt(n_j p (1 - p) + (n - n_j) q (1 - q)) / (p - q). The estimate stands for
        n_j; without estimates, the largest over all n_j is returned.

        Args:
            estimates: from `debias`, one for each entry; None for the worst case.
            reports: the number of all reports, n.
            entries: how many standard errors to return.
        """
        return standard_errors_of(self.p, self.q, estimates, reports, entries)


def debiased(p: Fraction, q: Fraction, counts: Sequence[int], reports: int) -> list[float]:
    """Unbiased estimates of true counts, where a report states its own value with probability p, and another with q.

    Args:
        p: of the own value.
        q: of one certain other value.
        counts: how many reports state each value; any of the values may be left out.
        reports: the number of all reports.
    """
    slope, reports = p - q, whole(reports, "reports")
    return [float((fraction(count, "counts") - reports * q) / slope) for count in counts]


def standard_errors_of(
    p: Fraction, q: Fraction, estimates: Sequence[float] | None, reports: int, entries: int
) -> NDArray[np.float64]:
    """The standard errors of `debiased`'s estimates; see `RandomizedResponse.standard_errors`.

    Args:
        p: of the own value.
        q: of one certain other value.
        estimates: one for each entry; None for the worst case.
        reports: the number of all reports.
        entries: how many standard errors to return.
    """
    reports, entries = whole(reports, "reports"), whole(entries, "entries")
    own, other = float(p * (1 - p)), float(q * (1 - q))
    if estimates is None:
        variance = np.full(entries, reports * max(own, other))
    else:
        given = array(estimates, "estimates")
        if given.dtype.kind not in "fiu":
            raise ArgumentTypeError(f"estimates must be real numbers, got {given.dtype}")
        true = np.clip(given.astype(np.float64), 0, reports)
        variance = true * own + (reports - true) * other
    errors: NDArray[np.float64] = np.sqrt(variance) / float(p - q)
    return errors


def _below(bound: int, rand: Rand) -> int:
    """A uniform integer 0 .. bound - 1, by rejection."""
    bits = (bound - 1).bit_length()
    while True:
        drawn = int.from_bytes(rand(math.ceil(bits / 8)), "big") >> -bits % 8
        if drawn < bound:
            return drawn
