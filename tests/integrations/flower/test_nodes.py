"""Nodes that die, are late, are wrong, or want more, through Flower's Grid interface."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from secagg.dp import ApproxDp
from secagg.errors import LocalProtocolError
from secagg.integrations import Coding, Noise, SitePolicy, Update
from secagg.integrations.flower import secagg_mod
from secagg.protocol.graph import Sparse

from ..rounds import active, changes, model, moved_by, write_policy, write_roster
from ..test_rounds import check
from .local import LocalGrid, Node, config, train_message, training

WEIGHTS = [3, 50, 100, 1, 20, 7]
PLAIN = Coding(clip=1.0, max_weight=100)
CODING = "clip = 1.0\nbits = 16\nmax_weight = 100"
IDS = [7001, 7002, 7003, 7004, 7005, 7006]


class Trains:
    """What `test_rounds.check` compares with."""

    def __init__(self, u: int) -> None:
        self.train = moved_by(changes(6)[u], WEIGHTS[u])


def nodes_of(tmp_path: Path, kind: str = "semi-honest", **policy: str) -> tuple[dict[int, Node], dict[str, Any]]:
    """Six nodes, and what their server is to be told besides."""
    others: dict[str, Any] = {}
    if kind == "active":
        others["roster"] = write_roster(tmp_path / "keys", range(1, 7))
    made = {}
    for u, node in enumerate(IDS):
        protection = active(tmp_path / "keys", u + 1) if kind == "active" else ""
        path = write_policy(tmp_path / f"{u}", **{"coding": CODING, "protection": protection} | policy)
        made[node] = Node(config(path), training(moved_by(changes(6)[u], WEIGHTS[u])))
    return made, others


def train(grid: Any, nodes: list[int] = IDS, sent: Any = None, timeout: float | None = 100) -> list[Message]:
    messages = [train_message(node, sent or model()) for node in nodes]
    return list(grid.send_and_receive(messages, timeout=timeout))


def check_reply(replies: list[Message], grid: Any, sent: Any = None) -> None:
    """One reply, whose arrays are the outcome's, which is that of plain averaging."""
    (reply,) = replies
    assert not reply.has_error(), reply.error
    arrays = {name: array.numpy() for name, array in reply.content["arrays"].items()}
    for name, values in grid.last.arrays.items():
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)
    total = sum(WEIGHTS[IDS.index(node)] for node in grid.last.survivors)
    assert dict(reply.content["metrics"]) == {"num-examples": total}
    trains: Any = {node: Trains(IDS.index(node)) for node in IDS}
    check(grid.last, trains, sent or model())


EXCHANGES = [*(("semi-honest", i) for i in range(4)), *(("active", i) for i in range(5))]


@pytest.mark.parametrize(("kind", "answers"), EXCHANGES)
def test_a_node_that_dies_between_messages_is_survived(tmp_path: Path, kind: str, answers: int) -> None:
    nodes, others = nodes_of(tmp_path, kind)
    local = LocalGrid(nodes, dead=lambda node, handled: node == IDS[2] and handled == answers)
    grid = local.secure(PLAIN, exchange_timeout=30, **others)
    check_reply(train(grid), grid)
    assert (IDS[2] in grid.last.survivors) == (answers > 2)
    assert local.time == pytest.approx(100 if answers == 0 else 30, abs=1)  # as long as it was waited for


def test_nodes_that_die_one_after_another(tmp_path: Path) -> None:
    gone = {IDS[0]: 0, IDS[5]: 3}
    nodes, _ = nodes_of(tmp_path)
    grid = LocalGrid(nodes, dead=lambda node, handled: gone.get(node) == handled).secure(PLAIN)
    (reply,) = train(grid)
    assert reply.has_error()
    assert "Unmasking: 4 answered, 5 needed" in str(reply.error.reason)
    assert grid.last is None


