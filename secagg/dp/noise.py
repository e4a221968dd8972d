"""A party's noise: the sampler of its law, and how samples get into its share."""

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalProtocolError, require
from .distributed import PartLaw
from .exact import text
from .mechanisms import DiscreteGaussian, DiscreteLaplace
from .samplers import (
    MAX_SCALE,
    MAX_SCANNED_VARIANCE,
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    Rand,
    Sampler,
    Samples,
)

TOTAL_VARIATION_MAX = Fraction(1, 1 << 114)  # of one isochronous sample from its law: taken off delta in advance


@dataclass(frozen=True)
class Noise:
    """What one party adds to a vector of `length` entries: independent samples, or nothing without a sampler."""

    sampler: Sampler | None
    length: int

    def sample(self, *, rand: Rand = os.urandom) -> Samples:
        """Fresh noise, int64[length]; `rand` is asked for one seed of 16 bytes."""
        return np.zeros(self.length, np.int64) if self.sampler is None else self.sampler.sample(self.length, rand=rand)

    def add_to(self, share: NDArray[Any], modulus: int | None = None, *, rand: Rand = os.urandom) -> None:
        """Add fresh noise to the share, in place: mod R, or without a modulus to signed integers.

        Once for each share that is sent: who sees one share under two noises can average them. A party that may have to
        send the same noisy share again, such as an Aggregator that is asked twice, gives the same seed again: the same
        noise comes, in any process that runs this version. It must be derived from a secret key by a pseudorandom
        function of all that the share is made of, such as the task, the batch and which reports were counted: two
        different shares under one seed differ by exactly what they differ by without noise.

        Args:
            share: share[length] mod R (see `secagg.vector`), of Prio3's Field64 for one; share[length, 2] where an
                element has two words, as in Field128; or int64[length].
            modulus: R, 2 .. 2**128 - 1, such as `prio3.field.MODULUS`.
            rand: source of the seed, 16 random bytes; `lambda _: seed` for one that was derived.

        Raises:
            LocalProtocolError: the share has another length, or without a modulus is not int64.
            ValueError, TypeError: it is no vector mod R.
        """
        shape = (self.length,) if modulus is None or modulus <= 1 << 64 else (self.length, 2)
        require(
            share.shape == shape, f"a share of {self.length} entries, of shape {shape}, expected, got {share.shape}"
        )
        require(modulus is not None or share.dtype == np.int64, f"give the modulus of a share of {share.dtype}")
        if modulus is None:
            share += self.sample(rand=rand)
        elif self.sampler is not None:
            self.sampler.add_to(share, modulus, rand=rand)


def sampler_of(law: PartLaw, *, isochronous: bool) -> Sampler:
    """Samples of a law, in the form that is asked for.

    Raises:
        LocalProtocolError: the law is too wide for this form.
    """
    if not isochronous:
        return exact_sampler(law)
    sampler = isochronous_sampler(law)
    if sampler is None:
        raise LocalProtocolError(
            "the noise is too wide for isochronous samples, which there are for Laplace noise up to a scale of"
            f" {MAX_SCALE:,} and for other noise up to a variance of {MAX_SCANNED_VARIANCE:,}, got {describe(law)};"
            " exact samples have no such limit"
        )
    require(sampler.total_variation <= TOTAL_VARIATION_MAX, "the sampler is too far from its law")
    return sampler


def isochronous_sampler(law: PartLaw) -> Sampler | None:
    """Samples of a law that is off by TOTAL_VARIATION_MAX at most, in a time that does not depend on them; None where
    the law is too wide for that."""
    try:
        if isinstance(law, DiscreteLaplace):
            return IsochronousLaplace(law.scale)
        if isinstance(law, DiscreteGaussian):
            return IsochronousGaussian(law.sigma_squared)
        return IsochronousSkellam(law.variance)
    except ValueError:
        return None


def exact_sampler(law: PartLaw) -> Sampler:
    """Samples of exactly this law; the time that they take tells something about them.

    Raises:
        LocalProtocolError: the law is too wide for any sampler.
    """
    try:
        if isinstance(law, DiscreteLaplace):
            return ExactLaplace(law.scale)
        if isinstance(law, DiscreteGaussian):
            return ExactGaussian(law.sigma_squared)
        return ExactSkellam(law.variance)
    except ValueError as problem:
        raise LocalProtocolError(f"this noise cannot be sampled: {problem}") from None


def describe(law: PartLaw) -> str:
    """A law by name and parameter."""
    name, (parameter, value) = type(law).__name__, next(iter(vars(law).items()))
    return f"{name}({parameter} = {text(value)})"
