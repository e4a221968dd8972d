"""Noise that is the sum of many parties' noises; each party adds a fraction of the variance.

The guarantee depends on the honest parties alone: only their variance counts, and what others add is post-processing.
Three laws can be split among parties:

- discrete Laplace, into Polya noise (see `polya`): the sum has exactly this law, and is purely private;

- Skellam, the difference of two Poisson variables: sums of Skellam noise are Skellam noise. Exact sampling takes longer
  the larger the variance is (Agarwal, Kairouz and Liu 2021);
- the discrete Gaussian: sums are only close to a discrete Gaussian, within tau (Kairouz, Liu and Steinke 2021). From a
  variance of about 4 for each party on, tau is negligible.
"""

from dataclasses import dataclass
from fractions import Fraction

from ..arguments import convert
from ..errors import LocalProtocolError, require
from . import gaussian, skellam
from .budget import ApproxDp, Budget, PureDp, RenyiDp, ZCdp, positive
from .calibrate import PARAMETER_BITS, budget_rho, calibrate, discrete_laplace, smallest_sufficient
from .conversion import renyi_line_delta
from .exact import exp_upper, fraction, round_up, sqrt_upper
from .known_noise import gaussian_delta, gaussian_guarantee, skellam_guarantee
from .mechanisms import DiscreteGaussian, DiscreteLaplace
from .polya import POLYA_SCALE_MAX, Polya
from .sensitivity import Sensitivity

SKELLAM_VARIANCE_MAX = 1 << 12  # of one party: beyond it sampling slows down, and the discrete Gaussian is as good

_PI_SQUARED = Fraction(98696, 10000)  # from below
_TERMS = 16  # of tau that are computed one by one
_TERM_MIN = Fraction(-400)  # of an exponent: e**-400 is nothing already, and its fraction still short


@dataclass(frozen=True)
class Skellam:
    """The difference of two Poisson variables of mean variance / 2 each.

    Attributes:
        variance: above 0; n of them add up to Skellam(n * variance).
    """

    variance: Fraction

    def __post_init__(self) -> None:
        convert(self, positive, "variance")

    def guarantee(self, sensitivity: Sensitivity) -> RenyiDp:
        """Corollary 3.6 of Agarwal, Kairouz and Liu 2021, at integers alpha >= 2, with V the variance:

        D_alpha <= alpha L2**2 / (2 V) + min(((2 alpha - 1) L2**2 + 6 L1) / (4 V**2), 3 L1 / (2 V)).

        The term of the minimum that is less at alpha = 2 is used for all alpha.
        """
        l1, l2_squared, v = sensitivity.l1, sensitivity.l2_squared, self.variance
        if 3 * l2_squared + 6 * l1 > 6 * l1 * v:
            return skellam_guarantee(3 * l1 / (2 * v), l2_squared / (2 * v), v, sensitivity)
        slope = l2_squared / (2 * v) + l2_squared / (2 * v * v)
        return skellam_guarantee((6 * l1 - l2_squared) / (4 * v * v), slope, v, sensitivity)

    def satisfies(self, budget: Budget, sensitivity: Sensitivity) -> bool:
        """Whether the noise keeps to the budget; False for budgets without a delta, as no bound is known."""
        return isinstance(budget, ApproxDp) and self.delta(budget.epsilon, sensitivity) <= budget.delta

    def delta(self, epsilon: Fraction, sensitivity: Sensitivity) -> Fraction:
        """An upper bound on the delta of (epsilon, delta)-DP.

        It is exact but for rounding where `sensitivity.worst` is (d,) or (1, 1) and the variance is at most
        EXACT_VARIANCE_MAX, and follows from Renyi divergences elsewhere.

        Args:
            epsilon: exact.
            sensitivity: of the vector that is released.
        """
        epsilon, line = fraction(epsilon, "epsilon"), self.guarantee(sensitivity)
        by_divergences = renyi_line_delta(line.xi, line.rho, epsilon)
        exact = skellam.worst_delta(self.variance, sensitivity.worst, epsilon)
        return by_divergences if exact is None else min(by_divergences, exact)


