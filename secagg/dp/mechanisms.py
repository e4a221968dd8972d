"""The laws of noise: what each guarantees for a sensitivity, and its variance.

A mechanism adds independent noise of one law to every entry of a vector of integers. Reduction mod R afterwards is
post-processing and changes no guarantee.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from ..arguments import convert
from .budget import Budget, PureDp, ZCdp, positive
from .conversion import pure_to_zcdp
from .exact import fraction
from .gaussian import worst_delta
from .known_noise import gaussian_delta, gaussian_guarantee, laplace_guarantee
from .sensitivity import Sensitivity


@dataclass(frozen=True)
class DiscreteLaplace:
    """P[Y = y] is proportional to exp(-|y| / scale): the geometric mechanism (Ghosh, Roughgarden, Sundararajan 2009).

    Attributes:
        scale: t, positive; the variance is 1 / (2 sinh(1 / (2 t))**2), a little below 2 t**2.
    """

    scale: Fraction

    def __post_init__(self) -> None:
        convert(self, positive, "scale")

    @property
    def variance(self) -> float:
        """Of one sample, in floating point."""
        half = float(1 / (2 * self.scale))
        return 0.5 / math.sinh(half) ** 2 if half < 350 else 0.0

    def guarantee(self, sensitivity: Sensitivity) -> PureDp:
        """epsilon = L1 / scale, the largest privacy loss of a vector."""
        return laplace_guarantee(self.scale, sensitivity)

    def satisfies(self, budget: Budget, sensitivity: Sensitivity) -> bool:
        """Whether the mechanism keeps to the budget: proven, not estimated.

        Args:
            budget: what the release may reveal.
            sensitivity: of the vector that is released.
        """
        epsilon = self.guarantee(sensitivity).epsilon
        return pure_to_zcdp(epsilon) <= budget.rho if isinstance(budget, ZCdp) else epsilon <= budget.epsilon


@dataclass(frozen=True)
class DiscreteGaussian:
    """P[Y = y] is proportional to exp(-y**2 / (2 sigma**2)) (Canonne, Kamath and Steinke 2020).

    Attributes:
        sigma_squared: positive; the variance is a little less, and equal to 15 digits from 2 on.
    """

    sigma_squared: Fraction

    def __post_init__(self) -> None:
        convert(self, positive, "sigma_squared")

    @property
    def variance(self) -> float:
        """Of one sample, in floating point."""
        if self.sigma_squared >= 4:
            return float(self.sigma_squared)
        weights = [math.exp(-y * y / float(2 * self.sigma_squared)) for y in range(1, 40)]
        return 2 * sum(w * y * y for y, w in enumerate(weights, 1)) / (1 + 2 * sum(weights))

    def guarantee(self, sensitivity: Sensitivity) -> ZCdp:
        """rho = L2**2 / (2 sigma**2) (Theorem 14 of Canonne, Kamath and Steinke)."""
        rho = sensitivity.l2_squared / (2 * self.sigma_squared)
        return gaussian_guarantee(rho, self.sigma_squared, sensitivity)

    def satisfies(self, budget: Budget, sensitivity: Sensitivity) -> bool:
        """Whether the mechanism keeps to the budget: proven, not estimated. It keeps to no pure budget.

        Args:
            budget: what the release may reveal.
            sensitivity: of the vector that is released.
        """
        if isinstance(budget, PureDp):
            return False
        if isinstance(budget, ZCdp):
            return self.guarantee(sensitivity).rho <= budget.rho
        return self.delta(budget.epsilon, sensitivity) <= budget.delta

    def delta(self, epsilon: Fraction, sensitivity: Sensitivity) -> Fraction:
        """An upper bound on the delta of (epsilon, delta)-DP.

        It is exact but for rounding where `sensitivity.worst` is (d,) or (1, 1), and elsewhere that of a continuous
        Gaussian (`known_noise.gaussian_delta`), or what follows from zCDP.

        Args:
            epsilon: exact.
            sensitivity: of the vector that is released.
        """
        epsilon = fraction(epsilon, "epsilon")
        exact = worst_delta(self.sigma_squared, sensitivity.worst, epsilon)
        return gaussian_delta(self.guarantee(sensitivity), epsilon) if exact is None else exact


Law = DiscreteLaplace | DiscreteGaussian
