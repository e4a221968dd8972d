"""Reports: from measurements to the body of an upload (section 4.4.2), without I/O. All randomness is an argument."""

import os
from typing import Any

import numpy as np

from ..codec import Octets, Reader
from ..dp import Place
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..shamir import RandomBytes
from ..vdaf import Prio3Histogram, Rows
from . import hpke
from .messages import (
    NO_EXTENSIONS,
    REPORT_ID_SIZE,
    HpkeCiphertext,
    HpkeConfig,
    HpkeConfigList,
    PlaintextInputShare,
    Report,
    ReportMetadata,
    Role,
    UploadRequest,
)
from .task import Task

SHORT_REPORTS_MAX = 100  # reports of an upload that may be shorter than the task's, and are refused one by one
EXTENSION_ROOM = 1 << 10  # bytes of a report's private extensions; none is known here
_PLAINTEXT_HEAD = len(PlaintextInputShare((), b"-").encode()) - 1
_TIME_SIZE = 8


def choose_config(configs: HpkeConfigList) -> HpkeConfig:
    """The first configuration that we can seal to, in the Aggregator's order of preference (section 4.4.1).

    Args:
        configs: the Aggregator's.

    Raises:
        RemoteProtocolError: there is none, or two have the same number.
    """
    numbers = [config.id for config in configs.configs]
    if len(set(numbers)) < len(numbers):
        raise RemoteProtocolError("an Aggregator's HPKE configurations must have different numbers")
    for config in configs.configs:
        try:
            hpke.check_suite(config.kem_id, config.kdf_id, config.aead_id)
        except hpke.HpkeError:
            continue
        _require_usable(config)
        return config
    raise RemoteProtocolError(
        f"none of an Aggregator's {len(numbers)} HPKE configurations has a suite that this program supports:"
        " X25519, HKDF-SHA256 and AES-128-GCM (0x0020, 0x0001, 0x0001)"
    )


def _require_usable(config: HpkeConfig) -> None:
    try:
        hpke.seal(config.public_key, b"", b"", b"")
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"HPKE configuration {config.id}: {error}") from None


def check_measurements(task: Task, measurements: Any) -> Any:
    """The measurements as an array.

    Args:
        task: whose VDAF and privacy.
        measurements: [n, ...], as the task's VDAF takes them; where Clients encode buckets, [n], each 0 .. k - 1.

    Raises:
        ValueError: a measurement is out of range.
    """
    if task.privacy is not None and task.privacy.takes_buckets:
        return Prio3Histogram(length=task.vdaf.entries).flp.valid.check(measurements)
    return task.prio3.flp.valid.check(measurements)


def randomize(task: Task, measurements: Any, *, rand: RandomBytes = os.urandom) -> Any:
    """The measurements as an array; where Clients of the task randomize, what to report in their place.

    Call this once for each measurement, however often its report is made anew: two answers tell an observer twice as
    much.

    Args:
        task: whose VDAF and privacy.
        measurements: as for `check_measurements`.
        rand: cryptographic randomness.

    Raises:
        ValueError: a measurement is out of range.
    """
    checked = check_measurements(task, measurements)
    if task.privacy is None or task.privacy.place is not Place.LOCAL:
        return checked
    response = task.privacy.randomized_response(task.vdaf)
    reported = [response.randomize(int(value), rand=rand) for value in checked]
    return task.prio3.flp.valid.check(np.array(reported, checked.dtype)) if reported else checked


def make_reports(
    task: Task,
    leader_config: HpkeConfig,
    helper_config: HpkeConfig,
    measurements: Any,
    time_seconds: float,
    *,
    rand: RandomBytes = os.urandom,
) -> list[Report]:
    """Reports of measurements: `randomize`, then `seal_reports`.

    Args:
        task: of the reports.
        leader_config: the Leader's HPKE configuration.
        helper_config: the Helper's HPKE configuration.
        measurements: as for `check_measurements`.
        time_seconds: POSIX seconds.
        rand: cryptographic randomness.

    Raises:
        ValueError: a measurement is out of range.
        LocalProtocolError: a configuration's key is none; `choose_config` returns no such.
    """
    values = randomize(task, measurements, rand=rand)
    return seal_reports(task, leader_config, helper_config, values, time_seconds, rand=rand)


def seal_reports(
    task: Task,
    leader_config: HpkeConfig,
    helper_config: HpkeConfig,
    values: Any,
    time_seconds: float,
    *,
    rand: RandomBytes = os.urandom,
) -> list[Report]:
    """Shard values as they are, each under a random report ID, and seal the shares for both Aggregators (section
    4.4.2.1).

    Args:
        task: of the reports.
        leader_config: the Leader's HPKE configuration.
        helper_config: the Helper's HPKE configuration.
        values: [n, ...], as the task's VDAF takes them.
        time_seconds: POSIX seconds; reports state them truncated to the task's time_precision.
        rand: secret randomness that never gives the same bytes twice.

    Raises:
        ValueError: a value is out of range.
        LocalProtocolError: a configuration's key is none; `choose_config` returns no such.
    """
    # Section 4.4.2.1: Vdaf.shard with a random report ID as the nonce.
    prio3 = task.prio3
    checked = prio3.flp.valid.check(values)
    n = len(checked)
    ids = _drawn(rand, n, REPORT_ID_SIZE)
    public, (leader, helper) = prio3.shard_batch(task.ctx, checked, ids, _drawn(rand, n, prio3.RAND_SIZE))

    # The report's metadata, which the ciphertexts are bound to: InputShareAad.
    time = task.time(time_seconds)
    metadata = [ReportMetadata(report_id.tobytes(), time) for report_id in ids]
    aads = [task.input_share_aad(metadata[i], public[i]) for i in range(n)]

    # SealBase each PlaintextInputShare to its Aggregator.
    for_leader = _sealed(task, Role.LEADER, leader_config, leader, aads, rand)
    for_helper = _sealed(task, Role.HELPER, helper_config, helper, aads, rand)
    return [Report(metadata[i], public[i], for_leader[i], for_helper[i]) for i in range(n)]


