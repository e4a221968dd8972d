"""KA and AE of the paper's section 3, as architecture's decisions 2 and 3 instantiate them, over `cryptography`.

KA is ECDH on P-256. A public key travels as its 32-byte x-coordinate and is lifted to the point with even y. This does
not change agreed keys, because only x-coordinates of products are used. AE is AES-128-GCM with a key and a nonce for
one message. HKDF-SHA256's info binds every derived value to the session and to its purpose.
"""

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from numpy.typing import NDArray

from . import _kernels
from .arguments import array, convert, octets, whole
from .codec import Ids, Octets
from .live_keys import LiveKernel
from .shamir import Q, RandomBytes, random_scalars

__all__ = [
    "LIVE",
    "SHARE_KEY_BYTES",
    "KeyPair",
    "PublicKey",
    "SelfMask",
    "agree_all",
    "agree_pairs",
    "are_public_keys",
    "load_public_keys",
    "mask_seed",
    "mask_seeds",
    "seal",
    "self_mask",
    "share_key",
    "share_keys",
    "unseal",
    "which_are_public_keys",
]

_CURVE = ec.SECP256R1()
SHARE_KEY_BYTES = 28  # of AES-128-GCM: the key || the nonce
_SHA256 = hashes.SHA256()

PublicKey = ec.EllipticCurvePublicKey


@dataclass(frozen=True, repr=False, eq=False)
class KeyPair:
    """A key pair of KA for one session.

    Attributes:
        secret: the private key, an element of Z_q as 32 big-endian bytes.
        public: the public key's x-coordinate, 32 big-endian bytes.
    """

    secret: bytes
    public: bytes
    _private: ec.EllipticCurvePrivateKey

    def __post_init__(self) -> None:
        convert(self, octets, "secret", "public")

    @classmethod
    def generate(cls, rand: RandomBytes) -> "KeyPair":
        """KA.gen: a fresh key pair.

        Args:
            rand: source of random bytes, such as `os.urandom`.
        """
        secret = bytes(32)
        while not any(secret):
            secret = random_scalars(1, rand).tobytes()
        return cls.from_secret(secret)

    @classmethod
    def from_secret(cls, secret: bytes) -> "KeyPair":
        """The key pair of a known private key.

        Args:
            secret: the private key, 32 big-endian bytes.

        Raises:
            ValueError: the private key is not 1 .. q - 1.
        """
        secret = octets(secret, "secret")
        private = ec.derive_private_key(_scalar(secret), _CURVE)
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return cls(secret, point[1:33], private)

    def agree(self, public: PublicKey) -> bytes:
        """KA.agree before the derivation of a key: the x-coordinate of the product of both keys, 32 bytes.

        Args:
            public: the other party's public key.
        """
        return self._private.exchange(ec.ECDH(), public)

    def agree_with(self, publics: Octets) -> Octets:
        """`agree` with each of many public keys, in time that does not depend on the private key.

        The kernel of `LIVE` does it where it is in use, and OpenSSL elsewhere.

        Args:
            publics: uint8[k, 32], x-coordinates of points.

        Returns:
            uint8[k, 32], the x-coordinates of the products.

        Raises:
            ValueError: a public key is not on the curve.
        """
        publics = np.ascontiguousarray(array(publics, "publics"))
        agreed = np.empty((len(publics), 32), np.uint8)
        made = np.zeros(len(publics), np.uint8)
        by_kernel = len(publics) >= _EXCHANGES_MIN and LIVE.in_use
        if by_kernel:
            _kernels.p256_exchange(agreed, made, self.secret, publics)
        left = np.flatnonzero(made == 0)
        points = _on_curve(publics[left])
        if by_kernel and points:  # every point has a product: the kernel has computed wrongly
            LIVE.disagreed()
            return self.agree_with(publics)
        for i, public in zip(left, points, strict=True):
            agreed[i] = np.frombuffer(self.agree(public), np.uint8)
        return agreed


def _scalar(secret: bytes) -> int:
    scalar = int.from_bytes(secret, "big")
    if not 0 < scalar < Q:
        raise ValueError("a private key must be 1 .. q - 1")
    return scalar


_EXCHANGES_MIN = 3  # 4 or 8 points take the kernels as long as OpenSSL takes for 2


