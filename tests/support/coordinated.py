"""Participants and a coordinator's session without HTTP: real clients, a journal on any disk, a clock that stands."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import Client, Identity, LocalProtocolError, Model, Params, Roster, Round
from secagg.service.deadlines import Deadlines
from secagg.service.refusals import Kind, Refused
from secagg.service.running import RunningSession, remove
from secagg.service.session import Opened, Session
from secagg.service.setup import SessionSetup
from secagg.service.storage import Storage

START = 1_000_000.0
IDENTITIES = {u: Identity.generate() for u in range(1, 9)}


def make_setup(
    model: Model = Model.SEMI_HONEST, n: int = 4, m: int = 5, *, deadlines: Deadlines | None = None, **params: Any
) -> SessionSetup:
    """A session of n users; in the active model with `IDENTITIES`."""
    made = Params.for_inputs(100, n=n, m=m, model=model, **params)
    return SessionSetup("session", made, roster_of(made), None, deadlines or Deadlines(), START)


def roster_of(params: Params) -> Roster | None:
    if params.model is Model.SEMI_HONEST:
        return None
    for u in range(len(IDENTITIES) + 1, params.n + 1):
        IDENTITIES[u] = Identity.generate()
    return Roster({u: IDENTITIES[u].verification_key for u in range(1, params.n + 1)})


class User:
    """A participant: it sends what it has answered until that is acknowledged, and remembers all requests.

    Attributes:
        number: by which it joins; its id once it has joined, as all join in this order.
        x: its input.
        answers: by round, what it has sent.
        acknowledged: the rounds of which it heard that its answer counts.
        refused: why it left, if it was told to.
    """

    def __init__(self, setup: SessionSetup, number: int) -> None:
        self.number = number
        self.joined = False
        self.x = np.random.default_rng(number).integers(0, 101, setup.params.m)
        self.answers: dict[Round, bytes] = {}
        self.acknowledged: set[Round] = set()
        self.heard: dict[Round, bytes] = {}
        self.refused: Refused | None = None
        identity = IDENTITIES[number] if setup.roster is not None else None
        self.client = Client(setup.params, number, self.x, identity=identity, roster=setup.roster)

    @property
    def name(self) -> str | int:
        return self.number if self.client._identity is not None else f"user {self.number}"

    @property
    def last(self) -> Round | None:
        """The last round that it has answered, as far as it knows."""
        return max(self.acknowledged, default=None)

    def hear(self, opened: Opened) -> None:
        """Take a request, which must be the only one to its round."""
        assert self.heard.setdefault(opened.round, opened.body) == opened.body, "two requests in one round"
        if opened.round not in self.answers:
            self.answers[opened.round] = self.client.receive(opened.body)

    def begin(self) -> None:
        if not self.answers:
            self.answers[Round.ADVERTISE_KEYS] = self.client.start()

    def to_send(self) -> list[Round]:
        """The rounds whose answers are not acknowledged."""
        return sorted(set(self.answers) - self.acknowledged)


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


def post(running: RunningSession, user: int, round: Round, body: bytes, *, chunk: int = 1 << 16) -> None:
    """A message, as HTTP brings it."""
    spool = running.spool(user, round)
    for start in range(0, len(body), chunk):
        spool.write(body[start : start + chunk])
    running.deliver(user, round, spool)


class Coordinated:
    """A session and its users on a disk; whatever stops the session, `open` goes on."""

    def __init__(self, setup: SessionSetup, storage: Storage, folder: Path = Path("/state/session")) -> None:
        self.setup = setup
        self.storage = storage
        self.folder = folder
        self.clock = Clock()
        self.users = {u: User(setup, u) for u in range(1, setup.params.n + 1)}
        self.running: RunningSession | None = None
        self.made = False

    @property
    def session(self) -> RunningSession:
        assert self.running is not None
        return self.running

    def open(self) -> None:
        """Make the session, or go on with what the disk has of it."""
        if not self.made:
            try:
                self.running = RunningSession.create(self.folder, self.setup, clock=self.clock, storage=self.storage)
            except LocalProtocolError:  # it was there already
                self.running = RunningSession.open(self.folder, clock=self.clock, storage=self.storage)
            self.made = True
        else:
            self.running = RunningSession.open(self.folder, clock=self.clock, storage=self.storage)

    def reopen(self) -> None:
        """The coordinator stops as it should, and starts again."""
        self.session.close()
        self.open()

    def remove(self) -> None:
        self.session.close()
        remove(self.folder, storage=self.storage)

    def join(self, u: int) -> None:
        user = self.users[u]
        assert self.session.join(user.name) == u
        user.joined = True
        user.begin()

    def send(self, u: int, round: Round) -> None:
        """The user's answer to a round, maybe again."""
        user = self.users[u]
        try:
            post(self.session, u, round, user.answers[round])
        except Refused as refused:
            if refused.kind in (Kind.LATE, Kind.NOT_NEEDED, Kind.LEFT, Kind.FAULTY, Kind.ABORTED):
                user.refused = refused
            raise
        user.acknowledged.add(round)

    def fetch(self, u: int) -> bool:
        """The user's next request, if there is one."""
        user = self.users[u]
        try:
            opened = self.session.opened(u, user.last)
        except Refused as refused:
            user.refused = refused
            return False
        if opened is not None:
            user.hear(opened)
        return opened is not None

    def step(self, u: int) -> None:
        """All that the user can do now."""
        user = self.users[u]
        if not user.joined:
            self.join(u)
        for round in user.to_send():
            self.send(u, round)
        if self.fetch(u):
            for round in user.to_send():
                self.send(u, round)

    def play_round(self, users: Iterable[int]) -> None:
        """Each of these users does what it can; then the coordinator what is due."""
        for u in users:
            if self.users[u].refused is None:
                self.step(u)
        self.session.tick()

    def play_until(self, over: Callable[[], bool], users: Iterable[int] | None = None) -> None:
        """Rounds until this holds; a session has five."""
        for _ in range(6):
            if over():
                return
            self.play_round(self.users if users is None else users)
        assert over(), self.session.describe()

    def finish(self, users: Iterable[int] | None = None) -> None:
        """All rounds that are left, with these users."""
        self.play_until(lambda: self.session.status != "running", users)

    def expected(self, survivors: Iterable[int]) -> NDArray[Any]:
        """The sum of these users' inputs."""
        total = sum((self.users[u].x for u in survivors), np.zeros(self.setup.params.m, np.int64))
        return np.asarray(total % self.setup.params.modulus).astype(self.setup.params.dtype)

    def check_result(self) -> None:
        """The sum is that of U3, and whoever was told that its masked input counts is in it."""
        result = self.session.result()
        assert (result.sum == self.expected(result.survivors)).all()
        told = {u for u, user in self.users.items() if Round.MASKED_INPUT_COLLECTION in user.acknowledged}
        assert told <= set(result.survivors)


def digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def all_rounds(session: Session | RunningSession) -> list[Round]:
    """The rounds of its model."""
    model = session.setup.params.model
    return [each for each in Round if model is Model.ACTIVE or each is not Round.CONSISTENCY_CHECK]
