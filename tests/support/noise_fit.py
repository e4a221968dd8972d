"""How well samples fit a symmetric law, whose probabilities are known to 150 digits."""

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTEXT = Context(prec=150)


def exp_minus(x: Fraction) -> Decimal:
    """exp(-x)."""
    return CONTEXT.exp(CONTEXT.divide(Decimal(-x.numerator), Decimal(x.denominator)))


def both_signs(weights: Sequence[Decimal]) -> list[Decimal]:
    """The weights of magnitudes from those of 0, 1, 2, ..."""
    return [weights[0], *(CONTEXT.add(weight, weight) for weight in weights[1:])]


def chi_square_deviation(samples: NDArray[np.int64], weights: Sequence[Any]) -> float:
    """By how many standard deviations the chi-square statistic of magnitudes is too large (Wilson and Hilferty's
    approximation), in at most 200 bins of about the same probability; the last one takes all that lies beyond."""
    reach = len(weights)
    mass = np.array(weights, float)
    mass /= mass.sum()
    bins = np.unique(np.minimum(np.cumsum(mass) * 200, 199).astype(int), return_inverse=True)[1]
    bins = np.minimum(bins, np.flatnonzero(np.bincount(bins, mass) * samples.size >= 20)[-1])
    expected = np.bincount(bins, mass) * samples.size
    counts = np.bincount(bins[np.minimum(np.abs(samples), reach - 1)], minlength=expected.size)
    freedom = expected.size - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / sqrt(2 / (9 * freedom)))
