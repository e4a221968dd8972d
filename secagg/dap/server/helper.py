"""The Helper's resources: aggregation jobs and aggregate shares."""

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...http.capacity import Capacity
from ..aggregator.helper import JOB_ID_SIZE, Helper
from ..problems import DapProblem
from ..store.helper_jobs import HelperJob
from ..store.tasks import TaskRecord
from .advertised import find_advertised_task
from .common import (
    QUERY_BYTES,
    Context,
    answering,
    authenticate,
    location,
    request_body,
    require_method,
    require_shared,
    resource_id,
)


class HelperResources:
    """What the Leader asks of the Helper; each method answers a request, or raises DapProblem.

    Args:
        helper: does the work.
        context: what every resource needs.
    """

    def __init__(self, helper: Helper, context: Context) -> None:
        self._helper = helper
        self._context = context
        self._turns = Capacity(context.limits.requests)

    def routes(self) -> list[Route]:
        """The routes of all resources (appendix A)."""
        context = self._context
        jobs, shares = "/tasks/{task}/aggregation_jobs", "/tasks/{task}/aggregate_shares"
        return [
            Route(jobs, answering(context, "aggregation_jobs", self.create_job), methods=["POST"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.put_job), methods=["PUT"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.get_job), methods=["GET"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.delete_job), methods=["DELETE"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.continue_job), methods=["POST"]),
            Route(shares, answering(context, "aggregate_shares", self.create_share), methods=["POST"]),
            Route(shares + "/{resource}", answering(context, "aggregate_shares", self.get_share), methods=["GET"]),
            Route(
                shares + "/{resource}", answering(context, "aggregate_shares", self.delete_share), methods=["DELETE"]
            ),
        ]

    async def create_job(self, request: Request) -> Response:
        """POST aggregation_jobs: begin an aggregation job (section 4.5.3.2)."""
        record = await self._task(request)
        require_shared(record.task)
        return await self._create_job(request, record, None)

    async def put_job(self, request: Request) -> Response:
        """PUT an aggregation job under an ID that the Leader has chosen (draft 9, section 4.5.1.2)."""
        record = await self._task(request)
        require_method(request, record.task.dialect.resources.job_methods)
        return await self._create_job(request, record, resource_id(request, JOB_ID_SIZE))

    async def _create_job(self, request: Request, record: TaskRecord, chosen: bytes | None) -> Response:
        context, dialect = self._context, record.task.dialect
        media_type, tag = dialect.resources.media_types.job_init_req, dialect.aggregators_tag
        later = context.helper_later and dialect.resources.helper_waits
        async with request_body(context, request, media_type, tag, context.limits.request_bytes) as body:
            with self._turns.reserve():
                keys = await run_in_threadpool(context.directory.private_keys)
                job_id, job = await run_in_threadpool(
                    self._helper.create_job, record, keys, body, context.clock(), later=later, chosen=chosen
                )
        return self._show(record, job_id, job, dialect.resources.created)

    async def get_job(self, request: Request) -> Response:
        """GET an aggregation job, while it is not ready and afterwards (section 3.1)."""
        record = await self._task(request)
        require_method(request, record.task.dialect.resources.job_methods)
        step = request.query_params.get("step", "0")
        if not (step.isascii() and step.isdigit()):
            raise DapProblem("invalidMessage", "step must be a number", task_id=record.task.id)
        if step.strip("0"):
            raise DapProblem("stepMismatch", "Prio3's jobs have step 0 only", task_id=record.task.id)
        job_id = resource_id(request, JOB_ID_SIZE)
        return self._show(record, job_id, await run_in_threadpool(self._helper.find_job, record, job_id))

    async def continue_job(self, request: Request) -> Response:
        """POST to an aggregation job: a VDAF of one round has nothing to continue (section 4.5.4.2)."""
        record = await self._task(request)
        await run_in_threadpool(self._helper.find_job, record, resource_id(request, JOB_ID_SIZE))
        context, tag = self._context, record.task.dialect.aggregators_tag
        media_type = record.task.dialect.resources.media_types.job_continue_req
        max_bytes = min(context.limits.request_bytes, QUERY_BYTES)
        async with request_body(context, request, media_type, tag, max_bytes) as body:
            with self._turns.reserve():
                await run_in_threadpool(self._helper.continue_job, record, body)

    async def delete_job(self, request: Request) -> Response:
        """DELETE an aggregation job (section 4.5.5)."""
        record = await self._task(request)
        await run_in_threadpool(self._helper.delete_job, record, resource_id(request, JOB_ID_SIZE))
        return Response(status_code=200)

    async def create_share(self, request: Request) -> Response:
        """POST aggregate_shares: release an aggregate share (section 4.6.4)."""
        record = await self._task(request)
        context, tag, create = self._context, record.task.dialect.aggregators_tag, self._helper.create_share
        types, max_bytes = record.task.dialect.resources.media_types, min(context.limits.request_bytes, QUERY_BYTES)
        async with request_body(context, request, types.share_req, tag, max_bytes) as body:
            with self._turns.reserve():
                share_id, share = await run_in_threadpool(create, record, body, context.clock())
        where = location(record.task, record.task.helper_url, "aggregate_shares", share_id)
        return Response(share, headers={"Location": where, "Content-Type": types.share})

    async def get_share(self, request: Request) -> Response:
        """GET an aggregate share (section 4.6.4)."""
        record = await self._task(request)
        share = await run_in_threadpool(self._helper.find_share, record, resource_id(request, JOB_ID_SIZE))
        return Response(share, headers={"Content-Type": record.task.dialect.resources.media_types.share})

    async def delete_share(self, request: Request) -> Response:
        """DELETE an aggregate share (section 4.6.5)."""
        record = await self._task(request)
        await run_in_threadpool(self._helper.delete_share, record, resource_id(request, JOB_ID_SIZE))
        return Response(status_code=200)

    async def _task(self, request: Request) -> TaskRecord:
        record = await find_advertised_task(self._context, request)
        authenticate(self._context, request, record)
        return record

    def _show(self, record: TaskRecord, job_id: bytes, job: HelperJob, status: HTTPStatus = HTTPStatus.OK) -> Response:
        where = location(record.task, record.task.helper_url, "aggregation_jobs", job_id)
        if job.response is not None:
            media_type = record.task.dialect.resources.media_types.job_resp
            return Response(job.response, status, {"Location": where, "Content-Type": media_type})
        if job.ended:
            raise DapProblem("unrecognizedAggregationJob", "this job was deleted", status=404)
        return Response(headers={"Location": f"{where}?step=0", "Retry-After": "1"})
