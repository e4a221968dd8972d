"""An audit of noise: a lower bound on epsilon, proven by running the mechanism on two neighbouring inputs many times.

An (epsilon, delta) guarantee says P[M(x) in S] <= e**epsilon P[M(x') in S] + delta for every set S of results. Counts
of hits bound both probabilities from the sides that matter (Clopper and Pearson 1934), with p from below and q from
above,

    epsilon >= ln((p - delta) / q).

The sets are half-lines of one statistic of the result, in both directions: the privacy loss of Laplace noise but for
its scale, sum |y - x'| - |y - x|, with ties in the order of the scalar product of y with x - x'; and for other laws
that product, which grows with their loss. Thresholds are quantiles of a first part of the runs, and other runs count
the hits. So the thresholds are fixed before, and each bound fails with a chance of `failure`, divided by how many there
are: all of them hold together but for a chance of `failure`.

A bound above the claim proves that the noise is not what the plan promises. One below it proves nothing: it is what so
many runs can show. `AuditResult.reach` says how large an epsilon they can show at most.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, real, whole
from ..errors import require
from .budget import ApproxDp, Budget, ZCdp
from .conversion import zcdp_epsilon
from .mechanisms import DiscreteLaplace
from .plan import Plan
from .polya import Polya
from .samplers import Rand

RUNS = 100_000
"""With each of the two inputs, by default."""
FAILURE = 1e-3
"""The chance that a sound plan seems to break its promise, by default."""

_MODULUS = 1 << 64
_BLOCK = 1 << 18  # samples of a draw, each of which has a secret of its own
_PILOT = 10  # one run in so many chooses thresholds
_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)  # of the quantiles that are thresholds
_ZCDP_DELTAS = (Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000))  # at which a zCDP claim is tried
_TIE = 1 << 30  # the scalar product in this unit orders outcomes whose loss under Laplace noise is the same
_BISECTIONS = 50
_RUNS_MIN, _RUNS_MAX = 1000, 10**7

Progress = Callable[[int, int], None]
"""Called with how many runs are done, and how many there are."""

Losses = NDArray[np.float64]  # the statistic of each run


@dataclass(frozen=True)
class Audit:
    """What an audit shows.

    Attributes:
        runs: of the mechanism, with each of the two inputs.
        epsilon: what epsilon is at least at this delta, if the bounds hold; 0 where the runs show nothing.
        delta: of the budget; for zCDP that at which the most is shown against the claim.
        claimed: the epsilon that the budget promises at this delta.
        reach: the largest epsilon that so many runs can show.
        failure: the chance that the bounds do not hold.
    """

    runs: int
    epsilon: float
    delta: float
    claimed: float
    reach: float
    failure: float

    def __post_init__(self) -> None:
        convert(self, whole, "runs")
        convert(self, real, "epsilon", "delta", "claimed", "reach", "failure")

    @property
    def keeps_claim(self) -> bool:
        """Whether what is shown does not exceed what is claimed."""
        return self.epsilon <= self.claimed


def audit(
    plan: Plan,
    x: Sequence[int],
    y: Sequence[int],
    *,
    honest: int | None = None,
    runs: int = RUNS,
    failure: float = FAILURE,
    rand: Rand = os.urandom,
    progress: Progress | None = None,
) -> Audit:
    """Run a plan's noise on two inputs, and bound epsilon from below.

    Only entries that differ are run: the others have one law under both inputs. A party's noise is what
    `Plan.noise_for` gives it, added mod 2**64 with a fresh secret for each block of runs.

    Args:
        plan: to be audited.
        x: integers, all that one privacy unit adds to the entries of the result.
        y: as many integers: what it may add instead.
        honest: how many parties' noise counts; by default as the plan says.
        runs: how often the noise is drawn for each input, 1,000 .. 10,000,000.
        failure: the chance that a sound plan seems to break its promise, above 0 and below 1.
        rand: source of the secrets, 16 bytes each; another one than the operating system's only to repeat an audit.
        progress: called as runs are done.

    Raises:
        LocalProtocolError: the inputs have different lengths or do not differ, a number is out of range, or the noise
            is too wide for any sampler.
    """
    runs, failure = whole(runs, "runs"), real(failure, "failure")
    honest = plan.honest if honest is None else whole(honest, "honest")
    require(_RUNS_MIN <= runs <= _RUNS_MAX, f"runs must be {_RUNS_MIN:,} .. {_RUNS_MAX:,}, got {runs:,}")
    require(0 < failure < 1, f"failure must be above 0 and below 1, got {failure}")
    require(honest >= 1, f"at least one party must be honest, got {honest}")
    mechanism = _Mechanism(plan, honest, *_differing(x, y), rand)

    # Thresholds from a first part of the runs, and hits from the rest.
    pilot = runs // _PILOT
    done = 0

    def count_block(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, 2 * runs)

    chosen = [mechanism.losses(side, pilot, count_block) for side in (0, 1)]
    counted = [mechanism.losses(side, runs - pilot, count_block) for side in (0, 1)]

    # Large losses speak for x, small ones for y.
    directions = [
        (_thresholds(chosen[0], chosen[1]), counted[0], counted[1]),
        (_thresholds(-chosen[1], -chosen[0]), -counted[1], -counted[0]),
    ]
    bounds = _Bounds(runs - pilot, failure / (2 * sum(len(thresholds) for thresholds, _, _ in directions)))
    pairs = [
        (bounds.lower(int((likely >= threshold).sum())), bounds.upper(int((unlikely >= threshold).sum())))
        for thresholds, likely, unlikely in directions
        for threshold in thresholds
    ]

    # What they show at each delta, and where they show the most beyond the claim.
    shown = [
        (max(_epsilon(p, q, float(delta)) for p, q in pairs), delta, claim) for delta, claim in _claims(plan.budget)
    ]
    epsilon, delta, claim = max(shown, key=lambda found: found[0] - found[2])
    reach = _epsilon(bounds.lower(bounds.runs), bounds.upper(0), float(delta))
    return Audit(runs, epsilon, float(delta), claim, reach, failure)


@dataclass(frozen=True)
class _Mechanism:
    """The noise of the honest parties on one of two inputs.

    Attributes:
        plan: of the noise.
        honest: how many parties add it.
        x, y: int64[k], the entries that differ.
        rand: source of secrets.
    """

    plan: Plan
    honest: int
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    rand: Rand

    def losses(self, side: int, runs: int, count: Callable[[int], None]) -> Losses:
        """The statistic of so many runs with x (0) or y (1); see the module."""
        block, parts = max(1, _BLOCK // len(self.x)), []
        for begin in range(0, runs, block):
            size = min(block, runs - begin)
            parts.append(self._statistic(self._released((self.x, self.y)[side], size)))
            count(size)
        return np.concatenate(parts)

    def _released(self, value: NDArray[np.int64], runs: int) -> NDArray[np.int64]:
        """The sum of input and noise, int64[runs, k]."""
        share = np.tile(value, runs).view(np.uint64)
        noise = replace(self.plan.noise_for(self.plan.place.party), length=len(share))
        for _ in range(self.honest):
            noise.add_to(share, _MODULUS, rand=self.rand)
        return share.view(np.int64).reshape(runs, -1)

    def _statistic(self, released: NDArray[np.int64]) -> Losses:
        product: Losses = released.astype(np.float64) @ (self.x - self.y).astype(np.float64)
        if not isinstance(self.plan.law, DiscreteLaplace | Polya):
            return product
        losses: Losses = (np.abs(released - self.y) - np.abs(released - self.x)).sum(axis=1).astype(np.float64)
        return losses + product / _TIE


def _differing(x: Sequence[int], y: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entries of both that differ."""
    require(len(x) == len(y), f"x and y must have as many entries, got {len(x)} and {len(y)}")
    pairs = [(a, b) for a, b in zip((whole(v, "x") for v in x), (whole(v, "y") for v in y), strict=True) if a != b]
    require(len(pairs) > 0, "x and y must differ: nothing tells equal inputs apart")
    require(all(abs(v) < 1 << 40 for pair in pairs for v in pair), "entries of x and y must be below 2**40")
    differing = np.array(pairs, np.int64)
    return differing[:, 0].copy(), differing[:, 1].copy()


