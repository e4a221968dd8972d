"""A deployment that is killed over and over while reports come in: `python -m bench.dap.faults`.

Two Clients, Leader, Helper and a Collector run as processes beside their databases. At random, one of them is ended
with SIGKILL and started again a while later, its clock off by up to two minutes (where libfaketime is installed); the
Helper is stopped for a while, or 15 minutes behind. In the end each task's result must be what its Clients measured:
exactly, or with noise, within its bound, and the same bytes whenever it is asked for.
"""

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from secagg import dp
from secagg.cli.demo.local import Local, LocalError
from secagg.dap import task_file
from secagg.dap.messages import BatchMode, CollectionJobReq, Interval, Query, Role
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.task import Task
from secagg.dap.task_file import CollectorParty
from secagg.dap.vdafs import vdaf

from .deployment import AGGREGATORS, Postgres, bodies, configs_of, histogram, uploads_of
from .parties import progress, write_spool

BUCKETS = 16
PER_REQUEST = 20
PRECISION = 60  # seconds: so that clocks matter
FAR_BEHIND = -900  # seconds, of the Helper's clock: more than it lets a report be ahead
PATIENCE = 1200.0  # seconds for all to be aggregated once nothing is killed any more
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
TABLES: dict[Role, dict[str, dict[str, Any]]] = {
    Role.LEADER: {"jobs": {"lease": 10, "backoff": 4}, "helper": {"timeout": 5}},
    Role.HELPER: {},
}


@dataclass(frozen=True)
class Plan:
    """How much happens.

    Attributes:
        reports: of both tasks.
        kills: at least.
        pause: seconds between two faults, at most.
        skew: seconds that a process's clock is off by, at most.
    """

    reports: int
    kills: int
    pause: float
    skew: int


FULL = Plan(100_000, 60, 2.0, 120)
QUICK = Plan(1_000, 4, 0.5, 3)


@dataclass(repr=False)
class Measured:
    """A task, what its Clients measured, and the Client's process."""

    name: str
    task: Task
    collector: CollectorParty
    truth: list[int]
    spool: Path
    client: "subprocess.Popen[str] | None" = None


