"""What every node runs.  Without secure aggregation, the line with `mods` would be `@app.train()`."""

from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from secagg.integrations.flower import secagg_mod

from .drops import drops
from .task import examples_of, train

POLICY = Path(__file__).with_name("policy.toml")  # of simulated nodes; real ones have each their own

app = ClientApp()


@app.train(mods=[drops, secagg_mod(simulation=POLICY)])
def train_here(message: Message, context: Context) -> Message:
    """Train on this node's digits."""
    model = {name: array.numpy() for name, array in message.content.array_records["arrays"].items()}
    examples = examples_of(int(context.node_config["partition-id"]), int(context.run_config["nodes"]))
    trained, loss = train(model, examples)
    arrays = ArrayRecord({name: Array(array) for name, array in trained.items()})
    metrics = MetricRecord({"num-examples": len(examples[1]), "loss": loss})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.query()
def who(message: Message, context: Context) -> Message:
    """Which part of the data is here: for the comparison alone."""
    return Message(
        RecordDict({"who": ConfigRecord({"partition": context.node_config["partition-id"]})}), reply_to=message
    )
