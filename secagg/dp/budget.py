"""What a mechanism may reveal about one privacy unit: three definitions of differential privacy.

Each is an upper bound for every pair of neighbouring inputs (see `Neighbours`), in both directions. All numbers are
exact: `exact.fraction` says which values are accepted.
"""

from dataclasses import dataclass
from fractions import Fraction

from ..errors import require
from .conversion import renyi_line_delta, renyi_line_epsilon
from .exact import Exact, fraction, text


@dataclass(frozen=True, init=False)
class PureDp:
    """Pure differential privacy: P[M(x) in S] <= e**epsilon * P[M(x') in S] (Dwork, McSherry, Nissim, Smith 2006).

    Attributes:
        epsilon: positive.

    Raises:
        LocalProtocolError: epsilon is not positive, or not an exact number.
    """

    epsilon: Fraction

    def __init__(self, epsilon: Exact) -> None:
        object.__setattr__(self, "epsilon", positive(epsilon, "epsilon"))

    def __str__(self) -> str:
        return f"{text(self.epsilon)}-DP"


@dataclass(frozen=True, init=False)
class ZCdp:
    """Zero-concentrated differential privacy: D_alpha(M(x) || M(x')) <= rho * alpha for all alpha > 1.

    D_alpha is the Renyi divergence of order alpha (Bun and Steinke 2016).

    Attributes:
        rho: positive.

    Raises:
        LocalProtocolError: rho is not positive, or not an exact number.
    """

    rho: Fraction

    def __init__(self, rho: Exact) -> None:
        object.__setattr__(self, "rho", positive(rho, "rho"))

    def __str__(self) -> str:
        return f"{text(self.rho)}-zCDP"


@dataclass(frozen=True, init=False)
class ApproxDp:
    """Approximate differential privacy: P[M(x) in S] <= e**epsilon * P[M(x') in S] + delta (Dwork and others 2006).

    Attributes:
        epsilon: positive.
        delta: above 0 and below 1.

    Raises:
        LocalProtocolError: epsilon is not positive, delta is not between 0 and 1, or one is not an exact number.
    """

    epsilon: Fraction
    delta: Fraction

    def __init__(self, epsilon: Exact, delta: Exact) -> None:
        object.__setattr__(self, "epsilon", positive(epsilon, "epsilon"))
        object.__setattr__(self, "delta", fraction(delta, "delta"))
        require(
            0 < self.delta < 1,
            f"delta must be above 0 and below 1, got {text(self.delta)}: it is the probability that the guarantee"
            " fails, far below one in the number of people; for delta = 0 leave delta out (PureDp)",
        )

    def __str__(self) -> str:
        return f"({text(self.epsilon)}, {text(self.delta)})-DP"


@dataclass(frozen=True)
class RenyiDp:
    """D_alpha(M(x) || M(x')) <= xi + rho * alpha at every integer alpha >= 2 (Mironov 2017), as of Skellam noise.

    It is not a budget by itself. It adds up over releases, and implies an (epsilon, delta).

    Attributes:
        xi: at least -rho, so that no order has a negative bound.
        rho: positive.

    Raises:
        LocalProtocolError: rho is not positive, or xi is below -rho.
    """

    xi: Fraction
    rho: Fraction

    def __post_init__(self) -> None:
        object.__setattr__(self, "xi", fraction(self.xi, "xi"))
        object.__setattr__(self, "rho", positive(self.rho, "rho"))
        require(self.xi >= -self.rho, f"xi must be at least -rho, got {text(self.xi)} and rho = {text(self.rho)}")

    def __str__(self) -> str:
        return f"({text(self.xi)} + {text(self.rho)} alpha)-RDP"

    def delta(self, epsilon: Exact) -> Fraction:
        """An upper bound on the delta for which this implies (epsilon, delta)-DP, the least over all orders.

        Args:
            epsilon: exact, positive.

        Raises:
            LocalProtocolError: epsilon is not positive.
        """
        return renyi_line_delta(self.xi, self.rho, positive(epsilon, "epsilon"))

    def epsilon(self, delta: Exact) -> Fraction:
        """An upper bound on the epsilon for which this implies (epsilon, delta)-DP, the least over all orders.

        Args:
            delta: exact, above 0 and below 1.

        Returns:
            The bound, at least 0.

        Raises:
            LocalProtocolError: delta is out of range.
        """
        number = fraction(delta, "delta")
        require(0 < number < 1, f"delta must be above 0 and below 1, got {text(number)}")
        return renyi_line_epsilon(self.xi, self.rho, number)


Budget = PureDp | ZCdp | ApproxDp
Guarantee = PureDp | ZCdp | ApproxDp | RenyiDp


def positive(value: Exact, name: str) -> Fraction:
    """An exact number above 0. Raises `LocalProtocolError` for any other."""
    number = fraction(value, name)
    require(number > 0, f"{name} must be positive, got {text(number)}")
    return number
