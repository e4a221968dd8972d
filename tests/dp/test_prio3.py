"""Noise in Prio3's aggregate shares: over both fields, drawn again from a derived seed, and audited end to end."""

import hmac
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.dp import Neighbours, Party, Plan, PureDp, Sensitivity
from secagg.errors import LocalProtocolError
from secagg.vdaf import Prio3Histogram, Prio3Sum, Prio3SumVec, Prio3SumVecWithMultiproof
from secagg.vdaf.field import Field128
from secagg.vdaf.prio3 import Prio3

from ..support.noise_audit import RUNS, Release, audited_epsilon

CTX = b"noise"
N = Neighbours.REPLACE_ONE
AGGREGATOR = Party.AGGREGATOR
HISTOGRAM = Sensitivity.histogram(N)
VECTOR = Sensitivity.vector_sum(3, 1000, N)


def seed_of(number: int) -> Callable[[int], bytes]:
    return lambda size: number.to_bytes(size, "little")


def aggregate_shares(prio3: Prio3, measurements: Sequence[Any]) -> list[NDArray[np.uint64]]:
    """Every Aggregator's, of reports that were all verified."""
    nonces = np.frombuffer(os.urandom(len(measurements) * prio3.NONCE_SIZE), np.uint8).reshape(len(measurements), -1)
    public, inputs = prio3.shard_batch(CTX, measurements, nonces)
    key = os.urandom(prio3.VERIFY_KEY_SIZE)
    initial = [prio3.verify_init_batch(key, CTX, j, nonces, public, inputs[j]) for j in range(prio3.SHARES)]
    states, shares = zip(*initial, strict=True)
    messages = prio3.verifier_shares_to_message_batch(CTX, shares)
    assert not messages.rejected
    return [prio3.aggregate(prio3.verify_next_batch(state, messages)) for state in states]


@pytest.mark.parametrize(
    ("prio3", "measurements", "sensitivity", "result"),
    [(Prio3Histogram(length=4), [0, 3, 3], HISTOGRAM, [1, 0, 0, 2]),
     (Prio3SumVec(length=3, max_measurement=1000), [[1, 2, 1000], [0, 5, 1000]], VECTOR, [1, 7, 2000]),
     (Prio3SumVecWithMultiproof(length=3, max_measurement=1000), [[1, 2, 1000]], VECTOR, [1, 2, 1000])],
    ids=["Histogram", "SumVec", "SumVecWithMultiproof"],
)  # fmt: skip
@pytest.mark.parametrize("isochronous", [False, True])
def test_a_plan_adds_its_noise_to_shares_of_either_field(
    prio3: Prio3, measurements: Sequence[Any], sensitivity: Sensitivity, result: list[int], isochronous: bool
) -> None:
    noise = Plan.aggregators(PureDp("0.01"), sensitivity, len(result), isochronous=isochronous).noise_for(AGGREGATOR)
    clean, seen = aggregate_shares(prio3, measurements), []
    assert prio3.unshard(clean, len(measurements)) == result
    for first in range(10):
        seeds = [seed_of(first), seed_of(first + 100)]
        shares = [share.copy() for share in clean]
        for share, seed in zip(shares, seeds, strict=True):
            noise.add_to(share, prio3.field.MODULUS, rand=seed)
            assert prio3.decode_agg_share(prio3.encode_agg_share(share)).tolist() == share.tolist()  # canonical
        added = [
            prio3.field.ints(prio3.merge([share, prio3.field.array([-x for x in prio3.field.ints(before)])]))
            for share, before in zip(shares, clean, strict=True)
        ]
        noisy = prio3.unshard(shares, len(measurements), signed=True)
        half, p = prio3.field.MODULUS // 2, prio3.field.MODULUS
        a, b = ([x - p if x > half else x for x in values] for values in added)
        assert noisy == [x + y + z for x, y, z in zip(result, a, b, strict=True)]
        assert max(map(abs, a + b)) < 10**7
        seen += noisy
    assert min(seen) < 0 < max(seen)


