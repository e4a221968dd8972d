"""The delta of a continuous Gaussian in floating point, beside which exact bounds are held."""

import math


def curve_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang 2018, Theorem 8, for a mean that changes by mu standard deviations."""
    tails = [math.erfc((epsilon / mu + side * mu / 2) / math.sqrt(2)) / 2 for side in (-1, 1)]
    return tails[0] - math.exp(epsilon) * tails[1]
