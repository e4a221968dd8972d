"""Flower's records, and what the core makes of them: arrays and metrics by name, and one block of bytes."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from ...errors import LocalProtocolError, RemoteProtocolError, require

RECORD = "secagg"
_NUMPY, _BYTES = "numpy.ndarray", "secagg.bytes"
_ENTRY = "message"


def with_bytes(data: bytes, content: Mapping[str, Any] | None = None) -> RecordDict:
    """Records beside which a block of bytes travels. It is an array, as Flower cuts those into pieces on the way.

    Args:
        data: the bytes.
        content: the records.
    """
    require(RECORD not in (content or {}), f"the message has a record {RECORD!r} already: is it a SecAggGrid's?")
    block = Array(dtype="uint8", shape=(len(data),), stype=_BYTES, data=data)
    return RecordDict({**(content or {}), RECORD: ArrayRecord({_ENTRY: block})})


def bytes_in(content: Mapping[str, Any]) -> bytes | None:
    """The block of bytes in a message; None if there is none.

    Args:
        content: the message's records.

    Raises:
        RemoteProtocolError: there is a record of this name that is something else.
    """
    record = content.get(RECORD)
    if record is None:
        return None
    block = record.get(_ENTRY) if isinstance(record, ArrayRecord) and len(record) == 1 else None
    if block is None or block.stype != _BYTES or not isinstance(block.data, bytes):
        raise RemoteProtocolError(f"the message's record {RECORD!r} is none of this protocol")
    return block.data


def without_bytes(content: Mapping[str, Any]) -> RecordDict:
    """The records of a message without the block of bytes, as an application knows them.

    Args:
        content: the message's records.
    """
    return RecordDict({name: record for name, record in content.items() if name != RECORD})


def only_arrays(content: RecordDict, whose: str) -> tuple[str, ArrayRecord]:
    """The one record of arrays of a message, with its name.

    Args:
        content: the message's records.
        whose: message it is, for the error.

    Raises:
        LocalProtocolError: there is none, or another.
    """
    records = [(name, record) for name, record in content.items() if isinstance(record, ArrayRecord)]
    require(len(records) == 1, f"{whose} must have one ArrayRecord, and has {len(records)}")
    return records[0]


def model_of(content: RecordDict) -> dict[str, NDArray[Any]]:
    """The model that a message brings, by name; empty if it brings none.

    Args:
        content: the message's records.

    Raises:
        LocalProtocolError: there are several records of arrays, or an array cannot be read.
    """
    if not any(isinstance(record, ArrayRecord) for record in content.values()):
        return {}
    return numpy_arrays(only_arrays(content, "the message")[1])


def category(message: Message) -> str:
    """What a message is for: "train", "evaluate" or another word."""
    return str(message.metadata.message_type.partition(".")[0])


def metrics_of(content: RecordDict, *, arrays_too: bool) -> dict[str, Any]:
    """All metrics of an application's reply by name.

    Args:
        content: the reply's records.
        arrays_too: whether there may be a record of arrays.

    Raises:
        LocalProtocolError: there is more than one record of them, or a record of something else.
    """
    for name, record in content.items():
        require(
            not isinstance(record, ConfigRecord),
            f"the reply has a ConfigRecord {name!r}, which cannot be summed: leave it out",
        )
        require(
            arrays_too or not isinstance(record, ArrayRecord),
            f"the reply to an evaluation has an ArrayRecord {name!r}, and metrics alone are summed: leave it out",
        )
    records = [record for record in content.values() if isinstance(record, MetricRecord)]
    require(len(records) <= 1, f"the reply must have one MetricRecord, and has {len(records)}")
    return dict(records[0].items()) if records else {}


def numpy_arrays(record: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """The arrays of a record by name, in its order.

    Args:
        record: of Flower.

    Raises:
        LocalProtocolError: an array is in another form than numpy's.
    """
    return {name: _numpy(name, array) for name, array in record.items()}


def array_record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """A record of these arrays.

    Args:
        arrays: by name.
    """
    return ArrayRecord({name: Array(np.asarray(values)) for name, values in arrays.items()})


def _numpy(name: str, array: Array) -> NDArray[Any]:
    require(array.stype == _NUMPY, f"array {name!r} is serialized as {array.stype!r}, which is not numpy's")
    try:
        values: NDArray[Any] = array.numpy()
    except (ValueError, OSError, EOFError) as error:
        raise LocalProtocolError(f"array {name!r} cannot be read: {type(error).__name__}") from None
    return _bfloat16(values) if array.dtype == "bfloat16" and values.dtype.itemsize == 2 else values


def _bfloat16(values: NDArray[Any]) -> NDArray[Any]:
    """numpy's files do not know bfloat16, and give two bytes each: the core refuses them by name without ml_dtypes."""
    try:
        kind = import_module("ml_dtypes").bfloat16
    except ImportError:
        return values
    return values.view(kind)
