"""Shamir's shares as a Reed-Solomon code: reconstruction although some shares are wrong.

m shares of a polynomial of degree below t are a codeword of length m and dimension t. So up to floor((m - t) / 2) wrong
shares are found and corrected; a share that is known to be wrong is left out, which costs half as much. This is Gao's
algorithm (2003): the extended Euclidean algorithm on the product of the (x - x_i) and the polynomial through all
shares, stopped half way. Only the server runs it, and all of it is public to the server, so its time may depend on the
shares.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy import uint8, uint32
from numpy.typing import NDArray

from secagg import _kernels

from . import shamir
from .shamir import SCALAR_BYTES, Q

Polynomial = list[int]  # coefficients mod q, the lowest first, the highest not 0; [] is 0

_SLOT_BYTES = 68  # holds a sum of 2^32 products of two elements


class Decoded(NamedTuple):
    """The result of `decode`.

    Attributes:
        polynomial: the polynomial.
        wrong: the positions of the shares that do not lie on it.
    """

    polynomial: Polynomial
    wrong: tuple[int, ...]

    @property
    def secret(self) -> int:
        """The value at 0."""
        return self.polynomial[0] if self.polynomial else 0


def decode(shares: Sequence[int], xs: Sequence[int], t: int) -> Decoded | None:
    """The one polynomial of degree below t on which all but at most floor((m - t) / 2) of m shares lie.

    Args:
        shares: m elements of Z_q, t or more.
        xs: their x-coordinates, distinct mod q and not 0.
        t: threshold.

    Returns:
        The polynomial and the wrong shares; None if there is no such polynomial.
    """
    # The polynomial and the error locator, whose zeros are the x-coordinates of wrong shares.
    divided = _euclid(shares, xs, t)
    if divided is None or len(divided.polynomial) > t:
        return None
    polynomial, locator = divided

    # Within the radius there is no other polynomial.
    suspects = [i for i, x in enumerate(xs) if evaluate(locator, x) == 0]
    wrong = tuple(i for i in suspects if evaluate(polynomial, xs[i]) != shares[i])
    if 2 * len(wrong) > len(shares) - t:
        return None
    return Decoded(polynomial, wrong)


def extrapolate(shares: NDArray[uint8], xs: NDArray[uint32], x: int) -> NDArray[uint8]:
    """The shares that one more holder must have.

    Args:
        shares: uint8[t, s, 32], each below q; row i belongs to xs[i].
        xs: uint32[t], distinct and non-zero.
        x: another x-coordinate.

    Returns:
        uint8[s, 32]: the polynomials through the shares, at x.
    """
    values = np.zeros(shares.shape[1:], uint8)
    _kernels.shamir_combine(values, _lagrange_at(x, xs), shares)
    return values


def _lagrange_at(x: int, xs: NDArray[uint32]) -> NDArray[uint8]:
    """Lagrange's basis for xs at x, from that at 0: their ratio is prod (x_j - x) / x_j * x_i / (x_i - x)."""
    roots = xs.tolist()
    above = below = 1
    for root in roots:
        above, below = above * (root - x) % Q, below * root % Q
    ratio = above * pow(below, -1, Q) % Q
    inverses = _invert([root - x for root in roots])
    at_0 = _integers(shamir.lagrange(xs))
    return _scalars([c * ratio * root * i % Q for c, root, i in zip(at_0, roots, inverses, strict=True)])


def evaluate(polynomial: Polynomial, x: int) -> int:
    """The value of a polynomial at x mod q, by Horner's rule."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % Q
    return value


class _Divided(NamedTuple):
    polynomial: Polynomial
    locator: Polynomial  # 0 at the x-coordinates of all shares that do not lie on the polynomial


def _euclid(shares: Sequence[int], xs: Sequence[int], t: int) -> _Divided | None:
    """Gao's algorithm. None if the division at its end leaves a remainder."""
    # The extended Euclidean algorithm on the product of the (x - x_i) and the polynomial through the shares, ...
    above, below = _interpolate(shares, xs)
    u, v = _trim([]), _trim([1])  # v * (polynomial through the shares) = below  mod the product
    while 2 * (len(below) - 1) >= len(xs) + t:
        quotient, rest = _divide(above, below)
        above, below = below, rest
        u, v = v, _subtract(u, _multiply(quotient, v))

    # ... stopped half way: the remainder is the polynomial times the locator of the errors.
    polynomial, rest = _divide(below, v)
    return None if rest else _Divided(polynomial, v)


