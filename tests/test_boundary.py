"""What the kernels' module takes for an array, without the checks of the public functions before it."""

import ctypes
from typing import Any

import numpy as np
import pytest

from secagg import _kernels

M = 1000


def added(a: Any, b: Any) -> list[int]:
    _kernels.add(a, b, M)
    return list(a)


def octets(n: int) -> Any:
    return np.zeros(n, np.uint8)


@pytest.mark.parametrize(
    "b",
    [
        np.array([5, 6], np.uint32),
        np.array([5, 6], "<u4"),
        (ctypes.c_uint32 * 2)(5, 6),
        np.frombuffer(bytes([5, 0, 0, 0, 6, 0, 0, 0]), np.uint32),
    ],
    ids=["numpy", "little-endian", "ctypes", "read-only"],
)
def test_arrays_of_the_right_items_are_read(b: Any) -> None:
    assert added(np.array([1, 998], np.uint32), b) == [6, 4]


@pytest.mark.parametrize(
    "b",
    [
        np.zeros(2, np.int32),
        np.zeros(2, np.float32),
        np.zeros(2, np.uint64),
        np.zeros(2, np.uint16),
        np.zeros(2, ">u4"),
        np.zeros(2, "u2,u2"),
        np.zeros((1, 2), np.uint32),
        np.zeros((), np.uint32),
        np.zeros(4, np.uint32)[::2],
        np.zeros(2, np.uint32)[::-1],
        octets(8),
        bytes(8),
    ],
    ids=lambda b: f"{b.dtype}{b.shape}" if isinstance(b, np.ndarray) else "bytes",
)
def test_other_arrays_are_refused(b: Any) -> None:
    with pytest.raises((ValueError, BufferError)):
        added(np.zeros(2, np.uint32), b)
    with pytest.raises((ValueError, BufferError)):
        added(b, np.zeros(2, np.uint32))


@pytest.mark.parametrize("b", [None, 5, [1, 2], "ab"])
def test_what_is_no_array_is_refused(b: Any) -> None:
    with pytest.raises(TypeError):
        added(np.zeros(2, np.uint32), b)


def test_signed_items_are_not_unsigned_ones() -> None:
    with pytest.raises(ValueError, match="an array must be 1-dimensional, of type int8"):
        _kernels.mask_sum(np.zeros(2, np.uint32), np.zeros((1, 16), np.uint8), np.ones(1, np.uint8), M, bytes(12), 0)


def test_what_is_written_must_be_writeable() -> None:
    a = np.zeros(2, np.uint32)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        added(a, np.zeros(2, np.uint32))
    packed: Any = bytes(3)
    with pytest.raises(BufferError):
        _kernels.pack(packed, np.zeros(2, np.uint32), M)


def test_an_array_is_let_go_when_the_call_ends() -> None:
    a = bytearray(np.array([1, 2], np.uint32).tobytes())
    words: Any = memoryview(a).cast("I")
    _kernels.add(words, np.zeros(2, np.uint32), M)
    with pytest.raises(ValueError, match="of type uint64"):
        _kernels.add(words, np.zeros(2, np.uint32), 1 << 64)
    words.release()
    a.append(0)  # which a bytearray refuses while somebody holds it
