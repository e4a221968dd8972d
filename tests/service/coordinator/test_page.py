"""The page without a browser: what it is, who is signed in, and what the stream of events tells."""

import asyncio
import hashlib
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from secagg import Params, Round, Sparse
from secagg.http.bounds import Bounds
from secagg.http.page.attempts import FORGET_SECONDS, FREE, PAUSE_MAX, Attempts
from secagg.http.page.resources import STREAMS_MAX
from secagg.http.page.visits import VISIT_SECONDS, VISITS_MAX, Visits
from secagg.http.signals import Signal
from secagg.service.authentication import token_hash
from secagg.service.coordinator import Coordinator
from secagg.service.coordinator.page.events import Events
from secagg.service.coordinator.page.view import RANGES_MAX, ranges, users, view
from secagg.service.deadlines import Deadlines
from secagg.service.session import Session
from secagg.service.setup import SessionSetup

from ...support.coordinators import NAMES, PATIENCE, Kept, kept, problem_type, seated
from ...support.onlooker import Event, Onlooker, parsed, until

TOKEN = "operator's-token-of-the-tests"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path / "state") as coordinator:
        yield coordinator


@pytest.fixture
def onlooker(here: Kept) -> Iterator[Onlooker]:
    with Onlooker(here) as somebody:
        yield somebody


# The document