@dataclass(frozen=True)
class GaussianSum:
    """The sum of several parties' discrete Gaussians, on each entry of a vector.

    Attributes:
        sigma_squared: of each party's law, at least 1/4.
        parties: how many of them add up.
        length: entries of the vector; the distance from one discrete Gaussian depends on it.
    """

    sigma_squared: Fraction
    parties: int
    length: int

    def __post_init__(self) -> None:
        require(
            self.sigma_squared >= Fraction(1, 4),
            f"sigma_squared must be at least 1/4, got {self.sigma_squared}",
        )
        require(self.parties >= 1 and self.length >= 1, "parties and length must be at least 1")

    @property
    def tau(self) -> Fraction:
        """10 * the sum over k = 1 .. parties - 1 of exp(-2 pi**2 sigma**2 k / (k + 1)), from above."""
        terms = [self._term(k) for k in range(1, min(self.parties, _TERMS))]
        return 10 * (sum(terms, Fraction(0)) + max(0, self.parties - _TERMS) * self._term(_TERMS))

    def guarantee(self, sensitivity: Sensitivity) -> ZCdp:
        """Proposition 14 of Kairouz, Liu and Steinke 2021, with V = parties * sigma**2 and d = length:

        rho = 1/2 min(L2**2 / V + 2 tau d, L2**2 / V + 2 tau L1 / sqrt(V) + tau**2 d, (L2 / sqrt(V) + tau sqrt(d))**2),

        the first bound being D_alpha <= alpha L2**2 / (2 V) + tau d, which is at most what it is here.

        Why they hold: on one entry, ln(P[sum = z] / P[N_Z(0, V) = z]) varies by tau / 2 at most over all z. So the
        privacy loss is that of N_Z(0, V) but for tau / 2, and linear in a sum that is subgaussian with V: the first.
        The sum and N_Z(0, V) are tau / 2 apart in either direction, thus (tau / 2)**2 / 2 in rho, and roots of rho obey
        the triangle inequality (Bun and Steinke 2016, on group privacy): on each entry the second, on all the third.
        """
        variance, tau, d = self.parties * self.sigma_squared, self.tau, self.length
        if tau == 0:
            return gaussian_guarantee(sensitivity.l2_squared / (2 * variance), variance, sensitivity)
        squared = sensitivity.l2_squared / variance
        by_entry = squared + 2 * tau * d
        by_l1 = squared + 2 * tau * sensitivity.l1 * sqrt_upper(1 / variance) + tau * tau * d
        by_l2 = (sqrt_upper(squared) + tau * sqrt_upper(Fraction(d))) ** 2
        rho = round_up(min(by_entry, by_l1, by_l2) / 2, 2 * PARAMETER_BITS)
        return gaussian_guarantee(rho, variance, sensitivity, tau)

    def satisfies(self, budget: Budget, sensitivity: Sensitivity) -> bool:
        """Whether the noise keeps to the budget; False for pure budgets."""
        if isinstance(budget, ZCdp):
            return self.guarantee(sensitivity).rho <= budget.rho
        return isinstance(budget, ApproxDp) and self.delta(budget.epsilon, sensitivity) <= budget.delta

    def delta(self, epsilon: Fraction, sensitivity: Sensitivity) -> Fraction:
        """An upper bound on the delta of (epsilon, delta)-DP.

        Elsewhere than where `sensitivity.worst` is (d,) or (1, 1) it is that of a continuous Gaussian, corrected, or
        what follows from zCDP (`known_noise.gaussian_delta`). There it is the exact one of N_Z(0, V), corrected. With r
        the quotient P[sum = z] / P[N_Z(0, V) = z] on an entry, ln r varies by tau / 2 at most (see `guarantee`), and is
        0 or has both signs, as both laws add up to 1. So |ln r| <= tau / 2, and where one entry changes by d

            P[sum = z] - e**epsilon P[sum = z + d] = r(z) (P[N_Z = z] - r(z + d) / r(z) e**epsilon P[N_Z = z + d])
                <= e**(tau / 2) max(0, P[N_Z = z] - e**(epsilon - tau / 2) P[N_Z = z + d]).

        Thus delta is at most e**(tau / 2) times that of N_Z at epsilon - tau / 2, and with two entries that change, the
        same with tau. The others have one law on both sides.

        Args:
            epsilon: exact.
            sensitivity: of the vector that is released.
        """
        epsilon, variance = fraction(epsilon, "epsilon"), self.parties * self.sigma_squared
        otherwise = gaussian_delta(self.guarantee(sensitivity), epsilon)
        off = len(sensitivity.worst or ()) * self.tau / 2
        if off > epsilon:
            return otherwise
        exact = gaussian.worst_delta(variance, sensitivity.worst, epsilon - off)
        return otherwise if exact is None else min(otherwise, exp_upper(off) * exact)

    def _term(self, k: int) -> Fraction:
        return exp_upper(max(_TERM_MIN, -2 * _PI_SQUARED * self.sigma_squared * Fraction(k, k + 1)))


