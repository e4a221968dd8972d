"""A Leader and a Helper that are served, know each other, and have no task: tasks are advertised to them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import func, select

from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.helper import Helper
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.opt_in import OptIn, Quota
from secagg.dap.aggregator.peer import HttpPeer
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.aggregator.worker import Workers
from secagg.dap.client.collector import Collector
from secagg.dap.client.upload import Client
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig, Interval, Report, Role
from secagg.dap.peer_file import AggregatorPeer, CollectorPeer, Peer, new_peers
from secagg.dap.reports import encode_upload, make_reports
from secagg.dap.server.app import helper_app, leader_app
from secagg.dap.server.common import Context
from secagg.dap.store import schema
from secagg.dap.store.engine import Store
from secagg.dap.store.keys import KeyPair, add_key
from secagg.dap.store.peers import add_peer
from secagg.dap.store.vault import Vault
from secagg.dap.task import Task, task_configuration
from secagg.dap.task_file import CollectorKey
from secagg.dap.task_policy import TaskPolicy
from secagg.dap.taskprov import HEADER, advertised_task
from secagg.dap.vdafs import vdaf
from secagg.http.structured import write_byte_sequence

from .world import Clock, Urls, WallClock, bound, serving, url_of

HOUR = 3600
EXACT = TaskPolicy(min_batch_size=3, time_precision=60)
UPLOAD = {"Content-Type": "application/ppm-dap;message=upload-req"}
JOB = {"Content-Type": "application/ppm-dap;message=aggregation-job-init-req"}
URN = "urn:ietf:params:ppm:dap:error:"


def advertising(configuration: bytes) -> dict[str, str]:
    """The header, of any bytes."""
    return {HEADER: write_byte_sequence(configuration)}


@dataclass
class Side:
    """One Aggregator."""

    role: Role
    store: Store
    opt_in: OptIn
    context: Context
    url: str = ""

    def stored(self, table: Any = schema.tasks) -> int:
        """Rows of a table."""
        with self.store.read() as tx:
            return int(tx.execute(select(func.count()).select_from(table)).scalar_one())

    def outcomes(self) -> dict[str, int]:
        """What became of requests that advertise a new task."""
        samples = (sample for family in self.context.metrics.opt_ins.collect() for sample in family.samples)
        return {s.labels["outcome"]: int(s.value) for s in samples if s.name.endswith("_total")}


@dataclass
class Deployment:
    """Both Aggregators, and what the other parties know of them."""

    leader: Side
    helper: Side
    peers: dict[str, Peer]
    configs: dict[Role, HpkeConfig]
    clock: Clock
    http: httpx.Client
    roles: "list[Leader | Helper]" = field(default_factory=list)

    def configuration(self, **changes: Any) -> bytes:
        """A histogram of 4 buckets, an hour, batches of 3 by time, until tomorrow, unless said otherwise."""
        hour = int(self.clock.now) // HOUR
        parts: dict[str, Any] = {
            "task_info": b"advertised",
            "leader_url": self.leader.url,
            "helper_url": self.helper.url,
            "time_precision": HOUR,
            "min_batch_size": 3,
            "batch_mode": BatchMode.TIME_INTERVAL,
            "vdaf": vdaf("Histogram", length=4),
            "interval": Interval(hour - 1, 24),
        }
        return task_configuration(**parts | changes).encode()

    def task(self, **changes: Any) -> Task:
        return advertised_task(self.configuration(**changes))

    def reports(self, task: Task, measurements: list[int]) -> list[Report]:
        configs = self.configs[Role.LEADER], self.configs[Role.HELPER]
        return make_reports(task, *configs, measurements, self.clock.now)

    def upload(self, task: Task, headers: dict[str, str] | None = None, *, reports: int = 1) -> httpx.Response:
        """Reports of a task, with these headers; by default with those that advertise it."""
        body = encode_upload(task, self.reports(task, [1] * reports))
        own = advertising(task.encoded) if headers is None else headers
        return self.http.post(f"{self.leader.url}/tasks/{task.text}/reports", content=body, headers=UPLOAD | own)

    def ask_helper(self, task: Task, headers: dict[str, str] | None = None, token: str | None = None) -> httpx.Response:
        """The answer to a job that is none, for a Leader that shows its token and advertises the task."""
        own = advertising(task.encoded) if headers is None else headers
        word = self.leader_token if token is None else token
        shown = {"Authorization": f"Bearer {word}"} if word else {}
        url = f"{self.helper.url}/tasks/{task.text}/aggregation_jobs"
        return self.http.post(url, content=b"", headers=JOB | shown | own)

    @property
    def leader_token(self) -> str:
        peer = self.peers["leader"]
        assert isinstance(peer, AggregatorPeer)
        return peer.secrets.peer_token.decode()

    @property
    def collector(self) -> CollectorPeer:
        peer = self.peers["collector"]
        assert isinstance(peer, CollectorPeer)
        return peer

    def client_of(self, task: Task) -> Client:
        return Client(task, http=self.http, clock=self.clock)

    def collector_of(self, task: Task) -> Collector:
        party = self.collector.party(task)
        assert party.private_key is not None
        return Collector(task, party.private_key, party.config, party.token, http=self.http, clock=self.clock)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Workers of both, as long as the block runs."""
        with ExitStack() as stack:
            for aggregator, side in zip(self.roles, (self.leader, self.helper), strict=True):
                workers = Workers(aggregator, side.context.directory, side.context.metrics, threads=1)
                workers.start()
                stack.callback(workers.stop)
            yield


@contextmanager
def deployed(
    urls: Urls,
    *,
    policy: TaskPolicy = EXACT,
    helper_policy: TaskPolicy | None = None,
    quota: Quota = Quota(),  # noqa: B008  # immutable
    taskprov: bool = True,
    clock: Clock | None = None,
) -> Iterator[Deployment]:
    """Both Aggregators; without `taskprov` they ignore the header.

    Its opt-ins take as long as they take, and none rests after another.
    """
    with ExitStack() as stack:
        sockets = stack.enter_context(bound(2))
        clock, http = clock or WallClock(), stack.enter_context(httpx.Client(timeout=60))
        leader_url, helper_url = (url_of(sock) for sock in sockets)
        peers = new_peers(leader_url, helper_url, CollectorKey.generate(1))
        sides, configs = [], {}
        for role, url, own, asked in (
            (Role.LEADER, urls.leader, leader_url, policy),
            (Role.HELPER, urls.helper, helper_url, helper_policy or policy),
        ):
            store = Store(url, Vault(os.urandom(32)))
            stack.callback(store.close)
            peer, key = peers[role.name.lower()], PrivateKey.generate()
            assert isinstance(peer, AggregatorPeer)
            configs[role] = HpkeConfig(role, 0x20, 1, 1, key.public_bytes)
            with store.write() as tx:
                add_key(tx, KeyPair(configs[role], key), clock.now - HOUR)
                add_peer(tx, leader_url, helper_url, peer.secrets, clock.now)
            opt_in = OptIn(store, role, asked, quota, ticks=lambda: 0.0)
            context = Context(Directory(store, clock), clock=clock, opt_in=opt_in if taskprov else None)
            sides.append(Side(role, store, opt_in, context, own))
        leader_side, helper_side = sides
        leader = Leader(leader_side.store, HttpPeer(http, clock), Settings(job_size=15, backoff=0.2))
        helper = Helper(helper_side.store)
        apps = leader_app(leader, leader_side.context), helper_app(helper, helper_side.context)
        stack.enter_context(serving(*apps, sockets=sockets))
        yield Deployment(leader_side, helper_side, peers, configs, clock, http, [leader, helper])
