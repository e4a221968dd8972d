"""What a session costs a client and the server, before there is one: bytes by formula, seconds from the costs of steps.

The bytes are those of `messages`, for a session in which all n users stay. Seconds count the steps that take most of
the time: agreements, ciphertexts, masks, shares and signatures.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import masking, shamir, vector
from ..codec import Octets
from ..primitives import KeyPair, agree_all, agree_pairs, mask_seeds, seal, self_mask
from ..shamir import RandomBytes
from ..signatures import SIGNATURE_BYTES
from .graph import circle_order
from .identity import Identity, Roster
from .messages import (
    CIPHERTEXT_BYTES,
    KEY_BYTES,
    SESSION_BYTES,
    SHARE_BYTES,
    AdvertiseKeys,
    Answer,
    ConsistencyCheck,
    ConsistencyCheckRequest,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Request,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
)
from .thresholds import Model
from .user_lists import list_bytes

_HEADER, _LENGTH, _HASH = 2, 4, 32
_LIVE, _REVEALED, _PUBLICS, _MASKS = 64, 64, 16, 4  # so many at a time
_KEYS = 3  # of dropped neighbours, that a survivor meets in a sparse graph
_SHARES = 256  # of a secret; more take longer in proportion
_SIGNATURES = 64  # at a time
_USERS = 1000  # in a list
_RUNS = 3


@dataclass(frozen=True)
class Size:
    """What decides the costs of a session.

    Attributes:
        n: how many users take part.
        holders: how many users hold shares of one secret: n in the complete graph, degree + 1 in a sparse one.
        t: how many shares reveal a secret.
        m: the length of a vector.
        modulus: R.
        model: how corrupt parties may behave.
        quorum: how many signatures of U3 convince a client, in the active model.
    """

    n: int
    holders: int
    t: int
    m: int
    modulus: int
    model: Model
    quorum: int

    @property
    def neighbours(self) -> int:
        """How many neighbours a user has."""
        return self.holders - 1

    @property
    def signers(self) -> int:
        """How many users UnmaskingRequest names: in a sparse graph of the active model a quorum, otherwise all."""
        sparse = self.holders < self.n
        return self.quorum if sparse and self.model is Model.ACTIVE else self.n


@dataclass(frozen=True)
class Traffic:
    """Bytes of one client, by message, in the order in which they travel.

    Attributes:
        answers: those that it sends.
        requests: those that it receives.
    """

    answers: dict[type[Answer], int]
    requests: dict[type[Request], int]

    @property
    def sent(self) -> int:
        """All that the client sends."""
        return sum(self.answers.values())

    @property
    def received(self) -> int:
        """All that it receives."""
        return sum(self.requests.values())


def client_traffic(size: Size) -> Traffic:
    """What a client sends and receives if the users 1 .. n join and stay.

    The list of a client's neighbours is as long as that of one whose neighbour is n: others' may be shorter where it is
    a bitmap, which is where n < 32 (degree + 1).

    Args:
        size: of the session.
    """
    active = size.model is Model.ACTIVE
    opening, users = _HEADER + SESSION_BYTES, list_bytes(size.n, size.n)
    ciphertexts = _LENGTH + CIPHERTEXT_BYTES * size.neighbours
    answers: dict[type[Answer], int] = {
        AdvertiseKeys: _HEADER + 2 * KEY_BYTES,
        ShareKeys: opening + _HASH + ciphertexts,
        MaskedInputCollection: opening + _HASH + _LENGTH + vector.packed_size(size.m, modulus=size.modulus) + _LENGTH,
        **({ConsistencyCheck: opening + _HASH} if active else {}),
        Unmasking: opening + _LENGTH + SHARE_BYTES * size.holders,
    }
    signature = SIGNATURE_BYTES * active
    requests: dict[type[Request], int] = {
        ShareKeysRequest: _HEADER + users + _LENGTH + 2 * KEY_BYTES * size.n + _LENGTH + signature * size.n,
        MaskedInputCollectionRequest: opening + list_bytes(size.holders, size.n) + ciphertexts,
        **({ConsistencyCheckRequest: opening + users} if active else {}),
        UnmaskingRequest: opening + list_bytes(size.signers, size.signers) + _LENGTH + signature * size.signers,
    }
    return Traffic({kind: length + signature for kind, length in answers.items()}, requests)


@dataclass(frozen=True)
class Rates:
    """Seconds that a step takes on one core of this machine, in sessions of one size.

    Attributes:
        agreement: KA.agree of a live key, and a key derived from it.
        revealed: the same of a revealed key.
        ciphertext: AE.enc or AE.dec.
        expansion: one mask.
        addition: one masked vector into the sum, checked.
        sharing: both secrets of a user, among all holders.
        recovery: one secret from t shares, checked.
        signature: one signature, checked; 0 in the semi-honest model.
        listing: one user in the list of keys: compared, hashed and put in its place.
    """

    agreement: float
    revealed: float
    ciphertext: float
    expansion: float
    addition: float
    sharing: float
    recovery: float
    signature: float
    listing: float


def client_seconds(size: Size, rates: Rates) -> float:
    """A client's own time in all rounds.

    Args:
        size: of the session.
        rates: of this machine.
    """
    with_each = 2 * (rates.agreement + rates.ciphertext) + rates.expansion
    verified = size.holders + size.signers
    with_all = size.n * rates.listing + verified * rates.signature
    return size.neighbours * with_each + rates.expansion + rates.sharing + with_all


def server_seconds(size: Size, rates: Rates, dropouts: int) -> float:
    """The server's time on one core if so many users leave after ShareKeys.

    Args:
        size: of the session.
        rates: of this machine.
        dropouts: how many users leave.
    """
    stay, messages = size.n - dropouts, 2 * size.n + 3 * (size.n - dropouts)
    pairs = dropouts * size.neighbours * stay / (size.n - 1)
    unmasking = size.n * rates.recovery + pairs * rates.revealed + (stay + pairs) * rates.expansion
    return stay * rates.addition + unmasking + messages * rates.signature


def measure(size: Size, clock: Callable[[], float], rand: RandomBytes) -> Rates:
    """The rates of this machine, which takes a fraction of a second.

    Args:
        size: of the session.
        clock: seconds of CPU time.
        rand: source of random bytes.
    """
    return Rates(
        agreement=_agreement(size, clock, rand),
        revealed=_revealed(size, clock, rand),
        ciphertext=_seconds(lambda: seal(bytes(28), bytes(CIPHERTEXT_BYTES - 16)), clock),
        expansion=_expansion(size, clock, rand),
        addition=_addition(size, clock),
        sharing=_sharing(size, clock, rand),
        recovery=_recovery(size, clock, rand),
        signature=_signature(clock) if size.model is Model.ACTIVE else 0.0,
        listing=_listing(clock, rand),
    )


def _agreement(size: Size, clock: Callable[[], float], rand: RandomBytes) -> float:
    """With all neighbours in one call."""
    count = min(size.neighbours, _LIVE)
    pair, publics, seeds = KeyPair.generate(rand), _public_keys(count, rand), _seeds_of(count, rand)
    return _seconds(lambda: seeds(pair.agree_with(publics)), clock) / count


def _revealed(size: Size, clock: Callable[[], float], rand: RandomBytes) -> float:
    """In the complete graph every survivor meets all revealed keys, in a sparse one a few."""
    complete = size.holders == size.n
    keys = _REVEALED if complete else _KEYS
    publics, secrets = _public_keys(_PUBLICS, rand), shamir.random_scalars(keys, rand)
    seeds, (i, j) = _seeds_of(_PUBLICS * keys, rand), np.indices((_PUBLICS, keys)).reshape(2, -1)

    def agree() -> None:
        agreed = agree_all(secrets, publics) if complete else agree_pairs(secrets, publics, j, i)
        seeds(agreed.reshape(-1, KEY_BYTES))

    return _seconds(agree, clock) / (_PUBLICS * keys)


def _public_keys(count: int, rand: RandomBytes) -> Octets:
    publics = b"".join(KeyPair.generate(rand).public for _ in range(count))
    return np.frombuffer(publics, np.uint8).reshape(-1, KEY_BYTES)


def _seeds_of(count: int, rand: RandomBytes) -> Callable[[Octets], Octets]:
    session, users = rand(SESSION_BYTES), np.arange(count, dtype=np.uint32)
    return lambda agreed: mask_seeds(agreed, session, users, users + 1)


def _expansion(size: Size, clock: Callable[[], float], rand: RandomBytes) -> float:
    acc = np.zeros(size.m, vector.dtype(size.modulus))
    seeds, signs = np.frombuffer(rand(16 * _MASKS), np.uint8).reshape(-1, 16), np.ones(_MASKS, np.int8)
    return _seconds(lambda: masking.mask_sum(acc, seeds, signs, modulus=size.modulus), clock) / _MASKS


def _addition(size: Size, clock: Callable[[], float]) -> float:
    acc = np.zeros(size.m, vector.dtype(size.modulus))
    packed = vector.pack(acc, size.modulus)

    def add() -> None:
        vector.packed_check(packed, size.m, size.modulus)
        vector.packed_add(acc, packed, size.modulus)

    return _seconds(add, clock)


def _sharing(size: Size, clock: Callable[[], float], rand: RandomBytes) -> float:
    """Polynomials of t coefficients at so many points: measured of few, for others it is in proportion."""
    t, holders = min(size.t, _SHARES), min(size.holders, _SHARES)
    secrets, xs = shamir.random_scalars(2, rand), np.arange(1, holders + 1, dtype=np.uint32)
    seconds = _seconds(lambda: shamir.share(secrets, t, xs, rand=rand), clock)
    return seconds * (size.t * size.holders) / (t * holders)


def _recovery(size: Size, clock: Callable[[], float], rand: RandomBytes) -> float:
    """In the complete graph all secrets have the same holders. In a sparse one each has its own, and so Lagrange
    coefficients of its own, whose cost grows with t^2."""
    complete, t = size.holders == size.n, min(size.t, _SHARES)
    shares = shamir.random_scalars(t * _REVEALED, rand)
    xs, session = np.arange(1, t + 1, dtype=np.uint32), rand(SESSION_BYTES)
    of_each = np.tile(xs, (_REVEALED, 1))

    def recover() -> None:
        if complete:
            secrets = shamir.reconstruct(shares.reshape(t, _REVEALED, SHARE_BYTES), xs)
        else:
            secrets = shamir.reconstruct_each(shares.reshape(_REVEALED, t, SHARE_BYTES), of_each, t)
        for secret in secrets:
            self_mask(secret.tobytes(), session, 1)

    return _seconds(recover, clock) / _REVEALED * (size.t / t) ** (1 if complete else 2)


def _signature(clock: Callable[[], float]) -> float:
    """Several at a time, as clients and the server verify them."""
    identity = Identity.generate()
    roster, message = Roster({1: identity.verification_key}), bytes(64)
    many = [1] * _SIGNATURES, [identity.sign(message)] * _SIGNATURES, [message] * _SIGNATURES
    return _seconds(lambda: roster.verify_all(*many), clock) / _SIGNATURES


def _listing(clock: Callable[[], float], rand: RandomBytes) -> float:
    keys = rand(2 * KEY_BYTES * _USERS)

    def read() -> None:
        np.sort(np.frombuffer(keys, np.uint64)[::4])  # for keys that are there twice
        circle_order(hashlib.sha256(keys).digest(), _USERS)

    return _seconds(read, clock) / _USERS


def _seconds(step: Callable[[], object], clock: Callable[[], float]) -> float:
    """The least of some runs, after one that fills caches."""
    step()
    times = []
    for _ in range(_RUNS):
        start = clock()
        step()
        times.append(clock() - start)
    return min(times)