class Run:
    """Uploads with faults, then collections with faults."""

    def __init__(self, local: Local, postgres: Postgres | None, plan: Plan, seed: int) -> None:
        self.local = local
        self.postgres = postgres
        self.plan = plan
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.skews = FAKETIME.exists()
        self.started = int(time.time())
        noisy = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp("1"), dp.PureDp("1"))
        counts = plan.reports * 3 // 4, plan.reports - plan.reports * 3 // 4
        self.tasks = [self._task("exact", None, counts[0], seed), self._task("noisy", noisy, counts[1], seed + 1)]

    def _task(self, name: str, privacy: Privacy | None, count: int, seed: int) -> Measured:
        task, collector = self.local.new_task(
            vdaf("Histogram", length=BUCKETS), min_batch_size=count, privacy=privacy, time_precision=PRECISION
        )
        values = np.random.default_rng(seed).integers(0, BUCKETS, count).tolist()
        spool = self.local.folder / f"{name}.spool"
        with httpx.Client() as client:
            write_spool(spool, bodies(task, configs_of(task, client), values, PER_REQUEST))
        document = json.dumps(task_file.to_document(collector))
        task_file.write_secret(self.local.folder / f"{name}.collector", document)
        return Measured(name, task, collector, histogram(values, BUCKETS), spool)

    # Uploads.

    def upload(self) -> None:
        """Until every Client is through, and enough was killed."""
        self.start_clients()
        while any(self.uploading(each) for each in self.tasks) or self.killed < self.plan.kills:
            time.sleep(self.random.uniform(0.1, self.plan.pause))
            if self.killed <= self.plan.kills * self.uploaded:  # spread over all of it
                self.fault()

    @property
    def uploaded(self) -> float:
        """The part of all reports that was taken."""
        sizes = (each.spool.stat().st_size for each in self.tasks)
        return sum(progress(each.spool) for each in self.tasks) / sum(sizes)

    def start_clients(self) -> None:
        for each in self.tasks:
            self._start_client(each)

    @property
    def killed(self) -> int:
        return sum(count for what, count in self.done.items() if what.startswith("kill"))

    def _start_client(self, each: Measured) -> None:
        arguments = [*uploads_of(each.task), str(each.spool)]
        each.client = subprocess.Popen([sys.executable, "-m", "bench.dap.parties", "upload", *arguments], text=True)

    def uploading(self, each: Measured) -> bool:
        assert each.client is not None
        code = each.client.poll()
        if code not in (None, 0):
            raise SystemExit(f"the Client of {each.name} has failed")
        return code is None

    # Faults.

    def fault(self) -> None:
        """One at random."""
        self._supervise_database()
        faults = [self._kill_leader, self._kill_leader, self._kill_helper, self._kill_helper, self._kill_client]
        faults += [self._stop_helper]
        if self.postgres is not None:
            faults += [self._kill_database, self._kill_backend]
        self.random.choice(faults)()

    def _kill_leader(self) -> None:
        self.restart(Role.LEADER, self.random.uniform(0, 1), self._skew())

    def _kill_helper(self) -> None:
        far = self.random.random() < 0.2
        down = self.random.choice([0, 0, 1, 8 * self.plan.pause])  # the last is longer than the Leader's backoff
        self.restart(Role.HELPER, down, FAR_BEHIND if far else self._skew())

    def _skew(self) -> int:
        return self.random.randint(-self.plan.skew, self.plan.skew)

    def restart(self, role: Role, down: float, skew: int) -> None:
        """Kill a role; start it after so many seconds, with its clock off."""
        self.local.kill(role)
        time.sleep(down)
        fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{skew:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.local.environments[role] = fake if self.skews and skew else {}
        self._start_supervised(role)
        self.done[f"kill the {role.name.capitalize()}"] += 1
        if self.skews and abs(skew) > self.plan.skew:
            self.done["Helper 15 minutes behind"] += 1

    def _start_supervised(self, role: Role) -> None:
        """Start a role as a supervisor does: again, where the database still recovers from a kill of its own."""
        end = time.monotonic() + PATIENCE
        while True:
            self._supervise_database()
            try:
                self.local.start(role)
                return
            except LocalError as error:
                if "the database does not answer" not in str(error) or time.monotonic() > end:
                    raise
            self.local.kill(role)
            time.sleep(0.5)

    def _kill_client(self) -> None:
        each = self.random.choice(self.tasks)
        if each.client is not None and self.uploading(each):
            each.client.kill()
            each.client.wait()
            self._start_client(each)
            self.done["kill a Client"] += 1

    def _stop_helper(self) -> None:
        pid = self.local.processes[Role.HELPER].pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0, 3 * self.plan.pause))
        os.kill(pid, signal.SIGCONT)
        self.done["Helper unreachable"] += 1

    def _kill_database(self) -> None:
        assert self.postgres is not None
        self.postgres.kill()
        time.sleep(self.random.uniform(0, 1))
        self.postgres.restart()
        self.done["kill the database"] += 1

    def _supervise_database(self) -> None:
        if self.postgres is not None:
            self.postgres.supervise()

    def _kill_backend(self) -> None:
        assert self.postgres is not None
        try:
            pid = self.random.choice(self.postgres.backends())  # or of what recovers: then the server ends
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, IndexError):  # it is ending just now
            return
        self.done["kill a process of the database"] += 1

    # Collections.

    def collect(self) -> None:
        """Each task's batch, while its Collector, Leader and Helper are killed; then again."""
        for role in AGGREGATORS:
            self.restart(role, 0, 0)
        start = self.started // PRECISION * PRECISION
        duration = (int(time.time()) - start) // PRECISION * PRECISION + PRECISION
        for each in self.tasks:
            collector = self._start_collector(each, start, duration)
            for _ in range(2):
                time.sleep(self.random.uniform(0, 2))
                if collector.poll() is None:
                    collector.kill()
                    self.done["kill the Collector"] += 1
                collector.communicate()
                collector = self._start_collector(each, start, duration)
                self.restart(self.random.choice(AGGREGATORS), 0, 0)
            self._check(each, json.loads(collector.communicate(timeout=PATIENCE)[0]))
            self._check_bytes(each, start, duration)

    def _start_collector(self, each: Measured, start: int, duration: int) -> "subprocess.Popen[str]":
        file = self.local.folder / f"{each.name}.collector"
        command = [sys.executable, "-m", "bench.dap.parties", "collect", str(file), str(start), str(duration)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _check(self, each: Measured, found: dict[str, Any]) -> None:
        errors = [abs(a - b) for a, b in zip(found["result"], each.truth, strict=True)]
        bars = found["bars"] or [0] * BUCKETS
        print(
            f"{each.name}: {found['count']:,} reports of {sum(each.truth):,}, largest error {max(errors):g}", flush=True
        )
        if found["count"] != sum(each.truth) or any(e > bar for e, bar in zip(errors, bars, strict=True)):
            raise SystemExit(f"{each.name} is wrong: {found} for {each.truth}")

    def _check_bytes(self, each: Measured, start: int, duration: int) -> None:
        """Asked again, before and after both Aggregators were killed, the Leader answers the same."""
        first = self._answer(each, start, duration)
        for role in AGGREGATORS:
            self.restart(role, 0, 0)
        if self._answer(each, start, duration) != first:
            raise SystemExit(f"{each.name}: another answer to the same request")

    def _answer(self, each: Measured, start: int, duration: int) -> bytes:
        interval = Interval(start // PRECISION, duration // PRECISION)
        request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, interval.encode())).encode()
        url = f"{each.task.leader_url}/tasks/{each.task.text}/collection_jobs"
        headers = {
            "Content-Type": "application/ppm-dap;message=collection-job-req",
            "Authorization": f"Bearer {each.collector.token}",
        }
        return httpx.post(url, content=request, headers=headers, timeout=60).raise_for_status().content


