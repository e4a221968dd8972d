"""Public arguments, checked once at the edge: each becomes a plain Python number, immutable bytes or an array.

numpy's scalars look like Python's numbers but overflow at their own width: `np.uint8(255) ** 2` is 1. So no public
number reaches arithmetic before `whole` or `real` has made a Python number of it.
"""

from collections.abc import Callable
from math import isfinite
from operator import index
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ArgumentTypeError, LocalProtocolError

_BOOLEANS = (bool, np.bool_)
_NO_INTEGERS = (*_BOOLEANS, np.ma.MaskedArray)  # all have, or once had, __index__
_NO_REALS = (*_BOOLEANS, str, bytes, bytearray, np.ndarray, np.complexfloating)  # all have, or once had, __float__


def whole(value: SupportsIndex, name: str) -> int:
    """The Python integer of the same value.

    Args:
        value: an `int`, a numpy integer, or another value with `__index__`; no boolean, and no float, not even 2.0.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is not an integer.
    """
    if not isinstance(value, _NO_INTEGERS):
        try:
            return index(value)
        except TypeError:
            pass
    raise ArgumentTypeError(f"{name} must be an integer, got {_kind(value)}")


def real(value: SupportsFloat, name: str) -> float:
    """The Python float of the same value.

    Args:
        value: an `int`, `float`, numpy number or `Fraction`; not a boolean, string or array.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is not a real number.
        LocalProtocolError: the value is not finite, or no float has it.
    """
    if isinstance(value, _NO_REALS) or not isinstance(value, SupportsFloat):
        raise ArgumentTypeError(f"{name} must be a real number, got {_kind(value)}")
    try:
        number = float(value)
    except (TypeError, OverflowError):
        raise LocalProtocolError(f"{name} must be a real number that a float can hold, got {_kind(value)}") from None
    if not isfinite(number):
        raise LocalProtocolError(f"{name} must be finite, got {number}")
    if number != value:
        raise LocalProtocolError(f"{name} must be a number that a float holds exactly; pass float(...) to round it")
    return number


def flag(value: bool | np.bool_, name: str) -> bool:
    """The Python truth value, as `np.False_ is False` does not hold.

    Args:
        value: a `bool` or numpy's.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is something else, even if it could pass for a truth value, such as 1 or "no".
    """
    if not isinstance(value, _BOOLEANS):
        raise ArgumentTypeError(f"{name} must be True or False, got {_kind(value)}")
    return bool(value)


def octets(value: bytes | bytearray | memoryview, name: str) -> bytes:
    """The same bytes, immutable.

    Args:
        value: `bytes`, a `bytearray` or a `memoryview`; the caller must encode text.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is something else.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ArgumentTypeError(f"{name} must be bytes, got {_kind(value)}")
    return bytes(value)


def array(values: ArrayLike, name: str, dtype: type[Any] | None = None) -> NDArray[Any]:
    """`numpy.asarray`, but for masked arrays.

    Args:
        values: an array, or what numpy makes one of.
        name: the parameter's name, for the error.
        dtype: `object` where integers may have more than 63 bits: numpy would make floats of them otherwise.

    Raises:
        ArgumentTypeError: the array is masked, and its mask would be lost.
    """
    nested = isinstance(values, list | tuple) and any(isinstance(value, np.ma.MaskedArray) for value in values)
    if nested or isinstance(values, np.ma.MaskedArray):
        raise ArgumentTypeError(f"{name} must not be a masked array: its mask would be lost; fill it first")
    return np.asarray(values, dtype)


def in_place(values: NDArray[Any], name: str) -> NDArray[Any]:
    """An array that is to be changed: the same object, where `array` might make a copy.

    Args:
        values: the array.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is not an array, or the array is masked.
    """
    if not isinstance(values, np.ndarray) or isinstance(values, np.ma.MaskedArray):
        raise ArgumentTypeError(f"{name} must be an array without a mask, got {_kind(values)}")
    return values


def assign(instance: object, check: Callable[[Any, str], Any], **values: Any) -> None:
    """Set attributes, also of a frozen dataclass, to what `check` makes of these values; for `__init__`."""
    for name, value in values.items():
        object.__setattr__(instance, name, check(value, name))


def unchecked(value: Any, name: str) -> Any:
    """For `assign`: the value as it is."""
    return value


def optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The same check for a parameter that may be None, which stays None."""
    return lambda value, name: None if value is None else check(value, name)


def convert(instance: object, check: Callable[[Any, str], Any], *names: str) -> None:
    """Replace attributes, also of a frozen dataclass, by what `check` makes of them; for `__post_init__`.

    None stays None: it means that a parameter was left out.
    """
    for name in names:
        value = getattr(instance, name)
        if value is not None:
            object.__setattr__(instance, name, check(value, name))


def _kind(value: object) -> str:
    """The type of a value, for errors: the value itself may be secret."""
    return type(value).__name__
