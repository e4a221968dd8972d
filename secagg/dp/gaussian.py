"""Exactly what the discrete Gaussian promises where Renyi divergences would lose a little: one number, one histogram.

The noise takes the value y with chance exp(-y**2 / (2 sigma**2)) / Z.  Shifting it by d changes the chance by a factor
that grows with y, so the worst set is a half-line and delta is a difference of two tails (Canonne, Kamath and Steinke
2020, Theorem 7).  For a histogram, where one entry rises and one falls, only the sum S of two such noises counts:
P[S = s] is proportional to exp(-s**2 / (4 sigma**2)) times a factor that depends on the parity of s alone.

Sums of exp are computed from both sides in fixed point.  Wide ones are cut into strides in which the summand is convex
or concave, so that a chord bounds it on one side and its middle on the other; then sigma comes out above the least by
1e-4 of it for epsilon = 1, and by 1e-3 for epsilon = 0.01, where the two tails nearly cancel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, repeat
from math import ceil, isqrt

from .exact import exp_lower, exp_upper

_POINT = 192  # bits after the binary point of a term, the first term of a sum being 1
_SMALL = 1 << 96  # a term of 2**-96: what follows is bounded by a geometric series
_STRIDES = 512  # per sigma at least: relative error of a sum below 1e-4 where they are longer than 1, else below 2**-64


@dataclass(frozen=True)
class Bounds:
    """A real number that lies in low .. high."""

    low: Fraction
    high: Fraction

    def __add__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low + other.low, self.high + other.high)

    def __sub__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low - other.high, self.high - other.low)

    def __mul__(self, other: "Bounds") -> "Bounds":
        """For numbers that are not negative."""
        return Bounds(self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Bounds") -> "Bounds":
        """For numbers that are not negative."""
        return Bounds(self.low / other.high, self.high / other.low)


def scalar_delta(sigma_squared: Fraction, difference: int, epsilon: Fraction) -> Fraction:
    """An upper bound on delta for one number that changes by at most `difference`.

    With Y the noise and a = epsilon * sigma**2 / difference - difference / 2 it is
    P[Y > a] - e**epsilon * P[Y > a + difference]; smaller differences have smaller deltas, as the law is log-concave.
    """
    start = Fraction(_above(epsilon * sigma_squared / difference - Fraction(difference, 2)))
    kept, shifted = tail(start, sigma_squared), tail(start + difference, sigma_squared)
    return _delta(kept, shifted, epsilon, lattice_sum(Fraction(0), sigma_squared))


def histogram_delta(sigma_squared: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta where one entry rises by 1 and one falls by 1.

    With S the sum of two noises it is P[S > a] - e**epsilon * P[S > a + 2], a = epsilon * sigma**2 - 1.
    """
    start = _above(epsilon * sigma_squared - 1)
    halves = [lattice_sum(Fraction(parity, 2), sigma_squared / 2) for parity in (0, 1)]  # S / 2 is on one of two grids
    kept, shifted = (
        sum_bounds(
            halves[parity] * tail(Fraction(parity, 2) + ceil(Fraction(first - parity, 2)), sigma_squared / 2)
            for parity in (0, 1)
        )
        for first in (start, start + 2)
    )
    return _delta(kept, shifted, epsilon, halves[0] * halves[0] + halves[1] * halves[1])


def _above(x: Fraction) -> int:
    """The least integer above x."""
    return int(x // 1) + 1


def _delta(kept: Bounds, shifted: Bounds, epsilon: Fraction, total: Bounds) -> Fraction:
    """(kept - e**epsilon * shifted) / total from above, 0 .. 1."""
    difference = kept.high - exp_lower(epsilon) * shifted.low
    return min(Fraction(1), max(Fraction(0), difference) / total.low)


def sum_bounds(terms: Iterator[Bounds]) -> Bounds:
    return sum(terms, Bounds(Fraction(0), Fraction(0)))


def lattice_sum(offset: Fraction, variance: Fraction) -> Bounds:
    """The sum of exp(-x**2 / (2 variance)) over all x = offset + k, k an integer."""
    start = offset - offset // 1
    return tail(start, variance) + tail(1 - start, variance)


def tail(start: Fraction, variance: Fraction) -> Bounds:
    """The sum of exp(-x**2 / (2 variance)) over x = start, start + 1, start + 2, and so on."""
    if start < 0:
        return lattice_sum(start, variance) - tail(1 - start, variance)
    stride = max(1, isqrt(int(variance)) // _STRIDES)
    low = high = 0
    x = start
    ends = _terms(start, stride, start, variance)
    middles = _terms(start + Fraction(stride - 1, 2), stride, start, variance) if stride > 1 else repeat((0, 0))
    for (first, after), middle in zip(pairwise(ends), middles, strict=False):
        block = _block(x, stride, variance, first, after, middle)
        low, high = low + block[0], high + block[1]
        x += stride
        if after[1] < _SMALL:
            high += after[1] + int(after[1] * variance / x) + 1  # a term at x + k is below exp(-k x / variance) of it
            break
    first_term = -start * start / (2 * variance)
    return Bounds(
        exp_lower(first_term) * Fraction(low, 1 << _POINT), exp_upper(first_term) * Fraction(high, 1 << _POINT)
    )


Term = tuple[int, int]  # a term from below and from above, in fixed point


def _block(x: Fraction, stride: int, variance: Fraction, first: Term, after: Term, middle: Term) -> Term:
    """The sum over x, x + 1, ... x + stride - 1, from the terms at x, at x + stride and half way to the last."""
    if stride == 1:
        return first
    chord = [((stride + 1) * first[side] + (stride - 1) * after[side]) // 2 + side for side in (0, 1)]
    if x * x >= variance:  # convex from here on
        return stride * middle[0], chord[1]
    if (x + stride) ** 2 <= variance:
        return chord[0], stride * middle[1]
    return stride * after[0], stride * first[1]


def _terms(first: Fraction, step: int, origin: Fraction, variance: Fraction) -> Iterator[Term]:
    """exp((origin**2 - x**2) / (2 variance)) for x = first, first + step, and so on.

    The quotient of neighbours is itself a geometric sequence. Each product is rounded outwards.
    """
    low, high = _fixed((origin * origin - first * first) / (2 * variance))
    low_ratio, high_ratio = _fixed(-(2 * first * step + step * step) / (2 * variance))
    low_decay, high_decay = _fixed(-Fraction(step * step) / variance)
    while True:
        yield low, high
        low, high = low * low_ratio >> _POINT, (high * high_ratio >> _POINT) + 1
        low_ratio, high_ratio = low_ratio * low_decay >> _POINT, (high_ratio * high_decay >> _POINT) + 1


def _fixed(exponent: Fraction) -> Term:
    """e**exponent for an exponent <= 0."""
    return int(exp_lower(exponent) * (1 << _POINT)), min(1 << _POINT, int(exp_upper(exponent) * (1 << _POINT)) + 1)
