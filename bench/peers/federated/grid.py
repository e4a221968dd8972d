"""A grid in this process, that counts what a network and a machine of its own would carry.

Every message is turned into Flower's objects and back, as it is on its way to a node and from there. A ClientApp gets
each message as a new process would: with nothing but its node's state. Starting processes is what is left out.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 0  # what a message wants to know of its sender
Alive = Callable[[int, int], bool]
"""Whether a node (0 and more) answers its message (1 and more)."""


@dataclass
class Cost:
    """What a node has sent and received, in bytes, and its seconds of CPU."""

    up: int = 0
    down: int = 0
    seconds: float = 0.0
    messages: int = 0


@dataclass
class Node:
    """A node with its ClientApp."""

    context: Context
    app: ClientApp
    cost: Cost = field(default_factory=Cost)


def wire(message: Message) -> dict[str, bytes]:
    """The objects that travel, by their ids."""
    return {name: each.deflate() for name, each in get_all_nested_objects(message).items()}


def opened(objects: dict[str, bytes], message_id: str) -> Message:
    message: Message = inflate_object_from_contents(message_id, dict(objects))
    message.metadata.__dict__["_message_id"] = message_id
    return message


class CountingGrid(Grid):  # type: ignore[misc]
    """The nodes, numbered from 1 for Flower.

    Attributes:
        nodes: by number.
        client_seconds: of CPU, of all nodes together.
        bound: on the error of the mean, where there is one.
    """

    def __init__(self, apps: Iterable[tuple[ClientApp, dict[str, Any]]], alive: Alive = lambda node, message: True):
        self.nodes = {
            number: Node(Context(0, number, config, RecordDict(), {}), app)
            for number, (app, config) in enumerate(apps, 1)
        }
        self._alive = alive
        self._replies: dict[str, Message] = {}
        self.bound = 0.0

    @property
    def client_seconds(self) -> float:
        return sum(node.cost.seconds for node in self.nodes.values())

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._pushed(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(each) for each in message_ids if each in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=number) for number in self.nodes]

    def set_run(self, run: Run) -> None:
        raise NotImplementedError("a measured round belongs to no run")

    @property
    def run(self) -> Any:
        """What Flower's legacy API asks for."""
        return SimpleNamespace(run_id=0)

    def create_message(self, *arguments: Any, **options: Any) -> Message:
        raise NotImplementedError("Flower has deprecated it, and no strategy that is measured uses it")

    def _pushed(self, message: Message) -> str:
        """The node's answer is there at once."""
        name: str = message.object_id
        message.metadata.__dict__["_message_id"] = name
        objects, node = wire(message), self.nodes[message.metadata.dst_node_id]
        node.cost.messages += 1
        if self._alive(message.metadata.dst_node_id - 1, node.cost.messages):
            node.cost.down += sum(map(len, objects.values()))
            answer, answered = self._answered(node, objects, name)
            node.cost.up += sum(map(len, answer.values()))
            self._replies[name] = opened(answer, answered)
        else:
            self._replies[name] = Message(Error(ErrorCode.NODE_UNAVAILABLE, "it is gone"), reply_to=message)
        return name

    @staticmethod
    def _answered(node: Node, objects: dict[str, bytes], name: str) -> tuple[dict[str, bytes], str]:
        """What its process does between its start and its end."""
        begin = time.process_time()
        reply = node.app(opened(objects, name), node.context)
        answer, answered = wire(reply), reply.object_id
        node.cost.seconds += time.process_time() - begin
        return answer, answered
