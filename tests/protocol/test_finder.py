"""The smallest degree of a sparse graph: against published numbers, a search through all degrees, and real circles."""

from fractions import Fraction
from math import comb, inf
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import LocalProtocolError, Model, Params
from secagg.protocol import finder, sparse
from secagg.protocol.finder import Choice, find
from secagg.protocol.sparse import (
    LOG2_CORRECTNESS,
    LOG2_PRIVACY,
    Cohort,
    least_threshold,
    log2_corrupt,
    log2_lost,
    log2_parted,
)

SEMI_HONEST, ACTIVE = Model.SEMI_HONEST, Model.ACTIVE


def choice(n: int, corrupt: int, dropouts: int, model: Model, joined: int | None = None, liars: int = 0) -> Choice:
    return find(Cohort(n, n if joined is None else joined, corrupt, model), dropouts, liars)


@pytest.mark.parametrize(
    ("n", "corrupt", "dropouts", "degree", "t", "c"),
    [
        (300, 15, 13, 58, 46, 15),
        (1_000, 50, 45, 142, 118, 45),
        (10_000, 500, 450, 212, 177, 69),
        (100_000, 5_000, 4_500, 232, 193, 75),
        (1_000_000, 50_000, 45_000, 244, 202, 78),
        (10_000, 100, 450, 116, 91, 31),
        (10_000, 500, 900, 298, 232, 81),
        (10_000, 1_000, 450, 346, 299, 124),
        (10_000, 1_000, 900, 512, 415, 157),
        (10_000, 2_000, 900, 1_472, 1_255, 517),
    ],
)
def test_active_cohorts_of_which_nine_in_ten_join(
    n: int, corrupt: int, dropouts: int, degree: int, t: int, c: int
) -> None:
    """Computed independently, 5 or 10 % of those who joined leaving."""
    found = choice(n, corrupt, dropouts, ACTIVE, n * 9 // 10)
    assert (found.degree, found.t, found.c, found.complete) == (degree, t, c, False)
    assert found.t - 1 > found.degree / 2 + found.c
    assert found.log2_privacy <= -104
    assert found.log2_correctness <= -20


@pytest.mark.parametrize(
    ("n", "degree", "t"), [(100, 12, 6), (500, 28, 16), (1_000, 30, 17), (10_000, 34, 20), (1_000_000, 38, 22)]
)
def test_semi_honest_cohorts_have_the_published_degrees(n: int, degree: int, t: int) -> None:
    """Of google/federated-compute, fcp/secagg/server/graph_parameter_finder.cc, CURIOUS_SERVER: 5 % corrupt, 5 % gone.

    It draws a user's neighbours from all n users, and here from the n - 1 others: no degree depends on that.
    """
    found = choice(n, n // 20, n // 20, SEMI_HONEST)
    assert (found.degree, found.t, found.c) == (degree, t, t - 1)
    assert found.log2_privacy <= -40
    assert found.log2_correctness <= -20


def above(population: int, marked: int, drawn: int, bound: int) -> Fraction:
    """P[X > bound]."""
    ways = (comb(marked, j) * comb(population - marked, drawn - j) for j in range(max(0, bound + 1), drawn + 1))
    return Fraction(sum(ways), comb(population, drawn))


def searched(cohort: Cohort, dropouts: int, liars: int) -> tuple[int, int, int] | None:
    """(degree, t, c) of the first degree for which all conditions hold, one by one and in fractions."""
    n, others, half = cohort.n, cohort.min_joined - 1, Fraction(1, 2)
    active = cohort.model is ACTIVE
    bad = n - cohort.min_joined + dropouts + cohort.n_corrupt
    for degree in range(2, min(n // 2, others - 1) + 1, 2):
        pairs = Fraction(n * (n - degree - 1), 2)
        if not active and pairs * comb(bad, degree) / comb(n, degree) > half**41:
            continue
        allowed = half ** (104 if active else 41)
        c = next(c for c in range(degree + 1) if n * above(others, cohort.n_corrupt, degree, c) <= allowed)
        t = degree // 2 + c + 2 if active else max(2, c + 1)
        if n * above(others, dropouts, degree, degree - t - 2 * liars) <= half**20:
            return degree, t, c
    return None


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize(
    ("n", "joined", "corrupt", "dropouts", "liars"),
    [
        (100, 100, 5, 5, 0),
        (100, 90, 5, 5, 0),
        (100, 100, 0, 0, 0),
        (101, 95, 0, 30, 0),
        (150, 150, 10, 3, 2),
        (200, 190, 1, 9, 0),
        (301, 270, 3, 10, 0),
        (301, 301, 3, 10, 3),
        (300, 300, 60, 40, 0),
        (400, 360, 4, 18, 1),
    ],
)
def test_no_smaller_degree_would_do(n: int, joined: int, corrupt: int, dropouts: int, liars: int, model: Model) -> None:
    cohort = Cohort(n, joined, corrupt, model)
    found, expected = find(cohort, dropouts, liars), searched(cohort, dropouts, liars)
    assert (None if found.complete else (found.degree, found.t, found.c)) == expected


def circles(trials: int, joined: int, marked: int) -> NDArray[np.bool_]:
    """[trial, position]: users on a circle in random order, of whom so many are marked."""
    rng = np.random.default_rng(1)
    order = rng.permuted(np.tile(np.arange(joined), (trials, 1)), axis=1)
    return order < marked


def marked_neighbours(marks: NDArray[Any], degree: int) -> NDArray[np.intp]:
    """[trial, position]: how many neighbours of whoever stands there are marked."""
    steps = [step for step in range(-(degree // 2), degree // 2 + 1) if step]
    counts: NDArray[np.intp] = np.sum([np.roll(marks, step, axis=1) for step in steps], axis=0)
    return counts


def is_about(bound: float, rate: float, trials: int) -> bool:
    """Whether a bound of probability holds for a measured rate, and is at most three times as large."""
    return rate <= bound * 1.2 + 4 / trials and bound <= 3 * rate + 4 / trials


@pytest.mark.parametrize(("joined", "corrupt", "degree", "c"), [(60, 9, 10, 5), (40, 10, 6, 3), (200, 8, 12, 3)])
def test_corrupt_neighbours_on_real_circles(joined: int, corrupt: int, degree: int, c: int) -> None:
    """How often anybody has more than c corrupt neighbours, where that is often enough to be seen."""
    counts = marked_neighbours(circles(40_000, joined, corrupt), degree)
    bound = 2 ** log2_corrupt(Cohort(joined, joined, corrupt, ACTIVE), degree, c)
    rate = float(np.mean(counts > c)) * joined  # a union bound counts users
    assert bound == pytest.approx(rate, rel=0.2)
    assert np.mean((counts > c).any(1)) <= bound
    lost = 2 ** log2_lost(Cohort(joined, joined, 0, ACTIVE), degree, corrupt, degree - c)
    assert lost == pytest.approx(bound)  # the same event, of users who leave


@pytest.mark.parametrize(("n", "corrupt", "stay", "degree"), [(30, 4, 20, 4), (50, 10, 38, 6), (24, 0, 14, 4)])
def test_honest_users_are_parted_about_as_often_as_the_bound_says(n: int, corrupt: int, stay: int, degree: int) -> None:
    trials = 20_000
    honest = ~circles(trials, n, n - stay + corrupt)
    rate = float(np.mean([parted(np.flatnonzero(row), n, degree // 2) for row in honest]))
    assert is_about(2 ** log2_parted(Cohort(n, n, corrupt, SEMI_HONEST), degree, stay), rate, trials)


def parted(positions: NDArray[Any], n: int, reach: int) -> bool:
    """Whether users at these positions of the circle are in two or more parts, found by walking from one to the next.

    Between two neighbours along the circle there is an edge if they are near enough; more than one gap parts them."""
    gaps = np.diff(np.append(positions, positions[0] + n))
    return int(np.count_nonzero(gaps > reach)) > 1


def test_fewer_who_join_are_as_safe() -> None:
    """A corrupt user more among the neighbours for a smaller U1; honest users who stay are as many, among fewer."""
    few = [log2_corrupt(Cohort(1_000, joined, 50, ACTIVE), 100, 20) for joined in (1_000, 900, 800)]
    assert few == sorted(few)
    bounds = [log2_parted(Cohort(n, n, 50, SEMI_HONEST), 10, 700) for n in (800, 900, 1_000)]
    assert bounds == sorted(bounds)


def test_dense_graphs_are_the_complete_one() -> None:
    for cohort, dropouts in ((Cohort(300, 290, 60, ACTIVE), 30), (Cohort(100, 100, 30, SEMI_HONEST), 20)):
        found = find(cohort, dropouts, 0)
        assert found.complete
        assert (found.degree, found.c) == (cohort.n - 1, cohort.n_corrupt)
        assert 2 * found.t > cohort.n + cohort.n_corrupt
        assert found.log2_privacy == found.log2_correctness == -inf


def test_a_sparse_graph_has_half_of_the_users_as_neighbours_at_most() -> None:
    for n in range(40, 400, 12):
        found = choice(n, n // 20, n // 20, ACTIVE)
        assert found.complete or found.degree <= n // 2


@pytest.mark.parametrize("model", Model)
def test_liars_are_outvoted_in_every_neighbourhood(model: Model) -> None:
    """Reed-Solomon: t + 2 liars shares correct so many wrong ones."""
    found, plain = choice(10_000, 500, 500, model, liars=20), choice(10_000, 500, 500, model)
    cohort = Cohort(10_000, 10_000, 500, model)
    assert found.degree > plain.degree
    assert log2_lost(cohort, found.degree, 500, found.t + 2 * 20) <= LOG2_CORRECTNESS
    assert found.log2_correctness == log2_lost(cohort, found.degree, 500, found.t + 2 * 20)


def test_a_million_users_take_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything is left between those who are needed and those who stay, and the degree is a sixth of n."""
    tried: list[int] = []

    def counted(cohort: Cohort, degree: int, dropouts: int) -> int:
        tried.append(degree)
        return most_shares(cohort, degree, dropouts)

    most_shares = sparse.most_shares
    monkeypatch.setattr(finder, "most_shares", counted)
    found = choice(1_000_000, 200_000, 280_000, ACTIVE)
    assert found.degree == max(tried) == 148_114
    assert len(tried) < 2_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n": 1}, r"n must be 2 \.\. 2\*\*32 - 1, got 1"),
        ({"n": 1 << 32}, "n must be 2"),
        ({"joined": 1_001}, r"min_joined must be 2 \.\. n = 1000, got 1001"),
        ({"joined": 1}, "min_joined must be 2"),
        ({"corrupt": 1_000}, r"corrupt must be 0 \.\. n - 1, got 1000"),
        ({"corrupt": -1}, "corrupt must be 0"),
        ({"dropouts": 900}, r"dropouts must be 0 \.\. min_joined - 1 = 899, got 900"),
        ({"dropouts": -1}, "dropouts must be 0"),
        ({"liars": -1}, r"liars must be 0 \.\. n - 1, got -1"),
        ({"corrupt": 500, "dropouts": 200}, r"700 users stay, but a round needs \(n \+ corrupt\) // 2 \+ 1 = 751"),
        ({"liars": 400}, r"no graph is enough: .* 855 users stay, and the complete graph needs t \+ 2 \* liars = 1326"),
    ],
)
def test_numbers_that_contradict_one_another_are_refused(changes: dict[str, int], reason: str) -> None:
    settings = {"n": 1_000, "joined": 900, "corrupt": 50, "dropouts": 45, "model": ACTIVE}
    with pytest.raises(LocalProtocolError, match=reason):
        choice(**(settings | changes))  # type: ignore[arg-type]


def test_the_conditions_of_the_two_models() -> None:
    assert LOG2_PRIVACY == {SEMI_HONEST: -40, ACTIVE: -104}
    assert [least_threshold(SEMI_HONEST, 34, c) for c in (0, 1, 19)] == [2, 2, 20]
    assert [least_threshold(ACTIVE, 212, c) for c in (0, 69)] == [108, 177]


@pytest.mark.parametrize("n", [3, 5, 7, 8])
def test_a_cohort_without_an_honest_majority_takes_the_complete_graph(n: int) -> None:
    assert Params.sparse(n, corrupt=n - 1, dropouts=0, min_joined=n).complete
