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
from ..messages import HpkeConfig
from ..store.engine import Store, Tx
from ..store.keys import KeyPair, add_key, end_key, list_keys
from ..task_file import checked_config, key_config
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
        _rotate(tx, pairs, pair, now, cache)
    return pair


def import_key(store: Store, config: HpkeConfig, private_key: PrivateKey, now: float, cache: float) -> KeyPair:
    """Take a key that was made elsewhere, with its number, and end those that are advertised.

    Clients that have its configuration, from a server that this one replaces, go on using it.

    Args:
        store: of one Aggregator.
        config: of the key.
        private_key: of the configuration.
        now: POSIX seconds.
        cache: how many seconds Clients may keep a configuration.

    Raises:
        LocalProtocolError: there is or was a key with this number.
        RemoteProtocolError: the configuration does not belong to the key.
        HpkeError: the configuration is of another suite than ours.
    """
    pair = KeyPair(checked_config(config, private_key), private_key, None, None, now)
    with store.write() as tx:
        _rotate(tx, list_keys(tx), pair, now, cache)
    return pair


def _rotate(tx: Tx, pairs: Sequence[KeyPair], new: KeyPair, now: float, cache: float) -> None:
    """Once every process has the new key, the old ones are no longer advertised; caches may go on using them for twice
    their lifetime."""
    add_key(tx, new, now)
    for old in pairs:
        if old.advertised(now + SETTLED):
            _end(tx, old, now + SETTLED, now + SETTLED + 2 * cache)


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