def _knows_its_answer() -> bool:
    """Whether the kernel makes of one key and 17 points, in more lanes than one group has, what OpenSSL does."""
    xs = (0, 5, 6, 8, 9, 12, 13, 17, 23, 24, 25, 26, 29, 31, 34, 35, 37)
    publics = np.frombuffer(b"".join(x.to_bytes(32, "big") for x in xs), np.uint8).reshape(-1, 32)
    agreed, made = np.empty((len(xs), 32), np.uint8), np.zeros(len(xs), np.uint8)
    _kernels.p256_exchange(agreed, made, bytes(range(1, 33)), publics)
    return bool(made.all()) and hashlib.sha256(agreed.tobytes()).hexdigest() == _ANSWER


_ANSWER = "617d416266ed638c0c3f211428fe0185c16137549a80d9c9f5c7839dbd02d5c0"

LIVE = LiveKernel("P-256", _knows_its_answer)


def load_public_keys(xs: Octets) -> list[PublicKey | None]:
    """The points on the curve with these x-coordinates and even y.

    All are lifted in one call: OpenSSL takes three times as long to lift a point as to load it with its y.

    Args:
        xs: x-coordinates, uint8[n, 32].

    Returns:
        The public keys; None for an x-coordinate without a point on the curve.
    """
    xs = array(xs, "xs")
    ys, on_curve = _lift(xs)
    return [
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\x04" + x.tobytes() + y.tobytes()) if ok else None
        for x, y, ok in zip(xs, ys, on_curve, strict=True)
    ]


def _on_curve(xs: Octets) -> list[PublicKey]:
    """`load_public_keys` of keys that must all be on the curve."""
    points = [public for public in load_public_keys(xs) if public is not None]
    if len(points) < len(xs):
        raise ValueError("a public key is not on the curve")
    return points


_PRODUCTS_MIN = 32  # products of a scalar and at most 8 points; below it OpenSSL is as fast everywhere


def agree_all(secrets: Octets, publics: Octets) -> Octets:
    """KA.agree of every revealed private key with every public key, in time that depends on both.

    Each public key gets a table of multiples that serves all private keys: with hundreds of them, a product takes a
    small fraction of the time of `KeyPair.agree`. Only the server may use this: no private key that is still in use may
    be an argument.

    Args:
        secrets: uint8[d, 32], private keys, 1 .. q - 1.
        publics: uint8[k, 32], x-coordinates of points.

    Returns:
        uint8[k, d, 32], the x-coordinates of all products.

    Raises:
        ValueError: a private key is out of range, or a public key is not on the curve.
    """
    secrets, publics = array(secrets, "secrets"), array(publics, "publics")
    agreed = np.empty((len(publics), len(secrets), 32), np.uint8)
    made = np.zeros(len(publics), np.uint8)
    if len(secrets) * min(len(publics), 8) >= _PRODUCTS_MIN:
        _kernels.p256_agree(agreed, made, np.ascontiguousarray(secrets), np.ascontiguousarray(publics))
    left = np.flatnonzero(made == 0)
    pairs = [KeyPair.from_secret(secret.tobytes()) for secret in secrets] if left.size else []
    for i, public in zip(left, _on_curve(publics[left]), strict=True):
        agreed[i] = np.frombuffer(b"".join(pair.agree(public) for pair in pairs), np.uint8).reshape(-1, 32)
    return agreed


def which_are_public_keys(xs: Octets) -> NDArray[np.bool_]:
    """Which of these are x-coordinates of points on the curve.

    Args:
        xs: uint8[n, 32].

    Returns:
        bool[n].
    """
    _, on_curve = _lift(array(xs, "xs"))
    return on_curve


_PAIRS_MIN = 4  # below it OpenSSL is as fast everywhere
_POINTS = 1 << 11  # at a time: their multiples take some 4 KB each


