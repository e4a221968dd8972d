"""The arrays of a model by name, and how the change of a model lies in one flat vector.

What is averaged is the difference to the model that a node was sent, so that the bound on values (`clip`) bounds what
one round of training may change, and the mean is added to that model again. Integers, such as counters in a model's
buffers, are averaged like the rest and rounded to their dtype. A vector of differences has no room for a change that is
larger than the bound: floats are clipped to it, and where an integer would be, its node leaves the round.

Nodes that were sent different models are in different sessions: `digest` enters `Params.context`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array as plain_array
from ..errors import LocalProtocolError, require
from ..protocol.binding import Plain
from ..protocol.layout import Floats

Arrays = Mapping[str, NDArray[Any]]

_FLOATS = frozenset({"float16", "float32", "float64", "bfloat16"})  # bfloat16 is that of ml_dtypes
_EXACT = 1 << 53  # float64 holds all integers up to here


class UnusableUpdate(Exception):
    """An update that cannot be averaged, because of its values: the text is for the node's own log only."""


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype are rounded."""
    return dtype.kind in "iu"


def _is_number(dtype: np.dtype[Any]) -> bool:
    return is_integer(dtype) or dtype.name in _FLOATS


@dataclass(frozen=True)
class ModelForm:
    """Which arrays of a model are averaged, in their order.

    Attributes:
        shapes: by name, of the arrays that are averaged.
        left_out: the names of the others, in their order.
    """

    shapes: Mapping[str, tuple[int, ...]]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, model: Arrays, left_out: Collection[str] = ()) -> "ModelForm":
        """The form of a model.

        Args:
            model: by name.
            left_out: names, or patterns such as "*.num_batches_tracked", of arrays that are not averaged.

        Raises:
            LocalProtocolError: an array that is not left out does not hold real numbers that can be averaged.
        """
        arrays = {name: plain_array(values, f"array {name!r}") for name, values in model.items()}
        out = tuple(name for name in arrays if any(_matches(name, pattern) for pattern in left_out))
        averaged = {name: values for name, values in arrays.items() if name not in out}
        for name, values in averaged.items():
            require(_is_number(values.dtype), _no_number(name, values.dtype))
        return cls({name: values.shape for name, values in averaged.items()}, out)

    @property
    def size(self) -> int:
        """The length of the flat vector."""
        return sum(map(prod, self.shapes.values()))

    @property
    def plain(self) -> Plain:
        """What equal forms have in common, for `Binding`."""
        return [[[name, list(shape)] for name, shape in self.shapes.items()], list(self.left_out)]

    def check(self, model: Arrays) -> None:
        """Check that a model has this form, whatever its dtypes.

        Args:
            model: by name; arrays that are left out may be missing.

        Raises:
            LocalProtocolError: it has another; the error names the first array that differs.
        """
        missing = [name for name in self.shapes if name not in model]
        require(not missing, f"array {missing[0] if missing else ''!r} is missing")
        unknown = [name for name in model if name not in self.shapes and name not in self.left_out]
        require(not unknown, f"there is an array {unknown[0] if unknown else ''!r} that the model does not have")
        for name, shape in self.shapes.items():
            values = plain_array(model[name], f"array {name!r}")
            require(values.shape == shape, f"array {name!r} has shape {list(values.shape)}, the model's {list(shape)}")
            require(_is_number(values.dtype), _no_number(name, values.dtype))

    def write_difference(self, new: Arrays, received: Arrays, clip: float, out: Floats) -> None:
        """Write the change of a model: its flat vector.

        Args:
            new: the model after training, of this form.
            received: the model before.
            clip: the largest change of an integer.
            out: where to write it, float64[size].

        Raises:
            UnusableUpdate: a value is NaN or infinite, or an integer has changed by more than clip.
        """
        for name, piece in self._pieces(out).items():
            _write_difference(name, new[name], received[name], clip, piece)

    def moved(self, received: Arrays, change: Floats, dtypes: Mapping[str, np.dtype[Any]]) -> dict[str, NDArray[Any]]:
        """A model to which a mean change was added; arrays that are left out stay as they are.

        Args:
            received: the model before.
            change: float64[size].
            dtypes: by name, of the result, where it is not that of `received`.
        """
        pieces = self._pieces(change)
        return {
            name: _moved(values, pieces[name], dtypes.get(name, values.dtype)) if name in pieces else values
            for name, values in received.items()
        }

    def _pieces(self, flat: Floats) -> dict[str, Floats]:
        """Each array's part of a flat vector, by name."""
        ends = np.cumsum([prod(shape) for shape in self.shapes.values()])[:-1]
        return dict(zip(self.shapes, np.split(flat, ends), strict=True)) if self.shapes else {}


