"""The same work, or the part of it that cannot be avoided, by libraries that people use today."""

from collections.abc import Callable, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from secagg.primitives import KeyPair, PublicKey

from .paired import Baseline, Unit, gb_per_second

CHUNK = 256 * 1024
SECRETS = bytes.fromhex("a5" * 32), bytes.fromhex("5a" * 32)


def keystream_run(size: int) -> tuple[Callable[[], None], int]:
    """OpenSSL's AES-128-CTR at its fastest through `cryptography`: one encryptor, update_into of 256 KB. Returns how
    many bytes a run makes: `size`, in whole chunks."""
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.CTR(bytes(16))).encryptor()
    zeros, out = bytes(CHUNK), bytearray(CHUNK + 15)
    chunks = max(1, size // CHUNK)

    def run() -> None:
        for _ in range(chunks):
            encryptor.update_into(zeros, out)

    return run, chunks * CHUNK


def openssl_keystream(size: int) -> Baseline:
    run, made = keystream_run(size)
    return Baseline("OpenSSL AES-128-CTR", run, gb_per_second(made), parts=size / made)


def openssl_public_key(x: bytes) -> PublicKey:
    """The point with this x-coordinate and even y, lifted by OpenSSL."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x02" + x)


def openssl_exchanges(count: int) -> Baseline:
    """P-256 exchanges with points that are loaded already."""
    pair, other = (KeyPair.from_secret(secret) for secret in SECRETS)
    public = openssl_public_key(other.public)

    def run() -> None:
        for _ in range(count):
            pair.agree(public)

    return Baseline("OpenSSL P-256 exchanges", run, Unit("us each", 1e6 / count))


def openssl_x25519(count: int) -> Baseline:
    """X25519 exchanges with public keys that are loaded already."""
    private = X25519PrivateKey.from_private_bytes(SECRETS[0])
    public = X25519PrivateKey.from_private_bytes(SECRETS[1]).public_key()

    def run() -> None:
        for _ in range(count):
            private.exchange(public)

    return Baseline("OpenSSL X25519 exchanges", run, Unit("us each", 1e6 / count))


def openssl_pairs(publics: Sequence[bytes], pairs: int) -> Baseline:
    """Each public key loaded from its x-coordinate, and so many exchanges with them in turn."""
    pair = KeyPair.from_secret(SECRETS[0])

    def run() -> None:
        points = [openssl_public_key(x) for x in publics]
        for i in range(pairs):
            pair.agree(points[i % len(points)])

    return Baseline("OpenSSL P-256", run, Unit("us each", 1e6 / pairs))


def openssl_agreements(publics: Sequence[bytes], keys: int) -> Baseline:
    """Each public key loaded from its x-coordinate, and exchanged with so many private keys."""
    pair = KeyPair.from_secret(SECRETS[0])

    def run() -> None:
        for x in publics:
            public = openssl_public_key(x)
            for _ in range(keys):
                pair.agree(public)

    return Baseline("OpenSSL P-256", run, Unit("us each", 1e6 / (len(publics) * keys)))


def openssl_server(keys: int, keystream: int) -> Baseline:
    """What a server without dropouts cannot do without: loading public keys and expanding self masks."""
    x = KeyPair.from_secret(SECRETS[0]).public
    expand, _ = keystream_run(keystream)

    def run() -> None:
        for _ in range(keys):
            openssl_public_key(x)
        expand()

    return Baseline("OpenSSL loading keys, AES-128-CTR", run, Unit("ms", 1e3))


def numpy_copy(array: NDArray[np.generic]) -> Baseline:
    """memcpy of `array`."""
    out = np.empty_like(array)
    return Baseline("numpy copy", lambda: np.copyto(out, array), gb_per_second(array.nbytes))


def numpy_add(array: NDArray[np.generic]) -> Baseline:
    """Addition in place without any reduction, by memory touched once: the vector that is added."""
    acc = np.zeros_like(array)
    return Baseline("numpy +=", lambda: np.add(acc, array, out=acc), gb_per_second(array.nbytes))
