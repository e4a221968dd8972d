"""The records of a session's journal, and how they lie in the file.

    record = head || body (length) || CRC-32 of head and body (4 bytes)
    head   = length (4 bytes) || kind (1) || durable (8) || CRC-32 of these (4)

`durable` is how many bytes of the file were on disk when the record was made. What a crash has left of records that
were not on disk yet is cut off. A record that is damaged although a later one knows that it was on disk is an error:
without it the session would go on as if it had not been. So a head has a CRC of its own: where it is good, it tells
where the next record begins, and where it is not, that is looked for at every byte.

A file that replaces another is on disk as a whole before it has its name. Its last record is WHOLE: whatever is missing
before that was damaged. Of the last record that was appended nobody knows whether it was on disk: if it is damaged, it
is cut off.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, NamedTuple

from ..codec import IDS, Fixed, Ids, Items, Nested, Opaque, Real, Struct, Text, Truth, UInt
from ..protocol.messages import Round

_HEAD = struct.Struct(">IBQ")
_CRC_BYTES = 4
HEAD_BYTES = _HEAD.size + _CRC_BYTES
ALL_DURABLE = (1 << 64) - 1
"""For records of a file that is on disk as a whole before it has its name."""


class Kind(IntEnum):
    """What a record says."""

    SETUP = 1
    JOINED = 2
    MESSAGE = 3
    ENDED = 4
    CHECKPOINT = 5
    OVER = 6
    WHOLE = 7
    """The end of what was on disk before the file had its name; it has no body."""
    LEFT = 8


_KIND_PLACE = 4
_HEADS = re.compile(b"[%s](?:\\x00{4}|\\xff{8})" % bytes(Kind))
"""What may be a head from its fifth byte on: a kind, and a `durable` below 4 GiB or ALL_DURABLE."""


@dataclass(frozen=True, eq=False, repr=False)
class Body(Struct):
    """A message, a checkpoint or a result: in the record, or in a file of the session's folder.

    Attributes:
        digest: its SHA-256.
        size: how many bytes it has.
        number: of its file; 0 if it lies in the record.
        content: the bytes that lie in the record.
    """

    digest: Annotated[bytes, Fixed(32)]
    size: Annotated[int, UInt(8)]
    number: Annotated[int, UInt(8)]
    content: Annotated[bytes, Opaque(4)]


@dataclass(frozen=True, eq=False, repr=False)
class JoinedRecord(Struct):
    """A participant has joined; the name, or the number as text, is empty in the active model."""

    at: Annotated[float, Real()]
    user: Annotated[int, UInt(4)]
    name: Annotated[str, Text(2)]


@dataclass(frozen=True, eq=False, repr=False)
class MessageRecord(Struct):
    """A message came."""

    at: Annotated[float, Real()]
    user: Annotated[int, UInt(4)]
    round: Annotated[Round, UInt(1, Round)]
    body: Annotated[Body, Nested(Body)]


@dataclass(frozen=True, eq=False, repr=False)
class LeftRecord(Struct):
    """A participant has said that it sends nothing more."""

    at: Annotated[float, Real()]
    user: Annotated[int, UInt(4)]


@dataclass(frozen=True, eq=False, repr=False)
class EndedRecord(Struct):
    """A round has ended with these users."""

    at: Annotated[float, Real()]
    round: Annotated[Round, UInt(1, Round)]
    users: Annotated[Ids, IDS]


@dataclass(frozen=True, eq=False, repr=False)
class CheckpointRecord(Struct):
    """The masked inputs so far, which the journal has no more, and how many strays of each user were among them."""

    has_goal: Annotated[bool, Truth()]
    goal_met: Annotated[float, Real()]
    received_bytes: Annotated[int, UInt(8)]
    strays: Annotated[Ids, Items((2,), "u4")]  # user and count
    body: Annotated[Body, Nested(Body)]


@dataclass(frozen=True, eq=False, repr=False)
class OverRecord(Struct):
    """What remains of a session that has finished or was aborted: this decision."""

    memory: Annotated[bytes, Opaque(4)]
    has_result: Annotated[bool, Truth()]
    result: Annotated[Body, Nested(Body)]


class Framed(NamedTuple):
    """A record as it lies in the file.

    Attributes:
        kind: what it says.
        body: of the record.
        end: where the next record begins.
    """

    kind: Kind
    body: memoryview
    end: int


class _Head(NamedTuple):
    length: int
    kind: Kind
    durable: int


def frame(kind: Kind, body: bytes, durable: int) -> bytes:
    """A record's bytes.

    Args:
        kind: what it says.
        body: of the record.
        durable: how many bytes of the file are on disk.
    """
    head = _HEAD.pack(len(body), kind, durable)
    framed = head + _crc(head) + body
    return framed + _crc(framed)


def frames(data: memoryview, start: int) -> Iterator[Framed]:
    """The records from a place on, up to the first that is not whole.

    Args:
        data: the file.
        start: where a record begins.
    """
    while (found := _frame_at(data, start)) is not None:
        yield found
        start = found.end


def is_torn(data: memoryview, start: int) -> bool:
    """Whether what begins here, and is no record, was never on disk as a whole, as far as anything tells.

    Args:
        data: the file.
        start: where the last good record ends.
    """
    place = start
    while (head := _head_at(data, place)) is not None and head.durable <= start:
        place += HEAD_BYTES + head.length + _CRC_BYTES  # in its body is no record, whatever the sender has put there

    # From here on a head that knows better may begin at any byte.
    heads = (_head_at(data, match.start() - _KIND_PLACE) for match in _HEADS.finditer(data, place + _KIND_PLACE))
    return not any(head is not None and head.durable > start for head in heads)


def _crc(data: bytes | memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "big")


def _head_at(data: memoryview, start: int) -> _Head | None:
    """The head that begins here; None if there is none."""
    end = start + HEAD_BYTES
    if end > len(data) or _crc(data[start : start + _HEAD.size]) != data[start + _HEAD.size : end]:
        return None
    length, kind, durable = _HEAD.unpack_from(data, start)
    if kind not in Kind._value2member_map_ or not (durable <= start or durable == ALL_DURABLE):
        return None
    return _Head(length, Kind(kind), durable)


def _frame_at(data: memoryview, start: int) -> Framed | None:
    head = _head_at(data, start)
    if head is None:
        return None
    end = start + HEAD_BYTES + head.length + _CRC_BYTES
    if end > len(data) or _crc(data[start : end - _CRC_BYTES]) != data[end - _CRC_BYTES : end]:
        return None
    return Framed(head.kind, data[start + HEAD_BYTES : end - _CRC_BYTES], end)
