"""Nodes that drop out on purpose, each at another step of the protocol: what the example must survive."""

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message
from flwr.clientapp.typing import ClientAppCallable

STEPS = 4  # messages of a round: training with AdvertiseKeys, ShareKeys, MaskedInputCollection, Unmasking


def dropping(nodes: int, count: int, seed: int, server_round: int) -> dict[int, int]:
    """Who drops out in a round of training, by partition, and at which of its messages."""
    rng = np.random.default_rng([seed, server_round])
    chosen = rng.choice(nodes, count, replace=False).tolist()
    return {partition: step % STEPS for step, partition in enumerate(chosen, int(rng.integers(STEPS)))}


def drops(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """A mod: fail at the step that is this node's in this round."""
    server_round, step = _place(message, context)
    config = context.run_config
    chosen = dropping(int(config["nodes"]), int(config["dropping"]), int(config["seed"]), server_round)
    if chosen.get(int(context.node_config["partition-id"])) == step:
        gone = Error(0, f"dropped out on purpose, of round {server_round} at message {step + 1} of {STEPS}")
        return Message(gone, reply_to=message)
    return call_next(message, context)


def _place(message: Message, context: Context) -> tuple[int, int]:
    """Of a message: the round of training, and the how manieth it is there.  The round's first one has its number."""
    own = context.state.config_records.setdefault("drops", ConfigRecord({"round": 0, "step": 0}))
    config = message.content.config_records.get("config")
    first = config is not None and config["server-round"] != own["round"]
    own["round"], own["step"] = (config["server-round"], 0) if first else (own["round"], int(own["step"]) + 1)
    return int(own["round"]), int(own["step"])