def digest(model: Arrays) -> str:
    """SHA-256 of names, dtypes, shapes and values, in hexadecimal.

    Args:
        model: by name, in its order.

    Raises:
        LocalProtocolError: an array holds Python's objects, whose values cannot be hashed; not even one that is left
            out may do so, as training reads those, too.
    """
    arrays = {name: plain_array(values, f"array {name!r}") for name, values in model.items()}
    for name, values in arrays.items():
        require(not values.dtype.hasobject, f"array {name!r} holds objects, which cannot be compared between nodes")
    form = [[name, values.dtype.name, list(values.shape)] for name, values in arrays.items()]
    total = sha256(b"secagg model v1\0" + json.dumps(form, separators=(",", ":")).encode() + b"\0")
    for values in arrays.values():
        total.update(_bytes(values))
    return total.hexdigest()


def _bytes(values: NDArray[Any]) -> memoryview | bytes:
    """An array's values, little-endian and in C's order."""
    ordered = np.ascontiguousarray(values)
    if ordered.dtype.byteorder == ">":
        ordered = ordered.astype(ordered.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data if ordered.size else b""


def _matches(name: str, pattern: str) -> bool:
    """Whether an array is meant; a name with brackets, such as "layers[0].n", is no pattern that matches itself."""
    return name == pattern or fnmatchcase(name, pattern)


def _no_number(name: str, dtype: np.dtype[Any]) -> str:
    hint = ": is ml_dtypes installed?" if dtype.kind == "V" else ""
    return (
        f"array {name!r} has dtype {dtype}, which cannot be averaged{hint}; leave it out (left_out), or send floats or"
        " integers"
    )


def _write_difference(name: str, new: NDArray[Any], received: NDArray[Any], clip: float, change: Floats) -> None:
    """new - received. What was received as integers is a buffer of integers, whatever training made of it: its change
    is exact, as far as float64 holds the difference, and bounded.
    """
    after, before = np.asarray(new).ravel(), np.asarray(received).ravel()
    with np.errstate(invalid="ignore", over="ignore"):
        np.subtract(after, before, out=change, dtype=np.float64, casting="unsafe")
    if not np.isfinite(change).all():
        whose = "" if np.isfinite(before.astype(np.float64)).all() else " of the model that was received"
        raise UnusableUpdate(f"array {name!r}{whose} holds NaN or infinity")
    if not is_integer(before.dtype):
        return
    if max(_peak(after), _peak(before)) >= _EXACT:
        change[:] = [float(a - b) for a, b in zip(_exact(after), _exact(before), strict=True)]
    if _peak(change) > clip:
        raise UnusableUpdate(
            f"array {name!r} holds integers that have changed by more than clip = {clip}: raise clip, or leave the"
            " array out (left_out)"
        )


def _exact(values: NDArray[Any]) -> list[Fraction]:
    """Values of integers or floats as they are."""
    return [Fraction(each) for each in (values if is_integer(values.dtype) else values.astype(np.float64)).tolist()]


def _peak(values: NDArray[Any]) -> float:
    """The largest magnitude; 0 of no values."""
    return float(max(values.max(), -float(values.min()))) if values.size else 0.0


def _moved(before: NDArray[Any], change: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """before + change in this dtype: rounded to integers, and kept within the dtype's range."""
    moved = change.reshape(before.shape)
    if not is_integer(dtype):
        return _narrowed(before.astype(np.float64) + moved, dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if is_integer(before.dtype) and dtype.itemsize == 8:  # beyond what float64 holds
        steps = np.rint(change).astype(np.int64).tolist()
        exact = [min(max(a + b, low), high) for a, b in zip(before.ravel().tolist(), steps, strict=True)]
        return np.array(exact, dtype).reshape(before.shape)
    return np.clip(np.rint(before.astype(np.float64) + moved), low, high).astype(dtype)


def _narrowed(values: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """In a dtype of floats; the mean of values that it holds is at most a step beyond them."""
    if dtype.itemsize > 2 or dtype.name != "float16":
        return values.astype(dtype)
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype(dtype)


def require_finite(model: Arrays, form: ModelForm) -> None:
    """Check a model before nodes are sent it.

    Args:
        model: by name.
        form: its form.

    Raises:
        LocalProtocolError: a value that is averaged is NaN or infinite.
    """
    for name in form.shapes:
        if not np.isfinite(np.asarray(model[name]).astype(np.float64)).all():
            raise LocalProtocolError(f"array {name!r} of the model to be trained holds NaN or infinity")
