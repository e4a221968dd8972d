"""The coordinator's resources as an ASGI application, /healthz for anybody, and /metrics for the operator.

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
from ...http.page.resources import PageResources
from ..resources import SESSIONS
from .common import Answering, Endpoint, WithNonce, no_resource
from .gate import Gate
from .metrics import Metrics
from .operator import OperatorsResources
from .page.resources import page_routes
from .participants import ParticipantsResources


def coordinator_app(
    participants: ParticipantsResources,
    operator: OperatorsResources,
    page: PageResources,
    metrics: Metrics,
    gate: Gate,
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
        gate: knows who may speak, and has the nonces of which each answer gives one.
        health: how the coordinator is, in detail.
        metrics_here: whether /metrics and /healthz/detail are resources of it, for the operator alone.
        lifespan: an asynchronous context manager of the application that runs while it does; None for none.
    """
    here, user = f"{SESSIONS}/{{session}}", f"{SESSIONS}/{{session}}/users/{{user}}"
    resources = [  # what is asked for most comes first
        ("GET", f"{user}/request", "request", participants.next_request),
        ("POST", f"{user}/answers/{{round}}", "answer", participants.answer),
        ("POST", f"{here}/join", "join", participants.join),
        ("GET", here, "status", operator.status),
        ("GET", f"{here}/roster", "roster", operator.roster),
        ("POST", f"{user}/leave", "leave", participants.leave),
        ("GET", f"{here}/result", "result", operator.result),
        ("GET", f"{here}/result/sum", "sum", operator.sum),
        ("POST", f"{here}/abort", "abort", operator.abort),
        ("GET", "/healthz", "healthz", _healthz),
    ]
    routes = [
        Route(path, Answering(metrics, name, endpoint), methods=[method]) for method, path, name, endpoint in resources
    ]
    create, listed = Answering(metrics, "create", operator.create), Answering(metrics, "list", operator.list)

    async def sessions(request: Request) -> Response:
        return await (create if request.method == "POST" else listed).answer(request)

    routes.append(Route(SESSIONS, sessions, methods=["GET", "POST"]))
    routes += page_routes(page, metrics)
    if metrics_here:
        for route in operators_routes(metrics.text, health):
            name = route.path.strip("/").replace("/", "-")
            endpoint = Answering(metrics, name, _for_operator(gate, route.endpoint))
            routes.append(Route(route.path, endpoint, methods=["GET"]))
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(WithNonce, gate.nonces)],
        exception_handlers={HTTPException: no_resource},
    )
    app.router.redirect_slashes = False  # to the name in the Host header, by http
    return app


def _for_operator(gate: Gate, endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        gate.check_operator(request)
        return await endpoint(request)

    return answer


async def _healthz(request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")
