"""A node: its number is added to every value, and it counts ten times its number."""

import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

from secagg.integrations.flower import secagg_mod

STEP = 0.125  # a node's number times this is its change
app = ClientApp()


def stops(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Hang at the message, and before or after the answer is made, that `stop-at` of the node's configuration names."""
    folder = Path(str(context.node_config["folder"]))
    with (folder / "messages").open("a+") as file:
        file.write(".")
        count = file.tell()
    number, _, when = str(context.node_config.get("stop-at", "")).partition(" ")
    if number != str(count):
        return call_next(message, context)
    if when == "after":
        call_next(message, context)
    (folder / "stopped").touch()
    while True:
        time.sleep(1)


@app.train(mods=[stops, secagg_mod()])
def train(message: Message, context: Context) -> Message:
    number = int(context.node_config["number"])
    received = message.content.array_records["arrays"]
    changed = {name: array.numpy() + np.asarray(STEP * number, array.dtype) for name, array in received.items()}
    arrays = ArrayRecord({name: Array(array) for name, array in changed.items()})
    metrics = MetricRecord({"num-examples": 10 * number, "loss": 0.5 * number, "right": number})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
