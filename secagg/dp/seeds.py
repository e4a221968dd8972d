"""From a party's secret to the seed of one draw: draws that differ in anything have unrelated noise.

The sampler turns a seed into uniform numbers and those into samples.  One seed under two budgets would give the same
uniform numbers in two sizes, and 2 * y1 - y2 would be the share almost without noise. Under two lengths, the first
samples would be the same.  So a sampler never gets the secret itself, but

    seed = HKDF-SHA256(secret, info = "secagg noise" || Draw), 16 bytes, without a salt (RFC 5869),

with (RFC 8446, section 3)

    struct {
      uint16 version;             /* VERSION */
      opaque sampler<1..2^8-1>;   /* law and form, such as IsochronousGaussian */
      opaque scale<1..2^8-1>;     /* the law's parameters, exactly, such as 22/7: ExactLaplace's scale and so on; of
                                     Polya noise scale and parties, such as 22/7, 67/1 */
      uint64 length;              /* samples that are drawn */
      uint128 modulus;            /* of the share; 0 for signed integers, and without a share */
      enum { share(1), context(2), (255) } Bound;
      opaque digest[32];          /* SHA-256 of the share before noise, or of the caller's context */
    } Draw;

A form that takes the place of another for some laws has a name of its own, and so other seeds.

A share is hashed as it lies in memory on a little-endian machine.
"""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Annotated

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..arguments import octets
from ..codec import Fixed, Opaque, Struct, UInt
from ..errors import require
from ..masking import SEED_BYTES
from .samplers import Sampler

VERSION = 1  # changes whenever a sampler makes other samples of the same seed

_LABEL = b"secagg noise"


class Bound(IntEnum):
    """What a draw is bound to: its noise is used for nothing else."""

    SHARE = 1
    CONTEXT = 2


@dataclass(frozen=True, repr=False)
class Draw(Struct):
    """Everything that distinguishes one draw under a secret from another; the module has the fields."""

    version: Annotated[int, UInt(2)]
    sampler: Annotated[bytes, Opaque(1, 1)]
    scale: Annotated[bytes, Opaque(1, 1)]
    length: Annotated[int, UInt(8)]
    modulus: Annotated[int, UInt(16)]
    bound: Annotated[Bound, UInt(1, Bound)]
    digest: Annotated[bytes, Fixed(32)]

    @classmethod
    def of(cls, sampler: Sampler, length: int, modulus: int, bound: Bound, digest: bytes) -> "Draw":
        """The draw of a sampler.

        Args:
            sampler: its parameters are numbers, the law's scale first.
            length: how many samples are drawn.
            modulus: of the share; 0 for signed integers, and without a share.
            bound: what the digest is of.
            digest: SHA-256 of the share before noise, or of the caller's context.
        """
        parameters = [Fraction(value).as_integer_ratio() for value in vars(sampler).values()]
        scale = ", ".join(f"{numerator}/{denominator}" for numerator, denominator in parameters)
        return cls(VERSION, type(sampler).__name__.encode(), scale.encode(), length, modulus, bound, digest)

    def seed(self, secret: bytes) -> bytes:
        """The seed of this draw, 16 bytes, as secret as its noise.

        Args:
            secret: 16 bytes.

        Raises:
            ArgumentTypeError: the secret is not bytes.
            LocalProtocolError: it does not have 16 bytes.
        """
        secret = octets(secret, "what rand returns")
        require(len(secret) == SEED_BYTES, f"rand must return a seed of {SEED_BYTES} bytes, got {len(secret)}")
        return HKDF(SHA256(), SEED_BYTES, None, self.encode(_LABEL)).derive(secret)
