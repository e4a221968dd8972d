"""The records of a session's journal, and how they lie in the file.

    record = length (4 bytes) || kind (1) || durable (8) || body (length) || CRC-32 of all that (4)

`durable` is how many bytes of the file were on disk when the record was made. What a crash has left of records that
were not on disk yet is cut off. A record that is damaged although a later one knows that it was on disk is an error:
without it the session would go on as if it had not been.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, NamedTuple

from ..codec import IDS, Fixed, Ids, Nested, Opaque, Real, Struct, Text, Truth, UInt
from ..protocol.messages import Round

HEADER = struct.Struct(">IBQ")
_CRC_BYTES = 4
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
    """A participant has joined; the name is empty in the active model."""

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
class EndedRecord(Struct):
    """A round has ended with these users."""

    at: Annotated[float, Real()]
    round: Annotated[Round, UInt(1, Round)]
    users: Annotated[Ids, IDS]


@dataclass(frozen=True, eq=False, repr=False)
class CheckpointRecord(Struct):
    """The masked inputs so far, which the journal has no more."""

    has_goal: Annotated[bool, Truth()]
    goal_met: Annotated[float, Real()]
    received_bytes: Annotated[int, UInt(8)]
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


def frame(kind: Kind, body: bytes, durable: int) -> bytes:
    """A record's bytes.

    Args:
        kind: what it says.
        body: of the record.
        durable: how many bytes of the file are on disk.
    """
    framed = HEADER.pack(len(body), kind, durable) + body
    return framed + zlib.crc32(framed).to_bytes(_CRC_BYTES, "big")


def frames(data: memoryview, start: int) -> Iterator[Framed]:
    """The records from a place on, up to the first that is not whole."""
    while (found := _frame_at(data, start)) is not None:
        yield found
        start = found.end


def is_torn(data: memoryview, start: int) -> bool:
    """Whether what begins here, and is no record, was never on disk as a whole.

    Args:
        data: the file.
        start: where the last good record ends.
    """
    place = start
    while place + HEADER.size <= len(data):
        length, _, durable = HEADER.unpack_from(data, place)
        found = _frame_at(data, place)
        if found is not None and durable > start:
            return False
        place = place + HEADER.size + length + _CRC_BYTES if found is None else found.end
    return True


def _frame_at(data: memoryview, start: int) -> Framed | None:
    if start + HEADER.size > len(data):
        return None
    length, kind, _ = HEADER.unpack_from(data, start)
    end = start + HEADER.size + length + _CRC_BYTES
    if end > len(data):
        return None
    if zlib.crc32(data[start : end - _CRC_BYTES]) != int.from_bytes(data[end - _CRC_BYTES : end], "big"):
        return None
    if kind not in Kind._value2member_map_:
        return None
    return Framed(Kind(kind), data[start + HEADER.size : end - _CRC_BYTES], end)
