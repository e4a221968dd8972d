"""Samples of discrete laws, drawn exactly: only integer arithmetic between random bytes and samples.

Each law has two forms. The exact ones have exactly their law: Laplace and Gaussian are Algorithms 2 and 3 of
C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for Differential Privacy" (2020), Skellam is an inversion.
The time that they take depends on the samples: whoever can time them learns something about the magnitude of the noise.
The isochronous ones take the same random words and the same steps for every sample. Their thresholds have 128 bits, and
wide Gaussian samples are sums of narrow ones. So they are within a total variation distance of their law that each
states, some 2**-120 a sample: `form` says what covers it.

Randomness comes from `rand`, which is called once for a seed of 16 bytes. The seed stands for the words PRG(seed)[i]
mod 2**64 (see `secagg.masking`): whoever knows it can draw the same noise again, on any machine. A seed must serve one
draw only: under two laws it gives the same words in two sizes. `secagg.dp.Noise` derives a seed for each draw (see
`seeds`, whose VERSION changes when a seed comes to give other samples).

"Exact" is said of truly random words; it holds as well for anyone who cannot tell AES-128 in counter mode from them.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from numbers import Rational

import numpy as np
from numpy.typing import NDArray

from secagg import _kernels, vector
from secagg.masking import SEED_BYTES

from .convolution import FACTOR, convolution_distance, parts
from .polya import POLYA_SCALE_MAX
from .tables import (
    BITS,
    Cumulative,
    Quotients,
    cumulative,
    gaussian_quotients,
    laplace_probabilities,
    negative_binomial_quotients,
    negative_binomial_supremum,
    skellam_quotients,
)

Samples = NDArray[np.int64]
Rand = Callable[[int], bytes]

MAX_SCALE = 1 << 40  # a sample is then outside int64 with a probability below 2**-12,000,000
LAPLACE_TERMS = 1 << 56
GAUSSIAN_TERMS = 1 << 100
MAX_SCANNED_VARIANCE = 1 << 20  # thresholds number 13 standard deviations: here they take 2 to 5 microseconds to read
MAX_SEARCHED_VARIANCE = 1 << 28  # a table of 3.5 MB, computed in seconds
MAX_SCANNED_POLYA_SCALE = 1 << 6  # 5,000 thresholds, twice: as slow as the widest that are scanned


class Sampler(ABC):
    """Independent samples of one law.

    Attributes:
        total_variation: an upper bound on the total variation distance of one sample's distribution from the law's.
    """

    @property
    def total_variation(self) -> Fraction:
        """See the class; 0 for exact samplers."""
        return Fraction(0)

    @abstractmethod
    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """Writes one sample to each element.

        Args:
            out: int64[n], written.
            random: where random words come from.
        """

    def sample(self, n: int, *, rand: Rand = os.urandom) -> Samples:
        """Draws n samples, int64[n].

        Args:
            n: how many.
            rand: called once, for a seed of 16 bytes that serves no other draw.
        """
        out = np.empty(n, np.int64)
        self.fill(out, _kernels.Random(seed=rand(SEED_BYTES)))
        return out

    def add_to(self, values: vector.Word, modulus: int, *, rand: Rand = os.urandom) -> None:
        """Adds one sample mod R to each element of a vector mod R, in place.

        Args:
            values: values[n] mod R, as of Prio3's Field64; or values[n, 2] where elements have two words, as in
                Field128.
            modulus: R, 2 .. 2**128 - 1.
            rand: called once, for a seed of 16 bytes that serves no other draw.

        Raises:
            ValueError, TypeError: values are not such a vector (see `vector.add_signed`).
        """
        vector.add_signed(values, self.sample(len(values), rand=rand), modulus)


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
        """See `Sampler.fill`."""
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
        """See `Sampler.fill`."""
        _kernels.noise_gaussian(out, *Fraction(self.sigma_squared).as_integer_ratio(), random)


@dataclass(frozen=True)
class ExactSkellam(Sampler):
    """The difference of two Poisson variables of mean variance / 2: P[X = x] is proportional to I_x(variance), with I
    Bessel's function. Sums of such samples are such samples.

    The sampler inverts the distribution function. 128 random bits lie between the first 128 bits of two of its values,
    or, with a probability below 2**-110, on one of them; then more bits of both are taken until they differ.

    Raises:
        ValueError: unless 0 < variance <= 2**28, with numerator and denominator at most 2**100.
    """

    variance: Fraction

    def __post_init__(self) -> None:
        require_ratio("variance", self.variance, GAUSSIAN_TERMS, MAX_SEARCHED_VARIANCE)

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        table = _skellam_table(self.variance)
        _invert(out, table.rows, partial(cumulative, skellam_quotients(self.variance)), random)


@dataclass(frozen=True)
class ExactPolya(Sampler):
    """The difference of two samples of NB(1 / parties, exp(-1 / scale)), each inverted as `ExactSkellam`; so many
    parties' samples add up to one of `ExactLaplace`.

    Raises:
        ValueError: unless 0 < scale <= POLYA_SCALE_MAX, with numerator and denominator at most 2**56.
    """

    scale: Fraction
    parties: int

    def __post_init__(self) -> None:
        require_ratio("scale", self.scale, LAPLACE_TERMS, POLYA_SCALE_MAX)

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        table, again = _polya_table(self.scale, self.parties), partial(_polya_thresholds, self.scale, self.parties)
        subtracted = np.empty_like(out)
        for samples in (out, subtracted):
            _invert(samples, table.rows, again, random)
            np.abs(samples, out=samples)  # of a law on 0, 1, 2, ... the sign means nothing
        out -= subtracted


@dataclass(frozen=True)
class IsochronousLaplace(Sampler):
    """The law of `ExactLaplace` but for `total_variation`; the bits of the magnitude are drawn one by one.

    Raises:
        ValueError: unless 0 < scale <= 2**40, with numerator and denominator at most 2**56.
    """

    scale: Fraction

    def __post_init__(self) -> None:
        require_ratio("scale", self.scale, LAPLACE_TERMS, MAX_SCALE)

    @property
    def total_variation(self) -> Fraction:
        """See `Sampler`."""
        return _laplace_table(self.scale).total_variation

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        _kernels.noise_bitwise(out, _laplace_table(self.scale).rows, random)


@dataclass(frozen=True)
class IsochronousGaussian(Sampler):
    """The law of `ExactGaussian` but for `total_variation`, for narrow laws; every threshold of the magnitude is read.

    Raises:
        ValueError: unless 0 < sigma_squared <= 2**20, with numerator and denominator at most 2**100.
    """

    sigma_squared: Fraction

    def __post_init__(self) -> None:
        require_ratio("sigma_squared", self.sigma_squared, GAUSSIAN_TERMS, MAX_SCANNED_VARIANCE)

    @property
    def total_variation(self) -> Fraction:
        """See `Sampler`."""
        return _gaussian_table(self.sigma_squared).total_variation

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        _kernels.noise_scan(out, _gaussian_table(self.sigma_squared).rows, random)


@dataclass(frozen=True)
class IsochronousWideGaussian(Sampler):
    """The law of `ExactGaussian` but for `total_variation`: a sum of narrow samples, whose thresholds are all read (see
    `convolution`).

    Raises:
        ValueError: unless 0 < sigma_squared <= 2**80, with numerator and denominator at most 2**100.
    """

    sigma_squared: Fraction

    def __post_init__(self) -> None:
        require_ratio("sigma_squared", self.sigma_squared, GAUSSIAN_TERMS, MAX_SCALE**2)

    @property
    def total_variation(self) -> Fraction:
        """See `Sampler`."""
        return _convolution_tables(self.sigma_squared).total_variation

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        tables = _convolution_tables(self.sigma_squared)
        _kernels.noise_convolution(out, tables.rows, tables.counts, FACTOR, random)


@dataclass(frozen=True)
class IsochronousSkellam(Sampler):
    """The law of `ExactSkellam` but for `total_variation`; every threshold of the magnitude is read.

    Raises:
        ValueError: unless 0 < variance <= 2**20, with numerator and denominator at most 2**100.
    """

    variance: Fraction

    def __post_init__(self) -> None:
        require_ratio("variance", self.variance, GAUSSIAN_TERMS, MAX_SCANNED_VARIANCE)

    @property
    def total_variation(self) -> Fraction:
        """See `Sampler`."""
        return _skellam_table(self.variance).total_variation

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        _kernels.noise_scan(out, _skellam_table(self.variance).rows, random)


@dataclass(frozen=True)
class IsochronousPolya(Sampler):
    """The law of `ExactPolya` but for `total_variation`; every threshold of both samples is read.

    Raises:
        ValueError: unless 0 < scale <= MAX_SCANNED_POLYA_SCALE, with numerator and denominator at most 2**56.
    """

    scale: Fraction
    parties: int

    def __post_init__(self) -> None:
        require_ratio("scale", self.scale, LAPLACE_TERMS, MAX_SCANNED_POLYA_SCALE)

    @property
    def total_variation(self) -> Fraction:
        """See `Sampler`; of both samples together."""
        return 2 * _polya_table(self.scale, self.parties).total_variation

    def fill(self, out: Samples, random: _kernels.Random) -> None:
        """See `Sampler.fill`."""
        rows, subtracted = _polya_table(self.scale, self.parties).rows, np.empty_like(out)
        for samples in (out, subtracted):
            _kernels.noise_scan(samples, rows, random)
            np.abs(samples, out=samples)
        out -= subtracted


@dataclass(frozen=True)
class Table:
    """Thresholds as the kernels take them.

    Attributes:
        rows: uint64[count, 2], the low word first.
        total_variation: a bound on the distance of a sample from the law.
    """

    rows: NDArray[np.uint64]
    total_variation: Fraction


@dataclass(frozen=True)
class Tables(Table):
    """The thresholds of several tables, which follow each other.

    Attributes:
        counts: uint64[tables], how many each has.
    """

    counts: NDArray[np.uint64]


@lru_cache
def _laplace_table(scale: Fraction) -> Table:
    thresholds, total_variation = laplace_probabilities(scale)
    return Table(_rows(thresholds), total_variation)


@lru_cache
def _gaussian_table(sigma_squared: Fraction) -> Table:
    return _table(gaussian_quotients(sigma_squared))


@lru_cache
def _convolution_tables(sigma_squared: Fraction) -> Tables:
    """Each sum is of another distance from the sum of its parts' laws, and each part from its own law."""
    variances = parts(Fraction(sigma_squared))
    tables = [_gaussian_table(variance) for variance in variances]
    return Tables(
        np.concatenate([table.rows for table in tables]),
        convolution_distance(variances) + sum(table.total_variation for table in tables),
        np.array([len(table.rows) for table in tables], np.uint64),
    )


