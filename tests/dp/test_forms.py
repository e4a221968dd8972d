"""What tells the two forms of a law apart without a clock, and what both have in common: the seed fixes the samples."""

import hashlib
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from secagg import _kernels
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

SEED = bytes(range(16))


@pytest.mark.parametrize("law", [ExactLaplace(Fraction(100)), ExactGaussian(Fraction(1)), ExactGaussian(Fraction(100))])
def test_words_of_an_exact_sampler_depend_on_its_samples(law: Sampler) -> None:
    """Large ones take more: what isochronous samplers must not do (test_dp_tables.py)."""
    source, out = _kernels.Random(seed=SEED), np.empty(1, np.int64)
    drawn = []
    for _ in range(20_000):
        before = source.used
        law.fill(out, source)
        drawn.append((abs(int(out[0])), source.used - before))
    magnitudes, words = np.array(drawn).T
    middle = np.median(magnitudes)
    large, small = words[magnitudes > middle], words[magnitudes <= middle]
    error = sqrt(large.var() / large.size + small.var() / small.size)
    assert (large.mean() - small.mean()) / error > 8


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(
    ("law", "digest"),
    [
        (ExactLaplace(Fraction(22, 7)), "53f07f3b45bacd1a"),
        (ExactGaussian(Fraction(100)), "49c8e17b07a70775"),
        (ExactSkellam(Fraction(60)), "07b6f4963543e773"),
        (IsochronousLaplace(Fraction(22, 7)), "f86b4f2f04164bad"),
        (IsochronousGaussian(Fraction(100)), "9d109fd9db53f826"),
        (IsochronousWideGaussian(Fraction(10**5)), "c20c0aafdf4a4c04"),
        (IsochronousSkellam(Fraction(60)), "07b6f4963543e773"),
    ],
)
def test_what_a_seed_gives_is_fixed(law: Sampler, digest: str) -> None:
    """A party that sends a noisy share again must draw the same noise. If this has to change, so has `seeds.VERSION`,
    lest two versions draw from one seed, and CHANGELOG.md says so."""
    samples = law.sample(1000, rand=lambda size: SEED[:size])
    assert hashlib.sha256(samples.astype("<i8").tobytes()).hexdigest()[:16] == digest
    assert law.sample(100, rand=lambda size: SEED[:size]).tolist() == samples[:100].tolist()
