"""Whatever a Client sends wrong is rejected, alone and with the reason; our own caller's mistakes raise."""

import pickle
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from secagg.codec import Octets
from secagg.errors import LocalProtocolError, RemoteProtocolError, ReportRejected
from secagg.vdaf import (
    DRAFT_08,
    Draft,
    Field,
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
from secagg.vdaf.auxiliary import Auxiliary
from secagg.vdaf.field import Elements
from secagg.vdaf.rows import Messages

from ..support.prio3_reports import ALL, DRAFTS, IDS, Reports, forged


def check_rejected(reports: Reports, victim: int, *reasons: str) -> None:
    """The report is rejected by everybody and for this reason by somebody; all others are accepted."""
    rejections = reports.rejections()
    assert [set(rejected) for rejected in rejections] == [{victim}] * reports.prio3.SHARES
    errors = [rejected[victim] for rejected in rejections]
    assert {error.report for error in errors} == {victim}
    assert any(all(reason in str(error) for reason in (f"report {victim}", *reasons)) for error in errors)


def flipped(message: bytes, bit: int) -> bytes:
    return (int.from_bytes(message, "little") ^ 1 << bit).to_bytes(len(message), "little")


@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_every_flipped_bit_is_rejected(prio3: Prio3, measurements: Any, result: Any) -> None:
    """A batch of one report over and over, with another bit of one message wrong in each."""
    reports = Reports(prio3, measurements[:1])
    nonce, public, inputs = reports.nonces, reports.public, reports.inputs
    for victim in [public, *inputs] if prio3.PUBLIC_SHARE_SIZE else inputs:
        (message,) = victim
        n = 8 * len(message)
        reports.nonces = np.repeat(nonce, n, axis=0)
        reports.public, *reports.inputs = (list(messages) * n for messages in (public, *inputs))
        spoiled = [flipped(message, bit) for bit in range(n)]
        for messages in (reports.public, *reports.inputs):
            if messages[0] == message:
                messages[:] = spoiled
        assert set().union(*reports.rejections()) == set(range(n))


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_flipped_bit_between_aggregators_is_rejected(draft: Draft) -> None:
    prio3 = Prio3Histogram(length=3, draft=draft)
    reports = Reports(prio3, [1])
    (states, (leader,)), (_, (helper,)) = reports.verify_init(0), reports.verify_init(1)
    (message,) = prio3.verifier_shares_to_message_batch(reports.ctx, [[leader], [helper]])

    def refused(messages: Messages, n: int) -> set[int]:
        return set(prio3.verify_next_batch(list(states.encode()) * n, messages).rejected)

    assert refused([message], 1) == set()
    n = 8 * len(message)
    assert refused([flipped(message, bit) for bit in range(n)], n) == set(range(n))
    n = 8 * len(helper)
    spoiled = [flipped(helper, bit) for bit in range(n)]
    assert refused(prio3.verifier_shares_to_message_batch(reports.ctx, [[leader] * n, spoiled]), n) == set(range(n))


# Bad input: which report, and why.


def spoil_length(message: bytes, field: Field) -> bytes:
    return message + b"\0"


def spoil_end(message: bytes, field: Field) -> bytes:
    return message[:-1]


def spoil_everything(message: bytes, field: Field) -> bytes:
    return b""


def spoil_first(message: bytes, field: Field) -> bytes:
    overflow: bytes = field.MODULUS.to_bytes(field.ENCODED_SIZE, "little")
    return overflow + message[field.ENCODED_SIZE :]


SIZES = [spoil_length, spoil_end, spoil_everything]


@pytest.mark.parametrize("spoil", [*SIZES, spoil_first])
@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_a_malformed_leader_share(
    prio3: Prio3, measurements: Any, result: Any, spoil: Callable[[bytes, Field], bytes]
) -> None:
    reports = Reports(prio3, measurements)
    reports.inputs[0][1] = spoil(reports.inputs[0][1], prio3.field)
    expected = "not below the modulus" if spoil is spoil_first else "bytes expected"
    check_rejected(reports, 1, "input share", expected)


@pytest.mark.parametrize("spoil", SIZES)
@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_a_malformed_helper_share(
    prio3: Prio3, measurements: Any, result: Any, spoil: Callable[[bytes, Field], bytes]
) -> None:
    reports = Reports(prio3, measurements)
    reports.inputs[1][0] = spoil(reports.inputs[1][0], prio3.field)
    check_rejected(reports, 0, "input share", "bytes expected")


@pytest.mark.parametrize("spoil", [spoil_length, spoil_end])
def test_a_malformed_public_share(spoil: Callable[[bytes, Field], bytes]) -> None:
    reports = Reports(Prio3Histogram(length=3), [0, 1])
    reports.public[1] = spoil(reports.public[1], Field128)
    check_rejected(reports, 1, "public share", "bytes expected")


def test_a_public_share_where_none_belongs() -> None:
    reports = Reports(Prio3Count(), [0, 1])
    reports.public[0] = b"\0"
    check_rejected(reports, 0, "public share", "0 bytes expected, got 1")


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


@pytest.mark.parametrize("offset", [0, 1, 8])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("direction", [1, -1])
def test_arrays_may_lie_anywhere(offset: int, order: Literal["C", "F"], direction: int) -> None:
    """Input shares as a slice of a larger array, aligned or not, rows or columns first, up or down, read-only."""
    prio3 = Prio3Histogram(length=5)
    reports = Reports(prio3, [0, 4, 2])
    expected = [list(reports.verify_init(0)[0].encode()), list(reports.verify_init(0)[1])]
    larger = np.zeros((3, prio3.LEADER_SHARE_SIZE + 11), np.uint8, order)[::direction]
    inside = larger[:, offset : offset + prio3.LEADER_SHARE_SIZE]
    inside[:] = np.frombuffer(b"".join(reports.inputs[0]), np.uint8).reshape(3, -1)
    larger.flags.writeable = False
    states, shares = prio3.verify_init_batch(reports.key, reports.ctx, 0, reports.nonces, reports.public, inside)
    assert [list(states.encode()), list(shares)] == expected


def test_arrays_of_other_shapes_are_our_mistake() -> None:
    prio3 = Prio3Count()
    shape = (2, prio3.LEADER_SHARE_SIZE)
    arrays: tuple[Any, ...] = (
        np.zeros(shape, np.int8),
        np.zeros((2, shape[1] + 1), np.uint8),
        np.zeros(shape[1], np.uint8),
    )
    for wrong in arrays:
        with pytest.raises(LocalProtocolError, match="input share: uint8"):
            prio3.verify_init_batch(bytes(32), b"", 0, [bytes(16)] * 2, [b""] * 2, wrong)


def test_rows_of_rejected_reports_cannot_be_had() -> None:
    prio3 = Prio3Count()
    reports = Reports(prio3, [0, 1, 1])
    reports.inputs[0][2] = b""
    states, shares = reports.verify_init(0)
    for rows in (shares, states.encode()):
        assert len(rows[0]) == len(rows[-2])
        for rejected in (2, -1):
            with pytest.raises(ReportRejected, match="report 2"):
                rows[rejected]
        with pytest.raises(ReportRejected, match="report 2"):
            list(rows)
        with pytest.raises(IndexError):
            rows[3]
        assert rows.accepted.tolist() == [True, True, False]


def test_the_first_reason_stays() -> None:
    first, second = ReportRejected("first", 0), ReportRejected("second", 0)
    rows = Rows(np.zeros((2, 1), np.uint8), {0: first})
    assert rows.reject({0: second, 1: second}).rejected == {0: first, 1: second}


def test_one_report_raises_its_rejection() -> None:
    prio3 = Prio3Count()
    with pytest.raises(ReportRejected, match="report 0: input share: 48 bytes expected, got 5") as caught:
        prio3.verify_init(bytes(32), b"", 0, bytes(16), b"", b"short")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.report, copy.reason) == (caught.value.report, caught.value.reason)
    assert isinstance(copy, RemoteProtocolError)


