"""Shamir's t-out-of-n secret sharing over Z_q (the paper's section 3.1), many secrets at a time.

A scalar is an element of Z_q in 32 big-endian bytes. q is the order of the P-256 group, so that a secret key of that
group is itself a scalar. x-coordinates are user ids: they are public, distinct and never 0.

As in `secagg.vector`, arrays may be any buffers, which are read where they lie. One that is no array of numpy, such as
a `bytearray`, may have all its bytes in a row where several axes are wanted.
"""

import os
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy import uint8, uint32
from numpy.typing import NDArray

from secagg import _kernels
from secagg.arguments import Buffer, buffer, view, whole

__all__ = [
    "SCALAR_BYTES",
    "Q",
    "RandomBytes",
    "in_field",
    "lagrange",
    "random_scalars",
    "reconstruct",
    "reconstruct_each",
    "share",
]

Q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SCALAR_BYTES = 32

RandomBytes = Callable[[int], bytes]
"""A source of random bytes, such as `os.urandom`: called with k, it returns k uniform bytes."""

_OCTET, _X = np.dtype(uint8), np.dtype(uint32)
_Q_WORDS = np.frombuffer(Q.to_bytes(SCALAR_BYTES, "big"), ">u8")


def random_scalars(n: int, rand: RandomBytes = os.urandom) -> NDArray[uint8]:
    """n scalars, uniform in Z_q.

    Args:
        n: how many scalars.
        rand: source of random bytes; rand(k) returns k uniform bytes.

    Returns:
        uint8[n, 32].

    Raises:
        ValueError: rand returned another number of bytes.
    """
    scalars = _draw(whole(n, "n"), rand)
    rejected = np.flatnonzero(_not_below_q(scalars))
    while rejected.size:
        scalars[rejected] = _draw(rejected.size, rand)
        rejected = rejected[_not_below_q(scalars[rejected])]
    return scalars


def in_field(scalars: Buffer) -> bool:
    """Whether all scalars are below q. Nothing else about them is revealed, and the time does not depend on them.

    Args:
        scalars: uint8[..., 32].
    """
    axes = view(scalars, "scalars").shape[:-1] if isinstance(scalars, np.ndarray) else ("n",)
    return _all_below_q(buffer(scalars, "scalars", _OCTET, (*axes, SCALAR_BYTES)))


def share(secrets: Buffer, t: int, xs: Buffer, *, rand: RandomBytes = os.urandom) -> NDArray[uint8]:
    """Split each secret into one share per x-coordinate; any t shares determine it (SS.share, section 3.1).

    The polynomials are independent and uniform among those of degree below t. The highest coefficient may be 0: if it
    could not, t - 1 holders together would learn one value that the secret does not have.

    Args:
        secrets: uint8[s, 32], each below q.
        t: threshold, 1 <= t <= n.
        xs: uint32[n], distinct and non-zero.
        rand: source of random bytes; rand(k) returns k uniform bytes.

    Returns:
        uint8[n, s, 32]: row i holds what the user with x-coordinate xs[i] gets, one share of each secret.

    Raises:
        TypeError: the items of a buffer have another type.
        ValueError: an argument has another shape or range.
    """
    scalars = _scalars(secrets, "secrets", "s")
    coordinates, t = _coordinates(xs), whole(t, "t")
    if not 1 <= t <= coordinates.size:
        raise ValueError(f"threshold t must be 1 .. n = {coordinates.size}, got {t}")
    s = len(scalars)
    shares = np.zeros((coordinates.size, s, SCALAR_BYTES), uint8)
    if s:
        coefficients = random_scalars(s * (t - 1), rand).reshape(s, t - 1, SCALAR_BYTES)
        _kernels.shamir_share(shares, scalars, coefficients, coordinates)
    return shares


def lagrange(xs: Buffer) -> NDArray[uint8]:
    """Lagrange's basis polynomials for xs, evaluated at 0; the latest few sets of x-coordinates are remembered.

    The cache is what makes reconstructing n secrets cost O(t^2 + nt) instead of O(n t^2) (section 7.2).

    Args:
        xs: uint32[t], distinct and non-zero.

    Returns:
        uint8[t, 32], read-only: the product over j != i of xs[j] / (xs[j] - xs[i]) for each i.

    Raises:
        TypeError: the items of xs have another type.
        ValueError: xs has another shape, is empty, or holds a zero or a duplicate.
    """
    return _lagrange(_coordinates(xs).tobytes())


