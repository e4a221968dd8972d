"""The randomised Hadamard rotation: orthonormal, its inverse exact, and flat."""

import math
from hashlib import shake_128

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import LocalProtocolError
from secagg.noisy import Rotation
from secagg.noisy.rotation import entry_bound, hadamard, padded_length

seeds = st.binary(min_size=0, max_size=40)
vectors = st.integers(1, 300).flatmap(
    lambda m: st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).normal(size=m))
)


@pytest.mark.parametrize("log_order", range(8))
def test_hadamard_is_sylvesters_matrix(log_order: int) -> None:
    matrix = np.ones((1, 1))
    for _ in range(log_order):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    order = 1 << log_order
    columns = np.array([hadamard(unit) for unit in np.eye(order)]).T
    np.testing.assert_allclose(columns, matrix / math.sqrt(order), rtol=1e-12)


def test_hadamard_leaves_its_argument_alone() -> None:
    for values in (np.array([2.0]), np.array([1.0, 2.0, 3.0, 4.0])):
        before = values.copy()
        hadamard(values)
        np.testing.assert_array_equal(values, before)


@given(seeds, st.integers(1, 64))
def test_rotation_is_orthonormal(seed: bytes, length: int) -> None:
    rotation = Rotation(length, seed)
    columns = np.array([rotation.apply(unit) for unit in np.eye(length)])
    assert columns.shape == (length, padded_length(length))
    np.testing.assert_allclose(columns @ columns.T, np.eye(length), atol=1e-12)


@given(seeds, vectors)
def test_rotation_keeps_norms_and_is_undone(seed: bytes, vector: NDArray[np.float64]) -> None:
    rotation = Rotation(len(vector), seed)
    rotated = rotation.apply(vector)
    assert np.linalg.norm(rotated) == pytest.approx(np.linalg.norm(vector), rel=1e-12)
    np.testing.assert_allclose(rotation.invert(rotated), vector, rtol=0, atol=1e-12)


def test_a_sum_of_rotated_vectors_is_the_rotated_sum() -> None:
    rotation, rows = Rotation(100, b"seed"), np.random.default_rng(1).normal(size=(7, 100))
    together = np.sum([rotation.apply(row) for row in rows], axis=0)
    np.testing.assert_allclose(rotation.invert(together), rows.sum(axis=0), atol=1e-12)


def test_the_seed_is_all_that_the_signs_depend_on() -> None:
    vector = np.arange(1.0, 50.0)
    first, again, other = (Rotation(49, seed).apply(vector) for seed in (b"a", b"a", b"b"))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


@given(seeds)
def test_signs_are_the_documented_bits(seed: bytes) -> None:
    """Of SHAKE128, lowest first, 1 for a minus: another implementation decodes what this one encodes."""
    stream = int.from_bytes(shake_128(b"secagg noisy rotation" + seed).digest(4), "little")
    signs = hadamard(Rotation(32, seed).apply(np.ones(32)))
    np.testing.assert_allclose(signs, [-1.0 if stream >> i & 1 else 1.0 for i in range(32)], atol=1e-12)


def test_signs_are_even() -> None:
    signs = np.sign(hadamard(Rotation(1 << 16, b"even").apply(np.ones(1 << 16))))
    assert abs(signs.sum()) < 5 * 256


@pytest.mark.parametrize("length", [16, 1000, 4096])
def test_no_entry_exceeds_its_bound(length: int) -> None:
    """The worst vectors are those with all their norm in few entries, and constant ones."""
    worst = [np.eye(length)[0], np.full(length, length**-0.5), np.eye(length)[:2].sum(axis=0) / math.sqrt(2)]
    bound = entry_bound(1.0, padded_length(length), math.log(1e-6))
    for seed in range(50):
        for vector in worst:
            assert np.abs(Rotation(length, bytes([seed])).apply(vector)).max() <= bound
    assert entry_bound(1.0, 1 << 20, math.log(1e-6)) < 0.01


def test_a_bound_fails_for_any_entry_no_more_often_than_it_says() -> None:
    vector = np.random.default_rng(1).choice([-1.0, 1.0], 4096) / 64
    bound = entry_bound(1.0, 4096, math.log(0.1))
    rotated = [Rotation(4096, bytes([seed])).apply(vector) for seed in range(100)]
    assert sum(np.abs(entries).max() > bound for entries in rotated) <= 20


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="length must be at least 1"):
        Rotation(0, b"")
    rotation = Rotation(5, b"")
    with pytest.raises(LocalProtocolError, match="a vector of length 5 expected"):
        rotation.apply(np.zeros(8))
    with pytest.raises(LocalProtocolError, match="a vector of length 8 expected"):
        rotation.invert(np.zeros(5))
