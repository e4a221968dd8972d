"""How many neighbours a sparse graph needs, and how many shares reveal a secret in it.

Users stand on a circle, in an order that nobody chooses, and the neighbours of u are the next degree / 2 users on
either side (`graph.Sparse`). Bad events are all of the kind "of these drawn users, too many are corrupt or gone"; a
union bound adds up their probabilities over all users.

Let N users join, min_joined <= N <= n. Of these n_C are corrupt, and fewer of a smaller N are honest: bounds on corrupt
users hold for every N when they hold for N = min_joined. `dropouts` bounds how many of the N leave later.

In both models, and for a secret of anybody:

- No honest user has more than c corrupt neighbours: n P[Hyp(N - 1, n_C, degree) > c].
- The secret can be recovered: n P[Hyp(N - 1, dropouts, degree) > degree - t]. A user's own share does not count, for
  users who are gone do not send theirs.

In the semi-honest model (Bell et al., CCS 2020, section 3):

- t > c: corrupt users do not reveal a secret.
- The honest users in U3 are connected, or the sum of a part of them is known. To part them takes two runs of degree / 2
  users on the circle who are corrupt or gone: n (n - degree - 1) / 2 pairs of runs, each with probability
  choose(bad, degree) / choose(n, degree). At least min_users - n_C honest users are left of N, so n is the worst N.
  Who is gone is taken to be independent of the circle. A client with fewer than t holders ends, and so is gone because
  of its place: SECURITY.md says what that costs where many more leave than was planned.

In the active model the server picks who is gone, and connection has to hold for any choice:

- t - 1 > degree / 2 + c: u masks its input only if t - 1 neighbours share it, and at most c of these are corrupt. More
  than degree / 2 are left, one of them on either side. docs/sparse-graph.md has all conditions, and the proof.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, log2

from .tails import TOLERANCE, least_bound, log2_above, log2_choose
from .thresholds import Model, majority

LOG2_PRIVACY = {Model.SEMI_HONEST: -40, Model.ACTIVE: -104}
"""By model, log2 of the largest probability that the graph fails to protect an input in a session. An active server may
try 2^64 sets of users and keys of corrupt users until the circle suits it: that leaves 2^-40."""

LOG2_CORRECTNESS = -20
"""log2 of the largest probability that a secret cannot be recovered although no more users leave than is planned."""

# Two bad events of the semi-honest model share its probability; in the active model there is one.
_LOG2_CORRUPT = {Model.SEMI_HONEST: LOG2_PRIVACY[Model.SEMI_HONEST] - 1, Model.ACTIVE: LOG2_PRIVACY[Model.ACTIVE]}
_LOG2_PARTED = LOG2_PRIVACY[Model.SEMI_HONEST] - 1


@dataclass(frozen=True)
class Cohort:
    """Who may be in a session.

    Attributes:
        n: how many users there are.
        min_joined: how many of them join at least, |U1|.
        n_corrupt: how many of them may be corrupt, n_C.
        model: what those and the server may do.
    """

    n: int
    min_joined: int
    n_corrupt: int
    model: Model


@lru_cache(maxsize=1 << 10)
def most_corrupt(cohort: Cohort, degree: int) -> int:
    """c: nobody has more corrupt neighbours, but for a probability that the model allows."""
    log2_error = _LOG2_CORRUPT[cohort.model] - log2(cohort.n)
    return least_bound(cohort.min_joined - 1, min(cohort.n_corrupt, cohort.min_joined - 1), degree, log2_error)


def log2_corrupt(cohort: Cohort, degree: int, c: int) -> float:
    """log2 of a bound on the probability that some user has more than c corrupt neighbours."""
    return _at_most_1(log2(cohort.n) + log2_above(cohort.min_joined - 1, cohort.n_corrupt, degree, c))


def least_threshold(model: Model, degree: int, c: int) -> int:
    """The least t that protects a secret of which c neighbours are corrupt."""
    return max(2, c + 1) if model is Model.SEMI_HONEST else degree // 2 + c + 2


def most_shares(cohort: Cohort, degree: int, dropouts: int) -> int:
    """How many neighbours of everybody stay, but for a probability of 2^LOG2_CORRECTNESS."""
    gone = least_bound(cohort.min_joined - 1, dropouts, degree, LOG2_CORRECTNESS - log2(cohort.n))
    return degree - gone


def log2_lost(cohort: Cohort, degree: int, dropouts: int, shares: int) -> float:
    """log2 of a bound on the probability that of somebody fewer than so many neighbours stay."""
    return _at_most_1(log2(cohort.n) + log2_above(cohort.min_joined - 1, dropouts, degree, degree - shares))


def log2_parted(cohort: Cohort, degree: int, min_users: int) -> float:
    """log2 of a bound on the probability that the honest ones of at least `min_users` users in U3 are not connected.

    It is exact for this union of pairs of runs, and falls as the degree rises.
    """
    n, bad = cohort.n, cohort.n - min_users + cohort.n_corrupt
    if bad < degree or degree >= n - 1:  # in the complete graph nobody is parted
        return -inf
    return _at_most_1(log2(n * (n - degree - 1) / 2) + log2_choose(bad, degree) - log2_choose(n, degree))


def is_connected(cohort: Cohort, degree: int, min_users: int) -> bool:
    """Whether this probability is one that the model allows; in the active model t sees to that."""
    return cohort.model is Model.ACTIVE or log2_parted(cohort, degree, min_users) <= _LOG2_PARTED - TOLERANCE


def least_min_users(cohort: Cohort, degree: int) -> int:
    """The fewest users in U3 for whom this holds, and of whom most are honest; n where no number is enough."""
    low, high = majority(cohort.n, cohort.n_corrupt) - 1, cohort.n
    while high - low > 1:
        middle = (low + high) // 2
        if is_connected(cohort, degree, middle):
            high = middle
        else:
            low = middle
    return high


def _at_most_1(log2_bound: float) -> float:
    return min(0.0, log2_bound)
