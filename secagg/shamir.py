"""Shamir's t-out-of-n secret sharing over Z_q (the paper's section 3.1), many secrets at a time.

A scalar is an element of Z_q in 32 big-endian bytes. q is the order of the P-256 group, so that a secret key of that
group is itself a scalar. x-coordinates are user ids: they are public, distinct and never 0.
"""

import os
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy import uint8, uint32
from numpy.typing import NDArray

from secagg import _kernels
from secagg.arguments import array, whole

__all__ = [
    "SCALAR_BYTES",
    "Q",
    "RandomBytes",
    "in_field",
    "lagrange",
    "random_scalars",
    "reconstruct",
    "share",
]

Q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SCALAR_BYTES = 32

RandomBytes = Callable[[int], bytes]
"""A source of random bytes, such as `os.urandom`: called with k, it returns k uniform bytes."""

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


def in_field(scalars: NDArray[uint8]) -> bool:
    """Whether all scalars are below q. Nothing else about them is revealed, and the time does not depend on them.

    Args:
        scalars: uint8[..., 32].
    """
    return bool(_kernels.scalars_check(np.ascontiguousarray(array(scalars, "scalars")).reshape(-1, SCALAR_BYTES)))


def share(secrets: NDArray[uint8], t: int, xs: NDArray[uint32], *, rand: RandomBytes = os.urandom) -> NDArray[uint8]:
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
        ValueError: an argument has another type, shape or range.
    """
    secrets = _scalars("secrets", secrets, "[s, 32]")
    xs, t = _coordinates(xs), whole(t, "t")
    if not 1 <= t <= xs.size:
        raise ValueError(f"threshold t must be 1 .. n = {xs.size}, got {t}")
    s = secrets.shape[0]
    shares = np.zeros((xs.size, s, SCALAR_BYTES), uint8)
    if s:
        coefficients = random_scalars(s * (t - 1), rand).reshape(s, t - 1, SCALAR_BYTES)
        _kernels.shamir_share(shares, secrets, coefficients, xs)
    return shares


def lagrange(xs: NDArray[uint32]) -> NDArray[uint8]:
    """Lagrange's basis polynomials for xs, evaluated at 0; the latest few sets of x-coordinates are remembered.

    The cache is what makes reconstructing n secrets cost O(t^2 + nt) instead of O(n t^2) (section 7.2).

    Args:
        xs: uint32[t], distinct and non-zero.

    Returns:
        uint8[t, 32], read-only: the product over j != i of xs[j] / (xs[j] - xs[i]) for each i.

    Raises:
        ValueError: xs has another type or shape, is empty, or holds a zero or a duplicate.
    """
    return _lagrange(_coordinates(xs).tobytes())


def reconstruct(shares: NDArray[uint8], xs: NDArray[uint32]) -> NDArray[uint8]:
    """Recover secrets from shares (SS.recon, section 3.1; many at once as in section 7.2).

    Any number of shares that is not below the threshold is enough. With fewer shares, or with a wrong one, the result
    is a wrong scalar and not an error, because shares alone do not show it.

    Args:
        shares: uint8[t, s, 32], each below q; row i belongs to xs[i].
        xs: uint32[t], distinct and non-zero.

    Returns:
        uint8[s, 32].

    Raises:
        ValueError: an argument has another type, shape or range.
    """
    shares = _scalars("shares", shares, "[t, s, 32]")
    coefficients = lagrange(xs)
    if len(shares) != len(coefficients):
        raise ValueError(f"there are {len(shares)} rows of shares for {len(coefficients)} x-coordinates")
    secrets = np.zeros(shares.shape[1:], uint8)
    if secrets.size:
        _kernels.shamir_combine(secrets, coefficients, shares)
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


def _scalars(name: str, values: NDArray[uint8], shape: str) -> NDArray[uint8]:
    given = array(values, name)
    if given.dtype != uint8 or given.ndim != len(shape.split(",")) or given.shape[-1] != SCALAR_BYTES:
        raise ValueError(f"{name} must be uint8{shape}, got {given.dtype}{list(given.shape)}")
    scalars = np.ascontiguousarray(given)
    if not in_field(scalars):
        raise ValueError(f"{name} must be below q, the order of the P-256 group")
    return scalars


def _coordinates(xs: NDArray[uint32]) -> NDArray[uint32]:
    xs = array(xs, "xs")
    if xs.dtype != uint32 or xs.ndim != 1 or xs.size == 0:
        raise ValueError(f"x-coordinates must be a non-empty uint32[n], got {xs.dtype}{list(xs.shape)}")
    if not xs.all():
        raise ValueError("x-coordinates must not be 0: the value there is the secret")
    if np.unique(xs).size != xs.size:
        raise ValueError("x-coordinates must be distinct")
    return np.ascontiguousarray(xs)