PartyLaw = DiscreteLaplace | DiscreteGaussian | Skellam | Polya
SumLaw = DiscreteLaplace | DiscreteGaussian | Skellam | GaussianSum


def calibrate_distributed(
    budget: Budget, sensitivity: Sensitivity, parties: int, length: int, *, polya: bool | None = None
) -> PartyLaw:
    """The law of each honest party's noise, so that the sum of their noises keeps to the budget.

    A pure budget takes Polya noise. Others take it, too, where its variance is less than that of the other law: this is
    Skellam for an (epsilon, delta) budget of a number or a histogram and a variance of about SKELLAM_VARIANCE_MAX for
    each party at most, for that of another vector Skellam or the discrete Gaussian, whichever has less variance, and
    else the discrete Gaussian. A single party adds what `calibrate` says.

    Args:
        budget: what the release may reveal.
        sensitivity: of the vector that is released.
        parties: how many are honest.
        length: entries of the vector.
        polya: whether Polya noise is chosen where it can be had; by default where its variance is the least.

    Raises:
        LocalProtocolError: a number is out of range, or the budget is pure and its noise too wide to be shared.
    """
    require(parties >= 1, f"at least one party must be honest, got {parties}")
    require(length >= 1, f"length must be at least 1, got {length}")
    if parties == 1:
        return calibrate(budget, sensitivity)
    laplace = discrete_laplace(budget, sensitivity)
    shared = Polya(laplace.scale, parties) if polya is not False and laplace.scale <= POLYA_SCALE_MAX else None
    if isinstance(budget, PureDp):
        if shared is None:
            raise LocalProtocolError(
                f"Laplace noise that {parties} parties share may have a scale of {POLYA_SCALE_MAX:,} at most, and this"
                f" budget takes {float(laplace.scale):,.0f}: give a larger epsilon, rho, or epsilon and delta"
            )
        return shared
    if shared is not None and polya:
        return shared
    other = _gaussian_or_skellam(budget, sensitivity, parties, length)
    return shared if shared is not None and shared.variance < float(other.variance) else other


def _gaussian_or_skellam(
    budget: ZCdp | ApproxDp, sensitivity: Sensitivity, parties: int, length: int
) -> DiscreteGaussian | Skellam:
    # Start from each party's share of the variance that one Gaussian would have.
    rho = budget_rho(budget)
    start = round_up(sensitivity.l2_squared / (2 * rho * parties), PARAMETER_BITS)

    # The laws' own guarantees decide how much more each party adds.
    def skellam_suffices(variance: Fraction) -> bool:
        return Skellam(variance * parties).satisfies(budget, sensitivity)

    def gaussian_suffices(sigma_squared: Fraction) -> bool:
        if sigma_squared < Fraction(1, 4):
            return False
        total = GaussianSum(sigma_squared, parties, length)
        return total.guarantee(sensitivity).rho <= rho or total.satisfies(budget, sensitivity)

    approximate, known = isinstance(budget, ApproxDp), sensitivity.worst is not None
    too_wide = start > SKELLAM_VARIANCE_MAX or (known and start * parties > skellam.EXACT_VARIANCE_MAX)
    if not approximate or too_wide:
        return DiscreteGaussian(smallest_sufficient(start, gaussian_suffices))
    split = Skellam(smallest_sufficient(start, skellam_suffices))
    if known:
        return split

    # Of a vector, the Gaussian's delta is exact and Skellam's is not, and the Gaussian nearly always needs less.
    other = DiscreteGaussian(smallest_sufficient(start, gaussian_suffices))
    return other if other.sigma_squared < split.variance else split


def sum_law(law: PartyLaw, parties: int, length: int) -> SumLaw:
    """The law of the sum of several parties' noises, each of one law.

    Raises:
        LocalProtocolError: it is whole Laplace noise of more than one party, or Polya noise of too few.
    """
    if isinstance(law, Skellam):
        return Skellam(law.variance * parties)
    if isinstance(law, Polya):
        require(parties >= law.parties, f"{law.parties} parties' noise is one whole, got that of {parties}")
        return law.whole  # and what more parties add, which is post-processing
    if parties == 1:
        return law
    if isinstance(law, DiscreteLaplace):
        raise LocalProtocolError(
            "whole Laplace noise of several parties has no law that is known here: let them share it by Polya noise"
        )
    return GaussianSum(law.sigma_squared, parties, length)
