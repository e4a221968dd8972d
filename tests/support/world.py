"""A Leader and a Helper on real stores, their clock in the test's hand, and everything between them ready to break.

Reports are made here by hand, as a Client that does what the test wants of it.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from sqlalchemy import create_engine, delete, func, make_url, select
from starlette.applications import Starlette

from secagg.dap.aggregator.helper import Helper
from secagg.dap.aggregator.leader import JobDone, Leader
from secagg.dap.aggregator.peer import Answer, PeerUnavailable
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.dialect import DEFAULT
from secagg.dap.hpke import PrivateKey, seal
from secagg.dap.messages import (
    BatchMode,
    BatchSelector,
    CollectionJobReq,
    CollectionJobResp,
    Extension,
    HpkeCiphertext,
    HpkeConfig,
    Interval,
    PlaintextInputShare,
    Query,
    Report,
    ReportError,
    ReportMetadata,
    Role,
)
from secagg.dap.secrets import TaskSecrets, token_hash
from secagg.dap.store import buckets, schema
from secagg.dap.store.collections import CollectionJob, count_releases
from secagg.dap.store.engine import Store, Tx
from secagg.dap.store.journal import Journal
from secagg.dap.store.keys import KeyPair, add_key
from secagg.dap.store.reports import count_open_reports
from secagg.dap.store.tasks import TaskRecord, add_task, find_task
from secagg.dap.store.vault import Vault
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf
from secagg.http.bounds import Bounds
from secagg.http.server import configured

from . import postgres

START = 1_700_000_000.0  # when everything begins
PRECISION = 100  # seconds
MIN_BATCH = 3
BUCKETS = 4
PEER_TOKEN, COLLECTOR_TOKEN = b"token-between-aggregators", b"token-of-the-collector"
CONFIG_ID = {Role.LEADER: 7, Role.HELPER: 8, Role.COLLECTOR: 1}


class Crash(BaseException):
    """The process is gone. Nothing in the package may catch it."""


class Clock:
    """POSIX seconds, as the test says."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    @property
    def bucket(self) -> int:
        return int(self.now) // PRECISION


class WallClock(Clock):
    """The time that it is."""

    def __init__(self) -> None:
        pass

    @property
    def now(self) -> float:  # type: ignore[override]
        return time.time()


class CrashingStore(Store):
    """A store whose process dies at one of its transactions.

    Attributes:
        crash_at: how many transactions pass before; None for never.
        committed: whether the transaction that it dies at is still in the database.
        meanwhile: what happens just before each of the next transactions, the first first.
    """

    def __init__(self, url: str, vault: Vault, journal: Journal | None = None, *, create: bool = True) -> None:
        self.crash_at: int | None = None
        self.committed = False
        self.meanwhile: list[Callable[[], object] | None] = []
        super().__init__(url, vault, journal, create=create)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        event = self.meanwhile.pop(0) if self.meanwhile else None
        if event is not None:
            event()
        dies, committed = self.crash_at == 0, self.committed
        if self.crash_at is not None:
            self.crash_at = self.crash_at - 1 if self.crash_at else None
        with super().write() as tx:
            yield tx
            if dies and not committed:
                raise Crash
        if dies:
            raise Crash


class Fault(Enum):
    """What may become of a request to the Helper."""

    LOST_REQUEST = "the request is lost"
    LOST_ANSWER = "the answer is lost"


