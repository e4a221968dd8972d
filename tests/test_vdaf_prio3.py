"""Prio3 end to end: what comes out is the sum, whatever a Client sends wrong is rejected, and alone."""

import pickle
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError, RemoteProtocolError, ReportRejected
from secagg.vdaf import (
    DRAFT_08,
    DRAFT_20,
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
    Rows,
)
from secagg.vdaf.field import Elements

CONTEXT = {DRAFT_20: b"browsers", DRAFT_08: b""}
DRAFTS = [DRAFT_20, DRAFT_08]
rng = np.random.default_rng(1)


def drawn(*shape: int) -> Any:
    return rng.integers(0, 256, shape, np.uint8)


def instances(draft: Draft, shares: int = 2) -> list[tuple[Prio3, list[Any], Any]]:
    """A VDAF of each kind, some measurements, and their aggregate."""
    return [
        (Prio3Count(shares, draft=draft), [0, 1, 1], 2),
        (Prio3Sum(shares, max_measurement=7, draft=draft), [0, 7, 5], 12),
        (Prio3SumVec(shares, length=3, max_measurement=3, draft=draft), [[0, 1, 2], [3, 3, 3]], [3, 4, 5]),
        (Prio3Histogram(shares, length=5, draft=draft), [0, 4, 4, 2], [1, 0, 1, 0, 2]),
        (
            Prio3MultihotCountVec(shares, length=4, max_weight=2, draft=draft),
            [[True, False, True, False], [False] * 4, [False, False, True, False]],
            [1, 0, 2, 0],
        ),
        (
            Prio3SumVecWithMultiproof(shares, length=2, max_measurement=1, draft=draft),
            [[0, 1], [1, 1]],
            [1, 2],
        ),
    ]


ALL = list(chain(instances(DRAFT_20), instances(DRAFT_08)))
IDS = [f"{type(prio3).__name__}-{prio3.draft.number}" for prio3, _, _ in ALL]


class Reports:
    """A batch of honest reports, and its way through all Aggregators."""

    def __init__(self, prio3: Prio3, measurements: Any) -> None:
        self.prio3 = prio3
        self.ctx = CONTEXT[prio3.draft]
        self.key = drawn(prio3.VERIFY_KEY_SIZE).tobytes()
        n = len(measurements)
        self.nonces, self.rand = drawn(n, prio3.NONCE_SIZE), drawn(n, prio3.RAND_SIZE)
        public, inputs = prio3.shard_batch(self.ctx, measurements, self.nonces, self.rand)
        self.public = list(public)
        self.inputs = [list(rows) for rows in inputs]

    def verify_init(self, agg_id: int) -> tuple[Rows, Rows]:
        return self.prio3.verify_init_batch(self.key, self.ctx, agg_id, self.nonces, self.public, self.inputs[agg_id])

    def out_shares(self) -> list[Rows]:
        states, shares = zip(*(self.verify_init(j) for j in range(self.prio3.SHARES)), strict=True)
        messages = self.prio3.verifier_shares_to_message_batch(self.ctx, shares)
        return [self.prio3.verify_next_batch(state, messages) for state in states]

    def aggregate(self) -> Any:
        agg_shares = [self.prio3.agg_init() for _ in range(self.prio3.SHARES)]
        batches = self.out_shares()
        for agg_share, out_shares in zip(agg_shares, batches, strict=True):
            self.prio3.agg_update(agg_share, out_shares)
        return self.prio3.unshard(agg_shares, int(batches[0].accepted.sum()))

    def rejections(self) -> list[dict[int, ReportRejected]]:
        return [dict(rows.rejected) for rows in self.out_shares()]


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
        assert pairs == [(states[i], shares[i]) for states, shares in batch]
        message = prio3.verifier_shares_to_message(reports.ctx, [share for _, share in pairs])
        assert message == messages[i]
        assert [prio3.verify_next(state, message) for state, _ in pairs] == [rows[i] for rows in outs]


def test_an_empty_batch() -> None:
    for prio3, measurements, _ in ALL:
        nothing = np.asarray(measurements)[:0]
        assert Reports(prio3, nothing).aggregate() == Reports(prio3, nothing).aggregate()


