"""A coordinator in this process: sessions in a folder, and an ASGI application that serves them."""

import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from ...arguments import flag
from ...errors import require
from ...http.bodies import Bodies
from ...http.bounds import Bounds
from ...http.signals import Signal
from ...http.urls import parse_server_url
from ..authentication import Nonces, Tokens, coordinator_name
from ..names import Hashes
from ..problems import ServiceProblem
from ..refusals import Kind
from .app import coordinator_app
from .common import problem_response
from .gate import Gate
from .limits import Limits
from .metrics import Metrics
from .operator import OperatorsResources
from .page.resources import page_resources
from .participants import ParticipantsResources
from .registry import Registry
from .sessions import Sessions
from .threads import Threads

OPERATOR = "operator"

log = logging.getLogger(__name__)


class Coordinator:
    """Sessions, and the application that serves them; it can be mounted in any other ASGI application:

        coordinator = Coordinator(folder, url="https://example.org/secagg", operator=token_hash(token))
        outer.mount("/secagg", coordinator)

    The application around it enters `running()` for as long as it serves, on the same event loop: a mounted application
    is not told of the start and the end. Where it is served alone, it is told, and enters `running()` by itself. A
    server that stops calls `let_go()` first, as `secagg serve` does, or it waits for all who look at the page.

    Args:
        folder: of state, for this coordinator alone; it is made if it is missing.
        url: under which participants know it; their signatures are for this URL.
        operator: the `token_hash` of the operator's token.
        participants: by name or number (0 .. 2^64 - 1), the `token_hash` of the participant's token; for sessions
            without a roster.
        limits: how much it accepts.
        bounds: what it takes of the contents of requests; connections and heads are the server's.
        clock: POSIX seconds.
        ticks: seconds that are never set back, for nonces.
        rand: source of random bytes.
        executor: runs the removal of masks; see `Server`.
        metrics_here: whether /metrics and /healthz/detail are resources of the application, for the operator alone.

    Attributes:
        url: as above, without slashes at its end.
        metrics: counts what is done.
        sessions: all of them.

    Raises:
        LocalProtocolError: the URL is none, or a hash has another length than 32 bytes.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        url: str,
        operator: bytes,
        participants: Hashes | None = None,
        limits: Limits | None = None,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        rand: Callable[[int], bytes] = os.urandom,
        executor: Executor | None = None,
        metrics_here: bool = True,
    ) -> None:
        parsed, limits = parse_server_url(url), limits or Limits()
        self.url = parsed.base
        self.metrics = Metrics()
        threads = Threads(limits.threads)
        registry = Registry(Path(folder), most=limits.sessions, clock=clock, executor=executor)
        self.sessions = Sessions(registry, threads, self.metrics, clock)
        self._stopping = Signal()
        self._running = False
        self._clock = clock
        bodies = Bodies(bounds or Bounds())
        nonces = Nonces(ticks, rand)
        self._gate = Gate(coordinator_name(parsed), Tokens({OPERATOR: operator}), Tokens(participants or {}), nonces)
        self._app = coordinator_app(
            ParticipantsResources(self.sessions, self._gate, bodies, limits, self.metrics, self._stopping),
            OperatorsResources(self.sessions, self._gate, bodies, limits, self.url),
            page_resources(self.sessions, self._gate, bodies, self.url, self._stopping, ticks, rand),
            self.metrics,
            self._gate,
            health=self.describe,
            metrics_here=flag(metrics_here, "metrics_here"),
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI says."""
        if scope["type"] == "http" and not self._running:
            log.error("a request came while the coordinator does not run: enter running() first")
            away = ServiceProblem(str(Kind.BUSY), "the coordinator does not run yet", retry_after=1)
            await problem_response(away)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep sessions until the block is left: open those in the folder, end rounds, remove what is old.

        Raises:
            LocalProtocolError: it runs already, or the folder is not one that only we can write to.
            OSError: the folder cannot be made or read.
        """
        require(not self._running, "this coordinator runs already")
        self._stopping.clear()
        await self.sessions.start()
        self._running = True
        try:
            yield
        finally:
            self._running = False
            self.let_go()
            await self.sessions.stop()

    def let_go(self) -> None:
        """Answer all who wait for news now: the server is about to stop. Called on the event loop."""
        self._stopping.set()

    def set_participants(self, participants: Hashes) -> None:
        """Other participants' tokens from now on.

        Args:
            participants: by name or number, the token's `token_hash`.

        Raises:
            LocalProtocolError: two names have one token, or a hash has another length than 32 bytes.
        """
        self._gate.set_participants(Tokens(participants))

    def describe(self) -> dict[str, Any]:
        """How the coordinator is: "ok", or "degraded" where a session could not be opened. No name of a participant."""
        unopened = self.sessions.unopened
        return {
            "status": "degraded" if unopened else "ok",
            "sessions": self.sessions.count(),
            "unopened": unopened,
        }

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        if self._running:  # an application around it has seen to that
            yield
            return
        async with self.running():
            yield
