"""A random rotation that spreads a vector evenly over its entries: the randomised Hadamard transform.

    y = H D x / sqrt(d),   x = D H y / sqrt(d),

where H is Sylvester's Hadamard matrix of order d, a power of two, and D a diagonal of random signs (Kairouz, Liu and
Steinke 2021, Algorithms 1 and 2: "flattening"). It changes no norm and no distance. Each entry of y is a sum of d terms
+-x_i / sqrt(d) with independent signs, so |y_j| > |x| sqrt(2 ln(2 / p) / d) has a chance of at most p (Hoeffding 1963,
Theorem 2). This bound is far below |x|, the bound without rotation. The signs are public: privacy does not depend on
them, and a server that chose them could only spoil the accuracy.
"""

import math
from dataclasses import dataclass
from hashlib import shake_128
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array, convert, octets, whole
from ..errors import require

Floats = NDArray[np.float64]

_LABEL = b"secagg noisy rotation"


@dataclass(frozen=True)
class Rotation:
    """One rotation of vectors of `length` real numbers, which are padded with zeros to `padded`.

    Attributes:
        length: the length of the vectors, 1 or more.
        seed: bytes that give the signs, by SHAKE128; they are public.

    Raises:
        LocalProtocolError: length is below 1.
    """

    length: int
    seed: bytes

    def __post_init__(self) -> None:
        convert(self, whole, "length")
        convert(self, octets, "seed")
        require(self.length >= 1, f"length must be at least 1, got {self.length}")

    @property
    def padded(self) -> int:
        """d, the smallest power of two that is not below the length."""
        return padded_length(self.length)

    def apply(self, vector: NDArray[np.floating[Any]]) -> Floats:
        """Rotate a vector.

        Args:
            vector: real numbers, shape [length].

        Returns:
            The rotated vector, float64[padded].

        Raises:
            LocalProtocolError: the vector has another length.
        """
        vector = array(vector, "vector")
        require(vector.shape == (self.length,), f"a vector of length {self.length} expected, got {vector.shape}")
        return hadamard(np.pad(vector.astype(np.float64), (0, self.padded - self.length)) * self._signs())

    def invert(self, rotated: NDArray[np.floating[Any]]) -> Floats:
        """Undo the rotation, exactly but for rounding.

        Args:
            rotated: real numbers, shape [padded].

        Returns:
            The vector before its rotation, float64[length].

        Raises:
            LocalProtocolError: the vector has another length.
        """
        rotated = array(rotated, "rotated")
        require(rotated.shape == (self.padded,), f"a vector of length {self.padded} expected, got {rotated.shape}")
        return (hadamard(rotated.astype(np.float64)) * self._signs())[: self.length]

    def _signs(self) -> Floats:
        """The diagonal of D: bit i of the stream, lowest first, is 1 for a minus."""
        stream = shake_128(_LABEL + self.seed).digest((self.padded + 7) // 8)
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=self.padded, bitorder="little")
        return np.where(bits, -1.0, 1.0)


def padded_length(length: int) -> int:
    """The smallest power of two that is not below the length."""
    return 1 << (length - 1).bit_length()


def hadamard(values: Floats) -> Floats:
    """H values / sqrt(d) in O(d log d), where d = len(values) is a power of two.

    Every step takes sums and differences of neighbours, that is over the lowest bit of the index, and makes that bit
    the highest. After log2(d) steps each bit has been transformed once and is back in its place.
    """
    half, values = len(values) // 2, values.copy()
    for _ in range(half.bit_length()):
        even, odd = values[0::2], values[1::2]
        values = np.concatenate([even + odd, even - odd])
    values /= math.sqrt(len(values))
    return values


def entry_bound(norm: float, length: int, log_chance: float) -> float:
    """A bound on all entries of a rotated vector of this L2 norm, which fails with a chance of exp(log_chance).

    The chance is that of all `length` entries together; see the module.
    """
    return norm * math.sqrt(2 * (math.log(2 * length) - log_chance) / length)
