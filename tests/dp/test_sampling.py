"""Amplification by sampling: beside whole enumeration, beside the exact curve, and what it is refused for."""

import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.dp import (
    ApproxDp,
    DiscreteLaplace,
    GaussianDp,
    Invited,
    LaplaceDp,
    Neighbours,
    Place,
    Plan,
    PureDp,
    Sensitivity,
    Unit,
    ZCdp,
    loss_of,
    views,
)
from secagg.dp.privacy_loss import PrivacyLoss
from secagg.dp.sampling import sampled
from secagg.errors import LocalProtocolError

from ..support.gaussian_curve import curve_delta

N = Neighbours.REPLACE_ONE
VECTOR = Sensitivity.l2_bounded(10**6, 20_000, N)
COHORT: dict[str, Any] = {"clients": 100, "survivors": 67, "corrupt": 33}
Floats = NDArray[np.float64]


def gaussian(mu: float) -> PrivacyLoss:
    loss = loss_of(GaussianDp(100, Fraction(mu) ** 2))
    assert loss is not None
    return loss


def laplace_sums(data: tuple[int, ...], people: int, q: float, reach: int) -> Floats:
    """The law of a sum over a random sample of so many, under discrete Laplace noise with this quotient."""
    values = np.arange(-reach, reach + 1)
    law = np.zeros(len(values))
    samples = list(combinations(data, people))
    for sample in samples:
        law += (1 - q) / (1 + q) * q ** np.abs(values - sum(sample))
    return law / len(samples)


def exact_delta(one: Floats, two: Floats, epsilon: float) -> float:
    return float(np.maximum(0.0, one - math.exp(epsilon) * two).sum())


@pytest.mark.parametrize(("people", "population"), [(1, 2), (1, 4), (2, 4), (3, 4), (2, 5)])
@pytest.mark.parametrize("rounds", [1, 2])
def test_no_data_set_is_told_apart_better_than_is_said(people: int, population: int, rounds: int) -> None:
    """By enumeration of all data sets of 0 and 1, all samples and both directions."""
    q = math.exp(-1 / 2)
    bound = sampled(_known(PureDp(Fraction(1, 2))), Invited(people, population)).times(rounds)
    most = 0.0
    for others in combinations([0, 1] * (population - 1), population - 1):
        laws = [laplace_sums((*others, mine), people, q, 60) for mine in (0, 1)]
        for one, two in (laws, laws[::-1]):
            if rounds == 2:
                one, two = np.outer(one, one).ravel(), np.outer(two, two).ravel()
            for epsilon in (0.0, 0.05, 0.1, 0.3, 0.6):
                exact = exact_delta(one, two, epsilon)
                assert exact <= float(bound.delta(Fraction(epsilon))) + 1e-12
                most = max(most, exact / float(bound.delta(Fraction(epsilon))) if exact > 1e-6 else 0.0)
    assert most > 0.5  # and the bound is about as much as there is


def _known(guarantee: Any) -> PrivacyLoss:
    loss = loss_of(guarantee)
    assert loss is not None
    return loss


@pytest.mark.parametrize("mu", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("people", "population"), [(1, 2), (10, 100), (10, 1000)])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 2.0])
def test_one_round_has_the_curve_of_its_theorem(mu: float, people: int, population: int, epsilon: float) -> None:
    q = people / population
    exact = q * curve_delta(mu, math.log1p(math.expm1(epsilon) / q))
    bound = float(sampled(gaussian(mu), Invited(people, population)).delta(Fraction(epsilon)))
    assert exact * (1 - 1e-9) <= bound <= exact * 1.05 + 1e-16


@pytest.mark.parametrize(("people", "population", "rounds"), [(1, 10, 8), (1, 3, 4)])
def test_rounds_add_up_as_their_losses_do(people: int, population: int, rounds: int) -> None:
    """Beside a fine grid on which losses are rounded down, which is below the truth."""
    step, mu, q = 2e-4, 1.0, people / population
    edges = np.arange(0, 9, step)  # of the hidden loss
    known = np.log1p(np.expm1(edges) / q)
    tails = [np.array([math.erfc((x / mu + side * mu / 2) / math.sqrt(2)) / 2 for x in known]) for side in (-1, 1)]
    larger, smaller = (np.append(-np.diff(tail), tail[-1]) for tail in tails)
    masses = np.zeros(2 * len(edges))  # from the least loss to the largest
    masses[len(edges) :] = (1 - q) * smaller + q * larger
    masses[: len(edges)] = smaller[::-1]
    masses[len(edges)] += 1 - masses.sum()
    least, law = -len(edges) * step, masses
    for _ in range(rounds.bit_length() - 1):
        law, least = np.fft.irfft(np.fft.rfft(law, 2 * len(law)) ** 2, 2 * len(law)), 2 * least
    losses = least + step * np.arange(len(law))
    bound = sampled(gaussian(mu), Invited(people, population)).times(rounds)
    for epsilon in (0.1, 1.0, 3.0):
        below = float(law @ -np.expm1(np.minimum(epsilon - losses, 0.0)))
        assert below * 0.999 - 1e-9 <= float(bound.delta(Fraction(epsilon))) <= below * 1.05 + 1e-9


