"""How far one privacy unit can move the vector that is released, and so what noise must cover."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import isqrt
from typing import Self

from ..arguments import flag, whole
from ..errors import require
from .exact import Exact, fraction, text


class Neighbours(Enum):
    """Which inputs count as neighbours, and so what the noise hides."""

    REPLACE_ONE = "replace-one"
    """One unit's data is replaced by other data: noise hides what somebody sent, but not that they took part."""
    ADD_REMOVE = "add-remove"
    """One unit is added or removed: noise also hides whether somebody took part."""


@dataclass(frozen=True, init=False)
class Sensitivity:
    """Bounds on q(x) - q(x') over all neighbours x, x', for a q whose value is a vector of integers.

    Attributes:
        l1: the bound on the sum of absolute differences.
        l2_squared: the bound on the sum of squared differences, which is rational where its root is not.
        neighbours: the relation that the bounds are for.
        worst: absolute values of the non-zero entries of a difference that is the worst for all noise here, if there is
            one: (d,) for a single number and (1, 1) for a histogram. It allows exact accounting where Renyi
            divergences lose a little.

    Raises:
        LocalProtocolError: a bound is not positive or not an exact number, or `worst` does not have these norms.
    """

    l1: Fraction
    l2_squared: Fraction
    neighbours: Neighbours
    worst: tuple[int, ...] | None

    def __init__(
        self, l1: Exact, l2_squared: Exact, neighbours: Neighbours, *, worst: tuple[int, ...] | None = None
    ) -> None:
        object.__setattr__(self, "l1", fraction(l1, "l1"))
        object.__setattr__(self, "l2_squared", fraction(l2_squared, "l2_squared"))
        object.__setattr__(self, "neighbours", neighbours)
        object.__setattr__(self, "worst", None if worst is None else tuple(whole(d, "worst") for d in worst))
        require(isinstance(neighbours, Neighbours), f"neighbours must be a Neighbours, got {neighbours!r}")
        require(self.l1 > 0 and self.l2_squared > 0, f"a sensitivity must be positive, got {self}")
        require(
            self.worst is None or (sum(self.worst) == self.l1 and sum(d * d for d in self.worst) == self.l2_squared),
            f"worst = {self.worst} does not have the stated norms, {self}",
        )

    def __str__(self) -> str:
        return f"L1 = {text(self.l1)}, L2^2 = {text(self.l2_squared)} ({self.neighbours.value})"

    @classmethod
    def sum(cls, max_value: int, neighbours: Neighbours, *, min_value: int = 0) -> Self:
        """Of a sum of integers: the width of their range, or under add-remove the largest magnitude.

        Args:
            max_value: the largest integer.
            neighbours: the relation.
            min_value: the smallest integer.

        Raises:
            LocalProtocolError: min_value is not below max_value.
        """
        largest = _widest(min_value, max_value, neighbours)
        return cls(largest, largest**2, neighbours, worst=(largest,))

    @classmethod
    def vector_sum(cls, length: int, max_value: int, neighbours: Neighbours, *, min_value: int = 0) -> Self:
        """Of a sum of vectors of integers: every entry can change by the most that one integer can.

        Args:
            length: entries of a vector.
            max_value: the largest entry.
            neighbours: the relation.
            min_value: the smallest entry.

        Raises:
            LocalProtocolError: length is below 1, or min_value is not below max_value.
        """
        length = whole(length, "length")
        require(length >= 1, f"length must be at least 1, got {length}")
        largest = _widest(min_value, max_value, neighbours)
        return cls(length * largest, length * largest**2, neighbours, worst=(largest,) if length == 1 else None)

    @classmethod
    def histogram(cls, neighbours: Neighbours) -> Self:
        """Of counts by bucket, where a report is one bucket: a report that changes leaves one bucket for another.

        Args:
            neighbours: the relation.
        """
        changed = 2 if neighbours is Neighbours.REPLACE_ONE else 1
        return cls(changed, changed, neighbours, worst=(1,) * changed)

    @classmethod
    def multihot(cls, length: int, max_weight: int, neighbours: Neighbours) -> Self:
        """Of a sum of vectors of zeros and ones: as many ones as possible move to other entries.

        Args:
            length: entries of a vector.
            max_weight: the most ones of a vector, 1 .. length.
            neighbours: the relation.

        Raises:
            LocalProtocolError: max_weight is out of range.
        """
        length, max_weight = whole(length, "length"), whole(max_weight, "max_weight")
        require(1 <= max_weight <= length, f"max_weight must be 1 .. length = {length}, got {max_weight}")
        changed = min(2 * max_weight, length) if neighbours is Neighbours.REPLACE_ONE else max_weight
        return cls(changed, changed, neighbours, worst=(1,) * changed if changed <= 2 else None)

    @classmethod
    def l2_bounded(cls, norm_squared: Exact, length: int, neighbours: Neighbours, *, signed: bool = True) -> Self:
        """Of a sum of vectors of integers of bounded L2 norm.

        The distance of two such vectors is at most twice the norm, and at most sqrt 2 times the norm if no entry is
        negative. The L1 bound is the lesser of sqrt(length) * L2 and L2^2, as integers never exceed their squares.

        Args:
            norm_squared: the largest squared L2 norm of a vector; exact.
            length: entries of a vector.
            neighbours: the relation.
            signed: whether entries may be negative.

        Raises:
            LocalProtocolError: norm_squared or length is below 1.
        """
        length, signed = whole(length, "length"), flag(signed, "signed")
        require(length >= 1, f"length must be at least 1, got {length}")
        norm = fraction(norm_squared, "norm_squared") // 1  # the squared norm of integers is an integer
        factor = 1 if neighbours is Neighbours.ADD_REMOVE else 4 if signed else 2
        l2_squared = factor * norm
        return cls(min(l2_squared, isqrt(length * l2_squared)), l2_squared, neighbours)

    def beside(self, other: "Sensitivity") -> "Sensitivity":
        """Of two vectors that are released as one, such as a weight beside a weighted sum: L1 and L2^2 add up.

        Args:
            other: the sensitivity of the other vector, for the same neighbours.

        Raises:
            LocalProtocolError: the neighbours differ.
        """
        require(self.neighbours is other.neighbours, "both sensitivities must be for the same neighbours")
        return Sensitivity(self.l1 + other.l1, self.l2_squared + other.l2_squared, self.neighbours)

    def times(self, reports: int) -> "Sensitivity":
        """Of a unit of several reports: L1 and L2 grow by that factor.

        For more than one report `worst` is None. So the guarantee of one batch also holds for reports of the unit in
        several batches: Renyi divergences add up, and exact tails do not.

        Args:
            reports: the most that a unit has, from 1 on.

        Raises:
            LocalProtocolError: reports is below 1.
        """
        reports = whole(reports, "reports")
        require(reports >= 1, f"reports must be at least 1, got {reports}")
        return self if reports == 1 else Sensitivity(self.l1 * reports, self.l2_squared * reports**2, self.neighbours)


def _widest(min_value: int, max_value: int, neighbours: Neighbours) -> int:
    min_value, max_value = whole(min_value, "min_value"), whole(max_value, "max_value")
    require(min_value < max_value, f"min_value must be below max_value, got {min_value} .. {max_value}")
    if neighbours is Neighbours.REPLACE_ONE:
        return max_value - min_value
    return max(abs(min_value), abs(max_value))
