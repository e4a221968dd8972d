"""Laplace noise in parts: the discrete Laplace law is infinitely divisible.

With q = exp(-1 / scale), a discrete Laplace variable is the difference of two geometric ones, P[K = k] = (1 - q) q**k,
and a geometric one is the sum of h negative binomial ones, NB(1/h, q). So each of h parties adds the difference of two
samples of NB(1/h, q), which is Polya's law, and their sum is discrete Laplace of this scale: it is purely
(L1 / scale)-private. What others add is post-processing. (Goryczka and Xiong, "A Comprehensive Comparison of Multiparty
Secure Additions with Differential Privacy", 2017; for the continuous law Acs and Castelluccia 2011.)

Where fewer than h parties are honest, the guarantee is a larger epsilon, and no delta: see `Polya.epsilon_of`.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..arguments import convert, whole
from ..errors import require
from .budget import positive
from .mechanisms import DiscreteLaplace
from .sensitivity import Sensitivity

POLYA_SCALE_MAX = 1 << 12
"""The largest scale that is shared: its table has 80 thresholds for each unit, and takes seconds to compute."""

_PARTIES_MAX = 1 << 32


@dataclass(frozen=True)
class Polya:
    """The difference of two samples of NB(1 / parties, exp(-1 / scale)); so many of them add up to discrete Laplace.

    Attributes:
        scale: of the sum of all parties' noise, positive.
        parties: h, among which it is divided.
    """

    scale: Fraction
    parties: int

    def __post_init__(self) -> None:
        convert(self, positive, "scale")
        convert(self, whole, "parties")
        require(1 <= self.parties <= _PARTIES_MAX, f"parties must be 1 .. 2**32, got {self.parties}")

    @property
    def whole(self) -> DiscreteLaplace:
        """The law of all parties' noise together."""
        return DiscreteLaplace(self.scale)

    @property
    def variance(self) -> float:
        """Of one party's noise, in floating point."""
        return self.whole.variance / self.parties

    def epsilon_of(self, honest: int, sensitivity: Sensitivity) -> float:
        """The epsilon that the noise of fewer parties gives, in floating point.

        It is the sum of the largest losses over the entries that change, ln(P[Y = 0] / P[Y = d]) for a change by d;
        where it is not known which changes are the worst, L1 times that of a change by 1, an upper bound.

        Args:
            honest: how many parties' noise counts, 1 .. parties.
            sensitivity: of the vector that is released.

        Raises:
            LocalProtocolError: honest is out of range.
        """
        honest = whole(honest, "honest")
        require(1 <= honest <= self.parties, f"honest must be 1 .. {self.parties}, got {honest}")
        if sensitivity.worst is None:
            return float(sensitivity.l1) * self._loss(honest, 1)
        return sum(self._loss(honest, change) for change in sensitivity.worst)

    def _loss(self, honest: int, change: int) -> float:
        """ln(P[Y = 0] / P[Y = change]). P[Y = y] is proportional to q**y times the sum over k of
        c_k c_(k + y) q**(2 k), with c_k = (r)_k / k! and r = honest / parties."""
        r, rate = honest / self.parties, float(1 / self.scale)
        count = 2 + math.ceil(25 / rate)
        k = np.arange(1, count + change)
        c = np.concatenate([[1.0], np.cumprod((k - 1 + r) / k)])
        powers = np.exp(-2 * rate * np.arange(count))
        at_0, at_change = ((c[:count] * c[y : y + count] * powers).sum() for y in (0, change))
        return float(np.log(at_0 / at_change)) + rate * change
