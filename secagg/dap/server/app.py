"""Leader and Helper as ASGI applications: all resources of the draft's appendix A, and /healthz and /metrics.

Blocking work runs on threads. The event loop only decodes short uploads, which come in large numbers.
"""

from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ...http.metrics_server import operators_routes
from ..aggregator.helper import Helper
from ..aggregator.leader import Leader
from ..dialect import DEFAULT, DIALECTS, Dialect
from ..media_types import is_media_type
from ..problems import REFUSED
from ..taskprov import HEADER
from .common import Context, answering, find_task, no_resource
from .helper import HelperResources
from .leader import LeaderResources


def leader_app(leader: Leader, context: Context, lifespan: Any = None) -> Starlette:
    """The Leader as an ASGI application.

    Args:
        leader: does the work.
        context: what every resource needs.
        lifespan: an asynchronous context manager of the application that runs while it does; None for none.
    """
    resources = LeaderResources(leader, context)
    return _app(context, resources.routes(), resources.lifespan, lifespan)


def helper_app(helper: Helper, context: Context, lifespan: Any = None) -> Starlette:
    """The Helper as an ASGI application.

    Args:
        helper: does the work.
        context: what every resource needs.
        lifespan: an asynchronous context manager of the application that runs while it does; None for none.
    """
    return _app(context, HelperResources(helper, context).routes(), None, lifespan)


def _app(context: Context, routes: list[Route], *lifespans: Any) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with _entered(app, [given for given in lifespans if given is not None]):
            yield

    async def healthz(request: Request) -> Response:
        await run_in_threadpool(context.directory.key_pairs)
        return Response("ok\n", media_type="text/plain")

    common = [
        Route("/hpke_config", answering(context, "hpke_config", _HpkeConfig(context)), methods=["GET"]),
        Route("/healthz", answering(context, "healthz", healthz), methods=["GET"]),
    ]
    if context.metrics_here:
        common += operators_routes(context.metrics.text, context.health)
    cors = Middleware(
        _BrowserCors,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", HEADER],
        expose_headers=["Location", "Retry-After", REFUSED],
    )
    app = Starlette(
        routes=[*routes, *common],
        lifespan=lifespan,
        middleware=[cors],
        exception_handlers={HTTPException: no_resource},
    )
    app.router.redirect_slashes = False  # to the name in the Host header, by http
    return app


class _BrowserCors(CORSMiddleware):
    """CORS for what a Client in a browser asks for, from a page of any other origin; nothing else answers other pages,
    and the metrics least of all. A Client sends no credentials but a token that its page was given."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        path = scope.get("path", "")
        for_clients = path == "/hpke_config" or (path.startswith("/tasks/") and path.endswith("/reports"))
        await (super().__call__ if for_clients else self.app)(scope, receive, send)


@asynccontextmanager
async def _entered(app: Starlette, lifespans: list[Any]) -> Any:
    if not lifespans:
        yield
        return
    async with lifespans[0](app), _entered(app, lifespans[1:]):
        yield


def _accepted(media_types: list[str]) -> Dialect:
    """The first dialect whose list of HPKE configurations is among these media types."""
    for dialect in DIALECTS.values():
        if any(is_media_type(each, dialect.hpke_config_list_media_type, dialect.tag) for each in media_types):
            return dialect
    return DEFAULT


class _HpkeConfig:
    """GET hpke_config, in the dialect of the task that the request names, or else that it accepts (section 4.4.1)."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, request: Request) -> Response:
        dialect = _accepted(request.headers.get("accept", "").split(","))
        asked = request.query_params.get("task_id")
        if asked is not None:
            record = await find_task(self._context, asked)
            dialect = record.task.dialect
        configs = await run_in_threadpool(self._context.directory.advertised)
        response = Response(configs.encode(), headers={"Cache-Control": f"max-age={self._context.limits.key_cache}"})
        response.headers["Content-Type"] = dialect.hpke_config_list_media_type
        return response
