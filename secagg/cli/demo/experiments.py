"""The experiments of Cloudflare's "Have your data and hide it too", on a running deployment.

Every point is a collection of a task of its own: unlike an experiment on paper, a deployment answers only once. So each
setting is tried with up to REPEATS tasks, each with its own browsers. A task's total budget is that of one collection.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .demo import Demo, Release, browsers

HISTOGRAM_EPSILONS = ("1", "0.1", "0.01")
BATCH_REPORTS = 1000  # of the figures in which the batch size does not vary
EPSILONS = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2")
SIZES = (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
MAX_SIZE_FACTOR = 30  # times the reports of the other figures
SIZE_EPSILON = "0.1"  # at which the batch size varies
REPEATS, REPEATED = 5, 30_000  # tasks of one setting; fewer for large batches, with so many reports together, or one


@dataclass(frozen=True, repr=False)
class Experiments:
    """The releases that the figures show.

    Attributes:
        histograms: of the same browsers, one for each epsilon of HISTOGRAM_EPSILONS.
        by_epsilon: in the order of epsilon.
        by_size: in the order of the batch size.
    """

    histograms: list[Release]
    by_epsilon: list[Release]
    by_size: list[Release]


def sizes(reports: int) -> list[int]:
    """The batch sizes, for a number of reports in the other figures."""
    largest = max(reports, MAX_SIZE_FACTOR * min(reports, BATCH_REPORTS))
    return [size for size in SIZES if size <= largest] or [largest]


def run(demo: Demo, reports: int, buckets: int, rng: np.random.Generator) -> Experiments:
    """Make all tasks, upload all reports, and collect every task.

    Args:
        demo: a running deployment.
        reports: in the largest batch of the first figures.
        buckets: number of error types.
        rng: for what browsers see.

    Raises:
        LocalError, SecAggError: see `Demo.upload` and `Demo.collect`.
    """
    fixed_size = min(reports, BATCH_REPORTS)
    same = browsers(fixed_size, buckets, rng)
    plans = (
        [(epsilon, same) for epsilon in HISTOGRAM_EPSILONS],
        [(epsilon, browsers(fixed_size, buckets, rng)) for epsilon in EPSILONS for _ in range(REPEATS)],
        [(SIZE_EPSILON, browsers(size, buckets, rng)) for size in sizes(reports) for _ in range(_repeats(size))],
    )
    batches = [demo.new_batch(seen, epsilon) for plan in plans for epsilon, seen in plan]
    demo.upload(batches)
    releases = iter(demo.collect(batches))
    return Experiments(*([next(releases) for _ in plan] for plan in plans))


def relative_error(releases: Iterable[Release], kind: int) -> float:
    """The mean |error| of one error type as a fraction of its true count, or of 1 where nobody saw it."""
    return float(np.mean([abs(release.errors[kind]) / max(1, release.batch.truth[kind]) for release in releases]))


def _repeats(size: int) -> int:
    return max(1, min(REPEATS, REPEATED // size))
