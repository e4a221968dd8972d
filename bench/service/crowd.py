"""Participants that cost little: messages that were made beforehand, over HTTP that is written by hand.

They do what a participant does, request by request: join, send the answer of a round, wait for the next request by long
poll. In the active model each request is signed with the nonce of the answer before. Nothing that comes back is looked
into but its length.
"""

import asyncio
import ssl
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from secagg import Round
from secagg.http.base64url import from_base64url
from secagg.http.urls import ServerUrl
from secagg.service.authentication import (
    NO_PARAMS,
    RequestScope,
    bearer,
    content_digest,
    coordinator_name,
    make_token,
    sign,
)
from secagg.service.resources import NONCE, answer_path, join_path, request_path

from ..script import Cast, identity, replayable

WAIT = 25.0  # seconds of a long poll
ATTEMPTS = 4  # of a request: without a nonce the first is refused, and a connection may have been closed
_NONCE = NONCE.lower().encode() + b": "


class Answer(NamedTuple):
    """Of the coordinator."""

    status: int
    head: bytes
    content: bytes

    @property
    def nonce(self) -> bytes:
        _, _, rest = self.head.partition(_NONCE)
        return from_base64url(rest.partition(b"\r\n")[0].decode())


class Connection(asyncio.Protocol):
    """One request at a time over a connection that stays, for as long as the server keeps it.

    Args:
        host: of the server.
        port: on that.
        trusted: whom its certificate leads to; None without TLS.
    """

    def __init__(self, host: str, port: int, trusted: ssl.SSLContext | None = None) -> None:
        self._address = host, port
        self._trusted = trusted
        self._buffer = bytearray()
        self._wanted = 0  # bytes of the answer; 0 until its head is there
        self._head_end = 0
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server has closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted == 0 and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            self._head_end = end + 4
            self._wanted = self._head_end + _content_length(bytes(self._buffer[: self._head_end]))
        if self._wanted and len(self._buffer) >= self._wanted:
            head, content = bytes(self._buffer[: self._head_end]), bytes(self._buffer[self._head_end : self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = 0
            assert self._answer is not None
            self._answer.set_result(Answer(int(head[9:12]), head, content))

    async def exchange(self, request: bytes) -> Answer:
        """The answer to a request, which is sent as it is."""
        if self._transport is None or self._transport.is_closing():
            self._buffer.clear()
            await asyncio.get_running_loop().create_connection(lambda: self, *self._address, ssl=self._trusted)
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


def http_request(method: str, path: str, fields: Iterable[str], content: bytes = b"") -> bytes:
    """The bytes of a request."""
    length = [f"Content-Length: {len(content)}"] if method == "POST" else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, *length, "", ""]).encode() + content


def token_of(u: int) -> str:
    """Of the participant u in the semi-honest model."""
    return make_token(replayable(u))


def name_of(u: int) -> str:
    return f"user-{u}"


class Participant:
    """User u of a session.

    Args:
        connection: to the coordinator, for this participant alone.
        url: the coordinator's.
        session: its name.
        cast: who takes part.
        u: the user id.
    """

    def __init__(self, connection: Connection, url: ServerUrl, session: str, cast: Cast, u: int) -> None:
        self.u = u
        self.connection = connection
        self._coordinator = coordinator_name(url)
        self._session = session
        self._identity = identity(u) if cast.roster else None
        self._token = bearer(token_of(u))
        self._params = sha256(cast.params.encode()).digest()
        self._nonce = b""

    async def join(self) -> None:
        await self._send("POST", join_path(self._session), NO_PARAMS, None, b"", 200)

    async def post(self, current: Round, message: bytes) -> None:
        path = answer_path(self._session, self.u, current)
        await self._send("POST", path, self._params, current, message, 204)

    async def fetch(self, after: Round) -> bytes:
        """The next request, or that there is a sum."""
        path = request_path(self._session, self.u, after, WAIT)
        while True:
            answer = await self._send("GET", path, self._params, None, b"", 200, 204)
            if answer.status == 200:
                return answer.content

    async def _send(
        self, method: str, path: str, params: bytes, current: Round | None, content: bytes, *expected: int
    ) -> Answer:
        answer = None
        for _ in range(ATTEMPTS):
            try:
                answer = await self.connection.exchange(self._request(method, path, params, current, content))
            except ConnectionError:  # the server has closed it just now: it was silent for long
                continue
            self._nonce = answer.nonce
            if answer.status != 401:
                break
        if answer is None or answer.status not in expected:
            raise RuntimeError(f"{method} {path} was answered with {answer}")
        return answer

    def _request(self, method: str, path: str, params: bytes, current: Round | None, content: bytes) -> bytes:
        """The same request again has another signature, for another nonce."""
        digest = sha256(content).digest()
        if self._identity is None:
            shown = self._token
        else:
            scope = RequestScope(self._coordinator, params, self._session, self.u, method, path, current, digest)
            shown = sign(self._identity, scope, self._nonce)
        fields = [f"Authorization: {shown}"]
        if method == "POST":
            fields.append(f"Content-Digest: {content_digest(digest)}")
        return http_request(method, path, fields, content)
