"""Flower's real runtime on loopback: a SuperLink, SuperNodes, and runs that `flwr run` asks for.

The SuperLink's `flower-superexec` is in a session of its own, and a SuperNode's outlives it for a while; a killed node
takes its ClientApp with it, and all that is left ends with the fixture.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....support.folders import ROOT
from ....support.processes import PATIENCE, Family, family, ran, started

BIN = Path(sys.executable).parent
SENT = "Sent successfully"
HOST = "127.0.0.1"


LAST_LINES = 60.0  # seconds that a ServerApp's last lines may take to the SuperLink


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def until(true: Callable[[], object], what: str) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing is asked of the network, and all that Flower writes stays in one folder."""
    return os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        **more,
    }


@dataclass
class Node:
    """A SuperNode.

    Attributes:
        folder: its own: policy, state and data.
        log: what it and its ClientApps say.
    """

    number: int
    running: Family
    folder: Path
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def id(self) -> str:
        """What Flower calls it."""
        match = re.search(r"SuperNode ID: (\d+)", self.said())
        assert match is not None, self.said()
        return match[1]

    def replies(self) -> int:
        """How many messages it has answered."""
        return self.said().count(SENT)

    def kill(self, *, after: int = 0) -> None:
        """As if its machine lost its power, once it has answered so many messages."""
        until(lambda: self.replies() >= after, f"{after} replies of node {self.number}")
        self.running.kill()


@dataclass
class Run:
    """A run that `flwr run --stream` follows."""

    process: "subprocess.Popen[str]"
    flwr: Callable[..., str]

    def log(self, *, until_it_says: str = "") -> str:
        """What the ServerApp has said when it is through. The stream may end before its last lines have reached the
        SuperLink, which is then asked until it has those that are waited for."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        plain = _plain(said)
        assert self.process.returncode == 0, plain
        started_run = re.search(r"Successfully started run (\d+)", plain)
        end = time.monotonic() + LAST_LINES
        while until_it_says not in plain and started_run is not None and time.monotonic() < end:
            plain = _plain(self.flwr("log", started_run[1], "--show"))
        return plain


def _plain(said: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", said)


@dataclass
class Runtime:
    """A SuperLink and its SuperNodes.

    Attributes:
        folder: for everything that is written.
        nodes: by number, 1 and more.
    """

    folder: Path
    address: str
    stack: ExitStack
    nodes: dict[int, Node] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start_node(self, number: int, config: Mapping[str, object] = {}, *options: str | Path) -> Node:
        """A SuperNode with this configuration; all values are text but numbers."""
        folder = self.folder / f"node{number}"
        folder.mkdir(exist_ok=True)
        given = " ".join(f"{key}={each if isinstance(each, int) else repr(str(each))}" for key, each in config.items())
        command: list[str | Path] = [BIN / "flower-supernode", "--insecure", "--superlink", self.address]
        command += ["--port", str(free_port()), "--node-config", given, *options]
        self.nodes[number] = Node(number, self._started(f"node{number}", *command), folder, self._log(f"node{number}"))
        until(lambda: "SuperNode ID" in self.nodes[number].said(), f"node {number} at the SuperLink")
        return self.nodes[number]

    @contextmanager
    def run(self, app: str | Path, *options: str, **config: object) -> Iterator[Run]:
        """An application, as users start it; `config` is the run's."""
        given = [f"{key.replace('_', '-')}={toml(each)}" for key, each in config.items()]
        command = [BIN / "flwr", "run", app, "--stream", *options]
        command += [word for each in given for word in ("--run-config", each)]
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with started(*command, cwd=self.folder, env=environment(self.home), text=True, **pipes) as process:
            yield Run(process, self.flwr)

    def flwr(self, *arguments: str | Path) -> str:
        """What another command of `flwr` prints."""
        done = ran(BIN / "flwr", *arguments, cwd=self.folder, env=environment(self.home), text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        printed: str = done.stdout
        return printed

    def said(self) -> str:
        """All logs, for a test that fails."""
        return "\n".join(f"=== {log.name}\n{log.read_text(errors='replace')}" for log in self.folder.glob("*.log"))

    def start_superlink(self, *options: str, **variables: str) -> None:
        port = self.address.rpartition(":")[2]
        command: list[str | Path] = [BIN / "flower-superlink", "--insecure", "--host", HOST, "--port", port, *options]
        self._started("superlink", *command, "--disable-runtime-dependency-installation", **variables)
        until(self._listens, "the SuperLink's port")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, int(self.address.rpartition(":")[2]))) == 0

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _started(self, name: str, *command: str | Path, **variables: str) -> Family:
        log = self.stack.enter_context(self._log(name).open("w"))
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        return self.stack.enter_context(
            family(*command, cwd=self.folder, env=environment(self.home, **variables), **pipes)
        )


def toml(value: object) -> str:
    """A number or a text, as `--run-config` takes it."""
    return f'"{value}"' if isinstance(value, str | Path) else str(value).lower()


@contextmanager
def runtime(folder: Path, *options: str, **variables: str) -> Iterator[Runtime]:
    """A SuperLink without nodes, which `flwr run` finds, with options and variables of the environment."""
    with ExitStack() as stack:
        here = Runtime(folder, f"{HOST}:{free_port()}", stack)
        here.home.mkdir(parents=True)
        (here.home / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "{here.address}"\ninsecure = true\n'
        )
        here.start_superlink(*options, **variables)
        yield here
