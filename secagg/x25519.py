"""X25519 (RFC 7748) of many private and public keys in one call, in time that depends on neither.

A kernel of csrc/agreement makes 4 or 8 of them at a time, where `secagg.live_keys` says so, and OpenSSL the others.
"""

import hashlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from numpy.typing import NDArray

from . import _kernels
from .arguments import array, whole
from .codec import Octets
from .live_keys import LiveKernel

__all__ = ["KEY_BYTES", "LIVE", "exchange_all", "pays", "public_keys"]

KEY_BYTES = 32

_MANY = 3  # 4 or 8 exchanges take the kernels as long as OpenSSL takes for 2
_BASE = np.frombuffer(bytes([9]).ljust(KEY_BYTES, b"\0"), np.uint8).reshape(1, KEY_BYTES)


def exchange_all(secrets: Octets, publics: Octets) -> tuple[Octets, NDArray[np.bool_]]:
    """What private keys agree on with public keys, each with the one in its row; a single row stands for all.

    Args:
        secrets: uint8[k, 32] or uint8[1, 32], private keys: any bytes.
        publics: uint8[k, 32] or uint8[1, 32], u-coordinates: any bytes, those that are not below p and those with the
            highest bit set among them (RFC 7748, section 5).

    Returns:
        uint8[k, 32], and bool[k]: False where that is all zeros, as of a public key of small order. Nothing may be
        derived from such a row (section 6.1).

    Raises:
        ValueError: the shapes are others.
    """
    secrets, publics = array(secrets, "secrets"), array(publics, "publics")
    k = len(publics) if len(secrets) == 1 else len(secrets)
    shapes = {secrets.shape, publics.shape}
    if not shapes <= {(k, KEY_BYTES), (1, KEY_BYTES)}:
        raise ValueError("keys must have shapes [k, 32] or [1, 32]")
    agreed, valid = np.zeros((k, KEY_BYTES), np.uint8), np.zeros(k, np.uint8)
    if pays(k):
        _kernels.x25519_exchange(agreed, valid, np.ascontiguousarray(secrets), np.ascontiguousarray(publics))
    elif k:
        _by_openssl(agreed, valid, secrets, publics)
    return agreed, valid.astype(bool)


def public_keys(secrets: Octets) -> Octets:
    """The public key of each private key.

    Args:
        secrets: uint8[k, 32], any bytes.

    Returns:
        uint8[k, 32].
    """
    return exchange_all(array(secrets, "secrets"), np.repeat(_BASE, len(secrets), axis=0))[0]


def pays(k: int) -> bool:
    """Whether the kernel is in use, and makes k exchanges sooner than OpenSSL does.

    Args:
        k: how many.
    """
    return whole(k, "k") >= _MANY and LIVE.in_use


def _by_openssl(agreed: Octets, valid: NDArray[np.uint8], secrets: Octets, publics: Octets) -> None:
    """One at a time. A private key that stands for all is parsed once: that takes as long as an exchange."""
    private = [X25519PrivateKey.from_private_bytes(bytes(secret)) for secret in secrets]
    public = [X25519PublicKey.from_public_bytes(bytes(u)) for u in publics]
    for i in range(len(agreed)):
        try:
            made = private[i % len(private)].exchange(public[i % len(public)])
        except ValueError:  # zeros
            continue
        agreed[i], valid[i] = np.frombuffer(made, np.uint8), 1


def _knows_its_answer() -> bool:
    """Whether the kernel makes of 17 private and public keys, in more lanes than one group has, what OpenSSL does, and
    zeros of one of small order."""
    drawn = np.frombuffer(hashlib.shake_128(b"X25519").digest(2 * 17 * KEY_BYTES), np.uint8).reshape(2, 17, -1).copy()
    secrets, publics = drawn
    publics[4] = 0
    agreed, valid = np.ones((17, KEY_BYTES), np.uint8), np.zeros(17, np.uint8)
    _kernels.x25519_exchange(agreed, valid, secrets, publics)
    return np.flatnonzero(valid == 0).tolist() == [4] and hashlib.sha256(agreed.tobytes()).hexdigest() == _ANSWER


_ANSWER = "8530f7f112c795faaa84872bfc790951e43335c5a05ef091e2005703fe076c06"

LIVE = LiveKernel("X25519", _knows_its_answer)