def test_a_batch_larger_than_a_part() -> None:
    prio3 = Prio3Histogram(length=300)
    measurements = rng.integers(0, 300, 150)
    assert prio3.LEADER_SHARE_SIZE * len(measurements) > 1 << 19
    assert Reports(prio3, measurements).aggregate() == np.bincount(measurements, minlength=300).tolist()


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
    size = {"length": length, "max_measurement": maximum, "chunk_length": chunk, "draft": draft}
    sums: Prio3 = Prio3SumVec(shares, **size) if kind == "SumVec" else Prio3SumVecWithMultiproof(shares, **size)
    return sums, vectors, np.sum(vectors, axis=0).tolist()


@settings(deadline=None, max_examples=40)
@given(reports_of_any_kind())
def test_round_trip(given_reports: tuple[Prio3, list[Any], Any]) -> None:
    prio3, measurements, result = given_reports
    assert Reports(prio3, measurements).aggregate() == result


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_flipped_bit_is_rejected(data: st.DataObject) -> None:
    prio3, measurements, _ = data.draw(st.sampled_from(ALL))
    reports = Reports(prio3, measurements)
    victim = data.draw(st.integers(0, len(measurements) - 1))
    messages = data.draw(
        st.sampled_from([reports.public, *reports.inputs] if prio3.PUBLIC_SHARE_SIZE else reports.inputs)
    )
    bit = data.draw(st.integers(0, 8 * len(messages[victim]) - 1))
    messages[victim] = flipped(messages[victim], bit)
    rejected = set().union(*reports.rejections())
    assert rejected == {victim}


def flipped(message: bytes, bit: int) -> bytes:
    return (int.from_bytes(message, "little") ^ 1 << bit).to_bytes(len(message), "little")


# Bad input: which report, and why.


def spoil_length(message: bytes, field: Any) -> bytes:
    return message + b"\0"


def spoil_end(message: bytes, field: Any) -> bytes:
    return message[:-1]


def spoil_everything(message: bytes, field: Any) -> bytes:
    return b""


def spoil_first(message: bytes, field: Any) -> bytes:
    return field.MODULUS.to_bytes(field.ENCODED_SIZE, "little") + message[field.ENCODED_SIZE :]


SIZES = [spoil_length, spoil_end, spoil_everything]


@pytest.mark.parametrize("spoil", [*SIZES, spoil_first])
@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_a_malformed_leader_share(
    prio3: Prio3, measurements: Any, result: Any, spoil: Callable[[bytes, Any], bytes]
) -> None:
    reports = Reports(prio3, measurements)
    reports.inputs[0][1] = spoil(reports.inputs[0][1], prio3.field)
    expected = "not below the modulus" if spoil is spoil_first else "bytes expected"
    check_rejected(reports, 1, "input share", expected)


@pytest.mark.parametrize("spoil", SIZES)
@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_a_malformed_helper_share(
    prio3: Prio3, measurements: Any, result: Any, spoil: Callable[[bytes, Any], bytes]
) -> None:
    reports = Reports(prio3, measurements)
    reports.inputs[1][0] = spoil(reports.inputs[1][0], prio3.field)
    check_rejected(reports, 0, "input share", "bytes expected")


@pytest.mark.parametrize("spoil", [spoil_length, spoil_end])
def test_a_malformed_public_share(spoil: Callable[[bytes, Any], bytes]) -> None:
    reports = Reports(Prio3Histogram(length=3), [0, 1])
    reports.public[1] = spoil(reports.public[1], None)
    check_rejected(reports, 1, "public share", "bytes expected")


def test_a_public_share_where_none_belongs() -> None:
    reports = Reports(Prio3Count(), [0, 1])
    reports.public[0] = b"\0"
    check_rejected(reports, 0, "public share", "0 bytes expected, got 1")


