"""Model updates as vectors over Z_R, and sums over Z_R as sums and means of updates.

A value x in [-clip, clip] becomes an integer number of steps, step = clip / (2**(bits-1) - 1), so that 0 is a whole
number of steps and stays 0. Clients add an offset, because the protocol takes no negative input; the offset of a sum
is known from the number of survivors. Rounding is stochastic: to the step below or above, with the chances that make
it right on average, so that errors cancel over clients and rounds instead of adding up to a drift.

Weighted averages follow the paper's appendix C: a client sends w || w*x, and what the server divides by is the sum of
the w, which is masked like everything else. Of the two ways to quantize w*x, w times the rounded x has an error of up
to w steps; this module rounds the product, whose error is below one step whatever w is. Both need the same R, of at
least 2 * n * max_weight * clip/step, so rounding the product makes a mean of k clients more precise by the average
weight: below k/W steps, W the sum of weights, instead of one. Every client has the same offset, that of the largest
weight: if it grew with w, an error of one in W (such as noise) would move the whole model.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import vector
from ..arguments import array as plain_array
from ..arguments import convert, flag, real, whole
from ..errors import ArgumentTypeError, LocalProtocolError, RemoteProtocolError, require
from ..shamir import RandomBytes
from .binding import Binding, Plain, check_numbers
from .params import NoisePlan, Params

Arrays = TypeVar("Arrays", NDArray[Any], list[NDArray[Any]], dict[str, NDArray[Any]])
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layout(Generic[Arrays]):
    """How one array of any shape, a list of arrays, or a flat mapping of names to arrays (such as PyTorch's
    `state_dict()`) lies in one flat vector.

    Attributes:
        shapes: of the arrays, in their order.
        single: whether the model is one bare array and no list.
        keys: of a mapping, in its order; None for a list and for a bare array.
        dtypes: of the arrays that `restore` gives; None for float64 throughout.
    """

    shapes: tuple[tuple[int, ...], ...]
    single: bool
    keys: tuple[str, ...] | None = None
    dtypes: tuple[np.dtype[Any], ...] | None = None

    @classmethod
    def of(cls, model: Arrays, *, keep_dtypes: bool = False) -> "Layout[Arrays]":
        """The layout of models like this one.

        Args:
            model: an array, a list of arrays, or a mapping of strings to arrays; of real numbers.
            keep_dtypes: `restore` gives arrays of floats in the dtypes that they have here, such as float16. Arrays of
                integers become float64 all the same: the mean of integers is none.

        Raises:
            LocalProtocolError: an array holds no real numbers. `ArgumentTypeError`, if it is no array but a mapping, or
                a key is no string.
        """
        keep_dtypes, arrays = flag(keep_dtypes, "keep_dtypes"), _named(model)
        dtypes = (array.dtype if array.dtype.kind == "f" else np.dtype(np.float64) for array in arrays.values())
        return cls(
            shapes=tuple(array.shape for array in arrays.values()),
            single=not isinstance(model, Sequence | Mapping),
            keys=tuple(map(str, arrays)) if isinstance(model, Mapping) else None,
            dtypes=tuple(dtypes) if keep_dtypes else None,
        )

    @property
    def size(self) -> int:
        return sum(map(prod, self.shapes))

    @property
    def form(self) -> Plain:
        """What two parties' layouts have in common: all but the dtypes, which are the decoder's own affair."""
        keys: Plain = None if self.keys is None else list(self.keys)
        return [self.single, keys, [[int(side) for side in shape] for shape in self.shapes]]

    def flatten(self, model: Arrays) -> Floats:
        """A new flat float64 vector; a mapping's arrays in the order of `keys`, whatever order they come in. Raises
        `LocalProtocolError` for other keys or shapes, for what is no real number, and for NaN and infinity."""
        arrays = self._in_order(model)
        shapes = tuple(array.shape for array in arrays.values())
        require(shapes == self.shapes, f"arrays of shapes {self.shapes} expected, got {shapes}")
        return np.concatenate([_finite(array, name).ravel() for name, array in arrays.items()])

    def restore(self, flat: Floats) -> Arrays:
        """The inverse of `flatten`, in float64 or in `dtypes`.

        Raises:
            LocalProtocolError: a value is too large for the dtype that was asked for.
        """
        ends = np.cumsum([prod(shape) for shape in self.shapes])
        parts = zip(np.split(flat, ends[:-1]), self.shapes, strict=True)
        arrays = [part.reshape(shape) for part, shape in parts]
        if self.dtypes is not None:
            arrays = [_narrowed(array, dtype) for array, dtype in zip(arrays, self.dtypes, strict=True)]
        restored: Any = arrays[0] if self.single else arrays
        if self.keys is not None:
            restored = dict(zip(self.keys, arrays, strict=True))
        return restored  # type: ignore[no-any-return]

    def _in_order(self, model: Arrays) -> dict[int | str, NDArray[Any]]:
        """A model's arrays in the order in which they lie in the vector."""
        arrays = _named(model)
        if self.keys is None:
            require(not isinstance(model, Mapping), "an array or a list of arrays expected, got a mapping")
            return arrays
        require(isinstance(model, Mapping), "a mapping of names to arrays expected, as the layout's model was one")
        missing, unknown = set(self.keys) - set(arrays), set(arrays) - set(self.keys)
        require(not missing, f"the mapping lacks {sorted(missing)}")
        require(not unknown, f"the mapping has {sorted(map(str, unknown))}, which the layout's model had not")
        return {key: arrays[key] for key in self.keys}


