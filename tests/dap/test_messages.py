"""DAP's messages, byte for byte as the draft's structs say, written out by hand; and strict decoding."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.dap import STRUCTS
from secagg.codec import Reader, Struct
from secagg.dap import messages as m
from secagg.errors import RemoteProtocolError

from ..support.strategies import structs

REPORT_ID = bytes(range(16))
RID = "000102030405060708090a0b0c0d0e0f"
TASK_ID = b"\x11" * 32
LEADER = m.HpkeCiphertext(1, b"\xe0\xe1", b"\xc0")
HELPER = m.HpkeCiphertext(2, b"\xe2", b"\xc1\xc2")
LEADER_HEX, HELPER_HEX = "01 0002 e0e1 00000001 c0", "02 0001 e2 00000002 c1c2"
METADATA = m.ReportMetadata(REPORT_ID, 7)
METADATA_HEX = f"{RID} 0000000000000007 0000"
EXTENDED = m.ReportMetadata(REPORT_ID, 7, (m.Extension(0xFF00, b"\x09"),))
EXTENDED_HEX = f"{RID} 0000000000000007 0005 ff00 0001 09"
REPORT = m.Report(METADATA, b"\x0a", LEADER, HELPER)
REPORT_HEX = f"{METADATA_HEX} 00000001 0a {LEADER_HEX} {HELPER_HEX}"
CONFIG = m.HpkeConfig(0xC2, 0x20, 1, 1, b"\x01\x02")
CONFIG_HEX = "c2 0020 0001 0001 0002 0102"
SHARE = m.ReportShare(METADATA, b"\x0a", HELPER)
SHARE_HEX = f"{METADATA_HEX} 00000001 0a {HELPER_HEX}"
INIT = m.VerifyInit(SHARE, b"\x50")
INIT_HEX = f"{SHARE_HEX} 00000001 50"
INTERVAL = m.Interval(16595440, 1)
INTERVAL_HEX = "0000000000fd39f0 0000000000000001"
QUERY = m.Query(m.BatchMode.TIME_INTERVAL, INTERVAL.encode())
QUERY_HEX = f"01 0010 {INTERVAL_HEX}"
COLLECT = m.CollectionJobReq(QUERY)
COLLECT_HEX = f"{QUERY_HEX} 00000000 0000"
TASK = m.TaskConfiguration(
    task_info=b"t",
    leader_aggregator_endpoint=b"https://l/",
    helper_aggregator_endpoint=b"https://h/",
    time_precision=300,
    min_batch_size=100,
    batch_mode=m.BatchMode.LEADER_SELECTED,
    batch_config=b"",
    vdaf_type=2,
    vdaf_configuration=b"\xff" * 8,
    extensions=(m.TaskExtension(1, INTERVAL.encode()),),
)
TASK_HEX = (
    "01 74  000a 68747470733a2f2f6c2f  000a 68747470733a2f2f682f"
    " 000000000000012c 0000000000000064 02 0000 00000002 0008 ffffffffffffffff"
    f" 0014 0001 0010 {INTERVAL_HEX}"
)

CASES: list[tuple[Struct, str]] = [
    (CONFIG, CONFIG_HEX),
    (m.HpkeConfigList(()), "0000"),
    (m.HpkeConfigList((CONFIG, CONFIG)), f"0016 {CONFIG_HEX} {CONFIG_HEX}"),
    (LEADER, LEADER_HEX),
    (INTERVAL, INTERVAL_HEX),
    (m.TaskExtension(0xFD00, b"dap-09"), "fd00 0006 6461702d3039"),
    (TASK, TASK_HEX),
    (replace(TASK, task_info=b""), TASK_HEX.replace("01 74", "00", 1)),
    (m.Extension(1, b""), "0001 0000"),
    (METADATA, METADATA_HEX),
    (EXTENDED, EXTENDED_HEX),
    (REPORT, REPORT_HEX),
    (m.UploadRequest(()), ""),
    (m.UploadRequest((REPORT, REPORT)), f"{REPORT_HEX} {REPORT_HEX}"),
    (m.ReportUploadStatus(REPORT_ID, 11), f"{RID} 0b"),
    (
        m.UploadErrors((m.ReportUploadStatus(REPORT_ID, 2), m.ReportUploadStatus(b"\xaa" * 16, 9))),
        f"{RID} 02 {'aa' * 16} 09",
    ),
    (m.PlaintextInputShare((), b"\x77"), "0000 00000001 77"),
    (m.PlaintextInputShare((m.Extension(2, b"x"),), b"\x77"), "0005 0002 0001 78 00000001 77"),
    (m.AggregationJobExtension(1, b"\x05" * 32), f"0001 0020 {'05' * 32}"),
    (SHARE, SHARE_HEX),
    (INIT, INIT_HEX),
    (
        m.AggregationJobInitReq(3, b"\x01", (m.AggregationJobExtension(1, b"b"),), (INIT, INIT)),
        f"03 00000001 01 0005 0001 0001 62 {INIT_HEX} {INIT_HEX}",
    ),
    (m.VerifyResp(REPORT_ID, b"\x99\x98"), f"{RID} 00 00000002 9998"),
    (m.VerifyResp(REPORT_ID, None), f"{RID} 01"),
    (m.VerifyResp(REPORT_ID, 2), f"{RID} 02 02"),
    (m.AggregationJobResp((m.VerifyResp(REPORT_ID, None),) * 2), f"{RID} 01 {RID} 01"),
    (m.VerifyContinue(REPORT_ID, b"\x99"), f"{RID} 00000001 99"),
    (
        m.AggregationJobContinueReq(1, (m.VerifyContinue(REPORT_ID, b"\x99"),) * 2),
        f"0001 {RID} 00000001 99 {RID} 00000001 99",
    ),
    (QUERY, QUERY_HEX),
    (m.Query(m.BatchMode.LEADER_SELECTED, b""), "02 0000"),
    (m.BatchSelector(m.BatchMode.LEADER_SELECTED, b"\x05" * 32), f"02 0020 {'05' * 32}"),
    (m.CollectionJobExtension(1, b"c"), "0001 0001 63"),
    (COLLECT, COLLECT_HEX),
    (
        m.CollectionJobReq(QUERY, b"\x0b", (m.CollectionJobExtension(1, b"c"),)),
        f"{QUERY_HEX} 00000001 0b 0005 0001 0001 63",
    ),
    (m.CollectionJobResp(1000, INTERVAL, LEADER, HELPER), f"00000000000003e8 {INTERVAL_HEX} {LEADER_HEX} {HELPER_HEX}"),
    (
        m.AggregateShareReq(COLLECT, m.BatchSelector(m.BatchMode.TIME_INTERVAL, b""), 258, b"\xcc" * 32),
        f"{COLLECT_HEX} 01 0000 0000000000000102 {'cc' * 32}",
    ),
    (m.AggregateShare(LEADER), LEADER_HEX),
    (m.AggregateShareAad(TASK_ID, TASK, COLLECT), f"{'11' * 32} {TASK_HEX} {COLLECT_HEX}"),
]


def identify(value: Any) -> str | None:
    return type(value).__name__ if isinstance(value, Struct) else ""


@pytest.mark.parametrize(("struct", "encoded"), CASES, ids=identify)
def test_encoding_is_the_drafts(struct: Struct, encoded: str) -> None:
    assert struct.encode().hex() == bytes.fromhex(encoded).hex()
    assert type(struct).decode(bytes.fromhex(encoded)) == struct


def test_every_struct_has_an_encoding_written_by_hand() -> None:
    assert {type(struct) for struct, _ in CASES} == set(STRUCTS)


LISTS = (m.UploadRequest, m.UploadErrors, m.AggregationJobInitReq, m.AggregationJobContinueReq, m.AggregationJobResp)
"""These end in as many structs as fit, so that one less is a message too."""


@pytest.mark.parametrize(("struct", "encoded"), CASES, ids=identify)
def test_truncated_and_extended_messages_are_refused(struct: Struct, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    for size in range(len(data)):
        try:
            shorter = type(struct).decode(data[:size])
        except RemoteProtocolError:
            continue
        assert type(struct) in LISTS
        assert shorter.encode() == data[:size]
    with pytest.raises(RemoteProtocolError):
        type(struct).decode(data + b"\0")


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        (m.HpkeConfig, "c2 0020 0001 0001 0000"),
        (m.HpkeCiphertext, "01 0000 00000001 c0"),
        (m.HpkeCiphertext, "01 0001 e0 00000000"),
        (m.PlaintextInputShare, "0000 00000000"),
        (m.VerifyInit, f"{SHARE_HEX} 00000000"),
        (m.VerifyContinue, f"{RID} 00000000"),
        (m.VerifyResp, f"{RID} 00 00000000"),
        (m.TaskConfiguration, TASK_HEX.replace("000a 68747470733a2f2f6c2f", "0000", 1)),
    ],
)
def test_fields_that_may_not_be_empty_are_not(kind: type[Struct], encoded: str) -> None:
    with pytest.raises(RemoteProtocolError, match="least"):
        kind.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        (m.Query, "00 0000"),
        (m.Query, "03 0000"),
        (m.VerifyResp, f"{RID} 03"),
        (m.VerifyResp, f"{RID} 02 00"),
        (m.ReportUploadStatus, f"{RID} 00"),
    ],
)
def test_values_that_the_draft_does_not_have_are_refused(kind: type[Struct], encoded: str) -> None:
    with pytest.raises(RemoteProtocolError, match="unknown value"):
        kind.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize("code", [12, 200, 255])
def test_errors_that_are_registered_later_are_kept_as_numbers(code: int) -> None:
    """Section 10 lets others use them: one must not cost the answers to all other reports."""
    encoded = bytes.fromhex(RID) + bytes([code])
    status = m.ReportUploadStatus.decode(encoded)
    assert status.error == code
    assert status.encode() == encoded
    verify = m.VerifyResp.decode(bytes.fromhex(RID) + b"\x02" + bytes([code]))
    assert verify.outcome == code


def test_a_list_whose_last_struct_ends_early_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="ends early"):
        m.HpkeConfigList.decode(bytes.fromhex(f"000a {CONFIG_HEX}"))


def test_a_struct_does_not_reach_beyond_its_list() -> None:
    """The list has 3 bytes; the extension in it claims one more, which is there, but behind the list."""
    with pytest.raises(RemoteProtocolError, match="ends early"):
        m.PlaintextInputShare.decode(bytes.fromhex("0004 0002 0001 78 00000001 77"))


@pytest.mark.parametrize(
    "struct",
    [
        m.ReportMetadata(bytes(15), 0),
        m.HpkeCiphertext(0, b"", b"x"),
        m.HpkeCiphertext(0, bytes(1 << 16), b"x"),
        m.PlaintextInputShare((), b""),
        m.AggregateShareReq(COLLECT, m.BatchSelector(m.BatchMode.TIME_INTERVAL, b""), 1, bytes(31)),
        m.HpkeConfigList((m.HpkeConfig(0, 0, 0, 0, bytes(40_000)),) * 2),
    ],
)
def test_what_does_not_fit_is_not_written(struct: Struct) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        struct.encode()


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_times_have_64_bits(number: int) -> None:
    with pytest.raises(OverflowError):
        m.Interval(number, 1).encode()


@given(st.sampled_from(STRUCTS).flatmap(structs))
def test_round_trip(struct: Struct) -> None:
    assert type(struct).decode(struct.encode()) == struct


@given(st.sampled_from(STRUCTS), st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(kind: type[Struct], data: bytes) -> None:
    try:
        struct = kind.decode(data)
    except RemoteProtocolError:
        return
    assert struct.encode() == data


@given(st.sampled_from(STRUCTS).flatmap(structs), st.data())
def test_mutated_messages_are_messages_or_refused(struct: Struct, data: st.DataObject) -> None:
    encoded = bytearray(struct.encode() or b"\0")
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        taken = type(struct).decode(bytes(encoded))
    except RemoteProtocolError:
        return
    assert taken.encode() == bytes(encoded)


@pytest.mark.parametrize("struct", [struct for struct, _ in CASES], ids=identify)
def test_no_content_is_shown(struct: Struct) -> None:
    """Ciphertexts, shares and tasks in a log would be one step from a secret; an interval is none."""
    if not isinstance(struct, m.Interval):
        assert repr(struct).removeprefix(type(struct).__name__).strip("()").replace(", ", "").replace("_", "").isalpha()


def test_intervals_are_half_open() -> None:
    interval = m.Interval(10, 5)
    assert [time in interval for time in (9, 10, 14, 15)] == [False, True, True, False]
    assert interval.end == 15
    assert interval.within(m.Interval(10, 5))
    assert m.Interval(11, 4).within(interval)
    assert not m.Interval(11, 5).within(interval)
    assert not m.Interval(9, 5).within(interval)


def test_an_interval_may_end_beyond_64_bits() -> None:
    """Nothing wraps round: the end of all time is after its start."""
    last = m.Interval((1 << 64) - 1, (1 << 64) - 1)
    assert last.end == (1 << 65) - 2
    assert (1 << 64) - 1 in last


@pytest.mark.parametrize(
    ("types", "increasing"), [((), True), ((5,), True), ((1, 2, 9), True), ((1, 1), False), ((2, 1), False)]
)
def test_extensions_increase_strictly(types: tuple[int, ...], increasing: bool) -> None:
    assert m.increasing([m.Extension(kind, b"") for kind in types]) is increasing


def test_checksum_is_the_xor_of_hashes() -> None:
    ids = [bytes([i]) * 16 for i in range(3)]
    hashes = [hashlib.sha256(report_id).digest() for report_id in ids]
    assert m.checksum(ids) == bytes(a ^ b ^ c for a, b, c in zip(*hashes, strict=True))
    assert m.checksum([]) == bytes(32)
    assert m.checksum(ids) == m.checksum(ids[::-1])


@given(st.data())
def test_skipping_refuses_what_reading_refuses(data: st.DataObject) -> None:
    """And goes as far. Report is a struct whose codecs can all skip."""
    sealed = m.HpkeCiphertext(1, b"enc", b"payload")
    good = m.Report(m.ReportMetadata(bytes(16), 7, (m.Extension(3, b"x"),)), b"public", sealed, sealed).encode()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    left = []
    for go in (m.Report.read, m.Report.skip):
        reader = Reader(bad + b"more")
        try:
            go(reader)
            left.append(reader.left)
        except RemoteProtocolError:
            left.append(-1)
    assert left[0] == left[1]
