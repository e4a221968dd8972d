"""Which inputs a plan's noise covers: a set in which any two inputs are within the plan's sensitivity of each other.

A client with a replace-one plan hides which input of the set it sent. So the diameter of the set matters, in L1 and in
L2, and the set must not depend on the input. All numbers are exact integers: norms are squared, and centres doubled.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arguments import array, whole
from ..dp import Sensitivity
from ..errors import require

_LOW = np.uint64((1 << 32) - 1)


class InputBound(Protocol):
    """A set of inputs that a plan's noise covers."""

    def holds(self, x: NDArray[Any]) -> bool:
        """Whether x is in the set.

        Args:
            x: integers of at most 64 bits, shape [m].

        Raises:
            LocalProtocolError: x does not hold integers.
        """


@dataclass(frozen=True, eq=False)
class Ball:
    """The inputs that are within half of the sensitivity of a centre, in both norms: 2 |x - centre| <= L1 and L2.

    Attributes:
        sensitivity: the plan's sensitivity of one report.
        doubled_centre: 2 * centre, because centres may be halves: integers [m], or one integer for all entries.

    Raises:
        LocalProtocolError: the doubled centre does not consist of integers.
    """

    sensitivity: Sensitivity
    doubled_centre: NDArray[Any] | int

    def __post_init__(self) -> None:
        centre: NDArray[Any] | int
        if isinstance(self.doubled_centre, np.ndarray):
            centre = _integers(self.doubled_centre, "doubled_centre").copy()
        else:
            centre = whole(self.doubled_centre, "doubled_centre")
        object.__setattr__(self, "doubled_centre", centre)

    def holds(self, x: NDArray[Any]) -> bool:
        """Whether x is in the ball.

        Args:
            x: integers of at most 64 bits, shape [m].

        Raises:
            LocalProtocolError: x does not hold integers.
        """
        l1, l2_squared = _norms(_difference(_integers(x, "x"), 2, self.doubled_centre))
        return l1 <= self.sensitivity.l1 and l2_squared <= self.sensitivity.l2_squared


@dataclass(frozen=True)
class Counts:
    """Inputs without negative entries, centred at 0, such as the counts of one report.

    If the sensitivity covers all of 0 .. max_value in every entry, all these inputs are in the set. Otherwise those are
    whose norm is bounded: as x and x' have no negative entries, |x - x'|_2^2 <= |x|_2^2 + |x'|_2^2 and |x - x'|_1 <=
    |x|_1 + |x'|_1, which is at most twice the bound (for a single entry, at most the bound).

    Attributes:
        sensitivity: the plan's sensitivity of one report.
        length: m.
        max_value: the largest entry that a client may send.

    Raises:
        LocalProtocolError: the length or the largest entry is not an integer of 1 or more.
    """

    sensitivity: Sensitivity
    length: int
    max_value: int

    def __post_init__(self) -> None:
        for name in ("length", "max_value"):
            number = whole(getattr(self, name), name)
            require(number >= 1, f"{name} must be at least 1, got {number}")
            object.__setattr__(self, name, number)

    def holds(self, x: NDArray[Any]) -> bool:
        """Whether x is in the set.

        Args:
            x: integers of at most 64 bits, shape [m], none of them negative.

        Raises:
            LocalProtocolError: x does not hold integers.
        """
        l1, l2_squared = _norms(_difference(_integers(x, "x"), 1, 0))
        apart = 1 if self.length == 1 else 2
        return (self._covers_all_in_l1 or apart * l1 <= self.sensitivity.l1) and (
            self._covers_all_in_l2 or apart * l2_squared <= self.sensitivity.l2_squared
        )

    @property
    def _covers_all_in_l1(self) -> bool:
        """Whether all inputs are within L1, by their entries or by L2: integers have L1 <= L2^2 and <= sqrt(m) L2."""
        l2_squared = self.sensitivity.l2_squared // 1
        implied = min(l2_squared, isqrt(self.length * l2_squared))
        return min(implied, self.length * self.max_value) <= self.sensitivity.l1

    @property
    def _covers_all_in_l2(self) -> bool:
        return self.length * self.max_value**2 <= self.sensitivity.l2_squared


def _integers(values: NDArray[Any], name: str) -> NDArray[Any]:
    checked = array(values, name)
    require(checked.dtype.kind in "iu", f"{name} must hold integers, its dtype is {checked.dtype}")
    return checked


def _difference(x: NDArray[Any], factor: int, shift: NDArray[Any] | int) -> NDArray[Any]:
    """factor * x - shift, in int64 where nothing can overflow, otherwise in Python's integers."""
    kind = np.int64 if max(_peak(x), _peak(np.asarray(shift))) < 1 << 60 else object
    return np.asarray(factor * x.astype(kind) - np.asarray(shift).astype(kind))


def _peak(values: NDArray[Any]) -> int:
    """The largest magnitude."""
    return max(-int(values.min()), int(values.max()))


def _norms(values: NDArray[Any]) -> tuple[int, int]:
    """L1, and L2 squared, of int64 or of Python's integers."""
    if values.dtype == object or _peak(values) >= 1 << 32:
        exact = np.abs(values.astype(object))
        return int(exact.sum()), int(exact.dot(exact))
    magnitudes = np.abs(values).astype(np.uint64)
    return _sum(magnitudes), _sum(magnitudes * magnitudes)


def _sum(values: NDArray[np.uint64]) -> int:
    """The exact sum of fewer than 2**32 numbers: the sums of their upper and lower halves fit uint64."""
    return (int((values >> np.uint64(32)).sum()) << 32) + int((values & _LOW).sum())
