"""The fields of section 6.1, and how their elements lie in memory.

Elements are numpy uint64, canonical (below the modulus): uint64[..., n] in Field64, and uint64[..., n, 2] in Field128,
the low word first. So on a little-endian machine an array's memory is its encoding, and messages are worked on where
they lie. Shapes leave the words out: F[n, k] is uint64[n, k] or uint64[n, k, 2]. Arithmetic is in `secagg._vdaf`, for
whole batches at once.
"""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.arguments import array, whole
from secagg.codec import Octets

Elements = NDArray[np.uint64]


class Field:
    """GF(MODULUS), with a multiplicative subgroup whose order is a power of 2, for the NTT (section 6.1).

    Args:
        bits: 64 or 128, by which the kernels know the field.
        generator: of the whole multiplicative group.
        gen_order: of the subgroup, a power of 2.
        cofactor: (MODULUS - 1) / gen_order.

    Attributes:
        bits: as given.
        MODULUS: the prime p.
        GEN: a generator of the subgroup.
        GEN_ORDER: elements of the subgroup.
        ENCODED_SIZE: bytes of an element.
        words: () or (2,), the axes that an array has for the words of an element.
    """

    def __init__(self, bits: int, generator: int, gen_order: int, cofactor: int) -> None:
        bits, generator = whole(bits, "bits"), whole(generator, "generator")
        gen_order, cofactor = whole(gen_order, "gen_order"), whole(cofactor, "cofactor")
        self.bits = bits
        self.MODULUS = gen_order * cofactor + 1
        self.GEN_ORDER = gen_order
        self.GEN = pow(generator, cofactor, self.MODULUS)
        self.ENCODED_SIZE = bits // 8
        self.words = () if bits == 64 else (bits // 64,)

    def __repr__(self) -> str:
        return f"Field{self.bits}"

    def empty(self, *shape: int) -> Elements:
        """A new F[shape] whose elements are not set."""
        return np.empty((*shape, *self.words), np.uint64)

    def zeros(self, *shape: int) -> Elements:
        """A new F[shape] of zeros."""
        return np.zeros((*shape, *self.words), np.uint64)

    def elements(self, rows: Octets) -> Elements:
        """The elements that are encoded in bytes, as a view of the same memory (the draft's decode_vec).

        Args:
            rows: uint8[n, k * ENCODED_SIZE], rows contiguous and 8 bytes aligned.

        Returns:
            F[n, k], canonical or not: nothing checks here that the elements are below the modulus.
        """
        words = array(rows, "rows").view(np.uint64)
        return words.reshape(len(rows), rows.shape[1] // self.ENCODED_SIZE, *self.words)

    def rows(self, elements: Elements) -> Octets:
        """The encoding of elements, as a view of the same memory: the inverse of `elements` (encode_vec).

        Args:
            elements: F[n, k], rows contiguous.

        Returns:
            uint8[n, k * ENCODED_SIZE].
        """
        elements = array(elements, "elements")
        return elements.reshape(len(elements), elements.shape[1] * self.bits // 64).view(np.uint8)

    def array(self, values: Any) -> Elements:
        """Integers as elements, F[shape of values].

        Args:
            values: integers of any sign and size, nested to any depth; they are taken mod p.
        """
        integers = array(values, "values", object)
        data = b"".join((index(x) % self.MODULUS).to_bytes(self.ENCODED_SIZE, "little") for x in integers.ravel())
        return np.frombuffer(data, np.uint64).reshape((*integers.shape, *self.words)).copy()

    def ints(self, elements: Elements) -> list[int]:
        """The k integers, 0 .. p - 1, of elements F[k]."""
        data = array(elements, "elements").tobytes()
        step = self.ENCODED_SIZE
        return [int.from_bytes(data[i : i + step], "little") for i in range(0, len(data), step)]


Field64 = Field(64, generator=7, gen_order=1 << 32, cofactor=4294967295)
"""p = 2^32 * 4294967295 + 1."""

Field128 = Field(128, generator=7, gen_order=1 << 66, cofactor=4611686018427387897)
"""p = 2^66 * 4611686018427387897 + 1."""
