"""What steers a node's training in Flower beside the model's values: the rest of the message, and the run's settings.

All of it is the same at every node of a round. Left out is what Flower itself makes different for each node or each
message (ids, the time of making), and what is a node's own: its configuration, and what its application keeps in
`Context.state`. Of the model's arrays the form is here, as an application reads it; `secagg.integrations.arrays` hashes
the values.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord

from ...errors import LocalProtocolError, require
from ..task import encoded_task
from .records import RECORD


def task_of(message: Message, run_config: Mapping[str, Any]) -> bytes:
    """What a message asks of its node, as bytes.

    Args:
        message: to train or to evaluate, with or without this protocol's record.
        run_config: the run's settings, as applications read them.

    Raises:
        LocalProtocolError: it holds something that cannot be compared between nodes.
    """
    return encoded_task({**_parts(message), "the run's settings": dict(run_config)})


def common_task(messages: Sequence[Message], run_config: Mapping[str, Any]) -> bytes:
    """What all messages of a round ask of their nodes.

    Args:
        messages: of a strategy, one for each node; one or more.
        run_config: the run's settings.

    Raises:
        LocalProtocolError: they ask for different things.
    """
    first, *others = messages
    task = task_of(first, run_config)
    for other in others:
        if task_of(other, run_config) != task:
            raise LocalProtocolError(
                f"the nodes are sent different things: {_difference(_parts(first), _parts(other))} is not the same for"
                f" nodes {first.metadata.dst_node_id} and {other.metadata.dst_node_id}. A strategy that sends different"
                " configurations to different nodes cannot be aggregated securely"
            )
    return task


def _parts(message: Message) -> dict[str, Any]:
    """All that a message says to every node alike, by its name in errors."""
    about = message.metadata
    records = {f"record {name!r}": _plain(name, each) for name, each in message.content.items() if name != RECORD}
    return {
        "the message's type": about.message_type,
        "its group": about.group_id,
        "its ttl": float(about.ttl),
        **records,
    }


def _plain(name: str, record: object) -> list[Any]:
    if isinstance(record, ArrayRecord):
        form = [[key, array.dtype, list(array.shape), array.stype] for key, array in record.items()]
        return ["arrays", form]
    require(
        isinstance(record, ConfigRecord | MetricRecord),
        f"record {name!r} is a {type(record).__name__}, which cannot be compared between nodes",
    )
    assert isinstance(record, ConfigRecord | MetricRecord)
    return ["config" if isinstance(record, ConfigRecord) else "metrics", dict(record.items())]


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The name of the first part that is not in both alike."""
    names = [name for name in {**one, **other} if _encoding(one, name) != _encoding(other, name)]
    return names[0] if names else "something"


def _encoding(parts: dict[str, Any], name: str) -> bytes | None:
    return encoded_task(parts[name]) if name in parts else None
