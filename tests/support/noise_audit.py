"""An audit of noise from outside: two worst-case neighbours go through the full path many times.

An event's chances, bounded by Clopper and Pearson, prove a least epsilon: an honest mechanism's must not exceed its
budget, and that of a mutant has to.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Release = Callable[[NDArray[np.int64]], NDArray[np.int64]]

RUNS = 40_000


def audited_epsilon(release: Release) -> float:
    """A lower bound on epsilon, right with a chance of 1 - 1e-6, from the event "bucket 0 is above 0, and bucket 1 is
    not", whose chances Laplace noise separates by exactly its epsilon."""
    x, y = np.zeros((RUNS, 2), np.int64), np.zeros((RUNS, 2), np.int64)
    x[:, 0], y[:, 1] = 1, 1  # a report in bucket 0, or in bucket 1 instead
    seen = [release(values.ravel()).reshape(RUNS, 2) for values in (x, y)]
    hits_x, hits_y = (int(((found[:, 0] > 0) & (found[:, 1] <= 0)).sum()) for found in seen)
    return math.log(clopper_pearson_low(hits_x, RUNS) / clopper_pearson_high(hits_y, RUNS))


def binomial_tail(hits: int, runs: int, p: float) -> float:
    """P[Binomial(runs, p) >= hits]."""
    logs = [
        math.lgamma(runs + 1)
        - math.lgamma(k + 1)
        - math.lgamma(runs - k + 1)
        + k * math.log(p)
        + (runs - k) * math.log1p(-p)
        for k in range(hits, min(runs, hits + 2000) + 1)
    ]
    return math.fsum(map(math.exp, logs))


def clopper_pearson_low(hits: int, runs: int) -> float:
    """The p for which as many hits or more have a chance of 5e-7."""
    low, high = 1e-12, hits / runs
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_tail(hits, runs, middle) < 5e-7 else (low, middle)
    return low


def clopper_pearson_high(hits: int, runs: int) -> float:
    return 1 - clopper_pearson_low(runs - hits, runs) if hits else 1 - 5e-7 ** (1 / runs)
