"""What a ServerApp's process has before it sends messages."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _task() -> Iterator[None]:
    """The process's own identity, which Flower's runtime sets and messages bear."""
    identity = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    identity.run_id, identity.node_id, identity.task_id = 1, 1, 1
    yield
    identity.run_id = identity.node_id = identity.task_id = None
