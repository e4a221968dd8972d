"""Dominating pairs: for each kind of noise, the privacy loss of two neighbours that are the worst (see `privacy_loss`).

- A guarantee alone, (epsilon, delta): randomized response that fails with probability delta is the worst mechanism of
  all that have it (Kairouz, Oh and Viswanath 2015).
- Noise that is symmetric and log-concave, on one entry: the worst change is the largest one. The loss grows with the
  noise, so that the worst sets are half-lines, and P[Y > a] - e**epsilon P[Y > a + d] grows with d.
- The same noise on several entries that change by as much: losses add up.
- The discrete Gaussian on a vector of bounded L2 norm: nearly a continuous one, for which all changes of one norm are
  alike; `gaussian_curve` says how nearly.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, repeat

import numpy as np

from .exact import PI_LOWER, exp_lower, exp_upper, log_upper, round_up
from .privacy_loss import POINTS, PrivacyLoss, float_above, from_atoms
from .tables import Bounds, gaussian_quotients, skellam_quotients

SKELLAM_VARIANCE_MAX = 1 << 18
"""The largest variance of Skellam noise whose losses are computed one by one: some 10,000 of them."""
GAUSSIAN_VARIANCE_MAX = 1 << 12
"""The same of discrete Gaussian noise. Wider noise is taken for a part of a continuous Gaussian."""

_BITS = 512  # after the binary point
_ONE = 1 << _BITS
_TAIL = 130  # weights below 2**-130 of the largest have an infinite loss
_CHANGES = 1024  # the largest change of an entry whose losses are computed one by one under Laplace noise
_CURVE_BITS = 48  # the discrete Gaussian's distance from a continuous one is 2**-48
_SLACK_MAX = Fraction(1, 1 << 20)  # with more, the bound by divergences is as good
_REACH = 13.0  # in standard deviations: beyond it 2**-125 is left
_PAD = 2.0**-36  # of a logarithm of numbers of _BITS bits in floating point


def randomized_response(epsilon: Fraction, delta: Fraction = Fraction(0)) -> PrivacyLoss:
    """The worst of all (epsilon, delta)-DP releases.

    Args:
        epsilon: positive.
        delta: at least 0 and below 1.
    """
    kept, decay_low, decay_high = 1 - delta, exp_lower(-epsilon), exp_upper(-epsilon)
    masses = [kept / (1 + decay_low), kept * decay_high / (1 + decay_high)]
    losses = [float_above(epsilon), float_above(-epsilon)]
    return from_atoms(np.array(losses), np.array([float_above(mass) for mass in masses]), float_above(delta))


def laplace(scale: Fraction, change: int) -> PrivacyLoss:
    """Of discrete Laplace noise on one entry.

    If the scale is large, that of coarser noise, of which it is a function: with q = exp(-1 / scale), the noise is m
    times noise of a scale of scale / m, and the difference of two samples from 0 .. m - 1, P[k] ~ q**k. Characteristic
    functions prove it: |1 - q**m e**(ims)|**2 / |1 - q e**(is)|**2 is |1 + q e**(is) + ... + q**(m - 1) e**(i(m -
    1)s)|**2.

    Args:
        scale: of the noise.
        change: of the entry.
    """
    coarser = -(-change // _CHANGES)
    t, d = scale / coarser, -(-change // coarser)

    # P[Y <= 0], P[Y = y] for 0 < y < d, and P[Y >= d]; the loss is (d - 2 y) / t from 0 to d.
    q_low, q_high = exp_lower(-1 / t), exp_upper(-1 / t)
    powers = accumulate(repeat(math.ceil(q_high * _ONE), d), lambda power, q: (power * q >> _BITS) + 1, initial=_ONE)
    masses = np.array([math.nextafter(power / _ONE, math.inf) for power in powers]) * float_above(1 / (1 + q_low))
    masses[1:-1] *= float_above(1 - q_low)
    losses = [float_above((d - 2 * y) / t) for y in range(d + 1)]
    return from_atoms(np.array(losses), masses * (1 + _PAD), 0.0)


def discrete_gaussian(sigma_squared: Fraction, change: int) -> PrivacyLoss:
    """Of discrete Gaussian noise on one entry.

    Args:
        sigma_squared: of the noise, at most GAUSSIAN_VARIANCE_MAX.
        change: of the entry.
    """
    return _log_concave(iter(gaussian_quotients(sigma_squared)(_BITS)), change)


def skellam(variance: Fraction, change: int) -> PrivacyLoss:
    """Of Skellam noise on one entry.

    Args:
        variance: of the noise, at most SKELLAM_VARIANCE_MAX.
        change: of the entry.
    """
    return _log_concave(iter(skellam_quotients(variance)(_BITS)), change)


def gaussian(mu_squared: Fraction, slack: Fraction) -> PrivacyLoss:
    """Of a continuous Gaussian of deviation 1 whose mean changes by mu; the loss has the law N(mu**2 / 2, mu**2).

    Args:
        mu_squared: mu**2, positive.
        slack: masses are e**(slack / 2) times, and losses by slack more than that.
    """
    deviation = math.nextafter(math.sqrt(float_above(mu_squared)), math.inf)
    mean = deviation * deviation / 2
    exponent = math.frexp(2 * _REACH * deviation / (4 * POINTS))[1] - 1
    first, last = (math.floor(math.ldexp(mean + side * _REACH * deviation, -exponent)) for side in (-1, 1))

    # What is between two points has the loss of the upper one.
    scores = (np.ldexp(np.arange(first, last + 1, dtype=np.float64), exponent) - mean) / deviation
    tails = np.array([math.erfc(abs(score) / math.sqrt(2)) / 2 for score in scores])
    masses = np.concatenate([tails[:1], np.abs(np.diff(tails))])
    middle = int(np.searchsorted(scores, 0.0))
    masses[middle] = 1 - tails[middle - 1] - tails[middle]

    factor = float_above(exp_upper(slack / 2)) * (1 + 2.0**-36)
    shift = math.ceil(math.ldexp(float_above(slack), -exponent))
    return PrivacyLoss(exponent, first + shift, masses * factor, float(tails[-1]) * factor).shortened()


def gaussian_curve(
    sigma_squared: Fraction, l2_squared: Fraction, entries: int, tau: Fraction = Fraction(0)
) -> tuple[Fraction, Fraction] | None:
    """The continuous Gaussian that dominates discrete Gaussian noise on a vector of bounded L2 norm, if one does.

    Add a continuous Gaussian of variance sigma**2 - v to integers, and round to y with a probability proportional to
    exp(-(y - c)**2 / 2v) for what is there, c. This is a function of the continuous mechanism, and its noise has nearly
    the law N_Z(0, sigma**2): the sum over all y differs from sqrt(2 pi v) by a factor of 1 +- e, with e = 2 (q + q**4 +
    ...) and q = exp(-2 pi**2 v) (Poisson's summation; Peikert 2010). So the quotient of both probabilities is between
    (1 - e) / (1 + e) and 1 + e, on each entry that changes; on the others the laws of both neighbours are the same.

    With quotients of at least 1 / r and at most r, P is at most r times, and Q at least 1 / r times what they are for
    the continuous mechanism: masses are r times, and losses 2 ln r more.

    Args:
        sigma_squared: of the noise.
        l2_squared: the bound on the sum of squared differences.
        entries: the most that change.
        tau: the logarithm of the noise's law may be tau / 2 away from that of the discrete Gaussian, on each entry.

    Returns:
        mu**2 and the slack, 2 ln r, of `gaussian`; None where the noise is too narrow for it.
    """
    v = round_up(log_upper(Fraction(8 * entries << _CURVE_BITS)) / (2 * PI_LOWER**2), _CURVE_BITS)
    slack = Fraction(1, 1 << _CURVE_BITS) + entries * tau
    if 2 * v > sigma_squared or slack > _SLACK_MAX:
        return None
    return round_up(l2_squared / (sigma_squared - v), _CURVE_BITS), round_up(slack, _CURVE_BITS)


def _log_concave(quotients: Iterator[Bounds], change: int) -> PrivacyLoss:
    """Of symmetric, log-concave noise on one entry.

    Args:
        quotients: P[Y = y + 1] / P[Y = y] for y = 0, 1, 2, ...
        change: of the entry.
    """
    # Weights, P[Y = y] / P[Y = 0], of the losses that count and of those that the change leads to.
    weights: list[Bounds] = []
    for weight in accumulate(quotients, _product, initial=(_ONE, _ONE)):
        weights.append(weight)
        if weights[max(0, len(weights) - 1 - change)][1] << _TAIL < _ONE:
            break
    reach = len(weights) - 1 - change
    total = weights[0][0] + 2 * sum(low for low, _ in weights[1 : reach + 1])

    # The probability beyond: quotients fall, so that it is at most a geometric series.
    last, before = weights[reach][1], weights[reach - 1][0]
    beyond = float_above(Fraction(last * last, (before - last) * total))

    # ln(P[Y = y] / P[Y = y - change]) falls in y. Further down than `reach` it is infinite, and further up that of it.
    finite = [y for y in range(-reach, reach + 1) if weights[abs(y - change)][0] > 0]
    losses = [math.log(weights[abs(y)][1]) - math.log(weights[abs(y - change)][0]) + _PAD for y in finite]
    masses = np.array([math.nextafter(weights[abs(y)][1] / total, math.inf) for y in finite])
    masses[-1] += beyond
    infinite = beyond + sum(weights[abs(y)][1] / total for y in range(-reach, finite[0])) * (1 + _PAD)
    return from_atoms(np.array(losses), masses, infinite)


def _product(one: Bounds, two: Bounds) -> Bounds:
    return one[0] * two[0] >> _BITS, (one[1] * two[1] >> _BITS) + 1
