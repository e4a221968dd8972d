"""The page as an operator sees it in chromium, with real participants: `ci/docs` has the browser.

It leaves screenshots in SECAGG_SCREENSHOTS, if that names a folder.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secagg import Params, Round, Sparse
from secagg.http.base64url import base64url
from secagg.service.resources import abort_path

from ...support.browser import SCROLLS, Open, View, browser
from ...support.coordinators import Kept, Table, kept, seated

WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}&amp;"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with kept(tmp_path_factory.mktemp("coordinator") / "state") as coordinator:
        yield coordinator


@pytest.fixture(scope="module")
def open_page() -> Iterator[Open]:
    with browser() as opened:
        yield opened


def signed_in(open_page: Open, here: Kept, width: int = 1280, scheme: str = "light") -> View:
    """The page of an operator who has typed the token."""
    view = open_page(here.url, "/", width, scheme)
    view.page.locator("#token").fill(here.operator)
    view.page.locator("#sign-in button").click()
    view.page.locator("#connection", has_text="Live").wait_for()
    return view


def card_of(page: Any, session: str) -> Any:
    card = page.locator(f"#session-{session}")
    card.wait_for()
    return card


def row(card: Any, state: str) -> Any:
    """How many users are in a state, and their ids."""
    return card.locator("tr", has=card.page.locator("th", has_text=re.compile(f"^{state}$"))).locator("td")


def shows(locator: Any, *texts: str) -> None:
    """Wait until a row shows these texts."""
    for index, text in enumerate(texts):
        locator.nth(index).filter(has_text=re.compile(f"^{re.escape(text)}$")).wait_for(state="attached")


def test_a_session_appears_and_moves_through_its_rounds(open_page: Open, here: Kept) -> None:
    page, faults = signed_in(open_page, here)
    table = seated(here, 5, active=True, label="five banks")
    card = card_of(page, table.session)
    assert "five banks" in card.locator("h3").text_content()
    shows(row(card, "In"), "5", "1-5")
    shows(row(card, "Waiting"), "5", "1-5")

    # Users 1 and 2 answer, and then all but user 5 each time.
    answers = table.start()
    for party in table.parties[:2]:
        party.answer(Round.ADVERTISE_KEYS, answers[party.user])
    shows(row(card, "Answered"), "2", "1-2")
    for party in table.parties[2:]:
        party.answer(Round.ADVERTISE_KEYS, answers[party.user])
    at_round(card, "ShareKeys")
    assert card.locator("[data-is=age]").text_content().endswith(" s ago")
    assert re.fullmatch(r"in (5 min 0|4 min \d+) s", card.locator("[data-is=left]").text_content())
    assert page.locator("#news").text_content() == f"Session {table.session}: ShareKeys has begun"
    goes_on(table, card, Round.ADVERTISE_KEYS)
    ended = page.locator(f"#session-{table.session}.finished")
    ended.wait_for()
    digest = here.status(table.session)["sha256"]
    assert ended.locator("[data-is=outcome]").text_content() == "The sum of 5 inputs, of 5 invited"
    assert ended.locator("[data-is=sha256]").text_content() == f"SHA-256 {digest}"
    assert faults == []


def at_round(card: Any, name: str) -> None:
    card.locator(f"[aria-current=step]:text-is('{name}')").wait_for()


def goes_on(table: Table, card: Any, current: Round) -> None:
    """Everybody answers all rounds after this one."""
    rounds = [each for each in Round if each > current]
    for before, due in zip([current, *rounds], rounds, strict=False):
        at_round(card, str(due))
        answers = {p.user: table.clients[p.user].receive(table.opened(p, before)) for p in table.parties}
        for party in table.parties:
            assert party.answer(due, answers[party.user]).status_code == 204


def test_who_is_gone_is_shown_with_what_may_still_drop(open_page: Open, here: Kept) -> None:
    page, faults = signed_in(open_page, here)
    seconds = {"share-keys": 1.0, "masked-input-collection": 600.0}
    table = seated(here, 5, seconds=seconds)
    answers = table.start()
    for party in table.parties:
        party.answer(Round.ADVERTISE_KEYS, answers[party.user])
    opened = {p.user: table.opened(p, Round.ADVERTISE_KEYS) for p in table.parties[:4]}
    for party in table.parties[:4]:
        party.answer(Round.SHARE_KEYS, table.clients[party.user].receive(opened[party.user]))
    card = card_of(page, table.session)
    at_round(card, "MaskedInputCollection")
    shows(row(card, "Gone"), "1", "5")
    shows(row(card, "In"), "4", "1-4")
    assert card.locator(".bad").count() == 1
    described = here.status(table.session)
    for name, key in (("may_drop", "may_drop"), ("minimum", "minimum"), ("t", "threshold"), ("n", "n")):
        assert card.locator(f"[data-is={name}]").text_content() == str(described[key])
    assert card.locator(".sparse:visible").count() == 0
    assert faults == []


def test_a_sparse_graph_has_numbers_of_its_own(open_page: Open, here: Kept) -> None:
    page, faults = signed_in(open_page, here)
    params = Params(n=12, m=3, modulus=1 << 16, n_corrupt=1, t=5, min_users=10, graph=Sparse(6))
    card = card_of(page, here.create(params=base64url(params.encode()))["session"])
    for name, number in (("t", 5), ("degree", 6), ("holders", 7), ("min_holders", 5), ("n", 12), ("min_users", 10)):
        card.locator(f"[data-is={name}]:visible:text-is('{number}')").wait_for()
    assert faults == []


def test_words_of_a_session_are_text(open_page: Open, here: Kept) -> None:
    page, faults = signed_in(open_page, here)
    dialogs: list[str] = []

    def dismiss(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    session = here.create(n=3, length=2, label=MARKUP)["session"]
    assert card_of(page, session).locator("bdi").text_content() == MARKUP
    here.http.post(here.url + abort_path(session), headers=here.headers, json={"reason": MARKUP})
    aborted = page.locator(f"#session-{session}.aborted")
    assert aborted.locator("[data-is=outcome]").text_content() == MARKUP
    assert page.locator("main img, main script").count() == 0
    assert dialogs == faults == []


INTRUSIONS = {
    "markup": ("require-trusted-types-for", "document.body.innerHTML = '<b>markup</b>'"),
    "a handler": ("require-trusted-types-for", "add('button', {}).setAttribute('onclick', 'alert(1)')"),
    "a script": ("require-trusted-types-for", "add('script', {}).text = 'alert(1)'"),
    "a style": ("style-src-elem", "add('style', {}).textContent = 'body { color: red }'"),
    "a style in an attribute": ("style-src-attr", "add('p', { style: 'color: red' })"),
    "an image": ("img-src", "add('img', { src: '/healthz' })"),
    "a frame": ("frame-src", "add('iframe', { src: '/healthz' })"),
    "a request": ("connect-src", "fetch('http://localhost:9/')"),
    "a form": ("form-action", "add('form', { action: 'http://localhost:9/' }).submit()"),
    "a base": ("base-uri", "add('base', { href: 'http://localhost:9/' })"),
}
STOPPED_BY = """act => new Promise(resolve => {
    const add = (name, attributes) => {
        const element = document.createElement(name);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        document.body.append(element);
        return element;
    };
    document.addEventListener("securitypolicyviolation", event => resolve(event.effectiveDirective));
    setTimeout(() => resolve("nothing"), 10000);
    try { ACT; } catch {}
})"""


@pytest.mark.parametrize("name", INTRUSIONS)
def test_the_policy_stops_what_a_hole_in_the_page_would_let_in(open_page: Open, here: Kept, name: str) -> None:
    directive, act = INTRUSIONS[name]
    page, _ = open_page(here.url, "/", 1280, "light")
    assert page.evaluate(STOPPED_BY.replace("ACT", act)) == directive


def test_the_token_is_nowhere_after_it_was_typed(open_page: Open, here: Kept) -> None:
    page, faults = signed_in(open_page, here)
    cookies = page.context.cookies()
    assert [(each["name"], each["httpOnly"], each["sameSite"], each["path"]) for each in cookies] == [
        ("secagg-page", True, "Strict", "/page")
    ]
    held = page.evaluate(
        """() => [location.href, document.cookie, document.getElementById("token").value,
                  JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"""
    )
    assert held == [f"{here.url}/", "", "", "{}", "{}"]
    assert faults == []
    page.reload()
    page.locator("#connection", has_text="Live").wait_for()


def test_the_keyboard_is_enough(open_page: Open, here: Kept) -> None:
    page, faults = open_page(here.url, "/", 1280, "light")
    page.locator("#token").wait_for()
    assert focused(page) == "token"
    page.keyboard.type(here.operator)
    page.keyboard.press("Enter")
    page.locator("#connection", has_text="Live").wait_for()
    assert focused(page) == "main"

    # From the top: the link that skips the header is shown once it has the focus, and then comes the button.
    page.reload()
    page.locator("#connection", has_text="Live").wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the sessions"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert focused(page) == "main"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "sign-out"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.locator("#token").wait_for()
    assert page.evaluate("fetch('page/visit').then(answer => answer.json())") == {"signed_in": False}
    assert set(faults) <= given_up(here)


def given_up(here: Kept) -> set[str]:
    """What chromium calls a failed request: a stream that the page has closed."""
    return {f"failed: {here.url}/page/events"}


def focused(page: Any) -> str:
    found: str = page.evaluate("document.activeElement.id || document.activeElement.textContent")
    return found


def test_a_wrong_token_is_said(open_page: Open, here: Kept) -> None:
    page, _ = open_page(here.url, "/", 390, "dark")
    page.locator("#token").fill("not the operator's")
    page.keyboard.press("Enter")
    page.locator("#wrong", has_text="this is not the operator's token").wait_for()
    assert focused(page) == "token"


def test_a_second_window_takes_over_and_can_be_taken_back(open_page: Open, here: Kept) -> None:
    first, faults = signed_in(open_page, here)
    second = first.context.new_page()
    second.goto(f"{here.url}/")
    second.locator("#connection", has_text="Live").wait_for()
    first.locator("#here").wait_for()
    first.locator("#here").click()
    first.locator("#connection", has_text="Live").wait_for()
    second.locator("#here").wait_for()
    assert set(faults) <= given_up(here)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_fits(open_page: Open, here: Kept, width: int, scheme: str) -> None:
    """With long words, many ids, all rounds, sessions that run and that are over."""
    long = f"{width}{scheme}".ljust(64, "w")
    here.create(n=3, length=2, name=long, label=200 * "W")
    sums = seated(here, 4)
    sums.play()
    table = seated(here, 6, active=True)
    table.play(until=Round.MASKED_INPUT_COLLECTION)
    page, faults = open_page(here.url, "/", width, scheme)
    page.locator("#token").wait_for()
    assert page.evaluate(SCROLLS) <= 0
    page.locator("#token").fill(here.operator)
    page.keyboard.press("Enter")
    at_round(card_of(page, table.session), "MaskedInputCollection")
    page.locator(f"#session-{sums.session}.finished").wait_for()
    folder = os.environ.get("SECAGG_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"coordinator-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(SCROLLS) <= 0
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(30, 33, 41)"}[scheme]
    assert faults == []
    here.http.post(here.url + abort_path(long), headers=here.headers, json={"reason": 500 * "W"})
