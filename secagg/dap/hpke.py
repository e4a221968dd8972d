"""HPKE (RFC 9180) in base mode, one message a key, with one suite: X25519, HKDF-SHA256 and AES-128-GCM.

An opening is one X25519 exchange and little else. Those of a batch are made several at a time by the kernels, where
they are in use (`secagg.x25519`), and so are the keys that follow from them; the GIL is free meanwhile. `cryptography`
makes single ones, and holds it.
"""

import hmac
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .. import _kernels, x25519
from ..codec import Octets
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
_SMALL_ORDER = "the X25519 public key is a point of small order: use another key"


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
        key = X25519PrivateKey.from_private_bytes(_checked(private_bytes))
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
        context, messages = _context(info), list(zip(encs, aads, ciphertexts, strict=True))
        if not x25519.pays(len(messages)):
            return [self._open(enc, context, aad, ciphertext) for enc, aad, ciphertext in messages]
        keys = self._message_keys(encs, context)
        opened = [_decrypted(key, aad, ciphertext) for key, (_, aad, ciphertext) in zip(keys, messages, strict=True)]

        # Accept or reject is an oracle, so that a kernel's fault must not decide: OpenSSL has a second look.
        for key, enc, plaintext in zip(keys, encs, opened, strict=True):
            if plaintext is None and not _are_equal(key, self._message_key(enc, context)):
                x25519.LIVE.disagreed()
                return self.open_batch(encs, info, aads, ciphertexts)
        return opened

    def _open(self, enc: bytes, context: bytes, aad: bytes, ciphertext: bytes) -> bytes | None:
        return _decrypted(self._message_key(enc, context), aad, ciphertext)

    def _message_key(self, enc: bytes, context: bytes) -> bytes | None:
        """The key of a message, by OpenSSL; None if `enc` is no public key."""
        try:
            dh = self._key.exchange(X25519PublicKey.from_public_bytes(enc))
        except ValueError:  # not 32 bytes, or a point of small order, with which every exchange gives zeros
            return None
        return _key_schedule(dh, enc + self.public_bytes, context)

    def _message_keys(self, encs: Sequence[bytes], context: bytes) -> list[bytes | None]:
        """`_message_key` of each, by the kernels. What has not 32 bytes counts as zeros, a point of small order."""
        points = _rows(enc if len(enc) == KEY_BYTES else bytes(KEY_BYTES) for enc in encs)
        dhs, valid = x25519.exchange_all(_rows([self.private_bytes]), points)
        keys = _key_schedules(dhs, _beside(points, self.public_bytes), context)
        return [key.tobytes() if ok else None for key, ok in zip(keys, valid, strict=True)]


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
    context, secrets = _context(info), [_drawn(rand) for _ in plaintexts]
    encapsulated = _encapsulated if x25519.pays(len(secrets)) else _encapsulated_by_openssl
    rows = zip(encapsulated(public_key, secrets, context), aads, plaintexts, strict=True)
    return [(enc, AESGCM(key[:16]).encrypt(key[16:], plaintext, aad)) for (enc, key), aad, plaintext in rows]


def _drawn(rand: Rand) -> bytes:
    """A private key."""
    return _checked(rand(KEY_BYTES))


def _checked(private_bytes: bytes) -> bytes:
    require(len(private_bytes) == KEY_BYTES, f"an X25519 private key must have 32 bytes, got {len(private_bytes)}")
    return private_bytes


def _encapsulated(public_key: bytes, secrets: Sequence[bytes], context: bytes) -> list[tuple[bytes, bytes]]:
    """The encapsulated key and the message's key of each ephemeral private key, by the kernels."""
    ephemeral = _rows(secrets)
    dhs, valid = x25519.exchange_all(ephemeral, _rows([public_key]))
    require(bool(valid.all()), _SMALL_ORDER)
    encs = x25519.public_keys(ephemeral)
    keys = _key_schedules(dhs, _beside(encs, public_key), context)
    return [(enc.tobytes(), key.tobytes()) for enc, key in zip(encs, keys, strict=True)]


def _encapsulated_by_openssl(public_key: bytes, secrets: Sequence[bytes], context: bytes) -> list[tuple[bytes, bytes]]:
    recipient, made = X25519PublicKey.from_public_bytes(public_key), []
    for secret in secrets:
        ephemeral = PrivateKey.from_bytes(secret)
        try:
            dh = ephemeral._key.exchange(recipient)
        except ValueError:
            raise LocalProtocolError(_SMALL_ORDER) from None
        enc = ephemeral.public_bytes
        made.append((enc, _key_schedule(dh, enc + public_key, context)))
    return made


def _decrypted(key: bytes | None, aad: bytes, ciphertext: bytes) -> bytes | None:
    """None if there is no key, or if the ciphertext was not made with it."""
    if key is None:
        return None
    try:
        return AESGCM(key[:16]).decrypt(key[16:], ciphertext, aad)
    except InvalidTag:
        return None


def _are_equal(key: bytes | None, other: bytes | None) -> bool:
    return hmac.compare_digest(key or b"", other or b"")


# --- Key schedule (sections 4.1 and 5.1): key, 16 bytes, and nonce, 12, of the first message; there is no second


def _key_schedule(dh: bytes, kem_context: bytes, context: bytes) -> bytes:
    """Of one exchange, by OpenSSL."""
    prk = _extract(b"", _KEM_LABEL, b"eae_prk", dh)
    shared_secret = _expand(prk, _KEM_LABEL, b"shared_secret", kem_context, 32)
    secret = _extract(shared_secret, _HPKE_LABEL, b"secret", b"")
    key = _expand(secret, _HPKE_LABEL, b"key", context, 16)
    return key + _expand(secret, _HPKE_LABEL, b"base_nonce", context, 12)


def _key_schedules(dhs: Octets, kem_contexts: Octets, context: bytes) -> Octets:
    """`_key_schedule` of dhs[n, 32] and kem_contexts[n, 64], by the kernel: uint8[n, 28]. Extract and Expand are one
    call of it."""
    n = len(dhs)
    shared_secrets, keys, nonces = (np.empty((n, size), np.uint8) for size in (32, 16, 12))
    info = _expanded(_KEM_LABEL, b"shared_secret", b"", 32)
    _kernels.hkdf_sha256(shared_secrets, _beside(_KEM_LABEL + b"eae_prk", dhs), _beside(info, kem_contexts))
    ikm = np.repeat(_rows([_HPKE_LABEL + b"secret"]), n, axis=0)
    for out, label in ((keys, b"key"), (nonces, b"base_nonce")):
        info = _expanded(_HPKE_LABEL, label, context, out.shape[1])
        _kernels.hkdf_sha256_salted(out, shared_secrets, ikm, np.repeat(_rows([info]), n, axis=0))
    return np.concatenate([keys, nonces], axis=1)


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
    return hmac.digest(prk, _expanded(suite, label, info, length) + b"\1", "sha256")[:length]


def _expanded(suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand's info for HKDF."""
    return length.to_bytes(2, "big") + suite + label + info


def _rows(values: Iterable[bytes]) -> Octets:
    """Values of one size, uint8[n, size]; there is one at least."""
    rows = list(values)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def _beside(left: Octets | bytes, right: Octets | bytes) -> Octets:
    """The rows of both, side by side; what is bytes stands in each row."""
    n = max(len(each) for each in (left, right) if isinstance(each, np.ndarray))
    parts = [np.repeat(_rows([each]), n, axis=0) if isinstance(each, bytes) else each for each in (left, right)]
    return np.concatenate(parts, axis=1)
