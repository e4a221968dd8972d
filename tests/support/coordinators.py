"""A coordinator on loopback, and parties that speak to it by hand, so that tests can bend each part of a request."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray

from secagg import Client, Identity, Model, Params, Roster, Round, rounds_of
from secagg.http.base64url import base64url, from_base64url
from secagg.http.bounds import Bounds
from secagg.http.server import configured
from secagg.http.urls import parse_server_url
from secagg.service.authentication import (
    NO_PARAMS,
    RequestScope,
    bearer,
    content_digest,
    coordinator_name,
    make_token,
    sign,
    token_hash,
)
from secagg.service.coordinator import Coordinator, Limits
from secagg.service.resources import (
    CONTENT_DIGEST,
    NONCE,
    SESSIONS,
    Announcement,
    answer_path,
    join_path,
    parse_round,
    request_path,
)

from .processes import started

PATIENCE = 60.0  # seconds for what takes milliseconds on a quiet machine
NAMES = ("ada", "bo", "cy", "di", "eve", "fay")


@dataclass
class Kept:
    """A coordinator that is served, and the secrets that were made for it.

    Attributes:
        coordinator: in this process.
        url: at which it is served.
        operator: the operator's token.
        tokens: the participants', by name.
        http: that all requests are sent by.
    """

    coordinator: Coordinator
    url: str
    operator: str
    tokens: Mapping[str, str]
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE))

    @property
    def headers(self) -> dict[str, str]:
        """The operator's."""
        return {"Authorization": bearer(self.operator)}

    def create(self, **members: Any) -> dict[str, Any]:
        """A new session, as the answer describes it."""
        response = self.http.post(self.url + SESSIONS, headers=self.headers, json=members)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    def status(self, session: str) -> dict[str, Any]:
        """How a session stands, as the operator is told."""
        response = self.http.get(f"{self.url}{SESSIONS}/{session}", headers=self.headers)
        assert response.status_code == 200, response.text
        described: dict[str, Any] = response.json()
        return described


