"""Exact noise beside OpenDP's vector measurements (extra `oracles`), and Skellam's beside numpy's inexact Poisson."""

import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from secagg.dp import DiscreteGaussian, Skellam
from secagg.dp.distributed import SKELLAM_VARIANCE_MAX
from secagg.dp.noise import exact_sampler, isochronous_sampler
from secagg.dp.samplers import (
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    IsochronousWideGaussian,
    Sampler,
)

from ..paired import MILLISECONDS, Baseline, Paired, Target, Unit
from .conftest import Sizes, every_isa

SCALES = (1, 100, 10_000)
ROUNDS = 7
SUMS = 100_000


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
        ("gaussian", IsochronousGaussian(Fraction(1)), 1),
        *(("gaussian", IsochronousWideGaussian(Fraction(scale**2)), scale) for scale in SCALES[1:]),
    ],
)
def bench_isochronous(paired: Paired, sizes: Sizes, name: str, law: Sampler, scale: int) -> None:
    n, parts = numbers(sizes)
    baseline = opendp_baseline(name, scale, n // parts, parts)
    paired(f"isochronous {name}, scale {scale}", lambda: law.sample(n), baseline, [millions(n)], rounds=ROUNDS)


@every_isa("noise")
@pytest.mark.parametrize(("variance", "milliseconds"), [(401, None), (10**4, 20), (10**5, None), (1 << 20, 50)])
def bench_sums_beside_a_scan(paired: Paired, isa: str, variance: int, milliseconds: float | None) -> None:
    """Of the whole table, on the same instruction set: what a sum of narrow samples takes the place of."""
    sums, scan = IsochronousWideGaussian(Fraction(variance)), IsochronousGaussian(Fraction(variance))
    for law in (sums, scan):
        law.sample(1)
    baseline = Baseline("a scan of the whole table", lambda: scan.sample(SUMS), MILLISECONDS)
    target = None if milliseconds is None or isa == "portable" else Target("ms", milliseconds)
    case = f"100,000 isochronous Gaussian samples, variance {variance}, {isa}"
    paired(case, lambda: sums.sample(SUMS), baseline, [MILLISECONDS], target, rounds=ROUNDS)


@pytest.mark.parametrize("variance", [10, 100, 10**4, 10**6, 10**8])
def bench_exact_skellam(paired: Paired, sizes: Sizes, variance: int) -> None:
    """The table is made before: 1 ms at variance 10, a second at 10**8."""
    skellam(
        paired, sizes, "exact", ExactSkellam(Fraction(variance)), variance, Target("M samples/s", 0.1, at_least=True)
    )


@pytest.mark.parametrize("variance", [10, 100, 10**4])
def bench_isochronous_skellam(paired: Paired, sizes: Sizes, variance: int) -> None:
    skellam(paired, sizes, "isochronous", IsochronousSkellam(Fraction(variance)), variance, None)


@pytest.mark.parametrize("variance", [10, 4096, 10**4, 10**5, 1 << 20, (1 << 20) + 1, 10**8])
def bench_each_client_of_a_cohort(paired: Paired, sizes: Sizes, variance: int) -> None:
    """What a distributed plan takes at a client's variance, around each of its limits too."""
    law = Skellam(Fraction(variance)) if variance <= SKELLAM_VARIANCE_MAX else DiscreteGaussian(Fraction(variance))
    sampler = isochronous_sampler(law) or exact_sampler(law)
    sampler.sample(1)
    n, name = sizes.m, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(sampler).__name__)
    paired(
        f"a client of a cohort, variance {variance}: {name}",
        lambda: sampler.sample(n),
        inexact_poisson(variance, n),
        [millions(n)],
        Target("M samples/s", 0.1, at_least=True),
        rounds=ROUNDS,
    )


def skellam(paired: Paired, sizes: Sizes, form: str, law: Sampler, variance: int, target: Target | None) -> None:
    n = sizes.m
    law.sample(1)
    case = f"{form} Skellam, variance {variance}"
    paired(case, lambda: law.sample(n), inexact_poisson(variance, n), [millions(n)], target, rounds=ROUNDS)


def inexact_poisson(variance: int, n: int) -> Baseline:
    """The difference of two of numpy's Poisson samples: floating point."""
    rng = np.random.default_rng(0)

    def poisson() -> None:
        rng.poisson(variance / 2, n) - rng.poisson(variance / 2, n)

    return Baseline("numpy's Poisson, inexact", poisson, millions(n))
