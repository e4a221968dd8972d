"""Each round's messages, encoded and decoded, beside `struct` with a format made for the very message.

The baseline knows all lengths beforehand and checks nothing but the total; it copies each field once.
"""

import struct
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pytest

from secagg import Params, vector
from secagg.codec import Fixed
from secagg.protocol.messages import (
    CIPHERTEXT_BYTES,
    KEY_BYTES,
    SESSION_BYTES,
    SHARE_BYTES,
    VERSION,
    AdvertiseKeys,
    ConsistencyCheck,
    ConsistencyCheckRequest,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Message,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
)
from secagg.protocol.user_lists import USERS, Form

from ..paired import Baseline, Paired, Unit, gb_per_second
from ..script import everyone, random_input
from .conftest import Sizes

AT_ONCE = 1_000_000  # bytes, about, that one measurement encodes or decodes
SESSION = bytes(SESSION_BYTES)
HASH = bytes(32)
NOBODY = np.empty(0, np.uint32)
UNSIGNED = np.empty((0, 64), np.uint8)


def messages(sizes: Sizes) -> dict[type[Message], Message]:
    """One of each, as large as with n users who all stay; contents are zeros, which takes as long as anything."""
    params = Params(n=sizes.n, m=sizes.m, modulus=1 << 24, t=sizes.t)
    users = everyone(params)
    keys = np.zeros((sizes.n, 2, KEY_BYTES), np.uint8)
    ciphertexts = np.zeros((sizes.n - 1, CIPHERTEXT_BYTES), np.uint8)
    y = vector.pack(random_input(params, 0), params.modulus).tobytes()
    made = (
        AdvertiseKeys(bytes(KEY_BYTES), bytes(KEY_BYTES)),
        ShareKeysRequest(users, keys, UNSIGNED),
        ShareKeys(SESSION, HASH, ciphertexts),
        MaskedInputCollectionRequest(SESSION, users, ciphertexts),
        MaskedInputCollection(SESSION, HASH, y, NOBODY),
        ConsistencyCheckRequest(SESSION, users),
        ConsistencyCheck(SESSION, HASH),
        UnmaskingRequest(SESSION, users, UNSIGNED),
        Unmasking(SESSION, np.zeros((sizes.n, SHARE_BYTES), np.uint8)),
    )
    return {type(message): message for message in made}


KINDS = tuple(messages(Sizes(n=2, t=2, m=1, seeds=1)))


class ByStruct:
    """A codec for messages of exactly the size of one sample."""

    def __init__(self, sample: Message) -> None:
        self._kind = type(sample)
        self._names = [field.name for field in fields(self._kind)]  # type: ignore[arg-type]
        hints = get_type_hints(self._kind, include_extras=True)
        # What stands before each field: nothing, its length, or that it is a bitmap and its length.
        codecs = [hints[name].__metadata__[0] for name in self._names]
        self._before = ["" if isinstance(each, Fixed) else "BI" if each is USERS else "I" for each in codecs]
        self._samples = [getattr(sample, name) for name in self._names]
        sizes = [len(raw(value, before)) for value, before in zip(self._samples, self._before, strict=True)]
        parts = (f"{before}{size}s" for before, size in zip(self._before, sizes, strict=True))
        self._struct = struct.Struct(">BB" + "".join(parts))

    def encode(self, message: Message) -> bytes:
        values: list[Any] = [VERSION, self._kind.TYPE]
        for name, before in zip(self._names, self._before, strict=True):
            data = raw(getattr(message, name), before)
            values += [*{"": (), "I": (len(data),), "BI": (Form.BITMAP, len(data))}[before], data]
        return self._struct.pack(*values)

    def decode(self, data: bytes) -> Message:
        read = iter(self._struct.unpack(data)[2:])
        values = []
        for sample, before in zip(self._samples, self._before, strict=True):
            for _ in before:
                next(read)
            values.append(cooked(next(read), sample, before))
        return self._kind(*values)


def raw(value: Any, before: str) -> bytes:
    """A field as it travels."""
    if before == "BI":
        return np.packbits(np.isin(np.arange(1, int(value[-1]) + 1), value), bitorder="little").tobytes()
    if isinstance(value, np.ndarray):
        return (value.astype(">u4") if value.dtype == np.uint32 else value).tobytes()
    return bytes(value)


def cooked(data: bytes, sample: Any, before: str) -> Any:
    """`raw`'s inverse, for a field that looks like `sample`."""
    if before == "BI":
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return (np.flatnonzero(bits) + 1).astype(np.uint32)
    if not isinstance(sample, np.ndarray):
        return data
    wire = ">u4" if sample.dtype == np.uint32 else "u1"
    return np.frombuffer(data, wire).reshape(sample.shape).astype(sample.dtype, copy=False)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("operation", ["encode", "decode"])
def bench_message(paired: Paired, sizes: Sizes, operation: str, kind: type[Message]) -> None:
    message = messages(sizes)[kind]
    data, by_struct = encode(message), ByStruct(message)
    assert by_struct.encode(message) == data
    assert encode(by_struct.decode(data)) == encode(decode(data, kind)) == data
    run, baseline = {
        "encode": (lambda: encode(message), lambda: by_struct.encode(message)),
        "decode": (lambda: decode(data, kind), lambda: by_struct.decode(data)),
    }[operation]
    count = min(max(AT_ONCE // len(data), 10), sizes.n)

    def repeated(once: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                once()

        return run

    each = Unit("us each", 1e6 / count)
    paired(
        f"{operation} {kind.__name__}, {len(data):,} bytes",
        repeated(run),
        Baseline("struct", repeated(baseline), each),
        [each, gb_per_second(count * len(data))],
        rounds=51,
    )