def test_who_is_hidden_among_more_is_told_less() -> None:
    plan = Plan.distributed(ApproxDp(8, "1e-6"), VECTOR, 20_000, **COHORT, rounds=100, per_client=10)
    seen = [views(plan, population, "1e-6") for population in (1_000, 10_000)]
    assert all(each.insiders <= 8 for each in seen)
    assert 7.9 < seen[0].insiders == seen[1].insiders
    assert seen[0].outsiders > 2 * seen[1].outsiders > 0
    words = dict(seen[1].report())
    assert "100 of 10,000 are drawn at random before it is known who is available" in words["outsiders"]
    assert "the server, the clients" in words["insiders"]


def test_nobody_is_told_more_than_who_knows_everything() -> None:
    """Of a client that joins few rounds, sampling may hide less than its ledger does."""
    few = Plan.distributed(ApproxDp(8, "1e-6"), VECTOR, 20_000, **COHORT, rounds=1000, per_client=1)
    seen = views(few, 101, "1e-6")
    assert seen.outsiders == seen.insiders
    tight = Plan.distributed(ApproxDp(1, "1e-22"), VECTOR, 20_000, **COHORT, isochronous=True)
    assert views(tight, 10_000, "1e-22").outsiders <= views(tight, 10_000, "1e-22").insiders
    exact = Plan.distributed(ApproxDp(1, "1e-6"), VECTOR, 20_000, **COHORT, isochronous=False)
    seen = views(exact, 10_000, "1e-60")  # below what counts as an infinite loss
    assert seen.outsiders == seen.insiders


def test_who_is_one_of_a_billion_is_told_nothing_of() -> None:
    """Whether somebody was invited at all is less likely than delta."""
    plan = Plan.distributed(ApproxDp(1, "1e-6"), VECTOR, 20_000, **COHORT)
    seen = views(plan, 10**9, "1e-6")
    assert seen.outsiders == 0
    assert "epsilon = 0 at delta" in dict(seen.report())["outsiders"]


def test_what_is_not_amplified() -> None:
    plan = Plan.distributed(ApproxDp(1, "1e-6"), VECTOR, 20_000, **COHORT)
    for population in (99, 100):
        with pytest.raises(LocalProtocolError, match="fewer must be invited than there are"):
            views(plan, population, "1e-6")
    central = Plan.central(ApproxDp(1, "1e-6"), VECTOR, 20_000)
    assert central.place is Place.CENTRAL
    with pytest.raises(LocalProtocolError, match="only clients that add noise together"):
        views(central, 1_000, "1e-6")
    several = Plan.distributed(ApproxDp(1, "1e-6"), VECTOR, 20_000, **COHORT, unit=Unit(2, "a day"))
    with pytest.raises(LocalProtocolError, match="one report in a round"):
        views(several, 1_000, "1e-6")
    narrow = Plan.distributed(ZCdp(100), Sensitivity.l2_bounded(4, 10, N), 10, clients=3, survivors=3, corrupt=1)
    with pytest.raises(LocalProtocolError, match="no worst pair of neighbours is known"):
        views(narrow, 1_000, "1e-6")
    with pytest.raises(LocalProtocolError, match="delta must be"):
        views(plan, 1_000, 1)


def test_a_pure_release_of_a_histogram_is_amplified() -> None:
    plan = Plan.distributed(PureDp(1), Sensitivity.histogram(N), 10, **COHORT, rounds=10, per_client=10)
    assert isinstance(plan.guarantee, LaplaceDp)
    assert DiscreteLaplace(Fraction(20)).guarantee(Sensitivity.histogram(N)) == plan.guarantee
    seen = views(plan, 10_000, "1e-9")
    assert seen.outsiders < seen.insiders / 10