def test_a_strategy_goes_on_after_a_round_that_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes, _ = nodes_of(tmp_path)
    local = LocalGrid(nodes, dead=lambda node, handled: node in IDS[:2] and handled == 0)
    arrays = ArrayRecord({name: Array(values) for name, values in model().items()})
    histories: list[Any] = []

    def evaluate(number: int, record: Any) -> None:
        histories.append({name: array.numpy() for name, array in record.items()})
        if number == 1:
            local.dead = lambda node, handled: False

    with caplog.at_level(logging.INFO, "flwr"):
        FedAvg(fraction_evaluate=0.0).start(local.secure(PLAIN), arrays, num_rounds=2, timeout=10, evaluate_fn=evaluate)
    np.testing.assert_array_equal(histories[0]["w"], histories[1]["w"])
    assert np.abs(histories[2]["w"] - histories[1]["w"]).max() > 0.01
    assert any("the round has failed: AdvertiseKeys: 4 answered, 5 needed" in r.getMessage() for r in caplog.records)


def test_with_a_goal_stragglers_are_not_waited_for(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    local = LocalGrid(nodes, dead=lambda node, handled: node == IDS[4])
    grid = local.secure(PLAIN, goal=5)
    check_reply(train(grid, timeout=None), grid)
    assert local.time == 0
    assert "no answer in time (AdvertiseKeys)" in grid.last.left[IDS[4]]


class OneByOne(LocalGrid):
    """Replies come one after another."""

    def pull_messages(self, message_ids: Any) -> Any:
        return super().pull_messages([name for name in message_ids if name in self._replies][:1])


@pytest.mark.parametrize(("goal", "count"), [(2, 5), (5, 5), (6, 6), (7, 6)])
def test_the_first_exchange_ends_at_the_goal_or_at_what_the_protocol_needs(
    tmp_path: Path, goal: int, count: int
) -> None:
    grid = OneByOne(nodes_of(tmp_path)[0]).secure(PLAIN, goal=goal)
    check_reply(train(grid), grid)
    assert len(grid.last.survivors) == count


def test_more_nodes_than_the_goal_all_count_where_they_are_in_time(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)[0]).secure(PLAIN, goal=5)
    check_reply(train(grid), grid)
    assert len(grid.last.survivors) == 6


def test_nan_in_one_update_is_named_in_the_nodes_own_log_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes, _ = nodes_of(tmp_path)
    nodes[IDS[1]].train = training(lambda m: Update(m | {"half": m["half"] * np.float16(np.nan)}, 3))
    grid = LocalGrid(nodes).secure(PLAIN)
    with caplog.at_level(logging.INFO, "flwr"):
        check_reply(train(grid), grid)
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "half" in line] == [
        "secagg: this node's update is left out of the round: array 'half' holds NaN or infinity"
    ]
    assert any(
        f"node {IDS[1]} is out of the round: secagg: this node's update cannot be used" in line for line in lines
    )


