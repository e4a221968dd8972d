"""The server: federated averaging, and what came of it as JSON."""

import json
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from secagg import Roster
from secagg.integrations import Coding, Metric
from secagg.integrations.flower import SecAggGrid

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    nodes = int(config["nodes"])
    roster = Roster.read(Path(str(config["roster"]))) if config["roster"] else None
    metrics = {"loss": Metric.mean(10.0), "right": Metric.count(100)}
    coding = Coding(clip=1.0, max_weight=100, metrics=metrics)
    secure = SecAggGrid(
        grid,
        coding,
        config,
        roster=roster,
        n_corrupt=0,
        t=nodes // 2 + 1,
        min_users=2,
        exchange_timeout=float(config["patience"]),
    )
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    arrays = ArrayRecord({"w": Array(np.zeros((2, 3), np.float32)), "b": Array(np.ones(4, np.float64))})
    done = strategy.start(secure, arrays, int(config["rounds"]), timeout=float(config["patience"]))
    Path(str(config["result"])).write_text(json.dumps(written(done.arrays, secure, done.train_metrics_clientapp)))


def written(arrays: ArrayRecord, secure: SecAggGrid, metrics: dict[int, object]) -> dict[str, object]:
    """What the test reads: the model, who is in the last sum, and how far off it may be."""
    last = secure.last
    return {
        "arrays": {name: array.numpy().tolist() for name, array in arrays.items()},
        "metrics": {number: dict(each) for number, each in metrics.items()},  # type: ignore[call-overload]
        "survivors": [] if last is None else [str(node) for node in last.survivors],
        "bound": None if last is None else last.mean_error,
    }
