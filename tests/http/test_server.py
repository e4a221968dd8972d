"""Event loops of one process: each has connections and a buffer of its own."""

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from secagg.http.bounds import Bounds
from secagg.http.server import configured

from ..support.world import serving

REQUESTS = 300
LONG = 20_000  # bytes, which arrive in one read


@pytest.fixture
def echoes() -> Iterator[list[str]]:
    """The URLs of two servers, each in a thread, that answer with what they are sent: an Aggregator and its metrics
    are two such."""

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    apps = [Starlette(routes=[Route("/", echo, methods=["POST"])]) for _ in range(2)]
    with serving(*apps) as urls:
        yield urls


def test_two_servers_of_one_process_never_mix_their_requests(echoes: list[str]) -> None:
    wrong = []

    def ask(url: str, content: bytes) -> None:
        with httpx.Client() as client:
            for _ in range(REQUESTS):
                response = client.post(url, content=content)
                if (response.status_code, response.content) != (200, content):
                    wrong.append((response.status_code, response.content[:80]))

    threads = [
        threading.Thread(target=ask, args=(url, letter * LONG))
        for url, letter in zip(echoes, (b"a", b"b"), strict=True)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_configuration_reaches_other_processes() -> None:
    """As uvicorn gives it to those that it starts for `processes = 2`, each with a buffer of its own."""
    mine: Any = configured("secagg.dap.server.app:leader_app", Bounds()).http
    theirs = pickle.loads(pickle.dumps(mine))
    assert theirs.args[1:] == mine.args[1:]
    assert theirs.args[3] is not mine.args[3]
