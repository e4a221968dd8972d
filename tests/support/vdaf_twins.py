"""What the tests of the VDAF kernels share: field elements as integers, and polynomials by Lagrange's formula."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy import uint8, uint64
from numpy.typing import NDArray

P = {64: 2**32 * 4294967295 + 1, 128: 2**66 * 4611686018427387897 + 1}
GENERATOR = {64: pow(7, 4294967295, P[64]), 128: pow(7, 4611686018427387897, P[128])}
ORDER = {64: 2**32, 128: 2**66}

fields = st.sampled_from([64, 128])
both_fields = pytest.mark.parametrize("field", [64, 128])

Elements = NDArray[uint64]
Vector = list[int]


def elements(field: int, values: Any) -> Elements:
    """Nested lists of integers to uint64[...], or uint64[..., 2]."""
    integers = np.array(values, dtype=object)
    encoded = b"".join(int(v).to_bytes(field // 8, "little") for v in integers.ravel())
    return np.frombuffer(encoded, uint64).reshape(integers.shape + (2,) * (field == 128)).copy()


def several(field: int, *values: Any) -> Any:
    """The arguments of a kernel."""
    return [elements(field, a) for a in values]


def zeros(field: int, *shape: int) -> Elements:
    return np.zeros(shape + (2,) * (field == 128), uint64)


def integers(field: int, array: Elements) -> Any:
    """The inverse of `elements`."""
    size = field // 8
    shape = array.shape[:-1] if field == 128 else array.shape
    encoded = array.tobytes()
    values = [int.from_bytes(encoded[i : i + size], "little") for i in range(0, len(encoded), size)]
    return np.array(values, dtype=object).reshape(shape).tolist()


def accepted(reports: int) -> NDArray[uint8]:
    return np.ones(reports, uint8)


def random_integers(field: int, *shape: int, seed: int = 0) -> Any:
    """Uniform, with the edges among them."""
    rng = np.random.default_rng([field, seed, *shape])
    drawn = [int.from_bytes(rng.bytes(24), "little") % P[field] for _ in range(int(np.prod(shape)))]
    for i in range(0, len(drawn), 7):
        drawn[i] = (0, 1, P[field] - 1)[i % 3]
    return np.array(drawn, dtype=object).reshape(shape).tolist()


def values_of(field: int) -> st.SearchStrategy[int]:
    p = P[field]
    edges = [0, 1, 2, p - 1, p - 2, p >> 1, 2**32, 2**32 - 1, p - 2**32, (2**64 - 1) % p, 2**64 % p, p - 2**64 % p]
    return st.one_of(st.sampled_from(edges), st.integers(0, p - 1))


@st.composite
def vectors(draw: st.DrawFn, count: int = 2) -> tuple[int, list[Vector]]:
    field, n = draw(fields), draw(st.integers(1, 9))
    vector = st.lists(values_of(field), min_size=n, max_size=n)
    return field, [draw(vector) for _ in range(count)]


# Twins: polynomials by Lagrange's formula.


def root(field: int, n: int) -> int:
    return pow(GENERATOR[field], ORDER[field] // n, P[field])


def roots(field: int, n: int) -> Vector:
    return [pow(root(field, n), i, P[field]) for i in range(n)]


def lagrange_twin(field: int, xs: Vector, x: int) -> Vector:
    """L_k(x) for all k."""
    p, basis = P[field], []
    for k, xk in enumerate(xs):
        numerator = denominator = 1
        for other in xs[:k] + xs[k + 1 :]:
            numerator, denominator = numerator * (x - other) % p, denominator * (xk - other) % p
        basis.append(numerator * pow(denominator, -1, p) % p)
    return basis


def at(field: int, values: Vector, n: int, x: int) -> int:
    """At x, the polynomial of least degree with these values at the first n-th roots."""
    basis = lagrange_twin(field, roots(field, n)[: len(values)], x)
    return sum(a * b for a, b in zip(values, basis, strict=True)) % P[field]


def evaluate(field: int, coefficients: Sequence[int], x: int) -> int:
    return sum(c * pow(x, i, P[field]) for i, c in enumerate(coefficients)) % P[field]