def test_a_single_number_comes_back_negative() -> None:
    prio3 = Prio3Sum(max_measurement=1)
    noise = Plan.aggregators(PureDp("0.001"), Sensitivity.sum(1, N), 1).noise_for(AGGREGATOR)
    clean, noisy = aggregate_shares(prio3, [1]), []
    for _ in range(40):
        shares = [share.copy() for share in clean]
        for share in shares:
            noise.add_to(share, prio3.field.MODULUS)
        noisy.append(prio3.unshard(shares, 1, signed=True))
    assert min(noisy) < 0 < max(noisy)
    assert max(map(abs, noisy)) < 10**6


def test_an_aggregator_that_is_asked_again_sends_the_same_noisy_share() -> None:
    """It keeps the share without noise and derives the seed; a share of other reports gets other noise."""
    prio3, key = Prio3Histogram(length=20), os.urandom(32)
    noise = Plan.aggregators(PureDp("0.1"), HISTOGRAM, 20).noise_for(AGGREGATOR)
    clean = aggregate_shares(prio3, [1, 2, 3])[0]

    def noisy(batch: bytes) -> NDArray[np.uint64]:
        share = clean.copy()
        noise.add_to(share, prio3.field.MODULUS, rand=lambda size: hmac.digest(key, batch, "sha256")[:size])
        return share

    assert noisy(b"task 1, batch 1").tobytes() == noisy(b"task 1, batch 1").tobytes()
    assert noisy(b"task 1, batch 1").tobytes() != noisy(b"task 1, batch 2").tobytes()


@pytest.mark.parametrize(
    ("share", "modulus"),
    [(np.zeros(4, np.uint64), Field128.MODULUS), (np.zeros((4, 2), np.uint64), 1 << 64),
     (np.zeros((3, 2), np.uint64), Field128.MODULUS), (np.zeros((2, 4), np.uint64), Field128.MODULUS)],
)  # fmt: skip
def test_shares_of_another_shape_are_refused(share: NDArray[np.uint64], modulus: int) -> None:
    noise = Plan.aggregators(PureDp(1), HISTOGRAM, 4).noise_for(AGGREGATOR)
    with pytest.raises(LocalProtocolError, match=r"a share of 4 entries, of shape \(4"):
        noise.add_to(share, modulus)
    assert not share.any()


# --- audit ------------------------------------------------------------------------------------------------------


def two_aggregators(plan: Plan, *, forgets: bool = False) -> Release:
    """One report through Prio3, then many releases of its shares: the Helper is honest, and the Leader tells the
    Collector its own noise, which is then as good as none."""
    prio3, rand = Prio3Histogram(length=2), np.random.default_rng(0).bytes

    def release(values: NDArray[np.int64]) -> NDArray[np.int64]:
        leader, clean = aggregate_shares(prio3, [int(values[1])])
        helper = np.tile(clean, (RUNS, 1))
        if not forgets:
            plan.noise_for(AGGREGATOR).add_to(helper, prio3.field.MODULUS, rand=rand)
        shares = helper.reshape(RUNS, 2, 2)
        return np.array([prio3.unshard([leader, share], 1, signed=True) for share in shares]).ravel()

    return release


@pytest.mark.slow
@pytest.mark.parametrize("isochronous", [False, True])
def test_audit_of_prio3_with_noise(isochronous: bool) -> None:
    plan = Plan.aggregators(PureDp(1), HISTOGRAM, 2 * RUNS, isochronous=isochronous)
    assert 0.8 < audited_epsilon(two_aggregators(plan)) <= 1


@pytest.mark.slow
def test_audit_of_prio3_catches_half_the_sensitivity_and_an_aggregator_that_adds_nothing() -> None:
    half = Plan.aggregators(PureDp(1), Sensitivity(1, 1, N), 2 * RUNS)
    assert audited_epsilon(two_aggregators(half)) > 1.7
    assert audited_epsilon(two_aggregators(half, forgets=True)) > 5
