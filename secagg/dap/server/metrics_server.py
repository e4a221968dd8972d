"""The metrics on an address of their own, for a monitor that reaches what the public does not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...http.bounds import Bounds
from ...http.server import configured
from .addresses import bound
from .config import Config

CONNECTIONS = 20


@contextmanager
def metrics_served(config: Config, table: str, address: str | None, text: Callable[[], bytes]) -> Iterator[None]:
    """GET /metrics on an address, from a thread, until the block is left.

    Args:
        config: that the address stands in.
        table: its table there.
        address: host and port; None to serve nothing.
        text: all numbers in Prometheus' format.

    Raises:
        ConfigError: nobody can listen there.
    """
    if address is None:
        yield
        return
    with bound(config, table, address) as sock:
        server = uvicorn.Server(
            configured(_app(text), Bounds(connections=CONNECTIONS), lifespan="off", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([sock],), name="metrics")
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def metrics_route(text: Callable[[], bytes]) -> Route:
    """The resource /metrics.

    Args:
        text: all numbers in Prometheus' format.
    """

    async def metrics(request: Request) -> Response:
        return Response(await run_in_threadpool(text), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics, methods=["GET"])


def _app(text: Callable[[], bytes]) -> Starlette:
    return Starlette(routes=[metrics_route(text)])
