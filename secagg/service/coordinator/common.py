"""What the coordinator's resources have in common: their answers, nonces, problem documents and contents."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...http.bodies import Bodies, Disconnected, Refusal
from ...http.page.problems import PageProblem
from ...http.problems import MEDIA_TYPE, problem_headers
from ..authentication import Nonces
from ..problems import INTERNAL, OTHER_CONTENT, ServiceProblem, of_refusal, of_status, to_document
from ..refusals import Refused
from ..resources import JSON, NONCE
from .metrics import Metrics

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


class Answering:
    """An endpoint that turns what is raised on purpose into a problem document, and counts requests.

    It is an ASGI application, which a Route calls as it is. A function it would wrap, to catch what is caught here.

    Args:
        metrics: counts them.
        name: of the resource.
        endpoint: answers a request or raises.
    """

    def __init__(self, metrics: Metrics, name: str, endpoint: Endpoint) -> None:
        self._name = name
        self._endpoint = endpoint
        self._seconds = metrics.request_seconds.labels(name)
        self._counted = lru_cache(lambda status: metrics.requests.labels(name, str(status)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI says."""
        response = await self.answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to a request.

        Args:
            request: of anybody.
        """
        started = time.perf_counter()
        try:
            if b"%" in request.scope.get("raw_path", b""):  # one spelling of each path: the one that is signed
                raise HTTPException(HTTPStatus.NOT_FOUND)
            response = await self._endpoint(request)
        except ServiceProblem as problem:
            response = problem_response(problem)
        except PageProblem as refused:
            response = problem_response(ServiceProblem(refused.kind, str(refused), retry_after=refused.retry_after))
        except Refused as refused:
            response = problem_response(of_refusal(refused))
        except Refusal as refusal:
            response = problem_response(of_status(refusal.status, str(refusal), refusal.retry_after))
        except HTTPException as error:
            response = await no_resource(request, error)
        except Disconnected:
            response = Response(status_code=499)
        except Exception:
            log.exception("%s failed", self._name)
            response = problem_response(ServiceProblem(INTERNAL, "internal error; see the server's log"))
        self._seconds.observe(time.perf_counter() - started)
        self._counted(response.status_code).inc()
        return response


async def no_resource(request: Request, error: Exception) -> Response:
    """404 and 405 as problem documents.

    Args:
        request: of anybody.
        error: Starlette's.
    """
    assert isinstance(error, HTTPException)
    missing = error.status_code == HTTPStatus.NOT_FOUND
    detail = "there is no such resource" if missing else error.detail
    response = problem_response(of_status(error.status_code, detail))
    response.headers.update(error.headers or {})
    return response


def problem_response(problem: ServiceProblem) -> Response:
    """A problem document as a response, with the headers that belong to it.

    Args:
        problem: what went wrong.
    """
    headers = problem_headers(problem.status, problem.retry_after, "SecAgg, Bearer")
    return Response(to_document(problem), problem.status, headers, MEDIA_TYPE)


def json_text(value: Any) -> str:
    """A value as JSON. What grows with the users is written on a thread.

    Args:
        value: what JSON can write.
    """
    return json.dumps(value) + "\n"


def json_response(value: Any, status: int = HTTPStatus.OK, **headers: str) -> Response:
    """A short value as JSON.

    Args:
        value: what JSON can write.
        status: of HTTP.
        headers: beside the media type.
    """
    return Response(json_text(value), status, headers, JSON)


async def whole_content(bodies: Bodies, request: Request, max_bytes: int, digest: bytes | None) -> bytes:
    """A short content, in memory.

    Args:
        bodies: reads it.
        request: whose content was not read yet.
        max_bytes: the largest size.
        digest: that it must have; None for any.

    Raises:
        ServiceProblem: it has another digest.
        Refusal: it is too long or too slow, or there is no room for it now.
        Disconnected: the peer went away.
    """
    async with bodies.read(request.scope, request.receive, max_bytes) as content:
        if digest is not None and not compare_digest(sha256(content).digest(), digest):
            raise other_content()
        return content


def other_content() -> ServiceProblem:
    """The content is not the one that was stated."""
    return ServiceProblem(OTHER_CONTENT, "the content is not the one whose SHA-256 is in Content-Digest")


class WithNonce:
    """Every answer has a fresh nonce, and is not to be stored.

    Args:
        app: ASGI's, that answers.
        nonces: gives them.
    """

    def __init__(self, app: ASGIApp, nonces: Nonces) -> None:
        self._app = app
        self._nonces = nonces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_nonce(message: Message) -> None:
            if message["type"] == "http.response.start":
                nonce = (NONCE.lower().encode(), self._nonces.issue().encode())
                message["headers"] = [*message.get("headers", ()), nonce, (b"cache-control", b"no-store")]
            await send(message)

        await self._app(scope, receive, send_with_nonce)
