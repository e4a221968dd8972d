"""The page as an application on an address of its own, apart from what Clients and the other Aggregator reach.

GET    /                  the page
GET    /page/visit        and POST and DELETE: see `secagg.http.page.resources`
GET    /page/events       the first page of tasks, as it changes
GET    /page/events/{n}   the n-th
"""

import os
import re
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ....http.addresses import bound
from ....http.bodies import Bodies
from ....http.bounds import Bounds
from ....http.page.document import load
from ....http.page.problems import PageProblem
from ....http.page.resources import PageResources
from ....http.page.visits import Visits
from ....http.problems import NO_TYPE
from ....http.server import configured
from ....http.serving import listening_url
from ....http.signals import Signal
from ...messages import Role
from ...problems import DapProblem
from ...secrets import token_matches
from ...store.engine import Store
from ..common import Context, Endpoint, answering, no_resource
from .events import Events

CONNECTIONS = 60
"""Three for each of the streams that there may be, and some."""

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


class Page:
    """A page of one Aggregator.

    Args:
        context: with the clock and the counters.
        store: of this Aggregator.
        role: LEADER or HELPER.
        url: under which the operator's browser knows it.
        token: the `token_hash` of the operator's token.
        ticks: seconds that are never set back.
        rand: source of random bytes.

    Attributes:
        app: the application.
    """

    def __init__(
        self,
        context: Context,
        store: Store,
        role: Role,
        url: str,
        token: bytes,
        ticks: Callable[[], float] = time.monotonic,
        rand: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._stopping = Signal()
        self._loop: AbstractEventLoop | None = None
        name = role.name.lower()
        visits = Visits(ticks, rand)
        events = Events(store, role, visits, self._stopping, context.clock)
        document = load(Path(__file__).parent, f"DAP {name.capitalize()}", "tasks", "secagg dap task list")
        self._resources = PageResources(
            document,
            lambda typed: token_matches(typed.encode(errors="surrogatepass"), token),
            lambda visit, request: events.stream(visit, _page_number(request)),
            visits,
            Bodies(Bounds()),
            url,
            f"secagg-{name}-page",
            ticks,
        )
        self.app = Starlette(
            routes=self._routes(context),
            lifespan=self._lifespan,
            middleware=[Middleware(_NotStored)],
            exception_handlers={HTTPException: no_resource},
        )
        self.app.router.redirect_slashes = False

    def let_go(self) -> None:
        """End all streams: the server is about to stop. Any thread may call it."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._stopping.set)

    def _routes(self, context: Context) -> list[Route]:
        resources = self._resources.resources()
        paged = [each._replace(path=f"{each.path}/{{number}}") for each in resources if each.name == "page-events"]
        return [
            Route(each.path, answering(context, each.name, _refusing(each.endpoint)), methods=each.methods)
            for each in (*resources, *paged)
        ]

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = get_running_loop()
        yield
        self._loop = None


@contextmanager
def page_served(
    place: str, address: str | None, make: Callable[[str], Page], announce: Callable[[str], None]
) -> Iterator[None]:
    """The page on an address, from a thread with an event loop of its own, until the block is left.

    Args:
        place: where the address stands, such as `leader.toml: [page]`, for the error.
        address: host and port; None to serve nothing.
        make: makes the page, from the URL of this address.
        announce: is told that URL.

    Raises:
        ConfigError: nobody can listen there.
    """
    if address is None:
        yield
        return
    with bound(place, address) as sock:
        url = listening_url(sock, tls=False)
        page = make(url)
        bounds = Bounds(connections=CONNECTIONS)
        server = uvicorn.Server(configured(page.app, bounds, lifespan="on", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, args=([sock],), name="page")
        thread.start()
        try:
            announce(url)
            yield
        finally:
            page.let_go()
            server.should_exit = True
            thread.join()


def _page_number(request: Request) -> int:
    text: str = request.path_params.get("number", "1")
    return int(text)


def _refusing(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose refusals are those of DAP, and which has no page whose number is none."""

    async def answer(request: Request) -> Response:
        number: str = request.path_params.get("number", "1")
        if _NUMBER.fullmatch(number) is None or b"%" in request.scope.get("raw_path", b""):  # one spelling of each
            raise DapProblem(NO_TYPE, "there is no such resource", status=404)
        try:
            return await endpoint(request)
        except PageProblem as problem:
            raise DapProblem(NO_TYPE, str(problem), status=problem.status, retry_after=problem.retry_after) from None

    return answer


class _NotStored:
    """No answer is to be stored.

    Args:
        app: ASGI's, that answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
            await send(message)

        await self._app(scope, receive, send_with_header)
