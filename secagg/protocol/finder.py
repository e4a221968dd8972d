"""The smallest degree of a sparse graph, and the threshold that goes with it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from ..errors import require
from .graph import COMPLETE, Sparse
from .sparse import (
    Cohort,
    is_connected,
    least_threshold,
    log2_corrupt,
    log2_lost,
    log2_parted,
    most_corrupt,
    most_shares,
)
from .tails import log2_sum
from .thresholds import Model, Threat, default_threshold, majority


@dataclass(frozen=True)
class Choice:
    """A graph for a cohort of users, and what it promises.

    Attributes:
        cohort: who may be in the session.
        dropouts: how many of those who joined may leave before the session ends.
        liars: how many wrong shares of every secret are corrected even then.
        degree: how many neighbours everybody has; n - 1 in the complete graph.
        t: how many shares reveal a secret.
        c: how many corrupt neighbours an honest user has at most; n_C in the complete graph.
        log2_privacy: log2 of a bound on the probability that the graph does not protect an input of the session.
        log2_correctness: log2 of a bound on the probability that the session fails although no more users leave.
    """

    cohort: Cohort
    dropouts: int
    liars: int
    degree: int
    t: int
    c: int
    log2_privacy: float
    log2_correctness: float

    @property
    def complete(self) -> bool:
        """Whether the graph is the complete one, because a sparse one would need a degree above n / 2."""
        return self.degree == self.cohort.n - 1

    @property
    def min_users(self) -> int:
        """How many users' inputs are in the sum even if so many leave."""
        return self.cohort.min_joined - self.dropouts

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `Params` that the choice is about."""
        graph = COMPLETE if self.complete else Sparse(self.degree)
        return {**asdict(self.cohort), "min_users": self.min_users, "t": self.t, "graph": graph}


def find(cohort: Cohort, dropouts: int, liars: int) -> Choice:
    """The sparse graph of the smallest degree for these users; the complete graph where that is above n / 2.

    Args:
        cohort: who may be in the session.
        dropouts: how many of those who joined may leave before it ends.
        liars: how many wrong shares of every secret are to be corrected.

    Raises:
        LocalProtocolError: the numbers contradict one another, or no graph is enough for so many users who are corrupt,
            leave or lie.
    """
    _check(cohort, dropouts, liars)
    for degree in _degrees(cohort, dropouts, liars):
        c = most_corrupt(cohort, degree)
        t = least_threshold(cohort.model, degree, c)
        if t + 2 * liars <= most_shares(cohort, degree, dropouts):
            return _sparse(cohort, dropouts, liars, degree, t, c)
    return _complete(cohort, dropouts, liars)


def _check(cohort: Cohort, dropouts: int, liars: int) -> None:
    n, joined, n_corrupt = cohort.n, cohort.min_joined, cohort.n_corrupt
    require(2 <= n < 1 << 32, f"n must be 2 .. 2**32 - 1, got {n}")
    require(2 <= joined <= n, f"min_joined must be 2 .. n = {n}, got {joined}")
    require(0 <= n_corrupt < n, f"corrupt must be 0 .. n - 1, got {n_corrupt}")
    require(0 <= dropouts < joined, f"dropouts must be 0 .. min_joined - 1 = {joined - 1}, got {dropouts}")
    require(0 <= liars < n, f"liars must be 0 .. n - 1, got {liars}")
    quorum = majority(n, n_corrupt)
    require(
        joined - dropouts >= quorum,
        f"min_joined - dropouts = {joined - dropouts} users stay, but a round needs (n + corrupt) // 2 + 1 = {quorum}:"
        " expect fewer dropouts or corrupt users, or raise min_joined",
    )


def _degrees(cohort: Cohort, dropouts: int, liars: int) -> Iterator[int]:
    """The even degrees up to n / 2 that are not known to be too small, until the caller is content.

    Two more neighbours add at most 2 to the shares that come, and at least `slope` to those that are needed: so much is
    never made up sooner, and the degrees between are left out.
    """
    slope = least_threshold(cohort.model, 4, 1) - least_threshold(cohort.model, 2, 1)
    degree, most = _least_connected(cohort, dropouts), min(cohort.n // 2, cohort.min_joined - 2)
    while degree <= most:
        yield degree
        needed = least_threshold(cohort.model, degree, most_corrupt(cohort, degree)) + 2 * liars
        missing = needed - most_shares(cohort, degree, dropouts)
        degree += 2 * max(1, -(-missing // (2 - slope)))


def _least_connected(cohort: Cohort, dropouts: int) -> int:
    """The least even degree for which the honest users who stay are connected."""
    low, high = 0, cohort.n // 2 + 1  # halves of the degree: low is too few, or none
    while high - low > 1:
        middle = (low + high) // 2
        if is_connected(cohort, 2 * middle, cohort.min_joined - dropouts):
            high = middle
        else:
            low = middle
    return 2 * high


def _sparse(cohort: Cohort, dropouts: int, liars: int, degree: int, t: int, c: int) -> Choice:
    stay = cohort.min_joined - dropouts
    log2_privacy = log2_corrupt(cohort, degree, c)
    if cohort.model is Model.SEMI_HONEST:
        log2_privacy = log2_sum(log2_privacy, log2_parted(cohort, degree, stay))
    log2_correctness = log2_lost(cohort, degree, dropouts, t + 2 * liars)
    return Choice(cohort, dropouts, liars, degree, t, c, log2_privacy, log2_correctness)


def _complete(cohort: Cohort, dropouts: int, liars: int) -> Choice:
    """The complete graph, where everybody holds a share of everything and nothing is left to chance."""
    n, n_corrupt, stay = cohort.n, cohort.n_corrupt, cohort.min_joined - dropouts
    t = default_threshold(n, Threat.COLLUDING, n_corrupt)
    require(
        stay >= t + 2 * liars,
        f"no graph is enough: min_joined - dropouts = {stay} users stay, and the complete graph needs"
        f" t + 2 * liars = {t + 2 * liars}",
    )
    return Choice(cohort, dropouts, liars, n - 1, t, n_corrupt, -inf, -inf)
