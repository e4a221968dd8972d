"""The messages of draft-ietf-ppm-dap-19, under the draft's names.

Times and durations are counted in the task's `time_precision`. `dialect` has what other dialects encode differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Protocol, TypeAlias

from ..arguments import convert, octets, whole
from ..codec import Fixed, Nested, Opaque, Reader, Struct, UInt, Vector

REPORT_ID_SIZE = 16
NO_EXTENSIONS = bytes(2)  # an empty list of them, encoded
TASK_ID_SIZE = 32
BATCH_ID_SIZE = 32
CHECKSUM_SIZE = 32

REPORT_ID = Fixed(REPORT_ID_SIZE)
TASK_ID = Fixed(TASK_ID_SIZE)
URL = Opaque(2, min_bytes=1)


class Role(IntEnum):
    """The roles of the protocol (section 4.1)."""

    COLLECTOR = 0
    CLIENT = 1
    LEADER = 2
    HELPER = 3


class ReportError(StrEnum):
    """Why one report is refused, by the Leader at upload or by an Aggregator in a job (section 4.1).

    Drafts number them differently, and not every draft has all: see `secagg.dap.dialect`. Others may use numbers that
    are registered later (section 10): these are `unknown_12` and the like.
    """

    BATCH_COLLECTED = "batch_collected"
    REPORT_REPLAYED = "report_replayed"
    REPORT_DROPPED = "report_dropped"
    HPKE_UNKNOWN_CONFIG_ID = "hpke_unknown_config_id"
    HPKE_DECRYPT_ERROR = "hpke_decrypt_error"
    VDAF_VERIFY_ERROR = "vdaf_verify_error"
    INVALID_MESSAGE = "invalid_message"
    REPORT_TOO_EARLY = "report_too_early"
    UNKNOWN_VERIFICATION_KEY_ID = "unknown_verification_key_id"
    UNSUPPORTED_EXTENSION = "unsupported_extension"
    # These three are draft 18's.
    TASK_EXPIRED = "task_expired"
    TASK_NOT_STARTED = "task_not_started"
    OUTDATED_CONFIG = "outdated_config"
    # This one and TASK_EXPIRED are DAP-09's.
    BATCH_SATURATED = "batch_saturated"

    @classmethod
    def _missing_(cls, value: object) -> "ReportError | None":
        if not isinstance(value, str) or value not in _UNKNOWN:
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = value.upper(), value
        return unknown


_UNKNOWN = {f"unknown_{number}" for number in range(1, 256)}


def _error_number(number: int) -> int:
    if number == 0:
        raise ValueError("0 is no report error")
    return number


ERROR_NUMBER = UInt(1, _error_number)


class BatchMode(IntEnum):
    """How reports are put into batches (sections 4.2.1 and 5)."""

    TIME_INTERVAL = 1
    LEADER_SELECTED = 2


# Basic definitions (section 4.1) and HPKE configurations (section 4.4.1).


@dataclass(frozen=True, repr=False)
class HpkeConfig(Struct):
    """An HPKE configuration: a public key, its number, and the suite that it is for (section 4.4.1).

    Attributes:
        id: the number by which ciphertexts name it, 0 to 255.
        kem_id: the key encapsulation mechanism, of HPKE's registry.
        kdf_id: the key derivation function.
        aead_id: the authenticated encryption.
        public_key: as the mechanism encodes it.
    """

    id: Annotated[int, UInt(1)]
    kem_id: Annotated[int, UInt(2)]
    kdf_id: Annotated[int, UInt(2)]
    aead_id: Annotated[int, UInt(2)]
    public_key: Annotated[bytes, Opaque(2, min_bytes=1)]

    def __post_init__(self) -> None:
        convert(self, whole, "id", "kem_id", "kdf_id", "aead_id")
        convert(self, octets, "public_key")


@dataclass(frozen=True, repr=False)
class HpkeConfigList(Struct):
    """An Aggregator's HPKE configurations, in its order of preference (section 4.4.1).

    Attributes:
        configs: the configurations.
    """

    configs: Annotated[tuple[HpkeConfig, ...], Vector(HpkeConfig, 2)]


@dataclass(frozen=True, repr=False)
class HpkeCiphertext(Struct):
    """A message encrypted by HPKE (section 4.1).

    Attributes:
        config_id: the number of the HPKE configuration that it was sealed to.
        enc: the encapsulated key.
        payload: the ciphertext.
    """

    config_id: Annotated[int, UInt(1)]
    enc: Annotated[bytes, Opaque(2, min_bytes=1)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


@dataclass(frozen=True)
class Interval(Struct):
    """An interval of time, half-open: `start` is in it, `start + duration` is not (section 4.1.1).

    Attributes:
        start: the first time, counted in time_precision.
        duration: its length, counted in time_precision.
    """

    start: Annotated[int, UInt(8)]
    duration: Annotated[int, UInt(8)]

    def __post_init__(self) -> None:
        convert(self, whole, "start", "duration")

    @property
    def end(self) -> int:
        """The first time after the interval, counted in time_precision."""
        return self.start + self.duration

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.end

    def within(self, other: "Interval") -> bool:
        """Whether every time of this interval is in the other one.

        Args:
            other: the interval that may contain this one.
        """
        return other.start <= self.start and self.end <= other.end


# Task configuration (section 4.2).


@dataclass(frozen=True, repr=False)
class TaskExtension(Struct):
    """An extension of a task's configuration (section 4.2.2).

    Attributes:
        extension_type: what it is.
        extension_data: its content, encoded as the type asks for.
    """

    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class TaskConfiguration(Struct):
    """What all parties of a task agree on (section 4.2).

    Attributes:
        task_info: what tells the task from others, 0 to 255 bytes.
        leader_aggregator_endpoint: the Leader's URL, ASCII.
        helper_aggregator_endpoint: the Helper's URL, ASCII.
        time_precision: the unit of all times of the task, in seconds.
        min_batch_size: the smallest number of reports in a batch that is collected.
        batch_mode: how reports are put into batches.
        batch_config: parameters of the batch mode; empty in both modes of the draft.
        vdaf_type: the VDAF's algorithm identifier.
        vdaf_configuration: the VDAF's parameters (appendix B).
        extensions: in strictly increasing order of their type.
    """

    task_info: Annotated[bytes, Opaque(1)]
    leader_aggregator_endpoint: Annotated[bytes, URL]
    helper_aggregator_endpoint: Annotated[bytes, URL]
    time_precision: Annotated[int, UInt(8)]
    min_batch_size: Annotated[int, UInt(8)]
    batch_mode: Annotated[BatchMode, UInt(1, BatchMode)]
    batch_config: Annotated[bytes, Opaque(2)]
    vdaf_type: Annotated[int, UInt(4)]
    vdaf_configuration: Annotated[bytes, Opaque(2)]
    extensions: Annotated[tuple[TaskExtension, ...], Vector(TaskExtension, 2)]

    def __post_init__(self) -> None:
        convert(self, whole, "time_precision", "min_batch_size", "vdaf_type")
        convert(self, octets, "task_info", "leader_aggregator_endpoint", "helper_aggregator_endpoint")
        convert(self, octets, "batch_config", "vdaf_configuration")


# Uploading reports (section 4.4).


@dataclass(frozen=True, repr=False)
class Extension(Struct):
    """An extension of a report: public, or private to one Aggregator (section 4.4.3).

    Attributes:
        extension_type: what it is.
        extension_data: its content, encoded as the type asks for.
    """

    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class ReportMetadata(Struct):
    """What both Aggregators see of a report (section 4.4.2).

    Attributes:
        report_id: 16 random bytes, which are the VDAF's nonce.
        time: when the measurement was made, counted in time_precision.
        public_extensions: in strictly increasing order of their type.
    """

    report_id: Annotated[bytes, REPORT_ID]
    time: Annotated[int, UInt(8)]
    public_extensions: Annotated[tuple[Extension, ...], Vector(Extension, 2)] = ()


@dataclass(frozen=True, repr=False)
class Report(Struct):
    """A report as a Client uploads it (section 4.4.2).

    Attributes:
        report_metadata: its ID, time and public extensions.
        public_share: the VDAF's public share.
        leader_encrypted_input_share: the PlaintextInputShare for the Leader, sealed.
        helper_encrypted_input_share: the PlaintextInputShare for the Helper, sealed.
    """

    report_metadata: Annotated[ReportMetadata, Nested(ReportMetadata)]
    public_share: Annotated[bytes, Opaque(4)]
    leader_encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]
    helper_encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class UploadRequest(Struct):
    """The body of an upload request (section 4.4.2).

    Attributes:
        reports: the reports, one after the other.
    """

    reports: Annotated[tuple[Report, ...], Vector(Report)]


@dataclass(frozen=True, repr=False)
class ReportUploadStatus(Struct):
    """Why the Leader has refused one report of an upload (section 4.4.2.2).

    Attributes:
        id: the report's ID.
        error: the number of the ReportError in the task's dialect.
    """

    id: Annotated[bytes, REPORT_ID]
    error: Annotated[int, ERROR_NUMBER]


@dataclass(frozen=True, repr=False)
class UploadErrors(Struct):
    """The reports of an upload that the Leader has refused, in the order of the request (section 4.4.2.2).

    Attributes:
        status: one entry for each of them.
    """

    status: Annotated[tuple[ReportUploadStatus, ...], Vector(ReportUploadStatus)]


@dataclass(frozen=True, repr=False)
class PlaintextInputShare(Struct):
    """What a Client seals to one Aggregator (section 4.4.2.1).

    Attributes:
        private_extensions: in strictly increasing order of their type.
        payload: the VDAF's input share.
    """

    private_extensions: Annotated[tuple[Extension, ...], Vector(Extension, 2)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


# Verifying and aggregating reports (section 4.5).


@dataclass(frozen=True, repr=False)
class AggregationJobExtension(Struct):
    """An extension of an aggregation job (section 4.5.1).

    Attributes:
        extension_type: what it is.
        extension_data: its content, encoded as the type asks for.
    """

    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


LEADER_SELECTED_BATCH_ID = 1  # an aggregation job extension
VERIFICATION_KEY_ID = 0  # of the one verification key that our tasks have


@dataclass(frozen=True, repr=False)
class ReportShare(Struct):
    """The Helper's part of a report (section 4.5.3.1).

    Attributes:
        report_metadata: the report's ID, time and public extensions.
        public_share: the VDAF's public share.
        encrypted_input_share: the PlaintextInputShare for the Helper, sealed.
    """

    report_metadata: Annotated[ReportMetadata, Nested(ReportMetadata)]
    public_share: Annotated[bytes, Opaque(4)]
    encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class VerifyInit(Struct):
    """What the Leader sends the Helper to begin the verification of one report (section 4.5.3.1).

    Attributes:
        report_share: the Helper's part of the report.
        payload: the Leader's first message of the VDAF's ping-pong.
    """

    report_share: Annotated[ReportShare, Nested(ReportShare)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


@dataclass(frozen=True, repr=False)
class AggregationJobInitReq(Struct):
    """The request that begins an aggregation job (section 4.5.3.1).

    Attributes:
        verification_key_id: which of the task's verification keys to use.
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
        extensions: in strictly increasing order of their type.
        verify_inits: one entry for each report.
    """

    verification_key_id: Annotated[int, UInt(1)]
    agg_param: Annotated[bytes, Opaque(4)]
    extensions: Annotated[tuple[AggregationJobExtension, ...], Vector(AggregationJobExtension, 2)]
    verify_inits: Annotated[tuple[VerifyInit, ...], Vector(VerifyInit)]


class VerifyRespType(IntEnum):
    """The kind of a VerifyResp (section 4.5.3.2)."""

    CONTINUE = 0
    FINISH = 1
    REJECT = 2


class _Outcome:
    """VerifyResp's select: the type, and what belongs to the type."""

    _PAYLOAD = Opaque(4, min_bytes=1)
    _TYPE = UInt(1, VerifyRespType)

    def write(self, value: bytes | int | None) -> bytes:
        if value is None:
            return self._TYPE.write(VerifyRespType.FINISH)
        if isinstance(value, int):
            return self._TYPE.write(VerifyRespType.REJECT) + ERROR_NUMBER.write(value)
        return self._TYPE.write(VerifyRespType.CONTINUE) + self._PAYLOAD.write(value)

    def read(self, reader: Reader) -> bytes | int | None:
        kind = self._TYPE.read(reader)
        if kind is VerifyRespType.CONTINUE:
            return self._PAYLOAD.read(reader)
        error: int | None = ERROR_NUMBER.read(reader) if kind is VerifyRespType.REJECT else None
        return error


