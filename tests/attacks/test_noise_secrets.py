"""One secret for several draws must not tell a share: whatever draws differ in, their noises are unrelated."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.dp import Neighbours, Noise, Party, Plan, Sensitivity, ZCdp
from secagg.dp.samplers import (
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    IsochronousWideGaussian,
)

LENGTH = 2000
SECRET = bytes(range(16))
COUNTS = np.arange(LENGTH) * 5 % 1000  # the share that is to be hidden
FORMS: list[Callable[[Fraction], Any]] = [
    ExactGaussian, ExactLaplace, ExactSkellam, IsochronousGaussian, IsochronousLaplace, IsochronousSkellam,
    IsochronousWideGaussian,
]  # fmt: skip


def secret(_: int) -> bytes:
    return SECRET


def noise_on(noise: Noise, values: NDArray[Any] = COUNTS, modulus: int = 1 << 64) -> NDArray[np.float64]:
    """What is added to a share mod R under the one secret."""
    wide = modulus > 1 << 64
    share = np.zeros((len(values), 2) if wide else len(values), np.uint32 if modulus <= 1 << 32 else np.uint64)
    (share[:, 0] if wide else share)[:] = values
    before = share.copy()
    noise.add_to(share, modulus, rand=secret)
    added = [
        (int.from_bytes(y.tobytes(), "little") - int.from_bytes(x.tobytes(), "little")) % modulus
        for x, y in zip(before, share, strict=True)
    ]
    return np.array([x - modulus if x > modulus // 2 else x for x in added], np.float64)


def assert_unrelated(*noises: NDArray[np.float64]) -> None:
    """Of 2,000 entries each: 0.12 is 5.4 standard deviations."""
    for a, b in combinations(noises, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.12


@pytest.mark.parametrize("isochronous", [True, False])
def test_one_secret_under_two_budgets_does_not_give_the_share_away(isochronous: bool) -> None:
    """With the same uniforms twice, the wide noise would be twice the narrow one but for rounding."""
    released = []
    for rho in ("0.01", "0.0025"):
        histogram = Sensitivity.histogram(Neighbours.REPLACE_ONE)
        plan = Plan.aggregators(ZCdp(rho), histogram, LENGTH, isochronous=isochronous)
        share = COUNTS.astype(np.uint64)
        plan.noise_for(Party.AGGREGATOR).add_to(share, 1 << 64, rand=secret)
        released.append(share.view(np.int64))
    off = 2 * released[0] - released[1] - COUNTS
    assert off.std() == pytest.approx(np.sqrt(4 * 100 + 400), rel=0.1)  # of independent noises of deviation 10 and 20
    assert np.mean(off == 0) < 0.05


@pytest.mark.parametrize("form", FORMS)
def test_scales_share_nothing(form: Callable[[Fraction], Any]) -> None:
    scales = (Fraction(100), Fraction(400), Fraction(401), Fraction(400 * 10**9 + 1, 10**9))
    assert_unrelated(*(noise_on(Noise(form(scale), LENGTH)) for scale in scales))


def test_laws_and_forms_share_nothing() -> None:
    assert_unrelated(*(noise_on(Noise(form(Fraction(100)), LENGTH)) for form in FORMS))


@pytest.mark.parametrize("form", FORMS)
def test_no_draw_is_a_prefix_of_a_longer_one(form: Callable[[Fraction], Any]) -> None:
    """Of which the longer one's share may be 0 beyond, as where one party pads what another does not."""
    law = form(Fraction(100))
    short = noise_on(Noise(law, LENGTH))
    longer = noise_on(Noise(law, LENGTH + 1), np.append(COUNTS, 0))
    assert_unrelated(short, longer[:-1])
    bare = [Noise(law, n).sample(rand=secret, context=b"same").astype(float) for n in (LENGTH, LENGTH + 1)]
    assert_unrelated(bare[0], bare[1][:-1])


def test_moduli_shares_and_contexts_share_nothing() -> None:
    noise = Noise(ExactGaussian(Fraction(100)), LENGTH)
    moduli = [noise_on(noise, modulus=modulus) for modulus in (1 << 20, 1 << 32, 1 << 64, (1 << 66) - 5)]
    signed = COUNTS.astype(np.int64)
    noise.add_to(signed, rand=secret)
    other = COUNTS.copy()
    other[7] += 1
    contexts = [noise.sample(rand=secret, context=context).astype(float) for context in (b"a", b"b")]
    assert_unrelated(*moduli, (signed - COUNTS).astype(float), noise_on(noise, other), *contexts)


def test_two_shares_under_one_secret_do_not_show_their_difference() -> None:
    noise, other = Noise(ExactGaussian(Fraction(100)), LENGTH), COUNTS.copy()
    other[7] += 1
    shares = [COUNTS.astype(np.int64), other.astype(np.int64)]
    for share in shares:
        noise.add_to(share, rand=secret)
    assert np.count_nonzero(shares[0] != shares[1]) > LENGTH // 2