def agree_pairs(secrets: Octets, publics: Octets, secret_of: NDArray[np.intp], public_of: NDArray[np.intp]) -> Octets:
    """KA.agree of k pairs of a revealed private key and a public key, for users with few neighbours.

    Each public key is doubled once for all its private keys, and 8 public keys that one private key has among 2,048 of
    `publics`, which need not follow one another, take the same steps. As with `agree_all`, time depends on all of it.

    Args:
        secrets: uint8[d, 32], private keys, 1 .. q - 1.
        publics: uint8[p, 32], x-coordinates of points.
        secret_of: the position of each pair's private key, intp[k].
        public_of: the position of each pair's public key, intp[k].

    Returns:
        uint8[k, 32], the x-coordinates of the products.

    Raises:
        ValueError: a private key is out of range, a public key, of a pair or not, is not on the curve, or a position is
            out of range.
    """
    secrets, publics = np.ascontiguousarray(array(secrets, "secrets")), array(publics, "publics")
    secret_of, public_of = array(secret_of, "secret_of"), array(public_of, "public_of")
    for secret in secrets:
        _scalar(secret.tobytes())
    for positions, of in ((secret_of, secrets), (public_of, publics)):
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(of):
            raise ValueError("a pair's position is out of range")
    agreed = np.empty((len(secret_of), 32), np.uint8)
    made = np.zeros(len(publics), np.uint8)
    if len(secret_of) >= _PAIRS_MIN:
        _agree_in_blocks(agreed, made, secrets, publics, secret_of, public_of)
    left = np.flatnonzero(made == 0)
    points = dict(zip(left.tolist(), _on_curve(publics[left]), strict=True))
    privates = [KeyPair.from_secret(secret.tobytes()) for secret in secrets] if left.size else []
    for pair in np.flatnonzero(made[public_of] == 0):
        product = privates[secret_of[pair]].agree(points[public_of[pair]])
        agreed[pair] = np.frombuffer(product, np.uint8)
    return agreed


