"""A coordinator and participants on this machine, each a process of its own, of which three are lost on the way.

The participants are what anybody's would be: a key, the roster, a vector, and the coordinator's URL. Three of them are
killed after they have answered a round, a later one each, so that the session goes on without them: the first has only
sent keys; the second shares secrets with the others, who then remove its masks; the vector of the third is in the sum.

All processes come from one that has imported everything, so that twenty of them do not import it twenty times.
"""

import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from ..arguments import whole
from ..durable import create
from ..errors import LocalProtocolError, SecAggError, require
from ..http.base64url import base64url
from ..http.steps import Progress
from ..http.urls import parse_server_url
from ..protocol.identity import Identity, Roster
from ..protocol.messages import Round
from ..protocol.params import Model, Params
from .authentication import make_token
from .coordinator.config import Config, template
from .coordinator.process import serve
from .operator import Operator
from .participant import Participant
from .participation import Standing
from .rosters import roster_to_json

FEWEST, MOST = 10, 200
LENGTH = 8
LARGEST = 1000  # element of a vector
GRACE = 2.0  # seconds for which the coordinator waits for those who will never answer
STOP_SECONDS = 20.0
LOST_AFTER = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION)

_MODULES = ["secagg.service.demo"]  # imported once, before all processes

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What came of it.

    Attributes:
        session: its name.
        n: how many took part.
        lost: by user, the last round that it answered.
        survivors: whose vectors are in the sum.
        sum: what the coordinator has added up.
        truth: the same, added up in the clear.
        told: how many participants have read this sum.
        seconds: how long it took.
    """

    session: str
    n: int
    lost: dict[int, Round]
    survivors: tuple[int, ...]
    sum: NDArray[Any]
    truth: NDArray[Any]
    told: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the sum is the true one."""
        return bool(np.array_equal(self.sum, self.truth))


class DemonstrationFailed(SecAggError):
    """A process has ended otherwise than it should; the message has what it said."""


@dataclass(frozen=True, repr=False)
class _Site:
    """What one participant's process is started with."""

    url: str
    session: str
    user: int
    key: Path
    roster: Path
    state: Path
    x: list[int]
    lost_after: Round | None


