"""Whether releases keep to a budget together, and how many more do: composition.

Each release has a guarantee, and its samples may be a little off their law. Several accounts are true at once, and the
one that costs least counts: sums of epsilons, Renyi divergences, and distributions of the privacy loss.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

from ..arguments import convert, whole
from ..errors import require
from .budget import ApproxDp, Budget, Guarantee, PureDp, RenyiDp, ZCdp
from .conversion import cheapest_epsilons, pure_to_zcdp, renyi_line_delta, zcdp_delta
from .exact import EXP_LIMIT, Exact, exp_upper, fraction, text
from .known_noise import GaussianDp, exact_delta, loss_of
from .privacy_loss import PrivacyLoss, product

_EPSILON_MIN = Fraction(1, 1 << 20)
_EPSILON_DIGITS = 1 << 17
_REST_DIGITS = 1 << 10


@dataclass(frozen=True)
class Spent:
    """What one batch's release cost.

    Attributes:
        guarantee: of the law of the noise.
        total_variation: a bound on the distance of the samples from their law, 0 .. 1.

    Raises:
        LocalProtocolError: the total variation is out of range. A negative one would give budget back.
    """

    guarantee: Guarantee
    total_variation: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        convert(self, fraction, "total_variation")
        require(0 <= self.total_variation <= 1, f"total_variation must be 0 .. 1, got {self.total_variation}")


def keeps_budget(total: Budget, releases: Iterable[Spent] | Mapping[Spent, int], allowance: Exact = 0) -> bool:
    """Whether releases keep to a budget together, where each may depend on the results of those before it.

    Pure epsilons add up, and so do the rhos of zCDP and the lines that bound Renyi divergences (Bun and Steinke 2016,
    Lemma 2.3; Mironov 2017, Proposition 1). Under an (epsilon, delta) budget, it is enough if one of these accounts is
    within it:

    - costs (epsilon, delta) add up, and what is left of the budget pays for the others: their epsilons added, if all
      are pure, or their Renyi divergences together;
    - the distribution of the privacy loss of all of them, if for each a worst pair of neighbours is known.

    What is released may depend on earlier results. Under an (epsilon, delta) budget its cost must not: the account, the
    order of the Renyi divergences, and the (epsilon, delta) that is left for them, are chosen at the end. Sums of
    epsilons and sums of rhos hold either way.

    Args:
        total: the budget.
        releases: what each of them cost; or how many there are of each cost.
        allowance: what the sum of their total variations may be under a pure or zCDP budget. The promise is then that
            they are within it of releases that keep to the budget.
    """
    return _keeps(total, _counted(releases), fraction(allowance, "allowance"))


def releases_allowed(total: Budget, releases: Iterable[Spent], cost: Spent, limit: int, allowance: Exact = 0) -> int:
    """How many more releases of one cost keep to a budget, up to a limit.

    Args:
        total: the budget.
        releases: what was spent of it.
        cost: of each further release.
        limit: the largest number that matters, from 1 on.
        allowance: see `keeps_budget`.

    Raises:
        LocalProtocolError: the limit is below 1.
    """
    limit, allowance = whole(limit, "limit"), fraction(allowance, "allowance")
    require(limit >= 1, f"limit must be at least 1, got {limit}")
    spent = Counter(releases)

    def keeps(number: int) -> bool:
        return _keeps(total, spent + Counter({cost: number}), allowance)

    low, high = 0, 1
    while keeps(high):
        if high == limit:
            return high
        low, high = high, min(2 * high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def rest(total: Budget, releases: Iterable[Spent]) -> PureDp | ZCdp | None:
    """The largest release that still keeps to a budget: a rho under a zCDP one, else a pure epsilon.

    Args:
        total: the budget.
        releases: what was spent of it, and keeps to it.

    Returns:
        What one more release may cost, under an (epsilon, delta) budget to within 1e-3; None if nothing is left.
    """
    counts = Counter(releases)
    if isinstance(total, ZCdp):
        left = total.rho - _rho(_guarantees(counts))
        return ZCdp(left) if left > 0 else None
    if isinstance(total, PureDp):
        left = total.epsilon - _pure(_guarantees(counts))
        return PureDp(left) if left > 0 else None

    # None costs more than the total, as a single release.
    low, high = Fraction(0), total.epsilon
    while high - low > high / _REST_DIGITS and high > total.epsilon / _REST_DIGITS**2:
        middle = (low + high) / 2
        keeps = _keeps(total, counts + Counter({Spent(PureDp(middle)): 1}), Fraction(0))
        low, high = (middle, high) if keeps else (low, middle)
    return PureDp(low) if low > 0 else None


def least_epsilon(releases: Iterable[Spent] | Mapping[Spent, int], delta: Exact) -> Fraction:
    """An epsilon for which releases are (epsilon, delta)-DP together: the least that is known, to within 1e-5 of it.

    Args:
        releases: what each of them cost; or how many there are of each cost.
        delta: exact, above 0 and below 1.

    Raises:
        LocalProtocolError: delta is out of range, or too small for any epsilon up to 10,000.
    """
    counts, delta = _counted(releases), fraction(delta, "delta")
    if not counts:
        ApproxDp(1, delta)  # checks delta
        return Fraction(0)

    def keeps(epsilon: Fraction) -> bool:
        return _keeps(ApproxDp(epsilon, delta), counts, Fraction(0))

    low, high = Fraction(0), _EPSILON_MIN
    while not keeps(high):
        require(
            high < EXP_LIMIT,
            f"no epsilon up to {EXP_LIMIT:,} is known for which {counts.total():,} releases have a delta of"
            f" {text(delta)}: give a larger delta",
        )
        low, high = high, 2 * high
    while high - low > high / _EPSILON_DIGITS:
        middle = (low + high) / 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


def total_variation_of(releases: Iterable[Spent]) -> Fraction:
    """A bound on the distance of all releases together from those of their laws: the distances add up.

    Args:
        releases: what each of them cost.
    """
    return _total_variation(Counter(releases))


def _total_variation(releases: Counter[Spent]) -> Fraction:
    return sum((release.total_variation * number for release, number in releases.items()), Fraction(0))


def _counted(releases: Iterable[Spent] | Mapping[Spent, int]) -> Counter[Spent]:
    """How many releases there are of each cost."""
    if isinstance(releases, Mapping):
        return Counter({cost: whole(number, "releases") for cost, number in releases.items()})
    return Counter(releases)


def _guarantees(releases: Counter[Spent]) -> Counter[Guarantee]:
    guarantees: Counter[Guarantee] = Counter()
    for release, number in releases.items():
        guarantees[release.guarantee] += number
    return guarantees


def _keeps(total: Budget, releases: Counter[Spent], allowance: Fraction) -> bool:
    """`keeps_budget`, where equal releases are counted."""
    guarantees = _guarantees(releases)
    total_variation = _total_variation(releases)
    if isinstance(total, ApproxDp):
        return _adds_up(total, guarantees, total_variation) or _loses_little(total, guarantees, total_variation)
    if total_variation > allowance:
        return False
    if isinstance(total, PureDp):
        return all(isinstance(g, PureDp) for g in guarantees) and _pure(guarantees) <= total.epsilon
    return all(isinstance(g, PureDp | ZCdp) for g in guarantees) and _rho(guarantees) <= total.rho


def _adds_up(total: ApproxDp, guarantees: Counter[Guarantee], total_variation: Fraction) -> bool:
    """Whether the total pays for some epsilon', from 0 to the total's epsilon.

    The laws then keep to (epsilon', delta'). The samples, at a total variation of eta from their laws, keep to
    (epsilon', delta' + (1 + e**epsilon') eta), which implies the total.

    The larger epsilon' is, the less delta' the laws need, and the more the samples need. The sum falls up to an
    epsilon' that does not depend on the total, and is least there. So a larger total never refuses what a smaller one
    pays.
    """
    # Costs (epsilon, delta) are subtracted from the total.
    approximate: Counter[Guarantee] = Counter({g: n for g, n in guarantees.items() if isinstance(g, ApproxDp)})
    others = guarantees - approximate
    spent = _sum(approximate, lambda g: g.epsilon)
    delta = total.delta - _sum(approximate, lambda g: g.delta)

    def paid(epsilon: Fraction, law_delta: Fraction) -> bool:
        """Whether the total has this epsilon left for the others, and the delta for their laws and all samples."""
        samples_delta = _samples_delta(spent + epsilon, total_variation)
        return spent + epsilon <= total.epsilon and law_delta + samples_delta <= delta

    # Pure costs add up, and need no delta for their laws.
    if all(isinstance(g, PureDp) for g in others) and paid(_pure(others), Fraction(0)):
        return True
    if not others or spent > total.epsilon:
        return False

    # The others as one line of Renyi divergences, D_alpha <= xi + rho * alpha, converted at the epsilon that costs
    # least.
    xi, rho = _sum(others, lambda g: g.xi if isinstance(g, RenyiDp) else Fraction(0)), _rho(others)
    integers = any(isinstance(g, RenyiDp) for g in others)
    left = total.epsilon - spent
    if total_variation:
        cheapest = cheapest_epsilons(xi, rho, total_variation, spent, integers=integers)
        epsilons = {min(left, max(Fraction(0), EXP_LIMIT - spent), epsilon) for epsilon in cheapest}
    else:
        epsilons = {left}
    law_delta = partial(renyi_line_delta, xi, rho) if integers else partial(zcdp_delta, rho)
    return any(paid(epsilon, law_delta(epsilon)) for epsilon in epsilons)


def _loses_little(total: ApproxDp, guarantees: Counter[Guarantee], total_variation: Fraction) -> bool:
    """Whether the distribution of the privacy loss keeps to the total, at its epsilon or that where samples cost least.

    Where the releases come down to one whose delta is known without a grid, it is that.
    """

    def paid(epsilon: Fraction, law_delta: Fraction) -> bool:
        return law_delta + _samples_delta(epsilon, total_variation) <= total.delta

    epsilon = min(total.epsilon, Fraction(EXP_LIMIT))
    alone = _alone(guarantees)
    exact = None if alone is None else exact_delta(alone, epsilon)
    if exact is not None and (paid(epsilon, exact) or not total_variation):
        return paid(epsilon, exact)
    loss = _privacy_loss(frozenset(guarantees.items()))
    if loss is None:
        return False
    if total_variation:
        epsilon = min(epsilon, loss.cheapest_epsilon(total_variation))
    exact = None if alone is None else exact_delta(alone, epsilon)
    return paid(epsilon, loss.delta(epsilon) if exact is None else exact)


def _alone(guarantees: Counter[Guarantee]) -> Guarantee | None:
    """The one guarantee that these come down to: of a single release, or of Gaussians alone."""
    gaussians = [(g, number) for g, number in guarantees.items() if isinstance(g, GaussianDp)]
    if len(gaussians) == len(guarantees) and gaussians:
        return _one_gaussian(gaussians)
    return next(iter(guarantees)) if guarantees.total() == 1 else None


@lru_cache(32)
def _privacy_loss(guarantees: frozenset[tuple[Guarantee, int]]) -> PrivacyLoss | None:
    """Of all releases together; None where for one of them no worst pair of neighbours is known.

    Args:
        guarantees: each with the number of its releases.
    """
    counts: Counter[Guarantee] = Counter({g: number for g, number in guarantees if not isinstance(g, GaussianDp)})
    gaussians = [(g, number) for g, number in guarantees if isinstance(g, GaussianDp)]
    if gaussians:
        counts[_one_gaussian(gaussians)] = 1
    if any(loss_of(guarantee) is None for guarantee in counts):
        return None
    return product(power for guarantee, number in counts.items() for power in _powers(guarantee, number))


def _one_gaussian(gaussians: list[tuple[GaussianDp, int]]) -> GaussianDp:
    """Gaussians are one Gaussian together: the squares of mu add up."""
    costs = [(g.rho * number, g.mu_squared * number, g.slack * number) for g, number in gaussians]
    return GaussianDp(*(sum(column, Fraction(0)) for column in zip(*costs, strict=True)))


def _powers(guarantee: Guarantee, number: int) -> Iterator[PrivacyLoss]:
    """The losses of 1, 2, 4, 8, ... releases that are so many together."""
    return (_power(guarantee, bit) for bit in range(number.bit_length()) if number >> bit & 1)


@lru_cache(256)
def _power(guarantee: Guarantee, bit: int) -> PrivacyLoss:
    """The loss of 2**bit releases: bisection over their number asks for it again and again."""
    if bit == 0:
        loss = loss_of(guarantee)
        assert loss is not None
        return loss
    half = _power(guarantee, bit - 1)
    return half.compose(half)


def _samples_delta(epsilon: Fraction, total_variation: Fraction) -> Fraction:
    """What samples at this total variation from their laws add to delta; 1, which no total has, where it is huge."""
    if total_variation == 0:
        return Fraction(0)
    return (1 + exp_upper(epsilon)) * total_variation if epsilon <= EXP_LIMIT else Fraction(1)


def _sum(guarantees: Counter[Guarantee], cost: Callable[[Any], Fraction]) -> Fraction:
    """The sum of what releases of these guarantees cost."""
    return sum((cost(g) * number for g, number in guarantees.items()), Fraction(0))


def _pure(guarantees: Counter[Guarantee]) -> Fraction:
    return _sum(guarantees, lambda g: g.epsilon)


def _rho(guarantees: Counter[Guarantee]) -> Fraction:
    """The sum of the slopes of all bounds on Renyi divergences."""
    return _sum(guarantees, lambda g: pure_to_zcdp(g.epsilon) if isinstance(g, PureDp) else g.rho)