class Parts(HTMLParser):
    """A page's styles and scripts, and the attributes of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {"style": [], "script": []}
        self.attributes: list[tuple[str, str, str]] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.texts:
            self.texts[self._inside].append(data)


def policy_of(response: httpx.Response) -> dict[str, list[str]]:
    directives = response.headers["content-security-policy"].split("; ")
    return {words[0]: words[1:] for words in map(str.split, directives)}


def test_the_policy_lets_the_page_run_itself_and_nothing_else(here: Kept) -> None:
    response = here.http.get(f"{here.url}/")
    parts, policy = Parts(response.text), policy_of(response)
    for kind, texts in parts.texts.items():
        digests = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert policy.pop(f"{kind}-src") == [f"'sha256-{digest}'" for digest in digests]
        assert len(digests) == 1
    assert policy == {
        "default-src": ["'none'"],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }


def test_the_page_is_one_document(here: Kept) -> None:
    """It refers to nothing that a browser would load, and has neither handlers nor styles in attributes."""
    parts = Parts(here.http.get(f"{here.url}/").text)
    assert [
        each for each in parts.attributes if each[1].startswith("on") or each[1] in ("style", "src", "srcset")
    ] == []
    links = [value for _, name, value in parts.attributes if name in ("href", "action", "data")]
    assert [link for link in links if not link.startswith(("data:image/svg+xml,", "#", "page/"))] == []
    script = parts.texts["script"][0]
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(", script) == []
    assert "//" not in re.sub(r"^.*// .*$", "", script, flags=re.MULTILINE)


@pytest.mark.parametrize("path", ["/", "/page/visit"])
def test_what_a_browser_is_told_of_each_answer(here: Kept, path: str) -> None:
    headers = here.http.get(here.url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_page_under_a_prefix(tmp_path: Path) -> None:
    with (
        kept(tmp_path / "state", prefix="/secagg", wrap=mounted) as here,
        Onlooker(here) as onlooker,
    ):
        assert here.http.get(f"{here.url}/").text.startswith("<!doctype html>")
        assert "Path=/secagg/page;" in onlooker.sign_in().headers["set-cookie"]
        assert onlooker.signed_in
        with onlooker.events() as events:
            assert until(events, "list") == {"names": [], "unopened": []}


def mounted(coordinator: Coordinator) -> Starlette:
    return Starlette(routes=[Mount("/secagg", coordinator)], lifespan=lambda app: coordinator.running())


# Signing in


def test_the_operators_token_is_exchanged_for_a_cookie(onlooker: Onlooker) -> None:
    assert not onlooker.signed_in
    response = onlooker.sign_in()
    assert response.json() == {"signed_in": True}
    name, value, *attributes = re.split("=|; ", response.headers["set-cookie"], maxsplit=2)
    assert (name, re.fullmatch(r"[\w-]{43}", value) is not None) == ("secagg-page", True)
    assert set(attributes[0].split("; ")) == {"HttpOnly", "Path=/page", "SameSite=strict", f"Max-Age={VISIT_SECONDS}"}
    assert onlooker.signed_in


def test_signing_out_ends_the_cookie_itself(onlooker: Onlooker) -> None:
    onlooker.sign_in()
    cookies = dict(onlooker.http.cookies)
    response = onlooker.ask("DELETE", "/page/visit")
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert not dict(onlooker.http.cookies)
    onlooker.http.cookies.update(cookies)
    assert not onlooker.signed_in


def test_another_sign_in_ends_the_first_cookie(onlooker: Onlooker) -> None:
    first = onlooker.sign_in().headers["set-cookie"].partition(";")[0]
    second = onlooker.sign_in().headers["set-cookie"].partition(";")[0]
    for cookie, serves in ((first, False), (second, True)):
        answer = httpx.get(f"{onlooker.kept.url}/page/visit", headers={"Cookie": cookie})
        assert answer.json() == {"signed_in": serves}


@pytest.mark.parametrize("url", ["https://sums.example.org/secagg", "https://sums.example.org"])
def test_under_tls_the_cookie_is_secure(tmp_path: Path, url: str) -> None:
    async def sign_in() -> str:
        coordinator = Coordinator(tmp_path / "state", url=url, operator=token_hash(TOKEN))
        transport = httpx.ASGITransport(coordinator)
        async with (
            coordinator.running(),
            httpx.AsyncClient(transport=transport, base_url="http://behind-a-proxy") as http,
        ):
            headers = {"Origin": "https://sums.example.org", "SecAgg-Page": "1"}
            response = await http.post("/page/visit", headers=headers, json={"token": TOKEN})
            assert response.status_code == 200, response.text
            cookie: str = response.headers["set-cookie"]
            return cookie

    cookie = asyncio.run(sign_in())
    assert cookie.startswith("__Secure-secagg-page=")
    assert "; Secure" in cookie
    assert f"; Path={url.removeprefix('https://sums.example.org')}/page;" in cookie


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"token": 7}', b'"token"', b"[" * 1000, b"\xff"])
def test_a_malformed_sign_in_is_refused(onlooker: Onlooker, content: bytes) -> None:
    response = onlooker.ask("POST", "/page/visit", content=content)
    assert problem_type(response) == "malformed"
    assert "set-cookie" not in response.headers


def test_a_visit_ends_by_itself() -> None:
    now = [0.0]
    visits = Visits(lambda: now[0])
    value = visits.begin()
    visit = visits.find(value)
    assert visit is not None
    now[0] = VISIT_SECONDS - 1
    assert visits.find(value) is visit
    now[0] = VISIT_SECONDS
    assert visits.find(value) is None
    assert not visits.lasts(visit)


def test_values_of_cookies_are_random_and_are_not_kept() -> None:
    visits = Visits()
    values = {visits.begin() for _ in range(VISITS_MAX)}
    assert len(values) == VISITS_MAX
    kept_here = repr([vars(visit) for visit in visits._visits])
    assert [value for value in values if value in kept_here] == []
    assert visits.find("") is visits.find(None) is visits.find("\udcff") is None


def test_one_visit_more_takes_the_place_of_the_oldest() -> None:
    visits = Visits()
    values = [visits.begin() for _ in range(VISITS_MAX + 1)]
    assert [visits.find(value) is None for value in values] == [True] + VISITS_MAX * [False]


# Wrong tokens


def test_a_pause_follows_wrong_tokens_and_has_an_end() -> None:
    now = [1000.0]
    attempts = Attempts(lambda: now[0])
    pauses = []
    for _ in range(FREE + 8):
        attempts.wrong("192.0.2.1")
        pauses.append(attempts.pause("192.0.2.1"))
        now[0] += pauses[-1]
        assert attempts.pause("192.0.2.1") == 0
    assert pauses == [0.0] * (FREE - 1) + [1.0, 2.0, 4.0, 8.0, 16.0] + [PAUSE_MAX] * 4
    attempts.right("192.0.2.1")
    attempts.wrong("192.0.2.1")
    assert attempts.pause("192.0.2.1") == 0


def test_a_pause_is_for_one_network_alone() -> None:
    attempts = Attempts(lambda: 0.0)
    for last in range(FREE):
        attempts.wrong(f"2001:db8::{last}")
    assert attempts.pause("2001:db8::ffff") > 0
    assert attempts.pause("2001:db8:0:1::") == attempts.pause("192.0.2.1") == attempts.pause("") == 0


def test_wrong_tokens_are_forgotten() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(FREE + 3):
        attempts.wrong("")
    now[0] = FORGET_SECONDS
    attempts.wrong("")
    assert attempts.pause("") == 0


def test_in_a_pause_no_token_is_looked_at_and_after_it_the_right_one_is_taken(tmp_path: Path) -> None:
    now = [0.0]
    with kept(tmp_path / "state", ticks=lambda: now[0]) as here, Onlooker(here) as onlooker:
        for _ in range(FREE):
            assert problem_type(onlooker.sign_in("wrong")) == "forbidden"
        response = onlooker.sign_in()
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert problem_type(response) == "wrong-tokens"
        assert not onlooker.signed_in
        assert here.http.get(f"{here.url}/v1/sessions", headers=here.headers).status_code == 200  # is not kept out
        now[0] += 1
        assert onlooker.sign_in().status_code == 200


# Events


def test_a_session_moves_through_its_rounds(onlooker: Onlooker) -> None:
    onlooker.sign_in()
    with onlooker.events() as events:
        assert until(events, "clock") > 1e9
        table = seated(onlooker.kept, label="a label")
        assert table.session in until(events, "list", lambda data: data["names"])["names"]
        joined = until(events, "session", lambda data: data["users"]["in"]["count"] == 4)
        assert (joined["label"], joined["round"], joined["users"]["waiting"]["ids"]) == (
            "a label",
            "AdvertiseKeys",
            "1-4",
        )
        table.play()
        finished = until(events, "session", lambda data: data["status"] == "finished")
    assert finished["survivors"] == 4
    assert finished["sha256"] == onlooker.kept.status(table.session)["sha256"]
    assert [each["users"] for each in finished["rounds"]] == [4, 4, 4, 4]
    assert finished["received_bytes"] > 1000


def test_events_have_no_names_of_participants(onlooker: Onlooker) -> None:
    onlooker.sign_in()
    table = seated(onlooker.kept)
    with onlooker.events() as events:
        seen = repr(until(events, "session", lambda data: data["name"] == table.session))
    assert [name for name in NAMES if f"'{name}'" in seen] == []


def test_a_second_stream_of_a_browser_takes_the_place_of_the_first(onlooker: Onlooker) -> None:
    onlooker.sign_in()
    with onlooker.events() as first:
        next(first)
        with onlooker.events() as second:
            assert until(first, "end") == "elsewhere"
            assert next(first, None) is None
            assert next(second).kind == "clock"


def test_signing_out_ends_the_stream(onlooker: Onlooker) -> None:
    onlooker.sign_in()
    with onlooker.events() as events:
        next(events)
        onlooker.ask("DELETE", "/page/visit")
        assert until(events, "end") == "signed-out"


def test_a_coordinator_that_stops_ends_the_stream(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with kept(tmp_path / "state") as here:
            onlooker = stack.enter_context(Onlooker(here))
            onlooker.sign_in()
            events = stack.enter_context(onlooker.events())
            next(events)
        assert until(events, "end") == "stopping"
        assert next(events, None) is None


def test_streams_are_bounded_and_a_place_is_free_again(here: Kept) -> None:
    with ExitStack() as stack:
        *others, last = [stack.enter_context(Onlooker(here)) for _ in range(STREAMS_MAX + 1)]
        streams = []
        for each in others:
            each.sign_in()
            streams.append(stack.enter_context(each.events()))
            next(streams[-1])
        last.sign_in()
        with last.http.stream("GET", f"{here.url}/page/events") as response:
            assert (response.status_code, response.headers.get("retry-after")) == (503, "1")
        others[0].http.close()  # the browser goes away
        assert until_free(last).kind == "clock"


def until_free(onlooker: Onlooker) -> Event:
    """The first event, once there is a place."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        request = onlooker.http.build_request("GET", f"{onlooker.kept.url}/page/events")
        response = onlooker.http.send(request, stream=True)
        if response.status_code == 200:
            return next(parsed(response.iter_lines()))
        response.close()
    raise AssertionError("no place is free")


