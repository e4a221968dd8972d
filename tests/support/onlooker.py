"""Somebody who looks at an operator's page, without a browser: what a browser would send, and what it is told."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import httpx

from secagg.http.page.guard import HEADER

from .coordinators import PATIENCE, Kept

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", HEADER: "1"}


class Event(NamedTuple):
    """An event of the stream.

    Attributes:
        kind: its name.
        data: what its JSON says.
    """

    kind: str
    data: Any


class Looker:
    """A browser with cookies of its own, to be entered, and a page.

    Args:
        url: of the page.
        operator: the operator's token.
        options: of httpx.
    """

    def __init__(self, url: str, operator: str, **options: Any) -> None:
        self.url = url
        self.operator = operator
        self.http = httpx.Client(timeout=PATIENCE, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """A request as the page makes it, or with other header fields."""
        own = SAME_ORIGIN if headers is None else headers
        return self.http.request(method, self.url + path, headers=own, **options)

    def sign_in(self, token: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """With the operator's token, or with another."""
        typed = {"token": self.operator if token is None else token}
        return self.ask("POST", "/page/visit", headers, json=typed)

    @property
    def signed_in(self) -> bool:
        """Whether the page would show anything."""
        answer: bool = self.ask("GET", "/page/visit").json()["signed_in"]
        return answer

    @contextmanager
    def events(self, path: str = "/page/events") -> Iterator[Iterator[Event]]:
        """The stream."""
        with self.http.stream("GET", self.url + path) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            yield parsed(response.iter_lines())


class Onlooker(Looker):
    """A browser, and a coordinator's page.

    Args:
        kept: the coordinator.
        options: of httpx.
    """

    def __init__(self, kept: Kept, **options: Any) -> None:
        super().__init__(kept.url, kept.operator, **options)
        self.kept = kept


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """The events in the lines of a stream."""
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        assert name in ("", "event", "data"), line
        if name == "event":
            kind = value
        elif name == "data":
            yield Event(kind, json.loads(value))


def until(events: Iterator[Event], kind: str, wanted: Callable[[Any], bool] = lambda data: True) -> Any:
    """What the next event of this kind says for which that is so; the stream's clock wakes whoever waits in vain."""
    limit = time.monotonic() + PATIENCE
    for event in events:
        if event.kind == kind and wanted(event.data):
            return event.data
        assert time.monotonic() < limit, f"no event {kind} has come"
    raise AssertionError(f"the stream has ended before an event {kind}")
