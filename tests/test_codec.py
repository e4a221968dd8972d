"""The codec is strict: every byte is accounted for, and nothing but `RemoteProtocolError` comes of bad bytes."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.codec import IDS, Fixed, Ids, Items, Nested, Octets, Opaque, Reader, Struct, UInt, Vector
from secagg.errors import RemoteProtocolError
from secagg.protocol import messages
from secagg.protocol.params import Params

from .support.allocated import peak_bytes


class Colour(IntEnum):
    RED = 1


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Struct):
    number: Annotated[int, UInt(2)]
    colour: Annotated[Colour, UInt(1, Colour)]
    tag: Annotated[bytes, Fixed(3)]
    name: Annotated[bytes, Opaque(1)]
    users: Annotated[Ids, IDS]
    rows: Annotated[Octets, Items((2, 2))]


@dataclass(frozen=True)
class Point(Struct):
    x: Annotated[int, UInt(1)]
    label: Annotated[bytes, Opaque(1, min_bytes=1)]


@dataclass(frozen=True)
class Path(Struct):
    """Structs in a struct: one, a list with a length, and one up to the end."""

    start: Annotated[Point, Nested(Point)]
    stops: Annotated[tuple[Point, ...], Vector(Point, 2)]
    rest: Annotated[tuple[Point, ...], Vector(Point)]


@dataclass(frozen=True, eq=False, repr=False)
class Long(Struct):
    data: Annotated[bytes | memoryview, Opaque(4)]
    rows: Annotated[Octets, Items((8,))]


@dataclass(frozen=True, eq=False, repr=False)
class Outer(Struct):
    inner: Annotated[Long, Nested(Long)]


PATH = Path(Point(1, b"a"), (Point(2, b"bc"), Point(3, b"d")), (Point(4, b"e"),))
PATH_ENCODED = bytes.fromhex("01 01 61  0007 02 02 6263 03 01 64  04 01 65")
SAMPLE = Sample(
    258, Colour.RED, b"abc", b"hello", np.array([1, 1 << 31], np.uint32), np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
)
ENCODED = bytes.fromhex("0102 01 616263 05 68656c6c6f 00000008 00000001 80000000 00000008 0001020304050607")


def test_encoding_is_the_tls_presentation_language() -> None:
    assert SAMPLE.encode() == ENCODED


def test_long_fields_are_copied_once() -> None:
    """The encoded bytes are all that is allocated, however deep the field lies."""
    outer = Outer(Long(memoryview(bytes(500_000)), np.zeros((60_000, 8), np.uint8)))
    assert len(outer.encode()) == 980_008
    assert peak_bytes(outer.encode) < 1_100_000


def test_round_trip() -> None:
    decoded = Sample.decode(ENCODED)
    assert (decoded.number, decoded.colour, decoded.tag, decoded.name) == (258, Colour.RED, b"abc", b"hello")
    assert decoded.users.dtype == np.uint32
    assert decoded.users.tolist() == [1, 1 << 31]
    assert decoded.rows.tolist() == SAMPLE.rows.tolist()


@pytest.mark.parametrize("size", range(len(ENCODED)))
def test_truncated_message_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="ends early"):
        Sample.decode(ENCODED[:size])


def test_extended_message_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="1 bytes too many"):
        Sample.decode(ENCODED + b"\0")


def test_unknown_enum_value_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="unknown value"):
        Sample.decode(ENCODED[:2] + b"\7" + ENCODED[3:])


def test_partial_item_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="whole number of items"):
        Sample.decode(ENCODED[:-9] + b"\7" + ENCODED[-8:-1])


def test_declared_length_beyond_the_message_allocates_nothing() -> None:
    with pytest.raises(RemoteProtocolError, match="ends early"):
        Sample.decode(ENCODED[:12] + b"\xff\xff\xff\xff")


def test_values_that_do_not_fit_are_a_local_error() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        Fixed(3).write(b"ab")
    with pytest.raises(ValueError, match="shape"):
        Items((2,)).write(np.zeros((1, 3), np.uint8))
    with pytest.raises(OverflowError):
        UInt(1).write(256)


def test_repr_shows_no_content() -> None:
    assert repr(SAMPLE) == "Sample(number, colour, tag, name, users, rows)"


def test_structs_in_structs() -> None:
    assert PATH.encode() == PATH_ENCODED
    assert Path.decode(PATH_ENCODED) == PATH


def test_lists_may_be_empty() -> None:
    empty = Path(PATH.start, (), ())
    assert empty.encode() == bytes.fromhex("01 01 61 0000")
    assert Path.decode(empty.encode()) == empty


@pytest.mark.parametrize("size", [*range(12), 13, 14])
def test_truncated_list_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="ends early"):
        Path.decode(PATH_ENCODED[:size])


def test_a_list_up_to_the_end_has_no_end_of_its_own() -> None:
    assert Path.decode(PATH_ENCODED[:12]).rest == ()


def test_an_item_does_not_reach_beyond_its_list() -> None:
    """The second of `stops` ends with the first byte of `rest`."""
    with pytest.raises(RemoteProtocolError, match="ends early"):
        Path.decode(PATH_ENCODED.replace(b"\x03\x01\x64", b"\x03\x02\x64"))


def test_a_field_that_may_not_be_empty() -> None:
    assert Point.decode(b"\1\1a") == Point(1, b"a")
    with pytest.raises(RemoteProtocolError, match="0 bytes, at least 1 expected"):
        Point.decode(b"\1\0")
    with pytest.raises(ValueError, match=r"1 \.\. 2\^8 - 1 bytes cannot hold 0"):
        Point(1, b"").encode()


def test_a_list_too_long_for_its_prefix_is_a_local_error() -> None:
    with pytest.raises(ValueError, match="cannot hold 256"):
        Vector(Point, 1).write((Point(1, b"a" * 126),) * 2)


def test_reading_goes_on_where_it_stopped() -> None:
    reader = Reader(b"\1\1a\2\1b")
    assert [Point.read(reader), Point.read(reader)] == [Point(1, b"a"), Point(2, b"b")]
    assert not reader


@given(st.binary(max_size=60))
def test_any_bytes_give_a_path_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        path = Path.decode(data)
    except RemoteProtocolError:
        return
    assert path.encode() == data


MESSAGES = [
    messages.AdvertiseKeys,
    messages.ShareKeysRequest,
    messages.ShareKeys,
    messages.MaskedInputCollectionRequest,
    messages.MaskedInputCollection,
    messages.UnmaskingRequest,
    messages.Unmasking,
]


@given(st.sampled_from(MESSAGES), st.binary(max_size=400), st.booleans())
def test_any_bytes_give_a_message_or_a_remote_protocol_error(
    expected: type[messages.Message], data: bytes, with_header: bool
) -> None:
    data = bytes((messages.VERSION, expected.TYPE)) + data if with_header else data
    try:
        message = messages.decode(data, expected)
    except RemoteProtocolError:
        return
    assert messages.encode(message) == data


@given(st.binary(max_size=100))
def test_any_bytes_give_params_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        params = Params.decode(data)
    except RemoteProtocolError:
        return
    assert params.encode() == data


@given(st.data())
def test_mutated_params_are_params_or_refused(data: st.DataObject) -> None:
    encoded = bytearray(Params(n=10, m=20, modulus=1 << 16, nonce=bytes(16)).encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        params = Params.decode(bytes(encoded))
    except RemoteProtocolError:
        return
    assert params.encode() == bytes(encoded)
