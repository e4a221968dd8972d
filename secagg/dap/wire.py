"""How each draft encodes what Aggregators and Collector send each other.

Everywhere else these are the messages of `messages`, whichever draft a task speaks. Times in them are as the draft
counts them. `dialect` says which draft encodes how.
"""

from typing import Protocol

from ..errors import RemoteProtocolError
from . import messages_09 as old
from .messages import (
    LEADER_SELECTED_BATCH_ID,
    VERIFICATION_KEY_ID,
    AggregateShareAad,
    AggregateShareReq,
    AggregationJobContinueReq,
    AggregationJobExtension,
    AggregationJobInitReq,
    AggregationJobResp,
    BatchMode,
    BatchSelector,
    CollectionJobReq,
    CollectionJobResp,
    Interval,
    Query,
    ReportMetadata,
    ReportShare,
    TaskConfiguration,
    VerifyContinue,
    VerifyInit,
    VerifyResp,
)


class Wire(Protocol):
    """A draft's encoding. What decodes raises RemoteProtocolError for bytes that are no such message."""

    def encode_job_init(self, request: AggregationJobInitReq) -> bytes:
        """The body that begins an aggregation job.

        Args:
            request: of the Leader.
        """

    def decode_job_init(self, body: bytes) -> AggregationJobInitReq:
        """What begins an aggregation job.

        Args:
            body: of the Leader's request.
        """

    def decode_job_continue(self, body: bytes) -> AggregationJobContinueReq:
        """What continues an aggregation job.

        Args:
            body: of the Leader's request.
        """

    def encode_job_resp(self, response: AggregationJobResp) -> bytes:
        """The body that answers an aggregation job.

        Args:
            response: of the Helper.
        """

    def decode_job_resp(self, body: bytes) -> AggregationJobResp:
        """The answer to an aggregation job.

        Args:
            body: of the Helper's answer.
        """

    def encode_collection_req(self, request: CollectionJobReq) -> bytes:
        """The body that begins a collection job.

        Args:
            request: of the Collector.
        """

    def decode_collection_req(self, body: bytes) -> CollectionJobReq:
        """What begins a collection job.

        Args:
            body: of the Collector's request.
        """

    def encode_collection(self, response: CollectionJobResp, selector: BatchSelector) -> bytes:
        """The result of a collection job as a body.

        Args:
            response: of the Leader.
            selector: the batch.
        """

    def decode_collection(self, body: bytes, request: CollectionJobReq) -> tuple[CollectionJobResp, BatchSelector]:
        """The result of a collection job, and its batch as far as the Collector is told.

        Args:
            body: of the Leader's answer.
            request: what was asked for.
        """

    def encode_share_req(self, request: AggregateShareReq) -> bytes:
        """The body that asks for an aggregate share.

        Args:
            request: of the Leader.
        """

    def decode_share_req(self, body: bytes) -> AggregateShareReq:
        """What asks for an aggregate share.

        Args:
            body: of the Leader's request.
        """

    def agg_share_aad(
        self, task_id: bytes, configuration: TaskConfiguration, request: CollectionJobReq, selector: BatchSelector
    ) -> bytes:
        """The encoded AggregateShareAad.

        Args:
            task_id: 32 bytes.
            configuration: of the task.
            request: the Collector's.
            selector: the batch.
        """


class _Draft18:
    """Draft 18 and later ones: the messages as they are."""

    def encode_job_init(self, request: AggregationJobInitReq) -> bytes:
        return request.encode()

    def decode_job_init(self, body: bytes) -> AggregationJobInitReq:
        return AggregationJobInitReq.decode(body)

    def decode_job_continue(self, body: bytes) -> AggregationJobContinueReq:
        return AggregationJobContinueReq.decode(body)

    def encode_job_resp(self, response: AggregationJobResp) -> bytes:
        return response.encode()

    def decode_job_resp(self, body: bytes) -> AggregationJobResp:
        return AggregationJobResp.decode(body)

    def encode_collection_req(self, request: CollectionJobReq) -> bytes:
        return request.encode()

    def decode_collection_req(self, body: bytes) -> CollectionJobReq:
        return CollectionJobReq.decode(body)

    def encode_collection(self, response: CollectionJobResp, selector: BatchSelector) -> bytes:
        return response.encode()

    def decode_collection(self, body: bytes, request: CollectionJobReq) -> tuple[CollectionJobResp, BatchSelector]:
        return CollectionJobResp.decode(body), BatchSelector(request.query.batch_mode, request.query.config)

    def encode_share_req(self, request: AggregateShareReq) -> bytes:
        return request.encode()

    def decode_share_req(self, body: bytes) -> AggregateShareReq:
        return AggregateShareReq.decode(body)

    def agg_share_aad(
        self, task_id: bytes, configuration: TaskConfiguration, request: CollectionJobReq, selector: BatchSelector
    ) -> bytes:
        return AggregateShareAad(task_id, configuration, request).encode()