@dataclass(frozen=True)
class Aggregate(Generic[Arrays]):
    """What the survivors' inputs add up to.

    Attributes:
        layout: of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector.
        weight: W, the sum of weights; without weights the number of survivors.
        sum_error: bound on the absolute error of each element of `sum`; see `Quantizer.error_bound`.
    """

    layout: Layout[Arrays]
    flat: Floats
    weight: int
    sum_error: float

    def __post_init__(self) -> None:
        convert(self, plain_array, "flat")
        convert(self, whole, "weight")
        convert(self, real, "sum_error")

    @property
    def sum(self) -> Arrays:
        """`flat` in the model's shapes, float64 or the layout's dtypes."""
        return self.layout.restore(self.flat)

    @property
    def mean(self) -> Arrays:
        """The (weighted) mean, sum / weight, in the model's shapes, float64 or the layout's dtypes."""
        return self.layout.restore(self.flat / self.weight)

    @property
    def mean_error(self) -> float:
        """Bound on the absolute error of each element of `mean`, before it is rounded to a narrower dtype."""
        return self.sum_error / self.weight


@dataclass(frozen=True, kw_only=True)
class Quantizer(Generic[Arrays]):
    """Fixed-point encoding of one model's updates; clients and server must hold equal ones.

    Attributes:
        layout: the model's shapes; `Quantizer.like` takes them from a model.
        clip: values are clipped to [-clip, clip] first; `clipped` counts how many that changes.
        bits: of one value before it is weighted, 2 or more: 2**bits - 1 values are told apart, from -clip to clip.
        max_weight: the largest weight, for weighted averages; None for plain sums and means. It is public, and a client
            that lies about its weight (in the semi-honest model none does) can exceed it.
        stochastic: round at random, right on average; otherwise to the nearest step, with half the error bound.

    Raises:
        LocalProtocolError: a value is out of range; max_weight * 2**bits must not exceed 2**53, where float64 ends.
    """

    layout: Layout[Arrays]
    clip: float
    bits: int = 16
    max_weight: int | None = None
    stochastic: bool = True

    def __post_init__(self) -> None:
        convert(self, real, "clip")
        convert(self, whole, "bits", "max_weight")
        convert(self, flag, "stochastic")
        require(self.layout.size > 0, "the model has no values")
        require(1e-200 < self.clip < 1e200, f"clip must be positive (1e-200 .. 1e200), got {self.clip}")
        require(2 <= self.bits <= 53, f"bits must be 2 .. 53, got {self.bits}")
        require(self.max_weight is None or self.max_weight >= 1, f"max_weight must be positive, got {self.max_weight}")
        require(self._limit << 1 < 1 << 53, "max_weight * 2**bits must not exceed 2**53")

    @classmethod
    def like(cls, model: Arrays, *, keep_dtypes: bool = False, **others: Any) -> Self:
        """A quantizer for updates shaped like `model`, an array, a list of arrays or a mapping of names to arrays, as
        `Layout.of` takes it; `others` as for `Quantizer`."""
        return cls(layout=Layout.of(model, keep_dtypes=keep_dtypes), **others)

    @property
    def step(self) -> float:
        """The distance of neighbouring values: clip / (2**(bits-1) - 1)."""
        return self.clip / self._steps

    @property
    def max_value(self) -> int:
        """The largest element of an encoded vector."""
        return 2 * self._limit

    @property
    def length(self) -> int:
        """m, the length of an encoded vector: one more than the model's with weights."""
        return self.layout.size + self._weighted

    def params(self, n: int, *, noise: NoisePlan | None = None, context: bytes = b"", **others: Any) -> Params:
        """Parameters of a session of n users that sums encoded vectors, bound to this quantizer; `noise` and `others`
        as for `Params.for_inputs`, `context` as for `bind`.

        Raises:
            LocalProtocolError: the context is too long; or a plan for noise, with weights. The weights are as private
                as what they weigh, so noise must cover them too, and their sensitivity is not that of values: see
                `secagg.noisy.NoisySum`.
        """
        require(
            noise is None or not self._weighted,
            "this quantizer knows no sensitivity of weights, and noise must cover them as well: for weighted averages"
            " with noise use secagg.noisy.NoisySum(max_weight=...)",
        )
        return Params.for_inputs(self.max_value, n=n, m=self.length, noise=noise, context=self.bind(context), **others)

    def bind(self, context: bytes = b"") -> bytes:
        """`Params.context` that binds a session to this quantizer and to the caller's context, for `Params` made by
        hand; `protocol.binding` says what is in it.

        Raises:
            LocalProtocolError: the caller's context is too long.
        """
        return self._binding.bind(context)

    def clipped(self, model: Arrays) -> int:
        """How many of the values are outside [-clip, clip], so that encoding changes them by more than a step."""
        return int(np.count_nonzero(np.abs(self.layout.flatten(model)) > self.clip))

    def encode(self, model: Arrays, weight: int | None = None, *, rand: RandomBytes = os.urandom) -> NDArray[np.uint64]:
        """x_u for `Client.set_input`: shape [length], each element 0 .. max_value.

        Args:
            model: the update, shaped like the quantizer's layout; any real dtype.
            weight: w, 1 .. max_weight, such as the number of training examples; with max_weight only.
            rand: source of the random bytes that decide the rounding, 4 for each value.

        Raises:
            LocalProtocolError: other shapes, NaN or infinity, a weight out of range, missing or not asked for.
        """
        w = self._checked_weight(weight)
        values = self.layout.flatten(model)
        np.clip(values, -self.clip, self.clip, out=values)
        values /= self.clip  # in this order no rounding takes |w * x| beyond w * clip
        values *= w * self._steps
        rounded = _round_at_random(values, rand) if self.stochastic else np.rint(values)
        encoded = rounded.astype(np.int64) + self._limit
        return (np.insert(encoded, 0, w) if self._weighted else encoded).astype(np.uint64)

    def decode(
        self, total: NDArray[Any], params: Params, survivors: int, *, unbound: bool = False
    ) -> Aggregate[Arrays]:
        """What a sum of encoded vectors stands for.

        Args:
            total: `Server.sum`, shape [length], uint32 or uint64.
            params: the session's, made by `params`, or by hand with a context from `bind`; noise that they leave room
                for is decoded as part of the sum.
            survivors: k, how many users' vectors are in the sum.
            unbound: take `params` that say nothing of a quantizer. Nothing shows then that clients encoded by an equal
                one, and if they did not, the result is wrong without a word.

        Raises:
            LocalProtocolError: the arguments do not belong together; of another quantizer it says what differs.
            RemoteProtocolError: the summed weight is none that k users can have sent.
        """
        total, survivors = plain_array(total, "total"), whole(survivors, "survivors")
        self._check_params(params, flag(unbound, "unbound"))
        self._check_total(total, params, survivors)
        offset = np.full(self.length, survivors * self._limit, params.dtype)
        offset[: self._weighted] = 0
        signed = centred(total, offset, params.modulus)
        weight = int(signed[0]) if self._weighted else survivors
        self._check_weight_sum(weight, params, survivors)
        flat = signed[self._weighted :].astype(np.float64) * self.step
        return Aggregate(self.layout, flat, weight, self.error_bound(survivors))

    def error_bound(self, survivors: int) -> float:
        """Bound on the absolute error of each element of a sum of (weighted) clipped values over k survivors.

        k steps for stochastic rounding, half as many for nearest; and the rounding of float64 itself, which only
        matters when max_weight * 2**bits comes near 2**50. The error of a mean is W times smaller.
        """
        return whole(survivors, "survivors") * self.step * ((1.0 if self.stochastic else 0.5) + self._limit * 2.0**-50)

    @cached_property
    def _binding(self) -> Binding:
        fields: dict[str, Plain] = {
            "layout": self.layout.form,
            "clip": float(self.clip),
            "bits": int(self.bits),
            "max_weight": None if self.max_weight is None else int(self.max_weight),
            "stochastic": bool(self.stochastic),
        }
        return Binding("quantizer", fields)

    @property
    def _steps(self) -> int:
        """clip / step."""
        return (1 << (self.bits - 1)) - 1

    @property
    def _limit(self) -> int:
        """The most steps that a weighted value has, and what is added to make it non-negative."""
        return (self.max_weight or 1) * self._steps

    @property
    def _weighted(self) -> int:
        """How many elements carry the weight."""
        return int(self.max_weight is not None)

    def _checked_weight(self, weight: int | None) -> int:
        if weight is None and self.max_weight is None:
            return 1
        if weight is None or self.max_weight is None:
            raise LocalProtocolError("a weight goes with a quantizer that has max_weight, and only with such a one")
        w = whole(weight, "weight")
        require(1 <= w <= self.max_weight, f"weight must be an integer 1 .. {self.max_weight}")
        return w

    def _check_params(self, params: Params, unbound: bool) -> None:
        self._binding.check(params.context, unbound=unbound)
        numbers = {"m": (params.m, self.length), "max_value": (params.max_value, self.max_value)}
        check_numbers(self._binding.kind, numbers)

    def _check_total(self, total: NDArray[Any], params: Params, survivors: int) -> None:
        require(1 <= survivors <= params.n, f"survivors must be 1 .. n = {params.n}, got {survivors}")
        require(
            total.shape == (params.m,) and total.dtype == params.dtype,
            f"the sum must be {params.dtype} of shape [{params.m}], got {total.dtype} {total.shape}",
        )

    def _check_weight_sum(self, weight: int, params: Params, survivors: int) -> None:
        most = survivors * (self.max_weight or 1) + params.room
        if not max(1, survivors - params.room) <= weight <= most:
            raise RemoteProtocolError(f"{survivors} users cannot have sent weights that add up to {weight}")


