"""What became of a contribution, and the sum as a coordinator gives it to participants."""

from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array, optional, whole
from ..errors import RemoteProtocolError
from ..protocol.encoding import DecodedSum
from ..protocol.params import Params
from .resources import ResultForm

__all__ = ["Contribution"]

_HEADER_BYTES = 1 << 10  # of NumPy's format, at most
_ID_BYTES = 16  # of a user id in JSON, with what separates it
_FORM_BYTES = 1 << 12  # of a result in JSON beside the ids


@dataclass(frozen=True, eq=False)
class Contribution:
    """A session that this user has taken part in to its end.

    Attributes:
        session: its name.
        user: this user's id.
        params: the session's parameters.
        survivors: the users whose inputs are in the sum; None if the coordinator keeps the result from participants.
        sum: the sum mod R; None as for `survivors`.
        decoded: what the sum stands for, with a quantizer an `Aggregate`, with a noisy sum a `Release`; None for
            integers, and as for `survivors`.
    """

    session: str
    user: int
    params: Params
    survivors: tuple[int, ...] | None = None
    sum: NDArray[Any] | None = None
    decoded: DecodedSum[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", whole(self.user, "user"))
        object.__setattr__(self, "sum", optional(array)(self.sum, "sum"))
        if self.survivors is not None:
            object.__setattr__(self, "survivors", tuple(whole(u, "a survivor") for u in self.survivors))

    @property
    def included(self) -> bool | None:
        """Whether this user's input is in the sum; None if the coordinator does not say who is."""
        return None if self.survivors is None else self.user in self.survivors

    @property
    def mean(self) -> Any:
        """The (weighted) mean in the model's shapes; None for integers, and where there is no sum."""
        return None if self.decoded is None else self.decoded.mean


def form_bytes(params: Params) -> int:
    """How long a result in JSON may be."""
    return _FORM_BYTES + _ID_BYTES * params.n


def sum_bytes(params: Params) -> int:
    """How long a file with the sum may be."""
    return _HEADER_BYTES + params.m * params.dtype.itemsize


def check_form(form: ResultForm, session: str, params: Params) -> None:
    """Check that what a coordinator says of a result can be one of this session.

    Raises:
        RemoteProtocolError: it cannot.
    """
    ascending = all(a < b for a, b in zip(form.survivors, form.survivors[1:], strict=False))
    said = (form.session, form.dtype, form.length, form.modulus)
    if said != (session, str(params.dtype), params.m, params.modulus):
        raise RemoteProtocolError("the coordinator's result is not one of this session")
    if not ascending or not params.min_users <= len(form.survivors) <= params.n:
        raise RemoteProtocolError("the coordinator's list of survivors is not one of this session")


def read_sum(data: bytes, form: ResultForm, params: Params) -> NDArray[Any]:
    """The sum in a file of NumPy's format. Nothing is allocated for what the file says of itself.

    Raises:
        RemoteProtocolError: the file is not a sum of this session, or not the one that was announced.
    """
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        raise RemoteProtocolError("the coordinator's sum is not in NumPy's format") from None
    body, wanted = memoryview(data)[stream.tell() :], params.dtype.newbyteorder("<")
    if (version, shape, dtype, len(body)) != ((1, 0), (params.m,), wanted, params.m * wanted.itemsize):
        raise RemoteProtocolError(f"the coordinator's sum is not {params.dtype} of shape [{params.m}]")
    if sha256(body).hexdigest() != form.sha256:
        raise RemoteProtocolError("the coordinator's sum does not have the hash that it announced")
    total = np.frombuffer(body, wanted).astype(params.dtype)
    if params.modulus < 1 << (8 * wanted.itemsize) and total.max() >= params.modulus:
        raise RemoteProtocolError("the coordinator's sum has entries beyond R")
    return total
