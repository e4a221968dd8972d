"""Public arguments, checked once at the edge: what comes out is a plain Python number or immutable bytes.

numpy's scalars look like numbers and are not: they overflow at their own width, and `np.uint8(255) ** 2` is 1.  So no
public number reaches arithmetic before `whole` or `real` has made a Python number of it.
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
        value: an `int`, a numpy integer, or whatever else has `__index__`; no boolean and no float, 2.0 neither.
        name: of the parameter, for the error.

    Raises:
        ArgumentTypeError: it is no integer.
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
        value: an `int`, `float`, numpy number or `Fraction`; no boolean, string or array.
        name: of the parameter, for the error.

    Raises:
        ArgumentTypeError: it is no real number.
        LocalProtocolError: it is not finite, or no float has this value.
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
    """The Python truth value: `np.False_ is False` does not hold.

    Raises:
        ArgumentTypeError: it is neither true nor false, but something that could be taken for it, such as 1 or "no".
    """
    if not isinstance(value, _BOOLEANS):
        raise ArgumentTypeError(f"{name} must be True or False, got {_kind(value)}")
    return bool(value)


def octets(value: bytes | bytearray | memoryview, name: str) -> bytes:
    """The same bytes, immutable.

    Raises:
        ArgumentTypeError: it is no `bytes`, `bytearray` or `memoryview`; text has to be encoded by the caller.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ArgumentTypeError(f"{name} must be bytes, got {_kind(value)}")
    return bytes(value)


def array(values: ArrayLike, name: str, dtype: type[Any] | None = None) -> NDArray[Any]:
    """`numpy.asarray` for arrays whose every entry counts; of Python's objects with `dtype=object`, where integers may
    have more than 63 bits, of which numpy would otherwise make floats.

    Raises:
        ArgumentTypeError: a masked array, whose mask would be lost.
    """
    nested = isinstance(values, list | tuple) and any(isinstance(value, np.ma.MaskedArray) for value in values)
    if nested or isinstance(values, np.ma.MaskedArray):
        raise ArgumentTypeError(f"{name} must not be a masked array: its mask would be lost; fill it first")
    return np.asarray(values, dtype)


def in_place(values: NDArray[Any], name: str) -> NDArray[Any]:
    """An array that is to be changed: the very same, where `array` might make a copy.

    Raises:
        ArgumentTypeError: it is no array, or a masked one.
    """
    if not isinstance(values, np.ndarray) or isinstance(values, np.ma.MaskedArray):
        raise ArgumentTypeError(f"{name} must be an array without a mask, got {_kind(values)}")
    return values


def assign(instance: object, check: Callable[[Any, str], Any], **values: Any) -> None:
    """Set attributes, in a frozen dataclass too, to what `check` makes of these values; for `__init__`."""
    for name, value in values.items():
        object.__setattr__(instance, name, check(value, name))


def unchecked(value: Any, name: str) -> Any:
    """For `assign`: the value as it is."""
    return value


def optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The same check for a parameter that may be left out: `None` stays."""
    return lambda value, name: None if value is None else check(value, name)


def convert(instance: object, check: Callable[[Any, str], Any], *names: str) -> None:
    """Put what `check` makes of these attributes into their places, in a frozen dataclass too; for `__post_init__`.

    `None` stays: it stands for what was not given, where a parameter may be left out.
    """
    for name in names:
        value = getattr(instance, name)
        if value is not None:
            object.__setattr__(instance, name, check(value, name))


def _kind(value: object) -> str:
    """What was passed, by type: a value may be secret."""
    return type(value).__name__