@lru_cache(maxsize=8)
def _skellam_table(variance: Fraction) -> Table:
    return _table(skellam_quotients(variance))


@lru_cache(maxsize=8)
def _polya_table(scale: Fraction, parties: int) -> Table:
    return _table_of(_polya_thresholds(scale, parties, BITS))


def _polya_thresholds(scale: Fraction, parties: int, bits: int) -> Cumulative:
    quotients, supremum = negative_binomial_quotients(scale, parties), negative_binomial_supremum(scale)
    return cumulative(quotients, bits, sides=1, supremum=supremum)


def _invert(
    out: Samples, rows: NDArray[np.uint64], thresholds: Callable[[int], Cumulative], random: _kernels.Random
) -> None:
    """Samples by inversion: 128 random bits each, and more where these do not decide.

    Args:
        out: int64[n], written.
        rows: the thresholds of 128 bits.
        thresholds: those of so many bits.
        random: where random words come from.
    """
    done = _kernels.noise_search(out, rows, random)
    while done < out.size:
        out[done] = _undecided(thresholds, random)
        done += 1 + _kernels.noise_search(out[done + 1 :], rows, random)


def _undecided(thresholds: Callable[[int], Cumulative], random: _kernels.Random) -> int:
    """A sample that its first 128 bits do not decide."""
    w, sign, bits = _random_bits(random), _random_word(random), BITS
    while True:
        w, bits = w << BITS | _random_bits(random), bits + BITS
        longer = [*thresholds(bits).thresholds, 0]
        if w not in longer:
            magnitude = sum(1 for threshold in longer if threshold > w)
            return -magnitude if sign & 1 else magnitude


