"""The TLS presentation language (RFC 8446, section 3): one strict codec for every message of the package.

A message is a frozen dataclass on `Struct` whose fields are annotated with a codec:

    @dataclass(frozen=True, eq=False, repr=False)
    class Greeting(Struct):
        version: Annotated[int, UInt(1)]            # uint8 version;
        nonce: Annotated[bytes, Fixed(16)]          # opaque nonce[16];
        name: Annotated[bytes, Opaque(1)]           # opaque name<0..2^8-1>;
        users: Annotated[Ids, IDS]                  # uint32 users<0..2^32-1>;

Decoding takes every byte or raises `RemoteProtocolError`; it allocates no more than the message's own size, since a
declared length is compared with what is left before anything is read.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from math import isfinite, prod
from operator import index
from typing import Any, Protocol, Self, cast, get_type_hints, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .arguments import octets
from .errors import RemoteProtocolError

Ids = NDArray[np.uint32]
Octets = NDArray[np.uint8]


class Reader:
    """Takes fields off the front of `data`, bounds first."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._rest = memoryview(data)

    @property
    def left(self) -> int:
        """How many bytes are not taken yet."""
        return len(self._rest)

    def take(self, size: int) -> memoryview:
        if size > len(self._rest):
            raise RemoteProtocolError(f"message ends early: a field of {size} bytes, {len(self._rest)} left")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def take_sized(self, prefix: int) -> memoryview:
        return self.take(int.from_bytes(self.take(prefix), "big"))

    def take_rest(self) -> memoryview:
        return self.take(len(self._rest))

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return len(self._rest) > 0

    def finish(self) -> None:
        if self._rest:
            raise RemoteProtocolError(f"message has {len(self._rest)} bytes too many")


class Codec(Protocol):
    """How one field is written and read."""

    def write(self, value: Any) -> bytes: ...
    def read(self, reader: Reader) -> Any: ...


Parts = tuple[bytes | memoryview, ...]


@runtime_checkable
class PartsCodec(Codec, Protocol):
    """One for values that may be long: what it writes is joined once, with the rest of the message."""

    def parts(self, value: Any) -> Parts: ...


class SkippableCodec(Codec, Protocol):
    """One that can go past a field, and refuses the same bytes as `read`, without making what is in it."""

    def skip(self, reader: Reader) -> None: ...


@dataclass(frozen=True)
class UInt:
    """uint8, uint16, ...: `size` bytes, big-endian; `kind` turns it into an enum and refuses other values."""

    size: int
    kind: Callable[[int], Any] = int

    def write(self, value: int) -> bytes:
        return index(value).to_bytes(self.size, "big")

    def read(self, reader: Reader) -> Any:
        value = int.from_bytes(reader.take(self.size), "big")
        try:
            return self.kind(value)
        except ValueError as error:
            raise RemoteProtocolError(f"unknown value: {error}") from None

    def skip(self, reader: Reader) -> None:
        if self.kind is int:
            reader.take(self.size)
        else:
            self.read(reader)


