"""Samples of discrete laws, drawn exactly: integers only lie between random bytes and samples.

The exact forms of Laplace and Gaussian noise are Algorithms 2 and 3 of C. Canonne, G. Kamath and T. Steinke, "The
Discrete Gaussian for Differential Privacy" (2020). The time they take depends on the samples: who can time them learns
something about the magnitude of the noise.

Randomness comes from `rand`, which is asked once for a seed of 16 bytes; the seed stands for the words
PRG(seed)[i] mod 2**64 (see `secagg.masking`), so that whoever knows it can draw the same noise again.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secagg import _kernels, vector
from secagg.masking import SEED_BYTES

Samples = NDArray[np.int64]
Rand = Callable[[int], bytes]

MAX_SCALE = 1 << 40  # a sample then leaves int64 with a probability below 2**-12,000,000
LAPLACE_TERMS = 1 << 56
GAUSSIAN_TERMS = 1 << 100


class Sampler(ABC):
    """Independent samples of one law.

    Attributes:
        total_variation: an upper bound on the total variation distance of one sample's distribution from the law's.
    """

    total_variation: Fraction = Fraction(0)

    @abstractmethod
    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """Writes one sample to each element of out[n]."""

    def sample(self, n: int, *, rand: Rand = os.urandom) -> Samples:
        """n samples, int64[n]."""
        out = np.empty(n, np.int64)
        self.fill(out, _kernels.Random(seed=rand(SEED_BYTES)))
        return out

    def add_to(self, values: vector.Word, modulus: int, *, rand: Rand = os.urandom) -> None:
        """Adds one sample mod R to each element of values[n] mod R, in place.

        Raises ValueError or TypeError unless values are a vector mod R (see `secagg.vector`).
        """
        vector.require_vectors(modulus, values)
        vector.add_signed(values, self.sample(values.size, rand=rand), modulus)


@dataclass(frozen=True)
class ExactLaplace(Sampler):
    """P[X = x] is proportional to exp(-|x| / scale).

    Raises:
        ValueError: unless 0 < scale <= 2**40, with numerator and denominator at most 2**56.
    """

    scale: Fraction

    def __post_init__(self) -> None:
        require_ratio("scale", self.scale, LAPLACE_TERMS, MAX_SCALE)

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        _kernels.noise_laplace(out, *Fraction(self.scale).as_integer_ratio(), random)


@dataclass(frozen=True)
class ExactGaussian(Sampler):
    """P[X = x] is proportional to exp(-x**2 / (2 sigma_squared)).

    Raises:
        ValueError: unless 0 < sigma_squared <= 2**80, with numerator and denominator at most 2**100.
    """

    sigma_squared: Fraction

    def __post_init__(self) -> None:
        require_ratio("sigma_squared", self.sigma_squared, GAUSSIAN_TERMS, MAX_SCALE**2)

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        _kernels.noise_gaussian(out, *Fraction(self.sigma_squared).as_integer_ratio(), random)


def require_ratio(name: str, value: Fraction, max_terms: int, max_value: int) -> None:
    """Raises ValueError unless 0 < value <= max_value, with numerator and denominator at most max_terms."""
    if not 0 < value <= max_value:
        raise ValueError(f"{name} must be above 0 and at most {max_value}, got {value}")
    if max(value.numerator, value.denominator) > max_terms:
        raise ValueError(f"{name} must have a numerator and a denominator of at most {max_terms}, got {value}")
