"""The conditions of docs/sparse-graph.md, by brute force: over small circles no U2, U3 and answers give a sum that
nobody agreed to, and with any condition one step weaker some do."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest

from secagg import Model
from secagg.protocol.sparse import least_threshold
from secagg.protocol.thresholds import majority

from ..support.circle_adversary import Break, Rules, Users, breaks, choices

SIZES = [(n, 2) for n in range(4, 8)] + [(n, 4) for n in range(6, 10)]
MORE = [(8, 2), (9, 2), (10, 4), (11, 4), (12, 4)]


def first(found: Iterator[Break]) -> Break | None:
    return next(found, None)


def test_the_rules_are_those_of_params() -> None:
    for n, degree, c in ((9, 2, 0), (9, 4, 0), (12, 4, 1)):
        rules = Rules.proper(n, degree, frozenset(range(c)), c)
        assert rules.t == least_threshold(Model.ACTIVE, degree, c)
        assert rules.quorum == majority(n, c)
        assert rules.least_view == rules.t - 1


@pytest.mark.parametrize(("n", "degree"), [*SIZES, *[pytest.param(*size, marks=pytest.mark.nightly) for size in MORE]])
def test_a_server_learns_the_sum_over_one_u3_or_nothing(n: int, degree: int) -> None:
    assert first(breaks(Rules.proper(n, degree), may_drop=degree == 2)) is None


@pytest.mark.parametrize("n", [4, 5])
def test_no_two_u3_have_a_quorum(n: int) -> None:
    assert first(breaks(Rules.proper(n, 2), stories=2)) is None
    assert not any(choices(Rules.proper(n, 2), stories=2))


def corrupt_sets(n: int, degree: int, c: int) -> Iterator[Users]:
    """Corrupt users, one of them at 0, of whom nobody honest has more than c as neighbours."""
    for size in range(1, n - 1):
        for some in map(frozenset, combinations(range(n), size)):
            rules = Rules.proper(n, degree, some, c)
            if 0 in some and all(len(some & {*rules.neighbours(v)}) <= c for v in rules.honest):
                yield some


@pytest.mark.parametrize("n", [7, *[pytest.param(n, marks=pytest.mark.nightly) for n in range(8, 13)]])
def test_corrupt_users_do_not_help(n: int) -> None:
    """c = 1 of four neighbours, whichever they are."""
    for corrupt in corrupt_sets(n, 4, 1):
        assert first(breaks(Rules.proper(n, 4, corrupt, 1))) is None


# --- One step weaker ---


def check(found: Break | None, rules: Rules) -> None:
    """A break is found, and it is one of a quorum for each U3."""
    assert found is not None
    signed = [
        len(answered) + len(rules.corrupt & u3) for answered, u3 in zip(found.answered, found.stories, strict=True)
    ]
    assert min(signed) >= rules.quorum


@pytest.mark.parametrize(("n", "degree"), [(5, 2), (7, 2), pytest.param(9, 4, marks=pytest.mark.nightly)])
def test_a_threshold_one_lower_is_broken(n: int, degree: int) -> None:
    """(C), with the local check that goes with it."""
    proper = Rules.proper(n, degree)
    weaker = replace(proper, t=proper.t - 1, least_view=proper.least_view - 1)
    check(first(breaks(weaker)), weaker)


@pytest.mark.parametrize("n", [6, 7])
def test_no_local_check_of_u2_is_broken(n: int) -> None:
    """(B)."""
    weaker = replace(Rules.proper(n, 4), least_view=0)
    check(first(breaks(weaker)), weaker)


def test_a_quorum_one_lower_is_broken() -> None:
    """(A): two U3, and a sum over neither."""
    proper = Rules.proper(6, 2)
    weaker = replace(proper, quorum=proper.quorum - 1)
    found = first(breaks(weaker, stories=2))
    check(found, weaker)
    assert found is not None
    assert found.stories[0] != found.stories[1]


def test_a_corrupt_neighbour_more_is_broken() -> None:
    """(D): one corrupt user where none was counted on."""
    rules = Rules.proper(8, 4, frozenset({0, 4}), c=0)
    check(first(breaks(rules)), rules)
