"""The VDAF kernels on vectors, polynomials and the XOF, against plain integers, galois and pycryptodome."""

from collections.abc import Iterable
from typing import Any

import galois
import numpy as np
import pytest
from Crypto.Hash import TurboSHAKE128
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import uint8, uint64

from secagg import _kernels, _vdaf

from ..support.vdaf_twins import (
    Elements,
    P,
    Vector,
    accepted,
    both_fields,
    elements,
    evaluate,
    fields,
    integers,
    lagrange_twin,
    random_integers,
    root,
    roots,
    values_of,
    vectors,
    zeros,
)

# Vectors.


@settings(deadline=None)
@given(vectors())
def test_elementwise(case: tuple[int, list[Vector]]) -> None:
    field, (a, b) = case
    out, x, y = zeros(field, 1, len(a)), elements(field, [a]), elements(field, b)
    for kernel, twin in [(_vdaf.add, int.__add__), (_vdaf.subtract, int.__sub__), (_vdaf.multiply, int.__mul__)]:
        kernel(field, out, x, y)
        assert integers(field, out) == [[twin(i, j) % P[field] for i, j in zip(a, b, strict=True)]]
    _vdaf.add(field, x, x, y)
    assert integers(field, x) == [[(i + j) % P[field] for i, j in zip(a, b, strict=True)]]


