"""SIG for many messages: Ed25519 signatures (RFC 8032), each verified by itself, several of them at a time.

There is one predicate, that of `cryptography` and so of OpenSSL, whatever the CPU and however many signatures there
are: S is below the group's order L, and R is, byte for byte, the encoding of S B - H(R, A, M) A. No factor 8 is
multiplied in, and no two signatures meet in one equation: what a server takes, every client takes.
"""

from collections.abc import Sequence
from hashlib import sha512

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray

from . import _kernels
from .arguments import array, octets
from .codec import Octets

__all__ = ["KEY_BYTES", "SIGNATURE_BYTES", "are_keys", "verify", "verify_all"]

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_MANY = 4  # below it OpenSSL is as fast everywhere


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """SIG.ver: whether a signature is a key's signature of a message.

    Args:
        key: 32 bytes.
        signature: 64 bytes; one of another length is none.
        message: any bytes.

    Raises:
        ValueError: the key is not 32 bytes.
    """
    try:
        public = Ed25519PublicKey.from_public_bytes(octets(key, "key"))
        public.verify(octets(signature, "signature"), octets(message, "message"))
    except InvalidSignature:
        return False
    return True


def verify_all(keys: Octets, signatures: Octets, messages: Sequence[bytes]) -> NDArray[np.bool_]:
    """`verify` of k signatures, several at a time: with AVX2 in a quarter or a fifth of OpenSSL's time.

    Args:
        keys: uint8[k, 32].
        signatures: uint8[k, 64].
        messages: k, of any bytes.

    Returns:
        bool[k].

    Raises:
        ValueError: there is not one key and one signature for each message.
    """
    keys, signatures = array(keys, "keys"), array(signatures, "signatures")
    texts = [octets(message, "a message") for message in messages]
    if keys.shape != (len(texts), KEY_BYTES) or signatures.shape != (len(texts), SIGNATURE_BYTES):
        raise ValueError(f"{len(texts)} messages take keys of shape [k, 32] and signatures of shape [k, 64]")
    rows = zip(map(bytes, keys), map(bytes, signatures), texts, strict=True)
    if len(texts) < _MANY:
        return np.array([verify(*row) for row in rows], bool)
    hashed = b"".join(sha512(signature[:32] + key + text).digest() for key, signature, text in rows)
    valid, hashes = np.zeros(len(texts), np.uint8), np.frombuffer(hashed, np.uint8).reshape(-1, 64)
    _kernels.ed25519_verify(valid, np.ascontiguousarray(keys), np.ascontiguousarray(signatures), hashes)
    return valid.astype(bool)


def are_keys(keys: Octets) -> NDArray[np.bool_]:
    """Which of these a private key can belong to: those that encode, canonically, a point of the base point's order.

    `cryptography` takes any 32 bytes. Under a key of small order, signatures can be made without a private key. Under
    one of mixed order, libraries differ on which signatures are valid.

    Args:
        keys: uint8[k, 32].

    Returns:
        bool[k].
    """
    keys = np.ascontiguousarray(array(keys, "keys"))
    valid = np.zeros(len(keys), np.uint8)
    _kernels.ed25519_check_keys(valid, keys)
    return valid.astype(bool)
