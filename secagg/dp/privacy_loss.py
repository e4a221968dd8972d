"""Privacy loss distributions: what many releases cost together, and never less than the truth.

Let P and Q be the laws of a release for two neighbouring inputs, and L = ln(P(y) / Q(y)) its privacy loss where y is
drawn from P. Losses of independent releases add up, and the release is (epsilon, delta)-DP for this pair if and only if

    delta >= E[max(0, 1 - exp(epsilon - L))].

A pair dominates a mechanism if no pair of neighbours has a larger delta than it at any epsilon. Then products of such
pairs dominate compositions, where each release may depend on the results of those before it (Sommer, Meiser and
Mohammadi 2019; Zhu, Dong and Wang 2022, Theorem 10). Every pair of `dominating` is its own mirror image: some map of
the outcomes swaps P and Q. So one distribution covers both directions of adjacency.

**A grid.** Losses are multiples of a power of two. A loss x between two of them, a < x < b, is split between both such
that P and Q keep their mass. Since max(0, 1 - exp(epsilon - x)) is convex in exp(-x), no delta falls by that (Jensen;
"connect the dots", Doroshenko, Ghazi, Kamath, Kumar and Manurangsi 2022). Where there are more than POINTS points,
every other one is split so between its neighbours. This adds an eighth of a squared step to the variance of the loss,
and the step grows with its deviation only. So the work grows with the logarithm of the number of releases, and what is
lost is a part in thousands.

**Never below the truth.** Masses are floats and bounds from above, which are only ever added and multiplied. None is
negative, so nothing cancels, and an error is a fraction of what it is an error of: less than 2**-38 in each step, if
numpy's exp, expm1 and erfc of the C library are within 2**-44 of the truth, some hundred times their usual error. Each
step multiplies by 1 + 2**-36. Convolutions are sums of products, without Fourier transforms. What lies above the last
point has an infinite loss, and what lies below the first one has that of the first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..arguments import whole
from ..errors import LocalProtocolError, require
from .exact import Exact, fraction

POINTS = 2048  # of a grid; convolutions of longer ones leave the processor's fastest cache

_UP = 1 + 2.0**-36
_TINY = 2.0**-120  # of the probability: so much is moved to the end of the grid, or to infinity, in each step
_LOST = 2.0**-1000  # more than all products that are too small for a float add up to
_HALVINGS = 60

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PrivacyLoss:
    """An upper bound on the distribution of the privacy loss; `dominating` and `composition` make them.

    Attributes:
        exponent: losses are multiples of 2**exponent.
        first: the least loss is first * 2**exponent.
        masses: probability of that loss and of the next ones, under P; float64.
        infinite: probability of an infinite loss.
    """

    exponent: int
    first: int
    masses: Floats
    infinite: float

    def delta(self, epsilon: Exact) -> Fraction:
        """An upper bound on the delta for which the releases are (epsilon, delta)-DP; at most 1.

        Args:
            epsilon: exact, at least 0.

        Raises:
            LocalProtocolError: epsilon is negative.
        """
        number = fraction(epsilon, "epsilon")
        require(number >= 0, f"epsilon must be at least 0, got {float(number):.6g}")
        return Fraction(min(1.0, self._delta(_float_below(number))))

    def epsilon(self, delta: Exact) -> Fraction:
        """An upper bound on the least epsilon, at least 0, for which the releases are (epsilon, delta)-DP.

        Args:
            delta: exact, above 0 and below 1.

        Raises:
            LocalProtocolError: delta is out of range, or not above the probability of an infinite loss: then no
                epsilon is large enough.
        """
        number = fraction(delta, "delta")
        require(0 < number < 1, f"delta must be above 0 and below 1, got {float(number):.6g}")
        allowed = _float_below(number)
        low, high = 0.0, max(0.0, float(self.losses[-1]))
        if self._delta(high) > allowed:
            raise LocalProtocolError(
                f"no epsilon has so small a delta: all that is known is that losses are infinite with a probability of"
                f" at most {self.infinite:.3g}, and delta is {float(number):.3g}"
            )
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._delta(middle) <= allowed else (middle, high)
        return Fraction(0) if self._delta(0.0) <= allowed else Fraction(high)

    def compose(self, other: "PrivacyLoss") -> "PrivacyLoss":
        """Of releases of this kind and of the other one together.

        Args:
            other: of further releases.
        """
        exponent = max(self.exponent, other.exponent)
        one, two = self._coarsened_to(exponent), other._coarsened_to(exponent)
        masses = np.convolve(one.masses, two.masses) * _UP
        infinite = (one.infinite + two.infinite + _LOST) * _UP
        return PrivacyLoss(exponent, one.first + two.first, masses, infinite).shortened()

    def times(self, count: int) -> "PrivacyLoss":
        """Of so many releases of this kind together.

        Args:
            count: number of releases, from 1 on.

        Raises:
            LocalProtocolError: count is below 1.
        """
        count = whole(count, "count")
        require(count >= 1, f"count must be at least 1, got {count}")
        return product(power for bit, power in zip(reversed(f"{count:b}"), self.powers(), strict=False) if bit == "1")

    def powers(self) -> Iterator["PrivacyLoss"]:
        """Of 1, 2, 4, 8, ... releases of this kind, without an end."""
        power = self
        while True:
            yield power
            power = power.compose(power)

    def cheapest_epsilon(self, total_variation: Exact) -> Fraction:
        """Where delta(epsilon) + (1 + e**epsilon) * eta is least, eta being the total variation; at least 0.

        delta is convex in e**epsilon, and its slope is -E_Q[loss > epsilon]: the sum falls as long as that is above
        eta.

        Args:
            total_variation: eta, above 0.
        """
        losses = self.losses
        eta = float_above(fraction(total_variation, "total_variation"))
        reached = np.cumsum((self.masses * np.exp(-np.maximum(losses, 0.0)))[::-1])[::-1]  # what is below 0 is not used
        above = losses[reached > eta]
        return Fraction(max(0.0, float(above[-1]))) if above.size else Fraction(0)

    @property
    def losses(self) -> Floats:
        """Those that the masses are of, float64."""
        return np.ldexp(np.arange(self.first, self.first + len(self.masses), dtype=np.float64), self.exponent)

    def _delta(self, epsilon: float) -> float:
        gains = -np.expm1(np.minimum(epsilon - self.losses, 0.0))
        return (float(self.masses @ gains) + self.infinite) * _UP

    def shortened(self) -> "PrivacyLoss":
        """Without what is improbable at both ends, and of at most POINTS points."""
        loss = self._trimmed()
        while len(loss.masses) > POINTS:
            loss = loss.coarsened()
        return loss

    def _trimmed(self) -> "PrivacyLoss":
        masses = self.masses
        below = int(np.searchsorted(np.cumsum(masses), _TINY))
        above = int(np.searchsorted(np.cumsum(masses[::-1]), _TINY))
        if below + above >= len(masses):
            return self
        kept = masses[below : len(masses) - above].copy()
        kept[0] = (kept[0] + masses[:below].sum()) * _UP
        infinite = self.infinite + float(masses[len(masses) - above :].sum()) * _UP
        return PrivacyLoss(self.exponent, self.first + below, kept, infinite * _UP)

    def _coarsened_to(self, exponent: int) -> "PrivacyLoss":
        loss = self
        while loss.exponent < exponent:
            loss = loss.coarsened()
        return loss

    def coarsened(self) -> "PrivacyLoss":
        """On every other point: each point between is split so that P and Q keep their mass."""
        odd = self.first % 2
        padded = np.pad(self.masses, (odd, (len(self.masses) + odd + 1) % 2))  # from an even point to an even one
        decay = math.exp(-(2.0**self.exponent))
        masses, between = padded[::2].copy(), padded[1::2]
        masses[1:] += between / (1 + decay)
        masses[:-1] += between * decay / (1 + decay)
        return PrivacyLoss(self.exponent + 1, (self.first - odd) // 2, masses * _UP, self.infinite + _LOST)


def product(losses: Iterator[PrivacyLoss]) -> PrivacyLoss:
    """Of several kinds of releases together: at least one.

    Args:
        losses: of each kind.
    """
    total = next(losses)
    for loss in losses:
        total = total.compose(loss)
    return total


def from_atoms(losses: Floats, masses: Floats, infinite: float) -> PrivacyLoss:
    """The distribution of finitely many losses, on a grid.

    Args:
        losses: each at least the true one.
        masses: their probabilities under P, each at least the true one.
        infinite: probability of an infinite loss, at least the true one.
    """
    reach = max(float(losses.max() - losses.min()), float(np.abs(losses).max()) * 2.0**-20, 2.0**-200)
    exponent = math.frexp(reach / (POINTS - 2))[1]

    # Each is split between the points below and above it, so that P and Q keep their mass.
    scaled = np.ldexp(losses, -exponent)
    below = np.floor(scaled)
    part, step = scaled - below, 2.0**exponent
    to_upper = np.expm1(-part * step) / math.expm1(-step)
    to_lower = np.exp(-part * step) * np.expm1(-(1 - part) * step) / math.expm1(-step)
    first = int(below.min())
    index = (below - first).astype(np.int64)
    grid = np.zeros(POINTS + 1)
    np.add.at(grid, index, masses * to_lower)
    np.add.at(grid, index + 1, masses * to_upper)
    return PrivacyLoss(exponent, first, grid * _UP, (infinite + _LOST) * _UP).shortened()


def float_above(number: Fraction) -> float:
    """The least float that is not below a number."""
    value = float(number)
    return value if Fraction(value) >= number else math.nextafter(value, math.inf)


def _float_below(number: Fraction) -> float:
    return -float_above(-number)
