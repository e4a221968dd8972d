"""The coordinator's process is killed again and again, at whatever it is doing, and started anew."""

import json
import random
import signal
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NoReturn

import numpy as np
import pytest

from secagg import Model, Round
from secagg.service.running import RunningSession
from secagg.service.session import Opened

from ..support.coordinated import START, User, make_setup
from ..support.folders import ROOT
from ..support.processes import started


class Killed(Exception):
    """The process was killed before it answered."""


class Child:
    """The coordinator's process; `kill_after` says how many commands later it is killed, and how long after the command
    came."""

    def __init__(self, folder: Path, rand: random.Random) -> None:
        self.folder = folder
        self.kills = 0
        self.kill_after: tuple[int, float] | None = None
        self._rand = rand
        self._context: AbstractContextManager[Popen[str]] | None = None
        self._start()

    def _start(self) -> None:
        command = sys.executable, "-m", "tests.support.coordinator_child", self.folder
        self._context = started(*command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT)
        self._process = self._context.__enter__()
        assert self._read() == "ready"

    def ask(self, *command: Any) -> Any:
        """What the process says; `Killed` if it says nothing."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it was killed after its last answer
            self._restart()
        if self.kill_after is not None:
            commands, seconds = self.kill_after
            self.kill_after = (commands - 1, seconds) if commands else None
            if not commands:
                time.sleep(seconds)
                self._kill()
        return self._read()

    def _kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            self._restart()
        return json.loads(line)

    def _restart(self) -> NoReturn:
        assert self._process.wait() == -signal.SIGKILL
        self.close()
        self._start()
        raise Killed

    def close(self) -> None:
        if self._context is not None:
            with suppress(BrokenPipeError):
                self._context.__exit__(None, None, None)
            self._context = None


def persist(child: Child, *command: Any) -> Any:
    """Ask until there is an answer, as a participant does."""
    while True:
        try:
            return child.ask(*command)
        except Killed:
            pass


def play(child: Child, users: dict[int, User], kills: int, rand: random.Random) -> Any:
    """A whole session, in which the process is killed so many times."""
    status = "running"
    while status == "running":
        for u, user in users.items():
            if child.kill_after is None and child.kills < kills:
                child.kill_after = rand.randrange(6), rand.choice([0.0, 0.0005, 0.001, 0.002, 0.005])
            assert persist(child, "join", user.name) == u
            user.begin()
            opened = persist(child, "opened", u, user.last)
            if opened is not None:
                user.hear(Opened(Round(opened[0]), bytes.fromhex(opened[1])))
            for round in user.to_send():
                assert persist(child, "post", u, round, user.answers[round].hex()) is None
                user.acknowledged.add(round)
        status, _ = persist(child, "tick")
    return persist(child, "sum")


def run(folder: Path, model: Model, n: int, kills: int, seed: int) -> None:
    """Everybody hears one request a round, and the sum is that of all."""
    setup, rand = make_setup(model, n, 40), random.Random(seed)
    RunningSession.create(folder, setup).close()
    users = {u: User(setup, u) for u in range(1, n + 1)}
    child = Child(folder, rand)
    try:
        survivors, total = play(child, users, kills, rand)
        assert child.kills == kills
    finally:
        child.close()
    assert survivors == list(users)
    assert total == np.sum([user.x for user in users.values()], axis=0).tolist()
    assert setup.created == START


@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_five_kills(tmp_path: Path, model: Model) -> None:
    run(tmp_path / "session", model, 4, 5, seed=int(model))


@pytest.mark.nightly
@pytest.mark.parametrize("n", [8, 100])
@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_many_kills(tmp_path: Path, model: Model, n: int) -> None:
    run(tmp_path / "session", model, n, 12 if n == 8 else 40, random.randrange(1 << 32))