def reconstruct(shares: Buffer, xs: Buffer) -> NDArray[uint8]:
    """Recover secrets from shares (SS.recon, section 3.1; many at once as in section 7.2).

    Any number of shares that is not below the threshold is enough. With fewer shares, or with a wrong one, the result
    is a wrong scalar and not an error, because shares alone do not show it.

    Args:
        shares: uint8[t, s, 32], each below q; row i belongs to xs[i].
        xs: uint32[t], distinct and non-zero.

    Returns:
        uint8[s, 32].

    Raises:
        TypeError: the items of a buffer have another type.
        ValueError: an argument has another shape or range.
    """
    coefficients = lagrange(xs)
    scalars = _scalars(shares, "shares", len(coefficients), "s")
    secrets = np.zeros(scalars.shape[1:], uint8)
    if secrets.size:
        _kernels.shamir_combine(secrets, coefficients, scalars)
    return secrets


def reconstruct_each(shares: Buffer, xs: Buffer, t: int) -> NDArray[uint8]:
    """Recover secrets of which each one has x-coordinates of its own, as in a sparse graph.

    Each is what `reconstruct` gives for its row. All rows share a few inversions, so that s secrets cost O(s t^2) steps
    on small numbers.

    Args:
        shares: uint8[s, t, 32], each below q; item [j, i] is secret j's share at xs[j, i].
        xs: uint32[s, t], non-zero, and distinct in each row.
        t: how many shares there are of each secret, 1 or more.

    Returns:
        uint8[s, 32].

    Raises:
        TypeError: the items of a buffer have another type.
        ValueError: an argument has another shape or range.
    """
    t = whole(t, "t")
    if t < 1:
        raise ValueError(f"threshold t must be at least 1, got {t}")
    scalars = _scalars(shares, "shares", "s", t)
    coordinates = buffer(xs, "xs", _X, (len(scalars), t))
    _check_rows(coordinates)
    secrets = np.zeros((len(scalars), SCALAR_BYTES), uint8)
    if secrets.size:
        _kernels.shamir_reconstruct(secrets, coordinates, scalars)
    return secrets


@lru_cache(maxsize=8)
def _lagrange(xs: bytes) -> NDArray[uint8]:
    coordinates = np.frombuffer(xs, uint32)
    coefficients = np.empty((coordinates.size, SCALAR_BYTES), uint8)
    _kernels.shamir_lagrange(coefficients, coordinates)
    coefficients.setflags(write=False)
    return coefficients


def _draw(n: int, rand: RandomBytes) -> NDArray[uint8]:
    drawn = rand(n * SCALAR_BYTES)
    if len(drawn) != n * SCALAR_BYTES:
        raise ValueError(f"rand returned {len(drawn)} bytes where {n * SCALAR_BYTES} were asked for")
    return np.frombuffer(drawn, uint8).reshape(n, SCALAR_BYTES).copy()


def _not_below_q(scalars: NDArray[uint8]) -> NDArray[np.bool_]:
    words = scalars.view(">u8")
    exceeds = np.ones(len(words), np.bool_)
    for word, q_word in zip(words.T[::-1], _Q_WORDS[::-1], strict=True):
        exceeds = (word > q_word) | (word == q_word) & exceeds
    return exceeds


def _all_below_q(scalars: NDArray[uint8]) -> bool:
    return bool(_kernels.scalars_check(scalars.reshape(-1, SCALAR_BYTES)))


def _scalars(values: Buffer, name: str, *shape: int | str) -> NDArray[uint8]:
    scalars = buffer(values, name, _OCTET, (*shape, SCALAR_BYTES))
    if not _all_below_q(scalars):
        raise ValueError(f"{name} must be below q, the order of the P-256 group")
    return scalars


def _coordinates(values: Buffer) -> NDArray[uint32]:
    xs = buffer(values, "xs", _X)
    if xs.size == 0:
        raise ValueError("there must be at least one x-coordinate")
    _check_rows(xs[np.newaxis])
    return xs


def _check_rows(xs: NDArray[uint32]) -> None:
    if not xs.all():
        raise ValueError("x-coordinates must not be 0: the value there is the secret")
    ascending = np.sort(xs, axis=1)
    if np.any(ascending[:, 1:] == ascending[:, :-1]):
        raise ValueError("x-coordinates must be distinct")
