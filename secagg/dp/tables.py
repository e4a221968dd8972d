"""Thresholds of discrete laws: the first binary digits of their probabilities, proven digit by digit.

A law, symmetric or on 0, 1, 2, ..., is given by the quotients r_k = P[X = k] / P[X = k - 1], k >= 1.  A real number is
bounded from both sides by integers in fixed point: (low, high) stands for low / 2**point .. high / 2**point.  Products
are rounded outwards.  Where the bounds leave a digit open, everything is computed again with more digits.

`gaussian_quotients` and `laplace_probabilities` need exp, which `decimal` rounds correctly; `skellam_quotients` needs
arithmetic only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from itertools import accumulate, count
from math import isqrt

BITS = 128  # of a threshold, as the kernels take it

Bounds = tuple[int, int]
Quotients = Callable[[int], Iterator[Bounds]]  # point -> r_1, r_2, r_3, ...
Supremum = Callable[[int], int]  # point -> an upper bound on all quotients, below 1


@dataclass(frozen=True)
class Cumulative:
    """P[|X| >= k] to some bits.

    Attributes:
        thresholds: floor(2**bits * P[|X| >= k]) for k = 1, 2, 3, ... while that is not 0.
        beyond: an upper bound on the sum of P[|X| >= k] over all larger k.
    """

    thresholds: list[int]
    beyond: Fraction


def cumulative(
    quotients: Quotients, bits: int = BITS, *, sides: int = 2, supremum: Supremum | None = None
) -> Cumulative:
    """The table of a law.

    Args:
        quotients: of the law.
        bits: of a threshold.
        sides: 2 of a symmetric law, 1 of one on 0, 1, 2, ...
        supremum: of quotients that do not descend; None where they do.
    """
    point = bits + 96
    while True:
        table = _cumulative(quotients(point), point, bits, sides, None if supremum is None else supremum(point))
        if table is not None:
            return table
        point += 64


def _cumulative(
    quotients: Iterator[Bounds], point: int, bits: int, sides: int, supremum: int | None
) -> Cumulative | None:
    """The table, or None if a digit is not certain at this precision."""
    one = 1 << point

    # The weights P[X = k] / P[X = 0] from both sides, until those that are left out are too small to matter.
    lows, highs = [one], [one]
    largest_quotients = []  # of this one and those that follow
    for low, high in quotients:
        largest_quotients.append(high if supremum is None else supremum)
        lows.append(lows[-1] * low >> point)
        highs.append(-(-highs[-1] * high >> point))
        rest = highs[-1] * one // (one - largest_quotients[-1]) + 1  # at least all weights from here on
        if rest < 1 << (point - bits - 32):
            break
    else:
        return None

    # Their tails, and the sum of all weights, which is 1 / P[X = 0].
    low_tails = list(accumulate(reversed(lows[1:])))
    high_tails = list(accumulate(reversed(highs[1:]), initial=rest))[1:]
    low_total, high_total = one + sides * low_tails[-1], one + sides * high_tails[-1]

    # P[|X| >= k] is a tail, of both sides, by the total. Its digits are certain if both bounds agree on them.
    thresholds = [(sides * low << bits) // high_total for low in reversed(low_tails)]
    if thresholds != [(sides * high << bits) // low_total for high in reversed(high_tails)]:
        return None
    positive = sum(1 for threshold in thresholds if threshold)
    # From k on, P[|X| >= k + 1] is at most P[|X| >= k] times the largest quotient from there on.
    return Cumulative(thresholds[:positive], Fraction(one, (one - largest_quotients[positive]) << bits))


def gaussian_quotients(sigma_squared: Fraction) -> Quotients:
    """r_k = exp(-(2k - 1) / (2 sigma_squared))."""

    def quotients(point: int) -> Iterator[Bounds]:
        low, high = exp_minus(Fraction(1, 2) / sigma_squared, point)
        low_step, high_step = exp_minus(Fraction(1) / sigma_squared, point)
        while True:
            yield low, high
            low, high = low * low_step >> point, -(-high * high_step >> point)

    return quotients


def skellam_quotients(variance: Fraction) -> Quotients:
    """r_k = I_k(v) / I_(k-1)(v), v the variance, for the difference of two Poisson variables of mean v / 2.

    Since I_(k-1) - I_(k+1) = 2k/v I_k for Bessel's I, r_k = 1 / (2k/v + r_(k+1)).  The recurrence shrinks the interval
    0 .. 1 for a late quotient to all the digits that are wanted.
    """

    def quotients(point: int) -> Iterator[Bounds]:
        count = 2 * isqrt(int(variance * point)) + point
        descending: list[Bounds] = []
        low, high = 0, 1 << point
        n, d = variance.numerator << 2 * point, 2 * variance.denominator << point
        for k in range(2 * count, 0, -1):
            low, high = n // (k * d + variance.numerator * high), -(-n // (k * d + variance.numerator * low))
            if k <= count:
                descending.append((low, high))
        return reversed(descending)

    return quotients


def negative_binomial_quotients(scale: Fraction, parties: int) -> Quotients:
    """r_k = q (k - 1 + 1/h) / k, which ascend to q = exp(-1 / scale), with h parties: NB(1/h, q), on 0, 1, 2, ..."""

    def quotients(point: int) -> Iterator[Bounds]:
        low, high = exp_minus(1 / scale, point)
        for k in count(1):
            numerator, denominator = (k - 1) * parties + 1, k * parties
            yield low * numerator // denominator, -(-high * numerator // denominator)

    return quotients


def negative_binomial_supremum(scale: Fraction) -> Supremum:
    """q = exp(-1 / scale), from above."""
    return lambda point: exp_minus(1 / scale, point)[1]


def laplace_probabilities(scale: Fraction, bits: int = BITS) -> tuple[list[int], Fraction]:
    """The thresholds of `secagg_noise_bitwise`, and the total variation distance of what it draws.

    With q = exp(-1 / scale), P[X != 0] = 2q / (1 + q), and |X| - 1 is then geometric: its bits are independent, and
    bit b is 1 with probability q^(2^b) / (1 + q^(2^b)).  Bits are left out where even the first of them is 1 with a
    probability below 2**-bits.
    """
    point = bits + 32
    one = 1 << point
    powers = [exp_minus(Fraction(1 << b) / scale, point)[0] for b in range(64)]
    drawn = [q for q in powers if q >> (point - bits)]
    thresholds = [(q << bits) // (one + q) for q in drawn]
    first = [(2 * powers[0] << bits) // (one + powers[0])]
    # A bit's threshold is too low by less than 1 + 2**-30; the bits left out are 1 with less than 2 * 2**-bits in all.
    return first + thresholds, Fraction(len(drawn) + 4, 1 << bits)


def exp_minus(x: Fraction, point: int) -> Bounds:
    """Bounds on exp(-x) for x > 0, a few units in the last place apart."""
    digits = point // 3 + 10
    down, up = (
        Context(prec=digits, rounding=rounding, Emax=MAX_EMAX, Emin=MIN_EMIN)
        for rounding in (ROUND_FLOOR, ROUND_CEILING)
    )
    if x > point:
        return 0, 1
    low = down.next_minus(down.exp(_minus(x, down)))
    high = up.next_plus(up.exp(_minus(x, up)))
    return int(Fraction(low) * (1 << point)), int(Fraction(high) * (1 << point)) + 1


def _minus(x: Fraction, context: Context) -> Decimal:
    return context.divide(Decimal(-x.numerator), Decimal(x.denominator))
