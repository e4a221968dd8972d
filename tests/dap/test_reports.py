"""Reports: both Aggregators open and verify them, nobody else opens anything, and the dialects' bytes."""

import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.dialect import DAP_09, DAP_18, DAP_19, Dialect
from secagg.dap.dialect import DIALECTS as ALL
from secagg.dap.hpke import HpkeError, PrivateKey
from secagg.dap.messages import Extension, HpkeConfig, HpkeConfigList, PlaintextInputShare, Report, Role, UploadRequest
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.reports import (
    SHORT_REPORTS_MAX,
    choose_config,
    decode_upload,
    encode_upload,
    make_reports,
    randomize,
    report_size,
    seal_reports,
    split_upload,
)
from secagg.dap.task import Task
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp
from secagg.errors import LocalProtocolError, RemoteProtocolError

from ..support.tasks import NOW, make_task

KEYS = {Role.LEADER: PrivateKey.from_bytes(b"l" * 32), Role.HELPER: PrivateKey.from_bytes(b"h" * 32)}
VERIFY_KEY = {20: bytes(range(32)), 8: bytes(range(16))}
DIALECTS = pytest.mark.parametrize("dialect", ALL.values(), ids=ALL)
VDAFS = [
    (vdaf("Count"), [1, 0, 1, 1], 3),
    (vdaf("Sum", max_measurement=255), [255, 0, 1, 2], 258),
    (vdaf("SumVec", length=3, max_measurement=7), [[7, 0, 1], [1, 1, 1]], [8, 1, 2]),
    (vdaf("Histogram", length=5, chunk_length=2), [4, 4, 0, 3], [1, 0, 0, 1, 2]),
    (vdaf("MultihotCountVec", length=3, max_weight=2), [[1, 0, 1], [0, 0, 1]], [1, 0, 2]),
]


def config(role: Role, number: int = 7) -> HpkeConfig:
    return HpkeConfig(number, 0x20, 1, 1, KEYS[role].public_bytes)


def made(task: Task, measurements: Any, **options: Any) -> list[Report]:
    return make_reports(task, config(Role.LEADER), config(Role.HELPER, 9), measurements, NOW, **options)


def opened(task: Task, role: Role, report: Report) -> PlaintextInputShare:
    sealed = report.leader_encrypted_input_share if role is Role.LEADER else report.helper_encrypted_input_share
    aad = task.input_share_aad(report.report_metadata, report.public_share)
    return PlaintextInputShare.decode(
        KEYS[role].open(sealed.enc, task.input_share_info(role), aad, sealed.payload)
    )  # fmt: skip


def aggregate(task: Task, reports: list[Report]) -> Any:
    """What both Aggregators make of the reports; every one must verify."""
    ids = [report.report_metadata.report_id for report in reports]
    public = [report.public_share for report in reports]
    shares = {role: [opened(task, role, report).payload for report in reports] for role in KEYS}
    key, party, prio3 = VERIFY_KEY[task.dialect.vdaf.number], task.ping_pong, task.prio3
    states, requests = party.leader_init(key, task.ctx, ids, public, shares[Role.LEADER])
    helper, responses = party.helper_init(key, task.ctx, ids, public, shares[Role.HELPER], requests)
    leader = party.leader_continued(states, responses)
    assert {*leader.rejected, *helper.rejected} == set()
    return prio3.unshard([prio3.aggregate(leader), prio3.aggregate(helper)], len(reports))


@DIALECTS
@pytest.mark.parametrize(("chosen", "measurements", "result"), VDAFS, ids=lambda value: getattr(value, "NAME", ""))
def test_both_aggregators_open_and_verify_reports(
    dialect: Dialect, chosen: Any, measurements: Any, result: Any
) -> None:
    task = make_task(vdaf=chosen, dialect=dialect)
    assert aggregate(task, made(task, measurements)) == result


@DIALECTS
def test_what_a_report_says(dialect: Dialect) -> None:
    task = make_task(dialect=dialect)
    first, second = made(task, np.array([1, 2]))
    assert first.report_metadata.report_id != second.report_metadata.report_id
    assert first.report_metadata.time == (1_700_000_100 if dialect is DAP_09 else 5_666_667)
    assert first.report_metadata.public_extensions == ()
    assert (first.leader_encrypted_input_share.config_id, first.helper_encrypted_input_share.config_id) == (7, 9)
    assert opened(task, Role.HELPER, first).private_extensions == ()


def test_no_reports() -> None:
    assert made(make_task(), []) == []


def changed(report: Report, name: str) -> Report:
    """The report with one public part replaced."""
    if name == "public_share":
        return replace(report, public_share=bytes(64))
    value = {"report_id": bytes(16), "time": 1, "public_extensions": (Extension(1, b""),)}[name]
    metadata: Any = {name: value}
    return replace(report, report_metadata=replace(report.report_metadata, **metadata))


