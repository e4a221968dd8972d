"""The coordinator's resources as an ASGI application, and /healthz and /metrics.

Blocking work runs on threads. The event loop checks who speaks, and passes bytes on.
"""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...http.metrics_server import operators_routes
from ..authentication import Nonces
from ..resources import SESSIONS
from .common import WithNonce, answering, no_resource
from .metrics import Metrics
from .operator import OperatorsResources
from .page.resources import PageResources
from .participants import ParticipantsResources


def coordinator_app(
    participants: ParticipantsResources,
    operator: OperatorsResources,
    page: PageResources,
    metrics: Metrics,
    nonces: Nonces,
    *,
    health: Callable[[], dict[str, Any]],
    metrics_here: bool,
    lifespan: Any = None,
) -> Starlette:
    """The application.

    Args:
        participants: their resources.
        operator: the operator's.
        page: those of the page in a browser.
        metrics: counts requests.
        nonces: gives one with each answer.
        health: how the coordinator is, in detail.
        metrics_here: whether /metrics and /healthz/detail are resources of it, and not on an address of their own.
        lifespan: an asynchronous context manager of the application that runs while it does; None for none.
    """
    here, user = f"{SESSIONS}/{{session}}", f"{SESSIONS}/{{session}}/users/{{user}}"
    resources = [
        ("GET", here, "status", operator.status),
        ("POST", f"{here}/join", "join", participants.join),
        ("GET", f"{user}/request", "request", participants.next_request),
        ("POST", f"{user}/answers/{{round}}", "answer", participants.answer),
        ("GET", f"{here}/result", "result", operator.result),
        ("GET", f"{here}/result/sum", "sum", operator.sum),
        ("POST", f"{here}/abort", "abort", operator.abort),
        ("GET", "/healthz", "healthz", _healthz),
    ]
    routes = [
        Route(path, answering(metrics, name, endpoint), methods=[method]) for method, path, name, endpoint in resources
    ]
    create, listed = answering(metrics, "create", operator.create), answering(metrics, "list", operator.list)

    async def sessions(request: Request) -> Response:
        return await (create if request.method == "POST" else listed)(request)

    routes.append(Route(SESSIONS, sessions, methods=["GET", "POST"]))
    routes += page.routes(metrics)
    if metrics_here:
        routes += operators_routes(metrics.text, health)
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(WithNonce, nonces)],
        exception_handlers={HTTPException: no_resource},
    )
    app.router.redirect_slashes = False  # to the name in the Host header, by http
    return app


async def _healthz(request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")
