"""Tasks: what no party takes part in, and the bytes that follow from one."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.aggregator.release import batch_selector
from secagg.dap.dialect import DAP_09, DAP_09_CLIENTS, DAP_18, DAP_19, DIALECT_EXTENSION, DIALECTS, Dialect
from secagg.dap.messages import (
    BatchMode,
    BatchSelector,
    CollectionJobReq,
    Extension,
    HpkeCiphertext,
    Interval,
    Query,
    Report,
    ReportMetadata,
    Role,
    TaskConfiguration,
    TaskExtension,
)
from secagg.dap.privacy.extension import PRIVACY_EXTENSION, Mechanism, Privacy
from secagg.dap.task import TASK_INTERVAL_EXTENSION, Task, report_share
from secagg.dap.vdafs import Histogram, vdaf
from secagg.dp import PureDp
from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.http.base64url import base64url, from_base64url
from secagg.vdaf import DRAFT_08, DRAFT_20

from ..support.tasks import TASK_ID, make_task

REPORT_ID = bytes(range(16))
TASK = make_task()
CONFIGURATION_HEX = (
    "04 74657374"
    " 001b 68747470733a2f2f6c65616465722e6578616d706c652f6461702f"
    " 0016 68747470733a2f2f68656c7065722e6578616d706c65"
    " 000000000000012c 0000000000000003 01 0000 00000004 0008 00000005 00000002 0000"
)
PRIVACY = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(10)))


def changed(**changes: Any) -> Task:
    return Task(TASK_ID, replace(TASK.configuration, **changes))


def extended(*extensions: tuple[int, bytes]) -> Task:
    return changed(extensions=tuple(TaskExtension(kind, data) for kind, data in extensions))


def test_configuration_is_the_drafts() -> None:
    assert TASK.encoded == bytes.fromhex(CONFIGURATION_HEX)
    assert TaskConfiguration.decode(TASK.encoded) == TASK.configuration


def test_what_a_task_says() -> None:
    assert (TASK.leader_url, TASK.helper_url) == ("https://leader.example/dap", "https://helper.example")
    assert (TASK.time_precision, TASK.min_batch_size, TASK.batch_mode) == (300, 3, BatchMode.TIME_INTERVAL)
    assert (TASK.vdaf, TASK.dialect, TASK.privacy, TASK.interval) == (Histogram(5, 2), DAP_19, None, None)
    assert TASK.prio3.draft is DRAFT_20
    assert TASK.ctx == b"dap-19" + TASK_ID


def test_optional_parts_are_extensions_in_order() -> None:
    task = make_task(interval=Interval(10, 20), dialect=DAP_09_CLIENTS, privacy=PRIVACY)
    assert [extension.extension_type for extension in task.configuration.extensions] == [
        TASK_INTERVAL_EXTENSION,
        DIALECT_EXTENSION,
        PRIVACY_EXTENSION,
    ]
    again = Task(TASK_ID, TaskConfiguration.decode(task.encoded))
    assert (again.interval, again.dialect, again.privacy) == (Interval(10, 20), DAP_09_CLIENTS, PRIVACY)
    assert again.prio3.draft is DRAFT_08
    assert again.ctx == b""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vdaf_type": 6}, "VDAF 0x6 is not supported"),
        ({"vdaf_configuration": bytes(8)}, "length must be at least 1"),
        ({"batch_config": b"x"}, "batch_config must be empty"),
        ({"time_precision": 0}, "time_precision must be at least 1"),
        ({"min_batch_size": 0}, "min_batch_size must be at least 1"),
        ({"min_batch_size": 1 << 63}, r"below 2\^63"),
    ],
)
def test_configurations_that_nobody_can_honour_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        changed(**change)


def test_a_malformed_vdaf_configuration_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        changed(vdaf_configuration=bytes(7))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_task_id_has_32_bytes(size: int) -> None:
    with pytest.raises(LocalProtocolError, match="a task ID must have 32 bytes"):
        Task(bytes(size), TASK.configuration)


@pytest.mark.parametrize("kind", [0, 2, 0xFCFF, 0xFD02, 0xFFFF])
def test_unknown_task_extensions_are_refused(kind: int) -> None:
    with pytest.raises(LocalProtocolError, match=rf"\[{kind}\] are not supported: no party may take part"):
        extended((kind, b""))


@pytest.mark.parametrize("kinds", [(DIALECT_EXTENSION, TASK_INTERVAL_EXTENSION), (1, 1), (DIALECT_EXTENSION,) * 2])
def test_unordered_and_repeated_extensions_are_refused(kinds: tuple[int, int]) -> None:
    data = {1: Interval(1, 1).encode(), DIALECT_EXTENSION: b"dap-09"}
    with pytest.raises(LocalProtocolError, match="strictly increasing"):
        extended(*((kind, data[kind]) for kind in kinds))


def test_an_empty_task_interval_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="must not be empty"):
        extended((TASK_INTERVAL_EXTENSION, Interval(10, 0).encode()))


@pytest.mark.parametrize("data", [b"", bytes(15), Interval(1, 1).encode() + b"\0"])
def test_a_malformed_task_interval_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        extended((TASK_INTERVAL_EXTENSION, data))


@pytest.mark.parametrize("tag", [b"", b"dap-07", b"dap-099", b"dap-18", b"dap-19", b"\xff"])
def test_other_dialects_in_a_task_extension_are_refused(tag: bytes) -> None:
    with pytest.raises(LocalProtocolError, match=r"dialect .* is not supported"):
        extended((DIALECT_EXTENSION, tag))


def test_a_dialect_of_clients_alone_is_in_the_configuration() -> None:
    """So that all parties see it; it is stated there or not spoken."""
    assert Task(TASK_ID, make_task(dialect=DAP_09_CLIENTS).configuration, DAP_19).dialect is DAP_09_CLIENTS
    with pytest.raises(LocalProtocolError, match="a task extension must state dap-09"):
        Task(TASK_ID, TASK.configuration, DAP_09_CLIENTS)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_dialect_of_all_parties_leaves_the_configuration_to_the_draft(dialect: Dialect) -> None:
    """Others refuse a task with extensions that they do not know (section 4.2.2)."""
    task = make_task(dialect=dialect)
    assert task.encoded == bytes.fromhex(CONFIGURATION_HEX)
    assert task.dialect is dialect


@pytest.mark.parametrize("dialect", [DAP_18, DAP_09_CLIENTS], ids=lambda dialect: dialect.name)
def test_task_info_may_be_empty_since_draft_19(dialect: Dialect) -> None:
    task = make_task(task_info=b"")
    assert task.encoded == bytes.fromhex(CONFIGURATION_HEX.replace("04 74657374", "00", 1))
    with pytest.raises(LocalProtocolError, match=f"task_info must not be empty in {dialect.name}"):
        make_task(task_info=b"", dialect=dialect)


def test_privacy_that_cannot_be_had_is_refused() -> None:
    """Randomized response needs one-hot measurements."""
    local = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(Fraction(1)), PureDp(Fraction(1)), honest=0)
    with pytest.raises(LocalProtocolError, match="randomized response"):
        make_task(vdaf=vdaf("Sum", max_measurement=255), privacy=local)
    with pytest.raises(RemoteProtocolError):
        extended((PRIVACY_EXTENSION, b""))


@pytest.mark.parametrize(
    "url",
    [
        b"leader.example",
        b"/dap",
        b"ftp://leader.example",
        b"https://",
        b"https:///dap",
        b"https://:443/",
        b"https://leader.example:x/",
        b"https://leader.example:65536/",
        b"https://[::1/",
        b"https://user@leader.example/",
        b"https://leader.example/?task",
        b"https://leader.example/?",
        b"https://leader.example/#top",
        b"https://leader.example/a b",
        b"https://leader.example/\r\nx: y",
        b"https://leader.example\\@evil.example/",
        "https://l\u00e9ader.example/".encode(),
        b"https://leader.example/\xff",
    ],
)
@pytest.mark.parametrize("whose", ["leader_aggregator_endpoint", "helper_aggregator_endpoint"])
def test_endpoints_that_no_path_can_be_put_after_are_refused(whose: str, url: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="an endpoint must be an ASCII URL"):
        changed(**{whose: url})


@pytest.mark.parametrize(
    ("url", "base"),
    [
        (b"http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (b"https://[::1]:8443/a/b//", "https://[::1]:8443/a/b"),
        (b"HTTPS://Leader.Example/%20", "HTTPS://Leader.Example/%20"),
        # No party takes such a task any more; one that has it must still be able to read it.
        (b"http://127.1:8081", "http://127.1:8081"),
        (b"http://[fe80::1%25eth0]:8080/", "http://[fe80::1%25eth0]:8080"),
        (b"https://example.org:/x", "https://example.org:/x"),
    ],
)
def test_endpoints(url: bytes, base: str) -> None:
    assert changed(leader_aggregator_endpoint=url).leader_url == base


# Times.


def test_times_are_never_finer_than_the_precision() -> None:
    """DAP counts precisions, DAP-09 seconds."""
    assert TASK.time(1_700_000_123.9) == 5_666_667
    assert make_task(dialect=DAP_09).time(1_700_000_123.9) == 1_700_000_100
    assert TASK.precision_time(5_666_667) == 5_666_667
    assert make_task(dialect=DAP_09).precision_time(1_700_000_100) == 5_666_667


@given(st.integers(1, 10**6), st.integers(0, 10**10))
def test_all_dialects_put_a_report_in_one_bucket(precision: int, seconds: int) -> None:
    tasks = [make_task(time_precision=precision, dialect=dialect) for dialect in DIALECTS.values()]
    assert {task.precision_time(task.time(seconds)) for task in tasks} == {seconds // precision}


# What ciphertexts are bound to.


INFOS = {
    "dap-19": (DAP_19, b"dap-19", b"dap-19", b"dap-19" + TASK_ID),
    "dap-18": (DAP_18, b"dap-18", b"dap-18", b"dap-18" + TASK_ID),
    "dap-09": (DAP_09, b"dap-09", b"dap-09", b""),
    "dap-09 of Clients": (DAP_09_CLIENTS, b"dap-09", b"dap-18", b""),
    "the RFC": (replace(DAP_19, tag=b"dap", aggregators_tag=b"dap"), b"dap", b"dap", b"dap" + TASK_ID),
}


@pytest.mark.parametrize(("dialect", "tag", "aggregators", "ctx"), INFOS.values(), ids=INFOS)
def test_infos(dialect: Dialect, tag: bytes, aggregators: bytes, ctx: bytes) -> None:
    task = make_task(dialect=dialect)
    assert task.input_share_info(Role.LEADER) == tag + b" input share\1\2"
    assert task.input_share_info(Role.HELPER) == tag + b" input share\1\3"
    assert task.agg_share_info(Role.LEADER) == aggregators + b" aggregate share\2\0"
    assert task.agg_share_info(Role.HELPER) == aggregators + b" aggregate share\3\0"
    assert task.ctx == ctx


def test_every_dialect_has_infos_written_by_hand() -> None:
    assert set(DIALECTS) <= set(INFOS)


METADATA = ReportMetadata(REPORT_ID, 5_666_667, (Extension(9, b"e"),))


def test_input_share_aad_is_the_drafts() -> None:
    assert TASK.input_share_aad(METADATA, b"\x0a\x0b") == TASK_ID + bytes.fromhex(
        f"{CONFIGURATION_HEX} {REPORT_ID.hex()} 000000000056776b 0005 0009 0001 65 00000002 0a0b"
    )


def test_input_share_aad_of_dap_09() -> None:
    """No configuration, and metadata without extensions."""
    aad = make_task(dialect=DAP_09).input_share_aad(ReportMetadata(REPORT_ID, 1_700_000_100), b"\x0a\x0b")
    assert aad == TASK_ID + bytes.fromhex(f"{REPORT_ID.hex()} 000000006553f164 00000002 0a0b")


def test_agg_share_aad_is_the_drafts_in_either_dialect() -> None:
    request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, Interval(5_666_667, 2).encode()))
    request_hex = "01 0010 000000000056776b 0000000000000002 00000000 0000"
    assert TASK.agg_share_aad(request) == TASK_ID + bytes.fromhex(f"{CONFIGURATION_HEX} {request_hex}")
    old = make_task(dialect=DAP_09_CLIENTS)
    assert old.agg_share_aad(request) == TASK_ID + old.encoded + bytes.fromhex(request_hex)


def test_agg_share_aad_of_dap_09() -> None:
    """Parameter and batch selector, which is the query's by time and the Leader's choice otherwise."""
    by_time = make_task(dialect=DAP_09)
    config = Interval(1_700_000_100, 600).encode()
    request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, config))
    assert by_time.agg_share_aad(request) == TASK_ID + bytes.fromhex("00000000 01") + config
    selected = make_task(dialect=DAP_09, batch_mode=BatchMode.LEADER_SELECTED)
    request = CollectionJobReq(Query(BatchMode.LEADER_SELECTED, b""))
    aad = selected.agg_share_aad(request, BatchSelector(BatchMode.LEADER_SELECTED, b"b" * 32))
    assert aad == TASK_ID + bytes.fromhex("00000000 02") + b"b" * 32


@pytest.mark.parametrize(("dialect", "unit"), [(DAP_19, 1), (DAP_18, 1), (DAP_09_CLIENTS, 1), (DAP_09, 300)])
def test_batch_intervals_are_in_the_unit_of_the_draft(dialect: Dialect, unit: int) -> None:
    task, interval = make_task(dialect=dialect), Interval(5_666_667, 2)
    stated = task.interval_to_wire(interval)
    assert stated == Interval(5_666_667 * unit, 2 * unit)
    assert task.interval_of_wire(stated) == interval
    assert batch_selector(task, interval) == BatchSelector(BatchMode.TIME_INTERVAL, stated.encode())


@pytest.mark.parametrize("interval", [Interval(301, 300), Interval(300, 301), Interval(0, 299)])
def test_a_batch_interval_has_no_part_of_a_time_precision(interval: Interval) -> None:
    with pytest.raises(RemoteProtocolError, match="multiples of 300 seconds"):
        make_task(dialect=DAP_09).interval_of_wire(interval)


def test_a_batch_interval_that_cannot_be_stated_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="must start before"):
        make_task(dialect=DAP_09).interval_to_wire(Interval(1 << 60, 1))


def test_report_share_is_the_helpers_part() -> None:
    leader, helper = HpkeCiphertext(1, b"l", b"l"), HpkeCiphertext(2, b"h", b"h")
    share = report_share(Report(METADATA, b"p", leader, helper))
    assert (share.report_metadata, share.public_share, share.encrypted_input_share) == (METADATA, b"p", helper)


# URL-safe base64.


def test_task_id_in_urls() -> None:
    """The draft's example (section 3)."""
    task_id = bytes.fromhex("f016344736 4ccf1bc0e3affcca6873c9c381f64acdf9020662f83f46c07219e7")
    assert Task(task_id, TASK.configuration).text == "8BY0RzZMzxvA46_8ymhzycOB9krN-QIGYvg_RsByGec"
    assert from_base64url("8BY0RzZMzxvA46_8ymhzycOB9krN-QIGYvg_RsByGec", 32) == task_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lc7aUeGpdSNosNlh-UZhK",
        "lc7aUeGpdSNosNlh-UZhKAA",
        "lc7aUeGpdSNosNlh-UZhKA==",
        "lc7aUeGpdSNosNlh-UZhKB",  # bits that no byte has
        "lc7aUeGpdSNosNlh+UZhKA",
        "lc7aUeGpdSNosNlh-UZh KA",
        "lc7aUeGpdSNosNlh-UZhK\u00e9",
    ],
)
def test_base64url_has_one_form(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="URL-safe base64 of 16 bytes"):
        from_base64url(text, 16)


@given(st.binary(max_size=40))
def test_base64url_round_trip(data: bytes) -> None:
    assert from_base64url(base64url(data), len(data)) == data


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        data = from_base64url(text, 16)
    except RemoteProtocolError:
        return
    assert base64url(data) == text


def test_nothing_of_a_task_is_shown() -> None:
    assert repr(TASK).startswith("<secagg.dap.task.Task object")
