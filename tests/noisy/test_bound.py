"""Bounds on inputs: exact at the edge, and never wider than the sensitivity."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import LocalProtocolError
from secagg.dp import ApproxDp, Neighbours, Sensitivity
from secagg.noisy import Ball, Counts, InputBound, NoisySum
from secagg.noisy.bound import _norms

REPLACE = Neighbours.REPLACE_ONE


def grid(m: int, largest: int) -> list[NDArray[np.int64]]:
    return [np.array(x) for x in product(range(largest + 1), repeat=m)]


@settings(deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.fractions(1, 30), st.fractions(1, 60),
    st.one_of(st.none(), st.integers(-2, 7)),
)  # fmt: skip
def test_any_two_inputs_are_within_the_sensitivity(
    m: int, largest: int, l1: Fraction, l2_squared: Fraction, doubled_centre: int | None
) -> None:
    """All of them, whatever the bounds are: that is what a client's guarantee rests on."""
    kind = Sensitivity(l1, l2_squared, REPLACE)
    bound: InputBound = Counts(kind, m, largest) if doubled_centre is None else Ball(kind, doubled_centre)
    taken = np.array([x for x in grid(m, largest) if bound.holds(x)]).reshape(-1, 1, m)
    apart = np.abs(taken - taken.reshape(1, -1, m))
    assert np.sum(apart, 2).max(initial=0) <= l1
    assert np.sum(apart**2, 2).max(initial=0) <= l2_squared


@pytest.mark.parametrize(
    ("kind", "m", "largest", "meant"),
    [
        (Sensitivity.histogram(REPLACE), 4, 1, lambda x: x.sum() == 1),
        (Sensitivity.multihot(5, 2, REPLACE), 5, 1, lambda x: x.sum() <= 2),
        (Sensitivity.multihot(3, 2, REPLACE), 3, 1, lambda x: x.sum() <= 2),
        (Sensitivity.sum(6, REPLACE), 1, 9, lambda x: x[0] <= 6),
        (Sensitivity.vector_sum(3, 3, REPLACE), 3, 3, lambda x: True),
        (Sensitivity.l2_bounded(9, 3, REPLACE, signed=False), 3, 4, lambda x: x @ x <= 9),
    ],
)
def test_what_a_sensitivity_is_made_for_is_taken(kind: Sensitivity, m: int, largest: int, meant: Any) -> None:
    bound = Counts(kind, m, largest)
    assert all(bound.holds(x) for x in grid(m, largest) if meant(x))


def test_what_is_signed_is_taken_around_its_centre() -> None:
    bound = Ball(Sensitivity.l2_bounded(9, 3, REPLACE), 2 * 4)
    for x in grid(3, 8):
        assert bound.holds(x) == ((x - 4) @ (x - 4) <= 9)


ROTATED = pytest.mark.parametrize("rotate", [False, True])


@ROTATED
@pytest.mark.parametrize("max_weight", [None, 1, 20])
def test_one_step_too_many_is_refused(rotate: bool, max_weight: int | None) -> None:
    """The longest encoding there can be, and the same with one entry longer by a step; weight included."""
    task = NoisySum.like(np.zeros(64), clip=1.0, budget=ApproxDp(1, "1e-6"), n=5, rotate=rotate, max_weight=max_weight)
    weighted, room = int(max_weight is not None), int(task.plan.sensitivity.l2_squared)
    x = np.full(task.length, task._limit)
    if weighted:
        x[0] = task.weight_steps * (max_weight or 1)
        room -= (2 * int(x[0]) - sum(task._weight_range)) ** 2
    room //= 4
    for entry in range(weighted, task.length):  # greedy: the rest of the squared norm into one entry after the other
        steps = min(int(room**0.5), task._limit)
        x[entry] += steps
        room -= steps**2
    assert room == 0
    assert task.bound.holds(x)
    assert task.bound.holds(x.astype(np.uint64))
    longer = x.copy()
    longer[-1] += 1
    assert not task.bound.holds(longer)
    if max_weight == 20:
        heavier = x.copy()
        heavier[0] += 1
        assert not task.bound.holds(heavier)


@given(st.lists(st.integers(-(1 << 70), 1 << 70) | st.integers(-5, 5) | st.integers(-(1 << 31), 1 << 31), min_size=1))
def test_norms_are_exact(values: list[int]) -> None:
    expected = sum(map(abs, values)), sum(v * v for v in values)
    assert _norms(np.array(values, object)) == expected
    if all(-(1 << 62) < v < 1 << 62 for v in values):
        assert _norms(np.array(values, np.int64)) == expected


@pytest.mark.parametrize("edge", [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32])
def test_norms_of_long_vectors_are_exact(edge: int) -> None:
    values = np.full(70_000, edge)
    values[::2] *= -1
    assert _norms(values) == (70_000 * edge, 70_000 * edge**2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_inputs_of_any_width_do_not_overflow(dtype: Any) -> None:
    largest = int(np.iinfo(dtype).max)
    x = np.full(3, largest, dtype)
    assert not Counts(Sensitivity.l2_bounded(9, 3, REPLACE), 3, largest).holds(x)
    assert not Ball(Sensitivity.l2_bounded(9, 3, REPLACE), 0).holds(x)
    wide = Sensitivity(6 * largest, 12 * largest**2, REPLACE)
    assert Ball(wide, 0).holds(x)
    assert not Ball(Sensitivity(6 * largest, 12 * largest**2 - 1, REPLACE), 0).holds(x)


def test_centres_are_of_integers_and_stay_as_they_were() -> None:
    kind = Sensitivity.l2_bounded(9, 2, REPLACE)
    centre = np.array([8, 8])
    bound = Ball(kind, centre)
    centre[:] = 0
    assert bound.holds(np.array([4, 4]))
    assert Ball(kind, np.uint8(200)).holds(np.array([100, 100]))  # type: ignore[arg-type]
    assert Ball(Sensitivity(1, 1, REPLACE), 1 << 64).holds(np.array([1 << 63, 1 << 63], np.uint64))
    for bad in (8.0, "8", np.array([8.0, 8.0]), np.ma.masked_array(centre, [True, False])):
        with pytest.raises(LocalProtocolError, match="doubled_centre must"):
            Ball(kind, bad)  # type: ignore[arg-type]
    for sizes in ((0, 1), (1, 0), (1.0, 1), (2, True)):
        with pytest.raises(LocalProtocolError, match="must be"):
            Counts(kind, *sizes)


@pytest.mark.parametrize(
    "bound", [Ball(Sensitivity.histogram(REPLACE), 0), Counts(Sensitivity.histogram(REPLACE), 2, 1)]
)
@pytest.mark.parametrize(
    "x", [np.array([0.9, 0.9]), np.array([True, False]), np.ma.masked_array([1, 9], [False, True])]
)
def test_bounds_are_of_integers(bound: InputBound, x: Any) -> None:
    """Fractions are not cut off, so that 0.9 would count as 0."""
    with pytest.raises(LocalProtocolError, match="x must"):
        bound.holds(x)
