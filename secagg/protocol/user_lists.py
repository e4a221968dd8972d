"""A list of users on the wire: as ids, or as a bitmap where that is shorter.

    enum { ids(0), bitmap(1), (255) } Form;

    struct {
        Form form;
        select (UserList.form) {
            case ids:    uint32 users<0..2^32-1>;
            case bitmap: opaque bits<1..2^17>;
        };
    } UserList;

In a bitmap, u is in the list if bit (u - 1) mod 8 of byte floor((u - 1) / 8) is 1, bit 0 being the least significant.
It ends with the byte that the last user is in, so that the k users u_1 < .. < u_k take ceil(u_k / 8) bytes in place of
4 k.

Every list has one encoding. It is a bitmap where that is shorter and where u_k is at most 2^20; the other form is
refused, and so is a bitmap whose last byte is 0. Lists that are not strictly ascending from 1 on have no bitmap. They
travel as ids, and whoever reads a list checks its order.

A bitmap of L bytes may stand for 32 L bytes of ids: the bound on u_k is what bounds the memory of whoever reads it.
"""

from enum import IntEnum

import numpy as np

from ..codec import IDS, Ids, Opaque, Reader, UInt
from ..errors import RemoteProtocolError

LAST_BYTES = 1 << 17
"""Bytes of the longest bitmap, in which the user 2^20 has the last bit."""

_FORM_BYTES, _LENGTH_BYTES, _ID_BYTES = 1, 4, 4


class Form(IntEnum):
    """How a list is written."""

    IDS = 0
    BITMAP = 1


class UserList:
    """The codec of such a list, uint32[k]."""

    _FORM = UInt(_FORM_BYTES, Form)
    _BITS = Opaque(_LENGTH_BYTES)

    def write(self, value: Ids) -> bytes:
        """The form, and the list in it."""
        form = _form(value)
        listed = IDS.write(value) if form is Form.IDS else self._BITS.write(_bitmap(value))
        return self._FORM.write(form) + listed

    def read(self, reader: Reader) -> Ids:
        """The list; refused where `write` would have written other bytes."""
        form = self._FORM.read(reader)
        users: Ids = IDS.read(reader) if form is Form.IDS else _users(reader.take_sized(_LENGTH_BYTES))
        if form is not _form(users):
            raise RemoteProtocolError("a list of users is not in its shortest form")
        return users


USERS = UserList()


def list_bytes(k: int, last: int) -> int:
    """How long a list of k users on the wire is, of whom the last has this id.

    Args:
        k: how many users there are.
        last: the last one's id; 0 if there is none.
    """
    ids, bitmap = _ID_BYTES * k, _bitmap_bytes(last)
    return _FORM_BYTES + _LENGTH_BYTES + (min(ids, bitmap) if bitmap <= LAST_BYTES else ids)


def _form(users: Ids) -> Form:
    if not len(users) or _bitmap_bytes(int(users[-1])) > LAST_BYTES:
        return Form.IDS
    if _bitmap_bytes(int(users[-1])) >= _ID_BYTES * len(users):
        return Form.IDS
    ascending = users[0] > 0 and np.all(users[1:] > users[:-1])
    return Form.BITMAP if ascending else Form.IDS


def _bitmap_bytes(last: int) -> int:
    return (last + 7) // 8


def _bitmap(users: Ids) -> bytes:
    bits = np.zeros(int(users[-1]), np.uint8)
    bits[users - 1] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _users(bitmap: memoryview) -> Ids:
    if not 1 <= len(bitmap) <= LAST_BYTES or bitmap[-1] == 0:
        raise RemoteProtocolError(f"a bitmap of users has 1 .. {LAST_BYTES} bytes, of which the last is not 0")
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    return np.flatnonzero(bits).astype(np.uint32) + np.uint32(1)
