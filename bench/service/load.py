"""Participants' messages a CPU second of the coordinator: `python -m bench.service.load`.

A coordinator runs as a process, as `secagg serve` starts it, and n participants speak to it over loopback, all at once,
each over a connection of its own. Their messages are made beforehand, and their CPU time does not count. Two kinds of
sessions take turns. In one, all send a round's messages, and once the last is acknowledged all fetch the next request:
this tells what a message alone costs. In the other each asks for the next request as soon as its message is
acknowledged, and waits for it by long poll, as participants do: there a message costs two requests.

Before each pair of them a bare Starlette application takes contents of the same lengths over as many connections, all
at once, and then gives answers of the lengths of the next requests, all at once. In the active model it verifies an
Ed25519 signature for each request: one of about as many bytes as the coordinator's, and always the same. It waits for
nothing, neither for the disk nor for others, and holds no poll. So in the first kind of session it is beside the same
pattern of requests; in the second the coordinator's long polls and their waking are beside plain GETs, and count as
what the coordinator takes more.

The CPU time is that of all threads, user and system. The peak of the coordinator's memory is of one session of 1,000,
once without TLS and once with it.
"""

import argparse
import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path
from typing import Any

import httpx

from secagg import Model, Params, Round, rounds_of
from secagg.cli.demo.usage import usage
from secagg.durable import create
from secagg.http.base64url import base64url
from secagg.http.urls import parse_server_url
from secagg.service.authentication import make_token, token_hash
from secagg.service.coordinator.config import template
from secagg.service.operator import Operator

from ..certificates import write_certificate
from ..paired import quartiles
from ..script import Users
from ..tables import number, spread, table
from .crowd import Connection, Participant, http_request, name_of, token_of

GOAL = 500  # participants' messages a CPU second in ShareKeys
MEMORY_MB = 1000  # of the coordinator at n = 1,000
LENGTH = 1_000  # entries of a vector: the messages of the other rounds do not depend on it
BITS = 32
FIG9_LENGTH, FIG9_BITS = 100_000, 62  # entries of a vector in the paper's Fig. 9
STOP_SECONDS = 60.0
MODELS = {"semi-honest": Model.SEMI_HONEST, "active": Model.ACTIVE}


# --- Processes --------------------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have taken, user and system, to the nanosecond: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def listening(command: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The pid of a process, and the first line that it prints; it ends with the block."""
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True)
class Coordinator:
    """A process that serves."""

    pid: int
    url: str
    operator: str
    trusted: ssl.SSLContext | None = None  # whom its certificate leads to


@contextmanager
def coordinator(folder: Path, n: int, *, tls: bool = False) -> Iterator[Coordinator]:
    """A coordinator for up to n participants, with its defaults but for TLS."""
    token = make_token()
    create(folder / "operator.token", token.encode() + b"\n")
    lines = (f"{name_of(u)} {token_hash(token_of(u)).hex()}\n" for u in range(1, n + 1))
    (folder / "participants.txt").write_text("".join(lines))
    values = {"server": {"listen": "127.0.0.1:0"}, "log": {"file": "coordinator.log"}}
    trusted = None
    if tls:
        write_certificate(folder)
        values["server"] |= {"certificate": "tls.crt", "private_key": "tls.key"}
        trusted = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    create(folder / "coordinator.toml", template(values).encode())
    with listening(["secagg", "serve", "--config", str(folder / "coordinator.toml")]) as (pid, line):
        yield Coordinator(pid, line.removeprefix("listening on "), token, trusted)


# --- Sessions ---------------------------------------------------------------------------------------------------------


@dataclass
class Spent:
    """CPU seconds of the coordinator by round.

    Attributes:
        alone: for the messages of a round.
        both: for these, and for the next request of everybody.
    """

    alone: dict[Round, float] = field(default_factory=dict)
    both: dict[Round, float] = field(default_factory=dict)


