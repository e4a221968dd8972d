"""Where a report's CPU time goes: Leader and Helper in one process on SQLite, each part of their work under a clock.

A part's time is its own: what other parts take within it is theirs. What a process of a deployment takes beyond all
parts is HTTP, threads and looking for work.
"""

import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from secagg.dap import messages
from secagg.dap.aggregator import input_shares, leader
from secagg.dap.aggregator.helper import Helper
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.peer import Answer
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, Report, Role
from secagg.dap.reports import decode_upload
from secagg.dap.store.engine import Store, Tx
from secagg.dap.store.tasks import TaskRecord, add_task, find_task
from secagg.dap.store.vault import Vault
from secagg.dap.task import task_configuration
from secagg.dap.task_file import AggregatorParty, CollectorKey, key_config, new_parties
from secagg.dap.vdafs import vdaf
from secagg.vdaf import PingPong, Prio3

from .deployment import AGGREGATORS, bodies

PIECES = ("HPKE", "VDAF", "codec", "database", "other")
CONFIG_ID = 1
TOGETHER = 16  # upload requests in a transaction, as when so many connections upload at once


class Stopwatch:
    """CPU seconds by role and part.

    Attributes:
        role: whose work is under way.
    """

    def __init__(self) -> None:
        self.spent: dict[Role, dict[str, float]] = {role: defaultdict(float) for role in AGGREGATORS}
        self.role = Role.LEADER
        self._part = ""
        self._since = 0.0

    @contextmanager
    def of(self, part: str, role: Role | None = None) -> Iterator[None]:
        """What happens within is this part's, where nothing else says otherwise."""
        before = self._switch(part, role or self.role)
        try:
            yield
        finally:
            self._switch(*before)

    def _switch(self, part: str, role: Role) -> tuple[str, Role]:
        now = time.process_time()
        if self._part:
            self.spent[self.role][self._part] += now - self._since
        before = self._part, self.role
        self._part, self.role, self._since = part, role, now
        return before


class ClockedStore(Store):
    """A store whose transactions' beginnings and ends are the database's time."""

    watch: Stopwatch

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with self.watch.of("database"), super().write() as tx, self.watch.of("other"):
            yield tx


class DirectPeer:
    """The Helper without HTTP."""

    def __init__(self, watch: Stopwatch, helper: Helper, record: TaskRecord, keys: dict[int, PrivateKey]) -> None:
        self._watch, self._helper, self._record, self._keys = watch, helper, record, keys

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        with self._watch.of("other", Role.HELPER):
            _, job = self._helper.create_job(self._record, self._keys, body, time.time())
        return Answer(job.response, "")

    def poll_job(self, record: TaskRecord, location: str) -> Answer:
        raise AssertionError("this Helper answers at once")

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        raise AssertionError("this Helper answers at once")

    def delete_job(self, record: TaskRecord, location: str) -> None:
        raise AssertionError("this Helper answers at once")

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        raise AssertionError("this Helper answers at once")


def measure_pieces(folder: Path, length: int, count: int, per_request: int) -> dict[Role, dict[str, float]]:
    """CPU seconds of each role by PIECES, from upload to aggregated."""
    watch = Stopwatch()
    configuration = task_configuration(
        task_info=b"pieces",
        leader_url="https://leader.example",
        helper_url="https://helper.example",
        time_precision=3600,
        min_batch_size=1,
        batch_mode=BatchMode.TIME_INTERVAL,
        vdaf=vdaf("Histogram", length=length),
    )
    parties = new_parties(configuration, CollectorKey.generate())
    keys = {role: PrivateKey.generate() for role in AGGREGATORS}
    ClockedStore.watch = watch
    stores = {role: ClockedStore(f"sqlite:///{folder}/{role.name}.db", Vault(os.urandom(32))) for role in AGGREGATORS}
    records = {}
    for role, store in stores.items():
        party = parties[role.name.lower()]
        assert isinstance(party, AggregatorParty)
        with store.write() as tx:
            add_task(tx, party.task, party.secrets, time.time())
            record = find_task(tx, party.task.id)
            assert record is not None
            records[role] = record
    lead = Leader(
        stores[Role.LEADER],
        DirectPeer(watch, Helper(stores[Role.HELPER]), records[Role.HELPER], {CONFIG_ID: keys[Role.HELPER]}),
    )
    configs = key_config(CONFIG_ID, keys[Role.LEADER]), key_config(CONFIG_ID, keys[Role.HELPER])
    values = np.random.default_rng(0).integers(0, length, count).tolist()
    requests = list(bodies(records[Role.LEADER].task, configs, values, per_request))
    with _clocks(watch):
        _work(watch, lead, records[Role.LEADER], requests, {CONFIG_ID: keys[Role.LEADER]})
    for store in stores.values():
        store.close()
    return watch.spent


def _work(
    watch: Stopwatch, lead: Leader, record: TaskRecord, requests: Sequence[bytes], keys: dict[int, PrivateKey]
) -> None:
    with watch.of("other", Role.LEADER):
        for start in range(0, len(requests), TOGETHER):
            decoded = [_decoded(watch, lead, record, keys, body) for body in requests[start : start + TOGETHER]]
            assert not any(lead.add_reports(record, [report for some in decoded for report in some]))
        lead.create_jobs(time.time())
        while (done := lead.work_job(keys, time.time())) is not None:
            assert done.problem is None
            assert not done.errors


def _decoded(
    watch: Stopwatch, lead: Leader, record: TaskRecord, keys: dict[int, PrivateKey], body: bytes
) -> tuple[Report, ...]:
    with watch.of("codec"):
        some = decode_upload(record.task, body)
    assert not lead.check_upload(record.task, keys, some, time.time())
    return some


@contextmanager
def _clocks(watch: Stopwatch) -> Iterator[None]:
    """Puts a clock around what each part begins with."""
    parts: list[tuple[str, Any, str]] = [
        ("HPKE", PrivateKey, "open_batch"),
        *(("VDAF", PingPong, name) for name in ("leader_init", "helper_init", "leader_continued")),
        *(("VDAF", Prio3, name) for name in ("agg_update", "encode_agg_share", "decode_agg_share")),
        ("codec", leader, "upload_of"),
        ("codec", messages.AggregationJobInitReq, "encode"),
        ("codec", messages.AggregationJobInitReq, "decode"),
        ("codec", messages.AggregationJobResp, "encode"),
        ("codec", messages.AggregationJobResp, "decode"),
        ("codec", messages.Report, "decode"),
        ("codec", input_shares, "_payload"),
        *(("database", Tx, name) for name in ("execute", "insert_new")),
    ]
    with ExitStack() as stack:
        for part, owner, name in parts:
            stack.enter_context(patch.object(owner, name, _clocked(watch, part, getattr(owner, name))))
        yield


def _clocked(watch: Stopwatch, part: str, run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def clocked(*args: Any, **kwargs: Any) -> Any:
        with watch.of(part):
            return run(*args, **kwargs)

    return clocked