def test_a_stream_outlives_what_bounds_other_connections(tmp_path: Path) -> None:
    """The time for a head, and the room that new connections take from those that are idle."""
    bounds = Bounds(connections=3, head_seconds=0.3, body_window=0.3)
    with kept(tmp_path / "state", bounds=bounds) as here, Onlooker(here) as onlooker:
        onlooker.sign_in()
        with onlooker.events() as events:
            next(events)
            for _ in range(6):
                with httpx.Client() as another:
                    assert another.get(f"{here.url}/healthz").status_code == 200
            time.sleep(3 * bounds.head_seconds)
            session = here.create(n=4, length=2)["session"]
            assert until(events, "session")["name"] == session


def test_a_stream_without_news_is_not_silent(tmp_path: Path) -> None:
    async def listen() -> list[str]:
        coordinator = Coordinator(tmp_path / "state", url="http://127.0.0.1", operator=token_hash(TOKEN))
        async with coordinator.running():
            visits, stopping = Visits(), Signal()
            visit = visits.find(visits.begin())
            assert visit is not None
            found = []
            async for text in Events(coordinator.sessions, visits, stopping, pace=0.001, beat=0.003).stream(visit):
                found.append(text.split("\n")[0])
                if found.count("event: clock") == 3:
                    stopping.set()
            return found

    clock, end = "event: clock", "event: end"
    assert asyncio.run(listen()) == [clock, "event: list", clock, clock, end]


