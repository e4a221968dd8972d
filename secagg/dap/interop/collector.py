"""The API of a Collector (section 4.4)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from ...errors import LocalProtocolError, RemoteProtocolError, SecAggError, require
from ...http.base64url import base64url
from ...http.steps import Progress
from ..client.collector import AsyncCollector, Batch, Collection
from ..client.upload import TIMEOUT
from ..messages import TASK_ID_SIZE, BatchMode
from ..secrets import DAP_AUTH_TOKEN
from ..task import Task
from ..task_file import CollectorKey
from .commands import Command, read_task, ready, routes

_MOST = 1000  # tasks, and collection jobs


class Collectors:
    """A Collector's tasks and collection jobs, in memory.

    Args:
        http: sends its requests.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._tasks: dict[bytes, tuple[Task, AsyncCollector]] = {}
        self._jobs: dict[str, asyncio.Task[Collection]] = {}

    async def add_task(self, command: Command) -> dict[str, Any]:
        """Have a task, under a fresh HPKE key.

        Args:
            command: of the task.
        """
        require(len(self._tasks) < _MOST, f"there are {_MOST:,} tasks already: start this program anew")
        task, key = read_task(command), CollectorKey.generate()
        token = f"{DAP_AUTH_TOKEN}{command.text('collector_authentication_token')}"
        collector = AsyncCollector(task, key.private_key, key.config, token, http=self._http, allow_http=True)
        self._tasks[task.id] = task, collector
        return {"collector_hpke_config": base64url(key.config.encode())}

    async def start(self, command: Command) -> dict[str, Any]:
        """Ask the Leader for a batch, and go on once it has answered.

        Args:
            command: names the task and the batch.
        """
        require(len(self._jobs) < _MOST, f"there are {_MOST:,} collection jobs already: start this program anew")
        found = self._tasks.get(command.data("task_id", TASK_ID_SIZE))
        if found is None:
            raise LocalProtocolError("there is no such task here: add_task comes first")
        if command.data("agg_param"):
            raise LocalProtocolError("Prio3's aggregation parameter must be empty")
        task, collector = found
        batch, answered = _batch(task, command.inner("query")), asyncio.Event()

        def waits(step: Progress) -> None:
            answered.set()

        job = asyncio.ensure_future(collector.collect(batch, progress=waits))
        job.add_done_callback(lambda done: answered.set())
        await answered.wait()
        if job.done() and (error := job.exception()) is not None:
            raise error
        handle = base64url(os.urandom(16))
        self._jobs[handle] = job
        return {"handle": handle}

    async def poll(self, command: Command) -> dict[str, Any]:
        """Whether a batch is there, and what is in it.

        Args:
            command: names the collection job.
        """
        job = self._jobs.get(command.text("handle"))
        if job is None:
            raise RemoteProtocolError("there is no such collection job here")
        if not job.done():
            return {"status": "in progress"}
        collection = job.result()
        result = collection.result
        return {
            "status": "complete",
            "report_count": collection.report_count,
            "interval_start": collection.start,
            "interval_duration": collection.end - collection.start,
            "result": str(result) if isinstance(result, int) else [str(value) for value in result],
        }

    async def close(self) -> None:
        """Give up what is not there yet."""
        for job in self._jobs.values():
            job.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)


def collector_app() -> Starlette:
    """A Collector that collects what it is told to."""
    http = httpx.AsyncClient(timeout=TIMEOUT)
    collectors = Collectors(http)
    works = {
        "ready": ready,
        "add_task": collectors.add_task,
        "collection_start": collectors.start,
        "collection_poll": collectors.poll,
    }

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with http:
            yield
            await collectors.close()

    return Starlette(routes=routes(works), lifespan=lifespan)


def _batch(task: Task, query: Command) -> Batch:
    """What a query asks for; it names the batch mode again."""
    mode = query.number("type")
    if mode != task.batch_mode:
        raise SecAggError(f"this task's batch mode is {int(task.batch_mode)}")
    if mode == BatchMode.LEADER_SELECTED:
        return None
    return float(query.number("batch_interval_start")), float(query.number("batch_interval_duration"))
