"""Rotation of an Aggregator's HPKE keys.

The new key is made first. Once every process has it, Clients are told of it in place of the old one. A Client that was
told of the old key may keep it for the cache's lifetime, and so may a Client that a cache has told: the old key is
accepted for twice that time. A report that was accepted in time is opened, however late.
"""

import os
from collections.abc import Sequence

from ...errors import require
from ...shamir import RandomBytes
from ..hpke import PrivateKey
from ..store.engine import Store, Tx
from ..store.keys import KeyPair, add_key, end_key, list_keys
from ..task_file import key_config
from .directory import SETTLED

MAX_KEYS = 1 << 8  # their numbers have one byte


def new_key(
    store: Store, now: float, cache: float, *, lifetime: float | None = None, rand: RandomBytes = os.urandom
) -> KeyPair:
    """Make a key, and end those that are advertised.

    Args:
        store: of one Aggregator.
        now: POSIX seconds.
        cache: how many seconds Clients may keep a configuration.
        lifetime: seconds until the new key is not advertised any more; None for no end.
        rand: cryptographic randomness.

    Raises:
        LocalProtocolError: all numbers are taken.
    """
    until = None if lifetime is None else now + lifetime
    with store.write() as tx:
        # The new key gets a number that no other key has.
        pairs = list_keys(tx)
        private_key = PrivateKey.generate(rand)
        config = key_config(_free(pairs), private_key)
        pair = KeyPair(config, private_key, until, None if until is None else until + 2 * cache, now)
        add_key(tx, pair, now)

        # Once every process has the new key, the old ones are no longer advertised; caches may go on using them for
        # twice their lifetime.
        for old in pairs:
            if old.advertised(now + SETTLED):
                _end(tx, old, now + SETTLED, now + SETTLED + 2 * cache)
    return pair


def retire_key(store: Store, number: int, now: float, cache: float, *, at_once: bool = False) -> None:
    """End a key: Clients are not told of it any more, and after twice the cache's lifetime no new report may use it.

    Args:
        store: of one Aggregator.
        number: of the key's configuration.
        now: POSIX seconds.
        cache: how many seconds Clients may keep a configuration.
        at_once: accept no new report from now on.

    Raises:
        LocalProtocolError: there is no key with this number, or no other key is advertised.
    """
    with store.write() as tx:
        pairs = list_keys(tx)

        # Clients must be told of another key.
        require(any(pair.config.id == number for pair in pairs), f"there is no HPKE key with number {number}")
        others = any(pair.advertised(now) for pair in pairs if pair.config.id != number)
        require(others, f"key {number} is the only one that Clients are told of: make a new one first")
        pair = next(pair for pair in pairs if pair.config.id == number)
        _end(tx, pair, now, now if at_once else now + 2 * cache)


def _end(tx: Tx, pair: KeyPair, advertised_until: float, accepted_until: float) -> None:
    """Set the end of a key's time, never later than it was before."""
    ends = (
        new if old is None else min(old, new)
        for old, new in ((pair.advertised_until, advertised_until), (pair.accepted_until, accepted_until))
    )
    end_key(tx, pair.config.id, *ends)


def _free(pairs: Sequence[KeyPair]) -> int:
    """The first number after the newest key's that no key has."""
    taken = {pair.config.id for pair in pairs}
    newest = max(pairs, key=lambda pair: pair.created).config.id if pairs else -1
    free = [number % MAX_KEYS for number in range(newest + 1, newest + 1 + MAX_KEYS) if number % MAX_KEYS not in taken]
    require(bool(free), f"{MAX_KEYS} HPKE keys are in the store already: end some, and wait until they are forgotten")
    return free[0]
