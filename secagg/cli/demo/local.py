"""A whole deployment on this machine: Leader and Helper as processes on loopback, each with its store.

It is for demonstrations, benchmarks and fault runs. The processes run the same commands as anywhere else.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...dap import task_file
from ...dap.aggregator.key_rotation import new_key
from ...dap.messages import BatchMode, Role
from ...dap.privacy.extension import Privacy
from ...dap.server.config import ROLES, Config, template
from ...dap.store.reports import count_open_reports
from ...dap.store.tasks import add_task
from ...dap.store.vault import SECRET_SIZE
from ...dap.task import Task, task_configuration
from ...dap.task_file import CollectorKey, CollectorParty, Party
from ...dap.vdafs import Vdaf
from ...errors import SecAggError
from .usage import Usage, usage

STOP_SECONDS = 60.0
LOG_TAIL = 2000  # bytes of a log that an error quotes from


class LocalError(SecAggError):
    """A process of the deployment did not start, or ended by itself; its log says why."""


class Local:
    """A context manager that runs both Aggregators.

    Args:
        folder: for configurations, secrets, stores and logs; it exists.
        databases: URL by role; by default SQLite files in the folder.
        tables: by role, table and key: what a configuration has in place of defaults.

    Attributes:
        folder: as given.
        urls: under which an Aggregator listens, by role.
        processes: by role.
        environments: variables for a role's process, from its next start on.
    """

    def __init__(
        self,
        folder: Path,
        databases: dict[Role, str] | None = None,
        tables: dict[Role, dict[str, dict[str, Any]]] | None = None,
    ) -> None:
        self.folder = folder
        self.urls: dict[Role, str] = {}
        self.processes: dict[Role, subprocess.Popen[str]] = {}
        self.environments: dict[Role, dict[str, str]] = {}
        self._collector = CollectorKey.generate()
        for role in ROLES.values():
            self._init(role, (databases or {}).get(role), (tables or {}).get(role, {}))

    def config(self, role: Role) -> Config:
        """The configuration of a role, from its file."""
        return Config.load(self.folder / f"{role.name.lower()}.toml")

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            undone.callback(self.stop)
            for role in ROLES.values():
                self.start(role)
            undone.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, role: Role) -> None:
        """Start a role's process, at the address that it had before if it had one, and wait until it answers.

        Raises:
            LocalError: it does not start.
        """
        name = role.name.lower()
        listen = self.urls.get(role, "http://127.0.0.1:0").removeprefix("http://")
        command = [sys.executable, "-m", "secagg", "dap", name, "--json", "--listen", listen]
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [*command, "--config", str(self.folder / f"{name}.toml")],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environments.get(role, {})},
                text=True,
            )
        self.processes[role] = process
        assert process.stdout is not None
        line = process.stdout.readline()  # ends with the process, too
        if not line:
            raise LocalError(f"the {name} does not start{self._log_tail(role)}")
        self.urls[role] = json.loads(line)["listening"]

    def check(self) -> None:
        """Check that all processes run.

        Raises:
            LocalError: a process has ended by itself.
        """
        for role, process in self.processes.items():
            if process.poll() is not None:
                name, code = role.name.lower(), process.returncode
                raise LocalError(f"the {name} has ended by itself, with exit code {code}{self._log_tail(role)}")

    def kill(self, role: Role) -> None:
        """End a role's process as a crash does (SIGKILL)."""
        self.processes[role].kill()
        self._reap(role)

    def stop(self) -> None:
        """Let each process finish its work, and wait for its end."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for role in list(self.processes):
            self._reap(role)

    def _reap(self, role: Role) -> None:
        process = self.processes.pop(role)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def new_task(
        self,
        vdaf: Vdaf,
        *,
        min_batch_size: int,
        privacy: Privacy | None = None,
        time_precision: int = 3600,
        batch_mode: BatchMode = BatchMode.TIME_INTERVAL,
        batch_size: int = 0,
        info: bytes = b"local",
    ) -> tuple[Task, CollectorParty]:
        """Make a task and add it to both Aggregators' stores.

        Args:
            vdaf: of the task.
            min_batch_size: the fewest reports of a result.
            privacy: noise and budget; None for exact results.
            time_precision: in seconds.
            batch_mode: how reports are put into batches.
            batch_size: of batches that the Leader selects; 0 for min_batch_size.
            info: of the task.

        Returns:
            The task, and what its Collector holds.
        """
        configuration = task_configuration(
            task_info=info,
            leader_url=self.urls[Role.LEADER],
            helper_url=self.urls[Role.HELPER],
            time_precision=time_precision,
            min_batch_size=min_batch_size,
            batch_mode=batch_mode,
            vdaf=vdaf,
            privacy=privacy,
        )
        parties: dict[str, Party] = task_file.new_parties(configuration, self._collector, batch_size=batch_size)
        for name, role in ROLES.items():
            aggregator = parties[name]
            assert isinstance(aggregator, task_file.AggregatorParty)
            store = self.config(role).open_store()
            try:
                with store.write() as tx:
                    add_task(tx, aggregator.task, aggregator.secrets, time.time())
            finally:
                store.close()
        collector = parties["collector"]
        assert isinstance(collector, CollectorParty)
        return collector.task, collector

    def usage(self, role: Role) -> Usage:
        """What a role's process has taken so far.

        Raises:
            LocalError: it has ended, or the system does not tell.
        """
        taken = usage(self.processes[role].pid)
        if taken is None:
            raise LocalError(f"the {role.name.lower()} has ended, or this system does not tell what it takes")
        return taken

    def waiting(self) -> int:
        """How many reports the Leader has accepted that are not yet aggregated."""
        store = self.config(Role.LEADER).open_store()
        try:
            with store.read() as tx:
                return count_open_reports(tx)
        finally:
            store.close()

    def _log_tail(self, role: Role) -> str:
        """The end of a role's log, for an error message: the folder may be gone when the message is read."""
        log = self.folder / f"{role.name.lower()}.log"
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        return f"; the end of its log: {' '.join(lines[-3:])}" if lines else f"; its log, {log}, is empty"

    def _init(self, role: Role, database: str | None, tables: dict[str, dict[str, Any]]) -> None:
        name = role.name.lower()
        stored = {
            "database": database or f"sqlite:///{name}.db",
            "secret_file": f"{name}.secret",
            "journal": f"{name}.journal",
        }
        task_file.write_secret(self.folder / f"{name}.secret", os.urandom(SECRET_SIZE).hex() + "\n")
        values = {**tables, "store": {**stored, **tables.get("store", {})}}
        (self.folder / f"{name}.toml").write_text(template(role, values), encoding="utf-8")
        config = self.config(role)
        store = config.open_store(create=True)
        try:
            new_key(store, time.time(), config.keys.cache)
        finally:
            store.close()
