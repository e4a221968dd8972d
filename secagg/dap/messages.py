"""The messages of draft-ietf-ppm-dap-18, under the draft's names.

Times and durations are counted in the task's `time_precision`. A dialect with other messages is in `dialect`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
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
    COLLECTOR = 0
    CLIENT = 1
    LEADER = 2
    HELPER = 3


class ReportError(IntEnum):
    """Why one report is refused, by the Leader at upload or by an Aggregator in a job."""

    BATCH_COLLECTED = 1
    REPORT_REPLAYED = 2
    REPORT_DROPPED = 3
    HPKE_UNKNOWN_CONFIG_ID = 4
    HPKE_DECRYPT_ERROR = 5
    VDAF_VERIFY_ERROR = 6
    TASK_EXPIRED = 7
    INVALID_MESSAGE = 8
    REPORT_TOO_EARLY = 9
    TASK_NOT_STARTED = 10
    OUTDATED_CONFIG = 11


class BatchMode(IntEnum):
    TIME_INTERVAL = 1
    LEADER_SELECTED = 2


# Basic definitions (section 4.1) and HPKE configurations (section 4.4.1).


@dataclass(frozen=True, repr=False)
class HpkeConfig(Struct):
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
    configs: Annotated[tuple[HpkeConfig, ...], Vector(HpkeConfig, 2)]


@dataclass(frozen=True, repr=False)
class HpkeCiphertext(Struct):
    config_id: Annotated[int, UInt(1)]
    enc: Annotated[bytes, Opaque(2, min_bytes=1)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


@dataclass(frozen=True)
class Interval(Struct):
    """Half-open: `start` is in it, `start + duration` is not."""

    start: Annotated[int, UInt(8)]
    duration: Annotated[int, UInt(8)]

    def __post_init__(self) -> None:
        convert(self, whole, "start", "duration")

    @property
    def end(self) -> int:
        return self.start + self.duration

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.end

    def within(self, other: "Interval") -> bool:
        return other.start <= self.start and self.end <= other.end


# Task configuration (section 4.2).


@dataclass(frozen=True, repr=False)
class TaskExtension(Struct):
    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class TaskConfiguration(Struct):
    task_info: Annotated[bytes, Opaque(1, min_bytes=1)]
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
    """Of a report: public, or private to one Aggregator."""

    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class ReportMetadata(Struct):
    report_id: Annotated[bytes, REPORT_ID]
    time: Annotated[int, UInt(8)]
    public_extensions: Annotated[tuple[Extension, ...], Vector(Extension, 2)] = ()


@dataclass(frozen=True, repr=False)
class Report(Struct):
    report_metadata: Annotated[ReportMetadata, Nested(ReportMetadata)]
    public_share: Annotated[bytes, Opaque(4)]
    leader_encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]
    helper_encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class UploadRequest(Struct):
    reports: Annotated[tuple[Report, ...], Vector(Report)]


@dataclass(frozen=True, repr=False)
class ReportUploadStatus(Struct):
    id: Annotated[bytes, REPORT_ID]
    error: Annotated[ReportError, UInt(1, ReportError)]


@dataclass(frozen=True, repr=False)
class UploadErrors(Struct):
    status: Annotated[tuple[ReportUploadStatus, ...], Vector(ReportUploadStatus)]


@dataclass(frozen=True, repr=False)
class PlaintextInputShare(Struct):
    private_extensions: Annotated[tuple[Extension, ...], Vector(Extension, 2)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


# Verifying and aggregating reports (section 4.5).


@dataclass(frozen=True, repr=False)
class AggregationJobExtension(Struct):
    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


LEADER_SELECTED_BATCH_ID = 1  # an aggregation job extension


@dataclass(frozen=True, repr=False)
class ReportShare(Struct):
    report_metadata: Annotated[ReportMetadata, Nested(ReportMetadata)]
    public_share: Annotated[bytes, Opaque(4)]
    encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class VerifyInit(Struct):
    report_share: Annotated[ReportShare, Nested(ReportShare)]
    payload: Annotated[bytes, Opaque(4, min_bytes=1)]


@dataclass(frozen=True, repr=False)
class AggregationJobInitReq(Struct):
    verification_key_id: Annotated[int, UInt(1)]
    agg_param: Annotated[bytes, Opaque(4)]
    extensions: Annotated[tuple[AggregationJobExtension, ...], Vector(AggregationJobExtension, 2)]
    verify_inits: Annotated[tuple[VerifyInit, ...], Vector(VerifyInit)]


class VerifyRespType(IntEnum):
    CONTINUE = 0
    FINISH = 1
    REJECT = 2


class _Outcome:
    """The select of VerifyResp: its type, and what goes with it."""

    _PAYLOAD = Opaque(4, min_bytes=1)
    _TYPE = UInt(1, VerifyRespType)
    _ERROR = UInt(1, ReportError)

    def write(self, value: "bytes | ReportError | None") -> bytes:
        if value is None:
            return self._TYPE.write(VerifyRespType.FINISH)
        if isinstance(value, ReportError):
            return self._TYPE.write(VerifyRespType.REJECT) + self._ERROR.write(value)
        return self._TYPE.write(VerifyRespType.CONTINUE) + self._PAYLOAD.write(value)

    def read(self, reader: Reader) -> "bytes | ReportError | None":
        kind = self._TYPE.read(reader)
        if kind is VerifyRespType.CONTINUE:
            return self._PAYLOAD.read(reader)
        error: ReportError | None = self._ERROR.read(reader) if kind is VerifyRespType.REJECT else None
        return error


@dataclass(frozen=True, repr=False)
class VerifyResp(Struct):
    """The Helper's answer for one report.

    Attributes:
        outcome: the payload of `continue`, the error of `reject`, or None for `finish`.
    """

    report_id: Annotated[bytes, REPORT_ID]
    outcome: Annotated[bytes | ReportError | None, _Outcome()]


@dataclass(frozen=True, repr=False)
class AggregationJobResp(Struct):
    verify_resps: Annotated[tuple[VerifyResp, ...], Vector(VerifyResp)]


# Collecting results (section 4.6) and batch modes (section 5).


@dataclass(frozen=True, repr=False)
class Query(Struct):
    batch_mode: Annotated[BatchMode, UInt(1, BatchMode)]
    config: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class BatchSelector(Struct):
    batch_mode: Annotated[BatchMode, UInt(1, BatchMode)]
    config: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class CollectionJobExtension(Struct):
    extension_type: Annotated[int, UInt(2)]
    extension_data: Annotated[bytes, Opaque(2)]


@dataclass(frozen=True, repr=False)
class CollectionJobReq(Struct):
    query: Annotated[Query, Nested(Query)]
    agg_param: Annotated[bytes, Opaque(4)] = b""
    extensions: Annotated[tuple[CollectionJobExtension, ...], Vector(CollectionJobExtension, 2)] = ()


@dataclass(frozen=True, repr=False)
class CollectionJobResp(Struct):
    report_count: Annotated[int, UInt(8)]
    interval: Annotated[Interval, Nested(Interval)]
    leader_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]
    helper_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class AggregateShareReq(Struct):
    collection_job_req: Annotated[CollectionJobReq, Nested(CollectionJobReq)]
    batch_selector: Annotated[BatchSelector, Nested(BatchSelector)]
    report_count: Annotated[int, UInt(8)]
    checksum: Annotated[bytes, Fixed(CHECKSUM_SIZE)]


@dataclass(frozen=True, repr=False)
class AggregateShare(Struct):
    encrypted_aggregate_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class AggregateShareAad(Struct):
    task_id: Annotated[bytes, TASK_ID]
    task_configuration: Annotated[TaskConfiguration, Nested(TaskConfiguration)]
    collection_job_req: Annotated[CollectionJobReq, Nested(CollectionJobReq)]


class _Typed(Protocol):
    @property
    def extension_type(self) -> int: ...


Extensions: TypeAlias = Sequence[_Typed]


def increasing(extensions: Extensions) -> bool:
    """Whether the extensions' types are strictly increasing, as every list of them must be."""
    types = [extension.extension_type for extension in extensions]
    return all(before < after for before, after in pairwise(types))


def checksum(report_ids: Sequence[bytes]) -> bytes:
    """The XOR of the report IDs' SHA-256 hashes (section 4.5.4.3)."""
    total = 0
    for report_id in report_ids:
        total ^= int.from_bytes(sha256(report_id).digest(), "big")
    return total.to_bytes(CHECKSUM_SIZE, "big")
