"""The coordinator's page: see `secagg.http.page`."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from starlette.routing import Route

from ....http.bodies import Bodies
from ....http.page.document import load
from ....http.page.resources import PageResources
from ....http.page.visits import Visits
from ....http.signals import Signal
from ..common import Answering
from ..gate import Gate
from ..metrics import Metrics
from ..sessions import Sessions
from .events import Events

COOKIE = "secagg-page"


def page_resources(
    sessions: Sessions,
    gate: Gate,
    bodies: Bodies,
    url: str,
    stopping: Signal,
    clock: Callable[[], float] = time.monotonic,
    rand: Callable[[int], bytes] = os.urandom,
) -> PageResources:
    """What a browser asks a coordinator for.

    Args:
        sessions: all of them.
        gate: knows the operator's token.
        bodies: reads requests' contents.
        url: the coordinator's.
        stopping: set once the coordinator is about to stop.
        clock: seconds that are never set back.
        rand: source of random bytes.
    """
    document = load(Path(__file__).parent, "SecAgg coordinator", "sessions", "secagg session status")
    visits = Visits(clock, rand)
    events = Events(sessions, visits, stopping)
    return PageResources(
        document,
        gate.is_operators_token,
        lambda visit, request: events.stream(visit),
        visits,
        bodies,
        url,
        COOKIE,
        clock,
    )


def page_routes(page: PageResources, metrics: Metrics) -> list[Route]:
    """Where the page's resources are.

    Args:
        page: its resources.
        metrics: counts requests.
    """
    return [
        Route(each.path, Answering(metrics, each.name, each.endpoint), methods=each.methods)
        for each in page.resources()
    ]
