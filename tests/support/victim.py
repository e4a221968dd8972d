"""Leader and Helper in a process that is there to be killed, or to work beside others."""

from pathlib import Path
from typing import Any

from secagg.dap.aggregator.helper import Helper
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.peer import Answer
from secagg.dap.hpke import PrivateKey
from secagg.dap.store.engine import Store
from secagg.dap.store.journal import Journal
from secagg.dap.store.keys import list_keys
from secagg.dap.store.reports import count_open_reports
from secagg.dap.store.tasks import TaskRecord, find_task
from secagg.dap.store.vault import Vault


class _Peer:
    """The Helper beside the Leader."""

    def __init__(self, helper: Helper, record: TaskRecord, keys: dict[int, PrivateKey], now: float) -> None:
        self._helper, self._record, self._keys, self._now = helper, record, keys, now

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        job_id, job = self._helper.create_job(self._record, self._keys, body, self._now)
        return Answer(job.response, job_id.hex())

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        share_id, share = self._helper.create_share(self._record, body, self._now)
        return Answer(share, share_id.hex())

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not called here")


def _leader(arguments: dict[str, Any]) -> tuple[Leader, dict[int, PrivateKey], float]:
    """A Leader with its Helper, its keys, and the time."""
    folder, now = Path(arguments["folder"]), arguments["now"]
    leader_store, helper_store = (
        Store(url, Vault(bytes.fromhex(secret)), Journal(folder / f"{side}.journal"))
        for url, secret, side in zip(arguments["urls"], arguments["secrets"], ("leader", "helper"), strict=True)
    )
    with helper_store.read() as tx:
        record, helper_keys = find_task(tx, bytes.fromhex(arguments["task"])), list_keys(tx)
    with leader_store.read() as tx:
        leader_keys = list_keys(tx)
    assert record is not None
    peer = _Peer(Helper(helper_store), record, {pair.config.id: pair.private_key for pair in helper_keys}, now)
    return Leader(leader_store, peer), {pair.config.id: pair.private_key for pair in leader_keys}, now


def collect(arguments: dict[str, Any]) -> None:
    """Say that all is ready, and finish the collection job that is due."""
    leader, _, now = _leader(arguments)
    print("ready", flush=True)
    leader.collections.work(now)


def aggregate(arguments: dict[str, Any]) -> None:
    """Make and drive jobs until no report waits."""
    leader, keys, now = _leader(arguments)
    while True:
        leader.create_jobs(now)
        leader.work_job(keys, now)
        with leader.store.read() as tx:
            if count_open_reports(tx) == 0:
                return
