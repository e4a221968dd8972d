"""Attacks on a Leader's page: by other sites in the operator's browser, by peers' words, and by whoever has no token.

What all pages share is attacked at the coordinator's, in tests/attacks/service/test_page.py.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from secagg.dap.server.page.view import TASKS_SHOWN
from secagg.dap.store.leader_jobs import lease_job, postpone_job
from secagg.http.page.attempts import FREE
from secagg.http.page.guard import HEADER

from ...support.dap_pages import OPERATOR, Shown, shown
from ...support.onlooker import SAME_ORIGIN, Looker, until
from ...support.processes import PATIENCE
from ...support.world import COLLECTOR_TOKEN, MIN_BATCH, PEER_TOKEN, Urls, World

WORDS = 'no\n\nevent: end\ndata: "stopping"\n\n<img src=x onerror=alert(1)>\u2028\u202e'


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        world = World(Urls(f"sqlite:///{folder}/leader.db", f"sqlite:///{folder}/helper.db"))
        stack.callback(world.close)
        yield stack.enter_context(shown(world))


@pytest.fixture
def stranger(here: Shown) -> Iterator[Looker]:
    """Not signed in."""
    with here.looker() as somebody:
        yield somebody


@pytest.fixture
def onlooker(stranger: Looker) -> Looker:
    """Signed in."""
    assert stranger.sign_in().status_code == 200
    return stranger


PATHS = pytest.mark.parametrize("path", ["/page/events", "/page/events/1", f"/page/events/{10**5}"])


@PATHS
def test_a_stream_takes_the_cookie_and_no_token(stranger: Looker, path: str) -> None:
    tokens = (OPERATOR, PEER_TOKEN.decode(), COLLECTOR_TOKEN.decode())
    for token in tokens:
        headers = {**SAME_ORIGIN, "Authorization": f"Bearer {token}", "DAP-Auth-Token": token}
        assert stranger.ask("GET", path, headers).status_code == 401
        for name in ("secagg-leader-page", "secagg-page", "secagg-helper-page"):
            answer = httpx.get(stranger.url + path, headers={"Cookie": f"{name}={token}"}, timeout=PATIENCE)
            assert answer.status_code == 401
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("token", [PEER_TOKEN.decode(), COLLECTOR_TOKEN.decode(), "", OPERATOR[:-1], "\ud800"])
def test_the_tokens_of_a_task_sign_nobody_in(here: Shown, stranger: Looker, token: str) -> None:
    with here.looker() as operator:
        assert operator.sign_in().status_code == 200  # wrong tokens before are forgotten, and nobody has to pause
    content = ('{"token": "' + token.replace("\ud800", "\\ud800") + '"}').encode()
    response = stranger.ask("POST", "/page/visit", content=content)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert not stranger.signed_in


@PATHS
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=repr)
def test_another_site_reads_no_events(onlooker: Looker, path: str, headers: dict[str, str]) -> None:
    """Not even where a browser would send the cookie along."""
    assert onlooker.ask("GET", path, headers).status_code == 403


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("headers", [{HEADER: "1"}, {HEADER: "1", "Origin": "https://evil.example"}, {}], ids=repr)
def test_another_site_signs_nobody_in_or_out(onlooker: Looker, method: str, headers: dict[str, str]) -> None:
    response = onlooker.ask(method, "/page/visit", headers, json={"token": OPERATOR})
    assert response.status_code == 403
    assert onlooker.signed_in


def test_no_site_is_let_read_or_ask(onlooker: Looker) -> None:
    """The Aggregator's own address answers Clients in browsers of other sites; the page's does not."""
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for path in ("/", "/page/visit", "/page/events", "/hpke_config"):
        for method in ("GET", "OPTIONS"):
            response = onlooker.ask(method, path, asks)
            assert [name for name in response.headers if name.startswith("access-control")] == []
    assert onlooker.ask("GET", "/hpke_config").status_code == 404


@pytest.mark.parametrize("number", ["0", "-1", "01", "1" * 7, "9" * 5000, "x", "%31", "1/2", "\u0661", "1.0", "+1"])
def test_a_page_of_no_number_is_none(onlooker: Looker, number: str) -> None:
    assert onlooker.ask("GET", f"/page/events/{number}").status_code == 404


@pytest.mark.parametrize("path", ["/", "/page/visit", "/page/events", "/page/events/2"])
def test_a_secret_in_a_url_is_refused(onlooker: Looker, path: str) -> None:
    assert onlooker.ask("GET", f"{path}?token={OPERATOR}").status_code == 400


def test_guessing_pauses_who_guesses(tmp_path: Path) -> None:
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    with shown(world, ticks=lambda: 0.0) as page, page.looker() as looker:
        for _ in range(FREE):
            assert looker.sign_in("wrong").status_code == 403
        response = looker.sign_in()
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert not looker.signed_in
    world.close()


def test_no_secret_is_logged(here: Shown, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), here.looker() as looker:
        looker.sign_in("wrong-token-that-is-nobody-else's")
        looker.sign_in()
        with looker.events() as events:
            next(events)
        cookie = looker.http.cookies["secagg-leader-page"]
    ours = [each for each in caplog.records if each.name.startswith(("secagg", "uvicorn"))]
    said = "\n".join(each.getMessage() for each in ours)
    assert "a wrong token was typed" in said
    assert [secret for secret in ("wrong-token-that-is-nobody-else's", OPERATOR, cookie) if secret in said] == []


def test_words_of_a_helper_neither_end_an_event_nor_begin_one(here: Shown, onlooker: Looker) -> None:
    """What the browser makes of them is in test_page_in_browser."""
    world = here.world
    world.upload_many(MIN_BATCH)
    world.leader.create_jobs(world.clock.now)
    with world.leader_store.write() as tx:
        job = lease_job(tx, world.clock.now, 10.0)
        assert job is not None
        postpone_job(tx, job, world.clock.now + 60, WORDS)
    with onlooker.events() as events:
        overview = until(events, "overview", lambda data: data["jobs"])
    assert overview["jobs"][0]["why"] == WORDS
    assert len(overview["names"]) <= TASKS_SHOWN
