"""What many releases cost together, beside dp-accounting's privacy loss distributions (extra `oracles`).

Both bound the same epsilon from above: ours on a grid that widens with the loss, rounded outwards; theirs on the grid
of 1e-4 that it has by default, by Fourier transforms. Each run begins without what earlier ones have found.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from secagg.dp import (
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Sensitivity,
    composition,
    known_noise,
    least_epsilon,
)
from secagg.dp.composition import Spent
from secagg.dp.mechanisms import Law

from ..paired import MILLISECONDS, Baseline, Paired

DELTA = Fraction(1, 10**6)
HISTOGRAM = Sensitivity.histogram(Neighbours.REPLACE_ONE)
VECTOR = Sensitivity.l2_bounded(10_000, 1_000, Neighbours.REPLACE_ONE)
ROUNDS = 5


@dataclass(frozen=True)
class Case:
    """Releases under one law.

    Attributes:
        law: of the noise.
        sensitivity: of each release.
        releases: their number.
        theirs: the distribution of dp-accounting for one release, by its module.
    """

    law: Law
    sensitivity: Sensitivity
    releases: int
    theirs: Callable[[Any], Any]


CASES = {
    "a histogram under Laplace noise, 471 times": Case(
        DiscreteLaplace(Fraction(20)),
        HISTOGRAM,
        471,
        lambda pld: pld.from_discrete_laplace_mechanism(1 / 20, sensitivity=1).self_compose(2),
    ),
    "a histogram under Gaussian noise, 100 times": Case(
        DiscreteGaussian(Fraction(80)),
        HISTOGRAM,
        100,
        lambda pld: pld.from_discrete_gaussian_mechanism(80**0.5, sensitivity=1).self_compose(2),
    ),
    "a vector under Gaussian noise, 1,000 times": Case(
        DiscreteGaussian(Fraction(10**7)),
        VECTOR,
        1_000,
        lambda pld: pld.from_gaussian_mechanism(10**3.5, sensitivity=float(VECTOR.l2_squared) ** 0.5),
    ),
}


def epsilon_anew(releases: Counter[Spent]) -> float:
    for cached in (composition._privacy_loss, composition._power, known_noise.loss_of):
        cached.cache_clear()
    return float(least_epsilon(releases, DELTA))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def bench_epsilon_of_many_releases(paired: Paired, case: Case, request: pytest.FixtureRequest) -> None:
    pld = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution")
    releases = Counter({Spent(case.law.guarantee(case.sensitivity)): case.releases})

    def theirs() -> float:
        whole = case.theirs(pld).self_compose(case.releases)
        return float(whole.get_epsilon_for_delta(float(DELTA)))

    name = request.node.callspec.id
    baseline = Baseline("dp-accounting", theirs, MILLISECONDS)
    ours = paired(name, lambda: epsilon_anew(releases), baseline, [MILLISECONDS], rounds=ROUNDS)
    paired.note(epsilon=ours, epsilon_of_baseline=theirs())
