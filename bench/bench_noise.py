"""Exact noise beside OpenDP's vector measurements (extra `oracles`), and Skellam's beside numpy's inexact Poisson."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from secagg.dp.samplers import (
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    Sampler,
)

from .conftest import Sizes
from .paired import Baseline, Paired, Target, Unit

SCALES = (1, 100, 10_000)
ROUNDS = 7


def millions(samples: int) -> Unit:
    return Unit("M samples/s", samples / 1e6, rate=True)


def opendp_baseline(name: str, scale: int, samples: int, parts: int) -> Baseline:
    """OpenDP's discrete Laplace or Gaussian measurement of a vector of zeros."""
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T=int))
    if name == "laplace":
        measurement = dp.m.make_laplace(domain, dp.l1_distance(T=int), scale=float(scale))
    else:
        measurement = dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=float(scale))
    zeros = [0] * samples
    return Baseline(f"OpenDP's {name}", lambda: measurement(zeros), millions(samples), parts)


def numbers(sizes: Sizes) -> tuple[int, int]:
    """Samples that we draw, and how many times fewer the baseline does."""
    return 2 * sizes.m, 40


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("laplace", lambda scale: ExactLaplace(Fraction(scale))),
        ("gaussian", lambda scale: ExactGaussian(Fraction(scale**2))),
    ],
)
def bench_exact(paired: Paired, sizes: Sizes, name: str, law: Callable[[int], Sampler], scale: int) -> None:
    n, parts = numbers(sizes)
    baseline = opendp_baseline(name, scale, n // parts, parts)
    target = Target("ratio", 40, at_least=True)
    paired(f"exact {name}, scale {scale}", lambda: law(scale).sample(n), baseline, [millions(n)], target, rounds=ROUNDS)


@pytest.mark.parametrize(
    ("name", "law", "scale"),
    [
        *(("laplace", IsochronousLaplace(Fraction(scale)), scale) for scale in SCALES),
        *(("gaussian", IsochronousGaussian(Fraction(scale**2)), scale) for scale in SCALES[:2]),
    ],
)
def bench_isochronous(paired: Paired, sizes: Sizes, name: str, law: Sampler, scale: int) -> None:
    n, parts = numbers(sizes)
    baseline = opendp_baseline(name, scale, n // parts, parts)
    paired(f"isochronous {name}, scale {scale}", lambda: law.sample(n), baseline, [millions(n)], rounds=ROUNDS)


@pytest.mark.parametrize("variance", [10, 100, 10**4, 10**6, 10**8])
def bench_exact_skellam(paired: Paired, sizes: Sizes, variance: int) -> None:
    """The table is made before: 1 ms at variance 10, a second at 10**8."""
    skellam(
        paired, sizes, "exact", ExactSkellam(Fraction(variance)), variance, Target("M samples/s", 0.1, at_least=True)
    )


@pytest.mark.parametrize("variance", [10, 100, 10**4])
def bench_isochronous_skellam(paired: Paired, sizes: Sizes, variance: int) -> None:
    skellam(paired, sizes, "isochronous", IsochronousSkellam(Fraction(variance)), variance, None)


def skellam(paired: Paired, sizes: Sizes, form: str, law: Sampler, variance: int, target: Target | None) -> None:
    n = sizes.m
    rng = np.random.default_rng(0)
    law.sample(1)

    def poisson() -> None:
        rng.poisson(variance / 2, n) - rng.poisson(variance / 2, n)

    baseline = Baseline("numpy's Poisson, inexact", poisson, millions(n))
    paired(
        f"{form} Skellam, variance {variance}", lambda: law.sample(n), baseline, [millions(n)], target, rounds=ROUNDS
    )