def test_the_runs_configuration_names_no_policy(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    weak = write_policy(tmp_path / "weak", coding=CODING)
    strict = write_policy(tmp_path / "strict", coding=CODING, protection='model = "semi-honest"\nmin_users = 6')
    nodes[IDS[0]].config = config(strict)
    for node in nodes.values():
        node.run_config = config(weak)
    nodes[IDS[1]].config = {}
    nodes[IDS[2]].mods = lambda: [secagg_mod(simulation=weak)]
    nodes[IDS[2]].config = config(strict)
    grid = LocalGrid(nodes).secure(PLAIN, run_config=config(weak))
    (reply,) = train(grid)
    assert reply.has_error()
    assert [node.trained for node in nodes.values()] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_nodes_that_accept_a_sparse_graph_share_with_their_neighbours(tmp_path: Path, kind: str) -> None:
    more = 'graph = "sparse"\ndegree = 4\nn_corrupt = 0'
    semi = 'model = "semi-honest"\n'
    nodes, others = nodes_of(tmp_path, kind, **({} if kind == "active" else {"protection": semi + more}))
    if kind == "active":
        for u, node in enumerate(IDS):
            path = write_policy(tmp_path / f"{u}", coding=CODING, protection=active(tmp_path / "keys", u + 1, more))
            nodes[node].config = config(path)
    grid = LocalGrid(nodes).secure(PLAIN, n_corrupt=0, graph=Sparse(4), min_joined=6, **others)
    check_reply(train(grid), grid)
    assert grid.last.survivors == tuple(IDS)


def test_a_node_refuses_a_sparse_graph_unless_its_policy_says_otherwise(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    grid = LocalGrid(nodes).secure(PLAIN, graph=Sparse(4), n_corrupt=1, min_joined=6, min_users=5)
    (reply,) = train(grid)
    assert reply.has_error()
    assert [node.trained for node in nodes.values()] == [0] * 6


def test_a_reason_of_a_node_reaches_the_servers_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodes, _ = nodes_of(tmp_path)
    strict = write_policy(tmp_path / "strict", coding=CODING, protection='model = "semi-honest"\nmin_users = 6')
    nodes[IDS[3]].config = config(strict)
    grid = LocalGrid(nodes).secure(PLAIN)
    with caplog.at_level(logging.INFO, "flwr"):
        check_reply(train(grid), grid)
    expected = (
        f"node {IDS[3]} is out of the round: secagg: the session is refused by this site's policy: min_users is 5"
    )
    assert any(expected in record.getMessage() for record in caplog.records)


def test_simulations_bring_a_policy_and_their_nodes_share_its_folder(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "all", coding=CODING)
    nodes, _ = nodes_of(tmp_path)
    for i, node in enumerate(nodes.values()):
        node.config = {"partition-id": i, "num-partitions": 6}
        node.mods = lambda i=i: [secagg_mod(simulation=SitePolicy.read(path) if i % 2 else str(path))]  # type: ignore[misc]
    grid = LocalGrid(nodes).secure(PLAIN)
    check_reply(train(grid), grid)
    assert len(list((tmp_path / "all" / "secagg-state").glob("*.client"))) == 6


@pytest.mark.parametrize("named", ["/nowhere/policy.toml", 3], ids=["missing", "number"])
def test_a_policy_that_cannot_be_read_is_a_nodes_own_affair(
    tmp_path: Path, named: Any, caplog: pytest.LogCaptureFixture
) -> None:
    nodes, _ = nodes_of(tmp_path)
    nodes[IDS[0]].config = {"secagg-policy": named}
    grid = LocalGrid(nodes).secure(PLAIN)
    check_reply(train(grid), grid)
    assert grid.last.left[IDS[0]] == "secagg: this node has no policy that can be used; its own log says why"


def test_an_empty_name_of_a_policy_is_no_name_of_the_applications(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes, _ = nodes_of(tmp_path)
    weak = write_policy(tmp_path / "weak", coding=CODING)
    nodes[IDS[0]].config = {"secagg-policy": ""}
    nodes[IDS[0]].mods = lambda: [secagg_mod(simulation=weak)]
    grid = LocalGrid(nodes).secure(PLAIN)
    with caplog.at_level(logging.ERROR, "flwr"):
        check_reply(train(grid), grid)
    assert "no policy that can be used" in grid.last.left[IDS[0]]
    assert any("an empty path in secagg-policy" in record.getMessage() for record in caplog.records)


def test_without_weights_no_node_reports_one(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path, coding="clip = 1.0")
    for node in nodes.values():
        node.train = replying({"metrics": None})
    grid = LocalGrid(nodes).secure(Coding(clip=1.0))
    (reply,) = train(grid)
    assert not reply.has_error(), reply.error
    assert dict(reply.content["metrics"]) == {"num-examples": 6}


def test_a_file_that_the_application_lacks_is_no_fault_of_the_state(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)

    def train_without_data(message: Message, context: Any) -> Message:
        raise FileNotFoundError("of the application")

    nodes[IDS[0]].train = train_without_data
    grid = LocalGrid(nodes).secure(PLAIN)
    check_reply(train(grid), grid)
    assert "FileNotFoundError" in grid.last.left[IDS[0]]
    assert "state" not in grid.last.left[IDS[0]]


def test_a_server_without_the_protocol_gets_no_update(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    replies = list(LocalGrid(nodes).send_and_receive([train_message(node, model()) for node in IDS]))
    assert all(reply.has_error() for reply in replies)
    assert "must use a SecAggGrid" in str(replies[0].error.reason)
    assert not any(node.trained for node in nodes.values())


def test_a_node_without_the_mod_is_out_and_its_update_is_not_used(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    nodes[IDS[0]].mods = list
    grid = LocalGrid(nodes).secure(PLAIN)
    (reply,) = train(grid)
    assert not reply.has_error()
    assert "does its ClientApp use secagg_mod?" in grid.last.left[IDS[0]]


def test_an_application_that_crashes_puts_its_node_out(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)

    def crash(message: Message, context: Any) -> Message:
        raise ZeroDivisionError("of the application")

    nodes[IDS[0]].train = crash
    grid = LocalGrid(nodes).secure(PLAIN)
    check_reply(train(grid), grid)
    assert "of the application" in grid.last.left[IDS[0]]


def replying(records: dict[str, Any]) -> Any:
    def answer(message: Message, context: Any) -> Message:
        arrays = ArrayRecord({name: Array(a.numpy()) for name, a in message.content["arrays"].items()})
        made = {"arrays": arrays, "metrics": MetricRecord({"num-examples": 3})} | records
        return Message(RecordDict({k: v for k, v in made.items() if v is not None}), reply_to=message)

    return answer


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"more": ConfigRecord({"secret": 1})}, "a ConfigRecord 'more', which cannot be summed"),
        ({"more": ArrayRecord({"x": Array(np.zeros(2))})}, "must have one ArrayRecord, and has 2"),
        ({"arrays": None}, "must have one ArrayRecord, and has 0"),
        ({"more": MetricRecord({"x": 1})}, "must have one MetricRecord, and has 2"),
        ({"metrics": None}, "lacks the metric 'num-examples'"),
        ({"metrics": MetricRecord({"num-examples": 3.5})}, "the weight must be a whole number"),
        ({"metrics": MetricRecord({"num-examples": [3]})}, "the weight must be a whole number"),
        ({"metrics": MetricRecord({"num-examples": 3, "loss": 0.5})}, "metric 'loss' has no bound"),
        ({"arrays": ArrayRecord({"w": Array("float32", (2,), "torch", b"")})}, "serialized as 'torch'"),
        ({"arrays": ArrayRecord({"w": Array("float32", (2,), "numpy.ndarray", b"x")})}, "array 'w' cannot be read"),
    ],
    ids=["config", "two arrays", "no arrays", "two metrics", "no metrics", "real", "list", "unknown", "torch", "bytes"],
)
def test_a_reply_that_cannot_be_summed_is_refused_by_name(tmp_path: Path, records: dict[str, Any], words: str) -> None:
    nodes, _ = nodes_of(tmp_path)
    nodes[IDS[0]].train = replying(records)
    grid = LocalGrid(nodes).secure(PLAIN)
    check_reply(train(grid), grid)
    assert words in grid.last.left[IDS[0]]


def test_a_weight_may_be_a_float_that_is_whole(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    for u, node in enumerate(IDS):
        nodes[node].train = replying({"metrics": MetricRecord({"num-examples": float(u + 1)})})
    grid = LocalGrid(nodes).secure(PLAIN)
    (reply,) = train(grid)
    assert reply.content["metrics"]["num-examples"] == 21


def test_a_model_that_changes_its_shape_between_rounds_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid = LocalGrid(nodes_of(tmp_path)[0]).secure(PLAIN)
    check_reply(train(grid), grid)
    caplog.clear()
    with caplog.at_level(logging.INFO, "flwr"):
        (reply,) = train(grid, sent=model() | {"w": np.zeros((3, 5), np.float32)})
    assert reply.has_error()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the model has changed between rounds: array 'w' has shape [3, 5], the model's [3, 4]" in line
    check_reply(train(grid), grid)


def test_different_models_in_one_round_are_refused(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)[0]).secure(PLAIN)
    messages = [train_message(node, model() | {"scalar": np.array(i, np.float32)}) for i, node in enumerate(IDS)]
    (reply,) = grid.send_and_receive(messages, timeout=1)
    assert "different models" in str(reply.error.reason)


def test_too_few_nodes_are_one_line(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    grid = LocalGrid(nodes).secure(PLAIN)
    (reply,) = train(grid, IDS[:1])
    assert "n must be 2 .." in str(reply.error.reason)


def test_a_node_with_the_wrong_roster_leaves_with_a_reason(tmp_path: Path) -> None:
    nodes, others = nodes_of(tmp_path, "active")
    wrong = write_roster(tmp_path / "wrong", range(1, 7))
    nodes[IDS[0]].config = config(
        write_policy(tmp_path / "other", coding=CODING, protection=active(tmp_path / "wrong", 1))
    )
    grid = LocalGrid(nodes).secure(PLAIN, **others)
    check_reply(train(grid), grid)
    assert f"this site wants {wrong.hash.hex()}" in grid.last.left[IDS[0]]


@pytest.mark.parametrize("left_out", [True, False], ids=["left out", "None"])
def test_a_message_that_cannot_be_pushed_is_a_node_that_is_out(tmp_path: Path, left_out: bool) -> None:
    class Broken(LocalGrid):
        def push_messages(self, messages: Any) -> Any:
            sent = [m for m in messages if m.metadata.dst_node_id != IDS[1]]
            names = dict(zip((m.metadata.dst_node_id for m in sent), super().push_messages(sent), strict=True))
            return list(names.values()) if left_out else [names.get(m.metadata.dst_node_id) for m in messages]

    grid = Broken(nodes_of(tmp_path)[0]).secure(PLAIN)
    check_reply(train(grid), grid)
    assert grid.last.left[IDS[1]] == "Flower could not send it a message"


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_two_runs_at_once_both_end_right(tmp_path: Path, kind: str) -> None:
    """The second run is a whole one between the messages of the first, in contexts of its own."""
    nodes, others = nodes_of(tmp_path, kind)
    second_nodes = {node: Node(nodes[node].config, nodes[node].train) for node in IDS}
    second = LocalGrid(second_nodes, run_id=2).secure(PLAIN, **others)
    done: list[list[Message]] = []

    class Interrupted(LocalGrid):
        def push_messages(self, messages: Any) -> Any:
            names = super().push_messages(messages)
            done.append(train(second))
            return names

    first = Interrupted(nodes).secure(PLAIN, **others)
    check_reply(train(first), first)
    assert len(done) == (5 if kind == "active" else 4)
    check_reply(done[-1], second)


def test_a_message_that_is_handled_twice_at_one_snapshot_is_answered_once(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)

    class Doubled(LocalGrid):
        def _push(self, message: Message) -> str:
            node = self.nodes[message.metadata.dst_node_id]
            before, trained = node.state, node.trained
            first = super()._push(message)
            node.state = before
            reply = self._replies.pop(first)
            self._count -= 1
            assert super()._push(message) == first
            again = self._replies[first]
            assert again.content["secagg"]["message"].data == reply.content["secagg"]["message"].data
            assert node.trained <= trained + 1
            return first

    grid = Doubled(nodes).secure(PLAIN)
    check_reply(train(grid), grid)


def test_evaluation_and_queries_pass_through(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    grid = LocalGrid(nodes).secure(PLAIN)
    messages = [Message(RecordDict({"config": ConfigRecord({"a": 1})}), node, "evaluate") for node in IDS]
    replies = list(grid.send_and_receive(messages, timeout=1))
    assert [reply.content["metrics"]["loss"] for reply in replies] == [0.5] * 6
    mixed = [*[train_message(node, model()) for node in IDS], *messages[:2]]
    replies = list(grid.send_and_receive(mixed, timeout=1))
    assert len(replies) == 3
    assert list(grid.send_and_receive([], timeout=1)) == []


def test_training_messages_cannot_be_pushed_past_the_protocol(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)[0]).secure(PLAIN)
    with pytest.raises(LocalProtocolError, match="send_and_receive"):
        grid.push_messages([train_message(IDS[0], model())])


def test_actions_of_training_have_their_own_sessions(tmp_path: Path) -> None:
    nodes, _ = nodes_of(tmp_path)
    for node in nodes.values():
        node.app = lambda node=node: _app_with_action(node)  # type: ignore[method-assign, misc]
    grid = LocalGrid(nodes).secure(PLAIN)
    messages = [train_message(node, model()) for node in IDS]
    for message in messages:
        message.metadata.message_type = "train.fine"
    check_reply(list(grid.send_and_receive(messages, timeout=1)), grid)


def _app_with_action(node: Node) -> ClientApp:
    app = ClientApp()
    app.train("fine", mods=node.mods())(node.train)
    return app


def test_integers_that_fedavg_has_made_floats_are_rounded_in_every_round(tmp_path: Path) -> None:
    grid = LocalGrid(nodes_of(tmp_path)[0]).secure(PLAIN)
    check_reply(train(grid), grid)
    floats = model() | {"count": model()["count"].astype(np.float64) + 1}
    for node in grid._grid.nodes.values():
        inner = node.train
        node.train = _as_integers(inner)
    (reply,) = train(grid, sent=floats)
    count = reply.content["arrays"]["count"].numpy()
    assert count.dtype == np.int64
    assert count.tolist() == [1_002, 2_002]


def _as_integers(train: Any) -> Any:
    def other(message: Message, context: Any) -> Message:
        reply = train(message, context)
        arrays = reply.content["arrays"]
        arrays["count"] = Array(arrays["count"].numpy().astype(np.int64))
        return reply

    return other


def test_bfloat16_is_averaged_and_comes_back_as_float32(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(ml_dtypes.bfloat16)
    nodes, _ = nodes_of(tmp_path)
    sent = {"w": np.linspace(-2, 2, 9).astype(kind)}

    def trained(u: int) -> Any:
        def run(message: Message, context: Any) -> Message:
            values = message.content["arrays"]["w"].numpy().view(kind).astype(np.float32) + 0.1 * u
            arrays = ArrayRecord({"w": Array(values.astype(kind))})
            return Message(
                RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})}), reply_to=message
            )

        return run

    for u, node in enumerate(nodes.values()):
        node.train = trained(u)
    grid = LocalGrid(nodes).secure(PLAIN)
    (reply,) = train(grid, sent=sent)
    got = reply.content["arrays"]["w"].numpy()
    assert got.dtype == np.float32
    updates = [(sent["w"].astype(np.float32) + 0.1 * u).astype(kind).astype(float) for u in range(6)]
    assert np.abs(got - np.mean(updates, axis=0)).max() <= grid.last.mean_error + 1e-6