def _thresholds(likely: Losses, unlikely: Losses) -> list[float]:
    """Quantiles of both, each once."""
    quantiles = np.concatenate([np.quantile(losses, _LEVELS, method="higher") for losses in (likely, unlikely)])
    return [float(threshold) for threshold in np.unique(quantiles)]


def _claims(budget: Budget) -> list[tuple[Fraction, float]]:
    """The deltas that a budget speaks about, or some of them, and the epsilon that it promises at each."""
    if isinstance(budget, ZCdp):
        return [(delta, float(zcdp_epsilon(budget.rho, delta))) for delta in _ZCDP_DELTAS]
    return [(budget.delta if isinstance(budget, ApproxDp) else Fraction(0), float(budget.epsilon))]


def _epsilon(p: float, q: float, delta: float) -> float:
    """The least epsilon >= 0 with p <= e**epsilon q + delta."""
    return max(0.0, math.log((p - delta) / q)) if p > delta else 0.0


class _Bounds:
    """Clopper and Pearson's bounds on the chance of an event, from its hits.

    Args:
        runs: number of trials.
        failure: the chance that one bound does not hold.
    """

    def __init__(self, runs: int, failure: float) -> None:
        self.runs, self._failure = runs, failure
        self._log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, runs + 1)))])

    def lower(self, hits: int) -> float:
        """The chance with which so many hits or more come with a probability of `failure`."""
        low, high = 0.0, hits / self.runs
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._tail(hits, middle) <= self._failure else (low, middle)
        return low

    def upper(self, hits: int) -> float:
        """The same of so many hits or fewer."""
        return 1 - self.lower(self.runs - hits)

    def _tail(self, hits: int, p: float) -> float:
        """P[Binomial(runs, p) >= hits] for p < hits / runs."""
        if not 0 < p < 1:
            return p
        beyond = hits + 100 + 10 * math.isqrt(hits)  # ten standard deviations: what follows is nothing
        k = np.arange(hits, min(self.runs, beyond) + 1)
        logs = self._log_factorials
        choose = logs[self.runs] - logs[k] - logs[self.runs - k]
        return float(np.exp(choose + k * math.log(p) + (self.runs - k) * math.log1p(-p)).sum())
