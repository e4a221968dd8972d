"""A coordinator that lies over HTTP: an honest one, every request and answer in the liar's hands."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secagg.service.coordinator import Coordinator

from .coordinators import Kept, kept

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


@dataclass
class Said:
    """An answer.

    Attributes:
        status: of HTTP.
        headers: by name in lower case.
        body: the content.
    """

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Asked:
    """A request.

    Attributes:
        method: of HTTP.
        path: with the query.
        headers: by name in lower case.
        body: the content.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Lie = Callable[[Asked, Said], Said]
Instead = Callable[[Asked, Send], Awaitable[bool]]


@dataclass
class Liar:
    """ASGI around a coordinator.

    Attributes:
        app: the honest one.
        lie: makes the answer of the honest one.
        instead: answers by itself, and says whether it has.
        heard: all that was asked.
    """

    app: Coordinator
    lie: Lie = lambda asked, said: said
    instead: Instead | None = None
    heard: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        asked = Asked(scope["method"], scope["path"] + (f"?{query}" if query else ""), headers, b"")
        self.heard.append(asked)
        if self.instead is not None and await self.instead(asked, send):
            return

        async def listen() -> Message:
            message: Message = await receive()
            asked.body += message.get("body", b"")
            return message

        said = Said(0, {}, b"")

        async def take(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                said.status = message["status"]
                said.headers.update({name.decode().lower(): value.decode() for name, value in message["headers"]})
            else:
                said.body += message.get("body", b"")

        await self.app(scope, listen, take)
        await say(send, self.lie(asked, said))

    def sent(self, start: str) -> list[bytes]:
        """What was posted to paths that have this in them."""
        return [asked.body for asked in self.heard if asked.method == "POST" and start in asked.path and asked.body]


async def say(send: Send, said: Said) -> None:
    """Send an answer."""
    said.headers.pop("content-length", None)
    if said.status != 204:
        said.headers["content-length"] = str(len(said.body))
    headers = [(name.encode(), value.encode()) for name, value in said.headers.items()]
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    await send({"type": "http.response.body", "body": said.body})


@contextmanager
def lying(folder: Path, **options: Any) -> Iterator[tuple[Kept, Liar]]:
    """A coordinator on loopback, and the liar around it."""
    liars: list[Liar] = []

    def wrap(coordinator: Coordinator) -> Liar:
        liars.append(Liar(coordinator))
        return liars[0]

    with kept(folder, wrap=wrap, **options) as running:
        yield running, liars[0]