@dataclass(frozen=True)
class Fixed:
    """opaque value[size]."""

    size: int

    def write(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise ValueError(f"a field of {self.size} bytes cannot hold {len(value)}")
        return bytes(value)

    def read(self, reader: Reader) -> bytes:
        return bytes(reader.take(self.size))

    def skip(self, reader: Reader) -> None:
        reader.take(self.size)


@dataclass(frozen=True)
class Opaque:
    """opaque value<min_bytes..2^(8*prefix)-1>, its length in `prefix` bytes."""

    prefix: int
    min_bytes: int = 0

    def write(self, value: bytes | memoryview) -> bytes:
        return b"".join(self.parts(value))

    def parts(self, value: bytes | memoryview) -> Parts:
        size = len(value)
        if not self.min_bytes <= size < 1 << 8 * self.prefix:
            raise ValueError(f"a field of {self.min_bytes} .. 2^{8 * self.prefix} - 1 bytes cannot hold {size}")
        return size.to_bytes(self.prefix, "big"), value

    def read(self, reader: Reader) -> bytes:
        return bytes(self._taken(reader))

    def skip(self, reader: Reader) -> None:
        self._taken(reader)

    def _taken(self, reader: Reader) -> memoryview:
        value = reader.take_sized(self.prefix)
        if len(value) < self.min_bytes:
            raise RemoteProtocolError(f"a field has {len(value)} bytes, at least {self.min_bytes} expected")
        return value


@dataclass(frozen=True)
class Lent(Opaque):
    """The same, read without a copy: a view of the message, which is good as long as that is."""

    def read(self, reader: Reader) -> memoryview:  # type: ignore[override]
        return self._taken(reader)


@dataclass(frozen=True)
class Text:
    """UTF-8 after its length, which has `prefix` bytes."""

    prefix: int

    def write(self, value: str) -> bytes:
        return Opaque(self.prefix).write(value.encode())

    def read(self, reader: Reader) -> str:
        try:
            return str(reader.take_sized(self.prefix), "utf-8")
        except UnicodeDecodeError:
            raise RemoteProtocolError("a text is not UTF-8") from None


@dataclass(frozen=True)
class Real:
    """A finite number: IEEE 754's binary64, big-endian."""

    def write(self, value: float) -> bytes:
        return struct.pack(">d", value)

    def read(self, reader: Reader) -> float:
        (value,) = struct.unpack(">d", reader.take(8))
        if not isfinite(value):
            raise RemoteProtocolError("a number is not finite")
        return float(value)


@dataclass(frozen=True)
class Truth:
    """uint8: 0 or 1."""

    def write(self, value: bool) -> bytes:
        return bytes([value])

    def read(self, reader: Reader) -> bool:
        (value,) = reader.take(1)
        if value > 1:
            raise RemoteProtocolError(f"{value} is no truth value")
        return value == 1


@dataclass(frozen=True)
class Version:
    """uint8: the version of a format, which must be this one."""

    version: int

    def write(self, value: int) -> bytes:
        return bytes([value])

    def read(self, reader: Reader) -> int:
        (value,) = reader.take(1)
        if value != self.version:
            raise RemoteProtocolError(f"version {value} of a format, expected version {self.version}")
        return value


@dataclass(frozen=True)
class Items:
    """T value<0..2^32-1> for equal-sized T: one numpy array [k, *shape], big-endian on the wire, read without a copy
    where the byte order allows it (bytes), so that 10^6 ciphertexts are never 10^6 objects."""

    shape: tuple[int, ...] = ()
    dtype: str = "u1"

    def write(self, value: NDArray[Any]) -> bytes:
        return b"".join(self.parts(value))

    def parts(self, value: NDArray[Any]) -> Parts:
        if value.shape[1:] != self.shape:
            raise ValueError(f"items of shape {self.shape} expected, got {value.shape[1:]}")
        data = np.ascontiguousarray(value, self._on_wire)
        return data.nbytes.to_bytes(4, "big"), data.data

    def read(self, reader: Reader) -> NDArray[Any]:
        data = reader.take_sized(4)
        if len(data) % self._item_bytes:
            raise RemoteProtocolError(f"{len(data)} bytes are no whole number of items of {self._item_bytes} bytes")
        array = np.frombuffer(data, self._on_wire).reshape(-1, *self.shape)
        return array.astype(self.dtype, copy=False)

    @cached_property
    def _on_wire(self) -> np.dtype[Any]:
        return np.dtype(f">{self.dtype}")

    @cached_property
    def _item_bytes(self) -> int:
        return prod(self.shape) * self._on_wire.itemsize


IDS = Items(dtype="u4")


class Nested:
    """A struct in a struct."""

    def __init__(self, struct: "type[Struct]") -> None:
        self._struct = struct

    def write(self, value: "Struct") -> bytes:
        return value.encode()

    def parts(self, value: "Struct") -> Parts:
        return value.parts()

    def read(self, reader: Reader) -> Any:
        return self._struct.read(reader)

    def skip(self, reader: Reader) -> None:
        self._struct.skip(reader)


class Vector:
    """T value<min_bytes..2^(8*prefix)-1>: a tuple of structs after their length in bytes; without a prefix, all that is
    left of the message. For few of them: see `Items`."""

    def __init__(self, struct: "type[Struct]", prefix: int | None = None, *, min_bytes: int = 0) -> None:
        self._struct = struct
        self._sized = None if prefix is None else Lent(prefix, min_bytes)

    def write(self, value: "tuple[Struct, ...]") -> bytes:
        data = b"".join(item.encode() for item in value)
        return data if self._sized is None else self._sized.write(data)

    def read(self, reader: Reader) -> Any:
        inner, items = self._inner(reader), []
        while inner:
            items.append(self._struct.read(inner))
        return tuple(items)

    def skip(self, reader: Reader) -> None:
        inner = self._inner(reader)
        while inner:
            self._struct.skip(inner)

    def _inner(self, reader: Reader) -> Reader:
        return Reader(reader.take_rest() if self._sized is None else self._sized.read(reader))


_CODECS: dict[type, tuple[tuple[str, Codec], ...]] = {}


def _codecs(struct: type[Any]) -> tuple[tuple[str, Codec], ...]:
    """Each field's name and codec, from the annotations; worked out once a class."""
    if struct not in _CODECS:
        hints = get_type_hints(struct, include_extras=True)
        _CODECS[struct] = tuple((field.name, hints[field.name].__metadata__[0]) for field in fields(struct))
    return _CODECS[struct]


_WRITERS: dict[type, tuple[tuple[str, Callable[[Any], Parts]], ...]] = {}


def _writers(struct: type[Any]) -> tuple[tuple[str, Callable[[Any], Parts]], ...]:
    """Each field's name, and what its codec writes in parts; worked out once a class."""
    if struct not in _WRITERS:
        _WRITERS[struct] = tuple(
            (name, codec.parts if isinstance(codec, PartsCodec) else _in_one(codec)) for name, codec in _codecs(struct)
        )
    return _WRITERS[struct]


def _in_one(codec: Codec) -> Callable[[Any], Parts]:
    return lambda value: (codec.write(value),)


class Struct:
    """Base of the dataclasses that travel: fields are written one after the other, each by its codec."""

    def encode(self, header: bytes = b"") -> bytes:
        """The fields, after `header`."""
        return b"".join((octets(header, "header"), *self.parts()))

    def parts(self) -> Parts:
        """What `encode` joins, so that whoever joins it with more copies a long field once."""
        return tuple(part for name, parts in _writers(type(self)) for part in parts(getattr(self, name)))

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Self:
        """Raises `RemoteProtocolError` unless `data` is exactly one encoded struct."""
        reader = Reader(data if isinstance(data, memoryview) else octets(data, "data"))
        struct = cls.read(reader)
        reader.finish()
        return struct

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The next struct of a message."""
        return cls(**{name: codec.read(reader) for name, codec in _codecs(cls)})

    @classmethod
    def skip(cls, reader: Reader) -> None:
        """Go past the next struct, which costs a fraction of `read`, and refuse what that refuses; its codecs must be
        `SkippableCodec`s."""
        for _, codec in _codecs(cls):
            cast(SkippableCodec, codec).skip(reader)

    def __repr__(self) -> str:
        """Names the fields and never shows what is in them: some are secret."""
        return f"{type(self).__name__}({', '.join(name for name, _ in _codecs(type(self)))})"
