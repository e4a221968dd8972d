"""One run: a coordinator, participants, and the links between them, each in processes of their own."""

import multiprocessing
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from secagg import Model, Params, Round, rounds_of, vector
from secagg.http.base64url import base64url
from secagg.http.urls import parse_server_url
from secagg.service.authentication import make_token
from secagg.service.operator import Operator
from secagg.service.resources import ROUND_NAMES

from ...script import identity, random_input
from . import crowd
from .coordinator import Coordinator, RunFailed, coordinating
from .crowd import Hall, Seat, Told
from .links import draw_links
from .parts import Part
from .result import COORDINATOR, PARTICIPANTS, PROXY, Run, measured
from .toxiproxy import running
from .usage import watched

LONGEST = 3600.0  # seconds of a round, where nothing is to be cut short
PATIENCE = 3600.0  # seconds for a run


@dataclass(frozen=True)
class Place:
    """Where and how runs are made.

    Attributes:
        program: Toxiproxy.
        folder: for the coordinator's state: on disk.
        memory: for what is to be in memory, such as the participants' state.
        processes: of participants.
        seed: of links and inputs.
    """

    program: Path
    folder: Path
    memory: Path
    processes: int
    seed: int


class WrongSum(Exception):
    """The coordinator's sum is not that of the inputs."""


@dataclass(frozen=True, repr=False)
class _Session:
    """One that was made, and who takes part in it."""

    name: str
    params: Params
    seats: list[Seat]


def run(part: Part, number: int, place: Place, deadline: float) -> Run:
    """One run of a part.

    Args:
        part: what to run.
        number: of the run, which inputs follow from.
        place: where and how.
        deadline: seconds of MaskedInputCollection, where some never answer.

    Raises:
        WrongSum: the sum is not that of the inputs.
        RunFailed: a process has ended otherwise than it should.
    """
    began, load = time.time(), os.getloadavg()[0]
    deadline = deadline if part.dropouts else 0.0
    with ExitStack() as stack:
        # Everybody is there, and nobody has joined.
        state = _folder(stack, place.folder if part.journal else place.memory)
        proxy = stack.enter_context(running(place.program, place.seed))
        links = draw_links(part.everybody, place.seed, part.slow / 100)
        tokens = [make_token() for _ in links]
        coordinator = stack.enter_context(coordinating(part, state, tokens))
        operator = _operator(stack, coordinator)
        ports = proxy.open(links, coordinator.port)
        sessions = list(_sessions(part, number, operator, deadline, tokens, ports))
        halls = _halls(part, sessions, coordinator, _folder(stack, place.memory), place.processes)
        processes, pipes = stack.enter_context(_crowds(halls))
        pids = [process.pid for process in processes if process.pid is not None]

        # They take part.
        with watched({COORDINATOR: [coordinator.pid], PARTICIPANTS: pids, PROXY: [proxy.pid]}) as samples:
            go = time.time()
            told = _go(pipes, coordinator.process)
            survivors = sum(_checked_sum(session, operator) for session in sessions)

        # They have gone.
        marks = [[go, *coordinator.ends(session.name, rounds_of(session.params))] for session in sessions]
        for process in processes:
            process.join()
        passed = proxy.passed()
    return measured(
        part, sessions[0].params, links, marks, samples, told, passed,
        survivors=survivors, deadline=deadline, took=time.time() - began, load=load,
    )  # fmt: skip


def _folder(stack: ExitStack, where: Path) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-fig9-", dir=where)))


def _operator(stack: ExitStack, coordinator: Coordinator) -> Operator:
    """It has no link, and asks for little."""
    certificate = coordinator.certificate
    trusted = False if certificate is None else ssl.create_default_context(cafile=str(certificate))
    http = stack.enter_context(httpx.Client(timeout=60.0, verify=trusted))
    return Operator(parse_server_url(coordinator.url), coordinator.operator_token, http)


# Before the session.


