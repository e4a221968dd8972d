"""How a model's arrays lie in one flat vector: one array, a list of arrays, or a mapping of names to arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arguments import array as plain_array
from ..arguments import flag
from ..errors import ArgumentTypeError, require
from .binding import Plain

Arrays = TypeVar("Arrays", NDArray[Any], list[NDArray[Any]], dict[str, NDArray[Any]])
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layout(Generic[Arrays]):
    """How a model lies in one flat vector.

    A model is one array of any shape, a list of arrays, or a flat mapping of names to arrays, such as PyTorch's
    `state_dict()`.

    Attributes:
        shapes: the shapes of the arrays, in their order.
        single: whether the model is one bare array, and not a list.
        keys: the keys of a mapping, in its order; None for a list and for a bare array.
        dtypes: the dtypes of the arrays that `restore` returns; None for float64 throughout.
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
            keep_dtypes: `restore` returns arrays of floats in the dtypes that they have here, such as float16. Arrays
                of integers become float64 all the same: the mean of integers is not an integer.

        Raises:
            LocalProtocolError: an array does not hold real numbers.
            ArgumentTypeError: there is a mapping in place of an array, or a key is not a string.
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
        """The length of the flat vector."""
        return sum(map(prod, self.shapes))

    @property
    def form(self) -> Plain:
        """What equal layouts have in common for `Binding`: all but the dtypes, which only the decoder needs."""
        keys: Plain = None if self.keys is None else list(self.keys)
        return [self.single, keys, [[int(side) for side in shape] for shape in self.shapes]]

    def flatten(self, model: Arrays) -> Floats:
        """The model's values as one flat vector, which may be a view of them.

        Args:
            model: shaped like this layout; the order of a mapping's keys does not matter.

        Returns:
            float64[size]

        Raises:
            LocalProtocolError: keys or shapes are others, an array does not hold real numbers, or a value is NaN or
                infinite.
        """
        arrays = self._in_order(model)
        shapes = tuple(array.shape for array in arrays.values())
        require(shapes == self.shapes, f"arrays of shapes {self.shapes} expected, got {shapes}")
        pieces = [_finite(array, name).ravel() for name, array in arrays.items()]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def restore(self, flat: Floats) -> Arrays:
        """The inverse of `flatten`, in float64 or in `dtypes`.

        Args:
            flat: float64[size].

        Raises:
            LocalProtocolError: a value is too large for its dtype.
        """
        ends = np.cumsum([prod(shape) for shape in self.shapes])
        pieces = zip(np.split(flat, ends[:-1]), self.shapes, strict=True)
        arrays = [piece.reshape(shape) for piece, shape in pieces]
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
        require(isinstance(model, Mapping), "a mapping of names to arrays expected, like the layout's model")
        missing, unknown = set(self.keys) - set(arrays), set(arrays) - set(self.keys)
        require(not missing, f"the mapping lacks {sorted(missing)}")
        require(not unknown, f"the mapping has {sorted(map(str, unknown))}, which the layout's model did not have")
        return {key: arrays[key] for key in self.keys}


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
            f"array {name!r} is a mapping: flatten nested mappings to keys such as {f'{name}.weight'!r}"
        )
    array = plain_array(value, f"array {name!r}")
    require(array.dtype.kind in "fiu", f"array {name!r} must hold real numbers, its dtype is {array.dtype}")
    return array


def _finite(array: NDArray[Any], name: int | str) -> Floats:
    floats = array.astype(np.float64, copy=False)
    require(bool(np.isfinite(floats).all()), f"array {name!r} holds NaN or infinity")
    return floats


def _narrowed(array: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in this dtype; values that it cannot hold are refused, where numpy makes infinities of them."""
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    require(
        bool(np.isfinite(narrow).all()),
        f"a value is too large for {dtype}: use `flat`, which is float64, or decode with a layout without dtypes",
    )
    return narrow
