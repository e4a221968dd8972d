"""What a server remembers of the messages that it got, so that repeated, late and altered messages do no harm.

A transport that retries delivers messages twice, late and out of order. Equal bytes change nothing, and a `Stray` is
nobody's fault. A user who answers one round in two ways has lied.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..codec import Octets
from ..errors import require
from .messages import Round

DIGEST_BYTES = 32
_CHUNK = 1 << 30  # `cryptography` takes less than 2**31 bytes at a time


class Stray(NamedTuple):
    """A message that changed nothing and proves nothing against the client in whose name it came.

    It was altered or forged on the way, belongs to another session, or came too late.

    Attributes:
        client: the client in whose name it came.
        round: the round that was due.
        reason: why it is a stray.
    """

    client: int
    round: Round
    reason: str


class StrayMessage(Exception):
    """Raised for a message that is a stray, with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(repr=False)
class Delivery:
    """A message as the transport brings it.

    Attributes:
        user: the client in whose name it comes.
        data: its bytes, which stay as they are.
        digest: their SHA-256, where the caller has it.
        tag: see `Deliveries.tag`; None until it is needed.
    """

    user: int
    data: bytes | memoryview
    digest: bytes | None = None
    tag: bytes | None = None


class Deliveries:
    """A tag or the SHA-256 of each message that was accepted, and the first stray of each client and round.

    Attributes:
        strays: at most one for each client and round, so that nobody can fill the memory.
    """

    def __init__(self) -> None:
        self.strays: list[Stray] = []
        self._noted: set[tuple[int, Round]] = set()
        self._accepted: dict[Round, dict[int, bytes]] = {current: {} for current in Round}
        self._digests: dict[Round, dict[int, bytes]] = {current: {} for current in Round}
        self._mac = AESGCM(os.urandom(16))

    def _tag_of(self, delivery: Delivery) -> bytes:
        """Its tag, which is made once."""
        if delivery.tag is None:
            delivery.tag = self.tag(delivery.data)
        return delivery.tag

    def tag(self, data: bytes | memoryview) -> bytes:
        """A tag that is equal for equal bytes only, whoever chooses them without knowing this server's key.

        It is GMAC (NIST SP 800-38D) under one nonce, which is sound as long as nobody sees a tag. SHA-256 takes five
        times as long, and most of what a server receives is masked inputs.
        """
        view = memoryview(data)
        return b"".join(
            self._mac.encrypt(bytes(12), b"", view[start : start + _CHUNK]) for start in range(0, len(view), _CHUNK)
        )

    def accept(self, delivery: Delivery, current: Round) -> None:
        """Remember a user's message of a round: by its SHA-256 if the caller has that, otherwise by its tag."""
        if delivery.digest is None:
            self._accepted[current][delivery.user] = self._tag_of(delivery)
        else:
            self._digests[current][delivery.user] = delivery.digest

    def digests(self, users: list[int], current: Round) -> Octets:
        """The SHA-256 of messages of a round, uint8[k, 32].

        Raises:
            LocalProtocolError: one of them came without it.
        """
        known = self._digests[current]
        require(all(u in known for u in users), "a message came without its digest")
        return np.frombuffer(b"".join(known[u] for u in users), np.uint8).reshape(-1, DIGEST_BYTES)

    def answered(self, u: int, current: Round) -> bool:
        """Whether u's message of a round was accepted."""
        return u in self._accepted[current] or u in self._digests[current]

    def repeats(self, delivery: Delivery) -> bool:
        """Whether its user's message of any round had these bytes."""
        u = delivery.user
        tags = [accepted[u] for accepted in self._accepted.values() if u in accepted]
        digests = [accepted[u] for accepted in self._digests.values() if u in accepted]
        if tags and self._tag_of(delivery) in tags:
            return True
        return bool(digests) and (delivery.digest or hashlib.sha256(delivery.data).digest()) in digests

    def restore(self, strays: list[Stray]) -> None:
        """Put these strays in place of all that were noted."""
        self.strays[:] = strays
        self._noted = {(stray.client, stray.round) for stray in strays}

    def note(self, stray: Stray) -> None:
        """Note a stray if it is the first of its client and round."""
        key = (stray.client, stray.round)
        if key not in self._noted:
            self._noted.add(key)
            self.strays.append(stray)
