"""The messages of draft-ietf-ppm-dap-09 that later drafts encode otherwise, under that draft's names.

Times and durations are counted in seconds. What is not here is encoded as in `messages`; `wire` translates between the
two, so that nothing else knows these.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from ..codec import Fixed, Nested, Opaque, Reader, Struct, UInt, Vector
from .messages import (
    BATCH_ID_SIZE,
    CHECKSUM_SIZE,
    REPORT_ID,
    TASK_ID,
    BatchMode,
    HpkeCiphertext,
    Interval,
    VerifyRespType,
)

_BATCH_ID = Fixed(BATCH_ID_SIZE)
_QUERY_TYPE = UInt(1, BatchMode)  # QueryType has BatchMode's numbers; fixed_size is where the Leader selects batches


# Aggregation jobs (section 4.5).


@dataclass(frozen=True, repr=False)
class ReportMetadata(Struct):
    """What both Aggregators see of a report (section 4.4.2).

    Attributes:
        report_id: 16 random bytes, which are the VDAF's nonce.
        time: when the measurement was made, in POSIX seconds.
    """

    report_id: Annotated[bytes, REPORT_ID]
    time: Annotated[int, UInt(8)]


@dataclass(frozen=True, repr=False)
class ReportShare(Struct):
    """One Aggregator's part of a report (section 4.5.1.1).

    Attributes:
        report_metadata: its ID and time.
        public_share: the VDAF's public share.
        encrypted_input_share: the PlaintextInputShare for this Aggregator, sealed.
    """

    report_metadata: Annotated[ReportMetadata, Nested(ReportMetadata)]
    public_share: Annotated[bytes, Opaque(4)]
    encrypted_input_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


@dataclass(frozen=True, repr=False)
class PrepareInit(Struct):
    """What the Leader sends the Helper to begin the preparation of one report (section 4.5.1.1).

    Attributes:
        report_share: the Helper's part of the report.
        payload: the Leader's first message of the VDAF's ping-pong.
    """

    report_share: Annotated[ReportShare, Nested(ReportShare)]
    payload: Annotated[bytes, Opaque(4)]


class _BatchId:
    """PartialBatchSelector's select: fixed_size has a batch ID, and time_interval nothing."""

    def write(self, value: bytes | None) -> bytes:
        if value is None:
            return _QUERY_TYPE.write(BatchMode.TIME_INTERVAL)
        return _QUERY_TYPE.write(BatchMode.LEADER_SELECTED) + _BATCH_ID.write(value)

    def read(self, reader: Reader) -> bytes | None:
        return None if _QUERY_TYPE.read(reader) is BatchMode.TIME_INTERVAL else _BATCH_ID.read(reader)


@dataclass(frozen=True, repr=False)
class PartialBatchSelector(Struct):
    """What is known of the batch that reports are aggregated into (section 4.5.1.1).

    Attributes:
        batch_id: of the batch, for query type fixed_size; None for time_interval.
    """

    batch_id: Annotated[bytes | None, _BatchId()]


@dataclass(frozen=True, repr=False)
class AggregationJobInitReq(Struct):
    """The request that begins an aggregation job (section 4.5.1.1).

    Attributes:
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
        part_batch_selector: to which batch the reports belong.
        prepare_inits: one entry for each report, and one at least.
    """

    agg_param: Annotated[bytes, Opaque(4)]
    part_batch_selector: Annotated[PartialBatchSelector, Nested(PartialBatchSelector)]
    prepare_inits: Annotated[tuple[PrepareInit, ...], Vector(PrepareInit, 4, min_bytes=1)]


class _Outcome:
    """PrepareResp's select: the state, and what belongs to it."""

    _PAYLOAD = Opaque(4)
    _STATE = UInt(1, VerifyRespType)  # PrepareRespState has its numbers
    _ERROR = UInt(1)  # PrepareError's numbers begin with 0

    def write(self, value: bytes | int | None) -> bytes:
        if value is None:
            return self._STATE.write(VerifyRespType.FINISH)
        if isinstance(value, int):
            return self._STATE.write(VerifyRespType.REJECT) + self._ERROR.write(value)
        return self._STATE.write(VerifyRespType.CONTINUE) + self._PAYLOAD.write(value)

    def read(self, reader: Reader) -> bytes | int | None:
        state = self._STATE.read(reader)
        if state is VerifyRespType.CONTINUE:
            return self._PAYLOAD.read(reader)
        error: int | None = self._ERROR.read(reader) if state is VerifyRespType.REJECT else None
        return error


@dataclass(frozen=True, repr=False)
class PrepareResp(Struct):
    """The Helper's answer for one report (section 4.5.1.2).

    Attributes:
        report_id: the report's ID.
        outcome: the payload of `continue`; the number of the PrepareError of `reject`; or None for `finished`.
    """

    report_id: Annotated[bytes, REPORT_ID]
    outcome: Annotated[bytes | int | None, _Outcome()]


@dataclass(frozen=True, repr=False)
class AggregationJobResp(Struct):
    """The Helper's answer to an aggregation job (section 4.5.1.2).

    Attributes:
        prepare_resps: one entry for each report, in the order of the request.
    """

    prepare_resps: Annotated[tuple[PrepareResp, ...], Vector(PrepareResp, 4, min_bytes=1)]


@dataclass(frozen=True, repr=False)
class PrepareContinue(Struct):
    """What the Leader sends the Helper to continue the preparation of one report (section 4.5.2.1).

    Attributes:
        report_id: the report's ID.
        payload: the Leader's next message of the VDAF's ping-pong.
    """

    report_id: Annotated[bytes, REPORT_ID]
    payload: Annotated[bytes, Opaque(4)]


