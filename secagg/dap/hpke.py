"""HPKE (RFC 9180) in base mode, one message a key, with one suite: X25519, HKDF-SHA256 and AES-128-GCM.

An opening is one X25519 exchange and little else. `cryptography` holds the GIL meanwhile: more threads gain nothing,
more processes do.
"""

import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import LocalProtocolError, SecAggError, require

Rand = Callable[[int], bytes]  # that many random bytes

KEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM = 0x0020, 0x0001, 0x0001  # RFC 9180, section 7
KEY_BYTES = 32  # of a private key, a public key and an encapsulated key: Nsk, Npk and Nenc
ENC_BYTES_MAX = 1 << 11  # of an encapsulated key of any KEM: P-521's has 133 bytes, X-Wing's 1,120
TAG_BYTES = 16  # by which a ciphertext is longer than its plaintext: Nt

_SUITE = (KEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM)
_KEM_LABEL = b"HPKE-v1" + b"KEM" + _SUITE[0].to_bytes(2, "big")
_HPKE_LABEL = b"HPKE-v1" + b"HPKE" + b"".join(identifier.to_bytes(2, "big") for identifier in _SUITE)
_MODE_BASE = b"\0"


class HpkeError(SecAggError):
    """A ciphertext cannot be opened, or a configuration asks for another suite than ours.

    The message says nothing about the plaintext.
    """


def check_suite(kem_id: int, kdf_id: int, aead_id: int) -> None:
    """Check that an HpkeConfig is of our suite.

    Args:
        kem_id: of the configuration.
        kdf_id: of the configuration.
        aead_id: of the configuration.

    Raises:
        HpkeError: it is of another suite.
    """
    if (kem_id, kdf_id, aead_id) != _SUITE:
        raise HpkeError(
            f"HPKE suite KEM {kem_id:#06x}, KDF {kdf_id:#06x}, AEAD {aead_id:#06x} is not supported: use "
            "DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-128-GCM 0x0001"
        )


