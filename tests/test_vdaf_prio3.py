"""Prio3 end to end: what comes out is the sum."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prio3_reports import ALL, DRAFTS, IDS, Reports, instances, rng

from secagg.errors import RemoteProtocolError
from secagg.vdaf import (
    DRAFT_08,
    Draft,
    Field128,
    Prio3,
    Prio3Count,
    Prio3Histogram,
    Prio3MultihotCountVec,
    Prio3Sum,
    Prio3SumVec,
    Prio3SumVecWithMultiproof,
)


@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_aggregates(prio3: Prio3, measurements: Any, result: Any) -> None:
    assert Reports(prio3, measurements).aggregate() == result


@pytest.mark.parametrize("draft", DRAFTS)
def test_aggregates_with_more_aggregators(draft: Draft) -> None:
    for prio3, measurements, result in instances(draft, shares=5):
        assert Reports(prio3, measurements).aggregate() == result


@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_a_batch_is_its_reports_one_by_one(prio3: Prio3, measurements: Any, result: Any) -> None:
    reports = Reports(prio3, measurements)
    batch = [reports.verify_init(j) for j in range(prio3.SHARES)]
    messages = prio3.verifier_shares_to_message_batch(reports.ctx, [shares for _, shares in batch])
    outs = [prio3.verify_next_batch(states, messages) for states, _ in batch]
    for i, measurement in enumerate(measurements):
        nonce = reports.nonces[i].tobytes()
        public, inputs = prio3.shard(reports.ctx, measurement, nonce, reports.rand[i].tobytes())
        assert public == reports.public[i]
        assert inputs == [rows[i] for rows in reports.inputs]
        pairs = [prio3.verify_init(reports.key, reports.ctx, j, nonce, public, inputs[j]) for j in range(prio3.SHARES)]
        assert pairs == [(states.encode()[i], shares[i]) for states, shares in batch]
        message = prio3.verifier_shares_to_message(reports.ctx, [share for _, share in pairs])
        assert message == messages[i]
        assert [prio3.verify_next(state, message) for state, _ in pairs] == [rows[i] for rows in outs]


def test_an_empty_batch() -> None:
    for prio3, measurements, result in ALL:
        reports = Reports(prio3, np.asarray(measurements)[:0])
        public, inputs = prio3.shard_batch(reports.ctx, np.asarray(measurements)[:0], [])
        assert [len(rows) for rows in (public, *inputs)] == [0] * (1 + prio3.SHARES)
        assert reports.aggregate() == (0 if isinstance(result, int) else [0] * len(result))
    assert len(Prio3Count().shard_batch(b"", [], [])[0]) == 0


def test_a_batch_larger_than_a_part() -> None:
    prio3 = Prio3Histogram(length=300)
    measurements = rng.integers(0, 300, 150)
    assert prio3.LEADER_SHARE_SIZE * len(measurements) > 1 << 19
    assert Reports(prio3, measurements).aggregate() == np.bincount(measurements, minlength=300).tolist()


@pytest.mark.parametrize("agg_id", [0, 1])
def test_memory_is_that_of_the_messages(agg_id: int) -> None:
    """Beside what a batch takes in and gives out, its memory does not grow with its size."""
    prio3 = Prio3SumVec(length=50, max_measurement=(1 << 16) - 1)
    measurements, peaks = rng.integers(0, 1 << 16, (256, 50)), []
    for n in (128, 256):
        reports = Reports(prio3, measurements[:n])
        public = np.frombuffer(b"".join(reports.public), np.uint8).reshape(n, -1)
        inputs = np.frombuffer(b"".join(reports.inputs[agg_id]), np.uint8).reshape(n, -1)
        tracemalloc.start()
        states, shares = prio3.verify_init_batch(reports.key, reports.ctx, agg_id, reports.nonces, public, inputs)
        given_out = states.out_shares.nbytes + states.joint_rand_seeds.nbytes + shares.data.nbytes
        peaks.append(tracemalloc.get_traced_memory()[1] - given_out)
        tracemalloc.stop()
    assert abs(peaks[1] - peaks[0]) < 20_000
    assert max(peaks) < 1 << 21


def test_memory_of_sharding_is_that_of_the_messages() -> None:
    prio3 = Prio3Histogram(length=2000)
    peaks = []
    for n in (64, 128):
        nonces = np.zeros((n, 16), np.uint8)
        tracemalloc.start()
        public, inputs = prio3.shard_batch(b"", np.zeros(n, np.uint64), nonces)
        given_out = sum(rows.data.nbytes for rows in (public, *inputs))
        peaks.append(tracemalloc.get_traced_memory()[1] - given_out)
        tracemalloc.stop()
    assert abs(peaks[1] - peaks[0]) < 20_000
    assert max(peaks) < 1 << 21


def test_threads_share_a_vdaf() -> None:
    prio3 = Prio3Histogram(length=50)
    batches = [Reports(prio3, rng.integers(0, 50, 40)) for _ in range(8)]
    alone = [batch.aggregate() for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(Reports.aggregate, batches)) == alone


def test_shards_differ_without_given_randomness() -> None:
    prio3 = Prio3Count()
    first, second = (prio3.shard(b"", 1, bytes(16)) for _ in range(2))
    assert first != second


# Hypothesis.


@st.composite
def reports_of_any_kind(draw: st.DrawFn) -> tuple[Prio3, list[Any], Any]:
    draft = draw(st.sampled_from(DRAFTS))
    shares = draw(st.integers(2, 4))
    n = draw(st.integers(1, 3))
    length = draw(st.integers(1, 6))
    chunk = draw(st.none() | st.integers(1, 8))
    maximum = draw(st.integers(1, 9)) if draft.any_maximum else (1 << draw(st.integers(1, 4))) - 1
    kind = draw(st.sampled_from(["Count", "Sum", "SumVec", "Multiproof", "Histogram", "Multihot"]))
    if kind in ("Count", "Sum"):
        top = 1 if kind == "Count" else maximum
        values = draw(st.lists(st.integers(0, top), min_size=n, max_size=n))
        prio3: Prio3 = (
            Prio3Count(shares, draft=draft)
            if kind == "Count"
            else Prio3Sum(shares, max_measurement=maximum, draft=draft)
        )
        return prio3, values, sum(values)
    if kind == "Histogram":
        values = draw(st.lists(st.integers(0, length - 1), min_size=n, max_size=n))
        histogram = Prio3Histogram(shares, length=length, chunk_length=chunk, draft=draft)
        return histogram, values, np.bincount(values, minlength=length).tolist()
    if kind == "Multihot":
        weight = draw(st.integers(1, length))
        trues = [draw(st.sets(st.integers(0, length - 1), max_size=weight)) for _ in range(n)]
        rows = [[i in true for i in range(length)] for true in trues]
        multihot = Prio3MultihotCountVec(shares, length=length, max_weight=weight, chunk_length=chunk, draft=draft)
        return multihot, rows, np.sum(rows, axis=0).tolist()
    vectors = [draw(st.lists(st.integers(0, maximum), min_size=length, max_size=length)) for _ in range(n)]
    size: dict[str, Any] = {"length": length, "max_measurement": maximum, "chunk_length": chunk, "draft": draft}
    sums: Prio3 = Prio3SumVec(shares, **size) if kind == "SumVec" else Prio3SumVecWithMultiproof(shares, **size)
    return sums, vectors, np.sum(vectors, axis=0).tolist()


@settings(deadline=None, max_examples=40)
@given(reports_of_any_kind())
def test_round_trip(given_reports: tuple[Prio3, list[Any], Any]) -> None:
    prio3, measurements, result = given_reports
    assert Reports(prio3, measurements).aggregate() == result


# Aggregation.


@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_aggregate_shares_travel_and_merge(prio3: Prio3, measurements: Any, result: Any) -> None:
    batches = Reports(prio3, measurements).out_shares()
    totals = []
    for out_shares in batches:
        parts = [prio3.agg_init() for _ in measurements]
        for part, out_share in zip(parts, out_shares, strict=True):
            prio3.agg_update(part, out_share)
        totals.append(prio3.decode_agg_share(prio3.encode_agg_share(prio3.merge(parts))))
    assert prio3.unshard(totals, len(measurements)) == result


@pytest.mark.parametrize("prio3", [Prio3Count(), Prio3Histogram(length=3)])
def test_malformed_aggregate_shares(prio3: Prio3) -> None:
    encoded = prio3.encode_agg_share(prio3.agg_init())
    for wrong in (encoded[:-1], encoded + b"\0", b""):
        with pytest.raises(RemoteProtocolError, match="bytes expected"):
            prio3.decode_agg_share(wrong)
    with pytest.raises(RemoteProtocolError, match="not below the modulus"):
        prio3.decode_agg_share(encoded[: -prio3.field.ENCODED_SIZE] + b"\xff" * prio3.field.ENCODED_SIZE)


def test_there_is_no_aggregation_parameter() -> None:
    prio3 = Prio3Count()
    prio3.decode_agg_param(prio3.encode_agg_param(None))
    with pytest.raises(RemoteProtocolError, match="aggregation parameter"):
        prio3.decode_agg_param(b"\0")
    assert prio3.is_valid(None, [])
    assert not prio3.is_valid(None, [None])


# Noise.


@pytest.mark.parametrize("kind", [list, np.array])
def test_noise_enters_an_aggregate_share(kind: Callable[[Any], Any]) -> None:
    prio3 = Prio3Histogram(length=3)
    leader, helper = (prio3.agg_init() for _ in range(2))
    outs = Reports(prio3, [0, 0, 2]).out_shares()
    for agg_share, out_shares in zip((leader, helper), outs, strict=True):
        prio3.agg_update(agg_share, out_shares)
    prio3.agg_add(leader, kind([10, -5, 0]))
    prio3.agg_add(helper, kind([1, 1, -2]))
    assert prio3.unshard([leader, helper], 3, signed=True) == [13, -4, -1]
    assert prio3.unshard([leader, helper], 3) == [13, Field128.MODULUS - 4, Field128.MODULUS - 1]


@pytest.mark.parametrize("prio3", [Prio3Count(), Prio3Sum(max_measurement=3, draft=DRAFT_08)])
def test_signed_results_are_centred(prio3: Prio3) -> None:
    half = prio3.field.MODULUS // 2
    for value in (0, 1, half, -half, -1):
        agg_shares = [prio3.agg_init() for _ in range(2)]
        prio3.agg_add(agg_shares[0], [value])
        assert prio3.unshard(agg_shares, 1, signed=True) == value
