"""Sharing and reconstructing beside plain Python integers, galois and pycryptodome.

pycryptodome's field is another one, GF(2^128): it takes two of its secrets for one of 32 bytes.
"""

from collections.abc import Callable

import galois
import numpy as np
import pytest
from Crypto.Protocol.SecretSharing import Shamir

from secagg import shamir
from secagg.codec import Ids, Octets
from secagg.shamir import Q

from ..paired import MILLISECONDS, Baseline, Paired, Target
from ..script import replayable
from .conftest import Sizes

Evaluate = Callable[[list[int], list[int]], list[int]]
Combine = Callable[[list[int], list[int]], int]


def integers(scalars: Octets) -> list[int]:
    return [int.from_bytes(scalar.tobytes(), "big") for scalar in scalars.reshape(-1, 32)]


def coordinates(count: int) -> Ids:
    return np.arange(1, count + 1, dtype=np.uint32)


def python_evaluate(polynomial: list[int], xs: list[int]) -> list[int]:
    """Horner's rule; the constant coefficient comes last."""
    values = []
    for x in xs:
        value = 0
        for coefficient in polynomial:
            value = (value * x + coefficient) % Q
        values.append(value)
    return values


def python_combine(coefficients: list[int], shares: list[int]) -> int:
    return sum(a * b for a, b in zip(coefficients, shares, strict=True)) % Q


def python_lagrange(xs: list[int]) -> list[int]:
    coefficients = []
    for i, x in enumerate(xs):
        numerator = denominator = 1
        for other in xs[:i] + xs[i + 1 :]:
            numerator = numerator * other % Q
            denominator = denominator * (other - x) % Q
        coefficients.append(numerator * pow(denominator, -1, Q) % Q)
    return coefficients


@pytest.fixture(scope="session")
def field() -> type[galois.FieldArray]:
    return galois.GF(Q, primitive_element=7, verify=False)


@pytest.fixture
def evaluate(field: type[galois.FieldArray]) -> dict[str, Evaluate]:
    def by_galois(polynomial: list[int], xs: list[int]) -> list[int]:
        return [int(y) for y in galois.Poly(field(polynomial))(field(xs))]

    return {"plain Python": python_evaluate, "galois": by_galois}


@pytest.fixture
def combine(field: type[galois.FieldArray]) -> dict[str, Combine]:
    def by_galois(coefficients: list[int], shares: list[int]) -> int:
        return int(field(coefficients) @ field(shares))

    return {"plain Python": python_combine, "galois": by_galois}


@pytest.mark.parametrize(("secrets", "library"), [(1, "plain Python"), (1, "galois"), (2, "plain Python")])
def bench_share(paired: Paired, sizes: Sizes, evaluate: dict[str, Evaluate], secrets: int, library: str) -> None:
    """The baseline computes the first tenth of one secret's shares."""
    rand = replayable(0)
    scalars, xs = shamir.random_scalars(secrets, rand), coordinates(sizes.n)
    polynomial = integers(shamir.random_scalars(sizes.t, rand))
    few = xs[: sizes.n // 10].tolist()
    run = evaluate[library]
    baseline = Baseline(library, lambda: run(polynomial, few), MILLISECONDS, parts=10 * secrets)
    target = Target("ms", 10) if secrets == 1 else None
    case = f"share {secrets} secret{'s' * (secrets > 1)}"
    shares = paired(case, lambda: shamir.share(scalars, sizes.t, xs), baseline, [MILLISECONDS], target, rounds=11)
    assert np.array_equal(shamir.reconstruct(shares[: sizes.t], xs[: sizes.t]), scalars)


def bench_coefficients(paired: Paired, sizes: Sizes) -> None:
    xs = coordinates(sizes.t)

    def uncached() -> Octets:
        shamir._lagrange.cache_clear()
        return shamir.lagrange(xs)

    numbers = xs.tolist()
    baseline = Baseline("plain Python", lambda: python_lagrange(numbers), MILLISECONDS)
    found = paired("Lagrange coefficients", uncached, baseline, [MILLISECONDS], Target("ms", 10))
    assert integers(found) == python_lagrange(numbers)


@pytest.mark.parametrize("library", ["plain Python", "galois"])
def bench_reconstruct(paired: Paired, sizes: Sizes, combine: dict[str, Combine], library: str) -> None:
    """n secrets from cached coefficients; the baseline reconstructs the first of them."""
    xs = coordinates(sizes.t)
    shares = shamir.random_scalars(sizes.t * sizes.n, replayable(0)).reshape(sizes.t, sizes.n, 32)
    coefficients, first = integers(shamir.lagrange(xs)), integers(shares[:, 0])
    run = combine[library]
    baseline = Baseline(library, lambda: run(coefficients, first), MILLISECONDS, parts=sizes.n)
    case = f"reconstruct {sizes.n:,} secrets"
    secrets = paired(case, lambda: shamir.reconstruct(shares, xs), baseline, [MILLISECONDS], Target("ms", 15))
    assert integers(secrets)[0] == run(coefficients, first)


def bench_reconstruct_each(paired: Paired, sizes: Sizes) -> None:
    """10 n secrets of other holders each, as in a sparse graph; the baseline reconstructs the first of them."""
    s, t = 10 * sizes.n, 70
    xs = 1 + np.cumsum(np.random.default_rng(0).integers(1, 140, (s, t)), axis=1, dtype=np.uint32)
    shares = shamir.random_scalars(s * t, replayable(0)).reshape(s, t, 32)
    numbers, first = xs[0].tolist(), integers(shares[0])
    baseline = Baseline("plain Python", lambda: python_combine(python_lagrange(numbers), first), MILLISECONDS, parts=s)
    case = f"reconstruct {s:,} secrets of other holders each"
    secrets = paired(case, lambda: shamir.reconstruct_each(shares, xs, t), baseline, [MILLISECONDS], Target("ms", 100))
    assert integers(secrets)[0] == python_combine(python_lagrange(numbers), first)


def bench_share_beside_pycryptodome(paired: Paired, sizes: Sizes) -> None:
    """The baseline computes two shares of half a secret."""
    secret, xs = shamir.random_scalars(1, replayable(0)), coordinates(sizes.n)
    half = secret[0, :16].tobytes()
    baseline = Baseline(
        "pycryptodome, GF(2^128)", lambda: Shamir.split(sizes.t, 2, half), MILLISECONDS, parts=2 * sizes.n / 2
    )
    paired("share 1 secret", lambda: shamir.share(secret, sizes.t, xs), baseline, [MILLISECONDS], rounds=11)


def bench_reconstruct_beside_pycryptodome(paired: Paired, sizes: Sizes) -> None:
    """One secret, coefficients included; the baseline combines a tenth of t shares of half a secret, which is taken
    for a hundredth of that work: it grows as the square."""
    xs, few = coordinates(sizes.t), max(sizes.t // 10, 2)
    secret = shamir.random_scalars(1, replayable(0))
    shares = shamir.share(secret, sizes.t, xs)
    halves = Shamir.split(few, few, secret[0, :16].tobytes())

    def uncached() -> Octets:
        shamir._lagrange.cache_clear()
        return shamir.reconstruct(shares, xs)

    baseline = Baseline(
        "pycryptodome, GF(2^128)", lambda: Shamir.combine(halves), MILLISECONDS, parts=2 * (sizes.t / few) ** 2
    )
    found = paired("reconstruct 1 secret", uncached, baseline, [MILLISECONDS], rounds=11)
    assert np.array_equal(found, secret)
    assert Shamir.combine(halves) == secret[0, :16].tobytes()
