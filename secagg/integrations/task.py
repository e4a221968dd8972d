"""What steers a node's training beside the model, as bytes: a learning rate, the kind of message, a run's settings.

A server that sends one node a learning rate of 1 and all others 0 reads that node's change in the mean. So whatever an
application reads of a request enters `Params.context` by its hash, and nodes that were sent different things are in
different sessions. Adapters put everything into one value that `encoded_task` writes down; no two values have one
encoding.

    encoding = tag || length of body, 8 bytes || body
    body     = of a list, its elements' encodings; of a mapping, those of key, value, key, value, sorted by key
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arguments import octets
from ..errors import LocalProtocolError, require
from .arrays import digest

__all__ = ["encoded_task"]

DEPTH_MAX = 32


def encoded_task(value: Any) -> bytes:
    """A value as bytes: equal for equal values of equal types, and different for all others.

    Args:
        value: None, a truth value, a number, text, bytes, an array or scalar of numpy; lists or tuples of such, and
            mappings from text to such, in any order.

    Raises:
        LocalProtocolError: it holds something else, or lists in lists beyond the 32nd level.
    """
    return _encoded(value, DEPTH_MAX)


def _encoded(value: Any, depth: int) -> bytes:
    require(depth > 0, f"what steers training is nested more than {DEPTH_MAX} levels deep")
    tag, body = _parts(value, depth - 1)
    return tag + len(body).to_bytes(8, "big") + body


def _parts(value: Any, depth: int) -> tuple[bytes, bytes]:
    """The tag and the body; to Python, booleans are integers, and numpy's float64 is a float."""
    if value is None:
        return b"n", b""
    if isinstance(value, bool):
        return b"t", bytes([value])
    if isinstance(value, int):
        return b"i", hex(value).encode()
    if isinstance(value, float):
        return b"f", struct.pack(">d", value)
    if isinstance(value, str):
        return b"s", value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray | memoryview):
        return b"b", octets(value, "a value of the task")
    if isinstance(value, list | tuple):
        return b"l", b"".join(_encoded(each, depth) for each in value)
    if isinstance(value, Mapping):
        require(all(isinstance(key, str) for key in value), "what steers training has a key that is no text")
        return b"m", b"".join(_encoded(each, depth) for key in sorted(value) for each in (key, value[key]))
    if isinstance(value, np.ndarray | np.generic):
        return b"a", bytes.fromhex(digest({"": np.asarray(value)}))
    raise LocalProtocolError(
        f"what steers training holds a {type(value).__name__}, which cannot be compared between nodes: send numbers,"
        " text, bytes, lists or mappings"
    )
