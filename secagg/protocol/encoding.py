"""What `Quantizer` and `secagg.noisy.NoisySum` have in common.

Both encode a model as a vector over Z_R, both bind a session to the encoding, and both decode the sum of the vectors.
An encoded vector is w || v with weights, and v without: w stands for the weight, and every entry of v has an offset
added, because the protocol takes no negative input. The number of survivors gives the offset of a sum.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Self

import numpy as np
from numpy.typing import NDArray

from .. import vector
from ..arguments import array as plain_array
from ..arguments import convert, flag, whole
from ..errors import LocalProtocolError, require
from .binding import Binding, check_numbers
from .layout import Arrays, Floats, Layout
from .params import Params


class Encoding(ABC, Generic[Arrays]):
    """An encoding of models as vectors over Z_R; clients and server must hold equal ones.

    Attributes:
        layout: the model's shapes.
        clip: the largest magnitude that is not clipped, of values or of a norm.
        max_weight: the largest weight, for weighted averages; None for plain sums and means.
    """

    layout: Layout[Arrays]
    clip: float
    max_weight: int | None

    @classmethod
    def like(cls, model: Arrays, *, keep_dtypes: bool = False, **others: Any) -> Self:
        """An encoding of models that have the shapes of this one.

        Args:
            model: an array, a list of arrays, or a mapping of names to arrays; see `Layout.of`.
            keep_dtypes: decode to the model's dtypes of floats; see `Layout.of`.
            others: the other arguments of the class.
        """
        constructor: Callable[..., Self] = cls
        return constructor(layout=Layout.of(model, keep_dtypes=keep_dtypes), **others)

    @property
    @abstractmethod
    def length(self) -> int:
        """m, the length of an encoded vector."""

    @property
    @abstractmethod
    def max_value(self) -> int:
        """The largest element of an encoded vector."""

    def bind(self, context: bytes = b"") -> bytes:
        """`Params.context` for `Params` made by hand: it binds a session to this encoding; see `protocol.binding`.

        Args:
            context: what else the caller binds the session to.

        Raises:
            LocalProtocolError: the caller's context is too long.
        """
        return self._binding.bind(context)

    def check(self, params: Params, *, unbound: bool = False) -> None:
        """Check that a session's parameters are those of this encoding.

        Args:
            params: the session's parameters.
            unbound: accept parameters that name no encoding.

        Raises:
            LocalProtocolError: they are not. If the session is bound to another encoding, the error says what differs.
        """
        self._check_params(params, unbound)

    @property
    @abstractmethod
    def _binding(self) -> Binding:
        """All that two equal encodings have in common."""

    @property
    @abstractmethod
    def _limit(self) -> int:
        """The largest magnitude of an entry in steps, which is also the offset of every entry."""

    @property
    def _weighted(self) -> int:
        """How many elements carry the weight."""
        return int(self.max_weight is not None)

    def _weight_middle(self, k: int) -> int:
        """The sum of k weights is decoded as the representative nearest to this number."""
        return 0

    def _check_settings(self) -> None:
        require(self.layout.size > 0, "the model has no values")
        require(1e-200 < self.clip < 1e200, f"clip must be positive (1e-200 .. 1e200), got {self.clip}")
        require(self.max_weight is None or self.max_weight >= 1, f"max_weight must be positive, got {self.max_weight}")

    def _check_params(self, params: Params, unbound: bool) -> None:
        self._binding.check(params.context, unbound=flag(unbound, "unbound"))
        numbers = {"m": (params.m, self.length), "max_value": (params.max_value, self.max_value)}
        check_numbers(self._binding.kind, numbers)

    def _checked_weight(self, weight: int | None) -> int:
        if weight is None and self.max_weight is None:
            return 1
        if weight is None or self.max_weight is None:
            kind = self._binding.kind
            raise LocalProtocolError(f"a {kind} with max_weight needs a weight, and one without it takes none")
        w = whole(weight, "weight")
        require(1 <= w <= self.max_weight, f"weight must be an integer 1 .. {self.max_weight}")
        return w

    def _checked_sum(
        self, total: NDArray[Any], params: Params, survivors: int, unbound: bool, *, fewest: int
    ) -> tuple[NDArray[Any], int]:
        """The sum and k, where both fit the parameters; k is `fewest` or more."""
        total, k = plain_array(total, "total"), whole(survivors, "survivors")
        self._check_params(params, unbound)
        require(fewest <= k <= params.n, f"survivors must be {fewest} .. {params.n}, got {k}")
        require(
            total.shape == (params.m,) and total.dtype == params.dtype,
            f"the sum must be {params.dtype} of shape [{params.m}], got {total.dtype} {total.shape}",
        )
        return total, k

    def _offset_vector(self, steps: NDArray[np.int64], weight_steps: int) -> NDArray[np.uint64]:
        """An encoded vector, from the values and the weight in steps."""
        offset = steps + self._limit
        return (np.insert(offset, 0, weight_steps) if self._weighted else offset).astype(np.uint64)

    def _signed(self, total: NDArray[Any], params: Params, k: int) -> NDArray[np.int64]:
        """The sum in steps, noise included, where every entry is within `room` of what k inputs can add up to."""
        offset, middle = np.full(self.length, k * self._limit, params.dtype), self._weight_middle(k)
        offset[: self._weighted] = middle
        signed = _centred(total, offset, params.modulus)
        signed[: self._weighted] += middle
        return signed


@dataclass(frozen=True)
class DecodedSum(Generic[Arrays]):
    """What a sum of encoded models stands for.

    Attributes:
        layout: the layout of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector, float64.
        weight: what the mean divides by.
    """

    layout: Layout[Arrays]
    flat: Floats
    weight: float

    def __post_init__(self) -> None:
        convert(self, plain_array, "flat")

    @property
    def sum(self) -> Arrays:
        """`flat` in the model's shapes, float64 or the layout's dtypes."""
        return self.layout.restore(self.flat)

    @property
    def mean(self) -> Arrays:
        """The (weighted) mean, sum / weight, in the model's shapes, float64 or the layout's dtypes."""
        return self.layout.restore(self.flat / self.weight)


def _centred(total: NDArray[Any], offset: NDArray[Any], modulus: int) -> NDArray[np.int64]:
    """total - offset mod R, as the representative nearest to 0."""
    difference = total.copy()
    vector.subtract(difference, offset, modulus)
    wide = difference.astype(np.uint64)
    wrapped = wide - np.uint64(modulus % (1 << 64))  # mod 2**64: two's complement
    return np.where(wide > modulus // 2, wrapped, wide).view(np.int64)
