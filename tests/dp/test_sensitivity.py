"""Sensitivities against enumeration of every pair of neighbours, and what rounding does to norms."""

import itertools
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dp import Neighbours, Rounding, Sensitivity, round_vector, rounded_norm_squared
from secagg.errors import LocalProtocolError

REPLACE, ADD = Neighbours.REPLACE_ONE, Neighbours.ADD_REMOVE
Vectors = Iterable[tuple[int, ...]]


def norms(reports: Vectors, neighbours: Neighbours) -> tuple[int, int]:
    """The largest L1 and squared L2 norm of a difference that one report can make."""
    points = list(reports)
    others = points if neighbours is REPLACE else [(0,) * len(points[0])]
    differences = [[a - b for a, b in zip(x, y, strict=True)] for x in points for y in others]
    return max(sum(map(abs, d)) for d in differences), max(sum(v * v for v in d) for d in differences)


def grid(low: int, high: int, length: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(low, high + 1), repeat=length))


@pytest.mark.parametrize("neighbours", [REPLACE, ADD])
@pytest.mark.parametrize(
    ("reports", "sensitivity_for"),
    [
        (grid(0, 7, 1), lambda n: Sensitivity.sum(7, n)),
        (grid(-2, 5, 1), lambda n: Sensitivity.sum(5, n, min_value=-2)),
        (grid(0, 3, 3), lambda n: Sensitivity.vector_sum(3, 3, n)),
        (grid(-2, 1, 3), lambda n: Sensitivity.vector_sum(3, 1, n, min_value=-2)),
        (grid(0, 4, 1), lambda n: Sensitivity.vector_sum(1, 4, n)),
        ([tuple(int(i == j) for i in range(5)) for j in range(5)], Sensitivity.histogram),
        *[
            ([x for x in grid(0, 1, 5) if sum(x) <= k], lambda n, k=k: Sensitivity.multihot(5, k, n))
            for k in (1, 2, 3, 5)
        ],
    ],
)
def test_sensitivity_is_the_largest_difference(reports: Vectors, sensitivity_for: Any, neighbours: Neighbours) -> None:
    sensitivity = sensitivity_for(neighbours)
    assert (sensitivity.l1, sensitivity.l2_squared) == norms(reports, neighbours)
    assert sensitivity.neighbours is neighbours


@pytest.mark.parametrize("neighbours", [REPLACE, ADD])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("norm_squared", [1, 3, 4, 9, "19/2"])
def test_l2_bounded_covers_every_difference(norm_squared: Any, signed: bool, neighbours: Neighbours) -> None:
    reports = [x for x in grid(-3 if signed else 0, 3, 3) if sum(v * v for v in x) <= Fraction(norm_squared)]
    sensitivity = Sensitivity.l2_bounded(norm_squared, 3, neighbours, signed=signed)
    l1, l2_squared = norms(reports, neighbours)
    assert l1 <= sensitivity.l1
    assert l2_squared <= sensitivity.l2_squared
    if norm_squared in (1, 4, 9):  # a point on the sphere, and if signed its opposite
        assert l2_squared == sensitivity.l2_squared


def wrong(value: Any) -> Any:
    """A value whose type the type checker would not let through."""
    return value


