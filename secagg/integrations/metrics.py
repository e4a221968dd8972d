"""Metrics that are summed under the mask with the model: counts exactly, and reals to the quantizer's bound.

Every metric has a bound, which site and server both state. A count of up to `max_value` is written in digits of as many
bits as an element of an encoded vector holds: each digit is an element, and no sum of digits overflows. A real in
[-bound, bound] is scaled to the encoding's range and is an entry beside those of the model, so that it is averaged with
the same weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, optional, real, whole
from ..errors import LocalProtocolError, require
from ..protocol.binding import Plain
from ..protocol.layout import Floats
from .arrays import UnusableUpdate

Value = int | float | list[int] | list[float]
LENGTH_MAX = 1 << 16
COUNT_MAX = 1 << 256


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric, of which a node reports one value or a list of a fixed length. See `count` and `mean`.

    Attributes:
        max_value: for counts, the largest value that one node may report; None for means.
        bound: for means, the largest magnitude; None for counts.
        length: of a list; None for one value.

    Raises:
        LocalProtocolError: both or none of max_value and bound are given, or one is out of range.
    """

    max_value: int | None = None
    bound: float | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        convert(self, optional(whole), "max_value", "length")
        convert(self, optional(real), "bound")
        require((self.max_value is None) != (self.bound is None), "a metric is a count or a mean: give one of the two")
        require(
            self.max_value is None or 1 <= self.max_value < COUNT_MAX,
            f"a count must be 1 .. 2**256 - 1 at most, got {self.max_value}",
        )
        require(
            self.bound is None or 1e-200 < self.bound < 1e200,
            f"a mean's bound must be positive (1e-200 .. 1e200), got {self.bound}",
        )
        require(self.length is None or 1 <= self.length <= LENGTH_MAX, f"length must be 1 .. 65536, got {self.length}")

    @classmethod
    def count(cls, max_value: int, *, length: int | None = None) -> "Metric":
        """Integers from 0 to max_value, whose sum is exact.

        Args:
            max_value: the largest value of one node.
            length: of a list; None for one value.
        """
        return cls(max_value=max_value, length=length)

    @classmethod
    def mean(cls, bound: float, *, length: int | None = None) -> "Metric":
        """Reals from -bound to bound, whose weighted mean is as exact as that of the model, in proportion to the bound.

        Args:
            bound: the largest magnitude.
            length: of a list; None for one value.
        """
        return cls(bound=bound, length=length)

    @property
    def is_count(self) -> bool:
        """Whether sums are exact."""
        return self.max_value is not None

    @property
    def width(self) -> int:
        """How many values there are."""
        return self.length or 1

    @property
    def plain(self) -> Plain:
        """What equal metrics have in common, for `Binding`; a count is text, as JSON's numbers end at 2**53."""
        return [None if self.max_value is None else str(self.max_value), self.bound, self.length]