@pytest.mark.parametrize("name", ["report_id", "time", "public_extensions", "public_share"])
@pytest.mark.parametrize("role", KEYS)
def test_shares_are_bound_to_everything_public(name: str, role: Role) -> None:
    task = make_task()
    (report,) = made(task, [1])
    opened(task, role, report)
    with pytest.raises(HpkeError):
        opened(task, role, changed(report, name))


def test_shares_are_bound_to_the_task_and_to_the_aggregator() -> None:
    task = make_task()
    (report,) = made(task, [1])
    for other in (make_task(min_batch_size=4), Task(bytes(32), task.configuration)):
        with pytest.raises(HpkeError):
            opened(other, Role.LEADER, report)
    with pytest.raises(HpkeError):
        opened(task, Role.LEADER, replace(report, leader_encrypted_input_share=report.helper_encrypted_input_share))


@pytest.mark.parametrize(("sealed", "taken"), [(DAP_18, DAP_19), (DAP_19, DAP_18)], ids=["older", "newer"])
def test_shares_are_bound_to_the_draft(sealed: Dialect, taken: Dialect) -> None:
    """By the info string, and a share that opens nevertheless by the VDAF's context."""
    task = make_task(dialect=sealed, vdaf=vdaf("Count"))
    reports = made(task, [1, 1])
    with pytest.raises(HpkeError):
        opened(make_task(dialect=taken, vdaf=vdaf("Count")), Role.HELPER, reports[0])
    ids, public = [report.report_metadata.report_id for report in reports], [b"", b""]
    shares = {role: [opened(task, role, report).payload for report in reports] for role in KEYS}
    ctx, key, party = make_task(dialect=taken).ctx, VERIFY_KEY[20], task.ping_pong
    _, requests = party.leader_init(key, ctx, ids, public, shares[Role.LEADER])
    helper, _ = party.helper_init(key, ctx, ids, public, shares[Role.HELPER], requests)
    assert set(helper.rejected) == {0, 1}


def test_all_randomness_is_the_arguments() -> None:
    task = make_task()
    one, other = (made(task, [0, 4, 2], rand=random.Random(5).randbytes) for _ in range(2))
    assert one == other
    assert made(task, [0, 4, 2], rand=random.Random(6).randbytes) != one
    assert made(task, [0, 4, 2]) != made(task, [0, 4, 2])


def test_no_randomness_is_used_twice() -> None:
    drawn: list[bytes] = []

    def rand(size: int) -> bytes:
        drawn.append(random.Random(len(drawn)).randbytes(size))
        return drawn[-1]

    reports = made(make_task(), [0, 4, 2], rand=rand)
    keys = {
        sealed.enc
        for report in reports
        for sealed in (report.leader_encrypted_input_share, report.helper_encrypted_input_share)
    }
    assert len(keys) == 6
    assert sum(map(len, drawn)) == 3 * (16 + make_task().prio3.RAND_SIZE + 64)


@pytest.mark.parametrize("bad", [[5], [-1], [0.5], [[1]], 3, ["x"]])
def test_measurements_out_of_range_are_refused(bad: Any) -> None:
    for function in (made, randomize):
        with pytest.raises((ValueError, TypeError)):
            function(make_task(), bad)


# Local randomization.

LOCAL = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(Fraction(1)), PureDp(Fraction(1)), honest=0)


def test_clients_randomize_where_the_task_says_so() -> None:
    task = make_task(privacy=LOCAL)
    values = randomize(task, [2] * 2000, rand=random.Random(1).randbytes)
    counts = np.bincount(values, minlength=5) / 2000
    response = task.privacy.randomized_response(task.vdaf)  # type: ignore[union-attr]
    assert counts[2] == pytest.approx(float(response.p), abs=0.05)
    assert np.delete(counts, 2) == pytest.approx([float(response.q)] * 4, abs=0.05)


def test_made_reports_are_randomized_and_stay_valid() -> None:
    task = make_task(privacy=LOCAL)
    result = aggregate(task, made(task, [2] * 60, rand=random.Random(1).randbytes))
    assert sum(result) == 60
    assert result[2] < 60


def test_sealing_does_not_randomize_again() -> None:
    """A report made anew must tell the Aggregators nothing that the first did not."""
    task = make_task(privacy=LOCAL)
    reports = seal_reports(task, config(Role.LEADER), config(Role.HELPER), [2] * 30, NOW)
    assert aggregate(task, reports) == [0, 0, 30, 0, 0]


def test_elsewhere_they_do_not() -> None:
    noisy = make_task(privacy=Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(1))))
    for task in (make_task(), noisy):
        assert randomize(task, [2] * 100).tolist() == [2] * 100


def test_measurements_of_count_are_randomized() -> None:
    task = make_task(vdaf=vdaf("Count"), privacy=LOCAL)
    assert set(randomize(task, [1] * 200).tolist()) == {0, 1}