class DirectPeer:
    """The Helper without sockets.

    Attributes:
        faults: of the next requests, the first first.
        meanwhile: what happens before the next request gets there.
        later: whether the Helper keeps jobs for later.
        seen: the bodies of all requests, those that are lost, too.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.faults: list[Fault | None] = []
        self.meanwhile: Callable[[], object] | None = None
        self.later = False
        self.seen: list[bytes] = []

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        w = self._world
        self.seen.append(body)
        with self._faulty():
            chosen = job_id if w.task.dialect.resources.chosen_ids else None
            job_id, job = w.helper.create_job(
                w.helper_task, w.keys(Role.HELPER), body, w.helper_now, later=self.later, chosen=chosen
            )
            return Answer(job.response, job_id.hex())

    def poll_job(self, record: TaskRecord, location: str) -> Answer:
        with self._faulty():
            job = self._world.helper.find_job(self._world.helper_task, bytes.fromhex(location))
            return Answer(job.response, location)

    def delete_job(self, record: TaskRecord, location: str) -> None:
        with self._faulty():
            self._world.helper.delete_job(self._world.helper_task, bytes.fromhex(location))

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        self.seen.append(body)
        with self._faulty():
            share_id, share = self._world.helper.create_share(self._world.helper_task, body, self._world.helper_now)
            return Answer(share, share_id.hex())

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        with self._faulty():
            return Answer(self._world.helper.find_share(self._world.helper_task, bytes.fromhex(location)), location)

    @contextmanager
    def _faulty(self) -> Iterator[None]:
        fault = self.faults.pop(0) if self.faults else None
        event, self.meanwhile = self.meanwhile, None
        if event is not None:
            event()
        if fault is Fault.LOST_REQUEST:
            raise PeerUnavailable("the request is lost")
        yield
        if fault is Fault.LOST_ANSWER:
            raise PeerUnavailable("the answer is lost")


@dataclass(frozen=True)
class Result:
    """What the Collector makes of a finished collection job."""

    count: int
    interval: Interval
    sums: list[int]
    shares: tuple[bytes, bytes] = field(repr=False)  # as opened: the Leader's, the Helper's
    encoded: bytes = field(repr=False)


@dataclass(frozen=True)
class Urls:
    """Two empty databases."""

    leader: str
    helper: str


class World:
    """One task at its Leader, Helper and Collector.

    Args:
        urls: of the Aggregators' databases.
        settings: of the Leader.
        batch_size: of the Leader's batches.
        peer: between them, in place of a `DirectPeer`.
        clock: of everybody.
        journals: a folder for the Aggregators' journals of releases; without it they keep none.
        parameters: of the task, beside the defaults.
    """

    def __init__(
        self,
        urls: Urls,
        *,
        settings: Settings | None = None,
        batch_size: int = MIN_BATCH,
        peer: Any = None,
        clock: Clock | None = None,
        journals: Path | None = None,
        **parameters: Any,
    ) -> None:
        self.urls = urls
        self.clock = clock or Clock()
        self._journals = journals
        self.helper_skew = 0.0
        self.bucket = self.clock.bucket
        self._settings = settings or Settings(job_size=100, lease=10.0, backoff=5.0)
        self._keys = {role: PrivateKey.generate() for role in CONFIG_ID}
        self.configs = {
            role: HpkeConfig(number, 0x20, 1, 1, self._keys[role].public_bytes) for role, number in CONFIG_ID.items()
        }
        self.vaults = {Role.LEADER: Vault(os.urandom(32)), Role.HELPER: Vault(os.urandom(32))}
        configuration = task_configuration(**_PARAMETERS | parameters)
        self.task = Task(os.urandom(32), configuration, parameters.get("dialect", DEFAULT))
        self.verify_key = os.urandom(self.task.prio3.VERIFY_KEY_SIZE)
        self.peer = peer or DirectPeer(self)
        for url in (urls.leader, urls.helper):
            _make_tables(url)
        self._open()
        self.leader_task = self._add(
            self.leader_store, Role.LEADER, PEER_TOKEN, token_hash(COLLECTOR_TOKEN), batch_size
        )
        self.helper_task = self._add(self.helper_store, Role.HELPER, token_hash(PEER_TOKEN), b"", 0)

    def _open(self) -> None:
        self.leader_store = CrashingStore(self.urls.leader, self.vaults[Role.LEADER], self._journal("leader"))
        self.helper_store = CrashingStore(self.urls.helper, self.vaults[Role.HELPER], self._journal("helper"))
        self.leader, self.helper = Leader(self.leader_store, self.peer, self._settings), Helper(self.helper_store)

    def _journal(self, side: str) -> Journal | None:
        return None if self._journals is None else Journal(self._journals / f"{side}.journal")

    def _add(self, store: Store, role: Role, peer: bytes, collector: bytes, batch_size: int) -> TaskRecord:
        with store.write() as tx:
            add_key(tx, KeyPair(self.configs[role], self._keys[role]), self.clock.now)
            secrets = TaskSecrets(role, self.verify_key, self.configs[Role.COLLECTOR], peer, collector, batch_size)
            add_task(tx, self.task, secrets, self.clock.now)
            found = find_task(tx, self.task.id)
        assert found is not None
        return found

    def restart(self) -> None:
        """Both processes end; new ones open what is on disk."""
        self.close()
        self._open()

    def close(self) -> None:
        self.leader_store.close()
        self.helper_store.close()

    @property
    def helper_now(self) -> float:
        return self.clock.now + self.helper_skew

    def keys(self, role: Role) -> dict[int, PrivateKey]:
        return {CONFIG_ID[role]: self._keys[role]}

    # The Client.

    def report(
        self,
        measurement: Any = 1,
        *,
        at: float | None = None,
        time: int | None = None,
        public: tuple[Extension, ...] = (),
        private: dict[Role, tuple[Extension, ...]] | None = None,
        report_id: bytes | None = None,
    ) -> Report:
        """A report of POSIX time `at`, or with this `time` in its metadata."""
        task, self.bucket = self.task, self.clock.bucket
        report_id = os.urandom(16) if report_id is None else report_id
        public_shares, input_shares = task.prio3.shard_batch(task.ctx, [measurement], [report_id])
        moment = task.time(self.clock.now if at is None else at) if time is None else time
        metadata = ReportMetadata(report_id, moment, public)
        aad = task.input_share_aad(metadata, public_shares[0])
        ciphertexts = []
        for role, rows in zip((Role.LEADER, Role.HELPER), input_shares, strict=True):
            plaintext = PlaintextInputShare((private or {}).get(role, ()), rows[0]).encode()
            sealed = seal(self.configs[role].public_key, task.input_share_info(role), aad, plaintext)
            ciphertexts.append(HpkeCiphertext(CONFIG_ID[role], *sealed))
        return Report(metadata, public_shares[0], *ciphertexts)

    def upload(self, *reports: Report) -> list[ReportError | None]:
        """What becomes of each: None once it is on the Leader's disk."""
        errors = self.leader.check_upload(self.task, self.keys(Role.LEADER), reports, self.clock.now)
        good = [i for i in range(len(reports)) if i not in errors]
        stored = self.leader.add_reports(self.leader_task, [reports[i] for i in good])
        errors.update((i, ReportError.BATCH_COLLECTED) for i, batch in zip(good, stored, strict=True) if batch)
        return [errors.get(i) for i in range(len(reports))]

    def upload_many(self, count: int, **report: Any) -> list[Report]:
        """So many good reports, all accepted."""
        reports = [self.report(i % BUCKETS, **report) for i in range(count)]
        assert self.upload(*reports) == [None] * count
        return reports

    # The Aggregators.

    def step_job(self) -> JobDone | None:
        return self.leader.work_job(self.keys(Role.LEADER), self.clock.now)

    def aggregate(self) -> list[JobDone]:
        """Make jobs of what waits, and drive those that are due."""
        self.leader.create_jobs(self.clock.now)
        return list(iter(self.step_job, None))

    def aggregate_all(self) -> list[JobDone]:
        """Until no report waits, however long it takes: the longer nothing happens, the longer it waits."""
        done: list[JobDone] = []
        pause = 1.0
        for _ in range(1000):
            before = len(done)
            done += self.aggregate()
            while self.helper.work(self.keys(Role.HELPER), self.helper_now):
                pass
            if not self.count("leader", schema.jobs) and not self.waiting():
                return done
            pause = 1.0 if len(done) > before else min(1.5 * pause, 10.0)
            self.clock.now += pause
        raise AssertionError("reports wait forever")

    def waiting(self) -> int:
        """Reports at the Leader that are not aggregated."""
        with self.leader_store.read() as tx:
            return count_open_reports(tx)

    # The Collector.

    def request(self, start: int | None = None, duration: int = 1) -> bytes:
        """The encoded request for an interval of buckets, by default that of the last report; or for the Leader's
        choice."""
        mode = self.task.batch_mode
        interval = Interval(self.bucket if start is None else start, duration)
        config = self.task.interval_to_wire(interval).encode() if mode is BatchMode.TIME_INTERVAL else b""
        return self.task.dialect.wire.encode_collection_req(CollectionJobReq(Query(mode, config)))

    def collect(self, request: bytes | None = None, *, steps: int = 200) -> CollectionJob:
        """The job, once it has ended or `steps` have passed."""
        request = self.request() if request is None else request
        job = self.leader.collections.create(self.leader_task, request, self.clock.now)
        for _ in range(steps):
            if job.finished or job.problem is not None:
                break
            self.leader.collections.work(self.clock.now)
            self.clock.now += 1.0
            job = self.leader.collections.find(self.leader_task, job.id)
        return job

    def result(self, job: CollectionJob) -> Result:
        """What the Collector decrypts."""
        assert job.finished, job.problem
        assert job.response is not None
        wire = self.task.dialect.wire
        request = wire.decode_collection_req(job.request)
        response, batch = wire.decode_collection(job.response, request)
        leader = self.open_share(Role.LEADER, response.leader_encrypted_agg_share, request, batch)
        helper = self.open_share(Role.HELPER, response.helper_encrypted_agg_share, request, batch)
        shares = [self.task.prio3.decode_agg_share(share) for share in (leader, helper)]
        sums = self.task.prio3.unshard(shares, response.report_count, signed=True)
        interval = self.task.interval_of_wire(response.interval)
        return Result(response.report_count, interval, [int(s) for s in sums], (leader, helper), job.response)

    def sum_of(self, job: CollectionJob) -> int:
        """`result`, where the VDAF is a Sum without noise."""
        assert job.finished, job.problem
        assert job.response is not None
        response, request = CollectionJobResp.decode(job.response), CollectionJobReq.decode(job.request)
        sealed = (Role.LEADER, response.leader_encrypted_agg_share), (Role.HELPER, response.helper_encrypted_agg_share)
        shares = [self.task.prio3.decode_agg_share(self.open_share(role, each, request)) for role, each in sealed]
        return int(self.task.prio3.unshard(shares, response.report_count))

    def open_share(
        self, role: Role, sealed: HpkeCiphertext, request: CollectionJobReq, batch: BatchSelector | None = None
    ) -> bytes:
        info, aad = self.task.agg_share_info(role), self.task.agg_share_aad(request, batch)
        return self._keys[Role.COLLECTOR].open(sealed.enc, info, aad, sealed.payload)

    # What is in the stores.

    def count(self, side: str, table: Any) -> int:
        """Rows of the task in a table of the Leader or the Helper."""
        store, key = self._side(side)
        with store.read() as tx:
            return int(tx.execute(select(func.count()).where(table.c.task == key)).scalar_one())

    def spent(self, side: str) -> int:
        """Collections in a ledger."""
        store, _ = self._side(side)
        with store.read() as tx:
            return count_releases(tx, self.leader_task if side == "leader" else self.helper_task)

    def raw_shares(self, batch: Interval | bytes) -> tuple[bytes, bytes]:
        """What the Aggregators hold of a batch that is not collected, without noise."""
        with self.leader_store.read() as leader_tx, self.helper_store.read() as helper_tx:
            leader = buckets.get_batch(leader_tx, self.leader_task, batch)
            return leader.share, buckets.get_batch(helper_tx, self.helper_task, batch).share

    def _side(self, side: str) -> tuple[Store, int]:
        if side == "leader":
            return self.leader_store, self.leader_task.key
        return self.helper_store, self.helper_task.key


