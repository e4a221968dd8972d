"""A thousand uploads of 30 MB at once: they go to the disk as they come, and not to the memory."""

import os
import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, sleep, time

import httpx
import numpy as np
import pytest

from secagg import Client, Params, Round
from secagg.cli.service.serve import CONFIG, PARTICIPANTS, TOKEN
from secagg.protocol.messages import (
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    decode,
    encode,
    users_hash,
)
from secagg.service.authentication import bearer, content_digest, make_token, token_hash
from secagg.service.deadlines import Deadlines
from secagg.service.resources import CONTENT_DIGEST, OCTETS, SESSIONS, answer_path
from secagg.service.running import RunningSession
from secagg.service.setup import SessionSetup
from secagg.service.sizes import answer_bytes

from ...support.commands import Command
from ...support.coordinated import post
from ...support.coordinators import process

USERS, LENGTH = 1000, 12_000_000
CURRENT = Round.MASKED_INPUT_COLLECTION
BEGUN_BYTES, TRICKLE_BYTES = 400_000, 100  # of each upload: at once, and now and then
WHOLE = 2  # uploads that come to their end
PATIENCE = 600.0


def prepared(folder: Path, names: list[str]) -> tuple[Params, bytes]:
    """A session whose masked inputs are due, and a message that each user may send.

    Ciphertexts are random bytes, which nobody but their receivers could tell from others.
    """
    params = Params(n=USERS, m=LENGTH, modulus=1 << 20, n_corrupt=1)
    deadlines = Deadlines(seconds=dict.fromkeys(Round, 86400.0))
    running = RunningSession.create(
        folder / "state" / "uploads", SessionSetup("uploads", params, None, tuple(names), deadlines, time())
    )
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(running.join, names))
        clients = {u: Client(params, u) for u in range(1, USERS + 1)}
        list(pool.map(lambda u: post(running, u, Round.ADVERTISE_KEYS, clients[u].start()), clients))
        running.tick()
        opened = running.opened(1, None)
        assert opened is not None
        shared = decode(clients[1].receive(opened.body), ShareKeys)

        def share(u: int) -> None:
            junk = np.frombuffer(os.urandom(shared.ciphertexts.nbytes), np.uint8).reshape(shared.ciphertexts.shape)
            post(running, u, Round.SHARE_KEYS, encode(replace(shared, commitment=os.urandom(32), ciphertexts=junk)))

        list(pool.map(share, clients))
    running.tick()
    assert running.round is CURRENT
    asked = running.opened(1, Round.SHARE_KEYS)
    assert asked is not None
    u2 = decode(asked.body, MaskedInputCollectionRequest).users
    running.close()
    message = MaskedInputCollection(shared.session, users_hash(u2), bytes(params.packed_size), u2[:0])
    return params, encode(message)


def held_bytes(pid: int) -> int:
    """Of memory that is no file's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return 1024 * int(found["RssAnon"].split()[0])


class Uploads:
    """A message from each user, begun; a few bytes of each come now and then, until it is finished."""

    def __init__(self, place: httpx.URL, tokens: list[str], message: bytes) -> None:
        self._place, self._tokens, self._message = place, tokens, message
        self._sent: dict[int, tuple[socket.socket, int]] = {}
        self._lock = Lock()
        self._over = Event()
        self._threads = [Thread(target=act) for act in (self._begin_all, self._trickle)]

    def __enter__(self) -> "Uploads":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for connection, _ in self._sent.values():
            connection.close()

    def _begin_all(self) -> None:
        digest = content_digest(sha256(self._message).digest())
        for u, token in enumerate(self._tokens, 1):
            head = (
                f"POST {answer_path('uploads', u, CURRENT)} HTTP/1.1\r\nHost: here\r\n"
                f"Authorization: {bearer(token)}\r\n{CONTENT_DIGEST}: {digest}\r\n"
                f"Content-Type: {OCTETS}\r\nContent-Length: {len(self._message)}\r\nConnection: close\r\n\r\n"
            )
            connection = socket.create_connection((self._place.host, self._place.port or 0), PATIENCE)
            connection.sendall(head.encode() + self._message[:BEGUN_BYTES])
            with self._lock:
                self._sent[u] = connection, BEGUN_BYTES

    def _trickle(self) -> None:
        while not self._over.wait(4.0):
            for u in list(self._sent):
                with self._lock:
                    if u in self._sent:
                        connection, sent = self._sent[u]
                        connection.sendall(self._message[sent : sent + TRICKLE_BYTES])
                        self._sent[u] = connection, sent + TRICKLE_BYTES

    def finish(self, u: int) -> bytes:
        """Send what is left; how the answer begins."""
        with self._lock:
            connection, sent = self._sent.pop(u)
        with connection:
            connection.sendall(self._message[sent:])
            return connection.recv(1000)


@pytest.mark.nightly
@pytest.mark.alone
def test_a_thousand_uploads_of_30_mb_hold_less_than_300_mb(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4 * USERS:
        pytest.skip(f"{hard} files may be open, {4 * USERS} are needed")
    folder = tmp_path / "c"
    Command("serve").run("--init", folder, "--listen", "127.0.0.1:0")
    tokens = {f"user-{u}": make_token() for u in range(1, USERS + 1)}
    (folder / PARTICIPANTS).write_text("".join(f"{name} {token_hash(t).hex()}\n" for name, t in tokens.items()))
    config = (folder / CONFIG).read_text()
    assert "body_rate = " in config
    (folder / CONFIG).write_text(
        "\n".join("body_rate = 1" if "body_rate = " in each else each for each in config.split("\n"))
    )
    params, message = prepared(folder, list(tokens))
    assert 29_000_000 < len(message) <= answer_bytes(params, CURRENT)

    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * USERS), hard))
    with (
        process("--config", folder / CONFIG) as (url, running),
        ExitStack() as stack,
        httpx.Client(timeout=PATIENCE) as http,
    ):
        operator = {"Authorization": bearer((folder / TOKEN).read_text().strip())}
        place = httpx.URL(url)
        before = held_bytes(running.pid)
        uploads = stack.enter_context(Uploads(place, list(tokens.values()), message))
        limit = monotonic() + PATIENCE
        while f"secagg_service_uploads {USERS}.0" not in http.get(url + "/metrics", headers=operator).text:
            assert monotonic() < limit
            sleep(0.1)
        most = held_bytes(running.pid) - before
        for u in range(1, WHOLE + 1):
            assert uploads.finish(u).startswith(b"HTTP/1.1 204 ")
            most = max(most, held_bytes(running.pid) - before)
        status = http.get(f"{url}{SESSIONS}/uploads", headers=operator).json()
        assert status["answered"] == list(range(1, WHOLE + 1))
        print(f"{USERS} uploads of {len(message):,} bytes hold {most:,} bytes")
        assert most <= 300_000_000
