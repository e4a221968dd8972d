"""Somebody without a token uploads to a task for Clients with one; and another server tries to get hold of one."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from secagg.dap.aggregator.directory import FRESH, Directory
from secagg.dap.client.upload import AsyncClient, Client
from secagg.dap.dialect import DAP_09, DAP_18, DAP_19, Dialect
from secagg.dap.metrics import UNAUTHORIZED
from secagg.dap.reports import encode_upload
from secagg.dap.secrets import token_hash
from secagg.dap.server.app import leader_app
from secagg.dap.server.common import Context
from secagg.dap.store import schema
from secagg.dap.store.client_tokens import add_client_token, delete_client_token
from secagg.errors import LocalProtocolError

from ...support.peer import Aggregators, BlockingUploads, UploadsUnderAsyncio
from ...support.processes import PATIENCE
from ...support.tasks import make_task
from ...support.world import COLLECTOR_TOKEN, PEER_TOKEN, START, Urls, World, serving

TOKEN = "token-of-a-site"
STRANGERS: dict[str, dict[str, str]] = {
    "no token": {},
    "another token": {"Authorization": "Bearer token-of-nobody"},
    "half a token": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "the token under another scheme": {"Authorization": f"Basic {TOKEN}"},
    "the hash": {"Authorization": f"Bearer {token_hash(TOKEN.encode()).hex()}"},
    "the Collector's": {"Authorization": f"Bearer {COLLECTOR_TOKEN.decode()}"},
    "the Leader's": {"DAP-Auth-Token": PEER_TOKEN.decode()},
    "a wrong token before the right one": {"Authorization": "Bearer wrong", "DAP-Auth-Token": TOKEN},
}


class Guarded:
    """A Leader that takes uploads from one Client's token alone."""

    def __init__(self, folder: Path, stack: ExitStack, dialect: Dialect) -> None:
        urls = Urls(f"sqlite:///{folder}/leader.db", f"sqlite:///{folder}/helper.db")
        self.world = World(urls, dialect=dialect)
        stack.callback(self.world.close)
        self.context = Context(Directory(self.world.leader_store, self.world.clock), clock=self.world.clock)
        (url,) = stack.enter_context(serving(leader_app(self.world.leader, self.context)))
        self.url, self.http = url, stack.enter_context(httpx.Client(base_url=url))
        with self.world.leader_store.write() as tx:
            add_client_token(
                tx, self.world.leader_task.key, self.world.task.id, "site", token_hash(TOKEN.encode()), START
            )

    def upload(self, headers: dict[str, str], **changes: Any) -> httpx.Response:
        task = self.world.task
        content = encode_upload(task, [self.world.report()])
        kind = {"Content-Type": task.dialect.upload_media_type}
        url, method = f"/tasks/{task.text}/reports", task.dialect.upload_method
        return self.http.request(method, url, **{"content": content, "headers": kind | headers} | changes)

    def stored(self) -> int:
        return self.world.count("leader", schema.reports)


Guard = Callable[..., Guarded]


@pytest.fixture
def guard(tmp_path: Path) -> Any:
    with ExitStack() as stack:
        yield lambda dialect=DAP_19: Guarded(tmp_path, stack, dialect)


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_is_refused_and_counted(guard: Guard, headers: dict[str, str]) -> None:
    guarded = guard()
    answer = guarded.upload(headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["taskid"] == guarded.world.task.text
    assert guarded.stored() == 0
    ((key, count),) = guarded.context.metrics.tally.take().items()
    assert (key[0], key[2], count) == (guarded.world.task.id, UNAUTHORIZED, 1)
    assert f'outcome="{UNAUTHORIZED}"' in guarded.context.metrics.text().decode()


@pytest.mark.parametrize("dialect", [DAP_19, DAP_18, DAP_09], ids=lambda dialect: dialect.name)
def test_a_client_with_its_token_is_served_in_every_dialect(guard: Guard, dialect: Dialect) -> None:
    guarded = guard(dialect)
    assert guarded.upload({}).status_code == 401
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"DAP-Auth-Token": TOKEN}):
        assert guarded.upload(headers).content == b""
    assert guarded.stored() == 2


def test_a_strangers_content_is_not_read(guard: Guard) -> None:
    """Or it would take of the room that uploads share."""
    guarded = guard()
    url, task = urlsplit(guarded.url), guarded.world.task
    head = (
        f"{task.dialect.upload_method} /tasks/{task.text}/reports HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Content-Type: {task.dialect.upload_media_type}\r\nContent-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE) as stranger:
        stranger.sendall(head.encode())  # and nothing of the content
        assert stranger.recv(1 << 16).startswith(b"HTTP/1.1 401 ")


def test_a_token_that_was_taken_back_is_refused(guard: Guard) -> None:
    guarded = guard()
    with guarded.world.leader_store.write() as tx:
        add_client_token(tx, guarded.world.leader_task.key, guarded.world.task.id, "b", token_hash(b"other"), START)
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.upload(right).status_code == 200
    with guarded.world.leader_store.write() as tx:
        delete_client_token(tx, guarded.world.leader_task.key, "site")
    guarded.world.clock.now += FRESH
    assert guarded.upload(right).status_code == 401


@pytest.mark.parametrize("uploads", [BlockingUploads, UploadsUnderAsyncio], ids=["blocking", "asyncio"])
@pytest.mark.parametrize(("named", "header"), [("", "authorization"), ("DAP-Auth-Token: ", "dap-auth-token")])
def test_a_helper_that_asks_for_the_token_does_not_get_it(uploads: Any, named: str, header: str) -> None:
    """Nor does anybody who serves the Leader's HPKE configuration, which may come from a cache."""
    seen: list[httpx.Request] = []

    class Watched(Aggregators):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return super().__call__(request)

    assert uploads(Watched(make_task()), token=named + TOKEN).upload([1, 2]).accepted == 2
    shown = [request.url for request in seen if {"authorization", "dap-auth-token"} & set(request.headers)]
    assert header in seen[-1].headers
    assert [(url.host, url.path.rpartition("/")[2]) for url in shown] == [("leader.example", "reports")]
    assert len(seen) == 3


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("token", ["", "two words", "t\u00f6ken", "line\nbreak"])
def test_a_token_that_would_write_other_headers_is_refused(kind: Any, token: str) -> None:
    with pytest.raises(LocalProtocolError, match="printable ASCII") as raised:
        kind(make_task(), token=token)
    assert token == "" or token not in str(raised.value)