@dataclass(frozen=True, repr=False)
class VerifyResp(Struct):
    """The Helper's answer for one report (section 4.5.3.2).

    Attributes:
        report_id: the report's ID.
        outcome: the payload of `continue`; the number of the ReportError of `reject` in the task's dialect; or None for
            `finish`.
    """

    report_id: Annotated[bytes, REPORT_ID]
    outcome: Annotated[bytes | int | None, _Outcome()]


@dataclass(frozen=True, repr=False)
class AggregationJobResp(Struct):
    """The Helper's answer to an aggregation job (section 4.5.3.2).

    Attributes:
        verify_resps: one entry for each report, in the order of the request.
    """

    verify_resps: Annotated[tuple[VerifyResp, ...], Vector(VerifyResp)]


@dataclass(frozen=True, repr=False)
class VerifyContinue(Struct):
    """What the Leader sends the Helper to continue the verification of one report (section 4.5.4.1).

    Attributes:
        report_id: the report's ID.
        payload: the Leader's next message of the VDAF's ping-pong.
    """

    report_id: Annotated[bytes, REPORT_ID]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


@dataclass(frozen=True, repr=False)
class AggregationJobContinueReq(Struct):
    """The request that continues an aggregation job (section 4.5.4.1); VDAFs of one round have none.

    Attributes:
        step: which the Leader has reached, 1 at least.
        verify_continues: one entry for each report.
    """

    step: Annotated[int, UInt(2)]
    verify_continues: Annotated[tuple[VerifyContinue, ...], Vector(VerifyContinue)]