def _agree_in_blocks(
    agreed: Octets,
    made: Octets,
    secrets: Octets,
    publics: Octets,
    secret_of: NDArray[np.intp],
    public_of: NDArray[np.intp],
) -> None:
    """The kernel's part of `agree_pairs`: by blocks of public keys, and in these by private keys."""
    order = np.lexsort((secret_of, public_of // _POINTS))
    ends = np.searchsorted(public_of[order] // _POINTS, np.arange(-(-len(publics) // _POINTS)), "right")
    for start, pairs in zip(range(0, len(publics), _POINTS), np.split(order, ends[:-1]), strict=True):
        block = slice(start, start + _POINTS)
        products = np.empty((len(pairs), 32), np.uint8)
        _kernels.p256_agree_pairs(
            products,
            made[block],
            secrets,
            np.ascontiguousarray(publics[block]),
            secret_of[pairs].astype(np.uint32),
            (public_of[pairs] - start).astype(np.uint32),
        )
        agreed[pairs] = products


def are_public_keys(xs: Octets) -> bool:
    """Whether all of these are x-coordinates of points on the curve.

    Args:
        xs: uint8[n, 32].
    """
    return bool(which_are_public_keys(xs).all())


def _lift(xs: Octets) -> tuple[Octets, NDArray[np.bool_]]:
    """The even y-coordinates, uint8[n, 32], and which are those of points."""
    ys, valid = np.zeros((len(xs), 32), np.uint8), np.zeros(len(xs), np.uint8)
    _kernels.p256_lift(ys, valid, np.ascontiguousarray(xs))
    return ys, valid != 0


def _info(purpose: bytes, session: bytes, *users: int) -> bytes:
    return (
        b"secagg v1 " + purpose + b"\0" + session + b"".join(whole(u, "a user's id").to_bytes(4, "big") for u in users)
    )


def share_key(agreed: bytes, session: bytes, sender: int, recipient: int) -> bytes:
    """The key of the one ciphertext e_{sender,recipient} of a session, for `seal` and `unseal`.

    Args:
        agreed: the result of `KeyPair.agree`, 32 bytes.
        session: the session's id.
        sender: the sender's user id.
        recipient: the recipient's user id.

    Returns:
        28 bytes: AES key || nonce.
    """
    info = _info(b"share", octets(session, "session"), sender, recipient)
    return HKDF(_SHA256, SHARE_KEY_BYTES, None, info).derive(octets(agreed, "agreed"))


def share_keys(agreed: Octets, session: bytes, senders: Ids, recipients: Ids) -> Octets:
    """`share_key` of k pairs of users.

    Args:
        agreed: the results of KA.agree, uint8[k, 32].
        session: the session's id.
        senders: the sender of each pair, uint32[k].
        recipients: the recipient of each pair, uint32[k].

    Returns:
        uint8[k, 28].
    """
    senders, recipients = array(senders, "senders"), array(recipients, "recipients")
    info = _info(b"share", octets(session, "session"))
    return _derived(SHARE_KEY_BYTES, array(agreed, "agreed"), info, senders, recipients)


def mask_seed(agreed: bytes, session: bytes, u: int, v: int) -> bytes:
    """The seed s_{u,v} = s_{v,u} of a pairwise mask, 16 bytes.

    Args:
        agreed: the result of `KeyPair.agree`, 32 bytes.
        session: the session's id.
        u: one user's id.
        v: the other user's id.
    """
    u, v = whole(u, "u"), whole(v, "v")
    info = _info(b"mask", octets(session, "session"), min(u, v), max(u, v))
    return HKDF(_SHA256, 16, None, info).derive(octets(agreed, "agreed"))


def mask_seeds(agreed: Octets, session: bytes, us: Ids, vs: Ids) -> Octets:
    """`mask_seed` of k pairs of users.

    Args:
        agreed: the results of KA.agree, uint8[k, 32].
        session: the session's id.
        us: one user of each pair, uint32[k].
        vs: the other user of each pair, uint32[k].

    Returns:
        uint8[k, 16].
    """
    agreed, us, vs = array(agreed, "agreed"), array(us, "us"), array(vs, "vs")
    info = _info(b"mask", octets(session, "session"))
    return _derived(16, agreed, info, np.minimum(us, vs), np.maximum(us, vs))


def _derived(length: int, agreed: Octets, info: bytes, us: Ids, vs: Ids) -> Octets:
    """HKDF of each of agreed[k, 32] with info || us[k] || vs[k]: uint8[k, length]."""
    infos = np.empty((len(agreed), len(info) + 8), np.uint8)
    infos[:, :-8] = np.frombuffer(info, np.uint8)
    infos[:, -8:] = np.stack([us, vs], axis=1).astype(">u4").view(np.uint8)
    out = np.empty((len(agreed), length), np.uint8)
    _kernels.hkdf_sha256(out, np.ascontiguousarray(agreed), infos)
    return out


@dataclass(frozen=True, repr=False)
class SelfMask:
    """What is derived from b_u.

    Attributes:
        seed: the seed of p_u, 16 bytes.
        commitment: a commitment to b_u, 32 bytes, by which the server notices a wrong reconstruction.
    """

    seed: bytes
    commitment: bytes

    def __post_init__(self) -> None:
        convert(self, octets, "seed", "commitment")


def self_mask(b: bytes, session: bytes, u: int) -> SelfMask:
    """Derive the seed of p_u and the commitment from b_u.

    Args:
        b: b_u, 32 bytes.
        session: the session's id.
        u: the user's id.
    """
    b, session = octets(b, "b"), octets(session, "session")
    prk = hmac.digest(session, b, "sha256")  # HKDF-Extract with the session as salt
    return SelfMask(
        HKDFExpand(_SHA256, 16, _info(b"self mask", session, u)).derive(prk),
        HKDFExpand(_SHA256, 32, _info(b"commitment", session, u)).derive(prk),
    )


def seal(key: bytes, plaintext: bytes) -> bytes:
    """AE.enc: encrypt one message.

    Args:
        key: a key of `share_key`, 28 bytes, which must serve one message only.
        plaintext: the message.

    Returns:
        The ciphertext, 16 bytes longer than the plaintext.
    """
    key = octets(key, "key")
    return AESGCM(key[:16]).encrypt(key[16:], octets(plaintext, "plaintext"), None)


def unseal(key: bytes, ciphertext: bytes) -> bytes | None:
    """AE.dec: decrypt one message.

    Args:
        key: a key of `share_key`, 28 bytes.
        ciphertext: the result of `seal`.

    Returns:
        The plaintext; None if the ciphertext was not made with this key.
    """
    key, ciphertext = octets(key, "key"), octets(ciphertext, "ciphertext")
    try:
        return AESGCM(key[:16]).decrypt(key[16:], ciphertext, None)
    except InvalidTag:
        return None