class Play:
    """One session of users whose messages are known.

    Args:
        served: the coordinator.
        users: who make the messages.
        made: messages that were made beforehand; others are made when they are sent.
    """

    _numbers = count(1)

    def __init__(self, served: Coordinator, users: Users, made: dict[Round, dict[int, bytes]]) -> None:
        self._served = served
        self._users = users
        self._made = made
        self.name = f"session-{next(self._numbers)}"
        self.sizes: dict[Round, tuple[int, int]] = {}

    async def play(self, *, at_once: bool) -> Spent:
        """All rounds.

        Args:
            at_once: whether everybody asks for its next request as soon as its message is acknowledged.
        """
        cast, url = self._users.cast, parse_server_url(self._served.url)
        self._create()
        spent, everybody = Spent(), []
        try:
            for u in range(1, cast.params.n + 1):
                connection = Connection(url.host, url.port, self._served.trusted)
                everybody.append(Participant(connection, url, self.name, cast, u))
            await _all(everybody, Participant.join)
            for current in rounds_of(cast.params):
                await self._round(current, everybody, spent, at_once)
        finally:
            for each in everybody:
                each.connection.close()
        return spent

    async def _round(self, current: Round, everybody: list[Participant], spent: Spent, at_once: bool) -> None:
        made = self._made.get(current)
        received: list[int] = []

        def message(each: Participant) -> bytes:
            return self._users.answer(current, each.u) if made is None else made[each.u]

        async def post(each: Participant) -> None:
            await each.post(current, message(each))

        async def fetch(each: Participant) -> None:
            received.append(len(await each.fetch(current)))

        async def post_and_fetch(each: Participant) -> None:
            await post(each)
            await fetch(each)

        before = cpu_seconds(self._served.pid)
        if at_once:
            await _all(everybody, post_and_fetch)
        else:
            await _all(everybody, post)
            spent.alone[current] = cpu_seconds(self._served.pid) - before
            await _all(everybody, fetch)
        spent.both[current] = cpu_seconds(self._served.pid) - before
        self.sizes[current] = len(message(everybody[0])), received[0]

    def _create(self) -> None:
        cast = self._users.cast
        params, n = cast.params, cast.params.n
        trusted = self._served.trusted
        with httpx.Client(timeout=60.0, verify=True if trusted is None else trusted) as http:
            members: dict[str, Any] = {"name": self.name, "params": base64url(params.encode())}
            if cast.roster is None:
                members["invited"] = [name_of(u) for u in range(1, n + 1)]
            else:
                members["roster"] = {str(u): cast.roster.key(u).hex() for u in range(1, n + 1)}
            Operator(parse_server_url(self._served.url), self._served.operator, http).start(members)


