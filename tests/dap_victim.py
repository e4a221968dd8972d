"""Leader and Helper in a process that is there to be killed."""

from pathlib import Path
from typing import Any

from secagg.dap.helper import Helper
from secagg.dap.journal import Journal
from secagg.dap.leader import Answer, Leader
from secagg.dap.store.engine import Store
from secagg.dap.store.tasks import AggregatorTask, find_task
from secagg.dap.vault import Vault


class _Peer:
    """The Helper beside the Leader."""

    def __init__(self, helper: Helper, mine: AggregatorTask, now: float) -> None:
        self._helper, self._mine, self._now = helper, mine, now

    def create_share(self, mine: AggregatorTask, body: bytes) -> Answer:
        share_id, share = self._helper.create_share(self._mine, body, self._now)
        return Answer(share, share_id.hex())

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(f"{name} is not for a collection")


def collect(arguments: dict[str, Any]) -> None:
    """Say that all is ready, and finish the collection job that is due."""
    folder, now = Path(arguments["folder"]), arguments["now"]
    leader_store, helper_store = (
        Store(url, Vault(bytes.fromhex(secret)), Journal(folder / f"{side}.journal"))
        for url, secret, side in zip(arguments["urls"], arguments["secrets"], ("leader", "helper"), strict=True)
    )
    with helper_store.read() as tx:
        mine = find_task(tx, bytes.fromhex(arguments["task"]))
    assert mine is not None
    leader = Leader(leader_store, _Peer(Helper(helper_store), mine, now))
    print("ready", flush=True)
    leader.work_collection(now)