def _named(model: Any) -> dict[int | str, NDArray[Any]]:
    """A model's arrays by key or by number, in their order."""
    if isinstance(model, Mapping):
        named: Mapping[int | str, Any] = model
        strings = all(isinstance(key, str) for key in named)
        if not strings:
            raise ArgumentTypeError("the keys of a mapping of arrays must be strings")
    else:
        named = dict(enumerate(model if isinstance(model, Sequence) else [model]))
    return {name: _real(value, name) for name, value in named.items()}


def _real(value: Any, name: int | str) -> NDArray[Any]:
    if isinstance(value, Mapping):
        raise ArgumentTypeError(
            f"array {name!r} is a mapping: nested ones are not taken, flatten them to keys such as {f'{name}.weight'!r}"
        )
    array = plain_array(value, f"array {name!r}")
    require(array.dtype.kind in "fiu", f"array {name!r} must hold real numbers, its dtype is {array.dtype}")
    return array


def _finite(array: NDArray[Any], name: int | str) -> Floats:
    floats = array.astype(np.float64, copy=False)
    require(bool(np.isfinite(floats).all()), f"array {name!r} holds NaN or infinity")
    return floats


def _narrowed(array: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in this dtype, without the infinities that numpy makes of what it cannot hold."""
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    require(
        bool(np.isfinite(narrow).all()),
        f"a value is too large for {dtype}: take `flat`, which is float64, or decode by a layout without dtypes",
    )
    return narrow


def _round_at_random(values: Floats, rand: RandomBytes) -> Floats:
    """Down or up, up with the chance of the fractional part (to 2**-32); whole numbers stay."""
    below = np.floor(values)
    chance = (values - below) * 2.0**32
    drawn = np.frombuffer(rand(4 * len(values)), "<u4")
    require(len(drawn) == len(values), f"rand returned {drawn.nbytes} bytes where {4 * len(values)} were asked for")
    return below + (drawn < chance)


def centred(total: NDArray[Any], offset: NDArray[Any], modulus: int) -> NDArray[np.int64]:
    """total - offset mod R, as the representative nearest to 0."""
    difference = total.copy()
    vector.subtract(difference, offset, modulus)
    wide = difference.astype(np.uint64)
    wrapped = wide - np.uint64(modulus % (1 << 64))  # mod 2**64: two's complement
    return np.where(wide > modulus // 2, wrapped, wide).view(np.int64)
