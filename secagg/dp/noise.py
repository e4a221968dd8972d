"""A party's noise: the sampler of its law, and how samples are added to its share."""

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
from .convolution import WHOLE
from .distributed import PartyLaw
from .exact import text
from .mechanisms import DiscreteGaussian, DiscreteLaplace
from .polya import Polya
from .samplers import (
    MAX_SCALE,
    MAX_SCANNED_VARIANCE,
    ExactGaussian,
    ExactLaplace,
    ExactPolya,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousPolya,
    IsochronousSkellam,
    IsochronousWideGaussian,
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
    derived from the secret, the law and its exact scale, the form, the length and what the noise is for (see
    `secagg.dp.seeds`). So one secret under two budgets, lengths or shares gives unrelated noises.

    Attributes:
        sampler: of the law; None adds nothing.
        length: entries of the vector.
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
        """The noise by itself, int64[length], to be added elsewhere.

        Args:
            rand: source of the secret, instead of the operating system; it is called once, for 16 bytes.
            context: required with `rand`: what the noise is for, such as the session, the party and a hash of the
                values that it is added to. The same secret in another context gives unrelated noise.

        Raises:
            ArgumentTypeError: one of the two is missing, or the context is not bytes.
            LocalProtocolError: the context is empty, or rand returns another number of bytes.
        """
        if (rand is None) != (context is None):
            raise ArgumentTypeError(
                "rand and context go together: with a secret of your own, give as context bytes that say what the noise"
                " is for; leave out both for fresh noise"
            )
        context_bytes = b"" if context is None else octets(context, "context")
        require(rand is None or len(context_bytes) > 0, "context must say what the noise is for, got no bytes")
        if self.sampler is None:
            return np.zeros(self.length, np.int64)
        seed = self._seed(rand or os.urandom, Bound.CONTEXT, sha256(context_bytes).digest())
        return self.sampler.sample(self.length, rand=lambda _: seed)

    def add_to(self, share: NDArray[Any], modulus: int | None = None, *, rand: Rand = os.urandom) -> None:
        """Add noise to a share, in place: mod R, or without a modulus to signed integers.

        Call it once for each share that is sent: whoever sees one share under two noises can average them. A party that
        may be asked again keeps what it has sent, and sends that. A party that must be able to draw the same noise
        again, such as after a crash before the answer was stored, derives the secret from a key by a pseudorandom
        function of what it answers, such as task and batch. The same secret, share and plan give the same noise on any
        machine, as long as `secagg.dp.seeds.VERSION` and the plan's form of samples are the same. Another share or plan
        gives unrelated noise.

        Args:
            share: share[length] mod R (see `secagg.vector`), as of Prio3's Field64; share[length, 2] where an element
                has two words, as in Field128; or int64[length].
            modulus: R, 2 .. 2**128 - 1, such as `prio3.field.MODULUS`; None for signed integers.
            rand: source of the secret; it is called once, for 16 bytes.

        Raises:
            LocalProtocolError: the share has another length, or without a modulus is not int64; the modulus is out of
                range; rand returns another number of bytes.
            ArgumentTypeError: the share is not an array, or the modulus not an integer.
            ValueError, TypeError: the share is not a vector mod R.
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
        require(share.shape == shape, f"expected a share of {self.length} entries, of shape {shape}, got {share.shape}")
        require(
            modulus is not None or share.dtype == np.int64,
            f"a share of {share.dtype} needs a modulus; without one it must be int64",
        )

    def _seed(self, rand: Rand, bound: Bound, digest: bytes, modulus: int = 0) -> bytes:
        assert self.sampler is not None
        return Draw.of(self.sampler, self.length, modulus, bound, digest).seed(rand(SEED_BYTES))


def _hash(share: NDArray[Any]) -> bytes:
    """SHA-256 of the elements, little-endian, in order."""
    return sha256(np.ascontiguousarray(share, share.dtype.newbyteorder("<")).data).digest()


def sampler_of(law: PartyLaw, *, isochronous: bool) -> Sampler:
    """The sampler of a law, in the form that is asked for.

    Raises:
        LocalProtocolError: the law is too wide for this form.
    """
    if not isochronous:
        return exact_sampler(law)
    sampler = isochronous_sampler(law)
    if sampler is None:
        raise LocalProtocolError(
            f"the noise is too wide for isochronous samples, got {describe(law)}: a Laplace scale may be at most"
            f" {MAX_SCALE:,}, a Gaussian deviation too, the variance of Skellam noise at most {MAX_SCANNED_VARIANCE:,}"
        )
    require(sampler.total_variation <= TOTAL_VARIATION_MAX, "the sampler is too far from its law")
    return sampler


def isochronous_sampler(law: PartyLaw) -> Sampler | None:
    """The sampler that takes the same time for all samples, within TOTAL_VARIATION_MAX of the law.

    Returns:
        None where the law is too wide for that.
    """
    try:
        if isinstance(law, DiscreteLaplace):
            return IsochronousLaplace(law.scale)
        if isinstance(law, DiscreteGaussian):
            form = IsochronousGaussian if law.sigma_squared <= WHOLE else IsochronousWideGaussian
            return form(law.sigma_squared)
        if isinstance(law, Polya):
            return IsochronousPolya(law.scale, law.parties)
        return IsochronousSkellam(law.variance)
    except ValueError:
        return None


def exact_sampler(law: PartyLaw) -> Sampler:
    """The sampler of exactly this law; the time of a sample depends on it.

    Raises:
        LocalProtocolError: the law is too wide for any sampler.
    """
    try:
        if isinstance(law, DiscreteLaplace):
            return ExactLaplace(law.scale)
        if isinstance(law, DiscreteGaussian):
            return ExactGaussian(law.sigma_squared)
        if isinstance(law, Polya):
            return ExactPolya(law.scale, law.parties)
        return ExactSkellam(law.variance)
    except ValueError as problem:
        raise LocalProtocolError(f"this noise cannot be sampled: {problem}") from None


def describe(law: PartyLaw) -> str:
    """A law by name and parameters, such as DiscreteLaplace(scale = 2)."""
    parameters = ", ".join(f"{name} = {text(Fraction(value))}" for name, value in vars(law).items())
    return f"{type(law).__name__}({parameters})"