# Collecting results (section 4.6) and batch modes (section 5).


@dataclass(frozen=True, repr=False)
class Query(Struct):
    """Which batch the Collector asks for (section 4.6.1).

    Attributes:
        batch_mode: the task's batch mode.
        config: the encoded batch Interval by time; empty where the Leader selects batches (section 5).
    """

    batch_mode: Annotated[BatchMode, UInt(1, BatchMode)]
    config: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class BatchSelector(Struct):
    """Which batch the Leader asks the Helper's share of (section 4.6.4).

    Attributes:
        batch_mode: the task's batch mode.
        config: the encoded batch Interval by time; the batch ID where the Leader selects batches (section 5).
    """

    batch_mode: Annotated[BatchMode, UInt(1, BatchMode)]
    config: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class CollectionJobExtension(Struct):
    """An extension of a collection job (section 4.6.2).

    Attributes:
        extension_type: what it is.
        extension_data: its content, encoded as the type asks for.
    """

    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class CollectionJobReq(Struct):
    """The Collector's request for a batch (section 4.6.1).

    Attributes:
        query: which batch.
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
        extensions: in strictly increasing order of their type.
    """

    query: Annotated[Query, Nested(Query)]
    agg_param: Annotated[bytes, Opaque(4)] = b""
    extensions: Annotated[tuple[CollectionJobExtension, ...], Vector(CollectionJobExtension, 2)] = ()


