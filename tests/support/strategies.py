"""Any value of any of DAP's messages, for hypothesis: made from the same annotations as the codec."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

from hypothesis import strategies as st

from secagg.codec import Fixed, Nested, Opaque, Struct, UInt, Vector
from secagg.dap import messages, messages_09

Strategy = st.SearchStrategy[Any]
OUTCOMES: Strategy = st.none() | st.integers(1, 255) | st.binary(min_size=1, max_size=20)
OUTCOMES_09: Strategy = st.none() | st.integers(0, 255) | st.binary(max_size=20)
BATCH_IDS: Strategy = st.binary(min_size=32, max_size=32)
INTERVALS: Strategy = st.builds(messages.Interval, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


def _uint(codec: UInt) -> Strategy:
    if codec.kind is int:
        return st.integers(0, (1 << 8 * codec.size) - 1)
    if codec is messages.ERROR_NUMBER:
        return st.integers(1, 255)
    return st.sampled_from(list(codec.kind))  # type: ignore[call-overload]


def _vector(codec: Vector) -> Strategy:
    least = 1 if codec._sized is not None and codec._sized.min_bytes else 0
    return st.lists(structs(codec._struct), min_size=least, max_size=3).map(tuple)


STRATEGIES: dict[type, Callable[[Any], Strategy]] = {
    UInt: _uint,
    Fixed: lambda codec: st.binary(min_size=codec.size, max_size=codec.size),
    Opaque: lambda codec: st.binary(min_size=codec.min_bytes, max_size=20),
    Nested: lambda codec: structs(codec._struct),
    Vector: _vector,
    messages._Outcome: lambda codec: OUTCOMES,
    messages_09._Outcome: lambda codec: OUTCOMES_09,
    messages_09._BatchId: lambda codec: st.none() | BATCH_IDS,
    messages_09._Selected: lambda codec: INTERVALS | BATCH_IDS,
    messages_09._Queried: lambda codec: st.none() | INTERVALS | BATCH_IDS,
}


def structs(kind: type[Struct]) -> Strategy:
    """Values of one message."""
    hints = get_type_hints(kind, include_extras=True)
    codecs = {field.name: hints[field.name].__metadata__[0] for field in fields(kind)}  # type: ignore[arg-type]
    return st.builds(kind, **{name: STRATEGIES[type(codec)](codec) for name, codec in codecs.items()})
