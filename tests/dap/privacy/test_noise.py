"""An Aggregator's noise: the same for the same batch, unrelated for any other, and of the plan's law."""

import hmac
import random
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.privacy.noise import add_noise, noise_secret
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.dp import ApproxDp, DiscreteLaplace, Neighbours, Plan, PureDp, Sensitivity, ZCdp
from secagg.errors import LocalProtocolError
from secagg.vdaf import Prio3

KEY, TASK_ID, BATCH = bytes(range(32)), bytes(range(100, 132)), bytes(16)
SEED = bytes(range(16))
LAPLACE = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("0.25"), PureDp(1))
GAUSSIAN = Privacy(Mechanism.DISCRETE_GAUSSIAN, ZCdp("0.02"), ZCdp(1))
VDAFS = [
    vdaf("Count"),
    vdaf("Sum", max_measurement=255),
    vdaf("SumVec", length=10, max_measurement=15),
    vdaf("Histogram", length=16),
    vdaf("MultihotCountVec", length=20, max_weight=3),
]
HISTOGRAM = VDAFS[3]


def signed(prio3: Prio3, elements: Any) -> list[int]:
    half = prio3.field.MODULUS // 2
    return [x - prio3.field.MODULUS if x > half else x for x in prio3.field.ints(elements)]


def noise_of(plan: Plan, prio3: Prio3, secret: bytes) -> list[int]:
    """What is added to a share of zeros."""
    return signed(prio3, add_noise(plan, prio3, prio3.agg_init(), secret))


def test_secret_is_the_documented_function() -> None:
    message = b"secagg dap noise" + TASK_ID + bytes([0, 0, 0, 16]) + BATCH
    assert noise_secret(KEY, TASK_ID, BATCH) == hmac.new(KEY, message, sha256).digest()[:16]


def test_the_same_batch_has_the_same_secret_and_any_other_another() -> None:
    given = [KEY, TASK_ID, BATCH]
    secrets = {noise_secret(*given), noise_secret(*given)}
    assert len(secrets) == 1
    changes = 0
    for i, value in enumerate(given):
        for position in range(len(value)):
            changed = value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :]
            secrets.add(noise_secret(*[*given[:i], changed, *given[i + 1 :]]))
            changes += 1
    assert len(secrets) == 1 + changes
    assert noise_secret(KEY, TASK_ID, BATCH + bytes(16)) not in secrets  # an interval and a batch ID


@pytest.mark.parametrize(("key", "task_id"), [(KEY[1:], TASK_ID), (KEY, TASK_ID + b"x"), (b"", TASK_ID)])
def test_keys_and_ids_of_other_lengths_are_refused(key: bytes, task_id: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="bytes"):
        noise_secret(key, task_id, BATCH)


@pytest.mark.parametrize("privacy", [LAPLACE, GAUSSIAN], ids=["Laplace", "Gaussian"])
@pytest.mark.parametrize("chosen", VDAFS, ids=lambda chosen: chosen.NAME)
def test_both_aggregators_noises_add_up_over_the_field(chosen: Vdaf, privacy: Privacy) -> None:
    """A small sum, of which noise makes entries negative: Field64 and Field128."""
    prio3, plan = chosen.prio3(), privacy.plan(chosen)
    true = list(range(chosen.entries))
    mask = [random.Random(i).getrandbits(60) for i in true]
    leader, helper = prio3.field.array(mask), prio3.field.array([x - m for x, m in zip(true, mask, strict=True)])
    before = leader.copy(), helper.copy()
    shares = [add_noise(plan, prio3, leader, SEED), add_noise(plan, prio3, helper, SEED[::-1])]
    assert (leader == before[0]).all()
    assert (helper == before[1]).all()
    noises = [
        signed(prio3, prio3.merge([noised, prio3.field.array([-x for x in prio3.field.ints(share)])]))
        for noised, share in zip(shares, before, strict=True)
    ]
    expected = [x + a + b for x, a, b in zip(true, *noises, strict=True)]
    assert expected != true
    assert max(map(abs, noises[0] + noises[1])) < 10**4
    result = prio3.unshard(shares, 3, signed=True)
    assert (result if isinstance(result, list) else [result]) == expected


