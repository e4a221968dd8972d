"""Guarantees of noise whose law is known. They are those of `budget`, and compose better over many releases.

A Laplace release of a histogram is epsilon-DP. As such, many of them are counted as if each were randomized response.
But two entries change by 1, and each has half of epsilon: with the law, they are counted as what they are. So each of
these guarantees is one of `budget` with what `composition` must know to find the privacy loss of the law.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..arguments import assign, convert, unchecked, whole
from ..errors import require
from . import gaussian as gaussian_noise
from . import skellam as skellam_noise
from .budget import ApproxDp, Guarantee, PureDp, RenyiDp, ZCdp, positive
from .conversion import zcdp_delta
from .dominating import (
    GAUSSIAN_VARIANCE_MAX,
    SKELLAM_VARIANCE_MAX,
    discrete_gaussian,
    gaussian,
    gaussian_curve,
    laplace,
    randomized_response,
    skellam,
)
from .exact import Exact, exp_upper, fraction
from .privacy_loss import PrivacyLoss
from .sensitivity import Sensitivity

CHANGE_MAX = 8  # in deviations of the noise: an epsilon of 32 and more
MU_SQUARED_MAX = 10_000  # beyond it a privacy loss promises nothing, and floats become inexact
COUNTS = frozenset({"change", "entries"})  # what is an integer and no fraction


@dataclass(frozen=True, init=False)
class LaplaceDp(PureDp):
    """Pure differential privacy, of discrete Laplace noise of scale `entries * change / epsilon`.

    Attributes:
        epsilon: positive.
        change: of an entry.
        entries: how many change by that; the others do not.

    Raises:
        LocalProtocolError: a number is out of range.
    """

    change: int
    entries: int

    def __init__(self, epsilon: Exact, change: int, entries: int) -> None:
        super().__init__(epsilon)
        _set_changes(self, change, entries)


@dataclass(frozen=True, init=False)
class DiscreteGaussianDp(ZCdp):
    """Zero-concentrated differential privacy, of discrete Gaussian noise: sigma**2 = entries * change**2 / (2 rho).

    Attributes:
        rho: positive.
        change: of an entry.
        entries: how many change by that; the others do not.

    Raises:
        LocalProtocolError: a number is out of range, or the noise is too wide or too narrow to compute its losses
            one by one.
    """

    change: int
    entries: int

    def __init__(self, rho: Exact, change: int, entries: int) -> None:
        super().__init__(rho)
        _set_changes(self, change, entries)
        _require_narrow(self.sigma_squared, self.change, GAUSSIAN_VARIANCE_MAX)

    @property
    def sigma_squared(self) -> Fraction:
        """Of the noise."""
        return Fraction(self.entries * self.change**2) / (2 * self.rho)


@dataclass(frozen=True, init=False)
class GaussianDp(ZCdp):
    """Gaussian differential privacy: no worse than a Gaussian of deviation 1 whose mean changes by mu, but for a slack.

    This is mu-GDP (Dong, Roth and Su 2022) for a slack of 0. Discrete noise has a little, see
    `dominating.gaussian_curve`. Here it comes with the rho of the same noise.

    Attributes:
        rho: positive.
        mu_squared: mu**2, positive.
        slack: at least 0.

    Raises:
        LocalProtocolError: a number is out of range.
    """

    mu_squared: Fraction
    slack: Fraction

    def __init__(self, rho: Exact, mu_squared: Exact, slack: Exact = 0) -> None:
        super().__init__(rho)
        object.__setattr__(self, "mu_squared", positive(mu_squared, "mu_squared"))
        object.__setattr__(self, "slack", fraction(slack, "slack"))
        require(self.slack >= 0, f"slack must be at least 0, got {self.slack}")


@dataclass(frozen=True)
class SkellamDp(RenyiDp):
    """A line that bounds Renyi divergences, of Skellam noise.

    Attributes:
        xi: at least -rho.
        rho: positive.
        variance: of the noise, above 0.
        change: of an entry.
        entries: how many change by that; the others do not.

    Raises:
        LocalProtocolError: a number is out of range, or the noise is too wide or too narrow to compute its losses
            one by one.
    """

    variance: Fraction
    change: int
    entries: int

    def __post_init__(self) -> None:
        super().__post_init__()
        convert(self, positive, "variance")
        _set_changes(self, self.change, self.entries)
        _require_narrow(self.variance, self.change, SKELLAM_VARIANCE_MAX)


def laplace_guarantee(scale: Fraction, sensitivity: Sensitivity) -> PureDp:
    """Of discrete Laplace noise: epsilon = L1 / scale, the largest privacy loss of a vector.

    Args:
        scale: of the noise.
        sensitivity: of the vector.
    """
    epsilon, changes = sensitivity.l1 / scale, _changes(sensitivity)
    if changes is None or changes == (1, 1):  # one entry that changes by 1 is randomized response
        return PureDp(epsilon)
    return LaplaceDp(epsilon, *changes)


def gaussian_guarantee(
    rho: Fraction, variance: Fraction, sensitivity: Sensitivity, tau: Fraction = Fraction(0)
) -> ZCdp:
    """Of discrete Gaussian noise, or a sum of it.

    Args:
        rho: what it is known to be.
        variance: V of the discrete Gaussian N_Z(0, V).
        sensitivity: of the vector.
        tau: the logarithm of the sum's law may be tau / 2 away from that of N_Z(0, V), on each entry.
    """
    changes = _changes(sensitivity)
    if changes is not None and tau == 0 and _is_narrow(variance, changes[0], GAUSSIAN_VARIANCE_MAX):
        return DiscreteGaussianDp(rho, *changes)
    entries = max(1, int(min(sensitivity.l1, sensitivity.l2_squared)))  # integers that are not 0 are at least 1
    curve = gaussian_curve(variance, sensitivity.l2_squared, entries, tau)
    return ZCdp(rho) if curve is None else GaussianDp(rho, *curve)


def gaussian_delta(guarantee: ZCdp, epsilon: Fraction) -> Fraction:
    """An upper bound on the delta for which Gaussian noise is (epsilon, delta)-DP: by divergences, or by the curve of a
    continuous Gaussian if that is less.

    Args:
        guarantee: of the noise, from `gaussian_guarantee`.
        epsilon: exact.
    """
    by_curve = _curve_delta(guarantee, epsilon) if isinstance(guarantee, GaussianDp) else Fraction(1)
    return min(zcdp_delta(guarantee.rho, epsilon), by_curve)


def skellam_guarantee(xi: Fraction, rho: Fraction, variance: Fraction, sensitivity: Sensitivity) -> RenyiDp:
    """Of Skellam noise.

    Args:
        xi: of the line that bounds its Renyi divergences.
        rho: the slope of the line.
        variance: of the noise.
        sensitivity: of the vector.
    """
    changes = _changes(sensitivity)
    if changes is not None and _is_narrow(variance, changes[0], SKELLAM_VARIANCE_MAX):
        return SkellamDp(xi, rho, variance, *changes)
    return RenyiDp(xi, rho)


def plain(guarantee: Guarantee) -> Guarantee:
    """The guarantee without the law of its noise, as it was before there were laws.

    Args:
        guarantee: of a release.
    """
    if isinstance(guarantee, LaplaceDp):
        return PureDp(guarantee.epsilon)
    if isinstance(guarantee, DiscreteGaussianDp | GaussianDp):
        return ZCdp(guarantee.rho)
    return RenyiDp(guarantee.xi, guarantee.rho) if isinstance(guarantee, SkellamDp) else guarantee


@lru_cache(256)
def loss_of(guarantee: Guarantee) -> PrivacyLoss | None:
    """The privacy loss of the worst pair of neighbours; None where no pair is known to dominate all others.

    Args:
        guarantee: of a release.
    """
    if isinstance(guarantee, LaplaceDp):
        scale = guarantee.entries * guarantee.change / guarantee.epsilon
        return laplace(scale, guarantee.change).times(guarantee.entries)
    if isinstance(guarantee, DiscreteGaussianDp):
        return discrete_gaussian(guarantee.sigma_squared, guarantee.change).times(guarantee.entries)
    if isinstance(guarantee, SkellamDp):
        return skellam(guarantee.variance, guarantee.change).times(guarantee.entries)
    if isinstance(guarantee, GaussianDp):
        return gaussian(guarantee.mu_squared, guarantee.slack) if guarantee.mu_squared <= MU_SQUARED_MAX else None
    if isinstance(guarantee, PureDp):
        return randomized_response(guarantee.epsilon)
    return randomized_response(guarantee.epsilon, guarantee.delta) if isinstance(guarantee, ApproxDp) else None


def exact_delta(guarantee: Guarantee, epsilon: Fraction) -> Fraction | None:
    """The delta of one release, exact but for rounding, where that can be computed: `loss_of` is on a grid.

    Args:
        guarantee: of the release.
        epsilon: exact.
    """
    if isinstance(guarantee, GaussianDp):
        return _curve_delta(guarantee, epsilon)
    if not isinstance(guarantee, DiscreteGaussianDp | SkellamDp) or guarantee.entries > 2:
        return None
    worst = (guarantee.change,) * guarantee.entries
    if isinstance(guarantee, DiscreteGaussianDp):
        return gaussian_noise.worst_delta(guarantee.sigma_squared, worst, epsilon)
    return skellam_noise.worst_delta(guarantee.variance, worst, epsilon)


def _curve_delta(guarantee: GaussianDp, epsilon: Fraction) -> Fraction:
    """With r = e**(slack / 2), P is at most r times and Q at least 1 / r times what they are for the continuous
    Gaussian, so that P - e**epsilon Q is at most r (P - e**(epsilon - slack) Q) of that one."""
    continuous = gaussian_noise.continuous_delta(guarantee.mu_squared, epsilon - guarantee.slack)
    return exp_upper(guarantee.slack / 2) * continuous


def _changes(sensitivity: Sensitivity) -> tuple[int, int] | None:
    """By how much entries change in the worst case, and how many, if that is known and they change alike."""
    worst = sensitivity.worst
    return (worst[0], len(worst)) if worst is not None and len(set(worst)) == 1 else None


def _set_changes(guarantee: Guarantee, change: int, entries: int) -> None:
    change, entries = whole(change, "change"), whole(entries, "entries")
    assign(guarantee, unchecked, change=change, entries=entries)
    require(change >= 1 and entries >= 1, f"change and entries must be at least 1, got {change} and {entries}")


def _is_narrow(variance: Fraction, change: int, largest: int) -> bool:
    """Whether the losses of this noise are few enough, and not too large to matter."""
    return variance <= largest and change**2 <= CHANGE_MAX**2 * variance


def _require_narrow(variance: Fraction, change: int, largest: int) -> None:
    require(
        _is_narrow(variance, change, largest),
        f"the noise's variance must be at most {largest:,} and a change at most {CHANGE_MAX} times its root, got"
        f" {float(variance):.4g} and {change}",
    )
