"""Tasks for the tests of DAP."""

from typing import Any

from secagg.dap.dialect import DEFAULT
from secagg.dap.messages import BatchMode
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf

TASK_ID = bytes(range(100, 132))
NOW = 1_700_000_123.0
LEADER_URL, HELPER_URL = "https://leader.example/dap/", "https://helper.example"


def make_task(**changes: Any) -> Task:
    """A histogram of 5 buckets, 300 seconds, batches of 3 by time, unless said otherwise."""
    parts: dict[str, Any] = {
        "task_info": b"test",
        "leader_url": LEADER_URL,
        "helper_url": HELPER_URL,
        "time_precision": 300,
        "min_batch_size": 3,
        "batch_mode": BatchMode.TIME_INTERVAL,
        "vdaf": vdaf("Histogram", length=5, chunk_length=2),
    }
    return Task(TASK_ID, task_configuration(**parts | changes), changes.get("dialect", DEFAULT))
