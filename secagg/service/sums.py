"""The sum of a session: as the coordinator has it, and as those who fetch it read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RemoteProtocolError
from .resources import ResultForm

_HEADER_BYTES = 1 << 10  # of NumPy's format, at most
_DTYPES = ("uint32", "uint64")


@dataclass(frozen=True, eq=False)
class Result:
    """What a session was for.

    Attributes:
        sum: the sum of the survivors' inputs mod R, `Params.dtype`[m].
        survivors: U3, ascending.
        sha256: the SHA-256 of the sum's elements in little-endian order, in hexadecimal.
    """

    sum: NDArray[Any]
    survivors: tuple[int, ...]
    sha256: str

    @classmethod
    def of(cls, total: NDArray[Any], survivors: Iterable[int]) -> "Result":
        """The result with its hash."""
        return cls(total, tuple(survivors), sha256(little_endian(total)).hexdigest())


def little_endian(total: NDArray[Any]) -> memoryview:
    """A vector's elements in little-endian order; without a copy where the machine has this order."""
    return np.ascontiguousarray(total, total.dtype.newbyteorder("<")).data.cast("B")


def sum_bytes(form: ResultForm) -> int:
    """How long a file with the sum may be.

    Args:
        form: what the coordinator says of it.
    """
    return _HEADER_BYTES + 8 * form.length


def read_sum(data: bytes, form: ResultForm) -> NDArray[Any]:
    """The sum in a file of NumPy's format. Nothing is allocated for what the file says of itself.

    Args:
        data: the file.
        form: what the coordinator said of it.

    Raises:
        RemoteProtocolError: the file is not a sum, or not the one that was announced.
    """
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        raise RemoteProtocolError("the coordinator's sum is not in NumPy's format") from None
    if form.dtype not in _DTYPES:
        raise RemoteProtocolError("the coordinator's result is no vector of uint32 or uint64")
    body, wanted = memoryview(data)[stream.tell() :], np.dtype(form.dtype).newbyteorder("<")
    if (version, shape, dtype, len(body)) != ((1, 0), (form.length,), wanted, form.length * wanted.itemsize):
        raise RemoteProtocolError(f"the coordinator's sum is not {form.dtype} of shape [{form.length}]")
    if sha256(body).hexdigest() != form.sha256:
        raise RemoteProtocolError("the coordinator's sum does not have the hash that it announced")
    total = np.frombuffer(body, wanted).astype(form.dtype)
    if form.length and int(total.max()) >= form.modulus:
        raise RemoteProtocolError("the coordinator's sum has entries beyond R")
    return total
