"""The page's resources. A cookie lets a browser look on, and sign out; it is no credential anywhere else.

GET    /             the page
GET    /page/visit   whether the cookie serves
POST   /page/visit   sign in: the operator's token for a cookie
DELETE /page/visit   sign out
GET    /page/events  what the page shows, as it changes
"""

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ....http.bodies import Bodies
from ....http.capacity import Capacity
from ....http.urls import parse_server_url
from ...problems import FORBIDDEN, MALFORMED, UNAUTHENTICATED, WRONG_TOKENS, ServiceProblem
from ..common import Answering, json_response, whole_content
from ..gate import Gate
from ..metrics import Metrics
from ..sessions import Sessions
from ..signals import Signal
from .attempts import Attempts
from .document import OWN_HEADERS, load
from .events import Events, EventStream
from .guard import check_own
from .visits import VISIT_SECONDS, Visit, Visits

SIGN_IN_BYTES = 1024
STREAMS_MAX = 16
"""At once, of all browsers."""

COOKIE = "secagg-page"

log = logging.getLogger(__name__)


class PageResources:
    """What a browser asks for.

    Args:
        sessions: all of them.
        gate: knows the operator's token.
        bodies: reads requests' contents.
        url: the coordinator's.
        stopping: set once the coordinator is about to stop.
        clock: seconds that are never set back.
        rand: source of random bytes.
    """

    def __init__(
        self,
        sessions: Sessions,
        gate: Gate,
        bodies: Bodies,
        url: str,
        stopping: Signal,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._gate = gate
        self._bodies = bodies
        self._url = url
        self._document = load()
        self._visits = Visits(clock, rand)
        self._attempts = Attempts(clock)
        self._events = Events(sessions, self._visits, stopping)
        self._streams = Capacity(STREAMS_MAX)

    def routes(self, metrics: Metrics) -> list[Route]:
        """Where they are.

        Args:
            metrics: counts requests.
        """
        return [
            Route("/", Answering(metrics, "page", self.page), methods=["GET"]),
            Route("/page/events", Answering(metrics, "page-events", self.events), methods=["GET"]),
            Route("/page/visit", Answering(metrics, "page-visit", self.visit), methods=["GET", "POST", "DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        """GET /.

        Args:
            request: of anybody.
        """
        _check_no_query(request)
        return Response(self._document.content, headers=self._document.headers, media_type="text/html")

    async def visit(self, request: Request) -> Response:
        """GET, POST and DELETE /page/visit.

        Args:
            request: of the page.
        """
        _check_no_query(request)
        check_own(request, self._url)
        if request.method == "POST":
            return await self._sign_in(request)
        visit = self._visit(request)
        if request.method == "DELETE" and visit is not None:
            self._visits.end(visit)
            return self._answer(request, signed_in=False, cookie="", age=0)
        return self._answer(request, signed_in=visit is not None)

    async def events(self, request: Request) -> Response:
        """GET /page/events.

        Args:
            request: of the page, with its cookie.
        """
        _check_no_query(request)
        check_own(request, self._url)
        visit = self._visit(request)
        if visit is None:
            raise ServiceProblem(UNAUTHENTICATED, "sign in on the page")
        held = ExitStack()
        held.enter_context(self._streams.reserve())
        return EventStream(self._events.stream(visit), held, OWN_HEADERS)

    # --- Signing in -------------------------------------------------------------------------------------------------

    async def _sign_in(self, request: Request) -> Response:
        token = _token(await whole_content(self._bodies, request, SIGN_IN_BYTES, None))
        address = "" if request.client is None else request.client.host

        # Nothing is awaited from here on: tokens that come at once are looked at one after the other.
        pause = self._attempts.pause(address)
        if pause > 0:
            raise ServiceProblem(WRONG_TOKENS, "too many wrong tokens: wait a little", retry_after=pause)
        if not self._gate.is_operators_token(token):
            self._attempts.wrong(address)
            log.warning("a wrong token was typed on the page")
            raise ServiceProblem(FORBIDDEN, "this is not the operator's token")
        self._attempts.right(address)
        before = self._visit(request)
        if before is not None:
            self._visits.end(before)
        return self._answer(request, signed_in=True, cookie=self._visits.begin(), age=VISIT_SECONDS)

    def _visit(self, request: Request) -> Visit | None:
        return self._visits.find(request.cookies.get(self._cookie_name(request)))

    def _answer(self, request: Request, *, signed_in: bool, cookie: str | None = None, age: int = 0) -> Response:
        response = json_response({"signed_in": signed_in}, HTTPStatus.OK, **OWN_HEADERS)
        if cookie is not None:
            response.set_cookie(
                self._cookie_name(request),
                cookie,
                max_age=age,
                path=f"{parse_server_url(self._url).path}/page",
                secure=self._is_secure(request),
                httponly=True,
                samesite="strict",
            )
        return response

    def _cookie_name(self, request: Request) -> str:
        """The prefix keeps whoever speaks plain HTTP in the host's name from setting the cookie."""
        return f"__Secure-{COOKIE}" if self._is_secure(request) else COOKIE

    def _is_secure(self, request: Request) -> bool:
        return self._url.startswith("https:") or request.url.scheme == "https"


def _check_no_query(request: Request) -> None:
    """What is in a URL is in histories and logs: so nothing of it is ever looked at."""
    if request.scope["query_string"]:
        raise ServiceProblem(MALFORMED, "this takes nothing in the URL")


def _token(content: bytes) -> str:
    try:
        token = json.loads(content)["token"]
    except (ValueError, RecursionError, LookupError, TypeError):
        token = None
    if not isinstance(token, str):
        raise ServiceProblem(MALFORMED, "the content must be a JSON object with the token")
    return token
