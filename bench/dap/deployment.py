"""What the load and the fault runs of DAP share: a PostgreSQL of their own, CPU clocks of processes, and uploads."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import psycopg

from secagg.cli.demo.local import Local
from secagg.cli.demo.usage import usage
from secagg.dap.client.hpke_configs import Configs
from secagg.dap.messages import HpkeConfig, Interval, Role
from secagg.dap.reports import encode_upload, make_reports
from secagg.dap.store import buckets
from secagg.dap.store.engine import Store
from secagg.dap.store.tasks import find_task
from secagg.dap.task import Task
from secagg.http.steps import Retries, run

SCRIPT = Path(__file__).parents[2] / "ci" / "postgres.sh"
AGGREGATORS = (Role.LEADER, Role.HELPER)


class Postgres:
    """A throw-away PostgreSQL that syncs to the disk, with a database for each Aggregator.

    Args:
        folder: which it is made in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self._call("start_postgres", "-c fsync=on")
        with psycopg.connect(f"host={self.folder}/postgres user=postgres", autocommit=True) as connection:
            for role in AGGREGATORS:
                connection.execute(f"CREATE DATABASE {role.name}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call("stop_postgres")

    @property
    def urls(self) -> dict[Role, str]:
        host = f"{self.folder}/postgres"
        return {role: f"postgresql+psycopg://postgres@/{role.name.lower()}?host={host}" for role in AGGREGATORS}

    @property
    def pid(self) -> int:
        """Of the server process that starts the others."""
        return int((self.folder / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])

    def backends(self) -> list[int]:
        """Its other processes."""
        return children(self.pid)

    def cpu_seconds(self) -> float:
        """Of all its processes, also those that have ended."""
        server, others = usage(self.pid), map(usage, self.backends())
        ended = 0.0 if server is None else server.ended_children_seconds
        return ended + sum(found.cpu_seconds for found in (server, *others) if found is not None)

    def kill(self) -> None:
        """End the server with all its processes, as a crash of it does (SIGKILL)."""
        try:
            everyone = [self.pid, *self.backends()]
        except FileNotFoundError:  # it has ended just now
            return
        for pid in everyone:
            with _gone_already():
                os.kill(pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in everyone):
            time.sleep(0.01)

    def restart(self) -> None:
        """Start it anew on what a crash has left."""
        self._call("run_postgres", "-c fsync=on")

    def supervise(self) -> None:
        """Start it anew if it has ended, as it does where the process is killed that recovers from another kill."""
        try:
            os.kill(self.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            self.restart()

    def _call(self, function: str, *arguments: str) -> None:
        call = f'source {SCRIPT} && {function} "$@"'
        subprocess.run(["bash", "-c", call, "bash", str(self.folder), *arguments], check=True, stdin=subprocess.DEVNULL)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return


def pin(pid: int, cpu: int) -> None:
    """Keep all threads of a process on one CPU, also those that it starts later."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {cpu})


def configs_of(task: Task, http_client: Any) -> tuple[HpkeConfig, HpkeConfig]:
    """The Leader's and the Helper's HPKE configuration, as a Client fetches them."""
    configs = Configs(task, time.time, Retries())
    leader, helper = (run(http_client, configs.get(role), time.sleep) for role in AGGREGATORS)
    return leader, helper


def bodies(
    task: Task, configs: tuple[HpkeConfig, HpkeConfig], measurements: Sequence[int], per_request: int
) -> Iterator[bytes]:
    """Upload requests of so many reports each, with the time of now."""
    for start in range(0, len(measurements), per_request):
        some = measurements[start : start + per_request]
        yield encode_upload(task, make_reports(task, *configs, some, time.time()))


def uploads_of(task: Task) -> tuple[str, str]:
    """Where a task's reports go, and their media type."""
    return f"{task.leader_url}/tasks/{task.text}/reports", task.dialect.upload_media_type


class Connection:
    """Uploads request bodies over one connection that stays open.

    Args:
        url: of the task's reports.
        media_type: of uploads in its dialect.
        patience: seconds for which the same bytes are sent again where no answer comes or the Leader is busy.
    """

    def __init__(self, url: str, media_type: str, patience: float) -> None:
        split = urlsplit(url)
        self._http = http.client.HTTPConnection(split.hostname or "", split.port, timeout=30)
        self._path = split.path
        self._headers = {"Content-Type": media_type}
        self._patience = patience
        self.resent = 0

    def send(self, body: bytes) -> None:
        """Returns once the Leader has taken every report."""
        until = time.monotonic() + self._patience
        while True:
            status, content = self._try(body)
            if status == 200 and not content:
                return
            if status not in (0, 500, 503) or time.monotonic() > until:
                raise SystemExit(f"an upload was answered with {status} {content!r}")
            self.resent += 1
            time.sleep(0.05)

    def close(self) -> None:
        self._http.close()

    def _try(self, body: bytes) -> tuple[int, bytes]:
        """Status and content; status 0 where there is no answer."""
        try:
            self._http.request("POST", self._path, body, self._headers)
            response = self._http.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            return 0, b""


@contextmanager
def opened(local: Local, role: Role) -> Iterator[Store]:
    store = local.config(role).open_store()
    try:
        yield store
    finally:
        store.close()


def aggregated(store: Store, task: Task) -> int:
    """How many reports are in the task's buckets that are not collected."""
    with store.read() as tx:
        record = find_task(tx, task.id)
        assert record is not None
        return buckets.count_reports(tx, record, Interval(0, 1 << 62))


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)


def histogram(measurements: Sequence[int], length: int) -> list[int]:
    return [int(count) for count in np.bincount(np.asarray(measurements), minlength=length)]