def test_a_test_point_that_would_give_an_output_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 7.3.4: a root of unity; it is drawn once in 2^60 reports or less, so here it is put in."""
    prio3 = Prio3Histogram(length=5)
    reports = Reports(prio3, [0, 1, 2])
    query_rands = Auxiliary.query_rands

    def with_a_root(derive: Auxiliary, verify_key: bytes, nonces: Octets) -> list[Elements]:
        rands = query_rands(derive, verify_key, nonces)
        rands[0][1, -1] = Field128.array(-1)
        return rands

    monkeypatch.setattr(Auxiliary, "query_rands", with_a_root)
    _, shares = reports.verify_init(0)
    assert not shares.data[1].any()
    check_rejected(reports, 1, "test point is a root of unity")


# Clients that lie: proofs of measurements that are not valid.


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
        (Prio3Count(), [1, 2], "measurement 1 must be 0 .. 1$"),
        (Prio3Count(), [-1], "measurement 0 must be 0 .. 1$"),
        (Prio3Count(), [0.5], "must be integers"),
        (Prio3Count(), ["1"], "must be integers"),
        (Prio3Count(), 1, "must have shape"),
        (Prio3Sum(max_measurement=10), [3, 11], "measurement 1 must be 0 .. 10$"),
        (Prio3Sum(max_measurement=10), [1 << 70], "measurement 0 must be"),
        (Prio3SumVec(length=2, max_measurement=1 << 80), [[1 << 80, 0], [0, (1 << 80) + 1]], "measurement 1 must be"),
        (Prio3SumVec(length=2, max_measurement=1 << 80), [[0, 1.5]], "must be integers"),
        (Prio3SumVec(length=2, max_measurement=3), [[0, 1, 2]], "must have shape"),
        (Prio3Histogram(length=3), [0, 3], "measurement 1 must be 0 .. 2$"),
        (Prio3MultihotCountVec(length=3, max_weight=1), [[True, True, False]], "at most 1 values may be true"),
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
    assert Reports(highest, [(1 << 63) - 1]).aggregate() == (1 << 63) - 1


@pytest.mark.parametrize(
    ("kind", "arguments", "reason"),
    [
        (Prio3Count, {"shares": 1}, "shares must be 2 .. 255"),
        (Prio3Count, {"shares": 256}, "shares must be 2 .. 255"),
        (Prio3Sum, {"max_measurement": 0}, "largest value must be at least 1"),
        (Prio3Sum, {"max_measurement": 1 << 64}, "too large for Field64"),
        (Prio3Sum, {"max_measurement": 10, "draft": DRAFT_08}, r"draft 8 needs a largest value 2\^k - 1, got 10"),
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
        (Prio3Histogram, {"length": 1 << 66, "chunk_length": 1}, "the circuit is too large for Field128"),
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
    with pytest.raises(LocalProtocolError, match="context may have at most"):
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
    with pytest.raises(LocalProtocolError, match="verifier shares of 2 Aggregators are needed, got 1"):
        prio3.verifier_shares_to_message(b"", [bytes(prio3.VERIFIER_SHARE_SIZE)])
    with pytest.raises(LocalProtocolError, match="different sizes"):
        prio3.verifier_shares_to_message_batch(b"", [[share], [share, share]])
    with pytest.raises(LocalProtocolError, match="1 states and 2"):
        prio3.verify_next_batch([bytes(8)], [b"", b""])
    with pytest.raises(LocalProtocolError, match="verification states: 1 of 8"):
        prio3.verify_next_batch([bytes(9)], [b""])
    with pytest.raises(LocalProtocolError, match="output share: 1 of 8"):
        prio3.agg_update(prio3.agg_init(), bytes(9))
    with pytest.raises(LocalProtocolError, match="2 aggregate shares are needed, got 1"):
        prio3.unshard([prio3.agg_init()], 1)