def _drawn(rand: RandomBytes, n: int, size: int) -> Octets:
    return np.frombuffer(rand(n * size), np.uint8).reshape(n, size)


def _sealed(
    task: Task, role: Role, config: HpkeConfig, shares: Rows, aads: list[bytes], rand: RandomBytes
) -> list[HpkeCiphertext]:
    plaintexts = [PlaintextInputShare((), shares[i]).encode() for i in range(len(aads))]
    sealed = hpke.seal_batch(config.public_key, task.input_share_info(role), aads, plaintexts, rand=rand)
    return [HpkeCiphertext(config.id, enc, payload) for enc, payload in sealed]


def report_size(task: Task) -> int:
    """Bytes of a report in an upload's body; all reports of a task have the same size.

    Args:
        task: of the report.
    """
    prio3 = task.prio3
    sealed = hpke.KEY_BYTES + hpke.TAG_BYTES + len(HpkeCiphertext(0, b"-", b"-").encode()) - 2
    metadata = len(task.encode_metadata(ReportMetadata(bytes(REPORT_ID_SIZE), 0)))
    shares = prio3.LEADER_SHARE_SIZE + prio3.HELPER_SHARE_SIZE
    return metadata + 4 + prio3.PUBLIC_SHARE_SIZE + shares + 2 * (sealed + _PLAINTEXT_HEAD)


def has_size(task: Task, report: Report) -> bool:
    """Whether a report has the size of the task's reports, or is longer by no more than its private extensions may be.

    The Aggregators judge the extensions once they have opened the shares. The Helper's KEM may be one that the Leader
    does not have.

    Args:
        task: of the report.
        report: as it came.
    """
    prio3, ciphertexts = task.prio3, (report.leader_encrypted_input_share, report.helper_encrypted_input_share)
    min_payloads = prio3.LEADER_SHARE_SIZE + prio3.HELPER_SHARE_SIZE + 2 * (_PLAINTEXT_HEAD + hpke.TAG_BYTES)
    payloads = sum(len(ciphertext.payload) for ciphertext in ciphertexts)
    return (
        len(report.public_share) == prio3.PUBLIC_SHARE_SIZE
        and len(report.leader_encrypted_input_share.enc) == hpke.KEY_BYTES
        and len(report.helper_encrypted_input_share.enc) <= hpke.ENC_BYTES_MAX
        and min_payloads <= payloads <= min_payloads + EXTENSION_ROOM
    )


def encode_upload(task: Task, reports: list[Report] | tuple[Report, ...]) -> bytes:
    """The body of an upload request, in the task's dialect.

    Args:
        task: of the reports.
        reports: any number; one in a dialect that uploads one report a request.

    Raises:
        LocalProtocolError: the dialect takes one report a request, and there is another number.
    """
    if task.dialect.bulk:
        return UploadRequest(tuple(reports)).encode()
    require(len(reports) == 1, f"this dialect uploads one report in each request, got {len(reports)}")
    metadata = reports[0].report_metadata
    return task.encode_metadata(metadata) + reports[0].encode()[len(metadata.encode()) :]


def split_upload(task: Task, body: bytes) -> list[int]:
    """Where the reports of an upload's body begin, and at the end, where the last one ends; nothing is decoded yet.

    A body cannot hold more reports of the task than their size allows, but for a few that are too short: these are
    refused one by one, and many of them together.

    Args:
        task: of the reports.
        body: the request's content.

    Raises:
        RemoteProtocolError: the body is malformed, or holds too many reports.
    """
    if not task.dialect.bulk:
        return [0, len(body)]
    reader, bounds = Reader(body), [0]
    max_reports = len(body) // report_size(task) + SHORT_REPORTS_MAX
    while reader:
        if len(bounds) > max_reports:
            raise RemoteProtocolError(f"{len(body):,} bytes cannot hold more than {max_reports:,} reports of this task")
        Report.skip(reader)
        bounds.append(len(body) - reader.left)
    return bounds


def decode_upload(task: Task, body: bytes) -> tuple[Report, ...]:
    """The reports of an upload request's body; those of DAP-09 get empty public extensions.

    Args:
        task: of the reports.
        body: the request's content.

    Raises:
        RemoteProtocolError: the body is malformed.
    """
    if task.dialect.bulk:
        return UploadRequest.decode(body).reports
    if task.dialect.public_extensions:
        return (Report.decode(body),)
    end = REPORT_ID_SIZE + _TIME_SIZE
    return (Report.decode(body[:end] + NO_EXTENSIONS + body[end:]),)
