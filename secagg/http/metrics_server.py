"""Metrics and health in detail on an address of their own, for a monitor that reaches what the public does not."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .addresses import bound
from .bounds import Bounds
from .server import configured

CONNECTIONS = 20


Text = Callable[[], bytes]
Description = Callable[[], dict[str, Any]]


@contextmanager
def metrics_served(place: str, address: str | None, text: Text, health: Description) -> Iterator[None]:
    """GET /metrics and /healthz/detail on an address, from a thread, until the block is left.

    Args:
        place: where the address stands, such as `leader.toml: [server]`, for the error.
        address: host and port; None to serve nothing.
        text: all numbers in Prometheus' format.
        health: how the server is in detail.

    Raises:
        ConfigError: nobody can listen there.
    """
    if address is None:
        yield
        return
    with bound(place, address) as sock:
        app = Starlette(routes=operators_routes(text, health))
        server = uvicorn.Server(
            configured(app, Bounds(connections=CONNECTIONS), lifespan="off", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([sock],), name="metrics")
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def operators_routes(text: Text, health: Description | None) -> list[Route]:
    """The resources /metrics and /healthz/detail.

    Args:
        text: all numbers in Prometheus' format.
        health: how the server is in detail; None to do without.
    """

    async def metrics(request: Request) -> Response:
        return Response(await run_in_threadpool(text), media_type=CONTENT_TYPE_LATEST)

    async def detail(request: Request) -> Response:
        found = await run_in_threadpool(health or dict)
        status = HTTPStatus.SERVICE_UNAVAILABLE if found["status"] == "failing" else HTTPStatus.OK
        return Response(json.dumps(found, indent=2) + "\n", status, media_type="application/json")

    routes = [Route("/metrics", metrics, methods=["GET"])]
    return routes if health is None else [*routes, Route("/healthz/detail", detail, methods=["GET"])]