_PARAMETERS: dict[str, Any] = {
    "task_info": b"test",
    "leader_url": "http://leader.test/",
    "helper_url": "http://helper.test/",
    "time_precision": PRECISION,
    "min_batch_size": MIN_BATCH,
    "batch_mode": BatchMode.TIME_INTERVAL,
    "vdaf": vdaf("Histogram", length=BUCKETS),
}


def _make_tables(url: str) -> None:
    """Those of a new store, where there are none: most of the time of most tests went into them."""
    path = Path(make_url(url).database or "")
    if make_url(url).get_backend_name() == "postgresql":
        postgres.make_tables(url)
    elif not path.exists():
        path.write_bytes(_new_file())


@cache
def _new_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        Store(f"sqlite:///{path}", Vault(bytes(32))).close()
        return path.read_bytes()


def extensions(*types: int) -> tuple[Extension, ...]:
    """Report extensions of these types, in this order."""
    return tuple(Extension(number, b"") for number in types)


def problem_type(job: CollectionJob) -> str:
    """Why a collection job has failed, without its namespace."""
    assert job.problem is not None, "the job has not failed"
    return str(json.loads(job.problem)["type"]).rpartition(":")[2]


def dump(url: str) -> dict[str, list[dict[str, Any]]]:
    """A backup of a database: every row of every table."""
    engine = create_engine(url)
    with engine.begin() as connection:
        rows = {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in schema.metadata.sorted_tables
        }
    engine.dispose()
    return rows


