"""Pages as a reader sees them in chromium, and what goes wrong on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import pytest

from docs.generate.browser import chromium

SCROLLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class View(NamedTuple):
    """A page in the browser, and what went wrong on it."""

    page: Any
    faults: list[str]


class Open(Protocol):
    """Opens a page at a width, for a reader who prefers a scheme; pages that were open before are closed."""

    def __call__(self, address: str, name: str, width: int, scheme: str, **options: Any) -> View: ...


@contextmanager
def browser() -> Iterator[Open]:
    """The browser."""
    pytest.importorskip("playwright", reason="the extra `docs` is not installed")
    with chromium() as started:

        def open_page(address: str, name: str, width: int, scheme: str, **options: Any) -> View:
            for context in started.contexts:
                context.close()
            context = started.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.set_default_timeout(120_000)
            faults = watched(page, address)
            page.goto(address + name, **options)
            return View(page, faults)

        yield open_page


def watched(page: Any, address: str) -> list[str]:
    """What goes wrong on a page from now on: errors, and requests that fail or go elsewhere."""
    faults: list[str] = []

    def note(fault: str | None) -> None:
        faults.extend([fault] if fault else [])

    page.on("console", lambda message: note(message.text if message.type == "error" else None))
    page.on("pageerror", lambda error: note(f"error: {error}"))
    page.on("requestfailed", lambda request: note(f"failed: {request.url}"))
    page.on("response", lambda answer: note(None if answer.ok else f"{answer.status}: {answer.url}"))
    page.on("request", lambda sent: note(None if sent.url.startswith((address, "data:", "blob:")) else sent.url))
    return faults