def check_reported(metrics: Mapping[str, Metric], reported: Mapping[str, Any]) -> None:
    """Check that a node reports the metrics that were agreed on, and numbers.

    Args:
        metrics: by name.
        reported: by name.

    Raises:
        LocalProtocolError: one is missing or was not agreed on, or is no number or list of the length. Nothing of the
            values is in the error.
    """
    for name in reported:
        require(
            name in metrics,
            f"metric {name!r} has no bound and cannot be summed: give it one ([metrics], Coding.metrics), or report it"
            " no longer",
        )
    for name, metric in metrics.items():
        require(name in reported, f"metric {name!r} is missing in what the application reports")
        values = reported[name]
        require(isinstance(values, list) == (metric.length is not None), f"metric {name!r} must be {_kind(metric)}")
        listed = values if isinstance(values, list) else [values]
        require(len(listed) == metric.width, f"metric {name!r} must be {_kind(metric)}, and has {len(listed)} values")
        for value in listed:
            require(_is_number(value), f"metric {name!r} must hold numbers, got {type(value).__name__}")
            require(
                not metric.is_count or is_whole(value) or not _is_finite(value),
                f"metric {name!r} is a count and must be an integer; for reals give it a bound (mean)",
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether a number is one of the integers, which no float may hold."""
    return isinstance(value, int | np.integer) or float(value).is_integer()


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | np.integer) or isfinite(value)


def _shown(value: Any) -> str:
    """A number in an error; Python writes no integer of thousands of digits."""
    return f"an integer of {value.bit_length()} bits" if isinstance(value, int) and abs(value) >> 256 else f"{value}"


def _kind(metric: Metric) -> str:
    return "one value" if metric.length is None else f"a list of {metric.length} values"


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def scaled(metrics: Mapping[str, Metric], reported: Mapping[str, Any], largest: float) -> Floats:
    """The means as entries of an update.

    Args:
        metrics: by name.
        reported: by name, as `check_reported` accepts them.
        largest: what a metric's bound becomes.

    Raises:
        UnusableUpdate: a value is not finite, or beyond its bound.
    """
    entries: list[float] = []
    for name, metric in _means(metrics).items():
        for value in _listed(reported[name]):
            if not _is_finite(value):
                raise UnusableUpdate(f"metric {name!r} is {value}")
            assert metric.bound is not None
            if abs(value) > metric.bound:
                raise UnusableUpdate(
                    f"metric {name!r} is {_shown(value)}, and its bound is {metric.bound}: raise the bound"
                )
            entries.append(float(value) / metric.bound * largest)
    return np.array(entries, np.float64)


def unscaled(metrics: Mapping[str, Metric], entries: Floats, largest: float) -> dict[str, Value]:
    """The means' values, from entries of the mean update.

    Args:
        metrics: by name.
        entries: as many as the means have values.
        largest: as for `scaled`.
    """
    read, place = {}, 0
    for name, metric in _means(metrics).items():
        assert metric.bound is not None
        values = (entries[place : place + metric.width] / largest * metric.bound).tolist()
        read[name] = values if metric.length is not None else values[0]
        place += metric.width
    return read


def means_width(metrics: Mapping[str, Metric]) -> int:
    """How many entries the means have."""
    return sum(metric.width for metric in _means(metrics).values())


def digits_width(metrics: Mapping[str, Metric], bits: int) -> int:
    """How many elements the counts have, in digits of this many bits."""
    return sum(metric.width * _digits(metric, bits) for metric in _counts(metrics).values())


def digits(metrics: Mapping[str, Metric], reported: Mapping[str, Any], bits: int) -> NDArray[np.uint64]:
    """The counts as elements of an encoded vector, the lowest digit first.

    Args:
        metrics: by name.
        reported: by name, as `check_reported` accepts them.
        bits: of a digit.

    Raises:
        UnusableUpdate: a value is negative, or larger than it may be.
    """
    elements: list[int] = []
    for name, metric in _counts(metrics).items():
        assert metric.max_value is not None
        for value in _listed(reported[name]):
            if not (_is_finite(value) and 0 <= value <= metric.max_value):
                raise UnusableUpdate(f"metric {name!r} is {_shown(value)}, and must be 0 .. {metric.max_value}")
            elements += [(int(value) >> bits * i) & ((1 << bits) - 1) for i in range(_digits(metric, bits))]
    return np.array(elements, np.uint64)


def counted(metrics: Mapping[str, Metric], elements: NDArray[Any], bits: int) -> dict[str, Value]:
    """The sums of counts, from the sums of their digits.

    Args:
        metrics: by name.
        elements: as many as `digits_width` says.
        bits: of a digit.
    """
    read: dict[str, Value] = {}
    place = 0
    for name, metric in _counts(metrics).items():
        count = _digits(metric, bits)
        sums = []
        for _ in range(metric.width):
            sums.append(sum(int(e) << bits * i for i, e in enumerate(elements[place : place + count])))
            place += count
        read[name] = sums if metric.length is not None else sums[0]
    return read


def refuse_counts(metrics: Mapping[str, Metric]) -> None:
    """Raises `LocalProtocolError` if there are counts: noise leaves no sum exact."""
    names = list(_counts(metrics))
    if names:
        raise LocalProtocolError(f"metric {names[0]!r} is a count, and with noise no sum is exact: make it a mean")


def _digits(metric: Metric, bits: int) -> int:
    assert metric.max_value is not None
    return -(-metric.max_value.bit_length() // bits)


def _means(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    return {name: metric for name, metric in metrics.items() if not metric.is_count}


def _counts(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    return {name: metric for name, metric in metrics.items() if metric.is_count}
