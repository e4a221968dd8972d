"""The Helper's resources: aggregation jobs and aggregate shares."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...http.capacity import Capacity
from ..aggregator.helper import JOB_ID_SIZE, Helper
from ..media_types import JOB_CONTINUE_REQ, JOB_INIT_REQ, JOB_RESP, SHARE, SHARE_REQ
from ..problems import DapProblem
from ..store.helper_jobs import HelperJob
from ..store.tasks import TaskRecord
from .advertised import find_advertised_task
from .common import QUERY_BYTES, Context, answering, authenticate, location, request_body, resource_id


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
        context, tag = self._context, record.task.dialect.aggregators_tag
        async with request_body(context, request, JOB_INIT_REQ, tag, context.limits.request_bytes) as body:
            with self._turns.reserve():
                keys = await run_in_threadpool(context.directory.private_keys)
                job_id, job = await run_in_threadpool(
                    self._helper.create_job, record, keys, body, context.clock(), later=context.helper_later
                )
        return self._show(record, job_id, job)

    async def get_job(self, request: Request) -> Response:
        """GET an aggregation job, while it is not ready and afterwards (section 3.1)."""
        record = await self._task(request)
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
        max_bytes = min(context.limits.request_bytes, QUERY_BYTES)
        async with request_body(context, request, JOB_CONTINUE_REQ, tag, max_bytes) as body:
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
        max_bytes = min(context.limits.request_bytes, QUERY_BYTES)
        async with request_body(context, request, SHARE_REQ, tag, max_bytes) as body:
            with self._turns.reserve():
                share_id, share = await run_in_threadpool(create, record, body, context.clock())
        where = location(record.task, record.task.helper_url, "aggregate_shares", share_id)
        return Response(share, headers={"Location": where, "Content-Type": SHARE})

    async def get_share(self, request: Request) -> Response:
        """GET an aggregate share (section 4.6.4)."""
        record = await self._task(request)
        share = await run_in_threadpool(self._helper.find_share, record, resource_id(request, JOB_ID_SIZE))
        return Response(share, headers={"Content-Type": SHARE})

    async def delete_share(self, request: Request) -> Response:
        """DELETE an aggregate share (section 4.6.5)."""
        record = await self._task(request)
        await run_in_threadpool(self._helper.delete_share, record, resource_id(request, JOB_ID_SIZE))
        return Response(status_code=200)

    async def _task(self, request: Request) -> TaskRecord:
        record = await find_advertised_task(self._context, request)
        authenticate(request, record, record.secrets.peer_token)
        return record

    def _show(self, record: TaskRecord, job_id: bytes, job: HelperJob) -> Response:
        where = location(record.task, record.task.helper_url, "aggregation_jobs", job_id)
        if job.response is not None:
            return Response(job.response, headers={"Location": where, "Content-Type": JOB_RESP})
        if job.ended:
            raise DapProblem("unrecognizedAggregationJob", "this job was deleted", status=404)
        return Response(headers={"Location": f"{where}?step=0", "Retry-After": "1"})