@both_fields
def test_elementwise_on_all_pairs_of_edges(field: int) -> None:
    p = P[field]
    edges = [0, 1, p - 1, p - 2, (p + 1) // 2, 2**63, 2**64 % p, 2**64 - 1 - p * (field == 64), p - 2**64 % p]
    edges = sorted({e % p for e in edges} | {(p - 28 * 2**i) % p for i in range(0, field - 5, 7)})
    a, b = np.meshgrid(np.array(edges, object), np.array(edges, object))
    for kernel, expected in [(_vdaf.add, a + b), (_vdaf.subtract, a - b), (_vdaf.multiply, a * b)]:
        out = zeros(field, *a.shape)
        kernel(field, out, elements(field, a), elements(field, b))
        assert integers(field, out) == (expected % p).tolist()


@settings(deadline=None)
@given(fields, st.data())
def test_dot(field: int, data: st.DataObject) -> None:
    m, g, reports = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    draw = st.lists(values_of(field), min_size=g, max_size=g)
    a = [[data.draw(draw) for _ in range(m)] for _ in range(reports)]
    shared = data.draw(st.booleans())
    weights = [data.draw(draw) for _ in range(1 if shared else reports)]
    out = zeros(field, reports, m)
    _vdaf.dot(field, out, elements(field, a), elements(field, weights))
    expected = [
        [sum(x * w for x, w in zip(group, weights[0 if shared else r], strict=True)) % P[field] for group in a[r]]
        for r in range(reports)
    ]
    assert integers(field, out) == expected


@both_fields
@pytest.mark.parametrize("value", [0, 1, -1])
def test_long_sums_of_extremes(field: int, value: int) -> None:
    a = elements(field, [[value % P[field]]])
    many = np.broadcast_to(a, (2, 5000, *a.shape[2:])).copy()
    out = zeros(field, 2, 1)
    _vdaf.dot(field, out, many, many)
    assert integers(field, out) == [[value * value * 5000]] * 2
    _vdaf.sums(field, out, many)
    assert integers(field, out) == [[value * 5000 % P[field]]] * 2
    acc = a[0].copy()
    _vdaf.accumulate(field, acc, many[0][:, None], np.ones(5000, bool))
    assert integers(field, acc) == [value * 5001 % P[field]]


@both_fields
def test_sums_of_products_at_the_edges_of_carries(field: int) -> None:
    top, whole = P[field] - 1, 1 << field
    edges = [0, 1, 1 << field // 2, top, top + 1, whole - (1 << field // 2), whole - 1]
    for total in (high * whole + low for high in [*edges, whole, 2 * whole - 1] for low in edges):
        full, rest = divmod(total, top)
        factors = [min(top, full - k * top) for k in range(full // top + 1)]
        out = zeros(field, 1, 1)
        _vdaf.dot(field, out, elements(field, [[*factors, rest]]), elements(field, [top] * len(factors) + [1]))
        assert integers(field, out) == [[total % P[field]]]


@both_fields
def test_accumulate_leaves_rejected_reports_out(field: int) -> None:
    a = random_integers(field, 5, 11)
    acc = elements(field, a[0])
    _vdaf.accumulate(field, acc, elements(field, a), np.array([1, 0, 1, 1, 0], uint8))
    assert integers(field, acc) == [sum(a[r][i] for r in (0, 0, 2, 3)) % P[field] for i in range(11)]


@both_fields
def test_check(field: int) -> None:
    p, top = P[field], 2**field - 1
    a = elements(field, [[0, p - 1, 1], [0, p, 1], [p - 1, p - 1, top], [p + 1, 0, 0], [p - 1] * 3])
    ok = accepted(5)
    _vdaf.check(field, ok, a)
    assert ok.tolist() == [1, 0, 0, 0, 1]
    _vdaf.check(field, ok, a[::-1].copy())
    assert ok.tolist() == [1, 0, 0, 0, 1]


# Polynomials.


@both_fields
@pytest.mark.parametrize("n", [1, 2, 4, 8, 32])
def test_ntt_and_inverse(field: int, n: int) -> None:
    a = random_integers(field, 3, n)
    out, back = zeros(field, 3, n), zeros(field, 3, n)
    _vdaf.ntt(field, out, elements(field, a))
    assert integers(field, out) == [[evaluate(field, row, x) for x in roots(field, n)] for row in a]
    _vdaf.inv_ntt(field, back, out)
    assert integers(field, back) == a
    _vdaf.ntt(field, out, elements(field, a), set_s=True)
    odd = roots(field, 2 * n)[1::2]
    assert integers(field, out) == [[evaluate(field, row, x) for x in odd] for row in a]


@both_fields
def test_ntt_against_galois(field: int) -> None:
    gf, n = galois.GF(P[field], primitive_element=7, verify=False), 16
    (a,) = random_integers(field, 1, n)
    out = zeros(field, 1, n)
    _vdaf.ntt(field, out, elements(field, [a]))
    assert integers(field, out)[0] == [int(y) for y in galois.Poly(gf(a[::-1]))(gf(roots(field, n)))]


@both_fields
def test_a_long_transform_comes_back(field: int) -> None:
    a = elements(field, random_integers(field, 1, 4096))
    out, back = np.empty_like(a), np.empty_like(a)
    _vdaf.ntt(field, out, a)
    _vdaf.inv_ntt(field, back, out)
    assert np.array_equal(back, a)
    assert not np.array_equal(out, a)


@both_fields
@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_lagrange(field: int, n: int) -> None:
    points = [0, 1, 5, P[field] - 1, root(field, n), root(field, 2 * n), *random_integers(field, 3)]
    out = zeros(field, len(points), n)
    _vdaf.lagrange(field, out, elements(field, [[t] for t in points]))
    assert integers(field, out) == [lagrange_twin(field, roots(field, n), t) for t in points]


# XofTurboShake128.


def stream(message: bytes, length: int) -> bytes:
    return TurboSHAKE128.new(domain=1, data=message).read(length)


def test_selftest(isa: str) -> None:
    _kernels.selftest()


@pytest.mark.parametrize("reports", [1, 2, 4, 5, 8, 13])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 167, 168, 169, 336, 1001])
def test_turboshake(isa: str, reports: int, length: int) -> None:
    rng = np.random.default_rng(length)
    for sizes in [(0, 0, 0), (1, 32, 0), (10, 32, 125), (10, 32, 126), (10, 32, 127), (5, 168, 163), (3, 16, 900)]:
        first, second, third = (rng.integers(0, 256, (reports, size), uint8) for size in sizes)
        shared = first[0].tobytes()
        out = np.zeros((reports, length), uint8)
        _vdaf.turboshake128(out, [shared, second, third])
        for r in range(reports):
            assert out[r].tobytes() == stream(shared + second[r].tobytes() + third[r].tobytes(), length)


def test_parts_may_be_slices_of_any_type(isa: str) -> None:
    wide = np.arange(7 * 30, dtype=uint64).reshape(7, 30)
    out = np.zeros((7, 80), uint8)
    _vdaf.turboshake128(out[:, 8:40], [b"", wide[:, 3:25], wide[2, :4], bytearray(b"tail")])
    for r in range(7):
        message = wide[r, 3:25].tobytes() + wide[2, :4].tobytes() + b"tail"
        assert out[r].tobytes() == bytes(8) + stream(message, 32) + bytes(40)


@both_fields
@pytest.mark.parametrize("n", [1, 10, 11, 21, 64])
@pytest.mark.parametrize("reports", [1, 3, 9])
def test_expand_into_vec(isa: str, field: int, n: int, reports: int) -> None:
    seeds = np.random.default_rng(n).integers(0, 256, (reports, 32), uint8)
    out = zeros(field, reports, n + 2)
    _vdaf.expand_into_vec(field, out[:, 1:-1], [b"dst", seeds])
    size = field // 8
    for r in range(reports):
        expected = stream(b"dst" + seeds[r].tobytes(), n * size)
        assert out[r].tobytes() == bytes(size) + expected + bytes(size)


# Found by trying: sample 12,922 of this seed's stream is not below the modulus, which happens once in 2^32.
REJECTED_SEED, REJECTED_SAMPLE = 343_117, 12_922


@pytest.mark.parametrize("n", [REJECTED_SAMPLE, REJECTED_SAMPLE + 1, REJECTED_SAMPLE + 20])
def test_a_sample_past_the_modulus_is_left_out(isa: str, n: int) -> None:
    seeds = np.arange(REJECTED_SEED - 4, REJECTED_SEED + 5, dtype=uint64)[:, None]
    out = zeros(64, 9, n)
    _vdaf.expand_into_vec(64, out, [b"find", seeds])
    for r in range(9):
        samples = np.frombuffer(stream(b"find" + seeds[r].tobytes(), 8 * n + 8), uint64)
        canonical = samples[samples < np.uint64(P[64])]
        assert (len(samples) - len(canonical)) == (r == 4 and n >= REJECTED_SAMPLE)
        assert np.array_equal(out[r], canonical[:n])


# Encodings.


@both_fields
def test_encode_one_hot(field: int) -> None:
    out = zeros(field, 4, 9)
    _vdaf.encode_one_hot(field, out, np.array([0, 8, 3, 3], uint64))
    assert integers(field, out) == [[int(i == index) for i in range(9)] for index in (0, 8, 3, 3)]


@pytest.mark.parametrize("maximum", [1, 2, 3, 4, 5, 7, 8, 255, 256, 1000, 2**62 - 1, 2**62, 2**63 - 1])
@both_fields
def test_encode_range_checked_int(field: int, maximum: int) -> None:
    bits = maximum.bit_length()
    values = sorted({v for v in (0, 1, 2, maximum // 2, maximum // 2 + 1, maximum - 1, maximum) if v <= maximum})
    out = zeros(field, 2, len(values) * bits)
    _vdaf.encode_range_checked_int(field, out, elements(field, [values, values]), maximum)
    assert set(np.unique(out)) <= {0, 1}
    weights = [1 << i for i in range(bits - 1)] + [maximum - (1 << bits - 1) + 1]
    rest_all_ones = (1 << bits - 1) - 1
    for k, value in enumerate(values):
        encoded = integers(field, out)[1][k * bits : (k + 1) * bits]
        assert sum(b * w for b, w in zip(encoded, weights, strict=True)) == value
        assert encoded[-1] == (value > rest_all_ones)


def test_encode_range_checked_int_of_126_bits() -> None:
    maximum = 3**79
    out = zeros(128, 1, 2 * 126)
    _vdaf.encode_range_checked_int(128, out, elements(128, [[maximum, 2**100]]), maximum)
    encoded = integers(128, out)[0]
    assert encoded[:126] == [1] * 126
    assert encoded[126:] == [int(i == 100) for i in range(126)]


# Arguments.


def batch(*shape: int) -> Elements:
    return zeros(64, *shape)


REFUSED: list[tuple[str, Any, Iterable[Any]]] = [
    ("field", _vdaf.add, (65, batch(1, 2), batch(1, 2), batch(1, 2))),
    ("uint64", _vdaf.add, (64, batch(1, 2), batch(1, 2), np.zeros((1, 2), np.int64))),
    ("limbs", _vdaf.add, (128, zeros(128, 1, 2), zeros(128, 1, 2), batch(2, 3))),
    ("too few axes", _vdaf.add, (128, batch(2), batch(2), batch(2))),
    ("3 field elements a row, not 2", _vdaf.add, (64, batch(1, 2), batch(1, 2), batch(1, 3))),
    ("2 rows for 3 reports", _vdaf.add, (64, batch(3, 2), batch(3, 2), batch(2, 2))),
    ("not contiguous", _vdaf.sums, (64, batch(4, 1), batch(4, 8)[:, ::2])),
    ("backwards", _vdaf.sums, (64, batch(4, 1), batch(4, 8)[::-1])),
    ("overlap", _vdaf.add, (64, np.lib.stride_tricks.as_strided(batch(9), (3, 4), (8, 8)), batch(4), batch(4))),
    ("aligned", _vdaf.sums, (64, batch(1, 1), np.zeros(17, uint8)[1:].view(uint64))),
    ("aligned", _vdaf.sums, (64, batch(2, 1), np.zeros((2, 12), uint8)[:, :8].view(uint64))),
    ("power of 2", _vdaf.ntt, (64, batch(1, 3), batch(1, 3))),
    ("power of 2", _vdaf.lagrange, (64, batch(1, 0), batch(1, 1))),
    ("bool", _vdaf.check, (64, np.ones(2, np.int32), batch(2, 2))),
    ("1 rows for 2 reports", _vdaf.check, (64, accepted(1), batch(2, 2))),
    ("at most 16 parts", _vdaf.turboshake128, (np.zeros(8, uint8), [b""] * 17)),
    ("part 1 has 1 rows for 2 reports", _vdaf.turboshake128, (np.zeros((2, 8), uint8), [b"", batch(1, 3)])),
    ("an index", _vdaf.encode_one_hot, (64, batch(2, 3), np.zeros(1, uint64))),
    ("below half", _vdaf.encode_range_checked_int, (64, batch(1, 64), batch(1, 1), 2**63)),
    ("positive", _vdaf.encode_range_checked_int, (64, batch(1, 0), batch(1, 1), 0)),
    ("chunk_length", _vdaf.mul_prove, (64, batch(1, 5), batch(1, 1), batch(1, 2), batch(1, 1), batch(1), 0)),
    ("at least one gadget call", _vdaf.mul_prove, (64, batch(1, 5), batch(1, 0), batch(1, 2), batch(1), batch(1), 1)),
    ("proof has 4", _vdaf.mul_prove, (64, batch(1, 4), batch(1, 1), batch(1, 2), batch(1, 1), batch(1), 1)),
    ("joint_rand has 2", _vdaf.mul_prove, (64, batch(1, 9), batch(1, 3), batch(1, 2), batch(1, 2), batch(1), 1)),
    ("offset", _vdaf.mul_prove, (64, batch(1, 5), batch(1, 1), batch(1, 2), batch(1, 1), batch(2, 1), 1)),
    ("1 .. 255", _vdaf.poly_prove, (64, batch(1, 2), batch(1, 1), batch(1, 1), batch(1))),
    ("gadget polynomial", _vdaf.poly_prove, (64, batch(1, 2), batch(1, 2**22), batch(1, 1), batch(130))),
    ("2c", _vdaf.mul_decide, (64, accepted(1), batch(1, 5))),
]


@pytest.mark.parametrize(("message", "kernel", "arguments"), REFUSED, ids=[case[0] for case in REFUSED])
def test_arguments_are_checked(message: str, kernel: Any, arguments: Iterable[Any]) -> None:
    with pytest.raises(ValueError, match=message):
        kernel(*arguments)


def test_outputs_must_be_writable() -> None:
    out = batch(1, 2)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _vdaf.add(64, out, batch(2), batch(2))


@both_fields
def test_empty_batches(field: int) -> None:
    _vdaf.add(field, zeros(field, 0, 3), zeros(field, 3), zeros(field, 0, 3))
    _vdaf.expand_into_vec(field, zeros(field, 0, 3), [b"dst", np.zeros((0, 32), uint8)])
    _vdaf.encode_one_hot(field, zeros(field, 0, 3), np.zeros(0, uint64))