def check_rejected(reports: Reports, victim: int, *reasons: str) -> None:
    """The report is rejected by everybody and for this reason by somebody; all others are accepted."""
    rejections = reports.rejections()
    assert [set(rejected) for rejected in rejections] == [{victim}] * reports.prio3.SHARES
    errors = [rejected[victim] for rejected in rejections]
    assert {error.report for error in errors} == {victim}
    assert any(all(reason in str(error) for reason in (f"report {victim}", *reasons)) for error in errors)


@pytest.mark.parametrize("position", [0, 1, -1])
def test_every_element_of_a_leader_share_is_checked(position: int) -> None:
    prio3 = Prio3Histogram(length=5)
    reports = Reports(prio3, [0, 1, 2])
    share = np.frombuffer(reports.inputs[0][2], np.uint64).copy()
    elements = share[: -prio3.VERIFIER_MESSAGE_SIZE // 8].reshape(-1, 2)
    elements[position] = [Field128.MODULUS & (1 << 64) - 1, Field128.MODULUS >> 64]
    reports.inputs[0][2] = share.tobytes()
    check_rejected(reports, 2, "input share", "not below the modulus")


def test_many_bad_reports_in_a_batch() -> None:
    reports = Reports(Prio3Sum(max_measurement=100), list(range(20)))
    reports.inputs[0][3] = b""
    reports.inputs[0][5] = spoil_first(reports.inputs[0][5], Field64)
    reports.inputs[1][7] = flipped(reports.inputs[1][7], 9)
    reports.inputs[1][11] = b"short"
    reports.public[13] = b"long"
    assert [set(rejected) for rejected in reports.rejections()] == [{3, 5, 7, 11, 13}] * 2
    assert reports.aggregate() == sum(set(range(20)) - {3, 5, 7, 11, 13})


def test_malformed_verifier_shares_and_messages() -> None:
    prio3 = Prio3Histogram(length=4)
    reports = Reports(prio3, [0, 1, 2, 3])
    (states, leader), (_, helper) = reports.verify_init(0), reports.verify_init(1)
    sent = list(leader)
    sent[1] = spoil_first(sent[1], Field128)
    sent[2] = sent[2][:-1]
    messages = prio3.verifier_shares_to_message_batch(reports.ctx, [sent, helper])
    assert {i: error.reason for i, error in messages.rejected.items()} == {
        1: "verifier share: a field element is not below the modulus",
        2: f"verifier share: {prio3.VERIFIER_SHARE_SIZE} bytes expected, got {prio3.VERIFIER_SHARE_SIZE - 1}",
    }
    received = [messages[0], messages[0], b"", messages[3]]
    outs = prio3.verify_next_batch(states, received)
    assert {i: error.reason for i, error in outs.rejected.items()} == {
        1: "the joint randomness is not the Client's",
        2: "verifier message: 32 bytes expected, got 0",
    }


def test_one_report_raises_its_rejection() -> None:
    prio3 = Prio3Count()
    with pytest.raises(ReportRejected, match="report 0: input share: 48 bytes expected, got 5") as caught:
        prio3.verify_init(bytes(32), b"", 0, bytes(16), b"", b"short")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.report, copy.reason) == (caught.value.report, caught.value.reason)
    assert isinstance(copy, RemoteProtocolError)


# Clients that lie: proofs of measurements that are not valid.


