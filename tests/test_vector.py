"""secagg.vector against Python's integers, for every instruction set."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg import vector
from secagg.vdaf.field import Field128
from secagg.vector import Word

MODULI = [2, 3, 2**24 - 3, 2**32 - 5, 2**32, 2**32 + 1, 2**33 - 9, 2**63, 2**64 - 59, 2**64]
EVERY_WIDTH = [2**b for b in range(1, 65)]
POWERS_AND_NOT = [*MODULI, 2**20, 2**24, 2**31, 2**40, 2**62 - 57]
LONGER = [127, 128, 129, 1023, 1024, 1025, 3001]  # around the tile of packed_check, too

# The isa fixture sets a process-wide choice, which holds for all examples of a test.
property_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def bits(modulus: int) -> int:
    return (modulus - 1).bit_length()


def as_vector(elements: list[int], modulus: int) -> Word:
    return np.array(elements, dtype=vector.dtype(modulus))


def twin_pack(elements: list[int], modulus: int) -> bytes:
    """The packed format as its definition has it: one little-endian number, the sum of x_i * 2^(b*i)."""
    b = bits(modulus)
    number = sum(x << b * i for i, x in enumerate(elements))
    return number.to_bytes((len(elements) * b + 7) // 8, "little")


def random_elements(n: int, modulus: int, seed: int = 0) -> list[int]:
    """Random elements, many of them as large as they can be."""
    rng = random.Random(f"{n} {modulus} {seed}")
    return [rng.choice([modulus - 1, rng.randrange(modulus), rng.randrange(modulus)]) for _ in range(n)]


@st.composite
def moduli_and_elements(draw: st.DrawFn) -> tuple[int, list[int]]:
    modulus = draw(st.sampled_from(MODULI) | st.integers(2, 2**64))
    return modulus, draw(st.lists(st.integers(0, modulus - 1), max_size=150))


# --- Packing


@given(case=moduli_and_elements())
@property_test
def test_pack_and_unpack_follow_the_definition(isa: str, case: tuple[int, list[int]]) -> None:
    modulus, elements = case
    packed = vector.pack(as_vector(elements, modulus), modulus)
    assert packed.tobytes() == twin_pack(elements, modulus)
    assert packed.size == vector.packed_size(len(elements), modulus)
    assert vector.unpack(packed, len(elements), modulus).tolist() == elements
    assert vector.packed_check(packed, len(elements), modulus)


@given(case=moduli_and_elements(), seed=st.integers(0, 2**32))
@property_test
def test_packed_add_is_addition(isa: str, case: tuple[int, list[int]], seed: int) -> None:
    modulus, elements = case
    before = random_elements(len(elements), modulus, seed)
    acc = as_vector(before, modulus)
    vector.packed_add(acc, twin_pack(elements, modulus), modulus)
    assert acc.tolist() == [(x + y) % modulus for x, y in zip(before, elements, strict=True)]


@pytest.mark.parametrize("modulus", EVERY_WIDTH)
def test_every_width_at_every_short_length(isa: str, modulus: int) -> None:
    for n in range(71):
        elements, before = random_elements(n, modulus), random_elements(n, modulus, seed=1)
        packed = twin_pack(elements, modulus)
        assert vector.pack(as_vector(elements, modulus), modulus).tobytes() == packed
        assert vector.unpack(packed, n, modulus).tolist() == elements
        acc = as_vector(before, modulus)
        vector.packed_add(acc, packed, modulus)
        assert acc.tolist() == [(x + y) % modulus for x, y in zip(before, elements, strict=True)]


@pytest.mark.parametrize("n", LONGER)
@pytest.mark.parametrize("modulus", POWERS_AND_NOT)
def test_longer_vectors(isa: str, modulus: int, n: int) -> None:
    elements = random_elements(n, modulus)
    packed = twin_pack(elements, modulus)
    assert vector.pack(as_vector(elements, modulus), modulus).tobytes() == packed
    assert vector.unpack(packed, n, modulus).tolist() == elements
    assert vector.packed_check(packed, n, modulus)
    acc = as_vector(elements, modulus)
    vector.packed_add(acc, packed, modulus)
    assert acc.tolist() == [2 * x % modulus for x in elements]


@pytest.mark.parametrize("modulus", POWERS_AND_NOT)
def test_largest_elements_added(isa: str, modulus: int) -> None:
    acc = as_vector([modulus - 1] * 100, modulus)
    vector.packed_add(acc, twin_pack([modulus - 1] * 100, modulus), modulus)
    assert acc.tolist() == [modulus - 2] * 100


@pytest.mark.parametrize("modulus", [2**20, 2**24 - 3, 2**31, 2**33 - 9, 2**63, 2**64 - 59])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("offset", "n"), [(0, 0), (0, 5), (0, 1000), (8, 992), (8, 64), (16, 977), (496, 9), (1000, 0)]
)
def test_packed_add_of_a_slice(
    isa: str, modulus: int, threads: int, offset: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector, "_THREAD_BYTES_MIN", 1)
    elements, before = random_elements(1000, modulus), random_elements(n, modulus, seed=1)
    acc = as_vector(before, modulus)
    vector.packed_add(acc, twin_pack(elements, modulus), modulus, offset=offset, threads=threads)
    assert acc.tolist() == [(x + y) % modulus for x, y in zip(before, elements[offset : offset + n], strict=True)]


def test_packed_add_shares_out_a_long_vector(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector, "_THREAD_BYTES_MIN", 1 << 20)
    modulus, n = 2**20, 1_000_003  # 2.5 MB packed: two parts
    elements = np.random.default_rng(1).integers(0, modulus, n, np.uint32)
    acc = elements[::-1].copy()
    vector.packed_add(acc, vector.pack(elements, modulus), modulus, threads=4)
    assert np.array_equal(acc, (elements + elements[::-1]) % modulus)


def test_packed_bytes_may_be_any_buffer(isa: str) -> None:
    packed = twin_pack([1, 2, 3], 2**20)
    for form in (packed, bytearray(packed), memoryview(packed), np.frombuffer(packed, np.uint8)):
        assert vector.unpack(form, 3, 2**20).tolist() == [1, 2, 3]
        assert vector.packed_check(form, 3, 2**20)
        acc = as_vector([1, 1, 1], 2**20)
        vector.packed_add(acc, form, 2**20)
        assert acc.tolist() == [2, 3, 4]


# --- packed_check


@pytest.mark.parametrize("modulus", POWERS_AND_NOT)
def test_check_refuses_unused_bits(isa: str, modulus: int) -> None:
    for n in range(1, 20):
        packed = vector.pack(as_vector([0] * n, modulus), modulus)
        assert vector.packed_check(packed, n, modulus)
        for bit in range(n * bits(modulus), 8 * packed.size):
            dirty = packed.copy()
            dirty[bit // 8] |= 1 << bit % 8
            assert not vector.packed_check(dirty, n, modulus)


@pytest.mark.parametrize("modulus", [m for m in POWERS_AND_NOT if m & (m - 1)])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 40, 1024, 1025, 2500])
def test_check_refuses_an_element_of_the_modulus(isa: str, modulus: int, n: int) -> None:
    elements = [modulus - 1] * n
    assert vector.packed_check(twin_pack(elements, modulus), n, modulus)
    for place in {0, n // 2, n - 1}:
        for wrong in (modulus, 2 ** bits(modulus) - 1):
            bad = [*elements[:place], wrong, *elements[place + 1 :]]
            assert not vector.packed_check(twin_pack(bad, modulus), n, modulus)


@given(data=st.binary(max_size=200), modulus=st.sampled_from(MODULI))
@property_test
def test_check_of_any_bytes(isa: str, data: bytes, modulus: int) -> None:
    b = bits(modulus)
    n = len(data) * 8 // b
    data = data[: (n * b + 7) // 8]
    number = int.from_bytes(data, "little")
    valid = number >> b * n == 0 and all((number >> b * i) % 2**b < modulus for i in range(n))
    assert vector.packed_check(data, n, modulus) == valid
    assert vector.unpack(data, n, modulus).tolist() == [(number >> b * i) % 2**b for i in range(n)]


def test_check_refuses_a_wrong_length(isa: str) -> None:
    assert vector.packed_check(b"", 0, 2**20)
    assert vector.packed_check(bytes(5), 2, 2**20)
    assert not vector.packed_check(bytes(4), 2, 2**20)
    assert not vector.packed_check(bytes(6), 2, 2**20)
    assert not vector.packed_check(b"\0", 0, 2**20)


# --- Arithmetic


@given(case=moduli_and_elements(), seed=st.integers(0, 2**32))
@property_test
def test_add_and_subtract(case: tuple[int, list[int]], seed: int) -> None:
    modulus, x = case
    y = random_elements(len(x), modulus, seed)
    total, difference, other = as_vector(x, modulus), as_vector(x, modulus), as_vector(y, modulus)
    vector.add(total, other, modulus)
    vector.subtract(difference, other, modulus)
    assert total.tolist() == [(a + b) % modulus for a, b in zip(x, y, strict=True)]
    assert difference.tolist() == [(a - b) % modulus for a, b in zip(x, y, strict=True)]
    assert other.tolist() == y


@pytest.mark.parametrize("modulus", POWERS_AND_NOT)
def test_extreme_sums_and_differences(modulus: int) -> None:
    edges = [0, 1, modulus // 2, modulus - 2, modulus - 1]
    x, y = [a for a in edges for _ in edges], [b for _ in edges for b in edges]
    total, difference = as_vector(x, modulus), as_vector(x, modulus)
    vector.add(total, as_vector(y, modulus), modulus)
    vector.subtract(difference, as_vector(y, modulus), modulus)
    assert total.tolist() == [(a + b) % modulus for a, b in zip(x, y, strict=True)]
    assert difference.tolist() == [(a - b) % modulus for a, b in zip(x, y, strict=True)]


@given(modulus=st.sampled_from(MODULI) | st.integers(2, 2**64), data=st.data())
@property_test
def test_reduce(modulus: int, data: st.DataObject) -> None:
    top = 2**32 if modulus <= 2**32 else 2**64
    near_multiples = st.builds(lambda k, d: (k * modulus + d) % top, st.integers(0, top // modulus), st.integers(-1, 1))
    elements = data.draw(st.lists(near_multiples | st.integers(0, top - 1), max_size=50))
    a = as_vector(elements, modulus)
    vector.reduce(a, modulus)
    assert a.tolist() == [x % modulus for x in elements]


# --- Arguments


def test_dtype() -> None:
    assert vector.dtype(2) == np.uint32
    assert vector.dtype(2**32) == np.uint32
    assert vector.dtype(2**32 + 1) == np.uint64
    assert vector.dtype(2**64) == np.uint64


@pytest.mark.parametrize("modulus", [-1, 0, 1, 2**64 + 1])
def test_modulus_out_of_range(modulus: int) -> None:
    x = np.zeros(2, np.uint32)
    calls: list[Callable[[], object]] = [
        lambda: vector.dtype(modulus),
        lambda: vector.add(x, x, modulus),
        lambda: vector.subtract(x, x, modulus),
        lambda: vector.reduce(x, modulus),
        lambda: vector.packed_size(2, modulus),
        lambda: vector.pack(x, modulus),
        lambda: vector.unpack(b"", 2, modulus),
        lambda: vector.packed_add(x, b"", modulus),
        lambda: vector.packed_check(b"", 2, modulus),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="modulus must be"):
            call()


@pytest.mark.parametrize(("modulus", "wrong"), [(2**20, np.uint64), (2**33, np.uint32), (2**20, np.float32)])
def test_wrong_dtype(modulus: int, wrong: type[np.generic]) -> None:
    x = np.zeros(2, wrong)
    for call in (vector.add, vector.subtract):
        with pytest.raises(TypeError, match="must be uint"):
            call(x, x, modulus)
    with pytest.raises(TypeError, match="must be uint"):
        vector.reduce(x, modulus)
    with pytest.raises(TypeError, match="must be uint"):
        vector.pack(x, modulus)
    with pytest.raises(TypeError, match="must be uint"):
        vector.packed_add(x, bytes(10), modulus)


def test_wrong_shapes_and_lengths() -> None:
    x = np.zeros(4, np.uint32)
    with pytest.raises(ValueError, match=r"b must be uint32\[4\], got uint32\[3\]"):
        vector.add(x, x[:3], 2**20)
    with pytest.raises(ValueError, match=r"b must be uint32\[4\], got uint32\[3\]"):
        vector.subtract(x, x[:3], 2**20)
    with pytest.raises(ValueError, match="not C-contiguous"):
        vector.reduce(x[::2], 2**20)
    with pytest.raises(ValueError, match=r"a must be uint32\[n\], got uint32\[2, 2\]"):
        vector.reduce(x.reshape(2, 2), 2**20)
    with pytest.raises(ValueError, match="packed must reach element 4: 10 bytes, got 9"):
        vector.unpack(bytes(9), 4, 2**20)
    with pytest.raises(ValueError, match="must not be negative"):
        vector.unpack(b"", -1, 2**20)


def test_results_are_never_written_to_a_read_only_array() -> None:
    x = np.zeros(4, np.uint32)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        vector.reduce(x, 2**20)
    assert vector.pack(x, 2**20).tolist() == [0] * 10


def test_packed_add_refuses_bad_slices() -> None:
    acc = np.zeros(8, np.uint32)
    for offset in (-8, 4):
        with pytest.raises(ValueError, match="offset must be a multiple of 8"):
            vector.packed_add(acc, bytes(40), 2**20, offset=offset)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        vector.packed_add(acc, bytes(40), 2**20, threads=0)
    with pytest.raises(ValueError, match="packed must reach element 24: 60 bytes, got 59"):
        vector.packed_add(acc, bytes(59), 2**20, offset=16)
    with pytest.raises(ValueError, match="packed must reach element 8: 20 bytes, got 19"):
        vector.packed_add(acc, bytes(19), 2**20)


@pytest.mark.parametrize("modulus", [2**20, 2**31 - 1, 2**40])
def test_a_slice_of_a_packed_vector_is_a_packed_vector(modulus: int) -> None:
    elements = np.arange(40, dtype=vector.dtype(modulus))
    packed = vector.pack(elements, modulus)
    for offset in (0, 8, 32):
        assert vector.unpack(packed, 5, modulus, offset=offset).tolist() == elements[offset : offset + 5].tolist()
        assert (
            packed[vector.packed_size(offset, modulus) :].tolist() == vector.pack(elements[offset:], modulus).tolist()
        )
    for offset in (-8, 4):
        with pytest.raises(ValueError, match="offset must be a multiple of 8"):
            vector.unpack(packed, 5, modulus, offset=offset)


# --- Signed addition


@given(st.data(), st.integers(2, 1 << 64))
def test_add_signed_is_addition(data: st.DataObject, modulus: int) -> None:
    extreme = st.sampled_from([-(1 << 63), -1, 0, 1, (1 << 63) - 1, modulus % (1 << 63), -(modulus % (1 << 63))])
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, modulus - 1), extreme | st.integers(-(1 << 63), (1 << 63) - 1)))
    )
    a = np.array([x for x, _ in pairs], vector.dtype(modulus))
    vector.add_signed(a, np.array([y for _, y in pairs], np.int64), modulus)
    assert a.tolist() == [(x + y) % modulus for x, y in pairs]


@given(st.data(), st.integers((1 << 64) + 1, (1 << 128) - 1) | st.just(Field128.MODULUS))
def test_add_signed_is_addition_of_elements_of_two_words(data: st.DataObject, modulus: int) -> None:
    extreme = st.sampled_from([-(1 << 63), -1, 0, 1, (1 << 63) - 1])
    border = st.sampled_from([0, 1, modulus - 1, 1 << 63, (1 << 64) - 1, modulus - (1 << 63)])
    elements, integers = border | st.integers(0, modulus - 1), extreme | st.integers(-(1 << 63), (1 << 63) - 1)
    pairs = data.draw(st.lists(st.tuples(elements, integers)))
    a = np.array([[x % (1 << 64), x >> 64] for x, _ in pairs], np.uint64).reshape(-1, 2)
    vector.add_signed(a, np.array([y for _, y in pairs], np.int64), modulus)
    assert [low | high << 64 for low, high in a.tolist()] == [(x + y) % modulus for x, y in pairs]


@pytest.mark.parametrize(
    ("shape", "dtype", "length", "modulus", "error"),
    [((3, 2), np.int64, 3, 1 << 100, TypeError), ((3, 2), np.uint32, 3, 1 << 100, TypeError),
     ((3, 3), np.uint64, 3, 1 << 100, ValueError), ((3,), np.uint64, 3, 1 << 100, ValueError),
     ((3, 2), np.uint64, 2, 1 << 100, ValueError), ((3, 2), np.uint64, 3, 1 << 128, ValueError),
     ((3, 2), np.uint64, 3, 1 << 64, ValueError)],
)  # fmt: skip
def test_what_is_no_vector_of_two_words(
    shape: tuple[int, ...], dtype: type[Any], length: int, modulus: int, error: type[Exception]
) -> None:
    a = np.zeros(shape, dtype)
    with pytest.raises(error):
        vector.add_signed(a, np.ones(length, np.int64), modulus)
    assert not a.any()
