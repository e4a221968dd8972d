"""The experiments of Cloudflare's "Have your data and hide it too", on a deployment that runs.

Every point is a collection of a task of its own: a deployment cannot ask twice, as an experiment on paper can. So each
setting is tried with up to REPEATS tasks, with their own browsers. A task's total budget is that of its one collection.
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
SIZE_EPSILON = "0.1"  # the fixed one, at which the batch size varies
REPEATS, REPEATED = 5, 30_000  # of larger batches fewer: so many reports a size, or one batch


@dataclass(frozen=True, repr=False)
class Experiments:
    """What the figures show.

    Attributes:
        histograms: one batch's browsers, released for each epsilon of HISTOGRAM_EPSILONS.
        by_epsilon, by_size: releases, in the order of what varies.
    """

    histograms: list[Release]
    by_epsilon: list[Release]
    by_size: list[Release]


def sizes(reports: int) -> list[int]:
    """Of the batches whose size varies."""
    largest = max(reports, MAX_SIZE_FACTOR * min(reports, BATCH_REPORTS))
    return [size for size in SIZES if size <= largest] or [largest]


def run(demo: Demo, reports: int, buckets: int, rng: np.random.Generator) -> Experiments:
    """Makes all tasks, uploads all reports, and collects every task; raises as Demo does."""
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