class _Draft09:
    """Draft 9. Its jobs have no verification keys and no extensions, its aggregate shares are not bound to the task's
    configuration, and a query may name a batch that the Leader has selected: its ID is the config of such a Query."""

    def encode_job_init(self, request: AggregationJobInitReq) -> bytes:
        selector = old.PartialBatchSelector(next((each.extension_data for each in request.extensions), None))
        inits = tuple(old.PrepareInit(_share_to_09(init.report_share), init.payload) for init in request.verify_inits)
        return old.AggregationJobInitReq(request.agg_param, selector, inits).encode()

    def decode_job_init(self, body: bytes) -> AggregationJobInitReq:
        request = old.AggregationJobInitReq.decode(body)
        batch = request.part_batch_selector.batch_id
        extensions = () if batch is None else (AggregationJobExtension(LEADER_SELECTED_BATCH_ID, batch),)
        inits = tuple(VerifyInit(_share_of_09(init.report_share), init.payload) for init in request.prepare_inits)
        return AggregationJobInitReq(VERIFICATION_KEY_ID, request.agg_param, extensions, inits)

    def decode_job_continue(self, body: bytes) -> AggregationJobContinueReq:
        request = old.AggregationJobContinueReq.decode(body)
        continues = tuple(VerifyContinue(each.report_id, each.payload) for each in request.prepare_continues)
        return AggregationJobContinueReq(request.step, continues)

    def encode_job_resp(self, response: AggregationJobResp) -> bytes:
        resps = tuple(old.PrepareResp(each.report_id, each.outcome) for each in response.verify_resps)
        return old.AggregationJobResp(resps).encode()

    def decode_job_resp(self, body: bytes) -> AggregationJobResp:
        resps = old.AggregationJobResp.decode(body).prepare_resps
        return AggregationJobResp(tuple(VerifyResp(each.report_id, each.outcome) for each in resps))

    def encode_collection_req(self, request: CollectionJobReq) -> bytes:
        mode, config = request.query.batch_mode, request.query.config
        batch = None if not config else _batch_to_09(mode, config)
        return old.CollectionReq(old.Query(batch), request.agg_param).encode()

    def decode_collection_req(self, body: bytes) -> CollectionJobReq:
        request = old.CollectionReq.decode(body)
        batch = request.query.batch
        query = Query(BatchMode.LEADER_SELECTED, b"") if batch is None else Query(*_batch_of_09(batch))
        return CollectionJobReq(query, request.agg_param)

    def encode_collection(self, response: CollectionJobResp, selector: BatchSelector) -> bytes:
        batch = _batch_to_09(selector.batch_mode, selector.config)
        return old.Collection(
            old.PartialBatchSelector(batch if isinstance(batch, bytes) else None),
            response.report_count,
            response.interval,
            response.leader_encrypted_agg_share,
            response.helper_encrypted_agg_share,
        ).encode()

    def decode_collection(self, body: bytes, request: CollectionJobReq) -> tuple[CollectionJobResp, BatchSelector]:
        result = old.Collection.decode(body)
        mode, config, batch = request.query.batch_mode, request.query.config, result.part_batch_selector.batch_id
        if (mode is BatchMode.LEADER_SELECTED) is (batch is None):
            raise RemoteProtocolError("the Leader's result is of another query type than the query")
        if batch is not None and config not in (b"", batch):
            raise RemoteProtocolError("the Leader's result is of another batch than the one that was asked for")
        response = CollectionJobResp(
            result.report_count,
            result.interval,
            result.leader_encrypted_agg_share,
            result.helper_encrypted_agg_share,
        )
        return response, BatchSelector(mode, config if batch is None else batch)

    def encode_share_req(self, request: AggregateShareReq) -> bytes:
        selector = request.batch_selector
        return old.AggregateShareReq(
            old.BatchSelector(_batch_to_09(selector.batch_mode, selector.config)),
            request.collection_job_req.agg_param,
            request.report_count,
            request.checksum,
        ).encode()

    def decode_share_req(self, body: bytes) -> AggregateShareReq:
        request = old.AggregateShareReq.decode(body)
        mode, config = _batch_of_09(request.batch_selector.batch)
        query = Query(mode, config if mode is BatchMode.TIME_INTERVAL else b"")  # the one that has this batch
        return AggregateShareReq(
            CollectionJobReq(query, request.agg_param),
            BatchSelector(mode, config),
            request.report_count,
            request.checksum,
        )

    def agg_share_aad(
        self, task_id: bytes, configuration: TaskConfiguration, request: CollectionJobReq, selector: BatchSelector
    ) -> bytes:
        batch = _batch_to_09(selector.batch_mode, selector.config)
        return old.AggregateShareAad(task_id, request.agg_param, old.BatchSelector(batch)).encode()


DRAFT_18: Wire = _Draft18()
DRAFT_09: Wire = _Draft09()


def _share_to_09(share: ReportShare) -> old.ReportShare:
    metadata = old.ReportMetadata(share.report_metadata.report_id, share.report_metadata.time)
    return old.ReportShare(metadata, share.public_share, share.encrypted_input_share)


def _share_of_09(share: old.ReportShare) -> ReportShare:
    metadata = ReportMetadata(share.report_metadata.report_id, share.report_metadata.time)
    return ReportShare(metadata, share.public_share, share.encrypted_input_share)


def _batch_to_09(mode: BatchMode, config: bytes) -> Interval | bytes:
    return Interval.decode(config) if mode is BatchMode.TIME_INTERVAL else config


def _batch_of_09(batch: Interval | bytes) -> tuple[BatchMode, bytes]:
    if isinstance(batch, Interval):
        return BatchMode.TIME_INTERVAL, batch.encode()
    return BatchMode.LEADER_SELECTED, batch
