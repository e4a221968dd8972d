"""What a client knows between two rounds of Fig. 4, and the form in which it is stored."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..codec import IDS, Fixed, Ids, Items, Nested, Octets, Reader, Struct
from ..errors import RemoteProtocolError
from ..primitives import KeyPair
from .messages import SHARE_BYTES, Round, SessionId, UserIds
from .randomness import Randomness

_UNSEAL_KEY_BYTES, _MASK_SEED_BYTES = 28, 16
_PEERS = Items((4 + _UNSEAL_KEY_BYTES + _MASK_SEED_BYTES,))


@dataclass(frozen=True, repr=False, eq=False)
class Advertised:
    """After round 0: the user's own keys."""

    c: KeyPair
    s: KeyPair

    @classmethod
    def drawn(cls, randomness: Randomness) -> Self:
        """Fig. 4, round 0: (c_pk, c_sk) and (s_pk, s_sk) <- KA.gen."""
        rand = randomness.of_round(Round.ADVERTISE_KEYS)
        return cls(KeyPair.generate(rand), KeyPair.generate(rand))


@dataclass(frozen=True, repr=False, eq=False)
class Peer:
    """What round 1 agreed with another user v: the key that opens e_{v,u}, and the seed s_{u,v} of p_{u,v}."""

    unseal_key: bytes
    mask_seed: bytes


class _Peers:
    """Peers by user id, ascending, as one array: id || key || seed."""

    def write(self, value: dict[int, Peer]) -> bytes:
        rows = (v.to_bytes(4, "big") + peer.unseal_key + peer.mask_seed for v, peer in value.items())
        return _PEERS.write(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, *_PEERS.shape))

    def read(self, reader: Reader) -> dict[int, Peer]:
        rows = _PEERS.read(reader)
        users = rows[:, :4].copy().view(">u4").ravel()
        if np.any(users[1:] <= users[:-1]):
            raise RemoteProtocolError("the list of peers is not strictly ascending")
        keys, seeds = rows[:, 4 : 4 + _UNSEAL_KEY_BYTES], rows[:, 4 + _UNSEAL_KEY_BYTES :]
        return {
            v: Peer(key.tobytes(), seed.tobytes()) for v, key, seed in zip(users.tolist(), keys, seeds, strict=True)
        }


class _OwnShares:
    """opaque own_shares[64]: u's share of its own s_sk, and of its own b."""

    _FIXED = Fixed(2 * SHARE_BYTES)

    def write(self, value: Octets) -> bytes:
        return self._FIXED.write(value.tobytes())

    def read(self, reader: Reader) -> Octets:
        return np.frombuffer(self._FIXED.read(reader), np.uint8).reshape(2, SHARE_BYTES)


@dataclass(frozen=True, repr=False, eq=False)
class Shared(Struct):
    """After round 1. `own_shares` are u's shares of its own s_sk and b."""

    session: SessionId
    users: UserIds
    peers: Annotated[dict[int, Peer], _Peers()]
    b_seed: Annotated[bytes, Fixed(16)]
    own_shares: Annotated[Octets, _OwnShares()]


@dataclass(frozen=True, repr=False, eq=False)
class Masked(Struct):
    """After round 2: the shares [k, 2, 32] of (s_sk, b) that u holds, one row for each of `dealers`, who are in U2.

    `users` may be in U3: of u's neighbours and itself those in U2, and of the others all of U1, for u does not know who
    of them is in U2. In the complete graph they are U2.
    """

    session: SessionId
    users: UserIds
    dealers: UserIds
    shares: Annotated[Octets, Items((2, SHARE_BYTES))]


@dataclass(frozen=True, repr=False, eq=False)
class Checked(Struct):
    """After round 3 (active model): U3, which u has signed and will not change."""

    masked: Annotated[Masked, Nested(Masked)]
    u3: Annotated[Ids, IDS]


@dataclass(frozen=True, repr=False, eq=False)
class Answered:
    """The SHA-256 of the last request (no bytes for round 0, which has none), and the bytes that answered it: no answer
    is computed twice."""

    request: bytes
    answer: bytes


State = Advertised | Shared | Masked | Checked


@dataclass(frozen=True, repr=False, eq=False)
class Memory:
    """All that a client remembers between two rounds.

    Attributes:
        rounds: how many rounds were answered.
        state: what the next round works on; None before round 0 and once the machine has ended.
        randomness: None as soon as no later round draws from it.
        x: the input with its noise; None once it was sent.
        last: the last answer; None before round 0, and once the machine has ended by an error.
        session: the session's id; None before round 1.
    """

    rounds: int
    state: State | None
    randomness: Randomness | None
    x: NDArray[Any] | None
    last: Answered | None
    session: bytes | None = None
