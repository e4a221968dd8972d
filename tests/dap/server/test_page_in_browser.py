"""A Leader's page as its operator sees it in chromium: `ci/docs` has the browser.

It leaves screenshots in SECAGG_SCREENSHOTS, if that names a folder.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from secagg.dap.messages import ReportError
from secagg.dap.metrics import Metrics
from secagg.dap.server.page.view import TASKS_SHOWN
from secagg.dap.store.leader_jobs import lease_job, postpone_job
from secagg.dap.store.outcomes import HOUR, keep_tally

from ...support.browser import SCROLLS, Open, View, browser
from ...support.dap_pages import OPERATOR, Shown, add_tasks, shown
from ...support.world import MIN_BATCH, PRECISION, Urls, World

WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}&amp;" + 200 * "W"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        world = World(Urls(f"sqlite:///{folder}/leader.db", f"sqlite:///{folder}/helper.db"))
        stack.callback(world.close)
        add_tasks(world, world.leader_store, TASKS_SHOWN)
        yield stack.enter_context(shown(world))


@pytest.fixture(scope="module")
def open_page() -> Iterator[Open]:
    with browser() as opened:
        yield opened


def signed_in(open_page: Open, here: Shown, width: int = 1280, scheme: str = "light") -> View:
    """The page of an operator who has typed the token."""
    view = open_page(here.url, "/", width, scheme)
    view.page.locator("#token").fill(OPERATOR)
    view.page.locator("#sign-in button").click()
    view.page.locator("#connection", has_text="Live").wait_for()
    return view


def card(page: Any, here: Shown) -> Any:
    """The card of the world's own task, which is the oldest: the only one on the second page."""
    page.locator("#older").click()
    found = page.locator(f"#task-{here.world.task.text}")
    found.wait_for()
    return found


def given_up(here: Shown) -> set[str]:
    """What chromium calls a failed request: a stream that the page has closed."""
    return {f"failed: {here.url}/page/events/{number}" for number in (1, 2)}


def test_tasks_are_on_pages(open_page: Open, here: Shown) -> None:
    page, faults = signed_in(open_page, here)
    page.locator(".task").nth(TASKS_SHOWN - 1).wait_for()
    assert page.locator("#shown-count").text_content() == f"1 to {TASKS_SHOWN} of {TASKS_SHOWN + 1}, the newest first"
    assert page.locator("#newer").is_disabled()
    card(page, here)
    assert page.locator(".task").count() == 1
    assert page.locator("#page-of").text_content() == "page 2 of 2"
    assert page.locator("#older").is_disabled()
    page.locator("#newer").click()
    page.locator(".task").nth(TASKS_SHOWN - 1).wait_for()
    assert set(faults) <= given_up(here)


def test_reports_move_from_uploads_to_a_batch(open_page: Open, here: Shown) -> None:
    page, faults = signed_in(open_page, here)
    own, world, metrics = card(page, here), here.world, Metrics()
    world.upload_many(MIN_BATCH - 1)
    metrics.count_uploads(world.task, 1234, [ReportError.REPORT_TOO_EARLY] * 5)
    keep_tally(world.leader_store, metrics.tally, world.clock.now - HOUR)
    own.locator("[data-is=waiting]", has_text=str(MIN_BATCH - 1)).wait_for()
    own.locator(".outcomes", has_text="1,234 accepted, 5 report too early").wait_for()
    assert own.locator("svg rect").count() == 2
    heights = [float(each.get_attribute("height")) for each in own.locator("svg rect").all()]
    assert heights == pytest.approx([100 * 1234 / 1239, 100 * 5 / 1239])
    world.aggregate_all()
    row = own.locator(".batches tbody td", has_text=f"{MIN_BATCH - 1} of {MIN_BATCH}")
    row.wait_for()
    assert own.locator("progress").get_attribute("value") == str(MIN_BATCH - 1)
    assert own.locator("[data-is=budget]").text_content() == "no noise"
    assert page.locator("#keys tbody tr").count() == 1
    assert set(faults) <= given_up(here)


def test_words_of_a_helper_are_text(open_page: Open, here: Shown) -> None:
    page, faults = signed_in(open_page, here)
    dialogs: list[str] = []

    def dismiss(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    postpone(here, MARKUP)
    shown_words = page.locator("#jobs .words")
    shown_words.wait_for()
    assert shown_words.text_content() == MARKUP
    assert page.locator("main img, main script").count() == 0
    assert dialogs == faults == []


def postpone(here: Shown, why: str) -> None:
    """An aggregation job that waits, for this reason."""
    world = here.world
    world.clock.now += PRECISION
    world.upload_many(1)
    world.leader.create_jobs(world.clock.now)
    with world.leader_store.write() as tx:
        job = lease_job(tx, world.clock.now, 10.0)
        assert job is not None
        postpone_job(tx, job, world.clock.now + 1e6, why)


def test_signing_out_leaves_nothing_on_the_page(open_page: Open, here: Shown) -> None:
    page, faults = signed_in(open_page, here)
    page.locator(".task").first.wait_for()
    cookies = page.context.cookies()
    assert [(each["name"], each["httpOnly"], each["sameSite"], each["path"]) for each in cookies] == [
        ("secagg-leader-page", True, "Strict", "/page")
    ]
    page.locator("#sign-out").click()
    page.locator("#token").wait_for()
    assert page.locator(".task, #keys tbody tr, #jobs tbody tr").count() == 0
    assert page.evaluate("fetch('page/visit').then(answer => answer.json())") == {"signed_in": False}
    assert set(faults) <= given_up(here)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_fits(open_page: Open, here: Shown, width: int, scheme: str) -> None:
    page, faults = signed_in(open_page, here, width, scheme)
    page.locator(".task").nth(TASKS_SHOWN - 1).wait_for()
    folder = os.environ.get("SECAGG_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"leader-{width}-{scheme}.png", full_page=True)
    assert page.evaluate(SCROLLS) <= 0
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(30, 33, 41)"}[scheme]
    assert faults == []
