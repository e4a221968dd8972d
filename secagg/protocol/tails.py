"""Tails of the hypergeometric distribution, in log space: they are far below what a float can hold.

X counts the marked users among `drawn` users that are drawn without replacement from a population. A tail begins at
its bound and goes away from the middle, each probability from the one before by the exact ratio of the two.
"""

from math import inf, lgamma, log, log1p, log2
from typing import Any

import numpy as np

TOLERANCE = 2.0**-10
"""What a logarithm of this module may be wrong by, in bits, for populations below 2^32: `lgamma` cancels there."""

_LOG_2 = log(2)
_TERMS = 1 << 10  # at a time
_NEGLIGIBLE = 2.0**-60


def log2_choose(n: int, k: int) -> float:
    """log2 of the number of ways to choose k of n.

    Args:
        n: 0 or more.
        k: any number; there is no way outside 0 .. n.
    """
    if not 0 <= k <= n:
        return -inf
    return (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / _LOG_2


def log2_above(population: int, marked: int, drawn: int, bound: int) -> float:
    """log2 P[X > bound]; -inf where that cannot be.

    Args:
        population: how many users there are.
        marked: how many of them are marked, 0 .. population.
        drawn: how many are drawn, 0 .. population.
        bound: any number.
    """
    least, most = max(0, drawn + marked - population), min(drawn, marked)
    if bound < least:
        return 0.0
    if bound >= most:
        return -inf
    first = bound + 1
    if first < most and _ratio(population, marked, drawn, first) >= 1:  # the other tail is the short one
        return log1p(-(2.0 ** log2_below(population, marked, drawn, first))) / _LOG_2
    start = log2_choose(marked, first) + log2_choose(population - marked, drawn - first)
    return start - log2_choose(population, drawn) + log2(_relative_sum(population, marked, drawn, first, most))


def log2_below(population: int, marked: int, drawn: int, bound: int) -> float:
    """log2 P[X < bound]; -inf where that cannot be. See `log2_above`."""
    return log2_above(population, population - marked, drawn, drawn - bound)


def least_bound(population: int, marked: int, drawn: int, log2_error: float) -> int:
    """The least c for which log2 P[X > c] <= log2_error, with `TOLERANCE` in hand.

    Args:
        population: how many users there are.
        marked: how many of them are marked.
        drawn: how many are drawn.
        log2_error: below 0.
    """
    low, high = max(0, drawn + marked - population) - 1, min(drawn, marked)  # P[X > low] = 1, P[X > high] = 0
    while high - low > 1:
        middle = (low + high) // 2
        if log2_above(population, marked, drawn, middle) <= log2_error - TOLERANCE:
            high = middle
        else:
            low = middle
    return high


def log2_sum(first: float, second: float) -> float:
    """log2(2^first + 2^second)."""
    large, small = max(first, second), min(first, second)
    return large if small == -inf else large + log1p(2.0 ** (small - large)) / _LOG_2


def _relative_sum(population: int, marked: int, drawn: int, first: int, last: int) -> float:
    """The sum of P[X = j] / P[X = first] over j = first .. last, up to what is negligible beside it. They fall."""
    total = term = 1.0
    for start in range(first, last, _TERMS):
        ratios = _ratio(population, marked, drawn, np.arange(start, min(start + _TERMS, last), dtype=np.float64))
        terms = term * np.cumprod(ratios)
        total, term, ratio = total + float(terms.sum()), float(terms[-1]), float(ratios[-1])
        if term * ratio < _NEGLIGIBLE * total * (1 - ratio):  # what is left is less than a geometric series
            break
    return total


def _ratio(population: int, marked: int, drawn: int, j: Any) -> Any:
    """P[X = j + 1] / P[X = j], which falls as j grows; j is a number or an array of them."""
    return (marked - j) * (drawn - j) / ((j + 1.0) * (population - marked - drawn + j + 1.0))
