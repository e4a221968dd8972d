"""Vectors mod R: arithmetic in place, and packing at b = ceil(log2 R) bits an element (architecture, decision 7).

A vector mod R is a contiguous one-dimensional array, uint32 when R <= 2**32 and uint64 when R is 2**32 + 1 .. 2**64.
Its elements must be below R, except for `reduce`. Only `packed_check` checks this: a larger element gives a wrong
result, but never an unsafe access. No function's time depends on the elements.

A packed vector is one little-endian number in ceil(n*b/8) bytes. Element i is its bits b*i .. b*i + b - 1, and unused
bits are 0. Eight elements take b whole bytes, so a packed vector can be cut at any multiple of 8 elements: the bytes
from packed_size(offset, R) on are `pack(vector[offset:], R)`.

Every function raises ValueError for a modulus outside 2 .. 2**64, for arrays that are not contiguous and
one-dimensional, and for arrays of different lengths. It raises TypeError for a dtype other than `dtype(modulus)`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import _kernels
from secagg.arguments import array, in_place, whole
from secagg.errors import ArgumentTypeError

__all__ = [
    "add",
    "add_signed",
    "dtype",
    "pack",
    "packed_add",
    "packed_check",
    "packed_size",
    "reduce",
    "subtract",
    "unpack",
]

Word = NDArray[Any]  # uint32 when R <= 2**32, else uint64
Bytes = bytes | bytearray | memoryview | NDArray[np.uint8]

_GROUP = 8  # elements that together take whole bytes, whatever b is
_CUT = 16  # elements that together take whole keystream blocks, too
_THREAD_BYTES_MIN = 1 << 24  # packed bytes below which starting another thread costs more than it saves


def dtype(modulus: int) -> np.dtype[Any]:
    """The element type of a vector mod R: uint32 when R <= 2**32, else uint64.

    Args:
        modulus: R, 2 .. 2**64.
    """
    modulus = whole(modulus, "modulus")
    if not 2 <= modulus <= 1 << 64:
        raise ValueError(f"modulus must be 2 .. 2**64, got {modulus}")
    return np.dtype(np.uint32 if modulus <= 1 << 32 else np.uint64)


def add(a: Word, b: Word, modulus: int) -> None:
    """Add in place: a[i] := a[i] + b[i] mod R.

    Args:
        a: a[n] mod R, which is changed.
        b: b[n] mod R.
        modulus: R.
    """
    modulus = require_vectors(modulus, a, b)
    _kernels.add(a, b, modulus)


def add_signed(a: Word, b: NDArray[np.int64], modulus: int) -> None:
    """Add in place: a[i] := a[i] + b[i] mod R, where b has signs.

    Args:
        a: a[n] mod R, which is changed. If R is above 2**64, elements have two words: uint64[n, 2], the low word
            first. Shares over Prio3's Field128 are such vectors.
        b: int64[n], any values.
        modulus: R; in this function alone it may also be 2**64 + 1 .. 2**128 - 1.
    """
    modulus, b = whole(modulus, "modulus"), array(b, "b")
    if modulus <= 1 << 64:
        require_vectors(modulus, a)
        _kernels.add_signed(a, b, modulus)
    elif in_place(a, "a").dtype != np.uint64:
        raise TypeError(f"a vector mod {modulus} has dtype uint64, got {a.dtype}")
    else:
        _kernels.add_signed_wide(a, b, modulus)


def subtract(a: Word, b: Word, modulus: int) -> None:
    """Subtract in place: a[i] := a[i] - b[i] mod R.

    Args:
        a: a[n] mod R, which is changed.
        b: b[n] mod R.
        modulus: R.
    """
    modulus = require_vectors(modulus, a, b)
    _kernels.subtract(a, b, modulus)


def reduce(a: Word, modulus: int) -> None:
    """Reduce in place: a[i] := a[i] mod R.

    Args:
        a: a[n] with any elements, which is changed.
        modulus: R.
    """
    modulus = require_vectors(modulus, a)
    _kernels.reduce(a, modulus)


def packed_size(n: int, modulus: int) -> int:
    """How many bytes n packed elements take: ceil(n * b / 8).

    Args:
        n: how many elements, 0 or more.
        modulus: R.
    """
    n, modulus = whole(n, "n"), whole(modulus, "modulus")
    dtype(modulus)
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    return (n * (modulus - 1).bit_length() + 7) // 8


def pack(vector: Word, modulus: int) -> NDArray[np.uint8]:
    """Pack a vector into a new array.

    Args:
        vector: vector[n] mod R.
        modulus: R.

    Returns:
        uint8[packed_size(n, R)].
    """
    modulus = require_vectors(modulus, vector)
    packed = np.empty(packed_size(vector.size, modulus), np.uint8)
    _kernels.pack(packed, vector, modulus)
    return packed


def unpack(packed: Bytes, n: int, modulus: int, *, offset: int = 0) -> Word:
    """Unpack elements offset .. offset + n - 1 of a packed vector into a new array.

    Args:
        packed: a packed vector of at least offset + n elements. If it was not checked by `packed_check` and R is not a
            power of two, elements may be R or more, but are below 2**b.
        n: how many elements.
        modulus: R.
        offset: the first element, a multiple of 8.

    Returns:
        dtype(R)[n].

    Raises:
        ValueError: also if offset is negative or not a multiple of 8, or if packed ends before the slice.
    """
    n, modulus, offset = whole(n, "n"), whole(modulus, "modulus"), whole(offset, "offset")
    octets = _slice(packed, offset, n, modulus)
    vector = np.empty(n, dtype(modulus))
    _kernels.unpack(vector, octets, modulus)
    return vector


def packed_check(packed: Bytes, n: int, modulus: int) -> bool:
    """Whether bytes are a packed vector of n elements: of the right length, every element below R, unused bits 0.

    Args:
        packed: the bytes.
        n: how many elements.
        modulus: R.
    """
    n, modulus, packed = whole(n, "n"), whole(modulus, "modulus"), _octets(packed)
    return len(packed) == packed_size(n, modulus) and _kernels.packed_check(packed, n, modulus)


def packed_add(acc: Word, packed: Bytes, modulus: int, *, offset: int = 0, threads: int = 1) -> None:
    """Add a slice of a packed vector in place: acc[i] := acc[i] + packed[offset + i] mod R.

    Args:
        acc: acc[n] mod R.
        packed: a valid packed vector (see `packed_check`) of at least offset + n elements.
        modulus: R.
        offset: first element of the slice, a multiple of 8.
        threads: the largest number of threads that share the work; each gets 16 MiB of packed bytes or more.

    Raises:
        ValueError: also if offset is negative or not a multiple of 8, if packed ends before the slice, or if threads
            is below 1.
    """
    modulus = require_vectors(modulus, acc)
    offset, threads = whole(offset, "offset"), whole(threads, "threads")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    octets = _slice(packed, offset, acc.size, modulus)

    def add_range(elements: slice) -> None:
        start, end = packed_size(elements.start, modulus), packed_size(elements.stop, modulus)
        _kernels.packed_add(acc[elements], octets[start:end], modulus)

    over_ranges(add_range, acc.size, min(threads, max(1, octets.size // _THREAD_BYTES_MIN)))


def _octets(packed: Bytes) -> Bytes:
    """The bytes without a copy, as they may be megabytes. Text and masked arrays are refused."""
    if isinstance(packed, np.ndarray):
        return array(packed, "packed")
    if not isinstance(packed, bytes | bytearray | memoryview):
        raise ArgumentTypeError(f"packed must be bytes or uint8[n], got {type(packed).__name__}")
    return packed


def _slice(packed: Bytes, offset: int, n: int, modulus: int) -> NDArray[np.uint8]:
    """The bytes of elements offset .. offset + n - 1."""
    if offset < 0 or offset % _GROUP:
        raise ValueError(f"offset must be a multiple of {_GROUP} and not negative, got {offset}")
    start, end = packed_size(offset, modulus), packed_size(offset, modulus) + packed_size(n, modulus)
    if len(_octets(packed)) < end:
        raise ValueError(f"packed must reach element {offset + n}: {end} bytes, got {len(packed)}")
    return np.frombuffer(packed, np.uint8)[start:end]


def over_ranges(work: Callable[[slice], None], n: int, threads: int) -> None:
    """Call work on ranges that together are 0 .. n - 1, each in its own thread.

    They are cut at multiples of 16, so that packed elements and keystream blocks stay whole.
    """
    step = max(1, -(-n // (threads * _CUT))) * _CUT
    ranges = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    if len(ranges) <= 1:
        work(slice(0, n))
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, ranges):
            pass


def require_vectors(modulus: int, *vectors: Word) -> int:
    """R as a Python integer, if all vectors have the dtype and the one dimension of vectors mod R.

    Otherwise raises TypeError or ValueError.
    """
    modulus = whole(modulus, "modulus")
    expected = dtype(modulus)
    for vector in vectors:
        if in_place(vector, "a vector mod R").dtype != expected:
            raise TypeError(f"a vector mod {modulus} has dtype {expected}, got {vector.dtype}")
        if vector.ndim != 1:
            raise ValueError(f"a vector has one dimension, got shape {vector.shape}")
    return modulus
