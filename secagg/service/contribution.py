"""What became of a contribution, and what a coordinator may say of its result."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..arguments import array, optional, whole
from ..errors import RemoteProtocolError
from ..protocol.encoding import DecodedSum
from ..protocol.params import Params
from .resources import ResultForm

__all__ = ["Contribution"]

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
