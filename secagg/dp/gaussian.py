"""The exact delta of Gaussian noise, where Renyi divergences lose a little: discrete noise on one number and one
histogram, and continuous noise on a vector.

The noise is y with probability exp(-y**2 / (2 sigma**2)) / Z.  A shift by d changes the probability by a factor that
grows with y. So the worst set is a half-line, and delta is a difference of two tails (Canonne, Kamath and Steinke 2020,
Theorem 7).  For a histogram, where one entry rises and one falls, only the sum S of two such noises counts: P[S = s] is
proportional to exp(-s**2 / (4 sigma**2)) times a factor that depends on the parity of s alone.

Sums of exp are bounded from both sides. Narrow ones are computed term by term in fixed point, wide ones from the
integral by Euler and Maclaurin's formula: it is within 1e-7 of them up to 9 standard deviations, and closer the wider
they are. So little is lost where the two tails nearly cancel, as they do for small epsilons, and any width takes the
time of a few hundred terms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

from .exact import PI_LOWER, PI_UPPER, exp_lower, exp_upper, sqrt_lower, sqrt_upper

_POINT = 192  # bits after the binary point of a term, the first term of a sum being 1
_ONE = 1 << _POINT
_SMALL = 1 << 96  # a term of 2**-96: what follows is bounded by a geometric series
_WIDE = 1 << 10  # a variance from which on sums are computed from integrals
_FAR = 9  # start**2 / variance from which on the integral is a continued fraction, which converges slowly below
_LEVELS = 200  # of it: it is then known to 2**-160

Term = tuple[int, int]  # a number from below and from above, in fixed point


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
    P[Y > a] - e**epsilon * P[Y > a + difference]. Smaller differences have smaller deltas, as the law is log-concave.
    """
    start = Fraction(_above(epsilon * sigma_squared / difference - Fraction(difference, 2)))
    unshifted, shifted = tail(start, sigma_squared), tail(start + difference, sigma_squared)
    return _delta(unshifted, shifted, epsilon, lattice_sum(Fraction(0), sigma_squared))


