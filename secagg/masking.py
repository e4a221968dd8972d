"""Masks: AES-128 in counter mode, expanded to vectors mod R and added up without being stored.

Section 7.3 of the paper expands every mask with AES-CTR. Keystream block i of a seed is AES-128 of the 128-bit
big-endian number (nonce || 0^32) + i, with the seed as key. For R = 2^b, element i of the mask is the w = ceil(b / 8)
little-endian bytes at w * i, mod 2^b. For any other R it is (X * R) >> 128, where X is the 16 little-endian bytes at
16 * i. So any AES-CTR library can reproduce a mask, and any slice of it can be expanded alone.

All functions take either `bits` (R = 2**bits, 1 .. 64) or `modulus` (R, 2 .. 2**64). Vectors mod R are uint32 if
R <= 2**32, else uint64.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import _kernels
from secagg.arguments import array, octets, whole
from secagg.vector import dtype, over_ranges, require_vectors

__all__ = ["NONCE_BYTES", "SEED_BYTES", "ZERO_NONCE", "expand", "mask_add", "mask_sum"]

SEED_BYTES = 16
NONCE_BYTES = 12
ZERO_NONCE = bytes(NONCE_BYTES)


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


def _exactly(values: ArrayLike, name: str, kind: type[np.generic], ndim: int) -> NDArray[Any]:
    """The same values as a contiguous array of this dtype, without a copy if they are one already."""
    given = array(values, name)
    if given.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {given.shape}")
    exact = np.ascontiguousarray(given.astype(kind, copy=False))
    if given.dtype != kind and not np.array_equal(exact, given):
        raise ValueError(f"{name} must fit {np.dtype(kind)}")
    return exact


def expand(
    n: int,
    seed: bytes,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes = ZERO_NONCE,
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
        TypeError: both or neither of bits and modulus are given.
        ValueError: an argument is out of range or has the wrong length.
    """
    ring, n, offset = _resolve(bits, modulus), whole(n, "n"), whole(offset, "offset")
    _check_slice(n, offset)
    out = np.empty(n, dtype(ring))
    _kernels.expand(out, octets(seed, "seed"), ring, octets(nonce, "nonce"), offset)
    return out


def mask_sum(
    acc: NDArray[Any],
    seeds: ArrayLike,
    signs: ArrayLike,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes = ZERO_NONCE,
    offset: int = 0,
    threads: int = 1,
) -> None:
    """Add signs[j] * PRG(seeds[j])[offset : offset + n] mod R to acc for every j, in place.

    These are the sums of Fig. 4: a user's y_u in round 2, and the masks that the server removes in round 4. The time
    does not depend on the contents of acc and seeds.

    Args:
        acc: dtype(R)[n], contiguous, every element below R.
        seeds: uint8[k, 16].
        signs: int8[k], each 1 or -1.
        bits: R = 2**bits, 1 .. 64; None if modulus is given.
        modulus: R, 2 .. 2**64; None if bits is given.
        nonce: 12 bytes, the upper part of the first counter block.
        offset: index of acc[0] in the mask, 0 .. 2**64 - 1.
        threads: how many threads share the work, each with a range of acc; 1 or more.

    Raises:
        TypeError: both or neither of bits and modulus are given, or acc has another dtype.
        ValueError: an argument has the wrong shape or range, or acc is read-only or not contiguous.
    """
    ring, nonce = _resolve(bits, modulus), octets(nonce, "nonce")
    offset, threads = whole(offset, "offset"), whole(threads, "threads")
    require_vectors(ring, acc)
    _check_slice(len(acc), offset)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    keys = _exactly(seeds, "seeds", np.uint8, 2)
    directions = _exactly(signs, "signs", np.int8, 1)

    def add_range(elements: slice) -> None:
        _kernels.mask_sum(acc[elements], keys, directions, ring, nonce, offset + elements.start)

    over_ranges(add_range, len(acc), threads)


def mask_add(
    acc: NDArray[Any],
    seed: bytes,
    sign: int = 1,
    *,
    bits: int | None = None,
    modulus: int | None = None,
    nonce: bytes = ZERO_NONCE,
    offset: int = 0,
    threads: int = 1,
) -> None:
    """Add sign * PRG(seed)[offset : offset + n] mod R to acc, in place: `mask_sum` for one seed.

    Args:
        acc: dtype(R)[n], contiguous, every element below R.
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
    seeds = np.frombuffer(octets(seed, "seed"), np.uint8).reshape(1, -1)
    mask_sum(acc, seeds, [whole(sign, "sign")], bits=bits, modulus=modulus, nonce=nonce, offset=offset, threads=threads)
