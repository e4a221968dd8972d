"""A grid in this process: real messages, real ClientApps, and for each message a new app and a copy of the context.

What travels is what Flower's grids send: every message is cut into its objects, counted, and put together again. A
context is stored after the reply was pushed, as SuperNodes do.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from secagg.integrations import Update
from secagg.integrations.flower import SecAggGrid, secagg_mod

Train = Callable[[Message, Context], Message]


@dataclass
class Node:
    """A SuperNode.

    Attributes:
        config: its own configuration.
        train: the application's function.
        mods: of the application; evaluation_mods: of what evaluates.
        evaluated: the records of a reply to an evaluation.
        handled: how many messages it has answered.
        sent: bytes of its replies; received: bytes of messages to it.
        trained: how often the application has trained.
        states: what the context's state held after each message.
    """

    config: dict[str, Any]
    train: Train
    mods: Callable[[], list[Any]] = lambda: [secagg_mod()]
    evaluation_mods: Callable[[], list[Any]] = list
    evaluated: Callable[[], dict[str, Any]] = lambda: {"metrics": MetricRecord({"num-examples": 1, "loss": 0.5})}
    run_config: dict[str, Any] = field(default_factory=dict)
    handled: int = 0
    sent: int = 0
    received: int = 0
    trained: int = 0
    state: RecordDict = field(default_factory=RecordDict)
    seen: list[Message] = field(default_factory=list)

    def app(self) -> ClientApp:
        """The application as a fresh process loads it."""
        app = ClientApp()

        @app.train(mods=self.mods())  # type: ignore[untyped-decorator, unused-ignore]
        def train(message: Message, context: Context) -> Message:
            self.trained += 1
            self.seen.append(message)
            return self.train(message, context)

        @app.train("other", mods=self.mods())  # type: ignore[untyped-decorator, unused-ignore]
        def other(message: Message, context: Context) -> Message:
            return train(message, context)  # type: ignore[no-any-return, unused-ignore]

        @app.evaluate(mods=self.evaluation_mods())  # type: ignore[untyped-decorator, unused-ignore]
        def evaluate(message: Message, context: Context) -> Message:
            return Message(RecordDict(self.evaluated()), reply_to=message)

        return app


class LocalGrid(Grid):  # type: ignore[misc]
    """See the module.

    Args:
        nodes: by id.
        dead: whether a node never answers a message, by its id and how many it has answered.
        run_id: of the run.
    """

    def __init__(
        self, nodes: dict[int, Node], dead: Callable[[int, int], bool] = lambda node, handled: False, run_id: int = 1
    ) -> None:
        self.nodes = nodes
        self.dead = dead
        self.run_id = run_id
        self._replies: dict[str, Message] = {}
        self._count = 0
        self.time = 0.0

    # A clock that only goes on when somebody waits.
    def clock(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        assert self.time < 100_000, "nobody answers, and nobody stops waiting"

    def secure(self, coding: Any, **others: Any) -> Any:
        """This grid under secure aggregation, with its clock."""
        given: dict[str, Any] = {"run_config": {}, "clock": self.clock, "sleep": self.sleep} | others
        return SecAggGrid(self, coding, **given)

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **others: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(name) for name in list(message_ids) if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(list(messages)))

    def _push(self, message: Message) -> str:
        self._count += 1
        name = message.metadata.__dict__["_message_id"] = f"message {self._count}"
        node_id = message.metadata.dst_node_id
        node = self.nodes[node_id]
        arrived, size = travelled(message)
        node.received += size
        if self.dead(node_id, node.handled):
            return name
        context = Context(self.run_id, node_id, dict(node.config), deepcopy(node.state), dict(node.run_config))
        try:
            reply = node.app()(arrived, context)
        except Exception as error:  # as the process of a ClientApp does
            reply = Message(Error(2, f"{type(error)}:<'{error}'>"), reply_to=arrived)
        node.handled += 1
        self._replies[name], size = travelled(reply)
        node.sent += size
        node.state = context.state
        return name


def travelled(message: Message) -> tuple[Message, int]:
    """A message as it arrives, and the bytes of its objects."""
    objects = get_all_nested_objects(message)
    contents = {name: item.deflate() for name, item in objects.items()}
    arrived: Any = inflate_object_from_contents(message.object_id, dict(contents))
    arrived.metadata.__dict__["_message_id"] = message.metadata.message_id
    return arrived, sum(map(len, contents.values()))


def training(update: Callable[[dict[str, Any]], Update]) -> Train:
    """An application's function, from what trains a model in numpy."""

    def train(message: Message, context: Context) -> Message:
        received = {name: array.numpy() for name, array in message.content["arrays"].items()}
        done = update(received)
        arrays = ArrayRecord({name: Array(values) for name, values in done.arrays.items()})
        metrics: dict[str, Any] = {"num-examples": done.weight, **done.metrics}
        return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)}), reply_to=message)

    return train


def config(policy: Path) -> dict[str, Any]:
    """A node's configuration that names a policy."""
    return {"secagg-policy": str(policy)}


def train_message(node: int, model: dict[str, Any], **config: Any) -> Message:
    """A training message as strategies make it."""
    records = {"arrays": ArrayRecord({name: Array(values) for name, values in model.items()})}
    return Message(RecordDict({**records, "config": ConfigRecord(dict(config))}), node, "train")
