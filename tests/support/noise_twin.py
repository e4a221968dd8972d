"""The exact samplers over again, in Python's fractions: the twin that the kernels must agree with on every tape. Seeds
are derived with pycryptodome's HKDF and AES."""

from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from math import isqrt

from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

SHARE, CONTEXT = 1, 2  # what a draw is bound to


class Tape:
    """Random words. EOFError after the last."""

    def __init__(self, words: list[int]) -> None:
        self.words = words
        self.used = 0

    def next(self) -> int:
        if self.used == len(self.words):
            raise EOFError
        self.used += 1
        return self.words[self.used - 1]

    def bernoulli(self, p: Fraction) -> bool:
        """Whether the real number whose binary digits the words are is below p, as soon as that is certain."""
        low, width = Fraction(0), Fraction(1)
        while True:
            width /= 1 << 64
            low += self.next() * width
            if low >= p:
                return False
            if low + width <= p:
                return True

    def uniform(self, t: int) -> int:
        """0 .. t - 1, each from floor(2^64 / t) words."""
        while True:
            upper, lower = divmod(self.next() * t, 1 << 64)
            if lower >= (1 << 64) % t:
                return upper


def bernoulli_exp(tape: Tape, c: int, *factors: Fraction) -> bool:
    """exp(-product / c), by trials with k = 1, 2, 3, ... of the probabilities 1/ck and the factors."""
    k = 1
    while (c * k == 1 or tape.bernoulli(Fraction(1, c * k))) and all(tape.bernoulli(x) for x in factors):
        k += 1
    return k % 2 == 1


def laplace(tape: Tape, scale: Fraction) -> int:
    """Algorithm 2."""
    t, s = scale.numerator, scale.denominator
    while True:
        u = tape.uniform(t)
        if not bernoulli_exp(tape, 1, Fraction(u, t)):
            continue
        v = 0
        while bernoulli_exp(tape, 1):
            v += 1
        magnitude = (u + t * v) // s
        sign = 1 if tape.next() & 1 else -1
        if magnitude or sign > 0:
            return sign * magnitude


def exponents(x: int, sigma_squared: Fraction) -> Iterator[tuple[int, list[Fraction]]]:
    """The trials that accept the proposal x, in order: (times, factors) for exp(-product of factors / 2)."""
    t = isqrt(int(sigma_squared)) + 1
    difference = abs(abs(x) - sigma_squared / t)
    i, first = divmod(difference * t / sigma_squared, 1)
    j, second = divmod(difference / t, 1)
    yield i * j, []
    yield i, [second]
    yield j, [first]
    yield 1, [first, second]


def gaussian(tape: Tape, sigma_squared: Fraction) -> int:
    """Algorithm 3."""
    t = isqrt(int(sigma_squared)) + 1
    while True:
        x = laplace(tape, Fraction(t))
        trials = (factors for times, factors in exponents(x, sigma_squared) for _ in range(times))
        if all(bernoulli_exp(tape, 2, *factors) for factors in trials):
            return x


def draw_seed(secret: bytes, sampler: str, scale: Fraction, length: int, modulus: int, bound: int, on: bytes) -> bytes:
    """The seed of one draw under a party's secret, as `secagg.dp.seeds` has it: `on` is the share or the context."""
    terms = f"{scale.numerator}/{scale.denominator}".encode()
    info = b"".join([
        b"secagg noise", (1).to_bytes(2, "big"), bytes([len(sampler)]), sampler.encode(), bytes([len(terms)]), terms,
        length.to_bytes(8, "big"), modulus.to_bytes(16, "big"), bytes([bound]), sha256(on).digest(),
    ])  # fmt: skip
    return HKDF(secret, 16, b"", SHA256, context=info)


def tape_of(seed: bytes, words: int) -> Tape:
    """The words that a seed stands for: AES-128 in counter mode from 0."""
    stream = AES.new(seed, AES.MODE_CTR, nonce=b"", initial_value=0).encrypt(bytes(8 * words))
    return Tape([int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)])