def _interpolate(values: Sequence[int], xs: Sequence[int]) -> tuple[Polynomial, Polynomial]:
    """The product of the (x - x_i), and the polynomial of the lowest degree with these values."""
    product, total = _combine([v * w % Q for v, w in zip(values, _weights(xs), strict=True)], xs)
    return product, _trim(total)


def _weights(xs: Sequence[int]) -> list[int]:
    """The inverse of the product over j != i of (x_i - x_j), for each i."""
    product = 1
    for x in xs:
        product = -product * x % Q
    scale = -pow(product, -1, Q)
    at_0 = _integers(shamir.lagrange(np.array(xs, uint32)))
    return [scale * x * c % Q for x, c in zip(xs, at_0, strict=True)]


def _combine(scales: Sequence[int], xs: Sequence[int]) -> tuple[Polynomial, Polynomial]:
    """The product of the (x - x_i), and the sum of scale_i * product / (x - x_i); by halves, as products are fast."""
    if len(xs) == 1:
        return [-xs[0] % Q, 1], [scales[0]]
    half = len(xs) // 2
    left, left_sum = _combine(scales[:half], xs[:half])
    right, right_sum = _combine(scales[half:], xs[half:])
    terms = zip_longest(_multiply(left_sum, right), _multiply(right_sum, left), fillvalue=0)
    return _multiply(left, right), [(x + y) % Q for x, y in terms]


def _divide(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder, b not 0."""
    rest = list(a)
    inverse = pow(b[-1], -1, Q)
    quotient = [0] * max(len(a) - len(b) + 1, 0)
    for shift in reversed(range(len(quotient))):
        factor = quotient[shift] = rest[shift + len(b) - 1] * inverse % Q
        for i, coefficient in enumerate(b):
            rest[shift + i] = (rest[shift + i] - factor * coefficient) % Q
    return quotient, _trim(rest[: len(b) - 1])


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product of two polynomials, as one product of two long integers whose slots do not overflow."""
    size = len(a) + len(b)
    product = (_pack(a) * _pack(b)).to_bytes(size * _SLOT_BYTES, "little")
    slots = range(0, (size - 1) * _SLOT_BYTES if a and b else 0, _SLOT_BYTES)
    return [int.from_bytes(product[i : i + _SLOT_BYTES], "little") % Q for i in slots]


def _pack(polynomial: Polynomial) -> int:
    return int.from_bytes(b"".join(c.to_bytes(_SLOT_BYTES, "little") for c in polynomial), "little")


def _subtract(a: Polynomial, b: Polynomial) -> Polynomial:
    return _trim([(x - y) % Q for x, y in zip_longest(a, b, fillvalue=0)])


def _trim(polynomial: Polynomial) -> Polynomial:
    while polynomial and polynomial[-1] == 0:
        polynomial.pop()
    return polynomial


def _invert(values: Sequence[int]) -> list[int]:
    """The inverses mod q of all values, with a single inversion: Montgomery's trick."""
    before = [1]
    for value in values:
        before.append(before[-1] * value % Q)
    inverse = pow(before.pop(), -1, Q)
    inverses = []
    for value in reversed(values):
        inverses.append(inverse * before.pop() % Q)
        inverse = inverse * value % Q
    return inverses[::-1]


def _integers(scalars: NDArray[uint8]) -> list[int]:
    return [int.from_bytes(bytes(scalar), "big") for scalar in scalars]


def _scalars(integers: Sequence[int]) -> NDArray[uint8]:
    octets = b"".join(i.to_bytes(SCALAR_BYTES, "big") for i in integers)
    return np.frombuffer(octets, uint8).reshape(-1, SCALAR_BYTES)
