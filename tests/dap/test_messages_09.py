"""DAP-09's messages, byte for byte as its structs say, written out by hand and by an independent twin; strict decoding;
and their translation, which loses nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.dap import STRUCTS_09, WIRE_09
from secagg.codec import Struct
from secagg.dap import messages as m
from secagg.dap import messages_09 as old
from secagg.dap.wire import DRAFT_09, DRAFT_18
from secagg.errors import RemoteProtocolError

from ..support import dap09 as twin
from ..support import janus
from ..support.folders import VECTORS
from ..support.strategies import structs

REPORT_ID = bytes(range(16))
RID = "000102030405060708090a0b0c0d0e0f"
TASK_ID = b"\x11" * 32
BATCH, BATCH_HEX = b"\x05" * 32, "05" * 32
LEADER = m.HpkeCiphertext(1, b"\xe0\xe1", b"\xc0")
HELPER = m.HpkeCiphertext(2, b"\xe2", b"\xc1\xc2")
LEADER_HEX, HELPER_HEX = "01 0002 e0e1 00000001 c0", "02 0001 e2 00000002 c1c2"
METADATA = old.ReportMetadata(REPORT_ID, 1_700_000_100)
METADATA_HEX = f"{RID} 000000006553f164"
SHARE = old.ReportShare(METADATA, b"\x0a", HELPER)
SHARE_HEX = f"{METADATA_HEX} 00000001 0a {HELPER_HEX}"
INIT, INIT_HEX = old.PrepareInit(SHARE, b"\x50"), f"{SHARE_HEX} 00000001 50"
EMPTY, EMPTY_HEX = old.PrepareInit(SHARE, b""), f"{SHARE_HEX} 00000000"
INTERVAL, INTERVAL_HEX = m.Interval(1_700_000_100, 300), "000000006553f164 000000000000012c"
BY_TIME, FIXED_SIZE = old.PartialBatchSelector(None), old.PartialBatchSelector(BATCH)
SELECTOR = old.BatchSelector(INTERVAL)

CASES: list[tuple[Struct, str]] = [
    (METADATA, METADATA_HEX),
    (SHARE, SHARE_HEX),
    (INIT, INIT_HEX),
    (EMPTY, EMPTY_HEX),
    (BY_TIME, "01"),
    (FIXED_SIZE, f"02 {BATCH_HEX}"),
    (old.AggregationJobInitReq(b"", BY_TIME, (INIT,)), f"00000000 01 0000002c {INIT_HEX}"),
    (
        old.AggregationJobInitReq(b"\x01", FIXED_SIZE, (INIT, EMPTY)),
        f"00000001 01 02 {BATCH_HEX} 00000057 {INIT_HEX} {EMPTY_HEX}",
    ),
    (old.PrepareResp(REPORT_ID, b"\x99\x98"), f"{RID} 00 00000002 9998"),
    (old.PrepareResp(REPORT_ID, b""), f"{RID} 00 00000000"),
    (old.PrepareResp(REPORT_ID, None), f"{RID} 01"),
    (old.PrepareResp(REPORT_ID, 0), f"{RID} 02 00"),
    (old.PrepareResp(REPORT_ID, 9), f"{RID} 02 09"),
    (old.AggregationJobResp((old.PrepareResp(REPORT_ID, None),) * 2), f"00000022 {RID} 01 {RID} 01"),
    (old.PrepareContinue(REPORT_ID, b"\x99"), f"{RID} 00000001 99"),
    (
        old.AggregationJobContinueReq(1, (old.PrepareContinue(REPORT_ID, b"\x99"),) * 2),
        f"0001 0000002a {RID} 00000001 99 {RID} 00000001 99",
    ),
    (old.Query(INTERVAL), f"01 {INTERVAL_HEX}"),
    (old.Query(BATCH), f"02 00 {BATCH_HEX}"),
    (old.Query(None), "02 01"),
    (old.CollectionReq(old.Query(None), b""), "02 01 00000000"),
    (old.CollectionReq(old.Query(INTERVAL), b"\x0b"), f"01 {INTERVAL_HEX} 00000001 0b"),
    (
        old.Collection(FIXED_SIZE, 1000, INTERVAL, LEADER, HELPER),
        f"02 {BATCH_HEX} 00000000000003e8 {INTERVAL_HEX} {LEADER_HEX} {HELPER_HEX}",
    ),
    (SELECTOR, f"01 {INTERVAL_HEX}"),
    (old.BatchSelector(BATCH), f"02 {BATCH_HEX}"),
    (
        old.AggregateShareReq(SELECTOR, b"\x0b", 258, b"\xcc" * 32),
        f"01 {INTERVAL_HEX} 00000001 0b 0000000000000102 {'cc' * 32}",
    ),
    (old.AggregateShareAad(TASK_ID, b"", SELECTOR), f"{'11' * 32} 00000000 01 {INTERVAL_HEX}"),
]


def identify(value: Any) -> str | None:
    return type(value).__name__ if isinstance(value, Struct) else ""


@pytest.mark.parametrize(("struct", "encoded"), CASES, ids=identify)
def test_encoding_is_the_drafts(struct: Struct, encoded: str) -> None:
    assert struct.encode().hex() == bytes.fromhex(encoded).hex()
    assert type(struct).decode(bytes.fromhex(encoded)) == struct


def test_every_struct_has_an_encoding_written_by_hand() -> None:
    assert {type(struct) for struct, _ in CASES} == set(STRUCTS_09)


@pytest.mark.parametrize(("struct", "encoded"), CASES, ids=identify)
def test_truncated_and_extended_messages_are_refused(struct: Struct, encoded: str) -> None:
    """Every list has its length here, so that no message is the beginning of another one."""
    data = bytes.fromhex(encoded)
    for other in (*(data[:size] for size in range(len(data))), data + b"\0"):
        with pytest.raises(RemoteProtocolError):
            type(struct).decode(other)


@pytest.mark.parametrize(
    ("kind", "encoded", "why"),
    [
        (old.AggregationJobInitReq, "00000000 01 00000000", "0 bytes, at least 1"),
        (old.AggregationJobResp, "00000000", "0 bytes, at least 1"),
        (old.AggregationJobContinueReq, "0001 00000000", "0 bytes, at least 1"),
        (old.PartialBatchSelector, "00", "unknown value"),
        (old.PartialBatchSelector, "03", "unknown value"),
        (old.Query, f"00 {INTERVAL_HEX}", "unknown value"),
        (old.Query, "02 02", "unknown value"),
        (old.BatchSelector, f"00 {BATCH_HEX}", "unknown value"),
        (old.PrepareResp, f"{RID} 03", "unknown value"),
        (old.AggregationJobResp, f"00000011 {RID} 02 00", "ends early"),
    ],
)
def test_values_that_the_draft_does_not_have_are_refused(kind: type[Struct], encoded: str, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        kind.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize("kind", STRUCTS_09, ids=lambda kind: kind.__name__)
@given(st.data())
def test_any_value_comes_back(kind: type[Struct], data: st.DataObject) -> None:
    struct = data.draw(structs(kind))
    assert kind.decode(struct.encode()) == struct


@pytest.mark.parametrize("kind", WIRE_09, ids=lambda kind: kind.__name__)
@given(st.data())
def test_translation_loses_nothing(kind: type[Struct], data: st.DataObject) -> None:
    body = data.draw(structs(kind)).encode()
    decode, encode = WIRE_09[kind]
    assert encode(decode(body)) == body


# Beside the twin, which was written from the draft alone.


def sealed(ciphertext: m.HpkeCiphertext) -> twin.Ciphertext:
    return twin.Ciphertext(ciphertext.config_id, ciphertext.enc, ciphertext.payload)


def batch_of(selector: m.BatchSelector | m.Query) -> twin.Batch:
    if selector.batch_mode is m.BatchMode.LEADER_SELECTED:
        return selector.config
    interval = m.Interval.decode(selector.config)
    return interval.start, interval.duration


BATCHES = st.builds(lambda interval: interval.encode(), structs(m.Interval)).map(
    lambda config: m.BatchSelector(m.BatchMode.TIME_INTERVAL, config)
) | st.binary(min_size=32, max_size=32).map(lambda batch: m.BatchSelector(m.BatchMode.LEADER_SELECTED, batch))


def without_extensions(share: m.ReportShare) -> m.ReportShare:
    metadata = m.ReportMetadata(share.report_metadata.report_id, share.report_metadata.time)
    return m.ReportShare(metadata, share.public_share, share.encrypted_input_share)


def share_of(share: m.ReportShare) -> twin.Share:
    metadata = share.report_metadata
    return twin.Share(metadata.report_id, metadata.time, share.public_share, sealed(share.encrypted_input_share))


INITS = st.lists(
    st.builds(m.VerifyInit, structs(m.ReportShare).map(without_extensions), st.binary(max_size=20)),
    min_size=1,
    max_size=3,
)


@given(st.none() | st.binary(min_size=32, max_size=32), INITS, st.binary(max_size=5))
def test_aggregation_jobs_are_the_twins(batch: bytes | None, inits: list[m.VerifyInit], parameter: bytes) -> None:
    extensions = () if batch is None else (m.AggregationJobExtension(m.LEADER_SELECTED_BATCH_ID, batch),)
    request = m.AggregationJobInitReq(m.VERIFICATION_KEY_ID, parameter, extensions, tuple(inits))
    expected = [(share_of(init.report_share), init.payload) for init in inits]
    body = twin.job_init(batch, expected, parameter)
    assert DRAFT_09.encode_job_init(request) == body
    assert DRAFT_09.decode_job_init(body) == request
    assert twin.take_job_init(body) == (parameter, batch, expected)


RESPS = st.lists(structs(old.PrepareResp), min_size=1, max_size=4)


@given(RESPS)
def test_their_answers_are_the_twins(resps: list[old.PrepareResp]) -> None:
    response = m.AggregationJobResp(tuple(m.VerifyResp(each.report_id, each.outcome) for each in resps))
    body = twin.job_resp([(each.report_id, each.outcome) for each in resps])
    assert DRAFT_09.encode_job_resp(response) == body
    assert DRAFT_09.decode_job_resp(body) == response


@given(st.integers(0, 65535), st.lists(structs(old.PrepareContinue), min_size=1, max_size=3))
def test_continuations_are_the_twins(step: int, continues: list[old.PrepareContinue]) -> None:
    body = twin.job_continue(step, [(each.report_id, each.payload) for each in continues])
    expected = tuple(m.VerifyContinue(each.report_id, each.payload) for each in continues)
    assert DRAFT_09.decode_job_continue(body) == m.AggregationJobContinueReq(step, expected)


@given(BATCHES, st.binary(max_size=5))
def test_queries_are_the_twins(selector: m.BatchSelector, parameter: bytes) -> None:
    request = m.CollectionJobReq(m.Query(selector.batch_mode, selector.config), parameter)
    body = twin.collection_req(batch_of(selector), parameter)
    assert DRAFT_09.encode_collection_req(request) == body
    assert DRAFT_09.decode_collection_req(body) == request


def test_the_query_for_the_current_batch_is_the_twins() -> None:
    request = m.CollectionJobReq(m.Query(m.BatchMode.LEADER_SELECTED, b""))
    assert DRAFT_09.encode_collection_req(request) == twin.collection_req(None)
    assert DRAFT_09.decode_collection_req(twin.collection_req(None)) == request


@given(BATCHES, st.binary(max_size=5), st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32))
def test_requests_for_shares_are_the_twins(
    selector: m.BatchSelector, parameter: bytes, count: int, checksum: bytes
) -> None:
    body = twin.share_req(batch_of(selector), count, checksum, parameter)
    request = DRAFT_09.decode_share_req(body)
    assert (request.batch_selector, request.report_count, request.checksum) == (selector, count, checksum)
    assert request.collection_job_req.agg_param == parameter
    assert DRAFT_09.encode_share_req(request) == body


@given(BATCHES, structs(m.CollectionJobResp))
def test_results_are_the_twins(selector: m.BatchSelector, response: m.CollectionJobResp) -> None:
    by_time = selector.batch_mode is m.BatchMode.TIME_INTERVAL
    shares = sealed(response.leader_encrypted_agg_share), sealed(response.helper_encrypted_agg_share)
    interval = response.interval.start, response.interval.duration
    body = twin.collection(None if by_time else selector.config, response.report_count, interval, shares)
    assert DRAFT_09.encode_collection(response, selector) == body
    query = m.Query(selector.batch_mode, selector.config if by_time else b"")
    assert DRAFT_09.decode_collection(body, m.CollectionJobReq(query)) == (response, selector)


@given(st.binary(min_size=32, max_size=32), BATCHES, st.binary(max_size=5))
def test_aggregate_shares_are_bound_as_the_twin_has_it(
    task_id: bytes, selector: m.BatchSelector, parameter: bytes
) -> None:
    request = m.CollectionJobReq(m.Query(selector.batch_mode, b""), parameter)
    aad = DRAFT_09.agg_share_aad(task_id, None, request, selector)  # type: ignore[arg-type]  # it is not looked at
    assert aad == twin.agg_share_aad(task_id, batch_of(selector), parameter)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_checksums_are_the_twins(report_ids: list[bytes]) -> None:
    assert m.checksum(report_ids) == twin.checksum(report_ids)


TAKES: list[tuple[Callable[[bytes], object], Callable[[bytes], object]]] = [
    (twin.take_job_init, DRAFT_09.decode_job_init),
    (twin.take_job_resp, DRAFT_09.decode_job_resp),
    (twin.take_share_req, DRAFT_09.decode_share_req),
    (twin.take_collection, old.Collection.decode),
    (twin.take_share, m.AggregateShare.decode),
]
HONEST = [
    twin.job_init(BATCH, [(twin.Share(REPORT_ID, 7, b"", sealed(HELPER)), b"p")]),
    twin.job_resp([(REPORT_ID, b"p"), (REPORT_ID, 3), (REPORT_ID, None)]),
    twin.share_req((300, 300), 5, bytes(32)),
    twin.collection(None, 5, (300, 300), (sealed(LEADER), sealed(HELPER))),
    twin.ciphertext(sealed(HELPER)),
]


@pytest.mark.parametrize(("takes", "honest"), list(zip(TAKES, HONEST, strict=True)))
@given(data=st.data())
def test_the_twin_refuses_the_same_bytes(
    takes: tuple[Callable[[bytes], object], Callable[[bytes], object]], honest: bytes, data: st.DataObject
) -> None:
    """Any bytes, and any near an honest message."""
    at = data.draw(st.integers(0, len(honest) - 1))
    near = honest[:at] + data.draw(st.binary(max_size=3)) + honest[at + data.draw(st.integers(0, 3)) :]
    body = data.draw(st.just(near) | st.binary(max_size=60))
    refused = []
    for take in takes:
        try:
            take(body)
        except (twin.Malformed, RemoteProtocolError):
            refused.append(True)
        else:
            refused.append(False)
    assert refused[0] == refused[1]


# Beside janus_messages 0.7.145, which the deployed Aggregators are made of: tests/vectors/dap_09.json.

JANUS = json.loads((VECTORS / "dap_09.json").read_text())["cases"]


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in JANUS}))
def test_janus_takes_the_same_messages(kind: str) -> None:
    """It wrote each that it took again, as the same bytes."""
    of_kind = [(bytes.fromhex(encoded), by_janus) for each, encoded, by_janus in JANUS if each == kind]
    for body, by_janus in of_kind:
        janus.check_verdict(kind, body, by_janus)
    assert sum(by_janus for _, by_janus in of_kind) >= 10


# What the Collector is told.

CURRENT = m.CollectionJobReq(m.Query(m.BatchMode.LEADER_SELECTED, b""))
NAMED = m.CollectionJobReq(m.Query(m.BatchMode.LEADER_SELECTED, BATCH))
WHEN = m.CollectionJobReq(m.Query(m.BatchMode.TIME_INTERVAL, INTERVAL.encode()))


@pytest.mark.parametrize(
    ("request_", "batch", "why"),
    [
        (CURRENT, None, "another query type"),
        (WHEN, BATCH, "another query type"),
        (NAMED, b"\x06" * 32, "another batch"),
    ],
)
def test_a_result_of_another_batch_is_refused(request_: m.CollectionJobReq, batch: bytes | None, why: str) -> None:
    body = twin.collection(batch, 5, (300, 300), (sealed(LEADER), sealed(HELPER)))
    with pytest.raises(RemoteProtocolError, match=why):
        DRAFT_09.decode_collection(body, request_)


def test_later_drafts_name_no_batch_in_a_result() -> None:
    response = m.CollectionJobResp(5, INTERVAL, LEADER, HELPER)
    selector = m.BatchSelector(m.BatchMode.TIME_INTERVAL, INTERVAL.encode())
    assert DRAFT_18.encode_collection(response, selector) == response.encode()
    assert DRAFT_18.decode_collection(response.encode(), WHEN) == (response, selector)