class Server(uvicorn.Server):
    """It lets go of those who wait for news before it waits for requests under way, as `secagg serve` does."""

    def __init__(self, coordinator: Coordinator, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._coordinator = coordinator

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._coordinator.let_go()
        await super().shutdown(sockets)


@contextmanager
def kept(
    folder: Path,
    *,
    limits: Limits | None = None,
    bounds: Bounds | None = None,
    port: int = 0,
    wrap: Callable[[Coordinator], Any] | None = None,
    prefix: str = "",
    **options: Any,
) -> Iterator[Kept]:
    """A coordinator that is served from a thread; its secrets follow from the folder's name."""
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}{prefix}"
        operator, tokens = _token("operator"), {name: _token(name) for name in NAMES}
        hashes = {name: token_hash(token) for name, token in tokens.items()}
        bounds = bounds or Bounds()
        coordinator = Coordinator(
            folder, url=url, operator=token_hash(operator), participants=hashes, limits=limits, bounds=bounds, **options
        )
        app = coordinator if wrap is None else wrap(coordinator)
        server = Server(coordinator, configured(app, bounds, lifespan="on", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the coordinator does not start"
                time.sleep(0.002)
            value = Kept(coordinator, url, operator, tokens)
            stack.callback(value.http.close)
            yield value
        finally:
            server.should_exit = True
            thread.join()


def _token(name: str) -> str:
    return make_token(lambda size: sha256(name.encode()).digest()[:size])


@dataclass
class Party:
    """A participant's side of HTTP.

    Attributes:
        kept: the coordinator.
        session: its name.
        user: the user id; 0 until it has joined by a token.
        identity: in the active model.
        token: in the semi-honest model.
        params: of the session, once it is known.
        nonce: of the last answer.
    """

    kept: Kept
    session: str
    user: int = 0
    identity: Identity | None = None
    token: str | None = None
    params: Params | None = None
    nonce: str | None = None

    @property
    def digest(self) -> bytes:
        """Of Params, as requests sign it."""
        return NO_PARAMS if self.params is None else sha256(self.params.encode()).digest()

    def scope(self, method: str, path: str, current: Round | None, content: bytes, params: bytes) -> RequestScope:
        """What is signed of a request."""
        name = coordinator_name(parse_server_url(self.kept.url))
        return RequestScope(
            name, params, self.session, self.user, method, path, current, sha256(content).digest()
        )  # fmt: skip

    def fresh_nonce(self) -> bytes:
        """One that was not used yet."""
        if self.nonce is None:
            self.nonce = self.kept.http.get(f"{self.kept.url}/healthz").headers[NONCE]
        nonce, self.nonce = from_base64url(self.nonce), None
        return nonce

    def ask(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        current: Round | None = None,
        params: bytes | None = None,
        bend: Callable[[RequestScope], RequestScope] = lambda scope: scope,
        nonce: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request; `bend` changes what is signed, or whose token it is."""
        own = {CONTENT_DIGEST: content_digest(sha256(content).digest())} if method == "POST" else {}
        if self.identity is not None:
            scope = bend(self.scope(method, path, current, content, self.digest if params is None else params))
            own["Authorization"] = sign(self.identity, scope, self.fresh_nonce() if nonce is None else nonce)
        elif self.token is not None:
            own["Authorization"] = bearer(self.token)
        response = self.kept.http.request(
            method, self.kept.url + path, content=content, headers={**own, **(headers or {})}
        )
        self.nonce = response.headers.get(NONCE)
        return response

    def join(self) -> Announcement:
        """Take part."""
        response = self.ask("POST", join_path(self.session), params=NO_PARAMS)
        assert response.status_code == 200, response.text
        announcement = Announcement.from_json(response.json())
        self.user, self.params = announcement.user, announcement.params
        return announcement

    def answer(self, current: Round, content: bytes, **options: Any) -> httpx.Response:
        """Post an answer."""
        path = answer_path(self.session, self.user, current)
        return self.ask("POST", path, content, current=current, **options)

    def request(self, after: Round | None, wait: float = 0.0, **options: Any) -> httpx.Response:
        """Ask for the next request."""
        return self.ask("GET", request_path(self.session, self.user, after, wait), **options)

    def next(self, after: Round) -> httpx.Response:
        """The same until there is one, or the session is over."""
        until = time.monotonic() + PATIENCE
        while (response := self.request(after, 5.0)).status_code == 204:
            assert time.monotonic() < until
        return response


@dataclass
class Table:
    """A session and all its parties, in the order of their ids.

    Attributes:
        parties: who have joined.
        roster: in the active model.
    """

    session: str
    params: Params
    parties: list[Party]
    clients: dict[int, Client] = field(default_factory=dict)
    inputs: dict[int, NDArray[np.uint32]] = field(default_factory=dict)
    roster: Roster | None = None
    first: dict[int, bytes] = field(default_factory=dict)

    def start(self) -> dict[int, bytes]:
        """Everybody's answer to AdvertiseKeys, the same whenever it is asked for."""
        for party in self.parties if not self.clients else ():
            self.inputs[party.user] = np.full(self.params.m, party.user, np.uint32)
            client = Client(
                self.params, party.user, self.inputs[party.user], identity=party.identity, roster=self.roster
            )
            self.clients[party.user] = client
            self.first[party.user] = client.start()
        return self.first

    def play(self, until: Round | None = None) -> dict[int, bytes]:
        """Everybody answers each round before `until`; their answers to that round, which are not sent."""
        answers = self.start()
        for current in rounds_of(self.params):
            if current is until:
                return answers
            for party in self.parties:
                assert party.answer(current, answers[party.user]).status_code == 204
            if current is not rounds_of(self.params)[-1]:
                answers = {p.user: self.clients[p.user].receive(self.opened(p, current)) for p in self.parties}
        return {}

    def opened(self, party: Party, after: Round) -> bytes:
        """The request that follows a round."""
        response = party.next(after)
        assert response.status_code == 200, response.text
        opened = parse_round(response.headers["SecAgg-Round"])
        assert opened is not None
        assert opened > after
        return response.content


@contextmanager
def process(*arguments: str | Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`secagg serve` as an operator starts it, and its URL; it must end gracefully, and stderr is left to the test."""
    command = (sys.executable, "-m", "secagg", "serve", "--json", *arguments)
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, running.communicate()
        yield json.loads(line)["listening"], running
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
            _, errors = running.communicate(timeout=PATIENCE)
            assert running.returncode == 0, errors
            assert "Traceback" not in errors


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, for servers that start again on the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def seated(kept: Kept, n: int = 4, *, active: bool = False, length: int = 5, **members: Any) -> Table:
    """A session in which everybody has joined."""
    identities = [Identity.generate() for _ in range(n)] if active else []
    roster = Roster({u: each.verification_key for u, each in enumerate(identities, 1)}) if active else None
    model = Model.ACTIVE if active else Model.SEMI_HONEST
    params = Params(n=n, m=length, modulus=1 << 16, model=model, n_corrupt=1 if n > 3 else 0)
    if roster is not None:
        members["roster"] = {str(u): roster.key(u).hex() for u in roster.users.tolist()}
    created = kept.create(params=base64url(params.encode()), **members)
    parties = [Party(kept, created["session"], u, identity) for u, identity in enumerate(identities, 1)]
    parties = parties or [Party(kept, created["session"], token=kept.tokens[name]) for name in NAMES[:n]]
    table = Table(created["session"], params, parties, roster=roster)
    for party in parties:
        party.join()
    return table


def sum_of(kept: Kept, session: str) -> NDArray[Any]:
    """The sum, as the operator reads it."""
    response = kept.http.get(f"{kept.url}{SESSIONS}/{session}/result/sum", headers=kept.headers)
    assert response.status_code == 200, response.text
    total: NDArray[Any] = np.load(BytesIO(response.content), allow_pickle=False)
    return total


def problem_type(response: httpx.Response) -> str:
    """The name of the type of a problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    kind: str = response.json()["type"]
    return kind.removeprefix("urn:secagg:service:problem:")