# Bytes of an upload.


def test_upload_request_is_the_reports_one_after_another() -> None:
    task = make_task()
    reports = made(task, [1, 2, 3])
    body = encode_upload(task, reports)
    assert body == UploadRequest(tuple(reports)).encode() == b"".join(report.encode() for report in reports)
    assert decode_upload(task, body) == tuple(reports)
    assert len(body) == 3 * report_size(task)
    assert decode_upload(task, b"") == ()


def test_upload_of_dap_09_has_no_extensions_field() -> None:
    task = make_task(dialect=DAP_09)
    (report,) = made(task, [1])
    body, whole = encode_upload(task, [report]), report.encode()
    assert body == whole[:24] + whole[26:]
    assert body[16:24] == (1_700_000_100).to_bytes(8, "big")
    assert decode_upload(task, body) == (report,)
    assert len(body) == report_size(task)
    for size in range(len(body)):
        with pytest.raises(RemoteProtocolError):
            decode_upload(task, body[:size])
    with pytest.raises(RemoteProtocolError):
        decode_upload(task, body + b"\0")


@pytest.mark.parametrize("count", [0, 2])
def test_dap_09_uploads_one_report_a_request(count: int) -> None:
    task = make_task(dialect=DAP_09)
    with pytest.raises(LocalProtocolError, match="one report in each request"):
        encode_upload(task, made(task, [1] * count))


@DIALECTS
@pytest.mark.parametrize(("chosen", "measurements", "result"), VDAFS, ids=lambda value: getattr(value, "NAME", ""))
def test_the_size_of_a_report_is_known(dialect: Dialect, chosen: Any, measurements: Any, result: Any) -> None:
    task = make_task(vdaf=chosen, dialect=dialect)
    assert len(encode_upload(task, made(task, measurements[:1]))) == report_size(task)


@DIALECTS
@given(data=st.binary(max_size=200))
def test_any_bytes_are_reports_or_refused(dialect: Dialect, data: bytes) -> None:
    task = make_task(dialect=dialect)
    try:
        reports = decode_upload(task, data)
    except RemoteProtocolError:
        return
    assert encode_upload(task, reports) == data


# HPKE configurations.

GOOD, PREFERRED = config(Role.LEADER, 1), config(Role.HELPER, 2)
FOREIGN = [replace(GOOD, id=3, kem_id=0x10), replace(GOOD, id=4, kdf_id=3), replace(GOOD, id=5, aead_id=3)]


def test_the_aggregators_order_of_preference_counts() -> None:
    assert choose_config(HpkeConfigList((PREFERRED, GOOD))) == PREFERRED
    assert choose_config(HpkeConfigList((*FOREIGN, GOOD, PREFERRED))) == GOOD


@pytest.mark.parametrize("configs", [(), tuple(FOREIGN)])
def test_without_a_supported_suite_the_client_aborts(configs: tuple[HpkeConfig, ...]) -> None:
    with pytest.raises(RemoteProtocolError, match=f"none of an Aggregator's {len(configs)} HPKE configurations"):
        choose_config(HpkeConfigList(configs))


def test_numbers_must_be_distinct() -> None:
    with pytest.raises(RemoteProtocolError, match="different numbers"):
        choose_config(HpkeConfigList((GOOD, replace(FOREIGN[0], id=GOOD.id))))


@pytest.mark.parametrize("key", [b"x" * 31, b"x" * 33, bytes(32)])
def test_a_key_that_nothing_can_be_sealed_to_is_refused(key: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="HPKE configuration 1: "):
        choose_config(HpkeConfigList((replace(GOOD, public_key=key),)))


CONFIGS = (config(Role.LEADER), config(Role.HELPER))


def test_an_upload_is_split_where_its_reports_begin() -> None:
    task = make_task()
    reports = make_reports(task, *CONFIGS, [1] * 5, NOW)
    body = encode_upload(task, reports)
    bounds = split_upload(task, body)
    assert len(bounds) == 6
    assert [decode_upload(task, body[a:b]) for a, b in pairwise(bounds)] == [(r,) for r in reports]
    assert split_upload(task, b"") == [0]
    with pytest.raises(RemoteProtocolError, match="ends early"):
        split_upload(task, body[:-1])


def test_an_upload_has_few_reports_that_are_too_short() -> None:
    task = make_task()
    (good,) = make_reports(task, *CONFIGS, [1], NOW)
    short = replace(good, public_share=b"")
    few = encode_upload(task, [good, *[short] * SHORT_REPORTS_MAX])
    assert len(split_upload(task, few)) == 2 + SHORT_REPORTS_MAX
    with pytest.raises(RemoteProtocolError, match="cannot hold more than"):
        split_upload(task, encode_upload(task, [short]) * 10_000)
