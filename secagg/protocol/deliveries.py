"""What a server remembers of the messages that have come, so that one that comes again, late or altered does no harm.

A transport that retries delivers messages twice, late and out of order. Equal bytes are nothing new; a `Stray` is
nobody's fault; whoever answers one round in two ways has lied.
"""

import os
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .messages import Round

_CHUNK = 1 << 30  # `cryptography` takes less than 2**31 bytes at a time


class Stray(NamedTuple):
    """A message that proves nothing against the client as whose it came, and changed nothing: it was altered or forged
    on the way, belongs to another session, or came too late. `round` is the round that was due."""

    client: int
    round: Round
    reason: str


class StrayMessage(Exception):
    """Raised for a message that is a stray, with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Deliveries:
    """Sixteen bytes for each message that was accepted, in any round, and the first stray of each client and round.

    Attributes:
        strays: see `Stray`; one for each client and round at most, so that nobody can fill the memory.
    """

    def __init__(self) -> None:
        self.strays: list[Stray] = []
        self._noted: set[tuple[int, Round]] = set()
        self._accepted: dict[Round, dict[int, bytes]] = {current: {} for current in Round}
        self._mac = AESGCM(os.urandom(16))

    def tag(self, data: bytes) -> bytes:
        """Equal for equal bytes only, whoever chooses them without knowing this server's key: GMAC (NIST SP 800-38D)
        under one nonce, which is sound as long as no tag is shown. SHA-256 takes five times as long, and masked inputs
        are the most of what a server receives."""
        view = memoryview(data)
        return b"".join(
            self._mac.encrypt(bytes(12), b"", view[start : start + _CHUNK]) for start in range(0, len(view), _CHUNK)
        )

    def accept(self, u: int, current: Round, tag: bytes) -> None:
        """Remember u's message of a round."""
        self._accepted[current][u] = tag

    def answered(self, u: int, current: Round) -> bool:
        """Whether u's message of a round is in."""
        return u in self._accepted[current]

    def repeats(self, u: int, tag: bytes) -> bool:
        """Whether u's message of any round had these bytes."""
        return any(accepted.get(u) == tag for accepted in self._accepted.values())

    def note(self, stray: Stray) -> None:
        """Note it, if it is the first of its client and round."""
        key = (stray.client, stray.round)
        if key not in self._noted:
            self._noted.add(key)
            self.strays.append(stray)
