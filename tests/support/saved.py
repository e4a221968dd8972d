"""Clients that are saved: one session is recorded with a client in memory, and saved clients are played against it.

All that a client draws follows from its seed, so a saved client of the same seed must give the recorded answers.
"""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from secagg import Client, Identity, Model, Params, Roster, Server, durable, rounds_of
from secagg.protocol.messages import ROUNDS, decode, encode
from secagg.protocol.saved import Counter

N, M = 5, 3
KEY = bytes(range(32))
SEED = bytes([7]) * 32
X = [1, 2, 3]
KEYS = {u: Ed25519PrivateKey.from_private_bytes(bytes([u] * 32)) for u in range(1, N + 1)}
ROSTER = Roster({u: key.public_key().public_bytes_raw() for u, key in KEYS.items()})


@dataclass(frozen=True)
class Recorded:
    """A session of five users, from user 1's side.

    Attributes:
        requests: what user 1 got, in order; the first is of ShareKeys.
        others: for each of them another request to the same round, as right as the first: without user 5.
        answers: what it sent; the first is of AdvertiseKeys.
    """

    params: Params
    requests: tuple[bytes, ...]
    others: tuple[bytes, ...]
    answers: tuple[bytes, ...]

    @property
    def rounds(self) -> int:
        return len(self.answers)

    def pki(self, identity: Identity | None = None) -> dict[str, Any]:
        """What a client of the active model needs besides; by default an identity that remembers nothing."""
        if self.params.model is Model.SEMI_HONEST:
            return {}
        return {"identity": identity or Identity(KEYS[1]), "roster": ROSTER}

    def fresh(self, identity: Identity | None = None) -> Client:
        return Client(self.params, 1, X, rand=lambda size: SEED, **self.pki(identity))

    def saved(self, path: Path, identity: Identity | None = None, **options: Any) -> Client:
        client = self.fresh(identity)
        client.save(path, **{"key": KEY, "clock": lambda: 1000.0, **options})
        return client

    def load(self, path: Path, identity: Identity | None = None, **changes: Any) -> Client:
        given = {"params": self.params, "user_id": 1, "key": KEY, "clock": lambda: 1000.0, **self.pki(identity)}
        return Client.load(path, **{**given, **changes})

    def play(self, client: Client, answered: int) -> None:
        """Let the client answer until it has answered so many rounds in all; the answers are those recorded."""
        done = 0 if client.answered is None else rounds_of(self.params).index(client.answered) + 1
        for number in range(done, answered):
            assert (client.receive(self.requests[number - 1]) if number else client.start()) == self.answers[number]

    def at(self, path: Path, answered: int, **options: Any) -> None:
        """A file of a client that has answered so many rounds."""
        self.play(self.saved(path, **options), answered)


@cache
def recorded(model: Model) -> Recorded:
    params = Params(n=N, m=M, t=4, modulus=1 << 12, model=model, nonce=bytes(16))
    active = model is Model.ACTIVE
    clients = {
        u: Client(
            params,
            u,
            X,
            identity=Identity(KEYS[u]) if active else None,
            roster=ROSTER if active else None,
            rand=lambda size, u=u: SEED if u == 1 else bytes([100 + u]) * size,  # type: ignore[misc]
        )
        for u in range(1, N + 1)
    }
    server = Server(params, roster=ROSTER if active else None)
    answers, requests = [], []
    messages = {u: client.start() for u, client in clients.items()}
    while True:
        answers.append(messages[1])
        for u, message in messages.items():
            server.receive(u, message)
        told = server.end_round()
        if server.round is None:
            break
        requests.append(told[1])
        messages = {u: clients[u].receive(request) for u, request in told.items()}
    assert server.sum.tolist() == [N * x for x in X]
    others = tuple(without_user_5(kind, data) for kind, data in zip(ROUNDS[model], requests, strict=True))
    return Recorded(params, tuple(requests), others, tuple(answers))


def without_user_5(kind: type[Any], data: bytes) -> bytes:
    """A request as it would be if user 5 had dropped out before."""
    request = decode(data, kind)
    rows = {"users": 4, "keys": 4, "ciphertexts": 3, "signatures": 4}
    cut = {name: getattr(request, name)[:count] for name, count in rows.items() if hasattr(request, name)}
    return encode(replace(request, **cut))


class MemoryCounter:
    """A counter of one process; `log` has what it was advanced to."""

    def __init__(self, start: int = 0) -> None:
        self.log = [start]

    def value(self) -> int:
        return self.log[-1]

    def advance(self, to: int) -> None:
        assert to == self.log[-1] + 1
        self.log.append(to)


class FileCounter:
    """A counter that processes share. It stands for a TPM's, and is never put back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def value(self) -> int:
        return int(self._path.read_text() or 0) if self._path.exists() else 0

    def advance(self, to: int) -> None:
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert to == self.value() + 1
            file.truncate(0)
            file.write(str(to))


COUNTERS: list[Callable[[], Counter | None]] = [lambda: None, MemoryCounter]


def put_back(path: Path, contents: bytes) -> None:
    """An older file in place of the present one, such that nobody can see it: as after a disk was set back."""
    new = path.with_name(f"{path.name}.restored")
    new.write_bytes(contents)
    new.chmod(0o600)
    os.replace(new, path)
    durable.adopt(path)
