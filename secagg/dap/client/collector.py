"""The Collector (section 4.6): queries the Leader for a batch, opens both aggregate shares and unshards them.

    with Collector(task, private_key, config, token) as collector:
        collection = collector.collect((start, 3600))

`AsyncCollector` is the same with `await`.
"""

import time
from collections.abc import Callable
from typing import Any, Self

import anyio
import httpx

from ...http.steps import Notify, Retries, run, run_async
from ..hpke import PrivateKey
from ..messages import HpkeConfig, Interval
from ..task import Task
from .collection import Batch, Collecting, Collection, CollectionPending
from .upload import TIMEOUT

__all__ = ["AsyncCollector", "Batch", "Collection", "CollectionPending", "Collector", "Interval"]

CONFIDENCE = 0.95


class Collector:
    """Collects batches of one task.

    Args:
        task: see there.
        private_key: to which the Aggregators seal.
        config: the HPKE configuration that they have of it.
        token: by which the Leader knows the Collector.
        http: an `httpx.Client` with certificates and proxies as you need them; by default one that is closed with this
            collector.
        clock: POSIX seconds.
        retries: where the network fails or the Leader is busy.
        sleep: waits for so many seconds.

    Raises:
        LocalProtocolError: key and configuration do not belong together, or the token cannot be sent.
    """

    def __init__(
        self,
        task: Task,
        private_key: PrivateKey,
        config: HpkeConfig,
        token: str,
        *,
        http: httpx.Client | None = None,
        clock: Callable[[], float] = time.time,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._collecting = Collecting(task, private_key, config, token, clock, retries)
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT)

    def collect(
        self,
        batch: Batch = None,
        *,
        confidence: float = CONFIDENCE,
        timeout: float | None = None,
        progress: Notify | None = None,
    ) -> Collection:
        """Waits for a batch and returns its aggregate. The same query finds the same job again, and where batches are
        by time the same result.

        Args:
            batch: an interval, counted in time_precision or as (start, duration) in seconds; None if the Leader selects
                batches, whose job is deleted once the result is there.
            confidence: of the error bars, for each entry by itself.
            timeout: seconds; None waits for as long as the Leader does.
            progress: is told each pause.

        Raises:
            LocalProtocolError: the task has no such batches.
            DapProblem: the Leader refuses, and says why.
            CollectionPending: the batch is not ready in time.
            Unreachable: the Leader does not answer.
            RemoteProtocolError: what it answers is no result.
        """
        return run(self._http, self._collecting.collect(batch, confidence, timeout), self._sleep, progress)

    def delete(self, job: str) -> None:
        """Lets the Leader forget a job. What was collected stays collected, and paid for."""
        run(self._http, self._collecting.delete(job), self._sleep)

    def close(self) -> None:
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncCollector:
    """`Collector` for asyncio and trio; `http` is an `httpx.AsyncClient`."""

    def __init__(
        self,
        task: Task,
        private_key: PrivateKey,
        config: HpkeConfig,
        token: str,
        *,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        sleep: Callable[[float], Any] = anyio.sleep,
    ) -> None:
        self._collecting = Collecting(task, private_key, config, token, clock, retries)
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT)

    async def collect(
        self,
        batch: Batch = None,
        *,
        confidence: float = CONFIDENCE,
        timeout: float | None = None,  # of the Leader's work, not of this call
        progress: Notify | None = None,
    ) -> Collection:
        """See `Collector.collect`."""
        steps = self._collecting.collect(batch, confidence, timeout)
        return await run_async(self._http, steps, self._sleep, progress)

    async def delete(self, job: str) -> None:
        """See `Collector.delete`."""
        await run_async(self._http, self._collecting.delete(job), self._sleep)

    async def aclose(self) -> None:
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