def test_the_same_seed_gives_the_same_bytes() -> None:
    prio3, plan = HISTOGRAM.prio3(), LAPLACE.plan(HISTOGRAM)
    share = prio3.agg_init()
    first, again, other = (add_noise(plan, prio3, share, seed) for seed in (SEED, bytes(SEED), bytes(16)))
    assert prio3.encode_agg_share(first) == prio3.encode_agg_share(again)
    assert prio3.encode_agg_share(first) != prio3.encode_agg_share(other)


def test_a_share_that_differs_in_one_report_has_unrelated_noise() -> None:
    """The difference of two results over almost the same reports is not that of the reports."""
    chosen = vdaf("Histogram", length=2000)
    prio3, plan = chosen.prio3(), LAPLACE.plan(chosen)
    shares = [prio3.field.array([bucket == other for bucket in range(2000)]) for other in (3, 4)]
    a, b = (np.array(signed(prio3, add_noise(plan, prio3, share, SEED)), float) for share in shares)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.12  # 5.4 standard deviations


def test_two_laws_have_unrelated_noise_from_one_secret() -> None:
    """One draw scaled to two budgets would cancel: noise of half the scale is not half the noise, nor of its signs."""
    chosen = vdaf("Histogram", length=2000)
    prio3 = chosen.prio3()
    wide, narrow = (
        np.array(noise_of(Plan.aggregators(PureDp(epsilon), chosen.sensitivity(), 2000), prio3, SEED), float)
        for epsilon in ("0.01", "0.02")
    )
    assert abs(np.corrcoef(wide, narrow)[0, 1]) < 0.12  # 5.4 standard deviations


def laplace_weight(scale: float) -> Callable[[int], float]:
    ratio = float(np.exp(-1 / scale))
    return lambda y: (1 - ratio) / (1 + ratio) * ratio ** abs(y)


def test_noise_has_the_plans_law() -> None:
    """Chi-square over the values -12 .. 12 and both tails, of fixed seeds: 26 degrees of freedom, 63 at 1e-4."""
    chosen = vdaf("Histogram", length=1000)
    prio3, plan = chosen.prio3(), Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("0.5"), PureDp(1)).plan(chosen)
    assert plan.law == DiscreteLaplace(Fraction(4))
    samples = np.concatenate([noise_of(plan, prio3, bytes([i]) * 16) for i in range(20)])
    weight, n = laplace_weight(4.0), len(samples)
    expected = [weight(y) for y in range(-12, 13)]
    tail = (1 - sum(expected)) / 2
    counts = [int((samples == y).sum()) for y in range(-12, 13)]
    cells = [(int((samples < -12).sum()), tail), *zip(counts, expected, strict=True), (int((samples > 12).sum()), tail)]
    assert sum((count - n * p) ** 2 / (n * p) for count, p in cells) < 63
    assert samples.var() == pytest.approx(plan.law.variance, rel=0.08)
    assert plan.variance() == pytest.approx(2 * plan.law.variance)


def test_local_plans_add_nothing_at_aggregators() -> None:
    prio3 = HISTOGRAM.prio3()
    local = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(1), honest=0).plan(HISTOGRAM)
    assert noise_of(local, prio3, SEED) == [0] * 16
    plan = Plan.local(ApproxDp(1, "1e-6"), Sensitivity.histogram(Neighbours.REPLACE_ONE), 16, clients=9)
    assert noise_of(plan, prio3, SEED) == [0] * 16


def test_shares_and_seeds_of_other_lengths_are_refused() -> None:
    plan = LAPLACE.plan(HISTOGRAM)
    with pytest.raises(LocalProtocolError, match="a share of 16 entries"):
        add_noise(plan, VDAFS[4].prio3(), VDAFS[4].prio3().agg_init(), SEED)
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        add_noise(plan, HISTOGRAM.prio3(), HISTOGRAM.prio3().agg_init(), SEED[1:])
