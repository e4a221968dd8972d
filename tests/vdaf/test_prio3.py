"""Prio3 end to end: what comes out is the sum."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.vdaf import (
    DRAFT_08,
    Draft,
    Field64,
    Field128,
    Prio3,
    Prio3Count,
    Prio3Histogram,
    Prio3MultihotCountVec,
    Prio3Sum,
    Prio3SumVec,
    Prio3SumVecWithMultiproof,
)
from secagg.vector import add_signed

from ..support.prio3_reports import ALL, DRAFTS, IDS, Reports, instances, rng


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
        agg_shares = [prio3.agg_init() for _ in measurements]
        for agg_share, out_share in zip(agg_shares, out_shares, strict=True):
            prio3.agg_update(agg_share, out_share)
        totals.append(prio3.decode_agg_share(prio3.encode_agg_share(prio3.merge(agg_shares))))
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


# Sums that the field holds.

LARGE = 1 << 62
MAX_ENTRIES = [  # what one measurement adds to an entry at most
    (Prio3Count(), 1),
    (Prio3Sum(max_measurement=LARGE), LARGE),
    (Prio3Sum(max_measurement=2 * LARGE - 1, draft=DRAFT_08), 2 * LARGE - 1),
    (Prio3SumVec(length=2, max_measurement=1 << 100), 1 << 100),
    (Prio3SumVecWithMultiproof(length=2, max_measurement=LARGE), LARGE),
    (Prio3Histogram(length=2), 1),
    (Prio3MultihotCountVec(length=2, max_weight=2), 1),
]


def shares_of(prio3: Prio3, total: int) -> list[Any]:
    """Aggregate shares of the result that is `total` in every entry."""
    mask = 12345
    return [prio3.field.array([share] * prio3.flp.OUTPUT_LEN) for share in (mask, total - mask)]


def entries(result: Any) -> set[int]:
    return set(result) if isinstance(result, list) else {result}


def test_ten_reports_whose_sum_is_beyond_the_field_are_no_result() -> None:
    prio3 = Prio3Sum(max_measurement=LARGE)
    batches = Reports(prio3, [LARGE] * 10).out_shares()
    with pytest.raises(LocalProtocolError, match=r"10 measurements of up to 4,611,686,018,427,387,904 each may.* 3 me"):
        prio3.unshard([prio3.aggregate(outs) for outs in batches], 10)
    assert Reports(prio3, [LARGE] * 3).aggregate() == 3 * LARGE


@pytest.mark.parametrize(("prio3", "largest"), MAX_ENTRIES, ids=[type(prio3).__name__ for prio3, _ in MAX_ENTRIES])
@pytest.mark.parametrize("room", [None, 0, 1 << 61])
def test_as_many_measurements_as_the_field_holds_are_unsharded(prio3: Prio3, largest: int, room: int | None) -> None:
    """Without noise up to p - 1; with noise of either sign up to p / 2, its room on top."""
    signed = room is not None
    limit = (prio3.field.MODULUS - 1) // (2 if signed else 1) - (room or 0)
    capacity = limit // largest
    assert prio3.capacity(signed=signed, room=room or 0) == capacity
    count = min(capacity, (1 << 64) - 1)
    for total in (0, count * largest, count * largest + (room or 0), -(room or 0)):
        result = prio3.unshard(shares_of(prio3, total), count, signed=signed, room=room or 0)
        assert entries(result) == {total}
    with pytest.raises(LocalProtocolError):
        prio3.unshard(shares_of(prio3, 0), count + 1, signed=signed, room=room or 0)


def test_both_fields_are_among_them() -> None:
    assert {prio3.field for prio3, _ in MAX_ENTRIES} == {Field64, Field128}


@pytest.mark.parametrize("count", [-1, 10**20, 1 << 64, True, 2.0, "3", None, np.float64(3)])
@pytest.mark.parametrize("prio3", [Prio3Count(), Prio3Histogram(length=2)])
def test_number_of_measurements_is_checked(prio3: Prio3, count: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"num_measurements|measurements fit"):
        prio3.unshard(shares_of(prio3, 1), count)


def test_numbers_of_numpy_are_numbers() -> None:
    prio3 = Prio3Sum(max_measurement=LARGE)
    assert prio3.unshard(shares_of(prio3, 5), np.uint8(3)) == 5  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="1 measurements fit"):
        prio3.unshard(shares_of(prio3, 5), np.int64(2), signed=True, room=np.int16(9))  # type: ignore[arg-type]


def test_room_for_noise_is_of_signed_results() -> None:
    prio3 = Prio3Count()
    for room, signed, says in ((5, False, "must be signed"), (-1, True, "at least 0"), (0.5, True, "integer")):
        with pytest.raises(LocalProtocolError, match=says):
            prio3.unshard(shares_of(prio3, 1), 1, signed=signed, room=room)  # type: ignore[arg-type]
    half = prio3.field.MODULUS // 2
    assert prio3.unshard(shares_of(prio3, -half), 0, signed=True, room=half) == -half
    with pytest.raises(LocalProtocolError, match=r"noise up to .* 0 measurements fit"):
        prio3.unshard(shares_of(prio3, 0), 0, signed=True, room=half + 1)


# Noise.


def test_noise_enters_an_aggregate_share() -> None:
    prio3 = Prio3Histogram(length=3)
    leader, helper = (prio3.agg_init() for _ in range(2))
    outs = Reports(prio3, [0, 0, 2]).out_shares()
    for agg_share, out_shares in zip((leader, helper), outs, strict=True):
        prio3.agg_update(agg_share, out_shares)
    add_signed(leader, np.array([10, -5, 0]), Field128.MODULUS)
    add_signed(helper, np.array([1, 1, -2]), Field128.MODULUS)
    assert prio3.unshard([leader, helper], 3, signed=True) == [13, -4, -1]
    assert prio3.unshard([leader, helper], 3) == [13, Field128.MODULUS - 4, Field128.MODULUS - 1]


@pytest.mark.parametrize("prio3", [Prio3Count(), Prio3Sum(max_measurement=3, draft=DRAFT_08)])
def test_signed_results_are_centred(prio3: Prio3) -> None:
    half = prio3.field.MODULUS // 2
    for value in (0, 1, half, -half, -1):
        agg_shares = [prio3.field.array([value]), prio3.agg_init()]
        assert prio3.unshard(agg_shares, 1, signed=True) == value