def histogram_delta(sigma_squared: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta where one entry rises by 1 and one falls by 1.

    With S the sum of two noises it is P[S > a] - e**epsilon * P[S > a + 2], a = epsilon * sigma**2 - 1.
    """
    start = _above(epsilon * sigma_squared - 1)
    halves = [lattice_sum(Fraction(parity, 2), sigma_squared / 2) for parity in (0, 1)]  # S / 2 is on one of two grids
    unshifted, shifted = (
        sum_bounds(
            halves[parity] * tail(Fraction(parity, 2) + ceil(Fraction(begin - parity, 2)), sigma_squared / 2)
            for parity in (0, 1)
        )
        for begin in (start, start + 2)
    )
    return _delta(unshifted, shifted, epsilon, halves[0] * halves[0] + halves[1] * halves[1])


def worst_delta(sigma_squared: Fraction, worst: tuple[int, ...] | None, epsilon: Fraction) -> Fraction | None:
    """An upper bound on delta for the worst difference, if that is of one number or of a histogram.

    Args:
        sigma_squared: of each entry's noise.
        worst: of the sensitivity.
        epsilon: exact.

    Returns:
        The bound; None for any other difference.
    """
    if worst is not None and len(worst) == 1:
        return scalar_delta(sigma_squared, worst[0], epsilon)
    return histogram_delta(sigma_squared, epsilon) if worst == (1, 1) else None


def continuous_delta(mu_squared: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta for a continuous Gaussian of deviation 1 whose mean changes by mu.

    Its privacy loss has the law N(mu**2 / 2, mu**2). With Z of the law N(0, mu**2) delta is P[Z > epsilon - mu**2 / 2]
    - e**epsilon * P[Z > epsilon + mu**2 / 2] (Balle and Wang 2018, Theorem 8).
    """
    unshifted, shifted = (_integral_from(epsilon + side * mu_squared / 2, mu_squared) for side in (-1, 1))
    half = _half_integral(mu_squared)
    return _delta(unshifted, shifted, epsilon, half + half)


def _above(x: Fraction) -> int:
    """The least integer above x."""
    return int(x // 1) + 1


def _delta(unshifted: Bounds, shifted: Bounds, epsilon: Fraction, total: Bounds) -> Fraction:
    """(unshifted - e**epsilon * shifted) / total from above, 0 .. 1."""
    difference = unshifted.high - exp_lower(epsilon) * shifted.low
    return min(Fraction(1), max(Fraction(0), difference) / total.low)


def sum_bounds(terms: Iterator[Bounds]) -> Bounds:
    """Bounds on the sum of numbers, from bounds on each."""
    return sum(terms, Bounds(Fraction(0), Fraction(0)))


def lattice_sum(offset: Fraction, variance: Fraction) -> Bounds:
    """The sum of exp(-x**2 / (2 variance)) over all x = offset + k, k an integer.

    Wide ones are sqrt(2 pi variance) (1 + 2 sum cos(2 pi k offset) exp(-2 pi**2 k**2 variance)), k = 1, 2, ..., by
    Poisson's summation formula, and the terms of that sum are below 2**-_POINT together.
    """
    if variance >= _WIDE:
        half = _half_integral(variance)
        return Bounds(2 * half.low * (1 - Fraction(1, _ONE)), 2 * half.high * (1 + Fraction(1, _ONE)))
    start = offset - offset // 1
    return tail(start, variance) + tail(1 - start, variance)


def tail(start: Fraction, variance: Fraction) -> Bounds:
    """The sum of exp(-x**2 / (2 variance)) over x = start, start + 1, start + 2, and so on."""
    if start < 0:
        return lattice_sum(start, variance) - tail(1 - start, variance)
    return tail_by_integral(start, variance) if variance >= _WIDE else tail_by_terms(start, variance)


def tail_by_terms(start: Fraction, variance: Fraction) -> Bounds:
    """`tail` for start >= 0, in time that grows with the root of the variance."""
    low = high = 0
    x = start
    for first, after in pairwise(_terms(start, variance)):
        low, high, x = low + first[0], high + first[1], x + 1
        if after[1] < _SMALL:
            high += after[1] + int(after[1] * variance / x) + 1  # a term at x + k is below exp(-k x / variance) of it
            break
    term = _summand(start, variance)
    return Bounds(term.low * Fraction(low, _ONE), term.high * Fraction(high, _ONE))


def tail_by_integral(start: Fraction, variance: Fraction) -> Bounds:
    """`tail` for start >= 0, the narrower the larger the variance v is, in the same time for all.

    With f(x) = exp(-x**2 / (2 v)) and everything at x = start it is, by Euler and Maclaurin's formula,

        integral of f + f / 2 - f^(1) / 12 + f^(3) / 720 + R,    |R| <= integral of |f^(6)| / 15120,

    as the next term, -f^(5) / 30240, and what remains after it are each at most half of that. The derivatives are
    f^(1) = -x f / v and f^(3) = -(x**3 / v**3 - 3 x / v**2) f, and |f^(6)| is at most

        (15 + 45 x**2 / v + 15 x**4 / v**2 + x**6 / v**3) f / v**3.

    Its moments follow one from the other: the integral of x**k f is x**(k - 1) v f + (k - 1) v times that of
    x**(k - 2) f.
    """
    term, integral = _summand(start, variance), _integral(start, variance)
    slope = start / variance
    ends = Fraction(1, 2) + slope / 12 - (slope**3 - 3 * slope / variance) / 720
    at_start = [ends * term.low, ends * term.high]
    second = start * term.high + integral.high  # over v, and so on
    fourth = start**2 * slope * term.high + 3 * second
    sixth = start**3 * slope**2 * term.high + 5 * fourth
    rest = (15 * integral.high + 45 * second + 15 * fourth + sixth) / (15120 * variance**3)
    return Bounds(max(term.low, integral.low + min(at_start) - rest), integral.high + max(at_start) + rest)


def _summand(x: Fraction, variance: Fraction) -> Bounds:
    exponent = -x * x / (2 * variance)
    return Bounds(exp_lower(exponent), exp_upper(exponent))


def _half_integral(variance: Fraction) -> Bounds:
    """Of exp(-x**2 / (2 variance)) from 0 on: sqrt(pi variance / 2)."""
    return Bounds(sqrt_lower(PI_LOWER * variance / 2), sqrt_upper(PI_UPPER * variance / 2))


def _integral_from(start: Fraction, variance: Fraction) -> Bounds:
    """Of exp(-x**2 / (2 variance)) from any start on."""
    if start >= 0:
        return _integral(start, variance)
    half = _half_integral(variance)
    return half + half - _integral(-start, variance)


def _integral(start: Fraction, variance: Fraction) -> Bounds:
    """Of exp(-x**2 / (2 variance)) from start >= 0 on.

    With r = start**2 / variance it is the value at the start times, by Laplace's continued fraction,

        variance / start / (1 + 1/r / (1 + 2/r / (1 + 3/r / ...))),

    and what lies between 0 and the start is that value times start * (1 + r / 3 + r**2 / (3 * 5) + ...).
    """
    term, r = _summand(start, variance), start * start / variance
    if r >= _FAR:
        low, high = _continued_fraction(1 / r)
        factor = variance / start * _ONE
        return Bounds(term.low * factor / high, term.high * factor / low)
    low, high = _power_series(r)
    before = Bounds(term.low * start * Fraction(low, _ONE), term.high * start * Fraction(high, _ONE))
    return _half_integral(variance) - before


def _continued_fraction(q: Fraction) -> Term:
    """1 + q / (1 + 2 q / (1 + 3 q / ...)) for q > 0: what is left from a level on is between 1 and 1 + level * q."""
    step_low, step_high = int(q * _ONE), int(q * _ONE) + 1
    low, high = _ONE, _ONE + (_LEVELS + 1) * step_high
    for level in range(_LEVELS, 0, -1):
        low, high = _ONE + level * step_low * _ONE // high, _ONE + level * step_high * _ONE // low + 1
    return low, high


def _power_series(r: Fraction) -> Term:
    """1 + r / 3 + r**2 / (3 * 5) + r**3 / (3 * 5 * 7) + ... for 0 <= r <= _FAR."""
    ratio_low, ratio_high = int(r * _ONE), int(r * _ONE) + 1
    term_low = term_high = low = high = _ONE
    odd = 3
    while term_high > 2 or odd < 2 * _FAR:
        term_low = (term_low * ratio_low >> _POINT) // odd
        term_high = (term_high * ratio_high >> _POINT) // odd + 1
        low, high, odd = low + term_low, high + term_high, odd + 2
    return low, high + 2 * term_high  # from here on each term is at most half of the one before


def _terms(start: Fraction, variance: Fraction) -> Iterator[Term]:
    """exp((start**2 - x**2) / (2 variance)) for x = start, start + 1, and so on.

    The quotient of neighbours is itself a geometric sequence. Each product is rounded outwards.
    """
    low = high = _ONE
    low_ratio, high_ratio = _fixed(-(2 * start + 1) / (2 * variance))
    low_decay, high_decay = _fixed(-1 / variance)
    while True:
        yield low, high
        low, high = low * low_ratio >> _POINT, (high * high_ratio >> _POINT) + 1
        low_ratio, high_ratio = low_ratio * low_decay >> _POINT, (high_ratio * high_decay >> _POINT) + 1


def _fixed(exponent: Fraction) -> Term:
    """e**exponent for an exponent <= 0."""
    return int(exp_lower(exponent) * _ONE), min(_ONE, int(exp_upper(exponent) * _ONE) + 1)
