"""Vectors mod R: arithmetic in place, and packing at b = ceil(log2 R) bits an element (architecture, decision 7).

A vector mod R is an array, or any other buffer, of one dimension: uint32 when R <= 2**32, uint64 when R is 2**32 + 1 ..
2**64. Arrays of numpy, `array.array`, `memoryview`, `bytearray`, arrays of ctypes and objects with `__dlpack__` are
taken as they lie in memory, without a copy, and changed there by the functions that change them.
Its elements must be below R, except for `reduce`. Only `packed_check` checks this: a larger element gives a wrong
result, but never an unsafe access. No function's time depends on the elements.

A packed vector is one little-endian number in ceil(n*b/8) bytes. Element i is its bits b*i .. b*i + b - 1, and unused
bits are 0. Eight elements take b whole bytes, so a packed vector can be cut at any multiple of 8 elements: the bytes
from packed_size(offset, R) on are `pack(vector[offset:], R)`.

Every function raises ValueError for a modulus outside 2 .. 2**64, for buffers that are not C-contiguous, aligned and
one-dimensional, for buffers of different lengths, and for one that is read-only and to be changed. It raises TypeError
for items of another type than `dtype(modulus)`, as those of a `bytearray` are: `memoryview(x).cast("I")` casts it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import _kernels
from secagg.arguments import Buffer, buffer, whole

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

OCTET, _U32, _U64, _I64 = (np.dtype(kind) for kind in (np.uint8, np.uint32, np.uint64, np.int64))

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
    return _U32 if modulus <= 1 << 32 else _U64


def add(a: Buffer, b: Buffer, modulus: int) -> None:
    """Add in place: a[i] := a[i] + b[i] mod R.

    Args:
        a: a[n] mod R, which is changed.
        b: b[n] mod R.
        modulus: R.
    """
    modulus, kind = _ring(modulus)
    a = buffer(a, "a", kind, writable=True)
    _kernels.add(a, buffer(b, "b", kind, a.shape), modulus)


def add_signed(a: Buffer, b: Buffer, modulus: int) -> None:
    """Add in place: a[i] := a[i] + b[i] mod R, where b has signs.

    Args:
        a: a[n] mod R, which is changed. If R is above 2**64, elements have two words: uint64[n, 2], the low word
            first. Shares over Prio3's Field128 are such vectors.
        b: int64[n], any values.
        modulus: R; in this function alone it may also be 2**64 + 1 .. 2**128 - 1.
    """
    modulus = whole(modulus, "modulus")
    if modulus <= 1 << 64:
        a = buffer(a, "a", dtype(modulus), writable=True)
        _kernels.add_signed(a, buffer(b, "b", _I64, a.shape), modulus)
    else:
        a = buffer(a, "a", _U64, ("n", 2), writable=True)
        _kernels.add_signed_wide(a, buffer(b, "b", _I64, a.shape[:1]), modulus)


def subtract(a: Buffer, b: Buffer, modulus: int) -> None:
    """Subtract in place: a[i] := a[i] - b[i] mod R.

    Args:
        a: a[n] mod R, which is changed.
        b: b[n] mod R.
        modulus: R.
    """
    modulus, kind = _ring(modulus)
    a = buffer(a, "a", kind, writable=True)
    _kernels.subtract(a, buffer(b, "b", kind, a.shape), modulus)


def reduce(a: Buffer, modulus: int) -> None:
    """Reduce in place: a[i] := a[i] mod R.

    Args:
        a: a[n] with any elements, which is changed.
        modulus: R.
    """
    modulus, kind = _ring(modulus)
    _kernels.reduce(buffer(a, "a", kind, writable=True), modulus)


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
    return _size(n, modulus)


def _size(n: int, modulus: int) -> int:
    return (n * (modulus - 1).bit_length() + 7) // 8


def pack(vector: Buffer, modulus: int) -> NDArray[np.uint8]:
    """Pack a vector into a new array.

    Args:
        vector: vector[n] mod R.
        modulus: R.

    Returns:
        uint8[packed_size(n, R)].
    """
    modulus, kind = _ring(modulus)
    vector = buffer(vector, "vector", kind)
    packed = np.empty(packed_size(vector.size, modulus), np.uint8)
    _kernels.pack(packed, vector, modulus)
    return packed


def unpack(packed: bytes | Buffer, n: int, modulus: int, *, offset: int = 0) -> Word:
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


def packed_check(packed: bytes | Buffer, n: int, modulus: int) -> bool:
    """Whether bytes are a packed vector of n elements: of the right length, every element below R, unused bits 0.

    Args:
        packed: the bytes.
        n: how many elements.
        modulus: R.
    """
    n, modulus, packed = whole(n, "n"), whole(modulus, "modulus"), buffer(packed, "packed", OCTET)
    return packed.size == packed_size(n, modulus) and _kernels.packed_check(packed, n, modulus)


def packed_add(acc: Buffer, packed: bytes | Buffer, modulus: int, *, offset: int = 0, threads: int = 1) -> None:
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
    modulus, kind = _ring(modulus)
    vector = buffer(acc, "acc", kind, writable=True)
    offset, threads = whole(offset, "offset"), whole(threads, "threads")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    octets = _slice(packed, offset, vector.size, modulus)

    def add_range(elements: slice) -> None:
        start, end = _size(elements.start, modulus), _size(elements.stop, modulus)
        _kernels.packed_add(vector[elements], octets[start:end], modulus)

    over_ranges(add_range, vector.size, min(threads, max(1, octets.size // _THREAD_BYTES_MIN)))


def _slice(packed: bytes | Buffer, offset: int, n: int, modulus: int) -> NDArray[np.uint8]:
    """The bytes of elements offset .. offset + n - 1."""
    if offset < 0 or offset % _GROUP:
        raise ValueError(f"offset must be a multiple of {_GROUP} and not negative, got {offset}")
    size, start = packed_size(n, modulus), _size(offset, modulus)
    end, octets = start + size, buffer(packed, "packed", OCTET)
    if octets.size < end:
        raise ValueError(f"packed must reach element {offset + n}: {end} bytes, got {octets.size}")
    return octets[start:end]


def over_ranges(work: Callable[[slice], None], n: int, threads: int) -> None:
    """Call work on ranges that together are 0 .. n - 1, each in its own thread.

    They are cut at multiples of 16, so that packed elements and keystream blocks stay whole.
    """
    step = max(1, -(-n // (threads * _CUT))) * _CUT
    if step >= n:
        work(slice(0, n))
        return
    from concurrent.futures import ThreadPoolExecutor  # here, since it takes time that most callers need not spend

    ranges = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, ranges):
            pass


def _ring(modulus: int) -> tuple[int, np.dtype[Any]]:
    """R as a Python integer, and the type of elements mod R."""
    modulus = whole(modulus, "modulus")
    return modulus, dtype(modulus)
