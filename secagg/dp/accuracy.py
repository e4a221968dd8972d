"""How far noise moves a result: the accuracy that a budget buys.

Nothing here decides what is private, so floating point is accurate enough.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, real, whole
from ..errors import require
from .budget import ApproxDp, PureDp
from .distributed import PartyLaw, Skellam
from .exact import Exact, fraction
from .mechanisms import DiscreteGaussian, DiscreteLaplace
from .polya import Polya

MAX_COMPUTED_DEVIATION = 400.0  # a law of a larger standard deviation is computed at this one and stretched
NORMAL_PARTIES = 1000  # from so many parties on, a wide sum of noises has a normal law
_REACH = 50  # standard deviations on either side that hold all but 1e-28 of Laplace noise


@dataclass(frozen=True)
class Error:
    """A bound on an entry's error.

    Attributes:
        confidence: the probability that the bound holds, 0 .. 1.
        absolute: the bound on |noise|, in units of the result.
        relative: the same as a fraction of the entry's true size; None where no size was given.
    """

    confidence: float
    absolute: int
    relative: float | None

    def __post_init__(self) -> None:
        convert(self, real, "confidence", "relative")
        convert(self, whole, "absolute")


def error(law: PartyLaw, parties: int, confidence: float, size: int | None = None) -> Error:
    """The least e such that the sum of the parties' noise is in -e .. e with this confidence.

    Args:
        law: of each party's noise.
        parties: how many add noise.
        confidence: a probability, above 0 and at most 1 - 1e-12.
        size: the entry's true size, for a relative error.

    Raises:
        LocalProtocolError: confidence is not between 0 and 1 - 1e-12, or size is not positive.
    """
    confidence, size = real(confidence, "confidence"), None if size is None else whole(size, "size")
    require(0 < confidence <= 1 - 1e-12, f"confidence must be above 0 and at most 1 - 1e-12, got {confidence}")
    require(size is None or size >= 1, f"size must be at least 1, got {size}")
    absolute = _quantile(law, parties, confidence)
    return Error(confidence, absolute, None if size is None else absolute / size)


def mean_error(law: PartyLaw, parties: int) -> float:
    """The mean of |noise| of an entry, where so many parties add noise of this law.

    Args:
        law: of each party's noise.
        parties: how many add noise.
    """
    deviation = math.sqrt(parties * float(law.variance))
    if deviation > MAX_COMPUTED_DEVIATION and parties >= NORMAL_PARTIES:
        return deviation * math.sqrt(2 / math.pi)
    weights, stretch = _stretched_weights(law, parties)
    half = len(weights) // 2
    return 2 * stretch * float(np.arange(half) @ weights[:half])


def room(law: PartyLaw, parties: int, length: int, probability: Exact) -> int:
    """A bound on |sum of noise| that some entry of the vector exceeds with at most this probability: headroom mod R.

    It is Chernoff's bound: the least (parties * K(s) + ln(2 length / probability)) / s over s, with K the logarithm of
    the law's moment generating function.

    Args:
        law: of each party's noise.
        parties: how many add noise.
        length: entries of the vector.
        probability: that any entry exceeds the bound, an exact number between 0 and 1.

    Raises:
        LocalProtocolError: the probability is out of range.
    """
    chance = fraction(probability, "probability")
    require(0 < chance < 1, f"probability must be between 0 and 1, got {probability}")
    log_ratio = math.log(2 * length) - math.log(chance.numerator) + math.log(chance.denominator)
    normal_s = math.sqrt(2 * log_ratio / max(parties * float(law.variance), 1e-100))  # the best s for normal noise
    largest_s = float(1 / law.scale) if isinstance(law, DiscreteLaplace | Polya) else 50.0
    s = min(largest_s, 1e3 * normal_s) * np.logspace(-6, 0, 4000, endpoint=False)
    return math.ceil(float(((parties * _log_moments(law, s) + log_ratio) / s).min())) + 1


def posterior(budget: PureDp | ApproxDp, prior: Exact) -> float:
    """The probability that the best guess about a unit is right, where the guesser knows all other data.

    For pure budgets and an even prior it is e**epsilon / (1 + e**epsilon), the worst-case posterior. With a delta it is
    larger (the hypothesis-testing region of Kairouz, Oh and Viswanath 2015, Theorem 2.1).

    Args:
        budget: that the release keeps to.
        prior: the guesser's probability of one of two possibilities, before the release; an exact number.

    Raises:
        LocalProtocolError: prior is not between 0 and 1.
    """
    p = float(fraction(prior, "prior"))
    require(0 < p < 1, f"prior must be between 0 and 1, got {prior}")
    delta = float(budget.delta) if isinstance(budget, ApproxDp) else 0.0
    small = (1 - delta) / (1 + math.exp(min(float(budget.epsilon), 700.0)))
    corners = [(0.0, delta), (small, 1 - small), (1 - delta, 1.0)]  # false and true positives of the best tests
    return max(p * true + (1 - p) * (1 - false) for false, true in [*corners, (1.0, 1.0)])


def _quantile(law: PartyLaw, parties: int, confidence: float) -> int:
    deviation = math.sqrt(parties * float(law.variance))
    if deviation > MAX_COMPUTED_DEVIATION and parties >= NORMAL_PARTIES:
        return math.ceil(deviation * NormalDist().inv_cdf((1 + confidence) / 2))
    weights, stretch = _stretched_weights(law, parties)
    within = weights[0] + np.concatenate([[0.0], 2 * np.cumsum(weights[1 : len(weights) // 2])])
    return math.ceil(float(np.searchsorted(within, confidence)) * stretch)


def _stretched_weights(law: PartyLaw, parties: int) -> tuple[NDArray[np.float64], float]:
    """The weights of the sum, or of one that is narrower by a factor, and the factor."""
    deviation = math.sqrt(parties * float(law.variance))
    stretch = max(1.0, deviation / MAX_COMPUTED_DEVIATION)
    return _sum_weights(_shrunk(law, stretch) if stretch > 1 else law, parties, deviation / stretch), stretch


def _shrunk(law: PartyLaw, stretch: float) -> PartyLaw:
    """A law of the same form whose standard deviation is smaller by this factor."""
    factor = Fraction(stretch)
    if isinstance(law, DiscreteLaplace):
        return DiscreteLaplace(law.scale / factor)
    if isinstance(law, DiscreteGaussian):
        return DiscreteGaussian(law.sigma_squared / factor**2)
    if isinstance(law, Polya):
        return Polya(law.scale / factor, law.parties)
    return Skellam(law.variance / factor**2)


def _sum_weights(law: PartyLaw, parties: int, deviation: float) -> NDArray[np.float64]:
    """P[sum = y] at index y mod the length: the n-th power of the law's Fourier transform."""
    size = 1 << math.ceil(2 * _REACH * deviation + 64).bit_length()
    y = np.fft.fftfreq(size, 1 / size)
    if isinstance(law, Skellam):
        angles = 2 * np.pi * np.fft.rfftfreq(size)
        spectrum = np.exp(parties * float(law.variance) * (np.cos(angles) - 1))
    elif isinstance(law, Polya):
        q, cosines = math.exp(-float(1 / law.scale)), np.cos(2 * np.pi * np.fft.rfftfreq(size))
        spectrum = ((1 - q) ** 2 / (1 - 2 * q * cosines + q * q)) ** (parties / law.parties)
    else:
        exponent = (
            np.abs(y) / float(law.scale) if isinstance(law, DiscreteLaplace) else y * y / float(2 * law.sigma_squared)
        )
        weights = np.exp(-exponent)
        spectrum = np.fft.rfft(weights / weights.sum()).real.clip(0) ** parties
    return np.fft.irfft(spectrum, size).clip(0)


def _log_moments(law: PartyLaw, s: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln E[exp(s Y)], or for the discrete Gaussian a bound on it (Canonne, Kamath and Steinke 2020, Corollary 17)."""
    if isinstance(law, DiscreteLaplace):
        rate = float(1 / law.scale)
        return 2 * math.log(-math.expm1(-rate)) - np.log(-np.expm1(s - rate)) - np.log(-np.expm1(-s - rate))
    if isinstance(law, Polya):
        return _log_moments(law.whole, s) / law.parties
    if isinstance(law, DiscreteGaussian):
        return s * s * float(law.sigma_squared) / 2
    return float(law.variance) * (np.cosh(s) - 1)
