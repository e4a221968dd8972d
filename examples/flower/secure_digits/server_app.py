"""The server: `FedAvg` as Flower has it, on a grid that aggregates securely, compared with plain averages."""

import time
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from secagg.integrations import Coding, Metric
from secagg.integrations.flower import SecAggGrid

from .task import CLIP, LOSS_MAX, MAX_WEIGHT, Model, accuracy, examples_of, new_model, test_examples, train

ROUNDING = 1e-6  # of float32, in which models travel

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    nodes = int(config["nodes"])
    coding = Coding(clip=CLIP, max_weight=MAX_WEIGHT, metrics={"loss": Metric.mean(LOSS_MAX)})
    secure = SecAggGrid(grid, coding, config)
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    start = ArrayRecord({name: Array(array) for name, array in new_model(int(config["seed"])).items()})
    strategy.start(secure, start, num_rounds=int(config["rounds"]), evaluate_fn=Comparison(secure, grid, nodes))


class Comparison:
    """After each round: how far the mean is from that of the same nodes in the clear.

    No server could tell with data of others: this one trains each survivor's part once more.
    """

    def __init__(self, secure: SecAggGrid, grid: Grid, nodes: int) -> None:
        self._secure, self._nodes = secure, nodes
        self._partitions = partitions(grid, nodes)
        self._sent: Model = {}

    def __call__(self, server_round: int, arrays: ArrayRecord) -> MetricRecord:
        model = {name: array.numpy() for name, array in arrays.items()}
        if server_round:
            self._compare(server_round, model)
        self._sent = model
        return MetricRecord({"accuracy": accuracy(model, test_examples())})

    def _compare(self, server_round: int, model: Model) -> None:
        last: Any = self._secure.last
        if last is None:
            raise SystemExit(f"round {server_round} has no sum: the lines above say why")
        survivors = sorted(self._partitions[node] for node in last.survivors)
        plain = plain_mean(self._sent, survivors, self._nodes)
        difference = max(float(np.abs(model[name] - plain[name]).max()) for name in model)
        print(
            f"round {server_round}: nodes {survivors}, {len(survivors)} of {self._nodes};"
            f" difference {difference:.2e}, bound {last.mean_error:.2e}",
            flush=True,
        )
        if difference > last.mean_error + ROUNDING:
            raise SystemExit("the means differ by more than the quantizer's bound")


def plain_mean(model: Model, survivors: list[int], nodes: int) -> Model:
    """Federated averaging as it is without secure aggregation."""
    parts = [examples_of(partition, nodes) for partition in survivors]
    trained = [train(model, part)[0] for part in parts]
    weights = [len(y) for _, y in parts]
    return {name: np.average([each[name] for each in trained], axis=0, weights=weights) for name in model}


def partitions(grid: Grid, nodes: int) -> dict[int, int]:
    """Which node holds which part: asked in the clear, for the comparison alone."""
    while len(ids := [*grid.get_node_ids()]) < nodes:
        time.sleep(1)
    asked = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in ids]
    return {
        reply.metadata.src_node_id: int(reply.content.config_records["who"]["partition"])
        for reply in grid.send_and_receive(asked)
    }
