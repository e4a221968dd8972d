"""A node trains for a session only if all its nodes were sent the same: the message's words as well as its arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from secagg.errors import LocalProtocolError
from secagg.integrations import Coding
from secagg.integrations.flower.task import common_task

from ..rounds import active, write_policy, write_roster
from .local import LocalGrid, Node, config, train_message

USERS = range(1, 6)
VICTIM = 3
CODING = Coding(clip=1.0, max_weight=100)
MODEL = {"w": np.zeros(4, np.float32)}
SETTINGS = {"epochs": 2, "lr": 0.5}


def train(message: Message, context: Any) -> Message:
    """A step whose length the message says, in a direction of the node's own."""
    direction = np.random.default_rng(context.node_id).uniform(-1, 1, 4)
    lr: Any = message.content["config"]["lr"]
    moved = {
        name: Array((array.numpy() + lr * direction).astype("f4")) for name, array in message.content["arrays"].items()
    }
    records = {"arrays": ArrayRecord(moved), "metrics": MetricRecord({"num-examples": 10})}
    return Message(RecordDict(records), reply_to=message)


def nodes_of(tmp_path: Path) -> tuple[dict[int, Node], Any]:
    roster = write_roster(tmp_path / "keys", USERS)
    made = {}
    for u in USERS:
        policy = write_policy(tmp_path / f"{u}", protection=active(tmp_path / "keys", u))
        made[u] = Node(config(policy), train, run_config=dict(SETTINGS))
    return made, roster


def messages(**lr: float) -> list[Message]:
    return [train_message(u, MODEL, lr=lr.get(f"node{u}", 0.5)) for u in USERS]


def replaced(message: Message, kind: str | None = None, group: str | None = None, ttl: float | None = None) -> Message:
    about = message.metadata
    return Message(
        message.content,
        about.dst_node_id,
        kind or about.message_type,
        ttl=ttl or about.ttl,
        group_id=group or about.group_id,
    )


def with_record(message: Message, name: str, record: Any) -> Message:
    message.content[name] = record
    return message


def without_config(message: Message) -> Message:
    del message.content["config"]
    return message


LIES: dict[str, Callable[[Message], Message]] = {
    "learning rate": lambda m: with_record(m, "config", ConfigRecord({"lr": 0.0})),
    "type of a number": lambda m: with_record(m, "config", ConfigRecord({"lr": 0})),
    "kind of record": lambda m: with_record(m, "config", MetricRecord({"lr": 0.5})),
    "another record": lambda m: with_record(m, "more", ConfigRecord({"stop": True})),
    "no record": without_config,
    "action": lambda m: replaced(m, kind="train.other"),
    "group": lambda m: replaced(m, group="other"),
    "ttl": lambda m: replaced(m, ttl=m.metadata.ttl / 2),
}  # fmt: skip


class LyingGrid(LocalGrid):
    """A server that says one thing to the victim, and another to all others."""

    lie: Callable[[Message], Message] = staticmethod(lambda message: message)

    def _push(self, message: Message) -> str:
        return super()._push(message if message.metadata.dst_node_id == VICTIM else self.lie(message))


def check_refused(grid: Any, nodes: dict[int, Node]) -> None:
    """All nodes but the victim have left before they trained, so that nobody is the victim's mask."""
    (reply,) = grid.send_and_receive(messages(), timeout=10)
    assert "the round has failed" in str(reply.error.reason)
    assert grid.last is None
    assert [nodes[u].trained for u in USERS] == [int(u == VICTIM) for u in USERS]


@pytest.mark.parametrize("lie", LIES)
def test_a_server_cannot_silence_all_nodes_but_one_by_what_it_says(
    tmp_path: Path, lie: str, caplog: pytest.LogCaptureFixture
) -> None:
    nodes, roster = nodes_of(tmp_path)
    local = LyingGrid(nodes)
    local.lie = LIES[lie]
    with caplog.at_level("INFO", "flwr"):
        check_refused(local.secure(CODING, roster=roster, run_config=SETTINGS), nodes)
    said = [each.getMessage() for each in caplog.records]
    assert sum("made for another task" in line for line in said) == 8  # at four nodes, and at the server of each


def test_a_server_cannot_silence_all_nodes_but_one_by_the_runs_settings(tmp_path: Path) -> None:
    nodes, roster = nodes_of(tmp_path)
    for u in USERS:
        if u != VICTIM:
            nodes[u].run_config["lr"] = 0.0
    check_refused(LocalGrid(nodes).secure(CODING, roster=roster, run_config=SETTINGS), nodes)


def test_equal_words_train_every_node(tmp_path: Path) -> None:
    nodes, roster = nodes_of(tmp_path)
    grid = LocalGrid(nodes).secure(CODING, roster=roster, run_config=dict(reversed(SETTINGS.items())))
    (reply,) = grid.send_and_receive(messages(), timeout=10)
    assert not reply.has_error(), reply.error
    assert grid.last.survivors == tuple(USERS)


def test_a_strategy_that_sends_different_configurations_is_refused_by_name(tmp_path: Path) -> None:
    nodes, roster = nodes_of(tmp_path)
    grid = LocalGrid(nodes).secure(CODING, roster=roster, run_config=SETTINGS)
    (reply,) = grid.send_and_receive(messages(node3=1.0), timeout=10)
    assert "record 'config' is not the same for nodes 1 and 3" in str(reply.error.reason)
    assert "different configurations to different nodes cannot be aggregated securely" in str(reply.error.reason)
    assert not any(node.handled for node in nodes.values())


@pytest.mark.parametrize("lie", LIES)
def test_no_difference_between_messages_is_overlooked(lie: str) -> None:
    first, second = messages()[:2]
    assert common_task([first, second], {}) == common_task([first], {})
    with pytest.raises(LocalProtocolError, match="are sent different things"):
        common_task([first, LIES[lie](second)], {})
