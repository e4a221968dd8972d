"""Processes that tests start: every test's starts here, and none outlives it.

What a shell starts in the background ignores SIGINT, and so would all that the tests start: `restore_interrupts`.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar
from uuid import uuid4

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

PATIENCE = 300.0  # seconds for what a process does, on a machine that is busy with other things
_RUN = "SECAGG_TEST_RUN"  # in the environment of all that a process of pytest has started: its number
_STAYS = b"multiprocessing.resource_tracker"  # ends with the process of pytest


@contextmanager
def started(*command: str | Path, **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """A process at the head of a session of its own; all of the session is killed when the test is through with it."""
    with subprocess.Popen([*map(str, command)], start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Family:
    """A process and all that it has started, in whatever session: they are known by what stands in their environment.

    Attributes:
        head: the process that the others come from.
        mark: a variable that all of them have, with its value.
    """

    head: "subprocess.Popen[Any]"
    mark: bytes

    def members(self) -> list[int]:
        """Those that still run."""
        return [pid for pid, (environment, _) in _running().items() if self.mark in environment]

    def kill(self) -> None:
        """All at once, as a machine that loses its power: also those that are started meanwhile."""
        while found := self.members():
            for pid in found:
                _kill(pid)
            with suppress(subprocess.TimeoutExpired):
                self.head.wait(0.1)


@contextmanager
def family(*command: str | Path, env: dict[str, str], **options: Any) -> Iterator[Family]:
    """The same for a process that starts others in sessions of their own; none of them outlives the test."""
    name, value = "SECAGG_TEST_FAMILY", uuid4().hex
    with subprocess.Popen([*map(str, command)], start_new_session=True, env=env | {name: value}, **options) as process:
        running = Family(process, f"{name}={value}".encode())
        try:
            yield running
        finally:
            running.kill()


def ran(*command: str | Path, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """What a process says to its end, and its exit code."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    with started(*command, **options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def workers(count: int) -> ProcessPoolExecutor:
    """Processes that call functions; to be entered."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


def at_once(act: Callable[[_Argument, Barrier], _Result], arguments: Sequence[_Argument]) -> list[_Result]:
    """What `act` makes of each argument, in a process for each, which all wait for each other at the barrier."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(len(arguments)) as pool:
        start = manager.Barrier(len(arguments))
        return pool.starmap(act, [(argument, start) for argument in arguments], chunksize=1)


# Of the whole run: tests/conftest.py.


def restore_interrupts() -> None:
    """Where SIGINT is ignored, go on ignoring it, but let what is started heed it: a handler is not inherited."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)


def mark_children() -> None:
    """From now on all that this process starts, and all that those start, can be found."""
    os.environ[_RUN] = str(os.getpid())


def name_starters(names: Path) -> None:
    """Write down each test of this process that starts another, a line for each start."""

    def write(event: str, arguments: object = None) -> None:
        if event == "subprocess.Popen" and (test := os.environ.get("PYTEST_CURRENT_TEST")):
            with names.open("a") as file:
                file.write(test.rpartition(" (")[0] + "\n")

    def start(self: BaseProcess) -> None:
        write("subprocess.Popen")
        real_start(self)

    real_start = BaseProcess.start
    BaseProcess.start = start  # type: ignore[method-assign]
    sys.addaudithook(write)


def left_over() -> dict[int, str]:
    """Processes that were started by tests of this process and still run: number, command line and test."""
    mark = f"{_RUN}={os.getpid()}".encode()
    found = {}
    for pid, (environment, command) in _running().items():
        if mark in environment and pid != os.getpid() and _STAYS not in command:
            tests = [each for each in environment if each.startswith(b"PYTEST_CURRENT_TEST=")]
            found[pid] = b" ".join([*command.split(b"\0"), *tests]).decode(errors="replace")
    return found


def _running() -> dict[int, tuple[list[bytes], bytes]]:
    """Environment and command line of every process that this one may look at."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended just now, or is another user's
            environment = (folder / "environ").read_bytes().split(b"\0")
            found[int(folder.name)] = environment, (folder / "cmdline").read_bytes()
    return found


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_left_over() -> list[str]:
    """What is still there after a while; it is killed."""
    until = time.monotonic() + 20
    while (found := left_over()) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in found:
        _kill(pid)
    return list(found.values())
