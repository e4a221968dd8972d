"""Public arguments, checked once at the edge: each becomes a plain Python number, immutable bytes or an array.

numpy's scalars look like Python's numbers but overflow at their own width: `np.uint8(255) ** 2` is 1. So no public
number reaches arithmetic before `whole` or `real` has made a Python number of it.
"""

import sys
from collections.abc import Callable
from math import isfinite, prod
from operator import index
from typing import Any, Protocol, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ArgumentTypeError, LocalProtocolError


class _SupportsBuffer(Protocol):
    """`collections.abc.Buffer`, which Python 3.11 does not have yet."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class _SupportsDlpack(Protocol):
    def __dlpack__(self) -> Any: ...


Buffer = NDArray[Any] | _SupportsBuffer | _SupportsDlpack

ROW = ("n",)
_IN_ORDER, _WRITEABLE = 0x101, 0x400  # numpy's flags: C_CONTIGUOUS and ALIGNED, WRITEABLE

_BOOLEANS = (bool, np.bool_)
_NO_REALS = (*_BOOLEANS, str, bytes, bytearray, np.ndarray, np.complexfloating)  # all have, or once had, __float__


def whole(value: SupportsIndex, name: str) -> int:
    """The Python integer of the same value.

    Args:
        value: an `int`, a numpy integer, or another value with `__index__`; no boolean, and no float, not even 2.0.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is not an integer.
    """
    if type(value) is int:
        return value
    if not (isinstance(value, _BOOLEANS) or is_masked(value)):  # they have, or once had, __index__
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
    nested = isinstance(values, list | tuple) and any(is_masked(value) for value in values)
    if nested or is_masked(values):
        raise ArgumentTypeError(f"{name} must not be a masked array: its mask would be lost; fill it first")
    return np.asarray(values, dtype)


def buffer(
    values: Buffer, name: str, kind: np.dtype[Any], shape: tuple[int | str, ...] = ROW, *, writable: bool = False
) -> NDArray[Any]:
    """The caller's own memory as an array: never a copy.

    Args:
        values: a numpy array, or whatever else has a C-contiguous buffer or `__dlpack__`: `bytes`, a `bytearray`,
            `array.array`, `memoryview`, an array of ctypes. If it is no numpy array, it may have one axis in place of
            several, of which the lengths of all but one must be given.
        name: the parameter's name, for the error.
        kind: the type that items must have. Those of a `bytearray` are uint8.
        shape: of each axis, its length, or what the error calls it if that is the caller's choice.
        writable: whether it is to be changed.

    Raises:
        ArgumentTypeError: this is no buffer, or its items have another type.
        ValueError: the buffer has another shape, its items do not follow each other or are not aligned, or it is to be
            changed and is read-only. numpy takes what a `__dlpack__` without versions gives to be so.
    """
    need = _IN_ORDER | _WRITEABLE if writable else _IN_ORDER
    array = values if type(values) is np.ndarray else view(values, name)
    if array.dtype == kind:
        if array.ndim != len(shape) and not isinstance(values, np.ndarray):
            array = _with_axes(array, shape)
        if array.flags.num & need == need and _is(array.shape, shape):
            return array
    raise _refusal(values, array, name, kind, shape)


def view(values: Buffer, name: str) -> NDArray[Any]:
    """The memory of a buffer of any items and axes, as `buffer` takes them.

    Args:
        values: the buffer.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is no buffer, or a masked array.
    """
    if is_masked(values):
        raise ArgumentTypeError(f"{name} must not be a masked array: its mask would be lost; fill it first")
    try:
        if isinstance(values, np.ndarray):
            return values.view(np.ndarray)
        if hasattr(values, "__dlpack__"):
            return np.from_dlpack(values)  # type: ignore[arg-type]
        array = np.asarray(memoryview(values))
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        reason = f": {error}" if hasattr(values, "__dlpack__") else ""  # its own, such as where the array is
        raise ArgumentTypeError(f"{name} must be an array or another buffer, got {_kind(values)}{reason}") from None
    return array.view(np.uint8) if array.dtype == "S1" else array  # as ctypes.create_string_buffer has them


def _with_axes(array: NDArray[Any], wanted: tuple[int | str, ...]) -> NDArray[Any]:
    """A row of items, cut into axes if it has the right number of them."""
    row = prod(length for length in wanted if isinstance(length, int))
    if array.ndim != 1 or not array.flags.c_contiguous or row == 0 or array.size % row:
        return array
    return array.reshape([length if isinstance(length, int) else array.size // row for length in wanted])


def _is(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    if wanted is ROW or shape == wanted:
        return True
    return all(isinstance(want, str) or length == want for length, want in zip(shape, wanted, strict=True))


def _refusal(
    values: Buffer, array: NDArray[Any], name: str, kind: np.dtype[Any], wanted: tuple[int | str, ...]
) -> Exception:
    """What is wanted and what was given; nothing of what is in it."""
    ours = isinstance(values, np.ndarray)
    given = f"{'' if ours else _kind(values) + ' of '}{array.dtype}{list(array.shape)}"
    message = f"{name} must be {kind}[{', '.join(map(str, wanted))}], got {given}"
    if array.dtype != kind:
        cast = "" if ours or array.dtype != np.uint8 else f"; cast it: memoryview({name}).cast({kind.char!r})"
        return ArgumentTypeError(message + cast)
    if not array.flags.c_contiguous:
        return ValueError(message + " that is not C-contiguous")
    if not array.flags.aligned:
        return ValueError(message + " that is not aligned")
    return ValueError(message + (" that is read-only, and it is to be changed" if _is(array.shape, wanted) else ""))


def in_place(values: NDArray[Any], name: str) -> NDArray[Any]:
    """An array that is to be changed: the same object, where `array` might make a copy.

    Args:
        values: the array.
        name: the parameter's name, for the error.

    Raises:
        ArgumentTypeError: the value is not an array, or the array is masked.
    """
    if not isinstance(values, np.ndarray) or is_masked(values):
        raise ArgumentTypeError(f"{name} must be an array without a mask, got {_kind(values)}")
    return values


def is_masked(value: object) -> bool:
    """Whether a value is an array with a mask. As long as nobody has loaded `numpy.ma`, which takes time, none is.

    Another thread may be loading it at this moment: it is among the modules then, and has no class yet.
    """
    kind = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return kind is not None and isinstance(value, kind)


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
