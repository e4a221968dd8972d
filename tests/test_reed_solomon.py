"""Decoding of shares with errors, against a search through every subset of t shares."""

import random
from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg import shamir
from secagg.reed_solomon import Decoded, Polynomial, decode, evaluate, extrapolate
from secagg.shamir import Q

RNG = random.Random(20)
LARGEST_X = (1 << 32) - 1


def random_polynomial(t: int, rng: random.Random = RNG) -> Polynomial:
    return [rng.randrange(Q) for _ in range(t)]


def values(polynomial: Polynomial, xs: list[int]) -> list[int]:
    """Without Horner's rule."""
    return [sum(c * pow(x, k, Q) for k, c in enumerate(polynomial)) % Q for x in xs]


def through(xs: tuple[int, ...], ys: tuple[int, ...], x: int) -> int:
    """Lagrange's formula."""
    terms = (y * prod((x - j) * pow(i - j, -1, Q) for j in xs if j != i) for i, y in zip(xs, ys, strict=True))
    return sum(terms) % Q


def search(shares: list[int], xs: list[int], t: int) -> tuple[int, tuple[int, ...]] | None:
    """The value at 0 and the wrong positions of the polynomial that most shares lie on, if within the radius."""
    for chosen in combinations(range(len(xs)), t):
        nodes, ys = tuple(xs[i] for i in chosen), tuple(shares[i] for i in chosen)
        wrong = tuple(i for i, x in enumerate(xs) if i not in chosen and through(nodes, ys, x) != shares[i])
        if 2 * len(wrong) <= len(shares) - t:
            return through(nodes, ys, 0), wrong
    return None


def outcome(decoded: Decoded | None) -> tuple[int, tuple[int, ...]] | None:
    return None if decoded is None else (decoded.secret, decoded.wrong)


def x_coordinates(m: int) -> list[int]:
    return sorted(RNG.sample([*range(1, 12), 1 << 16, 1 << 31, LARGEST_X - 1, LARGEST_X], m))


@pytest.mark.parametrize("errors", ["random", "of another polynomial", "zeroed", "off by one"])
@pytest.mark.parametrize("m", range(1, 8))
def test_every_error_pattern_of_up_to_seven_shares(m: int, errors: str) -> None:
    for t in range(1, m + 1):
        xs = x_coordinates(m)
        right, other = values(random_polynomial(t), xs), values(random_polynomial(t), xs)
        false = {
            "random": [RNG.randrange(Q) for _ in xs],
            "of another polynomial": other,
            "zeroed": [0] * m,
            "off by one": [(share + 1) % Q for share in right],
        }[errors]
        for pattern in range(1 << m):
            bad = tuple(i for i in range(m) if pattern >> i & 1)
            shares = [false[i] if i in bad else right[i] for i in range(m)]
            assert outcome(decode(shares, xs, t)) == search(shares, xs, t)
            if 2 * len(bad) <= m - t:
                assert outcome(decode(shares, xs, t)) == (through(tuple(xs), tuple(right), 0), bad)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_errors_and_erasures_up_to_the_radius_are_corrected(data: st.DataObject) -> None:
    """Shares that are left out cost one each, wrong ones two."""
    n = data.draw(st.integers(1, 40))
    t = data.draw(st.integers(1, n))
    m = n - data.draw(st.integers(0, n - t))
    polynomial = random_polynomial(data.draw(st.integers(0, t)), random.Random(data.draw(st.integers())))
    xs = data.draw(st.lists(st.integers(1, LARGEST_X), min_size=m, max_size=m, unique=True))
    shares = values(polynomial, xs)
    bad = data.draw(st.permutations(range(m)))[: data.draw(st.integers(0, (m - t) // 2))]
    for i in bad:
        shares[i] = (shares[i] + data.draw(st.integers(1, Q - 1))) % Q
    decoded = decode(shares, xs, t)
    assert decoded is not None
    assert decoded.secret == (polynomial[0] if polynomial else 0)
    assert decoded.wrong == tuple(sorted(bad))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_error_too_many_is_never_claimed_to_be_corrected(data: st.DataObject) -> None:
    """The answer is None, or another polynomial that as many shares lie on: the caller's check is for that."""
    m = data.draw(st.integers(2, 40))
    t = data.draw(st.integers(1, m - 1))
    radius = (m - t) // 2
    polynomial, other = random_polynomial(t), random_polynomial(t)
    xs = list(range(1, m + 1))
    shares = values(polynomial, xs)
    bad = set(data.draw(st.permutations(range(m)))[: radius + 1])
    towards_another = data.draw(st.booleans())
    for i in bad:
        shares[i] = values(other, [xs[i]])[0] if towards_another else (shares[i] + RNG.randrange(1, Q)) % Q
    decoded = decode(shares, xs, t)
    if decoded is not None:
        assert len(decoded.polynomial) <= t
        assert len(decoded.wrong) <= radius
        disagreeing = [i for i, value in enumerate(values(decoded.polynomial, xs)) if value != shares[i]]
        assert list(decoded.wrong) == disagreeing
        assert set(decoded.wrong) != bad


@pytest.mark.parametrize("polynomial", [[], [5], [0, 1], [0, 0, 1], [Q - 1, Q - 1, Q - 1]])
@pytest.mark.parametrize("bad", [(), (0,), (6,), (2, 4)])
def test_special_polynomials(polynomial: Polynomial, bad: tuple[int, ...]) -> None:
    xs = [1, 2, 3, 4, 5, 6, LARGEST_X]
    shares = values(polynomial, xs)
    for i in bad:
        shares[i] = (shares[i] + 1) % Q
    assert decode(shares, xs, 3) == Decoded(polynomial, bad)


def test_degree_of_exactly_t_is_refused() -> None:
    xs = list(range(1, 8))
    assert decode(values([1, 2, 3, 4], xs), xs, 3) is None
    assert decode(values([1, 2, 3, 4], xs), xs, 4) == Decoded([1, 2, 3, 4], ())


def test_a_hundred_errors_in_three_hundred_shares() -> None:
    xs = [LARGEST_X - 7 * i for i in range(300)]
    polynomial = random_polynomial(100)
    shares = values(polynomial, xs)
    bad = sorted(RNG.sample(range(300), 100))
    for i in bad:
        shares[i] = RNG.randrange(Q)
    assert decode(shares, xs, 100) == Decoded(polynomial, tuple(bad))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, Q - 1), max_size=8), st.integers(0, LARGEST_X))
@example([], 1)
def test_evaluate(polynomial: Polynomial, x: int) -> None:
    assert evaluate(polynomial, x) == values(polynomial, [x])[0]


@pytest.mark.parametrize("t", [1, 2, 3, 10])
def test_extrapolated_shares_are_those_dealt(t: int) -> None:
    xs = np.array(x_coordinates(12), np.uint32)
    shares = shamir.share(shamir.random_scalars(5), t, xs)
    for row in range(t, len(xs)):
        assert np.array_equal(extrapolate(shares[:t], xs[:t], int(xs[row])), shares[row])
