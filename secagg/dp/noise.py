"""A party's noise: the sampler of its law, and how samples get into its share."""

import os
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, in_place, octets, whole
from ..errors import ArgumentTypeError, LocalProtocolError, require
from ..masking import SEED_BYTES
from .distributed import PartyLaw
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
from .seeds import Bound, Draw

TOTAL_VARIATION_MAX = Fraction(1, 1 << 114)  # of one isochronous sample from its law: taken off delta in advance


@dataclass(frozen=True)
class Noise:
    """What one party adds to a vector of `length` entries: independent samples, or nothing without a sampler.

    **Seeds.** `rand` gives the secret of a draw: 16 bytes, by default from the operating system. The sampler's seed is
    derived from it (see `secagg.dp.seeds`), together with the law and its exact scale, the form, the length and what
    the noise is for, so that one secret under two budgets, lengths or shares gives noises that have nothing in common.
    """

    sampler: Sampler | None
    length: int

    def __post_init__(self) -> None:
        convert(self, whole, "length")

    @overload
    def sample(self) -> Samples: ...

    @overload
    def sample(self, *, rand: Rand, context: bytes) -> Samples: ...

    def sample(self, *, rand: Rand | None = None, context: bytes | None = None) -> Samples:
        """Noise by itself, int64[length], for who adds it elsewhere.

        Args:
            rand: source of the secret, instead of the operating system; it is asked once, for 16 bytes.
            context: with `rand`, and then required: what the noise is for, such as the session, the party and a hash of
                the values that it goes on. The same secret in another context gives unrelated noise.

        Raises:
            ArgumentTypeError: one of both is missing, or the context is not bytes.
            LocalProtocolError: the context is empty, or rand returns another number of bytes.
        """
        if (rand is None) != (context is None):
            raise ArgumentTypeError(
                "rand and context go together: a secret of one's own needs a context, bytes that say what the noise is"
                " for; leave out both for fresh noise"
            )
        context_bytes = b"" if context is None else octets(context, "context")
        require(rand is None or len(context_bytes) > 0, "context must say what the noise is for, got no bytes")
        if self.sampler is None:
            return np.zeros(self.length, np.int64)
        seed = self._seed(rand or os.urandom, Bound.CONTEXT, sha256(context_bytes).digest())
        return self.sampler.sample(self.length, rand=lambda _: seed)

    def add_to(self, share: NDArray[Any], modulus: int | None = None, *, rand: Rand = os.urandom) -> None:
        """Add noise to the share, in place: mod R, or without a modulus to signed integers.

        Once for each share that is sent: who sees one share under two noises can average them. So a party that may be
        asked again keeps what it has sent, and sends that. Where it has to be able to draw again, such as after a
        crash before the answer was stored, it derives the secret from a key by a pseudorandom function of what it
        answers, such as task and batch: the same secret, share and plan give the same noise, on any machine, as long as
        `secagg.dp.seeds.VERSION` is the same; another share or plan gives unrelated noise.

        Args:
            share: share[length] mod R (see `secagg.vector`), of Prio3's Field64 for one; share[length, 2] where an
                element has two words, as in Field128; or int64[length].
            modulus: R, 2 .. 2**128 - 1, such as `prio3.field.MODULUS`.
            rand: source of the secret; it is asked once, for 16 bytes.

        Raises:
            LocalProtocolError: the share has another length, or without a modulus is not int64; the modulus is out of
                range; rand returns another number of bytes.
            ArgumentTypeError: the share is no array, or the modulus no integer.
            ValueError, TypeError: the share is no vector mod R.
        """
        modulus = None if modulus is None else whole(modulus, "modulus")
        self._check(share, modulus)
        if self.sampler is None:
            return
        seed = self._seed(rand, Bound.SHARE, _hash(share), modulus or 0)
        if modulus is None:
            share += self.sampler.sample(self.length, rand=lambda _: seed)
        else:
            self.sampler.add_to(share, modulus, rand=lambda _: seed)

    def _check(self, share: NDArray[Any], modulus: int | None) -> None:
        in_place(share, "share")
        require(modulus is None or 2 <= modulus < 1 << 128, f"modulus must be 2 .. 2**128 - 1, got {modulus}")
        shape = (self.length,) if modulus is None or modulus <= 1 << 64 else (self.length, 2)
        require(
            share.shape == shape, f"a share of {self.length} entries, of shape {shape}, expected, got {share.shape}"
        )
        require(modulus is not None or share.dtype == np.int64, f"give the modulus of a share of {share.dtype}")

    def _seed(self, rand: Rand, bound: Bound, digest: bytes, modulus: int = 0) -> bytes:
        assert self.sampler is not None
        return Draw.of(self.sampler, self.length, modulus, bound, digest).seed(rand(SEED_BYTES))


def _hash(share: NDArray[Any]) -> bytes:
    """SHA-256 of the elements, little-endian, in order."""
    return sha256(np.ascontiguousarray(share, share.dtype.newbyteorder("<")).data).digest()


def sampler_of(law: PartyLaw, *, isochronous: bool) -> Sampler:
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


def isochronous_sampler(law: PartyLaw) -> Sampler | None:
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


def exact_sampler(law: PartyLaw) -> Sampler:
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


def describe(law: PartyLaw) -> str:
    """A law by name and parameter."""
    name, (parameter, value) = type(law).__name__, next(iter(vars(law).items()))
    return f"{name}({parameter} = {text(value)})"
