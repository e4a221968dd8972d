"""Rounds in which a model is evaluated: metrics alone are summed."""

from pathlib import Path
from typing import Any

import pytest

from secagg.errors import Abort, LocalProtocolError
from secagg.integrations import Coding, Metric, NodeRefusal, RoundSettings, ServerRound, Update
from secagg.integrations.wire import is_first

from .rounds import CODING, NOW, Node, model, write_policy

METRICS = {"loss": Metric.mean(10.0), "correct": Metric.count(1_000)}
EVALUATION = "loss = { mean = 10.0 }\ncorrect = { count = 1000 }"
TRAINING = Coding(clip=1.0, bits=16, max_weight=100)


def nodes_of(tmp_path: Path, **policy: str) -> list[Node]:
    return [
        Node(
            f"node {u}",
            write_policy(tmp_path / f"{u}", coding=CODING, **policy),
            lambda sent, u=u: Update({}, 10 + u, {"loss": 0.5 * u, "correct": 100 * u}),  # type: ignore[misc]
        )
        for u in range(6)
    ]


def play(nodes: list[Node], coding: Coding) -> Any:
    round_ = ServerRound(RoundSettings(coding=coding), range(6), model(), task=b"", clock=lambda: NOW)
    over = False
    while not over:
        for u, request in round_.requests.items():
            site = nodes[u].site()
            try:
                if is_first(request):
                    reply = site.begin(request, model(), lambda u=u: nodes[u].train({}), task=b"", evaluation=True)  # type: ignore[misc]
                else:
                    reply = site.answer(request)
            except NodeRefusal as refusal:
                nodes[u].refusals.append(refusal)
                round_.refuse(u, refusal.reason)
            else:
                round_.receive(u, reply)
        over = round_.end_exchange()
    return round_.outcome


def test_metrics_of_an_evaluation_are_summed(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, evaluation=EVALUATION)
    outcome = play(nodes, TRAINING.of_evaluation(METRICS))
    assert outcome.survivors == tuple(range(6))
    assert outcome.metrics["correct"] == 1_500
    weights = range(10, 16)
    loss = sum(w * 0.5 * u for u, w in enumerate(weights)) / sum(weights)
    assert abs(outcome.metrics["loss"] - loss) <= 10 * outcome.mean_error
    assert outcome.weight == sum(weights)
    assert {name: values.tolist() for name, values in outcome.arrays.items()} == {
        name: values.tolist() for name, values in model().items()
    }


def test_a_site_whose_policy_has_no_evaluation_takes_part_in_none(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    with pytest.raises(Abort):
        play(nodes, TRAINING.of_evaluation(METRICS))
    assert "its policy has no [evaluation]" in nodes[0].refusals[0].reason


def test_a_training_round_is_no_evaluation(tmp_path: Path) -> None:
    """A server cannot get at an update by calling its training an evaluation, nor the other way round."""
    nodes = nodes_of(tmp_path, evaluation=EVALUATION)
    with pytest.raises(Abort):
        play(nodes, TRAINING)
    assert "another form" in nodes[0].refusals[0].reason


def test_an_evaluation_needs_a_mean() -> None:
    with pytest.raises(LocalProtocolError, match="needs a metric that is a mean"):
        TRAINING.of_evaluation({"correct": Metric.count(3)})