async def _all(everybody: list[Participant], act: Callable[[Participant], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in everybody:
            group.create_task(act(each))


async def play_bare(pid: int, port: int, n: int, sizes: dict[Round, tuple[int, int]]) -> Spent:
    """The same contents to the bare application and back."""
    spent = Spent()
    connections = [Connection("127.0.0.1", port) for _ in range(n)]
    try:
        for current, (sent, received) in sizes.items():
            post, get = http_request("POST", "/post", (), bytes(sent)), http_request("GET", f"/get/{received}", ())
            before = cpu_seconds(pid)
            await asyncio.gather(*(each.exchange(post) for each in connections))
            spent.alone[current] = cpu_seconds(pid) - before
            await asyncio.gather(*(each.exchange(get) for each in connections))
            spent.both[current] = cpu_seconds(pid) - before
    finally:
        for each in connections:
            each.close()
    return spent


# --- Figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rates:
    """Messages a CPU second in one round of several sessions, and beside the bare application's, as quartiles."""

    alone: list[float]
    alone_ratio: list[float]
    both: list[float]
    both_ratio: list[float]


def measure(model: Model, n: int, repeat: int) -> tuple[dict[Round, Rates], dict[Round, tuple[int, int]]]:
    """The rates by round, and the lengths of a message and of the request that follows it."""
    users = Users(Params(n=n, m=LENGTH, modulus=1 << BITS, model=model), ())
    made = {current: {u: users.answer(current, u) for u in range(1, n + 1)} for current in rounds_of(users.cast.params)}
    bare_command = ["bench.service.bare", *(["--verify"] if model is Model.ACTIVE else [])]
    with (
        tempfile.TemporaryDirectory(prefix="secagg-load-") as folder,
        coordinator(Path(folder), n) as served,
        listening(bare_command) as (bare, port),
    ):
        warm = Play(served, users, made)
        asyncio.run(warm.play(at_once=True))
        asyncio.run(play_bare(bare, int(port), n, warm.sizes))
        runs = []
        for _ in range(repeat):
            beside = asyncio.run(play_bare(bare, int(port), n, warm.sizes))
            apart = asyncio.run(Play(served, users, made).play(at_once=False))
            waiting = asyncio.run(Play(served, users, made).play(at_once=True))
            runs.append((beside, apart, waiting))
    rates = {
        current: Rates(
            quartiles([n / apart.alone[current] for _, apart, _ in runs]),
            quartiles([beside.alone[current] / apart.alone[current] for beside, apart, _ in runs]),
            quartiles([n / waiting.both[current] for *_, waiting in runs]),
            quartiles([beside.both[current] / waiting.both[current] for beside, _, waiting in runs]),
        )
        for current in warm.sizes
    }
    return rates, warm.sizes


HEADER = (
    "model",
    "round",
    "message, KB",
    "next request, KB",
    "messages a CPU second",
    "of a bare application's",
    "with the next request",
    "of a bare application's",
    f"{GOAL} met",
)


def rows(name: str, model: Model, n: int, repeat: int) -> Iterator[tuple[str, ...]]:
    """The lines of a model."""
    rates, sizes = measure(model, n, repeat)
    for current, rate in rates.items():
        sent, received = (f"{size / 1e3:.1f}" for size in sizes[current])
        met = "" if current is not Round.SHARE_KEYS else "yes" if rate.both[1] >= GOAL else "**no**"
        first, second = (f"{ratio[1]:.0%}" for ratio in (rate.alone_ratio, rate.both_ratio))
        yield name, str(current), sent, received, spread(rate.alone), first, spread(rate.both), second, met


def peak_memory(model: Model, n: int, length: int, bits: int, tls: bool) -> tuple[float, float]:
    """MB of a coordinator that has served nothing yet, and of one that has served one session."""
    users = Users(Params(n=n, m=length, modulus=1 << bits, model=model), ())
    with tempfile.TemporaryDirectory(prefix="secagg-load-") as folder, coordinator(Path(folder), n, tls=tls) as served:
        before = _peak(served)
        asyncio.run(Play(served, users, {}).play(at_once=True))
        return before, _peak(served)


def _peak(served: Coordinator) -> float:
    found = usage(served.pid)
    assert found is not None
    return found.peak_bytes / 1e6


def memory_rows(models: Sequence[str], n: int, length: int, bits: int) -> Iterator[tuple[str, ...]]:
    """The lines of memory."""
    for name, tls in product(models, (False, True)):
        before, after = peak_memory(MODELS[name], n, length, bits, tls)
        met = "yes" if after < MEMORY_MB else "**no**"
        size = f"{length:,} of {bits} bits"
        yield name, "yes" if tls else "no", f"{n:,}", size, number(before), number(after), met


MEMORY_HEADER = ("model", "TLS", "n", "entries", "at rest, MB", "peak, MB", f"under {MEMORY_MB:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: checks that it works")
    parser.add_argument("--clients", type=int, help="participants of a session [500, and 1,000 for memory]")
    parser.add_argument("--repeat", type=int, help="pairs of sessions in each model [5]")
    parser.add_argument("--model", action="append", choices=MODELS, help="one of them, or several times")
    parser.add_argument("--no-memory", action="store_true", help="leave out memory")
    parser.add_argument("--no-load", action="store_true", help="leave out all but memory")
    options = parser.parse_args()
    models = options.model or list(MODELS)
    n = options.clients or (20 if options.quick else 500)
    repeat = options.repeat or (1 if options.quick else 5)
    load = os.getloadavg()[0]
    print(f"Load average when it began: {load:.1f}; {len(os.sched_getaffinity(0))} cores; n = {n}, {repeat} of each.\n")
    if not options.no_load:
        for name in models:
            print("\n".join(table(HEADER, list(rows(name, MODELS[name], n, repeat)))), flush=True)
    if not options.no_memory:
        size = (20, 1000, BITS) if options.quick else (options.clients or 1000, FIG9_LENGTH, FIG9_BITS)
        print("\n".join(table(MEMORY_HEADER, list(memory_rows(models, *size)))))


if __name__ == "__main__":
    main()