def test_many_reports_and_several_parts() -> None:
    one = Sensitivity.histogram(REPLACE)
    assert (one.worst, one.times(1)) == ((1, 1), one)
    three = one.times(3)
    assert three == Sensitivity(6, 18, REPLACE)
    both = one.beside(Sensitivity.sum(5, REPLACE))
    assert both == Sensitivity(7, 27, REPLACE)
    with pytest.raises(LocalProtocolError, match="same neighbours"):
        one.beside(Sensitivity.sum(5, ADD))


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: Sensitivity(0, 1, REPLACE), "positive"), (lambda: Sensitivity(1, wrong(0.5), REPLACE), "must be exact"),
     (lambda: Sensitivity(1, 1, wrong("replace")), "Neighbours"),
     (lambda: Sensitivity(2, 2, REPLACE, worst=(2,)), "norms"),
     (lambda: Sensitivity.sum(0, REPLACE), "below max_value"), (lambda: Sensitivity.vector_sum(0, 1, ADD), "length"),
     (lambda: Sensitivity.multihot(3, 4, ADD), "max_weight"), (lambda: Sensitivity.histogram(ADD).times(0), "reports"),
     (lambda: Sensitivity.l2_bounded("1/2", 3, ADD), "positive")],
)  # fmt: skip
def test_what_is_no_sensitivity(make: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        make()


# --- rounding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Rounding.NEAREST, Rounding.UNCONDITIONAL])
@pytest.mark.parametrize("norm", ["1/3", "1", "5/2", "10"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_rounded_norms_are_never_exceeded(how: Rounding, norm: str, length: int) -> None:
    """Every corner that rounding can reach from points spread over the sphere."""
    bound = rounded_norm_squared(norm, length, how)
    directions = np.random.default_rng(1).normal(size=(300, length))
    for x in float(Fraction(norm)) * directions / np.linalg.norm(directions, axis=1, keepdims=True):
        corners = (
            [np.rint(x)] if how is Rounding.NEAREST else itertools.product(*zip(np.floor(x), np.ceil(x), strict=True))
        )
        assert max(float(np.dot(c, c)) for c in corners) <= bound


def test_conditional_norm_is_equation_18_of_kairouz_liu_and_steinke() -> None:
    """Values from the formulas, in floating point; for long vectors far below the unconditional one."""
    for norm, length, beta in ((1000, 10**6, "0.6"), (50, 100, "1e-6"), (3, 4, "0.5")):
        c, root, b = float(norm), math.sqrt(length), float(beta)
        expected = min((c + root) ** 2, c * c + length / 4 + math.sqrt(2 * math.log(1 / b)) * (c + root / 2))
        bound = rounded_norm_squared(norm, length, Rounding.CONDITIONAL, beta=beta)
        assert bound <= rounded_norm_squared(norm, length, Rounding.UNCONDITIONAL)
        assert expected - 1 < bound <= expected * (1 + 1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(Rounding)))
def test_round_vector_keeps_to_its_bound_and_to_neighbouring_integers(seed: int, how: Rounding) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rng.integers(1, 60)) * 10 ** rng.uniform(-2, 2)
    rounded = round_vector(x, "7/2", how, rand=rng.bytes)
    assert int(rounded @ rounded) <= rounded_norm_squared("7/2", len(x), how)
    clipped = x * min(1.0, 3.5 / float(np.linalg.norm(x)))
    assert np.abs(rounded - clipped).max() < 1 + 1e-9
    assert rounded.dtype == np.int64


def test_random_rounding_is_right_on_average() -> None:
    rng = np.random.default_rng(2)
    x = np.full(20_000, 0.3)
    total = round_vector(x, 1000, Rounding.UNCONDITIONAL, rand=rng.bytes).sum()
    assert abs(total - 6000) < 6 * math.sqrt(20_000 * 0.3 * 0.7)


def test_conditional_rounding_draws_again_and_then_rounds_towards_zero() -> None:
    """0.6 ** 2 * 100 = 36, and with every entry rounded up 100, which the bound of 36 + 25 + 11 refuses."""
    up, down = bytes(400), b"\xff" * 400
    x = np.full(100, 0.6)

    def tape(*parts: bytes) -> Any:
        left = iter(parts)
        return lambda size: next(left)

    assert rounded_norm_squared(6, 100, Rounding.CONDITIONAL) < 100
    assert not round_vector(x, 6, Rounding.CONDITIONAL, rand=tape(up, up, down)).any()
    assert not round_vector(x, 6, Rounding.CONDITIONAL, draws=2, rand=tape(up, up)).any()
    assert round_vector(x, 6, Rounding.UNCONDITIONAL, rand=tape(up)).all()


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [(np.array([np.nan]), {}, "finite"), (np.zeros((2, 2)), {}, "one vector"),
     (np.zeros(2), {"norm": "1e10"}, "30 steps"),
     (np.zeros(2), {"norm": 0}, "norm must be positive"),
     (np.zeros(2), {"beta": 1}, "beta"),
     (np.zeros(2), {"draws": 0}, "draws"), (np.zeros(0), {}, "length"),
     (np.zeros(2), {"rand": lambda n: b""}, "rand")],
)  # fmt: skip
def test_what_cannot_be_rounded(values: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        round_vector(values, **{"norm": 3, "rounding": Rounding.CONDITIONAL, **options})