@dataclass(frozen=True)
class PrivateKey:
    """A recipient's key pair, kept parsed. Its text, equality and hash are those of its public key.

    Attributes:
        public_bytes: the public key, 32 bytes.
    """

    _key: X25519PrivateKey = field(repr=False, compare=False)
    public_bytes: bytes

    @classmethod
    def generate(cls, rand: Rand = os.urandom) -> Self:
        """A new key pair.

        Args:
            rand: cryptographic randomness; 32 bytes of it are the private key as they are.
        """
        return cls.from_bytes(rand(KEY_BYTES))

    @classmethod
    def from_bytes(cls, private_bytes: bytes) -> Self:
        """The key pair of a private key.

        Args:
            private_bytes: 32 bytes, secret.

        Raises:
            LocalProtocolError: there are not 32 bytes.
        """
        require(len(private_bytes) == KEY_BYTES, f"an X25519 private key must have 32 bytes, got {len(private_bytes)}")
        key = X25519PrivateKey.from_private_bytes(private_bytes)
        return cls(key, key.public_key().public_bytes_raw())

    @property
    def private_bytes(self) -> bytes:
        """The private key, 32 bytes, secret."""
        return self._key.private_bytes_raw()

    def open(self, enc: bytes, info: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """OpenBase: the plaintext, TAG_BYTES shorter than the ciphertext (RFC 9180, section 6.1).

        Args:
            enc: the encapsulated key.
            info: the application's context.
            aad: the data that the ciphertext is bound to.
            ciphertext: what was sealed.

        Raises:
            HpkeError: `enc` is no public key, or the ciphertext was not sealed to this key with these `info` and `aad`.
        """
        plaintext = self._open(enc, _context(info), aad, ciphertext)
        if plaintext is None:
            raise HpkeError("HPKE ciphertext does not open: it was altered, or sealed to another key, info or aad")
        return plaintext

    def open_batch(
        self, encs: Sequence[bytes], info: bytes, aads: Sequence[bytes], ciphertexts: Sequence[bytes]
    ) -> list[bytes | None]:
        """`open` on many ciphertexts with the same `info`; None in place of each that does not open.

        Args:
            encs: the encapsulated keys.
            info: the application's context.
            aads: the data that each ciphertext is bound to.
            ciphertexts: what was sealed.

        Raises:
            LocalProtocolError: the sequences' lengths differ.
        """
        require(len(encs) == len(aads) == len(ciphertexts), "encs, aads and ciphertexts must have the same length")
        context = _context(info)
        messages = zip(encs, aads, ciphertexts, strict=True)
        return [self._open(enc, context, aad, ciphertext) for enc, aad, ciphertext in messages]

    def _open(self, enc: bytes, context: bytes, aad: bytes, ciphertext: bytes) -> bytes | None:
        try:
            dh = self._key.exchange(X25519PublicKey.from_public_bytes(enc))
        except ValueError:  # not 32 bytes, or a point of small order, with which every exchange gives zeros
            return None
        aead, nonce = _key_schedule(dh, enc + self.public_bytes, context)
        try:
            return aead.decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            return None


def seal(
    public_key: bytes, info: bytes, aad: bytes, plaintext: bytes, *, rand: Rand = os.urandom
) -> tuple[bytes, bytes]:
    """SealBase: the encapsulated key, 32 bytes, and the ciphertext, TAG_BYTES longer than the plaintext (RFC 9180,
    6.1).

    Args:
        public_key: the recipient's, 32 bytes.
        info: the application's context.
        aad: the data that the ciphertext is bound to.
        plaintext: what to seal.
        rand: cryptographic randomness; 32 bytes of it are the ephemeral private key as they are (RFC 9180's vectors
            derive theirs, skEm, from ikmE). The same bytes for two plaintexts would give both away.

    Raises:
        LocalProtocolError: `public_key` is no X25519 key, or one of small order.
    """
    return seal_batch(public_key, info, [aad], [plaintext], rand=rand)[0]


def seal_batch(
    public_key: bytes, info: bytes, aads: Sequence[bytes], plaintexts: Sequence[bytes], *, rand: Rand = os.urandom
) -> list[tuple[bytes, bytes]]:
    """`seal` of each plaintext with its aad, each under an ephemeral key of its own.

    Args:
        public_key: the recipient's, 32 bytes.
        info: the application's context.
        aads: the data that each ciphertext is bound to.
        plaintexts: what to seal.
        rand: cryptographic randomness; see `seal`.

    Raises:
        LocalProtocolError: `public_key` is no X25519 key, or one of small order; or the sequences' lengths differ.
    """
    require(len(public_key) == KEY_BYTES, f"an X25519 public key must have 32 bytes, got {len(public_key)}")
    require(len(aads) == len(plaintexts), "aads and plaintexts must have the same length")
    recipient, context, sealed = X25519PublicKey.from_public_bytes(public_key), _context(info), []
    for aad, plaintext in zip(aads, plaintexts, strict=True):
        ephemeral = PrivateKey.generate(rand)
        try:
            dh = ephemeral._key.exchange(recipient)
        except ValueError:
            raise LocalProtocolError("the X25519 public key is a point of small order: use another key") from None
        aead, nonce = _key_schedule(dh, ephemeral.public_bytes + public_key, context)
        sealed.append((ephemeral.public_bytes, aead.encrypt(nonce, plaintext, aad)))
    return sealed


def _key_schedule(dh: bytes, kem_context: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    """The cipher and the nonce of the first message (sections 4.1 and 5.1); there is no second."""
    prk = _extract(b"", _KEM_LABEL, b"eae_prk", dh)
    shared_secret = _expand(prk, _KEM_LABEL, b"shared_secret", kem_context, 32)
    secret = _extract(shared_secret, _HPKE_LABEL, b"secret", b"")
    key = _expand(secret, _HPKE_LABEL, b"key", context, 16)
    return AESGCM(key), _expand(secret, _HPKE_LABEL, b"base_nonce", context, 12)


@lru_cache(maxsize=64)  # a deployment has a handful of info strings
def _context(info: bytes) -> bytes:
    """The key schedule's context, which depends on `info` only."""
    hashes = (_extract(b"", _HPKE_LABEL, label, ikm) for label, ikm in ((b"psk_id_hash", b""), (b"info_hash", info)))
    return b"".join((_MODE_BASE, *hashes))


def _extract(salt: bytes, suite: bytes, label: bytes, ikm: bytes) -> bytes:
    """LabeledExtract."""
    return hmac.digest(salt, suite + label + ikm, "sha256")


def _expand(prk: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand of up to 32 bytes, for which one block of HKDF is enough."""
    return hmac.digest(prk, length.to_bytes(2, "big") + suite + label + info + b"\1", "sha256")[:length]