def demonstrate(n: int, tell: Tell, *, seed: int | None = None) -> Demonstration:
    """Run it.

    Args:
        n: how many participants, 10 .. 200.
        tell: is told what happens, in lines.
        seed: of the vectors; None for other ones each time. Keys are always fresh.

    Raises:
        LocalProtocolError: n is out of range.
        DemonstrationFailed: a process has ended otherwise than it should.
    """
    n = whole(n, "n")
    require(FEWEST <= n <= MOST, f"the demonstration takes {FEWEST} .. {MOST} participants, got {n}")
    begun = time.monotonic()
    vectors = np.random.default_rng(seed).integers(0, LARGEST, (n + 1, LENGTH))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as name, _ended() as processes:
        folder = Path(name)
        url, operator = _start_coordinator(context, folder, processes)
        tell(f"a coordinator at {url}, and {n} participants, each a process")
        with httpx.Client(timeout=60.0) as http:
            asking = Operator(parse_server_url(url), operator, http)
            roster = _write_keys(folder, n)
            session = asking.start(_members(n, roster))["session"]
            lost = {n // 5 * (i + 1): after for i, after in enumerate(LOST_AFTER)}
            sites = [
                _Site(
                    url,
                    session,
                    u,
                    folder / f"user{u}.key",
                    folder / "roster.txt",
                    folder / f"state{u}",
                    vectors[u].tolist(),
                    lost.get(u),
                )
                for u in range(1, n + 1)
            ]
            told = _run_participants(context, sites, processes, tell)
            form = asking.result(session, wait=True)
            total = asking.sum(form)
    truth = vectors[list(form.survivors)].sum(axis=0)
    agreed = sum(answer == (form.survivors, total.tolist()) for answer in told.values())
    return Demonstration(session, n, lost, form.survivors, total, truth, agreed, time.monotonic() - begun)


@dataclass
class _Processes:
    """All that were started."""

    started: list[ForkServerProcess] = field(default_factory=list)

    def start(self, context: ForkServerContext, work: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
        """A process that does this, and the end of a pipe to it."""
        ours, theirs = context.Pipe()
        process = context.Process(target=_quietly, args=(work, theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        self.started.append(process)
        return process, ours


@contextmanager
def _ended() -> Iterator[_Processes]:
    """Processes that are all gone at the end, whatever happens."""
    processes = _Processes()
    try:
        yield processes
        for process in processes.started:
            process.terminate()
        for process in processes.started:
            process.join(STOP_SECONDS)
    finally:
        for process in processes.started:
            process.kill()
            process.join()


def _members(n: int, roster: Roster) -> dict[str, Any]:
    """The session: who is not there two seconds after most have answered is not waited for."""
    params = Params.for_inputs(LARGEST, n=n, m=LENGTH, model=Model.ACTIVE)
    goal = max(params.min_users, n - len(LOST_AFTER))
    return {
        "params": base64url(params.encode()),
        "roster": roster_to_json(roster),
        "goal": goal,
        "grace": GRACE,
        "label": "a demonstration",
    }


def _write_keys(folder: Path, n: int) -> Roster:
    """Everybody's key, and the roster, as the trusted party gives it to everybody."""
    identities = {u: Identity.generate() for u in range(1, n + 1)}
    for u, identity in identities.items():
        identity.save(folder / f"user{u}.key")
    roster = Roster({u: identity.verification_key for u, identity in identities.items()})
    roster.write(folder / "roster.txt")
    return roster


def _start_coordinator(context: ForkServerContext, folder: Path, processes: _Processes) -> tuple[str, str]:
    """The URL of a coordinator, and its operator's token."""
    token, config = make_token(), folder / "coordinator.toml"
    create(folder / "operator.token", token.encode() + b"\n")
    values = {"server": {"listen": "127.0.0.1:0"}, "log": {"file": "coordinator.log"}}
    create(config, template(values).encode())
    _, pipe = processes.start(context, _coordinate, config)
    kind, said = _heard(pipe, "the coordinator")
    if kind != "listening":
        raise DemonstrationFailed(f"the coordinator does not start: {said}")
    return said, token


def _run_participants(
    context: ForkServerContext, sites: list[_Site], processes: _Processes, tell: Tell
) -> dict[int, tuple[tuple[int, ...], list[int]]]:
    """Start everybody, end those who are to be lost, and gather what the others have read."""
    started = {}
    for site in sites:
        process, pipe = processes.start(context, _participate, site)
        started[pipe] = (site, process)
    for pipe in started:
        _heard(pipe, "a participant")  # it is there: from now on nobody is late because others had to start
    for pipe in started:
        pipe.send("go")
    told: dict[int, tuple[tuple[int, ...], list[int]]] = {}
    while started:
        for ready in wait(list(started)):
            assert isinstance(ready, Connection)
            site, process = started.pop(ready)
            kind, said = _heard(ready, f"user {site.user}")
            if kind == "lost":
                process.kill()
                tell(f"user {site.user} is killed, after {site.lost_after}")
            elif kind == "done":
                told[site.user] = said
            else:
                raise DemonstrationFailed(f"user {site.user}: {said}")
    return told


def _heard(pipe: Connection, who: str) -> tuple[str, Any]:
    try:
        said: tuple[str, Any] = pipe.recv()
    except EOFError:
        raise DemonstrationFailed(f"{who} has ended by itself") from None
    return said


# In processes of their own.


def _quietly(work: Callable[..., None], pipe: Connection, *arguments: Any) -> None:
    """Do the work; an interrupt of the terminal is for the first process, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(pipe, *arguments)
    except (SecAggError, OSError) as error:
        pipe.send(("failed", str(error)))


def _coordinate(pipe: Connection, path: Path) -> None:
    """As `secagg serve` does."""
    config = Config.load(path)
    config.start_log()
    serve(config, lambda url: pipe.send(("listening", url)))


def _participate(pipe: Connection, site: _Site) -> None:
    """As `secagg join` does; whoever is to be lost stops and is killed."""
    pipe.send(("there", None))
    pipe.recv()

    def progress(told: Progress) -> None:
        assert isinstance(told, Standing)
        if site.lost_after is not None and told.round is site.lost_after:
            pipe.send(("lost", None))
            while True:
                signal.pause()

    identity, roster = Identity.load(site.key, state=site.state), Roster.read(site.roster)
    with Participant(site.url, identity=identity, roster=roster, state=site.state) as participant:
        done = participant.contribute(site.session, site.x, progress=progress)
    if done.survivors is None or done.sum is None:
        raise LocalProtocolError("the coordinator keeps the result from participants")
    pipe.send(("done", (done.survivors, done.sum.tolist())))