@dataclass(frozen=True, repr=False)
class CollectionJobResp(Struct):
    """The result of a collection job (section 4.6.1).

    Attributes:
        report_count: the number of reports in the batch.
        interval: the smallest interval that holds their times.
        leader_encrypted_agg_share: the Leader's aggregate share, sealed to the Collector.
        helper_encrypted_agg_share: the Helper's aggregate share, sealed to the Collector.
    """

    report_count: Annotated[int, UInt(8)]
    interval: Annotated[Interval, Nested(Interval)]
    leader_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]
    helper_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class AggregateShareReq(Struct):
    """The Leader's request for the Helper's aggregate share (section 4.6.4).

    Attributes:
        collection_job_req: the Collector's request.
        batch_selector: the batch.
        report_count: the number of reports that the Leader has in it.
        checksum: the checksum of their IDs, 32 bytes; see `checksum`.
    """

    collection_job_req: Annotated[CollectionJobReq, Nested(CollectionJobReq)]
    batch_selector: Annotated[BatchSelector, Nested(BatchSelector)]
    report_count: Annotated[int, UInt(8)]
    checksum: Annotated[bytes, Fixed(CHECKSUM_SIZE)]


@dataclass(frozen=True, repr=False)
class AggregateShare(Struct):
    """The Helper's answer to an AggregateShareReq (section 4.6.4).

    Attributes:
        encrypted_aggregate_share: its aggregate share, sealed to the Collector.
    """

    encrypted_aggregate_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class AggregateShareAad(Struct):
    """What an encrypted aggregate share is bound to (section 4.6.7).

    Attributes:
        task_id: the task's ID.
        task_configuration: the task's configuration.
        collection_job_req: the Collector's request.
    """

    task_id: Annotated[bytes, TASK_ID]
    task_configuration: Annotated[TaskConfiguration, Nested(TaskConfiguration)]
    collection_job_req: Annotated[CollectionJobReq, Nested(CollectionJobReq)]


class _Typed(Protocol):
    @property
    def extension_type(self) -> int: ...


Extensions: TypeAlias = Sequence[_Typed]


def increasing(extensions: Extensions) -> bool:
    """Whether the extensions' types are strictly increasing, as those of every list must be.

    Args:
        extensions: of any kind: whatever has an `extension_type`.
    """
    types = [extension.extension_type for extension in extensions]
    return all(before < after for before, after in pairwise(types))


def checksum(report_ids: Sequence[bytes]) -> bytes:
    """The XOR of the report IDs' SHA-256 hashes, 32 bytes (section 4.5.4.3).

    Args:
        report_ids: the IDs, in any order.
    """
    total = 0
    for report_id in report_ids:
        total ^= int.from_bytes(sha256(report_id).digest(), "big")
    return total.to_bytes(CHECKSUM_SIZE, "big")