def _sessions(
    part: Part, number: int, operator: Operator, deadline: float, tokens: Sequence[str], ports: Sequence[int]
) -> Iterator[_Session]:
    """All sessions of a run, as the operator makes them."""
    gone = set(part.vanishing)
    for first in range(0, part.everybody, part.n):
        params = part.params()
        name = operator.start(_members(part, params, first, deadline))["session"]
        seats = [
            Seat(name, i - first + 1, _seed(number, i), tokens[i], ports[i], i - first + 1 in gone)
            for i in range(first, first + part.n)
        ]
        yield _Session(name, params, seats)


def _members(part: Part, params: Params, first: int, deadline: float) -> dict[str, Any]:
    """What the operator asks for; participants of the semi-honest model are named from `first` on."""
    seconds = dict.fromkeys(rounds_of(params), LONGEST)
    if deadline:
        seconds[Round.MASKED_INPUT_COLLECTION] = deadline
    members: dict[str, Any] = {
        "params": base64url(params.encode()),
        "seconds": {ROUND_NAMES[current]: value for current, value in seconds.items()},
        "results": False,
    }
    if part.model is Model.ACTIVE:
        return {**members, "roster": {str(u): identity(u).verification_key.hex() for u in range(1, part.n + 1)}}
    return {**members, "invited": [f"p{i}" for i in range(first, first + part.n)]}


def _seed(number: int, index: int) -> int:
    """Of a participant's input: another one in each run."""
    return number * 100_000 + index


def _halls(
    part: Part, sessions: Sequence[_Session], coordinator: Coordinator, states: Path, processes: int
) -> list[Hall]:
    """Everybody, dealt out to so many processes."""
    seats = [seat for session in sessions for seat in session.seats]
    params = {session.name: session.params for session in sessions}
    keys = {u: identity(u).verification_key for u in range(1, part.n + 1)} if part.model is Model.ACTIVE else {}
    return [
        Hall(coordinator.url, params, keys, coordinator.certificate, states, seats[i::processes])
        for i in range(min(processes, len(seats)))
    ]


# The session.


@contextmanager
def _crowds(halls: Sequence[Hall]) -> Iterator[tuple[list[SpawnProcess], list[Connection]]]:
    """A process for each hall; they wait for a word. All are gone at the end, whatever happens."""
    context = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    pipes: list[Connection] = []
    try:
        for hall in halls:
            ours, theirs = context.Pipe()
            process = context.Process(target=crowd.attend, args=(theirs, hall), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        for pipe in pipes:
            if (said := _heard(pipe)) != crowd.THERE:
                raise RunFailed(f"a process of participants: {said}")
        yield processes, pipes
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def _heard(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        raise RunFailed("a process of participants has ended by itself") from None


def _go(pipes: Sequence[Connection], coordinator: "subprocess.Popen[str]") -> list[Told]:
    """Let everybody begin, and hear what became of them."""
    for pipe in pipes:
        pipe.send("go")
    told: list[Told] = []
    left, until = list(pipes), time.monotonic() + PATIENCE
    while left:
        for ready in wait(left, timeout=1.0):
            assert isinstance(ready, Connection)
            left.remove(ready)
            said = _heard(ready)
            if isinstance(said, str):
                raise RunFailed(f"participants: {said}")
            told += said
        if left and coordinator.poll() is not None:
            raise RunFailed(f"the coordinator has ended with {coordinator.returncode}")
        if left and time.monotonic() > until:
            raise RunFailed(f"a session takes more than {PATIENCE:.0f} s")
    return told


def _checked_sum(session: _Session, operator: Operator) -> int:
    """How many inputs are in the sum, which is what they add up to."""
    form = operator.result(session.name, wait=True)
    found, survivors = operator.sum(form), set(form.survivors)
    truth = sum_of(session.params, [seat.seed for seat in session.seats if seat.user in survivors])
    if not np.array_equal(found, truth):
        raise WrongSum(f"wrong: {np.count_nonzero(found != truth):,} entries of the sum of session {session.name}")
    return len(survivors)


def sum_of(params: Params, seeds: Sequence[int]) -> NDArray[Any]:
    """The sum of the inputs of these seeds."""
    total = np.zeros(params.m, params.dtype)
    for seed in seeds:
        vector.add(total, random_input(params, seed), params.modulus)
    return total
