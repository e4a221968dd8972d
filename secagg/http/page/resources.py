"""A page's resources. A cookie lets a browser look on, and sign out; it is no credential anywhere else.

GET    /             the page
GET    /page/visit   whether the cookie serves
POST   /page/visit   sign in: the operator's token for a cookie
DELETE /page/visit   sign out
GET    /page/events  what the page shows, as it changes
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ..bodies import Bodies
from ..capacity import Capacity
from ..urls import parse_server_url
from .attempts import Attempts
from .document import OWN_HEADERS, Document
from .guard import check_own
from .problems import FORBIDDEN, MALFORMED, UNAUTHENTICATED, WRONG_TOKENS, PageProblem
from .stream import EventStream
from .visits import VISIT_SECONDS, Visit, Visits

SIGN_IN_BYTES = 1024
STREAMS_MAX = 16
"""At once, of all browsers."""

log = logging.getLogger(__name__)

Listen = Callable[[Visit, Request], AsyncIterator[str]]
"""The events of a stream that a browser asks for by this request."""


class Resource(NamedTuple):
    """One of a page's resources.

    Attributes:
        path: below the server's URL.
        name: for the metrics.
        endpoint: answers, or raises PageProblem, Refusal or Disconnected.
        methods: that it takes.
    """

    path: str
    name: str
    endpoint: Callable[[Request], Awaitable[Response]]
    methods: list[str]


class PageResources:
    """What a browser asks for.

    Args:
        document: the page.
        is_token: whether what somebody typed is the operator's token; it compares in constant time.
        listen: gives the events of a stream.
        visits: the browsers that are signed in.
        bodies: reads requests' contents.
        url: the server's.
        cookie: its name. Browsers send a cookie to all ports of a host, so that each server has a name of its own.
        clock: seconds that are never set back.
    """

    def __init__(
        self,
        document: Document,
        is_token: Callable[[str], bool],
        listen: Listen,
        visits: Visits,
        bodies: Bodies,
        url: str,
        cookie: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._document = document
        self._is_token = is_token
        self._listen = listen
        self._visits = visits
        self._bodies = bodies
        self._url = url
        self._cookie = cookie
        self._attempts = Attempts(clock)
        self._streams = Capacity(STREAMS_MAX)

    def resources(self) -> list[Resource]:
        """All of them."""
        return [
            Resource("/", "page", self.page, ["GET"]),
            Resource("/page/events", "page-events", self.events, ["GET"]),
            Resource("/page/visit", "page-visit", self.visit, ["GET", "POST", "DELETE"]),
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
            raise PageProblem(UNAUTHENTICATED, "sign in on the page")
        held = ExitStack()
        held.enter_context(self._streams.reserve())
        return EventStream(self._listen(visit, request), held, OWN_HEADERS)

    # --- Signing in -------------------------------------------------------------------------------------------------

    async def _sign_in(self, request: Request) -> Response:
        async with self._bodies.read(request.scope, request.receive, SIGN_IN_BYTES) as content:
            token = _token(content)
        address = "" if request.client is None else request.client.host

        # Nothing is awaited from here on: tokens that come at once are looked at one after the other.
        pause = self._attempts.pause(address)
        if pause > 0:
            raise PageProblem(WRONG_TOKENS, "too many wrong tokens: wait a little", retry_after=pause)
        if not self._is_token(token):
            self._attempts.wrong(address)
            log.warning("a wrong token was typed on the page")
            raise PageProblem(FORBIDDEN, "this is not the operator's token")
        self._attempts.right(address)
        before = self._visit(request)
        if before is not None:
            self._visits.end(before)
        return self._answer(request, signed_in=True, cookie=self._visits.begin(), age=VISIT_SECONDS)

    def _visit(self, request: Request) -> Visit | None:
        return self._visits.find(request.cookies.get(self._cookie_name(request)))

    def _answer(self, request: Request, *, signed_in: bool, cookie: str | None = None, age: int = 0) -> Response:
        content = json.dumps({"signed_in": signed_in}) + "\n"
        response = Response(content, HTTPStatus.OK, OWN_HEADERS, "application/json")
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
        return f"__Secure-{self._cookie}" if self._is_secure(request) else self._cookie

    def _is_secure(self, request: Request) -> bool:
        return self._url.startswith("https:") or request.url.scheme == "https"


def _check_no_query(request: Request) -> None:
    """What is in a URL is in histories and logs: so nothing of it is ever looked at."""
    if request.scope["query_string"]:
        raise PageProblem(MALFORMED, "this takes nothing in the URL")


def _token(content: bytes) -> str:
    try:
        token = json.loads(content)["token"]
    except (ValueError, RecursionError, LookupError, TypeError):
        token = None
    if not isinstance(token, str):
        raise PageProblem(MALFORMED, "the content must be a JSON object with the token")
    return token
