"""Random bytes that are the same in every run."""

import hashlib


def rand(size: int) -> bytes:
    """The same for the same size."""
    return hashlib.shake_128(b"randomness of the tests").digest(size)