def forged(prio3: Prio3, encoded: Elements) -> Reports:
    """Reports whose encoded measurements are anything, F[n, MEAS_LEN], with proofs as an honest Client would make."""
    reports = Reports.__new__(Reports)
    n = len(encoded)
    reports.prio3, reports.ctx, reports.key = prio3, CONTEXT[prio3.draft], bytes(prio3.VERIFY_KEY_SIZE)
    reports.nonces, rand = drawn(n, 16), drawn(n, prio3.RAND_SIZE)
    public = np.empty((n, prio3.PUBLIC_SHARE_SIZE), np.uint8)
    inputs = [np.empty((n, prio3.input_share_size(j)), np.uint8) for j in range(prio3.SHARES)]
    prio3._shard(prio3._auxiliary(reports.ctx), public, inputs, encoded, reports.nonces, rand)
    reports.public, reports.inputs = list(Rows(public)), [list(Rows(rows)) for rows in inputs]
    return reports


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(
    ("kind", "parameters", "honest", "false"),
    [
        (Prio3Count, {}, [1], [2]),
        (Prio3Count, {}, [0], [-1]),
        (Prio3Sum, {"max_measurement": 7}, [1, 1, 0], [1, 2, 0]),
        (Prio3SumVec, {"length": 2, "max_measurement": 3}, [1, 1, 0, 0], [1, 1, 0, -1]),
        (Prio3SumVecWithMultiproof, {"length": 2, "max_measurement": 3}, [1, 1, 0, 0], [1, 1, 5, 0]),
        (Prio3Histogram, {"length": 4}, [0, 1, 0, 0], [0, 1, 1, 0]),
        (Prio3Histogram, {"length": 4}, [0, 1, 0, 0], [0, 0, 0, 0]),
        (Prio3Histogram, {"length": 4}, [0, 1, 0, 0], [2, -1, 0, 0]),
        (Prio3MultihotCountVec, {"length": 4, "max_weight": 3}, [1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1]),
        (Prio3MultihotCountVec, {"length": 4, "max_weight": 3}, [1, 1, 0, 0, 0, 1], [1, 1, 0, 0, 1, 1]),
        (Prio3MultihotCountVec, {"length": 4, "max_weight": 3}, [1, 1, 0, 0, 0, 1], [3, 0, 0, 0, 1, 1]),
    ],
)
def test_an_invalid_measurement_is_rejected(
    draft: Draft, kind: type[Any], parameters: dict[str, int], honest: list[int], false: list[int]
) -> None:
    prio3 = kind(**parameters, draft=draft)
    reports = forged(prio3, prio3.field.array([honest, false, honest]))
    check_rejected(reports, 1, "the proof does not hold")


# The caller's mistakes.


@pytest.mark.parametrize(
    ("prio3", "measurements", "reason"),
    [
        (Prio3Count(), [1, 2], "measurement 1 must be 0 .. 1, got 2"),
        (Prio3Count(), [-1], "measurement 0 must be 0 .. 1, got -1"),
        (Prio3Count(), [0.5], "must be integers"),
        (Prio3Count(), ["1"], "must be integers"),
        (Prio3Count(), 1, "must have shape"),
        (Prio3Sum(max_measurement=10), [3, 11], "measurement 1 must be 0 .. 10, got 11"),
        (Prio3Sum(max_measurement=10), [1 << 70], "measurement 0 must be"),
        (Prio3SumVec(length=2, max_measurement=1 << 80), [[1 << 80, 0], [0, (1 << 80) + 1]], "measurement 1 must be"),
        (Prio3SumVec(length=2, max_measurement=1 << 80), [[0, 1.5]], "must be integers"),
        (Prio3SumVec(length=2, max_measurement=3), [[0, 1, 2]], "must have shape"),
        (Prio3Histogram(length=3), [0, 3], "measurement 1 must be 0 .. 2, got 3"),
        (Prio3MultihotCountVec(length=3, max_weight=1), [[True, True, False]], "2 values are true"),
        (Prio3MultihotCountVec(length=3, max_weight=1), [[2, 0, 0]], "measurement 0 must be"),
    ],
)
def test_a_measurement_out_of_range(prio3: Prio3, measurements: Any, reason: str) -> None:
    n = len(measurements) if isinstance(measurements, list) else 1
    with pytest.raises(ValueError, match=reason):
        prio3.shard_batch(b"", measurements, np.zeros((n, 16), np.uint8))


def test_large_measurements() -> None:
    top = 1 << 100
    prio3 = Prio3SumVec(length=2, max_measurement=top)
    assert Reports(prio3, [[0, top], [top - 1, 5], [1 << 64, 1]]).aggregate() == [top - 1 + (1 << 64), top + 6]
    highest = Prio3Sum(max_measurement=(1 << 63) - 1)
    assert Reports(highest, [(1 << 63) - 1, 1]).aggregate() == 1 << 63


