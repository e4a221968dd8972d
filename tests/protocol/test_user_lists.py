"""Lists of users on the wire: one encoding of each list, and that the shorter one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.codec import Ids, Reader
from secagg.errors import RemoteProtocolError
from secagg.protocol.user_lists import LAST_BYTES, USERS, list_bytes

LAST = 8 * LAST_BYTES  # the last user who can be in a bitmap
lists = st.lists(st.integers(0, 200) | st.integers(0, 2**32 - 1), max_size=40)


def ids(*users: int) -> Ids:
    return np.array(users, np.uint32)


def read(data: bytes) -> list[int]:
    reader = Reader(data)
    users = USERS.read(reader)
    reader.finish()
    assert users.dtype == np.uint32
    return [int(u) for u in users]


def twin(users: list[int]) -> bytes:
    """The encoding by Python's integers: bit u - 1 of a little-endian number is user u's."""
    bits = sum(1 << u - 1 for u in users) if all(users) and users == sorted({*users}) and users[-1:] <= [LAST] else 0
    bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    if bits and len(bitmap) < 4 * len(users):
        return b"\1" + len(bitmap).to_bytes(4, "big") + bitmap
    return b"\0" + (4 * len(users)).to_bytes(4, "big") + b"".join(u.to_bytes(4, "big") for u in users)


@pytest.mark.parametrize(
    ("users", "encoded"),
    [
        ([], "00 00000000"),
        ([1], "01 00000001 01"),
        ([8, 9], "01 00000002 80 01"),
        ([1, 2, 3, 5, 8, 16], "01 00000002 97 80"),
        ([24], "01 00000003 00 00 80"),
        ([25], "00 00000004 00000019"),
        ([1, 64], "00 00000008 00000001 00000040"),
        ([1, 2, 64], "01 00000008 03 00 00 00 00 00 00 80"),
        ([2, 1], "00 00000008 00000002 00000001"),
        ([1, 1], "00 00000008 00000001 00000001"),
        ([0, 1], "00 00000008 00000000 00000001"),
        ([2**32 - 1], "00 00000004 ffffffff"),
    ],
)
def test_known_lists(users: list[int], encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert USERS.write(ids(*users)) == data == twin(users)
    assert read(data) == users


@given(lists | lists.map(lambda users: sorted({*users})))
def test_every_list_comes_back(users: list[int]) -> None:
    encoded = USERS.write(ids(*users))
    assert encoded == twin(users)
    assert read(encoded) == users


@given(st.integers(1, 2000), st.integers(0, 3))
def test_the_length_is_known_beforehand(k: int, gap: int) -> None:
    users = np.arange(1, k + 1, dtype=np.uint32) + np.uint32(gap)
    assert len(USERS.write(users)) == list_bytes(k, k + gap)
    assert list_bytes(1, 33) == 9
    assert list_bytes(0, 0) == 5


@given(st.binary(max_size=24), st.booleans())
def test_any_bytes_are_one_lists_encoding_or_refused(data: bytes, framed: bool) -> None:
    """Also of a form and a length that fit, which random bytes seldom are."""
    data = bytes([len(data) % 3]) + len(data).to_bytes(4, "big") + data if framed else data
    try:
        users = read(data)
    except RemoteProtocolError:
        return
    assert USERS.write(ids(*users)) == data


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("02 00000001 01", "unknown value"),
        ("00 00000004 00000001", "not in its shortest form"),
        ("00 00000008 00000001 00000002", "not in its shortest form"),
        ("01 00000004 00000080", "not in its shortest form"),
        ("01 00000008 01 00 00 00 00 00 00 80", "not in its shortest form"),
        ("01 00000000", "of which the last is not 0"),
        ("01 00000001 00", "of which the last is not 0"),
        ("01 00000002 ff 00", "of which the last is not 0"),
        ("00 00000005 0000000100", "no whole number of items"),
        ("01 00000002 01", "ends early"),
        ("01 ffffffff 01", "ends early"),
    ],
)
def test_no_list_has_another_encoding(encoded: str, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        read(bytes.fromhex(encoded))


def test_bitmaps_end_with_the_user_2_to_the_20() -> None:
    """A list of more is one of ids, of which each takes its four bytes."""
    everybody = np.arange(1, LAST + 1, dtype=np.uint32)
    assert USERS.write(everybody) == b"\1\0\2\0\0" + b"\xff" * LAST_BYTES
    assert len(read(USERS.write(everybody))) == LAST
    one_more = np.append(everybody, np.uint32(LAST + 1))
    encoded = USERS.write(one_more)
    assert encoded[:5] == b"\0" + (4 * LAST + 4).to_bytes(4, "big")
    assert len(encoded) == list_bytes(LAST + 1, LAST + 1)
    assert read(encoded)[-1] == LAST + 1
    with pytest.raises(RemoteProtocolError, match=r"1 \.\. 131072 bytes"):
        read(b"\1\0\2\0\1" + b"\xff" * (LAST_BYTES + 1))
