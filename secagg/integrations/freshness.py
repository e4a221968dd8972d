"""Nonces of sessions say when these were made, so that a site can refuse an old one.

nonce = time || random      POSIX seconds, big-endian, in 8 bytes; 16 random bytes from our own server
"""

from ..arguments import octets
from ..shamir import RandomBytes

TIME_BYTES = 8
LEAST_BYTES = 2 * TIME_BYTES


def fresh_nonce(now: float, rand: RandomBytes) -> bytes:
    """The nonce of a session that is made now.

    Args:
        now: POSIX seconds.
        rand: source of random bytes.
    """
    return int(now).to_bytes(TIME_BYTES, "big") + octets(rand(16), "what rand returns")


def is_fresh(nonce: bytes, now: float, age: float) -> bool:
    """Whether a session was made at most so many seconds from now, by this clock or one that is ahead of it.

    Args:
        nonce: of the session.
        now: POSIX seconds.
        age: seconds.
    """
    made = int.from_bytes(nonce[:TIME_BYTES], "big")
    return len(nonce) >= LEAST_BYTES and abs(now - made) <= age