def run_faults(database: str, plan: Plan, seed: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-faults-")))
        postgres = stack.enter_context(Postgres(folder)) if database == "postgresql" else None
        urls = None if postgres is None else postgres.urls
        local = stack.enter_context(Local(folder, urls, TABLES))
        started, run = time.monotonic(), Run(local, postgres, plan, seed)
        try:
            run.upload()
            run.collect()
        finally:
            report(database, seed, run, time.monotonic() - started, folder)


def report(database: str, seed: int, run: Run, seconds: float, folder: Path) -> None:
    what = ", ".join(f"{name} {count}" for name, count in sorted(run.done.items()))
    print(f"{database}, seed {seed}, {seconds:.0f} s, {run.killed} killed: {what}", flush=True)
    for role in AGGREGATORS:
        log = (folder / f"{role.name.lower()}.log").read_text().splitlines()
        kinds = Counter(" ".join(line.split()[3:9]) for line in log if "WARNING" in line or "ERROR" in line)
        print(f"{role.name.capitalize()}'s log: {dict(kinds.most_common(8))}", file=sys.stderr)
        if any("Traceback" in line for line in log):
            first = next(i for i, line in enumerate(log) if "Traceback" in line)
            print("\n".join(itertools.islice(log, max(0, first - 1), first + 60)), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", action="append", choices=("sqlite", "postgresql"), help="one, or several times")
    parser.add_argument("--quick", action="store_true", help="few reports and faults: checks that it works")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when")
    options = parser.parse_args()
    for database in options.database or ("sqlite", "postgresql"):
        run_faults(database, QUICK if options.quick else FULL, options.seed)


if __name__ == "__main__":
    main()
