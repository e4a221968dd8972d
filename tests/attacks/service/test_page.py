"""Attacks on the page: by other sites in the operator's browser, by sessions, and by whoever has no token."""

import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg import Round
from secagg.http.page.attempts import FREE, PAUSE_MAX
from secagg.http.page.guard import HEADER
from secagg.http.page.resources import SIGN_IN_BYTES
from secagg.service.authentication import bearer, content_digest
from secagg.service.resources import (
    CONTENT_DIGEST,
    SESSIONS,
    abort_path,
    join_path,
    result_path,
    session_path,
    sum_path,
)

from ...support.coordinators import Kept, kept, problem_type, seated
from ...support.onlooker import SAME_ORIGIN, Onlooker, until

NOTHING = content_digest(sha256(b"").digest())
MARKUP = "<img src=x onerror=alert(1)>\\u003cscript>"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with kept(tmp_path_factory.mktemp("coordinator") / "state") as coordinator:
        yield coordinator


@pytest.fixture
def onlooker(here: Kept) -> Iterator[Onlooker]:
    """Signed in."""
    with Onlooker(here) as somebody:
        assert somebody.sign_in().status_code == 200
        yield somebody


@pytest.fixture
def stranger(here: Kept) -> Iterator[Onlooker]:
    """Not signed in."""
    with Onlooker(here) as somebody:
        yield somebody


# Secrets in URLs


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/", "/page/visit", "/page/events"])
def test_a_token_in_a_url_is_refused(stranger: Onlooker, method: str, path: str) -> None:
    query = f"{path}?token={stranger.kept.operator}"
    response = stranger.ask(method, query, json={"token": stranger.kept.operator})
    assert response.status_code in (400, 405)
    assert "set-cookie" not in response.headers
    assert not stranger.signed_in


def test_a_cookie_in_a_url_is_refused(onlooker: Onlooker, stranger: Onlooker) -> None:
    value = onlooker.http.cookies["secagg-page"]
    assert problem_type(stranger.ask("GET", f"/page/events?secagg-page={value}")) == "malformed"
    assert problem_type(stranger.ask("GET", "/page/events", {"Authorization": bearer(value)})) == "unauthenticated"


def test_no_secret_is_logged(stranger: Onlooker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        stranger.sign_in("wrong-token-that-is-nobody-else's")
        stranger.sign_in()
        with stranger.events() as events:
            next(events)
    ours = [each for each in caplog.records if each.name.startswith(("secagg", "uvicorn"))]
    said = "\n".join(each.getMessage() for each in ours)
    assert "a wrong token was typed" in said
    secrets = ("wrong-token-that-is-nobody-else's", stranger.kept.operator, stranger.http.cookies["secagg-page"])
    assert [secret for secret in secrets if secret in said] == []


# Other sites in the same browser

CROSS_SITE: dict[str, dict[str, str]] = {
    "another site says so": {**SAME_ORIGIN, "Sec-Fetch-Site": "cross-site"},
    "another port of this machine": {**SAME_ORIGIN, "Sec-Fetch-Site": "same-site"},
    "an address typed by the operator": {**SAME_ORIGIN, "Sec-Fetch-Site": "none"},
    "another origin": {HEADER: "1", "Origin": "https://evil.example"},
    "another scheme": {HEADER: "1", "Origin": "https://127.0.0.1"},
    "an origin that is hidden": {HEADER: "1", "Origin": "null"},
    "a browser that says nothing": {HEADER: "1"},
    "a form": {"Sec-Fetch-Site": "same-origin"},
    "a form without a word of its site": {},
}


@pytest.mark.parametrize("headers", CROSS_SITE.values(), ids=CROSS_SITE)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_another_site_signs_nobody_in_or_out(onlooker: Onlooker, method: str, headers: dict[str, str]) -> None:
    before = onlooker.http.cookies["secagg-page"]
    content = json.dumps({"token": onlooker.kept.operator}).encode()
    response = onlooker.ask(method, "/page/visit", headers, content=content)
    assert problem_type(response) == "forbidden"
    assert "set-cookie" not in response.headers
    assert onlooker.http.cookies["secagg-page"] == before
    assert onlooker.signed_in


def test_other_sites_cannot_make_the_operator_pause(stranger: Onlooker) -> None:
    for _ in range(2 * FREE):
        stranger.sign_in("wrong", {HEADER: "1", "Origin": "https://evil.example"})
    assert stranger.sign_in().status_code == 200


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=repr)
def test_another_site_reads_no_events(onlooker: Onlooker, headers: dict[str, str]) -> None:
    """Not even where a browser would send the cookie along."""
    assert problem_type(onlooker.ask("GET", "/page/events", headers)) == "forbidden"
    assert problem_type(onlooker.ask("GET", "/page/visit", headers)) == "forbidden"


def test_no_site_is_let_read_or_ask(onlooker: Onlooker) -> None:
    """By CORS: neither an answer's header nor a preflight allows it."""
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    for response in (onlooker.ask("OPTIONS", "/page/visit", asks), onlooker.ask("GET", "/", asks)):
        assert [name for name in response.headers if name.startswith("access-control")] == []
    assert onlooker.ask("OPTIONS", "/page/visit", asks).status_code == 405


def test_the_page_is_shown_in_no_frame(onlooker: Onlooker) -> None:
    headers = onlooker.ask("GET", "/", {}).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


