"""Whole rounds of the core: sites with policies in files, a fresh `Site` for every message."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Client
from secagg.errors import Abort
from secagg.integrations import Coding, Metric, RoundSettings, ServerRound, SitePolicy
from secagg.integrations.wire import Reply, session_name
from secagg.protocol.graph import Sparse
from secagg.protocol.messages import Round

from ..support.allocated import peak_bytes
from .rounds import (
    CODING,
    NOW,
    Model,
    Node,
    active,
    changes,
    model,
    moved_by,
    play,
    settings,
    write_policy,
    write_roster,
)

WEIGHTS = [3, 50, 100, 1, 20, 7, 11, 2, 90, 4, 60, 33]


def nodes_of(tmp_path: Path, count: int = 6, **policy: str) -> dict[str, Node]:
    return {
        f"node {u}": Node(
            f"node {u}", write_policy(tmp_path / f"{u}", **policy), moved_by(changes(count)[u - 1], WEIGHTS[u - 1])
        )
        for u in range(1, count + 1)
    }


def active_nodes(tmp_path: Path, count: int = 6, more: str = "") -> tuple[dict[str, Node], RoundSettings]:
    roster = write_roster(tmp_path / "keys", range(11, 11 + count))
    nodes = {}
    for u in range(1, count + 1):
        policy = write_policy(tmp_path / f"{u}", protection=active(tmp_path / "keys", 10 + u, more))
        nodes[f"node {u}"] = Node(f"node {u}", policy, moved_by(changes(count)[u - 1], WEIGHTS[u - 1]))
    return nodes, settings(roster=roster)


def weighted_mean(nodes: dict[str, Node], survivors: tuple[str, ...], sent: Model) -> dict[str, Any]:
    """What plain federated averaging of the same survivors gives, in float64."""
    updates = [nodes[name].train(sent) for name in survivors]
    total = sum(update.weight or 1 for update in updates)
    return {
        name: sum(np.asarray(u.arrays[name]).astype(np.float64) * (u.weight or 1) for u in updates) / total
        for name in sent
    }


def check(outcome: Any, nodes: dict[str, Node], sent: Model) -> None:
    """The mean is that of the survivors: within the stated bound, and what rounding to a dtype adds."""
    assert outcome.mean_error is not None
    assert outcome.mean_error < 1e-3
    for name, expected in weighted_mean(nodes, outcome.survivors, sent).items():
        got = outcome.arrays[name]
        assert (got.dtype, got.shape) == (sent[name].dtype, sent[name].shape)
        if got.dtype.kind == "i":
            assert (got == np.rint(expected)).all()
            continue
        spacing = np.spacing(np.abs(expected).astype(got.dtype)).astype(np.float64)
        assert (np.abs(got.astype(np.float64) - expected) <= outcome.mean_error + spacing).all(), name


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_the_mean_is_that_of_all_nodes(tmp_path: Path, kind: str) -> None:
    nodes, asked = active_nodes(tmp_path) if kind == "active" else (nodes_of(tmp_path), settings())
    outcome, notes = play(asked, nodes, model())
    assert outcome.survivors == tuple(nodes)
    assert outcome.weight == sum(WEIGHTS[:6])
    assert not outcome.left
    assert "the mean is of 6 of 6 nodes" in notes[-1]
    check(outcome, nodes, model())


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
@pytest.mark.parametrize("stage", [r for r in Round if r is not Round.CONSISTENCY_CHECK])
def test_a_node_that_is_gone_at_any_stage_is_survived(tmp_path: Path, kind: str, stage: Round) -> None:
    nodes, asked = active_nodes(tmp_path) if kind == "active" else (nodes_of(tmp_path), settings())
    outcome, notes = play(asked, nodes, model(), drops={stage: {"node 3"}})
    in_the_sum = stage > Round.MASKED_INPUT_COLLECTION
    assert ("node 3" in outcome.survivors) == in_the_sum
    assert f"no answer in time ({stage})" in outcome.left["node 3"]
    assert any("node 3 is out" in note for note in notes)
    check(outcome, nodes, model())


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_nodes_share_with_their_neighbours_in_a_sparse_graph(tmp_path: Path, kind: str) -> None:
    more = 'graph = "sparse"\ndegree = 6\nn_corrupt = 1'
    if kind == "active":
        nodes, asked = active_nodes(tmp_path, 12, more)
    else:
        nodes, asked = nodes_of(tmp_path, 12, protection=f'model = "semi-honest"\n{more}'), settings()
    asked = replace(asked, n_corrupt=1, graph=Sparse(6), min_joined=11)
    gone = {"node 3", "node 8"} if kind == "semi-honest" else set()  # t of the active model leaves room for none
    drops: Any = {Round.ADVERTISE_KEYS: gone & {"node 3"}, Round.MASKED_INPUT_COLLECTION: gone}
    outcome, _ = play(asked, nodes, model(), drops=drops)
    assert set(nodes) - set(outcome.survivors) == set(outcome.left) == gone
    check(outcome, nodes, model())


def test_nodes_that_go_one_after_another_end_the_round_when_too_few_are_left(tmp_path: Path) -> None:
    drops = {Round.SHARE_KEYS: {"node 1"}, Round.MASKED_INPUT_COLLECTION: {"node 2"}, Round.UNMASKING: {"node 4"}}
    with pytest.raises(Abort, match="3 answered, 5 needed"):
        play(
            settings(),
            nodes_of(tmp_path),
            model(),
            drops={**drops, Round.MASKED_INPUT_COLLECTION: {"node 2", "node 3"}},
        )


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_messages_that_come_twice_get_the_same_bytes_and_train_once(tmp_path: Path, kind: str) -> None:
    nodes, asked = active_nodes(tmp_path) if kind == "active" else (nodes_of(tmp_path), settings())
    outcome, _ = play(asked, nodes, model(), twice=True)
    assert [node.trained for node in nodes.values()] == [1] * 6
    check(outcome, nodes, model())


def test_rounds_follow_each_other_and_their_errors_do_not_add_up(tmp_path: Path) -> None:
    nodes, current = nodes_of(tmp_path), model()
    for _ in range(4):
        outcome, _ = play(settings(), nodes, current, drops={Round.MASKED_INPUT_COLLECTION: {"node 2"}})
        check(outcome, nodes, current)
        current = outcome.arrays
    assert current["count"].tolist() == [1_004, 2_004]


def test_a_reply_is_taken_without_a_set_of_all_nodes() -> None:
    """Which a round of many nodes would make for each of their replies."""
    round_ = ServerRound(settings(), range(5_000), model(), task=b"")
    params = round_.params
    replies = [Reply.of(u, Client(params, u, np.zeros(params.m, np.int64)).start()).encode() for u in (1, 2)]

    def take(u: int) -> None:
        round_.receive(u - 1, replies[u - 1])
        assert (round_.answered, round_.waiting_count, round_.hopeless) == (u, 5_000 - u, False)

    take(1)
    assert peak_bytes(lambda: take(2)) < 50_000
    assert round_.waiting == frozenset(range(2, 5_000))


def test_without_weights_the_mean_is_plain(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, coding="clip = 1.0")
    for u, node in enumerate(nodes.values()):
        node.train = moved_by(changes(6)[u])
    outcome, _ = play(settings(Coding(clip=1.0)), nodes, model())
    assert outcome.weight == 6
    check(outcome, nodes, model())


METRICS = (
    "loss = { mean = 10.0 }\ncorrect = { count = 123456789012345678901234567890 }\nper = { mean = 1.0, length = 3 }\n"
)
METRICS_HERE = {
    "loss": Metric.mean(10.0),
    "correct": Metric.count(123456789012345678901234567890),
    "per": Metric.mean(1.0, length=3),
}


def test_counts_are_exact_and_means_within_their_bound(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, metrics=METRICS)
    reported: list[dict[str, Any]] = []
    for u, node in enumerate(nodes.values()):
        reported.append({"loss": 0.3 * u - 1, "correct": 10**29 + u, "per": [0.1 * u, -1.0, 1.0]})
        node.train = moved_by(changes(6)[u], WEIGHTS[u], **reported[-1])
    coding = Coding(clip=1.0, max_weight=100, metrics=METRICS_HERE)
    outcome, _ = play(settings(coding), nodes, model(), drops={Round.SHARE_KEYS: {"node 1"}})
    left = range(1, 6)
    total = sum(WEIGHTS[u] for u in left)
    assert outcome.metrics["correct"] == sum(10**29 + u for u in left)
    assert outcome.mean_error is not None
    loss = sum(WEIGHTS[u] * reported[u]["loss"] for u in left) / total
    got: Any = outcome.metrics["loss"]
    assert abs(got - loss) <= 10 * outcome.mean_error
    per = np.array([reported[u]["per"] for u in left]).T @ np.array([WEIGHTS[u] for u in left]) / total
    assert (np.abs(np.array(outcome.metrics["per"]) - per) <= outcome.mean_error + 1e-12).all()
    check(outcome, nodes, model())


def test_a_session_that_is_over_leaves_one_file_until_it_is_forgotten(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, 4)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)
    request = round_.requests["node 1"]
    nodes["node 1"].handle(request, model())
    assert len(list((tmp_path / "1" / "secagg-state").glob("*.client"))) == 1
    nodes["node 1"].site().forget("../" + session_name(request))
    assert len(list((tmp_path / "1" / "secagg-state").glob("*.client"))) == 1
    nodes["node 1"].site().forget(session_name(request))
    assert not list((tmp_path / "1" / "secagg-state").glob("*.client"))


def test_policies_are_equal_to_what_code_makes(tmp_path: Path) -> None:
    policy = SitePolicy.read(write_policy(tmp_path / "x", coding=CODING, metrics=METRICS))
    assert dict(policy.coding.metrics) == METRICS_HERE
    assert (policy.coding.clip, policy.coding.bits, policy.coding.max_weight) == (1.0, 16, 100)