# What is shown of a session


def test_ids_in_ranges() -> None:
    assert [ranges(ids) for ids in ([], [7], [1, 2], [1, 2, 3, 5, 7, 8])] == ["", "7", "1-2", "1-3, 5, 7-8"]
    assert ranges(range(1, 2 * RANGES_MAX, 2)).count(",") == RANGES_MAX - 1
    assert ranges(range(1, 2 * RANGES_MAX + 2, 2)).endswith(f"{2 * RANGES_MAX - 1}, and more")


def test_who_left_is_gone_and_who_never_answered_is_late() -> None:
    described = {
        "rounds": {"AdvertiseKeys": [1, 2, 3, 4, 5], "ShareKeys": [1, 2, 3]},
        "joined": [1, 2, 3, 4, 5, 6, 7, 8],
        "answered": [1],
        "waiting": [2],
        "late": [4, 6],
        "not_needed": [7],
        "left": [8],
        "faulty": [3, 5],
    }
    assert users(described) == {
        "in": [1, 2],
        "answered": [1],
        "waiting": [2],
        "late": [6],
        "not_needed": [7],
        "gone": [4, 8],
        "faulty": [3, 5],
    }


def test_thresholds_times_and_rounds_of_a_session_that_begins() -> None:
    params = Params(n=5, m=3, modulus=1 << 16, t=3, min_users=4)
    deadlines = Deadlines(goal=4, seconds={Round.ADVERTISE_KEYS: 60})
    session = Session(SessionSetup("one", params, None, None, deadlines, 1000.0), 1000.0)
    shown: dict[str, Any] = view(session.setup, session.describe())
    assert {key: shown[key] for key in ("n", "t", "min_users", "goal", "minimum", "may_drop")} == {
        "n": 5, "t": 3, "min_users": 4, "goal": 4, "minimum": params.quorum, "may_drop": 5 - params.quorum,
    }  # fmt: skip
    assert (shown["began"], shown["ends"], shown["ended"], shown["survivors"]) == (1000.0, 1060.0, None, None)
    assert [each["name"] for each in shown["rounds"]] == [
        "AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "Unmasking",
    ]  # fmt: skip
    assert {each["users"] for each in shown["rounds"]} == {None}
    assert shown["neighbourhood"] is None


def test_numbers_of_a_neighbourhood_stand_beside_those_over_all() -> None:
    params = Params(n=12, m=3, modulus=1 << 16, n_corrupt=1, t=5, min_users=10, graph=Sparse(6))
    session = Session(SessionSetup("one", params, None, None, Deadlines(), 1000.0), 1000.0)
    shown: dict[str, Any] = view(session.setup, session.describe())
    assert (shown["t"], shown["neighbourhood"]) == (5, {"degree": 6, "holders": 7, "min_holders": 5})
    assert (shown["n"], shown["min_users"], shown["minimum"]) == (12, 10, params.min_joined)
