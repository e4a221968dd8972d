"""Input shares, opened and checked: what Leader and Helper do alike (sections 4.5.3.3 and 4.5.3.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import RemoteProtocolError
from ..dialect import Reasons
from ..hpke import PrivateKey
from ..messages import HpkeCiphertext, PlaintextInputShare, ReportError, ReportMetadata, Role
from ..task import Task

SKEW = 300.0  # seconds that a Client's clock may be ahead of ours


@dataclass(frozen=True, repr=False)
class ReportToOpen:
    """One report share, as it came.

    Attributes:
        metadata: the report's ID, time and public extensions.
        public_share: the VDAF's.
        ciphertext: the input share, sealed to this Aggregator.
    """

    metadata: ReportMetadata
    public_share: bytes
    ciphertext: HpkeCiphertext


@dataclass(frozen=True, repr=False)
class Opened:
    """The reports of a job that can be verified.

    Attributes:
        positions: the position of each in the job.
        report_ids: the ID of each.
        times: the time of each, in time_precision.
        public_shares: the public share of each.
        input_shares: the input share of each, decrypted.
        errors: why the others cannot be verified, by their position.
    """

    positions: list[int] = field(default_factory=list)
    report_ids: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    public_shares: list[bytes] = field(default_factory=list)
    input_shares: list[bytes] = field(default_factory=list)
    errors: dict[int, ReportError] = field(default_factory=dict)


def open_shares(
    task: Task, role: Role, keys: Mapping[int, PrivateKey], reports: Sequence[ReportToOpen], latest: float | None
) -> Opened:
    """Decrypt and check input shares (sections 4.5.3.3 and 4.5.3.4).

    Args:
        task: of the reports.
        role: for whom the shares are: LEADER or HELPER.
        keys: private keys by the number of their configuration.
        reports: of one job.
        latest: the POSIX time after which a report is too early; None where that was checked before.
    """
    opened, reasons = Opened(), task.dialect.in_job
    info = task.input_share_info(role)

    # Section 4.5.3.4, as far as it can be checked before decryption; what is left is sorted by key.
    by_key: dict[int, list[int]] = {}
    for i, report in enumerate(reports):
        error = check_metadata(task, report.metadata, latest, reasons)
        if error is None and len(report.public_share) != task.prio3.PUBLIC_SHARE_SIZE:
            error = ReportError.INVALID_MESSAGE
        if error is None and report.ciphertext.config_id not in keys:
            error = reasons.unknown_config
        if error is not None:
            opened.errors[i] = error
        else:
            by_key.setdefault(report.ciphertext.config_id, []).append(i)

    # Section 4.5.3.3: OpenBase, all ciphertexts of one key together.
    plaintexts: dict[int, bytes | None] = {}
    for number, members in by_key.items():
        encs = [reports[i].ciphertext.enc for i in members]
        aads = [task.input_share_aad(reports[i].metadata, reports[i].public_share) for i in members]
        payloads = [reports[i].ciphertext.payload for i in members]
        plaintexts.update(zip(members, keys[number].open_batch(encs, info, aads, payloads), strict=True))

    # Section 4.5.3.4: decode each input share, in the order of the job.
    size = task.prio3.input_share_size(role - Role.LEADER)
    for i in sorted(plaintexts):
        _take(task, opened, i, reports[i], plaintexts[i], size)
    return opened


def check_metadata(task: Task, metadata: ReportMetadata, latest: float | None, reasons: Reasons) -> ReportError | None:
    """What is wrong with a report's time or public extensions (sections 4.4.2.2 and 4.5.3.4); None if nothing is.

    Args:
        task: of the report.
        metadata: the report's.
        latest: the POSIX time after which a report is too early; None where that was checked before.
        reasons: how the task's dialect names what is wrong here.
    """
    time = task.precision_time(metadata.time)
    if latest is not None and time * task.time_precision > latest:
        return ReportError.REPORT_TOO_EARLY
    if task.interval is not None and time < task.interval.start:
        return reasons.before_interval
    if task.interval is not None and time >= task.interval.end:
        return reasons.after_interval
    # No report extension is known here: each one is unrecognized, whether or not it is repeated or out of order.
    return reasons.unknown_extension if metadata.public_extensions else None


def _take(task: Task, opened: Opened, i: int, report: ReportToOpen, plaintext: bytes | None, size: int) -> None:
    if plaintext is None:
        opened.errors[i] = ReportError.HPKE_DECRYPT_ERROR
        return
    payload = _payload(plaintext)
    if payload is None or len(payload) != size:
        opened.errors[i] = ReportError.INVALID_MESSAGE
        return
    opened.positions.append(i)
    opened.report_ids.append(report.metadata.report_id)
    opened.times.append(task.precision_time(report.metadata.time))
    opened.public_shares.append(report.public_share)
    opened.input_shares.append(payload)


def _payload(plaintext: bytes) -> bytes | None:
    """The input share of a PlaintextInputShare; None if it is malformed or has extensions: none is recognized."""
    try:
        share = PlaintextInputShare.decode(plaintext)
    except RemoteProtocolError:
        return None
    return None if share.private_extensions else share.payload