def _table(quotients: Quotients) -> Table:
    return _table_of(cumulative(quotients))


def _table_of(law: Cumulative) -> Table:
    """A threshold is below 2**128 P[|X| >= k] by less than 1, and those left out add up to `beyond`."""
    return Table(_rows(law.thresholds or [0]), Fraction(len(law.thresholds), 1 << BITS) + law.beyond)


def _rows(thresholds: list[int]) -> NDArray[np.uint64]:
    """128-bit numbers as uint64[count, 2], the low word first."""
    data = b"".join(threshold.to_bytes(16, "little") for threshold in thresholds)
    return np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, 2)


def _random_word(random: _kernels.Random) -> int:
    word = np.empty(1, np.uint64)
    _kernels.random_words(word, random)
    return int(word[0])


def _random_bits(random: _kernels.Random) -> int:
    """128 bits, the low word first."""
    low = _random_word(random)
    return _random_word(random) << 64 | low


def require_ratio(name: str, value: Fraction, max_terms: int, max_value: int) -> None:
    """Checks the parameter of a law.

    Args:
        name: of the parameter, for errors.
        value: an integer or a fraction.
        max_terms: the largest numerator and denominator.
        max_value: the largest value.

    Raises:
        ValueError: the value is not positive, or too large.
        TypeError: it is a float, which is not exact.
    """
    if not isinstance(value, Rational):
        raise TypeError(f"{name} must be a Fraction or an integer, got {value!r}")
    if not 0 < value <= max_value:
        raise ValueError(f"{name} must be above 0 and at most {max_value}, got {value}")
    if max(value.numerator, value.denominator) > max_terms:
        raise ValueError(f"{name} must have a numerator and a denominator of at most {max_terms}, got {value}")
