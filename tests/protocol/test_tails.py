"""Tails of the hypergeometric distribution, against counting, exact fractions and whole numbers."""

from fractions import Fraction
from itertools import combinations
from math import comb, inf, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.protocol.tails import TOLERANCE, least_bound, log2_above, log2_below, log2_choose, log2_sum


def above(population: int, marked: int, drawn: int, bound: int) -> Fraction:
    """P[X > bound] by its formula."""
    ways = (comb(marked, j) * comb(population - marked, drawn - j) for j in range(max(0, bound + 1), drawn + 1))
    return Fraction(sum(ways), comb(population, drawn))


@st.composite
def settings(draw: st.DrawFn, most: int = 60) -> tuple[int, int, int]:
    population = draw(st.integers(1, most))
    return population, draw(st.integers(0, population)), draw(st.integers(0, population))


@pytest.mark.parametrize(("population", "marked", "drawn"), [(7, 3, 4), (8, 5, 6), (6, 0, 3), (6, 6, 2), (5, 2, 5)])
def test_a_tail_counts_draws(population: int, marked: int, drawn: int) -> None:
    """What the formula of the other tests stands for: all ways to draw."""
    counts = [sum(user < marked for user in users) for users in combinations(range(population), drawn)]
    for bound in range(-1, drawn + 1):
        expected = Fraction(sum(count > bound for count in counts), len(counts))
        assert above(population, marked, drawn, bound) == expected


@given(settings(), st.integers(-3, 63))
def test_both_tails_are_those_of_exact_fractions(setting: tuple[int, int, int], bound: int) -> None:
    exact = above(*setting, bound)
    assert log2_above(*setting, bound) == (-inf if exact == 0 else pytest.approx(log2(exact), abs=1e-10))
    below = 1 - above(*setting, bound - 1)
    assert log2_below(*setting, bound) == (-inf if below == 0 else pytest.approx(log2(below), abs=1e-10))


def exact_log2_above(population: int, marked: int, drawn: int, bound: int) -> float:
    """The same in whole numbers of ways, of which each gives the next; they are 10^5 bits long."""
    ways = total = comb(marked, bound + 1) * comb(population - marked, drawn - bound - 1)
    for j in range(bound + 1, min(drawn, marked)):
        ways = ways * (marked - j) * (drawn - j) // ((j + 1) * (population - marked - drawn + j + 1))
        if ways * 10**12 < total:
            break
        total += ways
    return log2(total) - log2(comb(population, drawn))


@pytest.mark.parametrize("population", [899_999, 1_000_000, (1 << 32) - 1])
@pytest.mark.parametrize(("share", "drawn", "sigmas"), [(20, 244, 13), (3, 2_000, 12), (2, 5_000, 5), (20, 30, 3)])
def test_tails_of_large_populations_are_those_of_whole_numbers(
    population: int, share: int, drawn: int, sigmas: int
) -> None:
    """Down to 2^-200, and with more terms than are summed at a time."""
    marked = population // share
    mean, sigma = drawn / share, (drawn / share * (1 - 1 / share)) ** 0.5
    for bound in (int(mean + sigmas * sigma), int(mean), int(mean - 1)):
        exact = exact_log2_above(population, marked, drawn, bound)
        assert abs(log2_above(population, marked, drawn, bound) - exact) < TOLERANCE / 4


@given(settings(), st.integers(-40, -1))
def test_the_least_bound_is_the_least(setting: tuple[int, int, int], exponent: int) -> None:
    population, marked, drawn = setting
    c = least_bound(*setting, exponent)
    error = Fraction(2) ** exponent
    assert above(*setting, c) <= error
    if c > max(0, drawn + marked - population):
        assert above(*setting, c - 1) > error * Fraction(0.999)  # the tolerance may cost one


def test_a_bound_on_the_edge_is_not_trusted() -> None:
    """P[X > 0] = 1 / 2 exactly, and a logarithm may be wrong."""
    assert least_bound(4, 2, 1, -1) == 1
    assert least_bound(4, 2, 1, -1 + 2 * TOLERANCE) == 0


@given(st.integers(0, 200), st.integers(-5, 205))
def test_ways_to_choose(n: int, k: int) -> None:
    exact = comb(n, k) if k >= 0 else 0
    assert log2_choose(n, k) == (-inf if exact == 0 else pytest.approx(log2(exact), abs=1e-10))


def test_sums_of_logarithms() -> None:
    assert log2_sum(-41, -41) == -40
    assert log2_sum(-41, -inf) == log2_sum(-inf, -41) == -41
    assert log2_sum(-inf, -inf) == -inf
    assert log2_sum(-2000, -2001) == pytest.approx(-2000 + log2(1.5))
