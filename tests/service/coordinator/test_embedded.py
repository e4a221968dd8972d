"""A coordinator inside somebody else's application, under a prefix."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from secagg import LocalProtocolError, Round
from secagg.service import Coordinator
from secagg.service.authentication import token_hash
from secagg.service.resources import NONCE, SESSIONS

from ...support.coordinators import kept, problem_type, seated, sum_of


def mounted(coordinator: Coordinator) -> Starlette:
    """An application with a page of its own, and the coordinator under /sums."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with coordinator.running():
            yield

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ours")

    return Starlette(routes=[Route("/", page), Mount("/sums", app=coordinator)], lifespan=lifespan)


@pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])
def test_it_works_under_a_prefix(tmp_path: Path, active: bool) -> None:
    with kept(tmp_path / "state", wrap=mounted, prefix="/sums") as here:
        assert here.http.get(here.url.removesuffix("/sums") + "/").text == "ours"
        created = here.create(n=4, length=3, name="another")
        assert created["url"] == f"{here.url}{SESSIONS}/another"
        table = seated(here, active=active)
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
        assert sum_of(here, table.session).tolist() == [10] * 5
        missing = here.http.get(f"{here.url}/v1/nothing")
        assert (missing.status_code, problem_type(missing)) == (404, "no-resource")
        assert NONCE in missing.headers


def test_it_says_what_is_missing_where_nobody_runs_it(tmp_path: Path) -> None:
    def not_run(coordinator: Coordinator) -> Starlette:
        return Starlette(routes=[Mount("/sums", app=coordinator)])

    with kept(tmp_path / "state", wrap=not_run, prefix="/sums") as here:
        response = here.http.get(here.url + "/healthz")
        assert (response.status_code, problem_type(response)) == (503, "busy")


@pytest.mark.parametrize("url", ["coordinator.example", "ftp://coordinator.example", "https://a@b"])
def test_a_url_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(LocalProtocolError):
        Coordinator(tmp_path, url=url, operator=token_hash("x"))
