"""The exact delta of Skellam noise for one number and one histogram, where Renyi divergences lose a little.

The noise is y with probability exp(-V) I_y(V), V the variance and I Bessel's function: the difference of two Poisson
variables. Poisson laws are log-concave, and so is their convolution. So the privacy loss ln(P[Y = y] / P[Y = y + d])
never falls as y grows, and two things follow, as for the discrete Gaussian (see `gaussian`):

- the worst set for a number that changes by d is a half-line: delta is the largest P[Y >= a] - e**epsilon
  P[Y >= a + d]. Each of these differences grows with d. So a number that changes by less has no larger delta;
- where one entry of a histogram rises by 1 and one falls by 1, the loss is the sum of two such losses with d = 1, as
  the law is symmetric. For every outcome of one entry the worst outcomes of the other are a half-line, which begins the
  lower the larger the first is. So one walk along both finds delta.

Probabilities are bounded from both sides in fixed point, as multiples of P[Y = 0], from the quotients of
`tables.skellam_quotients`. Outcomes that are left out count as if they told everything, and a difference whose sign the
bounds leave open counts where it may be positive. So the result is never below delta.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from .exact import exp_lower, exp_upper
from .tables import skellam_quotients

EXACT_VARIANCE_MAX = 1 << 18
"""The largest variance whose delta is computed; a tenth of a second, some fifteen times in a calibration."""

_POINT = 192  # bits after the binary point of a probability, as a multiple of P[Y = 0]
_ONE = 1 << _POINT
_SMALL = 1 << 64  # what may be left out on either side: 2**-128 of P[Y = 0]


@dataclass(frozen=True)
class _Law:
    """P[Y = y] / P[Y = 0] in fixed point, from both sides, for |y| <= reach.

    Attributes:
        lows: from below, at |y|.
        highs: from above, at |y|.
        rest: at least the sum over all y > reach.
    """

    lows: list[int]
    highs: list[int]
    rest: int

    @property
    def reach(self) -> int:
        """The largest outcome that is not left out."""
        return len(self.lows) - 1

    @property
    def total(self) -> int:
        """At most the sum over all y, which is 1 / P[Y = 0]."""
        return self.lows[0] + 2 * sum(self.lows[1:])

    def low(self, y: int) -> int:
        """P[Y = y] from below."""
        return self.lows[abs(y)] if abs(y) <= self.reach else 0

    def high(self, y: int) -> int:
        """P[Y = y] from above."""
        return self.highs[abs(y)] if abs(y) <= self.reach else self.rest


def scalar_delta(variance: Fraction, difference: int, epsilon: Fraction) -> Fraction:
    """An upper bound on delta for one number that changes by at most `difference`.

    It is the sum over y of what P[Y = y] exceeds e**epsilon P[Y = y + difference] by.

    Args:
        variance: of the noise, positive, at most EXACT_VARIANCE_MAX.
        difference: at least 1.
        epsilon: exact.
    """
    law, factor = _law(variance), int(exp_lower(epsilon) * _ONE)
    excesses = (law.high(y) - (factor * law.low(y + difference) >> _POINT) for y in range(-law.reach, law.reach + 1))
    excess = 2 * law.rest + sum(max(0, excess) for excess in excesses)
    return min(Fraction(1), Fraction(excess, law.total))


def histogram_delta(variance: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta where one entry rises by 1 and one falls by 1.

    It is the sum over x and y of what P[x] P[y] exceeds e**epsilon P[x + 1] P[y + 1] by.

    Args:
        variance: of each entry's noise, positive, at most EXACT_VARIANCE_MAX.
        epsilon: exact.
    """
    law = _law(variance)
    factor, factor_above = int(exp_lower(epsilon) * _ONE), int(exp_upper(epsilon) * _ONE) + 1
    low_tails, high_tails = _tails(law.lows, 0), _tails(law.highs, law.rest)
    excess = 2 * law.rest * high_tails[0]  # of all x that are left out

    first = law.reach + 1  # of the y that may add something for this x
    for x in range(-law.reach, law.reach + 1):
        p, shifted = law.high(x), factor * law.low(x + 1) >> _POINT
        while first > -law.reach and p * law.high(first - 1) > shifted * law.low(first):
            first -= 1

        # One by one while the sign is open, and from the first that surely adds something on all together.
        surely, p_below, shifted_above = first, law.low(x), (factor_above * law.high(x + 1) >> _POINT) + 1
        while surely <= law.reach and p_below * law.low(surely) <= shifted_above * law.high(surely + 1):
            excess += max(0, p * law.high(surely) - shifted * law.low(surely + 1))
            surely += 1
        begin = surely + law.reach
        excess += p * high_tails[begin] - shifted * low_tails[begin + 1]
    return min(Fraction(1), Fraction(excess, law.total**2))


def worst_delta(variance: Fraction, worst: tuple[int, ...] | None, epsilon: Fraction) -> Fraction | None:
    """An upper bound on delta for the worst difference, if that is of one number or of a histogram.

    Args:
        variance: of each entry's noise.
        worst: of the sensitivity.
        epsilon: exact.

    Returns:
        The bound; None for any other difference, and beyond EXACT_VARIANCE_MAX.
    """
    if variance > EXACT_VARIANCE_MAX:
        return None
    if worst is not None and len(worst) == 1:
        return scalar_delta(variance, worst[0], epsilon)
    return histogram_delta(variance, epsilon) if worst == (1, 1) else None


def _law(variance: Fraction) -> _Law:
    lows, highs, rest = [_ONE], [_ONE], _ONE
    for low, high in skellam_quotients(variance)(_POINT):
        lows.append(lows[-1] * low >> _POINT)
        highs.append((highs[-1] * high >> _POINT) + 1)
        rest = highs[-1] * high // (_ONE - high) + 1  # a geometric series, as quotients descend
        if rest < _SMALL:
            break
    return _Law(lows, highs, rest)


def _tails(values: list[int], rest: int) -> list[int]:
    """The sums over all y >= -reach, >= -reach + 1, ..., >= reach + 2 of a law with these values at |y|.

    Args:
        values: at 0 .. reach.
        rest: the sum over all y > reach; 0 beyond.
    """
    descending = [*reversed(values), *values[1:]]
    return [*reversed(list(accumulate(descending, initial=rest))), 0]