def test_noise_is_one_line_and_the_logs_say_what_it_costs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = 'epsilon = 20.0\ndelta = 1e-5\nledger = "ledger"\ntotal_epsilon = 60.0\ntotal_delta = 1e-4'
    nodes, _ = nodes_of(tmp_path, noise=noise)
    grid = LocalGrid(nodes).secure(Coding(clip=1.0, max_weight=100, noise=Noise(budget=ApproxDp(20, "1e-5"))))
    for u, node in enumerate(nodes.values()):
        node.train = training(moved_by({"w": 0.01 * u}, 90 + u))
    with caplog.at_level(logging.INFO, "flwr"):
        (reply,) = train(grid)
    assert not reply.has_error()
    lines = [record.getMessage() for record in caplog.records]
    assert sum("1 releases are spent" in line for line in lines) == 6
    assert any(f"at most {grid.last.guarantee} of each node's data" in line for line in lines)
    assert reply.content["metrics"]["num-examples"] == grid.last.weight


def test_a_malicious_submitter_leaves_out_the_mod_and_gets_updates_in_clear(tmp_path: Path) -> None:
    """What no mod prevents: it comes with the application. Sites that do not trust submitters run signed ones only."""
    nodes, _ = nodes_of(tmp_path)
    for node in nodes.values():
        node.mods = list
    replies = list(LocalGrid(nodes).send_and_receive([train_message(node, model()) for node in IDS]))
    assert [reply.content["metrics"]["num-examples"] for reply in replies] == WEIGHTS
