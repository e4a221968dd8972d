"""Participants in processes of their own, several hundred in each.

Each is what anybody's would be: `AsyncParticipant` with credentials, a folder of state, an HTTP client, and the
coordinator's URL. Only the port that the client connects to is another: that of the participant's own link.
"""

import asyncio
import os
import signal
import ssl
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import anyio.to_thread
import httpx

from secagg import Params, Roster, Round
from secagg.http.serving import allow_files
from secagg.http.steps import Progress
from secagg.service.participant import CONNECT_SECONDS, READ_SECONDS, AsyncParticipant
from secagg.service.participation import Standing
from secagg.service.refusals import Refused

from ...script import identity, random_input

THREADS = 2  # of each process: they share its core with the event loop
THERE = "there"
_FILES = 8  # of each participant: connections, a saved client, its folder


@dataclass(frozen=True, repr=False)
class Seat:
    """One participant, as its process is told.

    Attributes:
        session: that it takes part in.
        user: its id there.
        seed: of its input.
        token: in the semi-honest model.
        port: of its link.
        vanishes: whether it is gone once it has answered ShareKeys.
    """

    session: str
    user: int
    seed: int
    token: str
    port: int
    vanishes: bool


@dataclass(frozen=True, repr=False)
class Hall:
    """What the participants of a process have in common.

    Attributes:
        url: of the coordinator, as everybody knows it.
        params: of the session of a name.
        keys: everybody's verification key by user, in the active model; else empty.
        certificate: that the coordinator's leads to; None without TLS.
        states: the folder of the folders of state.
        seats: one for each participant.
    """

    url: str
    params: dict[str, Params]
    keys: dict[int, bytes]
    certificate: Path | None
    states: Path
    seats: list[Seat]


@dataclass(frozen=True)
class Told:
    """What became of a participant.

    Attributes:
        session: that it took part in.
        user: its id there.
        answered: POSIX seconds at which each answer had been acknowledged.
        lost: the coordinator's reason for going on without it; empty if there was none.
    """

    session: str
    user: int
    answered: dict[Round, float] = field(default_factory=dict)
    lost: str = ""


class Vanished(Exception):
    """The participant is gone: nothing more is heard of it."""


class Through(httpx.AsyncBaseTransport):
    """Requests to the coordinator, all of them through one link.

    Args:
        port: where the link begins, on this machine.
        context: what certificates are trusted.
    """

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._inner = httpx.AsyncHTTPTransport(verify=context)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. The field Host stays what the URL says."""
        request.url = request.url.copy_with(port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """See httpx."""
        await self._inner.aclose()


def attend(pipe: Connection, hall: Hall) -> None:
    """All of a process: say `THERE` and wait for a word, take part, and say what became of everybody.

    Args:
        pipe: to the process that has started this one.
        hall: who takes part in what.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the first process ends the others
    allow_files(_FILES * len(hall.seats))
    try:
        asyncio.run(_attend(pipe, hall))
    except ExceptionGroup as group:
        pipe.send("; ".join(f"{type(error).__name__}: {error}" for error in group.exceptions[:3]))


async def _attend(pipe: Connection, hall: Hall) -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    context = ssl.create_default_context(cafile=None if hall.certificate is None else str(hall.certificate))
    inputs = {seat.seed: random_input(hall.params[seat.session], seat.seed) for seat in hall.seats}
    pipe.send(THERE)
    await asyncio.to_thread(pipe.recv)
    roster = Roster(hall.keys) if hall.keys else None
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_take_part(hall, roster, seat, inputs.pop(seat.seed), context)) for seat in hall.seats
        ]
    pipe.send([task.result() for task in tasks])


async def _take_part(hall: Hall, roster: Roster | None, seat: Seat, x: object, context: ssl.SSLContext) -> Told:
    told = Told(seat.session, seat.user)

    def progress(now: Progress) -> None:
        assert isinstance(now, Standing)
        if now.round is not None:
            told.answered.setdefault(now.round, time.time())
        if seat.vanishes and now.round is Round.SHARE_KEYS:
            raise Vanished

    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(transport=Through(seat.port, context), timeout=timeout) as http:
        try:
            await _participant(hall, roster, seat, http).contribute(seat.session, x, progress=progress)
        except Vanished:
            return told
        except Refused as refused:
            return Told(told.session, told.user, told.answered, str(refused))
    return told


def _participant(hall: Hall, roster: Roster | None, seat: Seat, http: httpx.AsyncClient) -> AsyncParticipant:
    who = {"token": seat.token} if roster is None else {"identity": identity(seat.user), "roster": roster}
    state = hall.states / f"{seat.session}-{seat.user}"
    return AsyncParticipant(hall.url, **who, state=state, key=os.urandom(32), http=http)
