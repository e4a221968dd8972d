"""Reports a second of a DAP deployment, from upload to aggregated: `python -m bench.dap.load`.

Leader and Helper run as processes on loopback, each on a core of its own where there are as many, the reports made
before the clock starts. What counts is reports divided by CPU seconds, so that it matters little who else uses the
cores; PostgreSQL's CPU seconds are reported apart. `--quick` runs every case at a small size.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from secagg.cli.demo.local import Local
from secagg.dap.messages import Role
from secagg.dap.task import Task
from secagg.dap.vdafs import vdaf

from ..paired import quartiles
from ..tables import number, spread, table
from .deployment import (
    AGGREGATORS,
    Connection,
    Postgres,
    aggregated,
    bodies,
    configs_of,
    opened,
    pin,
    uploads_of,
    wait_for,
)
from .pieces import PIECES, measure_pieces

DATABASES = ("sqlite", "postgresql")
GOAL = 2_000  # reports a second for each CPU core of Leader and Helper together, 16 buckets


@dataclass(frozen=True)
class Case:
    """A task's reports and how they come.

    Attributes:
        buckets: of the Histogram.
        per_request: reports in an upload request.
        reports: how many in all.
        connections: that upload at once.
    """

    buckets: int
    per_request: int
    reports: int
    connections: int


CASES = (Case(16, 100, 20_000, 4), Case(16, 1, 10_000, 16), Case(1_000, 100, 4_000, 4), Case(1_000, 1, 4_000, 16))
QUICK = tuple(Case(case.buckets, case.per_request, 200, case.connections) for case in CASES)


@dataclass(frozen=True)
class Measured:
    """Of one run.

    Attributes:
        cpu: seconds by role.
        database: CPU seconds of the database server.
        wall: seconds from the first upload until all is aggregated.
    """

    cpu: dict[Role, float]
    database: float
    wall: float


class Deployment:
    """Both Aggregators on a database, warm.

    Args:
        postgres: the server that has the database; None for SQLite.
    """

    def __init__(self, local: Local, postgres: Postgres | None) -> None:
        self.local = local
        self.postgres = postgres
        cpus = sorted(os.sched_getaffinity(0))
        for role, cpu in zip(AGGREGATORS, cpus if len(cpus) > 1 else (), strict=False):
            pin(local.processes[role].pid, cpu)

    def measure(self, case: Case, seed: int) -> Measured:
        """Upload a case's reports, and wait until both Aggregators have them in their buckets."""
        task, _ = self.local.new_task(vdaf("Histogram", length=case.buckets), min_batch_size=1)
        values = np.random.default_rng(seed).integers(0, case.buckets, case.reports).tolist()
        with httpx.Client() as client:
            configs = configs_of(task, client)
        requests = list(bodies(task, configs, values, case.per_request))
        warm = list(bodies(task, configs, values[:100], case.per_request))
        with opened(self.local, Role.LEADER) as store:
            upload(task, warm, 1)
            wait_for(lambda: aggregated(store, task) == 100, 60, "warming up")
            before, database, started = self._cpu(), self._database(), time.perf_counter()
            upload(task, requests, case.connections)
            wait_for(lambda: aggregated(store, task) == 100 + case.reports, 600, "aggregation")
            wall = time.perf_counter() - started
        used = {role: after - before[role] for role, after in self._cpu().items()}
        return Measured(used, self._database() - database, wall)

    def _cpu(self) -> dict[Role, float]:
        return {role: self.local.usage(role).cpu_seconds for role in AGGREGATORS}

    def _database(self) -> float:
        return 0.0 if self.postgres is None else self.postgres.cpu_seconds()


def upload(task: Task, requests: Sequence[bytes], connections: int) -> None:
    """Send requests, several at once; a connection sends its next one when the last is answered."""

    def send(some: Sequence[bytes]) -> None:
        connection = Connection(*uploads_of(task), patience=60)
        for body in some:
            connection.send(body)
        connection.close()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, [requests[i::connections] for i in range(connections)]))


def rows(database: str, case: Case, runs: list[Measured], peaks: dict[Role, int]) -> tuple[str, ...]:
    """A line of the table."""
    leader, helper = ([run.cpu[role] for run in runs] for role in AGGREGATORS)
    both = [a + b for a, b in zip(leader, helper, strict=True)]

    def rate(seconds: list[float]) -> str:
        return spread(quartiles([case.reports / max(each, 0.01) for each in seconds]))

    met = "" if case.buckets != 16 else "yes" if np.median([case.reports / each for each in both]) >= GOAL else "**no**"
    micro = number(float(np.median([run.database for run in runs])) / case.reports * 1e6)
    wall = rate([run.wall for run in runs])
    rss = ", ".join(f"{peaks[role] / 1e6:.0f}" for role in AGGREGATORS)
    cells = (f"{case.buckets:,}", database, str(case.per_request), rate(both), met, rate(leader), rate(helper))
    return (*cells, micro if database == "postgresql" else "", wall, rss)


HEADER = (
    "buckets",
    "database",
    "reports a request",
    "reports a CPU second, both",
    f"{GOAL:,} met",
    "of the Leader",
    "of the Helper",
    "database server, us a report",
    "reports a second, wall clock",
    "peak RSS, MB",
)


def run_cases(database: str, cases: Sequence[Case], repeat: int) -> Iterator[tuple[str, ...]]:
    """Each on a deployment of its own, so that memory is its own."""
    for case in cases:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-load-")))
            postgres = stack.enter_context(Postgres(folder)) if database == "postgresql" else None
            local = stack.enter_context(Local(folder, None if postgres is None else postgres.urls))
            deployment = Deployment(local, postgres)
            runs = [deployment.measure(case, seed) for seed in range(repeat)]
            yield rows(database, case, runs, {role: local.usage(role).peak_bytes for role in AGGREGATORS})


def pieces_table(cases: Sequence[Case]) -> Iterator[str]:
    """Where the time goes: the roles' own work in one process, without HTTP between them."""
    lines = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="secagg-load-") as folder:
            spent = measure_pieces(Path(folder), case.buckets, case.reports, case.per_request)
        for role in AGGREGATORS:
            cells = [number(spent[role].get(piece, 0.0) / case.reports * 1e6) for piece in PIECES]
            lines.append((f"{case.buckets:,}", str(case.per_request), role.name.capitalize(), *cells))
    yield from table(("buckets", "reports a request", "us of CPU a report", *PIECES), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: checks that it works")
    parser.add_argument("--database", action="append", choices=DATABASES, help="one of them, or several times")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case")
    parser.add_argument("--buckets", type=int, action="append", help="only cases of so many buckets")
    parser.add_argument("--per-request", type=int, action="append", help="only cases of so many reports a request")
    parser.add_argument("--no-pieces", action="store_true", help="leave out where the time goes")
    options = parser.parse_args()
    cases = [
        case
        for case in (QUICK if options.quick else CASES)
        if case.buckets in (options.buckets or [case.buckets])
        and case.per_request in (options.per_request or [case.per_request])
    ]
    repeat = 1 if options.quick else options.repeat
    load = os.getloadavg()[0]
    print(f"Load average when it began: {load:.1f}; {len(os.sched_getaffinity(0))} cores; {repeat} runs of each.\n")
    lines = [line for database in options.database or DATABASES for line in run_cases(database, cases, repeat)]
    print("\n".join(table(HEADER, lines)))
    if not options.no_pieces:
        print("\n".join(pieces_table(cases)))


if __name__ == "__main__":
    main()