@dataclass(frozen=True, repr=False)
class AggregationJobContinueReq(Struct):
    """The request that continues an aggregation job (section 4.5.2.1); VDAFs of one round have none.

    Attributes:
        step: which the Leader has reached, 1 at least.
        prepare_continues: one entry for each report, and one at least.
    """

    step: Annotated[int, UInt(2)]
    prepare_continues: Annotated[tuple[PrepareContinue, ...], Vector(PrepareContinue, 4, min_bytes=1)]


# Queries (section 4.1) and collection jobs (section 4.6).


class FixedSizeQueryType(IntEnum):
    """Which batch a fixed_size query asks for (section 4.1)."""

    BY_BATCH_ID = 0
    CURRENT_BATCH = 1


class _Queried:
    """Query's select, and that of the FixedSizeQuery in it."""

    _INTERVAL = Nested(Interval)
    _FIXED_SIZE = UInt(1, FixedSizeQueryType)

    def write(self, value: Interval | bytes | None) -> bytes:
        if isinstance(value, Interval):
            return _QUERY_TYPE.write(BatchMode.TIME_INTERVAL) + self._INTERVAL.write(value)
        fixed_size = _QUERY_TYPE.write(BatchMode.LEADER_SELECTED)
        if value is None:
            return fixed_size + self._FIXED_SIZE.write(FixedSizeQueryType.CURRENT_BATCH)
        return fixed_size + self._FIXED_SIZE.write(FixedSizeQueryType.BY_BATCH_ID) + _BATCH_ID.write(value)

    def read(self, reader: Reader) -> Interval | bytes | None:
        if _QUERY_TYPE.read(reader) is BatchMode.TIME_INTERVAL:
            interval: Interval = self._INTERVAL.read(reader)
            return interval
        current = self._FIXED_SIZE.read(reader) is FixedSizeQueryType.CURRENT_BATCH
        return None if current else _BATCH_ID.read(reader)


@dataclass(frozen=True, repr=False)
class Query(Struct):
    """Which batch the Collector asks for (section 4.1).

    Attributes:
        batch: the batch interval in seconds, for query type time_interval; for fixed_size the batch ID, or None for the
            current batch.
    """

    batch: Annotated[Interval | bytes | None, _Queried()]


@dataclass(frozen=True, repr=False)
class CollectionReq(Struct):
    """The Collector's request for a batch (section 4.6.1).

    Attributes:
        query: which batch.
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
    """

    query: Annotated[Query, Nested(Query)]
    agg_param: Annotated[bytes, Opaque(4)]


@dataclass(frozen=True, repr=False)
class Collection(Struct):
    """The result of a collection job (section 4.6.1).

    Attributes:
        part_batch_selector: the batch ID, for query type fixed_size.
        report_count: the number of reports in the batch.
        interval: the smallest interval that holds their times, in seconds.
        leader_encrypted_agg_share: the Leader's aggregate share, sealed to the Collector.
        helper_encrypted_agg_share: the Helper's aggregate share, sealed to the Collector.
    """

    part_batch_selector: Annotated[PartialBatchSelector, Nested(PartialBatchSelector)]
    report_count: Annotated[int, UInt(8)]
    interval: Annotated[Interval, Nested(Interval)]
    leader_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]
    helper_encrypted_agg_share: Annotated[HpkeCiphertext, Nested(HpkeCiphertext)]


class _Selected:
    """BatchSelector's select."""

    _INTERVAL = Nested(Interval)

    def write(self, value: Interval | bytes) -> bytes:
        if isinstance(value, Interval):
            return _QUERY_TYPE.write(BatchMode.TIME_INTERVAL) + self._INTERVAL.write(value)
        return _QUERY_TYPE.write(BatchMode.LEADER_SELECTED) + _BATCH_ID.write(value)

    def read(self, reader: Reader) -> Interval | bytes:
        by_time = _QUERY_TYPE.read(reader) is BatchMode.TIME_INTERVAL
        batch: Interval | bytes = self._INTERVAL.read(reader) if by_time else _BATCH_ID.read(reader)
        return batch


@dataclass(frozen=True, repr=False)
class BatchSelector(Struct):
    """Which batch the Leader asks the Helper's share of (section 4.6.2).

    Attributes:
        batch: the batch interval in seconds, for query type time_interval; the batch ID for fixed_size.
    """

    batch: Annotated[Interval | bytes, _Selected()]


@dataclass(frozen=True, repr=False)
class AggregateShareReq(Struct):
    """The Leader's request for the Helper's aggregate share (section 4.6.2).

    Attributes:
        batch_selector: the batch.
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
        report_count: the number of reports that the Leader has in it.
        checksum: the checksum of their IDs, 32 bytes; see `messages.checksum`.
    """

    batch_selector: Annotated[BatchSelector, Nested(BatchSelector)]
    agg_param: Annotated[bytes, Opaque(4)]
    report_count: Annotated[int, UInt(8)]
    checksum: Annotated[bytes, Fixed(CHECKSUM_SIZE)]


@dataclass(frozen=True, repr=False)
class AggregateShareAad(Struct):
    """What an encrypted aggregate share is bound to (section 4.6.4).

    Attributes:
        task_id: the task's ID.
        agg_param: the VDAF's aggregation parameter; empty for Prio3.
        batch_selector: the batch.
    """

    task_id: Annotated[bytes, TASK_ID]
    agg_param: Annotated[bytes, Opaque(4)]
    batch_selector: Annotated[BatchSelector, Nested(BatchSelector)]