# Events without a right to them


def test_a_stream_takes_the_cookie(stranger: Onlooker) -> None:
    for cookie in (
        "",
        "secagg-page=",
        f"secagg-page={43 * 'A'}",
        f"secagg-page={stranger.kept.operator}",
        "secagg-page",
    ):
        response = httpx.get(f"{stranger.kept.url}/page/events", headers={"Cookie": cookie})
        assert problem_type(response) == "unauthenticated"


def test_a_token_beside_the_request_opens_no_stream(stranger: Onlooker) -> None:
    """What a page can be made to send by others must not be what programs show."""
    response = stranger.ask("GET", "/page/events", stranger.kept.headers)
    assert problem_type(response) == "unauthenticated"


def test_a_participant_does_not_sign_in(tmp_path: Path) -> None:
    clock = count(step=PAUSE_MAX)  # no pause is longer
    with kept(tmp_path / "state", ticks=lambda: next(clock)) as here, Onlooker(here) as stranger:
        for token in (*here.tokens.values(), "", here.operator[:-1], f"{here.operator}A", f"Bearer {here.operator}"):
            assert problem_type(stranger.sign_in(token)) == "forbidden"
            assert not stranger.signed_in


# The cookie is good for nothing else


def test_the_cookie_is_no_credential(onlooker: Onlooker) -> None:
    """Not the operator's, and not a participant's: not even by a client that sends it everywhere."""
    here, table = onlooker.kept, seated(onlooker.kept)
    before = here.http.get(here.url + SESSIONS, headers=here.headers).json()
    value = onlooker.http.cookies["secagg-page"]
    session = table.session
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", SESSIONS, {}),
        ("GET", "/metrics", {}),
        ("GET", "/healthz/detail", {}),
        ("POST", SESSIONS, {"json": {"n": 3, "length": 2}}),
        ("GET", session_path(session), {}),
        ("GET", result_path(session), {}),
        ("GET", sum_path(session), {}),
        ("POST", abort_path(session), {"json": {"reason": "none"}}),
        ("POST", join_path(session), {"headers": {CONTENT_DIGEST: NOTHING}}),
        ("GET", f"{session_path(session)}/users/1/request", {}),
    ]  # fmt: skip
    for cookie_path in ("/", "/page"):
        for method, path, options in asked:
            headers = {
                **SAME_ORIGIN,
                **options.get("headers", {}),
                "Cookie": f"secagg-page={value}; Path={cookie_path}",
            }
            response = here.http.request(method, here.url + path, **{**options, "headers": headers})
            assert problem_type(response) == "unauthenticated", (method, path)
            headers["Authorization"] = bearer(value)
            response = here.http.request(method, here.url + path, **{**options, "headers": headers})
            assert problem_type(response) == "forbidden", (method, path)
    assert here.status(session)["status"] == "running"
    assert here.http.get(here.url + SESSIONS, headers=here.headers).json() == before


def test_a_browser_sends_the_cookie_to_the_page_alone(onlooker: Onlooker) -> None:
    sent = [
        path
        for path in ("/", SESSIONS, "/healthz", "/metrics", "/pages", "/page/visit", "/page/events")
        if "cookie" in onlooker.http.build_request("GET", onlooker.kept.url + path).headers
    ]
    assert sent == ["/page/visit", "/page/events"]


# What others write


def test_words_of_a_session_stay_data(onlooker: Onlooker) -> None:
    """A label or reason neither ends an event nor begins another; the browser's part is in test_page_in_browser."""
    here = onlooker.kept
    session = here.create(n=3, length=2, label=MARKUP)["session"]
    here.http.post(here.url + abort_path(session), headers=here.headers, json={"reason": f"{MARKUP} event: end"})
    with onlooker.events() as events:
        shown = until(events, "session", lambda data: data["name"] == session)
    assert (shown["label"], shown["reason"]) == (MARKUP, f"{MARKUP} event: end")


@pytest.mark.parametrize("text", ["two\nlines", "a\r\rdata: b", "line\u2028separator", "\x00", "\u202eright to left"])
def test_a_label_is_one_line(here: Kept, text: str) -> None:
    members = {"n": 3, "length": 2, "label": text}
    response = here.http.post(here.url + SESSIONS, headers=here.headers, json=members)
    assert problem_type(response) == "malformed"


@pytest.mark.parametrize("name", ["<b>", "a b", "../x", "%3Cb%3E", "A", "-a"])
def test_a_name_is_letters_and_digits(here: Kept, name: str) -> None:
    members = {"n": 3, "length": 2, "name": name}
    response = here.http.post(here.url + SESSIONS, headers=here.headers, json=members)
    assert problem_type(response) == "malformed"


# Floods


def test_a_sign_in_that_is_too_long_is_not_read(stranger: Onlooker) -> None:
    response = stranger.ask("POST", "/page/visit", content=b" " * (SIGN_IN_BYTES + 1))
    assert response.status_code == 413


def test_whoever_does_not_read_events_holds_up_nobody(onlooker: Onlooker, stranger: Onlooker) -> None:
    table = seated(onlooker.kept)
    with onlooker.events() as silent:
        next(silent)
        table.play(until=Round.UNMASKING)
        stranger.sign_in()
        with stranger.events() as events:
            until(events, "session", lambda data: data["name"] == table.session and data["round"] == "Unmasking")
