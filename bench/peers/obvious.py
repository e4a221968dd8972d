"""What one writes in an afternoon with numpy and pycryptodome.

AES-128-CTR, four bytes an entry; pycryptodome's Shamir over GF(2^128), a secret of 32 bytes in two halves; P-256 and
HKDF-SHA256; AES-GCM for shares.
"""

from typing import Any

import numpy as np
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol import DH
from Crypto.Protocol.KDF import HKDF
from Crypto.Protocol.SecretSharing import Shamir
from Crypto.PublicKey import ECC
from Crypto.PublicKey.ECC import EccKey
from Crypto.Random import get_random_bytes
from numpy.typing import NDArray

from .work import MODULUS, SECRET_BYTES, Setting, Work

Share = tuple[int, bytes]
Vector = NDArray[np.uint32]
HALF = 16


def expand(seed: bytes, m: int) -> Vector:
    keystream = AES.new(seed, AES.MODE_CTR, nonce=b"").encrypt(bytes(4 * m))
    return np.frombuffer(keystream, "<u4") & np.uint32(MODULUS - 1)


def split(t: int, n: int, secret: bytes) -> list[list[Share]]:
    """For each half of the secret, a share for each user."""
    return [Shamir.split(t, n, secret[i : i + HALF]) for i in range(0, SECRET_BYTES, HALF)]


def combine(halves: list[list[Share]]) -> bytes:
    return b"".join(Shamir.combine(shares) for shares in halves)


def private_key(secret: bytes) -> EccKey:
    return ECC.construct(curve="P-256", d=int.from_bytes(secret, "big"))


def public_key(private: EccKey) -> bytes:
    encoded: bytes = private.public_key().export_key(format="SEC1")
    return encoded


def derive(agreed: bytes) -> bytes:
    key: bytes = HKDF(agreed, 16, b"", SHA256)
    return key


def agree(private: EccKey, public: bytes) -> bytes:
    other = ECC.import_key(public, curve_name="P-256")
    return DH.key_agreement(static_priv=private, static_pub=other, kdf=derive)


def seal(key: bytes, plaintext: bytes) -> list[bytes]:
    cipher = AES.new(key, AES.MODE_GCM)
    return [cipher.nonce, *cipher.encrypt_and_digest(plaintext)]


def unseal(key: bytes, nonce: bytes, ciphertext: bytes, tag: bytes) -> bytes:
    return AES.new(key, AES.MODE_GCM, nonce).decrypt_and_verify(ciphertext, tag)


class Obvious:
    """`prepare`s and `run`s of each case of `bench.peers`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._private = [private_key(i.to_bytes(SECRET_BYTES, "big")) for i in range(1, setting.n + 1)]
        self._public = [public_key(private) for private in self._private]

    def mask(self) -> Work:
        return Work(lambda _: expand(bytes(16), self._setting.m))

    def masks(self) -> Work:
        seeds = [get_random_bytes(16) for _ in range(self._setting.masks)]

        def run(_: object) -> Vector:
            acc = np.zeros(self._setting.m, np.uint32)
            for seed in seeds:
                acc += expand(seed, self._setting.m)
            return acc & np.uint32(MODULUS - 1)

        return Work(run)

    def share(self) -> Work:
        return Work(lambda _: split(self._setting.params.t, self._setting.n, bytes(SECRET_BYTES)))

    def reconstruct(self) -> Work:
        """The first survivor's secret alone."""
        secret = get_random_bytes(SECRET_BYTES)
        shares = self._shares(secret)
        return Work(lambda _: combine(shares), parts=len(self._setting.survivors), check=lambda found: found == secret)

    def agree(self) -> Work:
        own, *_ = self._private
        return Work(lambda _: [agree(own, public) for public in self._public[1:]])

    def client(self) -> Work:
        n, m, t = self._setting.n, self._setting.m, self._setting.params.t
        own, *_ = self._private
        x = self._setting.total.astype(np.uint32)

        def run(_: object) -> Vector:
            b = get_random_bytes(SECRET_BYTES)
            halves = split(t, n, b) + split(t, n, int(own.d).to_bytes(SECRET_BYTES, "big"))
            shares = [b"".join(share for _, share in users) for users in zip(*halves, strict=True)]
            keys = [agree(own, public) for public in self._public[1:]]
            sealed = [seal(key, share) for key, share in zip(keys, shares[1:], strict=True)]
            for key, received in zip(keys, sealed, strict=True):  # as costly as those of the others
                unseal(key, *received)
            y: Vector = x + expand(derive(b), m)
            for public in self._public[1:]:
                y -= expand(agree(own, public), m)
            return y & np.uint32(MODULUS - 1)

        return Work(run)

    def unmask(self) -> Work:
        setting = self._setting
        v, users = setting.slice_of_users
        b = {u: get_random_bytes(SECRET_BYTES) for u in users}
        shares = {u: self._shares(secret) for u, secret in b.items()}
        key_shares = self._shares(int(self._private[v - 1].d).to_bytes(SECRET_BYTES, "big"))
        masked: Vector = setting.total.astype(np.uint32)
        for secret in b.values():
            masked += expand(derive(secret), setting.m)
        for u in setting.survivors:
            masked += expand(agree(self._private[u - 1], self._public[v - 1]), setting.m)

        def run(_: object) -> Vector:
            acc = masked.copy()
            for halves in shares.values():
                acc -= expand(derive(combine(halves)), setting.m)
            dropped = private_key(combine(key_shares))
            for u in setting.survivors:
                acc -= expand(agree(dropped, self._public[u - 1]), setting.m)
            acc &= np.uint32(MODULUS - 1)
            return acc

        def is_right(found: Any) -> bool:
            return np.array_equal(found, setting.total)

        return Work(run, parts=setting.dropped, check=is_right)

    def _shares(self, secret: bytes) -> list[list[Share]]:
        """Those of t survivors, on lines: reconstruction costs the same whatever the degree, but sharing less."""
        chosen = slice(self._setting.dropped, self._setting.dropped + self._setting.params.t)
        return [shares[chosen] for shares in split(2, self._setting.n, secret)]