@pytest.mark.parametrize(
    ("kind", "arguments", "reason"),
    [
        (Prio3Count, {"shares": 1}, "shares must be 2 .. 255"),
        (Prio3Count, {"shares": 256}, "shares must be 2 .. 255"),
        (Prio3Sum, {"max_measurement": 0}, "largest value must be at least 1"),
        (Prio3Sum, {"max_measurement": 1 << 64}, "too large for Field64"),
        (Prio3Sum, {"max_measurement": 10, "draft": DRAFT_08}, "draft 8 has no range that ends at 10"),
        (Prio3SumVec, {"length": 0, "max_measurement": 1}, "length must be at least 1"),
        (Prio3SumVec, {"length": 1, "max_measurement": 1 << 128}, "too large for Field128"),
        (Prio3SumVec, {"length": 1, "max_measurement": 1, "chunk_length": 0}, "chunk_length must be at least 1"),
        (Prio3SumVecWithMultiproof, {"length": 1, "max_measurement": 1, "proofs": 2}, "proofs must be 3 .. 255"),
        (Prio3SumVecWithMultiproof, {"length": 1, "max_measurement": 1, "proofs": 256}, "proofs must be 3 .. 255"),
        (
            Prio3SumVecWithMultiproof,
            {"length": 1, "max_measurement": 1, "proofs": 1, "draft": DRAFT_08},
            "proofs must be 2 .. 255",
        ),
        (
            Prio3SumVecWithMultiproof,
            {"length": 1, "max_measurement": 1, "proofs": 0, "field": Field128},
            "proofs must be 1 .. 255",
        ),
        (Prio3Histogram, {"length": 0}, "length must be at least 1"),
        (Prio3Histogram, {"length": 4, "chunk_length": -1}, "chunk_length must be at least 1"),
        (Prio3MultihotCountVec, {"length": 4, "max_weight": 5}, "max_weight must be 1 .. 4"),
        (Prio3MultihotCountVec, {"length": 4, "max_weight": 0}, "max_weight must be 1 .. 4"),
    ],
)
def test_parameters_are_checked(kind: type[Any], arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        kind(**arguments)


def test_arguments_of_ours_are_checked() -> None:
    prio3 = Prio3Count()
    nonce, key, share = bytes(16), bytes(32), bytes(32)
    with pytest.raises(LocalProtocolError, match="nonces"):
        prio3.shard(b"", 1, bytes(15))
    with pytest.raises(LocalProtocolError, match="rand"):
        prio3.shard(b"", 1, nonce, bytes(prio3.RAND_SIZE - 1))
    with pytest.raises(LocalProtocolError, match="context may have"):
        prio3.shard(bytes(1 << 16), 1, nonce)
    with pytest.raises(LocalProtocolError, match="draft 8 has no application context"):
        Prio3Count(draft=DRAFT_08).shard(b"context", 1, nonce)
    with pytest.raises(LocalProtocolError, match="verify_key"):
        prio3.verify_init(bytes(31), b"", 1, nonce, b"", share)
    with pytest.raises(LocalProtocolError, match="agg_id"):
        prio3.verify_init(key, b"", 2, nonce, b"", share)
    with pytest.raises(LocalProtocolError, match="nonces"):
        prio3.verify_init(key, b"", 1, bytes(17), b"", share)
    with pytest.raises(LocalProtocolError, match="1 public shares and 2 input shares"):
        prio3.verify_init_batch(key, b"", 1, [nonce] * 2, [b""], [share] * 2)
    with pytest.raises(LocalProtocolError, match="2 Aggregators, 1 of them"):
        prio3.verifier_shares_to_message(b"", [bytes(prio3.VERIFIER_SHARE_SIZE)])
    with pytest.raises(LocalProtocolError, match="different sizes"):
        prio3.verifier_shares_to_message_batch(b"", [[share], [share, share]])
    with pytest.raises(LocalProtocolError, match="1 states and 2"):
        prio3.verify_next_batch([bytes(8)], [b"", b""])
    with pytest.raises(LocalProtocolError, match="2 Aggregators, 1 aggregate"):
        prio3.unshard([prio3.agg_init()], 1)
    with pytest.raises(LocalProtocolError, match="vector of 1 integers"):
        prio3.agg_add(prio3.agg_init(), [1, 2])


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
