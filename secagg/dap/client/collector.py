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
from ..admission import check_endpoints
from ..hpke import PrivateKey
from ..messages import HpkeConfig, Interval
from ..task import Task
from .collection import Batch, Collecting, Collection, CollectionPending
from .upload import TIMEOUT

__all__ = ["AsyncCollector", "Batch", "Collection", "CollectionPending", "Collector", "Interval"]

CONFIDENCE = 0.95


class Collector:
    """Collects batches of one task (section 4.6).

    Args:
        task: whose batches.
        private_key: to which the Aggregators seal their shares.
        config: the HPKE configuration of this key that the Aggregators have.
        token: that the Leader knows the Collector by; after `DAP-Auth-Token: ` it is shown in that header.
        http: an `httpx.Client` with certificates and proxies as you need them; by default one that is closed with this
            collector.
        clock: POSIX seconds.
        retries: how often and how patiently the Leader is asked where the network fails or the Leader is busy.
        sleep: waits for a number of seconds.
        allow_http: whether http may lead to other machines than this one, in a network where nobody listens.

    Raises:
        LocalProtocolError: key and configuration do not belong together, the token cannot be sent in a header, or the
            task's URLs are refused; see `secagg.dap.admission.check_endpoints`.
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
        allow_http: bool = False,
    ) -> None:
        check_endpoints(task, allow_http=allow_http)
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
        keep: bool = False,
    ) -> Collection:
        """Wait for a batch, and return its aggregate.

        The same query finds the same job again. Where batches are intervals of time, it gets the same result again.

        Args:
            batch: an interval, counted in time_precision or as (start, duration) in seconds. None where the Leader
                selects the batches; the job is then deleted once the result is there.
            confidence: of the error bars, for each entry by itself.
            timeout: seconds; None waits for as long as the Leader does.
            progress: is told each pause.
            keep: leave a job whose batch the Leader selected to `delete`, once the result is safe: until then the same
                query gets it again.

        Raises:
            LocalProtocolError: the task has no such batches.
            DapProblem: the Leader refuses, and says why.
            CollectionPending: the batch is not ready in time.
            Unreachable: the Leader does not answer.
            RemoteProtocolError: the Leader's answer is no result.
        """
        steps = self._collecting.collect(batch, confidence, timeout, keep=keep)
        return run(self._http, steps, self._sleep, progress)

    def delete(self, job: str) -> None:
        """Have the Leader forget a job (section 4.6.3). Its batch stays collected, and its budget stays spent.

        Args:
            job: the collection job's URL.

        Raises:
            DapProblem: the Leader does not know the job.
        """
        run(self._http, self._collecting.delete(job), self._sleep)

    def close(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncCollector:
    """`Collector` for asyncio and trio; `http` is an `httpx.AsyncClient`.

    Args:
        task: see `Collector`.
        private_key: see `Collector`.
        config: see `Collector`.
        token: see `Collector`.
        http: an `httpx.AsyncClient`; by default one that is closed with this collector.
        clock: POSIX seconds.
        retries: see `Collector`.
        sleep: a coroutine function that waits for a number of seconds.
        allow_http: see `Collector`.

    Raises:
        LocalProtocolError: see `Collector`.
    """

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
        allow_http: bool = False,
    ) -> None:
        check_endpoints(task, allow_http=allow_http)
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
        keep: bool = False,
    ) -> Collection:
        """See `Collector.collect`.

        Args:
            batch: an interval, or None where the Leader selects the batches.
            confidence: of the error bars, for each entry by itself.
            timeout: seconds of the Leader's work, not of this call; None waits for as long as the Leader does.
            progress: is told each pause.
            keep: leave a job whose batch the Leader selected to `delete`.
        """
        steps = self._collecting.collect(batch, confidence, timeout, keep=keep)
        return await run_async(self._http, steps, self._sleep, progress)

    async def delete(self, job: str) -> None:
        """See `Collector.delete`.

        Args:
            job: the collection job's URL.
        """
        await run_async(self._http, self._collecting.delete(job), self._sleep)

    async def aclose(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
