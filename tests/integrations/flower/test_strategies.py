"""Strategies of Flower, unchanged, over secure aggregation; each round compared with plain averaging."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, MetricRecord
from flwr.serverapp import strategy as strategies

from secagg.integrations import Coding, Metric, Update
from secagg.integrations.flower import SecAggGrid

from ..rounds import write_policy
from .local import LocalGrid, Node, config, training

WEIGHTS = [3, 50, 100, 1, 20]
METRICS = "loss = { mean = 10.0 }\ncorrect = { count = 100000 }"
CODING = Coding(clip=1.0, max_weight=100, metrics={"loss": Metric.mean(10.0), "correct": Metric.count(100_000)})
ROUNDS = 4


def initial() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {"w": rng.normal(size=(6, 4)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32)}


def trains(u: int) -> Callable[[dict[str, Any]], Update]:
    """Half a step towards a point of the node's own: a linear model's training in one line."""
    rng = np.random.default_rng(100 + u)
    goal = {"w": rng.normal(size=(6, 4)), "b": rng.normal(size=4)}

    def update(received: dict[str, Any]) -> Update:
        moved = {
            name: (values + np.clip(0.5 * (goal[name] - values), -0.9, 0.9)).astype(np.float32)
            for name, values in received.items()
        }
        loss = min(10.0, float(sum(np.square(goal[name] - received[name]).sum() for name in goal)) / 28)
        return Update(moved, WEIGHTS[u], {"loss": loss, "correct": 17 * u})

    return update


class PlainGrid(LocalGrid):
    """Without the protocol."""


def nodes(tmp_path: Path, secure: bool) -> dict[int, Node]:
    made = {}
    for u in range(len(WEIGHTS)):
        policy = write_policy(tmp_path / f"{u}", coding="clip = 1.0\nbits = 16\nmax_weight = 100", metrics=METRICS)
        node = Node(config(policy), training(trains(u)))
        if not secure:
            node.mods = list
        made[1000 + u] = node
    return made


class Mine(strategies.Strategy):  # type: ignore[misc]
    """A strategy of a user's own: half of the mean's way, and no configuration."""

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        from flwr.app import Message, RecordDict

        self.arrays = arrays
        return [Message(RecordDict({"arrays": arrays}), node, "train") for node in grid.get_node_ids()]

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        total: dict[str, Any] = {}
        weight = 0
        for reply in replies:
            (record,) = reply.content.array_records.values()
            (metrics,) = reply.content.metric_records.values()
            w = metrics["num-examples"]
            weight += w
            for name, array in record.items():
                total[name] = total.get(name, 0) + w * array.numpy().astype(np.float64)
        mean = {name: (values / weight + self.arrays[name].numpy()) / 2 for name, values in total.items()}
        return ArrayRecord({name: Array(values.astype(np.float32)) for name, values in mean.items()}), MetricRecord()

    def configure_evaluate(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        return []

    def aggregate_evaluate(self, server_round: int, replies: Any) -> None:
        return None

    def summary(self) -> None:
        return None


CHOICES: dict[str, Callable[[], Any]] = {
    "FedAvg": strategies.FedAvg,
    "FedAdam": lambda: strategies.FedAdam(eta=0.1),
    "FedProx": lambda: strategies.FedProx(proximal_mu=0.1),
    "FedAvgM": lambda: strategies.FedAvgM(server_learning_rate=0.5, server_momentum=0.9),
    "FedYogi": lambda: strategies.FedYogi(eta=0.1),
    "own": Mine,
}


def run(grid: Any, strategy: Any) -> Any:
    arrays = ArrayRecord({name: Array(values) for name, values in initial().items()})
    history: list[Any] = []
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        num_rounds=ROUNDS,
        timeout=30,
        evaluate_fn=lambda number, record: history.append({k: v.numpy().copy() for k, v in record.items()}),
    )
    return result, history


@pytest.mark.parametrize("name", CHOICES)
def test_a_strategy_works_unchanged(tmp_path: Path, name: str) -> None:
    plain_nodes, secure_nodes = nodes(tmp_path / "plain", False), nodes(tmp_path / "secure", True)
    plain, expected = run(PlainGrid(plain_nodes), CHOICES[name]())
    local = LocalGrid(secure_nodes)
    secure, got = run(local.secure(CODING), CHOICES[name]())
    assert len(got) == len(expected) == ROUNDS + 1
    for before, after in zip(expected, got, strict=True):
        for key in before:
            np.testing.assert_allclose(after[key], before[key], atol=0.02 if name in {"FedAdam", "FedYogi"} else 1e-3)
    assert {node.trained for node in secure_nodes.values()} == {ROUNDS}
    if name != "own":
        for number in range(1, ROUNDS + 1):
            metrics = secure.train_metrics_clientapp[number]
            assert metrics["correct"] == 17 * 10
            assert metrics["loss"] == pytest.approx(plain.train_metrics_clientapp[number]["loss"], abs=0.05)
        assert secure.evaluate_metrics_clientapp[1]["loss"] == 0.5


def test_every_round_is_within_the_quantizers_bound(tmp_path: Path) -> None:
    local = LocalGrid(nodes(tmp_path, True), dead=lambda node, handled: node == 1002 and handled % 5 == 2)
    grid = local.secure(CODING)
    seen: list[tuple[Any, Any]] = []

    class Watched(strategies.FedAvg):  # type: ignore[misc]
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            replies = list(replies)
            seen.append((replies[0].content, grid.last))
            return super().aggregate_train(server_round, replies)

    _, history = run(grid, Watched())
    for before, (content, outcome) in zip(history, seen, strict=False):
        updates = {node: trains(node - 1000)(before) for node in outcome.survivors}
        total = sum(update.weight or 0 for update in updates.values())
        assert content["metrics"]["num-examples"] == total
        for key, array in content["arrays"].items():
            mean = sum((u.weight or 0) * u.arrays[key].astype(np.float64) for u in updates.values()) / total
            assert np.abs(array.numpy() - mean).max() <= outcome.mean_error + 1e-6


def test_the_application_sees_the_message_of_its_strategy(tmp_path: Path) -> None:
    local = LocalGrid(nodes(tmp_path, True))
    run(local.secure(CODING), strategies.FedAvg())
    for node in local.nodes.values():
        assert [set(message.content) for message in node.seen] == [{"arrays", "config"}] * ROUNDS
        assert [message.content["config"]["server-round"] for message in node.seen] == [1, 2, 3, 4]


def test_a_context_holds_the_sessions_name_and_a_folder_one_client(tmp_path: Path) -> None:
    local = LocalGrid(nodes(tmp_path, True))
    run(local.secure(CODING), strategies.FedAvg())
    for u, node in enumerate(local.nodes.values()):
        assert list(node.state) == ["secagg"]
        assert list(node.state["secagg"]) == ["session"]
        assert len(node.state["secagg"]["session"]) == 32
        assert len(list((tmp_path / f"{u}" / "secagg-state").glob("*.client"))) == 1


def test_bytes_are_at_most_a_tenth_more_than_those_of_plain_averaging(tmp_path: Path) -> None:
    size = 200_000

    def big(received: dict[str, Any]) -> Update:
        return Update({"w": received["w"] + np.float32(0.25)}, 7)

    def cost(secure: bool) -> tuple[float, float]:
        made = {}
        for u in range(10):
            policy = write_policy(tmp_path / f"{secure}{u}", coding="clip = 1.0\nbits = 16\nmax_weight = 100")
            made[u + 1] = Node(config(policy), training(big), (lambda: []) if not secure else Node.mods)
        local = LocalGrid(made)
        grid: Any = local.secure(Coding(clip=1.0, max_weight=100)) if secure else local
        rng = np.random.default_rng(1)
        message = ArrayRecord({"w": Array(rng.normal(size=size).astype(np.float32))})
        replies, _ = strategies.FedAvg().configure_train(1, message, _config(), grid), None
        assert list(grid.send_and_receive(replies, timeout=10))
        if secure:
            assert grid.last.survivors == tuple(made) or set(grid.last.survivors) == set(made)
        return max(node.received for node in made.values()), max(node.sent for node in made.values())

    (plain_down, plain_up), (down, up) = cost(False), cost(True)
    assert down <= 1.1 * plain_down
    assert up <= 1.1 * plain_up


def _config() -> Any:
    from flwr.app import ConfigRecord

    return ConfigRecord()


def test_a_grid_is_wrapped_once(tmp_path: Path) -> None:
    from secagg.errors import LocalProtocolError

    grid = LocalGrid({}).secure(CODING)
    assert isinstance(grid, SecAggGrid)
    with pytest.raises(LocalProtocolError, match="already"):
        SecAggGrid(grid, CODING, run_config={})