def restore(url: str, backup: dict[str, list[dict[str, Any]]]) -> None:
    """Put a database back to what it was."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(delete(table))
        for table in schema.metadata.sorted_tables:
            if backup.get(table.name):
                connection.execute(table.insert(), backup[table.name])
    engine.dispose()


def wipe(url: str) -> None:
    """Leave nothing but the tables."""
    restore(url, {})


@contextmanager
def bound(count: int) -> Iterator[list[socket.socket]]:
    """Loopback sockets with ports of their own."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        yield sockets


def url_of(sock: socket.socket) -> str:
    return "http://{}:{}".format(*sock.getsockname())


@contextmanager
def serving(*apps: Starlette, sockets: Sequence[socket.socket] | None = None) -> Iterator[list[str]]:
    """The URLs at which uvicorn serves them, on these sockets or on others of its own."""
    with ExitStack() as stack:
        sockets = stack.enter_context(bound(len(apps))) if sockets is None else sockets
        servers = [uvicorn.Server(configured(app, Bounds(), lifespan="on")) for app in apps]
        threads = []
        for server, sock in zip(servers, sockets, strict=True):
            threads.append(threading.Thread(target=server.run, args=([sock],)))
            threads[-1].start()
        try:
            while not all(server.started for server in servers):
                assert all(thread.is_alive() for thread in threads), "a server does not start"
                time.sleep(0.002)
            yield [url_of(sock) for sock in sockets]
        finally:
            for server in servers:
                server.should_exit = True
            for thread in threads:
                thread.join()


def checksum_of(reports: Sequence[Report]) -> bytes:
    total = 0
    for report in reports:
        total ^= int.from_bytes(sha256(report.report_metadata.report_id).digest(), "big")
    return total.to_bytes(32, "big")
