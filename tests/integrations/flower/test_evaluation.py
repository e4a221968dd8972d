"""Evaluation under the mask, through Flower's strategies."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg

from secagg.errors import LocalProtocolError
from secagg.integrations import Coding, Metric
from secagg.integrations.flower import secagg_mod

from ..rounds import changes, model, moved_by, write_policy
from .local import LocalGrid, Node, config, train_message, training

CODING = "clip = 1.0\nmax_weight = 100"
EVALUATION = "loss = { mean = 10.0 }\ncorrect = { count = 1000 }"
METRICS = {"loss": Metric.mean(10.0), "correct": Metric.count(1000)}


def nodes_of(tmp_path: Path) -> dict[int, Node]:
    made = {}
    for u in range(6):
        policy = write_policy(tmp_path / f"{u}", coding=CODING, evaluation=EVALUATION)
        node = Node(config(policy), training(moved_by(changes(6)[u], 10 + u)))
        node.evaluation_mods = lambda: [secagg_mod()]
        node.evaluated = lambda u=u: {  # type: ignore[misc]
            "metrics": MetricRecord({"num-examples": 10 + u, "loss": 0.5 * u, "correct": 100 * u})
        }
        made[500 + u] = node
    return made


def run(grid: Any, rounds: int = 2) -> Any:
    arrays = ArrayRecord({name: Array(values) for name, values in model().items()})
    return FedAvg().start(grid, arrays, num_rounds=rounds, timeout=10)


def test_a_strategy_gets_the_metrics_of_all_and_of_nobody_alone(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)).secure(Coding(clip=1.0, max_weight=100), evaluation=METRICS)
    result = run(grid)
    weights = range(10, 16)
    loss = sum(w * 0.5 * u for u, w in enumerate(weights)) / sum(weights)
    for number in (1, 2):
        metrics = result.evaluate_metrics_clientapp[number]
        assert metrics["correct"] == 1_500
        assert metrics["loss"] == pytest.approx(loss, abs=10 * grid.last_evaluation.mean_error)
    assert grid.last.survivors
    assert grid.last_evaluation.survivors


def test_a_node_that_dies_in_an_evaluation_is_survived(tmp_path: Path) -> None:
    local = LocalGrid(nodes_of(tmp_path), dead=lambda node, handled: node == 503 and handled == 6)
    grid = local.secure(Coding(clip=1.0, max_weight=100), evaluation=METRICS)
    result = run(grid, 1)
    assert result.evaluate_metrics_clientapp[1]["correct"] == 1_200
    assert 503 not in grid.last_evaluation.survivors


def test_a_server_that_asks_for_an_evaluation_in_clear_gets_none(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    message = train_message(500, model())
    message.metadata.message_type = "evaluate"
    (reply,) = LocalGrid(nodes).send_and_receive([message])
    assert "in clear" in str(reply.error.reason)


def test_arrays_in_the_reply_to_an_evaluation_are_refused_by_name(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    inner = nodes[500].evaluated
    nodes[500].evaluated = lambda: inner() | {"embedding": ArrayRecord({"x": Array(model()["w"])})}
    grid = LocalGrid(nodes).secure(Coding(clip=1.0, max_weight=100), evaluation=METRICS)
    run(grid, 1)
    assert "an ArrayRecord 'embedding'" in grid.last_evaluation.left[500]


def test_evaluations_are_not_pushed_past_the_protocol(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)).secure(Coding(clip=1.0, max_weight=100), evaluation=METRICS)
    message = train_message(500, model())
    message.metadata.message_type = "evaluate"
    with pytest.raises(LocalProtocolError, match="send_and_receive"):
        grid.push_messages([message])
