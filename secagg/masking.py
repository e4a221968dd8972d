"""Masks: AES-128 in counter mode, expanded to vectors mod R and added up without being stored.

Section 7.3 of the paper expands every mask with AES-CTR. Keystream block i of a seed is AES-128 of the 128-bit
big-endian number (nonce || 0^32) + i, with the seed as key. For R = 2^b, element i of the mask is the w = ceil(b / 8)
little-endian bytes at w * i, mod 2^b. For any other R it is (X * R) >> 128, where X is the 16 little-endian bytes at
16 * i. So any AES-CTR library can reproduce a mask, and any slice of it can be expanded alone.

All functions take either `bits` (R = 2**bits, 1 .. 64) or `modulus` (R, 2 .. 2**64). Vectors mod R are uint32 if
R <= 2**32, else uint64. As in `secagg.vector`, arrays may be any buffers, and are read and changed where they lie.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import _kernels
from secagg.arguments import Buffer, array, buffer, whole
from secagg.vector import OCTET, dtype, over_ranges

__all__ = ["NONCE_BYTES", "SEED_BYTES", "ZERO_NONCE", "expand", "mask_add", "mask_sum"]

SEED_BYTES = 16
NONCE_BYTES = 12
ZERO_NONCE = bytes(NONCE_BYTES)

_SEEDS = ("k", SEED_BYTES)
_SIGN = np.dtype(np.int8)


def _resolve(bits: int | None, modulus: int | None) -> int:
    """R from the one of `bits` and `modulus` that is given."""
    if modulus is None and bits is not None:
        bits = whole(bits, "bits")
        if not 1 <= bits <= 64:
            raise ValueError(f"bits must be 1 .. 64, got {bits}")
        return 1 << bits
    if modulus is None or bits is not None:
        raise TypeError("give exactly one of bits and modulus")
    modulus = whole(modulus, "modulus")
    dtype(modulus)
    return modulus


def _check_slice(n: int, offset: int) -> None:
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    if not 0 <= offset <= (1 << 64) - max(n, 1):
        raise ValueError(f"offset .. offset + n - 1 must lie in 0 .. 2**64 - 1, got offset {offset} and n {n}")


def _octets(values: Buffer, name: str, size: int) -> Any:
    """So many bytes. The kernel itself looks at the length of `bytes`, which are the most common."""
    return values if type(values) is bytes else buffer(values, name, OCTET, (size,))


def _numbers(values: Any, name: str, kind: np.dtype[Any], shape: tuple[int | str, ...]) -> NDArray[Any]:
    """A buffer as it is. A list, or an array of another dtype or with gaps, is copied if its values fit."""
    try:
        return buffer(values, name, kind, shape)
    except (TypeError, ValueError):
        if not isinstance(values, list | tuple) and not hasattr(values, "__array__"):
            raise
    given = array(values, name)
    exact = np.ascontiguousarray(given.astype(kind, copy=False))
    if given.dtype != kind and not np.array_equal(exact, given):
        raise ValueError(f"{name} must fit {kind}")
    return buffer(exact, name, kind, shape)


def expand(
    n: int,
    seed: bytes | Buffer,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes | Buffer = ZERO_NONCE,
    offset: int = 0,
) -> NDArray[Any]:
    """Elements offset .. offset + n - 1 of PRG(seed), the mask that the seed stands for (section 7.3).

    Args:
        n: how many elements.
        seed: 16 bytes.
        bits: R = 2**bits, 1 .. 64; None if modulus is given.
        modulus: R, 2 .. 2**64; None if bits is given.
        nonce: 12 bytes, the upper part of the first counter block.
        offset: index of the first element, 0 .. 2**64 - 1.

    Returns:
        dtype(R)[n], each element below R.

    Raises:
        TypeError: both or neither of bits and modulus are given, or seed or nonce are no bytes.
        ValueError: an argument is out of range or has the wrong length.
    """
    ring, n, offset = _resolve(bits, modulus), whole(n, "n"), whole(offset, "offset")
    _check_slice(n, offset)
    out = np.empty(n, dtype(ring))
    _kernels.expand(out, _octets(seed, "seed", SEED_BYTES), ring, _octets(nonce, "nonce", NONCE_BYTES), offset)
    return out


def mask_sum(
    acc: Buffer,
    seeds: ArrayLike | Buffer,
    signs: ArrayLike | Buffer,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes | Buffer = ZERO_NONCE,
    offset: int = 0,
    threads: int = 1,
) -> None:
    """Add signs[j] * PRG(seeds[j])[offset : offset + n] mod R to acc for every j, in place.

    These are the sums of Fig. 4: a user's y_u in round 2, and the masks that the server removes in round 4. The time
    does not depend on the contents of acc and seeds.

    Args:
        acc: dtype(R)[n], every element below R; it is changed.
        seeds: uint8[k, 16], or the same bytes in a row, as a `bytearray` has them.
        signs: int8[k], each 1 or -1. Seeds and signs may also be lists, or arrays of other integers, which are copied.
        bits: R = 2**bits, 1 .. 64; None if modulus is given.
        modulus: R, 2 .. 2**64; None if bits is given.
        nonce: 12 bytes, the upper part of the first counter block.
        offset: index of acc[0] in the mask, 0 .. 2**64 - 1.
        threads: how many threads share the work, each with a range of acc; 1 or more.

    Raises:
        TypeError: both or neither of bits and modulus are given, or the items of a buffer have another type.
        ValueError: an argument has the wrong shape or range, or acc is read-only or not C-contiguous.
    """
    ring, prefix = _resolve(bits, modulus), _octets(nonce, "nonce", NONCE_BYTES)
    offset, threads = whole(offset, "offset"), whole(threads, "threads")
    vector = buffer(acc, "acc", dtype(ring), writable=True)
    _check_slice(vector.size, offset)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    keys = _numbers(seeds, "seeds", OCTET, _SEEDS)
    directions = _numbers(signs, "signs", _SIGN, keys.shape[:1])

    def add_range(elements: slice) -> None:
        _kernels.mask_sum(vector[elements], keys, directions, ring, prefix, offset + elements.start)

    over_ranges(add_range, vector.size, threads)


def mask_add(
    acc: Buffer,
    seed: bytes | Buffer,
    sign: int = 1,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes | Buffer = ZERO_NONCE,
    offset: int = 0,
    threads: int = 1,
) -> None:
    """Add sign * PRG(seed)[offset : offset + n] mod R to acc, in place: `mask_sum` for one seed.

    Args:
        acc: dtype(R)[n], every element below R; it is changed.
        seed: 16 bytes.
        sign: 1 or -1.
        bits: R = 2**bits, 1 .. 64; None if modulus is given.
        modulus: R, 2 .. 2**64; None if bits is given.
        nonce: 12 bytes, the upper part of the first counter block.
        offset: index of acc[0] in the mask, 0 .. 2**64 - 1.
        threads: how many threads share the work, each with a range of acc; 1 or more.

    Raises:
        TypeError: as for `mask_sum`.
        ValueError: as for `mask_sum`.
    """
    seeds = buffer(seed, "seed", OCTET, (SEED_BYTES,)).reshape(1, SEED_BYTES)
    sign = whole(sign, "sign")
    if sign not in (1, -1):
        raise ValueError(f"sign must be 1 or -1, got {sign}")
    signs = np.array([sign], _SIGN)
    mask_sum(acc, seeds, signs, bits=bits, modulus=modulus, nonce=nonce, offset=offset, threads=threads)
