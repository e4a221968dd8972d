"""Shamir's shares as a Reed-Solomon code: reconstruction when some of them are wrong.

m shares of a polynomial of degree below t are a codeword of length m and dimension t, so up to floor((m - t) / 2) wrong
ones are found and corrected; a share known to be wrong is left out, which costs half as much. Gao's algorithm (2003):
the extended Euclidean algorithm on the product of the (x - x_i) and the polynomial through all the shares, stopped half
way. All of it is public to the server, which is the only one to run it, so it may take what time it takes.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

from .shamir import Q

Polynomial = list[int]  # coefficients mod q, the lowest first, the highest not 0; [] is 0


class Decoded(NamedTuple):
    """A secret and the positions of the shares that do not belong to its polynomial."""

    secret: int
    wrong: tuple[int, ...]


def decode(shares: Sequence[int], xs: Sequence[int], t: int) -> Decoded | None:
    """The one polynomial of degree below t on which all but at most floor((m - t) / 2) of m shares lie, at 0.

    Args:
        shares: m elements of Z_q, t or more.
        xs: their x-coordinates, distinct mod q and not 0.
        t: threshold.

    Returns:
        The secret and which shares are wrong, or None if there is no such polynomial.
    """
    polynomial = _decode_polynomial(shares, xs, t)
    if polynomial is None or len(polynomial) > t:
        return None
    wrong = tuple(i for i, (x, share) in enumerate(zip(xs, shares, strict=True)) if evaluate(polynomial, x) != share)
    if 2 * len(wrong) > len(shares) - t:
        return None
    return Decoded(evaluate(polynomial, 0), wrong)


@lru_cache(maxsize=16)
def lagrange_at(x: int, xs: tuple[int, ...]) -> list[int]:
    """Lagrange's basis polynomials for xs, evaluated at x: a share at x is their product with the shares at xs."""
    coefficients = []
    for i in xs:
        numerator = denominator = 1
        for j in xs:
            if j != i:
                numerator = numerator * (x - j) % Q
                denominator = denominator * (i - j) % Q
        coefficients.append(numerator * pow(denominator, -1, Q) % Q)
    return coefficients


def evaluate(polynomial: Polynomial, x: int) -> int:
    """Horner's rule."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % Q
    return value


def _decode_polynomial(shares: Sequence[int], xs: Sequence[int], t: int) -> Polynomial | None:
    """Gao's algorithm. None if the division at its end leaves a remainder."""
    above = _from_roots(xs)
    below = _interpolate(shares, xs, above)
    u, v = _trim([]), _trim([1])  # v * (polynomial through the shares) = below  mod the product
    while 2 * (len(below) - 1) >= len(xs) + t:
        quotient, rest = _divide(above, below)
        above, below = below, rest
        u, v = v, _subtract(u, _multiply(quotient, v))
    polynomial, rest = _divide(below, v)
    return None if rest else polynomial


def _from_roots(roots: Sequence[int]) -> Polynomial:
    """The product of the (x - root)."""
    product = [1]
    for root in roots:
        product = [(low - root * high) % Q for low, high in zip([0, *product], [*product, 0], strict=True)]
    return product


def _interpolate(values: Sequence[int], xs: Sequence[int], product: Polynomial) -> Polynomial:
    """The polynomial of least degree with these values: a sum of product / (x - x_i), scaled."""
    total = [0] * len(xs)
    for x, value in zip(xs, values, strict=True):
        quotient = _divide_by_root(product, x)
        scale = value * pow(evaluate(quotient, x), -1, Q) % Q
        total = [(a + scale * b) % Q for a, b in zip(total, quotient, strict=True)]
    return _trim(total)


def _divide_by_root(polynomial: Polynomial, root: int) -> Polynomial:
    """Synthetic division by (x - root), which divides it."""
    quotient = []
    carry = 0
    for coefficient in reversed(polynomial):
        carry = (coefficient + carry * root) % Q
        quotient.append(carry)
    return quotient[-2::-1]


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
    product = [0] * (len(a) + len(b) - 1 if a and b else 0)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] = (product[i + j] + x * y) % Q
    return product


def _subtract(a: Polynomial, b: Polynomial) -> Polynomial:
    return _trim([(x - y) % Q for x, y in zip_longest(a, b, fillvalue=0)])


def _trim(polynomial: Polynomial) -> Polynomial:
    while polynomial and polynomial[-1] == 0:
        polynomial.pop()
    return polynomial
