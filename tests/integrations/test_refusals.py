"""What a site refuses, and odd set-ups: one clear line each, and the round goes on without the node."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from secagg.errors import Abort, LocalProtocolError, SecAggError
from secagg.integrations import Coding, Metric, NodeRefusal, ServerRound, Site, SitePolicy, Update
from secagg.integrations.site import PRIVATE_REASON
from secagg.integrations.wire import Invitation, RoundRequest, is_first, session_name
from secagg.protocol.client import Client
from secagg.protocol.graph import Sparse
from secagg.protocol.messages import Round
from secagg.protocol.params import Params
from secagg.settings import ConfigError

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
from .test_rounds import WEIGHTS, check, nodes_of


def with_other(tmp_path: Path, **policy: str) -> dict[str, Node]:
    """Six nodes, of whom the first has another policy."""
    nodes = nodes_of(tmp_path)
    nodes["node 1"].policy = write_policy(tmp_path / "other", **policy)
    return nodes


def only_first_leaves(nodes: dict[str, Node], asked: Any, sent: Model | None = None) -> NodeRefusal:
    """The refusal of the first node, without whom the round ends well."""
    outcome, notes = play(asked, nodes, sent or model())
    assert outcome.survivors == tuple(nodes)[1:]
    check(outcome, nodes, sent or model())
    refusal = nodes["node 1"].refusals[0]
    assert outcome.left["node 1"] == refusal.reason
    assert f"node node 1 is out of the round: {refusal.reason}" in notes
    return refusal


# --- A server that asks for less than the policy wants ---


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("min_users = 6", "min_users is 5, and this site wants at least 6"),
        ("n_min = 7", "n is 6, and this site wants at least 7"),
        ("n_max = 5", "n is 6, and this site wants at most 5"),
        ("n_corrupt = 2", "n_corrupt is 1, and this site wants at least 2"),
        ("t = 6", "t is 5, and this site wants at least 6"),
        ("min_inputs = 5", "min_inputs is 4, and this site wants at least 5"),
        ('threat = "server-only"', "threat is colluding, and this site wants server-only"),
        ('application = "other"', "the session is for another application"),
    ],
    ids=["min_users", "n_min", "n_max", "n_corrupt", "t", "min_inputs", "threat", "application"],
)
def test_a_session_that_is_weaker_than_the_policy_is_refused_before_training(
    tmp_path: Path, wanted: str, words: str
) -> None:
    nodes = with_other(tmp_path, protection=f'model = "semi-honest"\n{wanted}')
    assert words in only_first_leaves(nodes, settings(application=b"mine")).reason
    assert nodes["node 1"].trained == 0


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ("clip = 2.0\nmax_weight = 100", "another clip"),
        ("clip = 1.0\nbits = 12\nmax_weight = 100", "another bits"),
        ("clip = 1.0\nmax_weight = 99", "another max_weight"),
        ("clip = 1.0", "another"),
        ("clip = 1.0\nmax_weight = 100\nstochastic = false", "another stochastic"),
        ('clip = 1.0\nmax_weight = 100\nleft_out = ["w"]', "another form"),
    ],
    ids=["clip", "bits", "max_weight", "no weights", "stochastic", "left_out"],
)
def test_another_coding_is_refused_by_its_name(tmp_path: Path, coding: str, words: str) -> None:
    nodes = with_other(tmp_path, coding=coding)
    assert words in only_first_leaves(nodes, settings()).reason
    assert nodes["node 1"].trained == 0


@pytest.mark.parametrize(
    ("accepts", "words"),
    [
        ("", "graph is sparse, with 4 neighbours, and this site wants the complete graph"),
        ('graph = "sparse"\ndegree = 5', "graph is sparse, with 4 neighbours, and this site wants at least 5"),
    ],
    ids=["complete", "degree"],
)
def test_a_graph_that_a_site_does_not_accept_is_refused_before_training(
    tmp_path: Path, accepts: str, words: str
) -> None:
    semi = 'model = "semi-honest"\n'
    nodes = nodes_of(tmp_path, protection=f'{semi}graph = "sparse"\ndegree = 4')
    nodes["node 1"].policy = write_policy(tmp_path / "other", protection=semi + accepts)
    asked = settings(n_corrupt=1, graph=Sparse(4), min_users=5, min_joined=6)
    round_ = ServerRound(asked, list(nodes), model(), task=b"", clock=lambda: NOW)
    assert nodes["node 1"].handle(round_.requests["node 1"], model()) is None
    assert words in nodes["node 1"].refusals[0].reason
    assert nodes["node 1"].trained == 0
    assert nodes["node 2"].handle(round_.requests["node 2"], model()) is not None


def test_other_metrics_are_refused_by_their_name(tmp_path: Path) -> None:
    nodes = with_other(tmp_path, metrics="loss = { mean = 1.0 }")
    assert "another metrics" in only_first_leaves(nodes, settings()).reason


def test_a_site_of_the_active_model_refuses_the_semi_honest_one(tmp_path: Path) -> None:
    write_roster(tmp_path / "keys", range(1, 7))
    nodes = with_other(tmp_path, protection=active(tmp_path / "keys", 1))
    assert "model is semi-honest, and this site wants active" in only_first_leaves(nodes, settings()).reason


def test_a_site_that_wants_noise_refuses_a_session_without(tmp_path: Path) -> None:
    noise = 'epsilon = 1.0\ndelta = 1e-6\nledger = "ledger"\ntotal_epsilon = 10.0\ntotal_delta = 1e-5'
    refusal = only_first_leaves(with_other(tmp_path, noise=noise), settings())
    assert "not one of updates with noise" in refusal.reason


def active_round(tmp_path: Path, roster_of_first: Path | None = None, invited: int = 6) -> tuple[dict[str, Node], Any]:
    roster = write_roster(tmp_path / "keys", range(1, 7))
    nodes = {}
    for u in range(1, invited + 1):
        folder = roster_of_first if roster_of_first is not None and u == 1 else tmp_path / "keys"
        policy = write_policy(tmp_path / f"{u}", protection=active(folder, u))
        nodes[f"node {u}"] = Node(f"node {u}", policy, moved_by(changes(6)[u - 1], WEIGHTS[u - 1]))
    return nodes, settings(roster=roster)


def test_a_node_with_another_roster_leaves_and_says_which(tmp_path: Path) -> None:
    other = write_roster(tmp_path / "others", range(1, 7))
    nodes, asked = active_round(tmp_path, tmp_path / "others")
    refusal = only_first_leaves(nodes, asked)
    assert f"this site wants {other.hash.hex()}" in refusal.reason


def test_a_node_that_is_not_in_its_roster_says_so(tmp_path: Path) -> None:
    write_roster(tmp_path / "strangers", [1])
    nodes, asked = active_round(tmp_path)
    nodes["node 1"].policy = write_policy(
        tmp_path / "1", protection=active(tmp_path / "keys", 1).replace("keys/1.pem", "strangers/1.pem")
    )
    assert "not in its own roster" in str(only_first_leaves(nodes, asked))


def test_a_server_cannot_pick_a_few_users_of_the_roster(tmp_path: Path) -> None:
    nodes, asked = active_round(tmp_path, invited=4)
    with pytest.raises(Abort):
        play(asked, nodes, model())
    assert all("n is 4, and this site wants all 6 users" in node.refusals[0].reason for node in nodes.values())


def test_two_nodes_cannot_be_one_user(tmp_path: Path) -> None:
    nodes, asked = active_round(tmp_path)
    nodes["node 2"].policy = write_policy(tmp_path / "2", protection=active(tmp_path / "keys", 1))
    outcome, _ = play(asked, nodes, model())
    assert "another node has answered as user 1 already" in outcome.left["node 2"]
    assert outcome.survivors == ("node 1", "node 3", "node 4", "node 5", "node 6")


def test_a_server_cannot_send_nodes_different_models_in_one_session(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)
    other = model() | {"b": model()["b"] + 1e-9}
    assert nodes["node 1"].handle(round_.requests["node 1"], other) is None
    assert "another state of training" in nodes["node 1"].refusals[0].reason
    assert nodes["node 1"].trained == 0


# --- Freshness ---


def invitation(nonce: bytes, sent: Model | None = None) -> bytes:
    coding = settings().coding.fitted(sent or model(), b"")
    return Invitation.of(settings().params(coding, 6, nonce).encode(), b"", 1).encode()


@pytest.mark.parametrize("away", [-86_401, 86_402], ids=["old", "of tomorrow"])
def test_a_session_of_another_day_is_refused(tmp_path: Path, away: int) -> None:
    node = nodes_of(tmp_path)["node 1"]
    nonce = int(NOW + away).to_bytes(8, "big") + bytes(16)
    assert node.handle(invitation(nonce), model()) is None
    assert "its nonce is not of the last 86,400 seconds" in node.refusals[0].reason
    assert node.trained == 0


def test_a_nonce_without_a_time_is_refused(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]
    assert node.handle(invitation(os.urandom(16)), model()) is None
    assert "nonce" in node.refusals[0].reason


def test_a_server_that_replays_a_session_gets_nothing_new(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]
    request = invitation(int(NOW).to_bytes(8, "big") + bytes(16))
    first = node.handle(request, model())
    assert first is not None
    assert node.handle(request, model()) == first
    node.site().forget(session_name(request))
    assert node.handle(request, model()) is None
    assert "nonce already" in node.refusals[0].reason


def test_one_nonce_serves_no_second_session(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]
    nonce = int(NOW).to_bytes(8, "big") + bytes(16)
    assert node.handle(invitation(nonce), model()) is not None
    other = model() | {"scalar": np.array(0.25, np.float32)}
    assert node.handle(invitation(nonce, other), other) is None
    assert "nonce already" in node.refusals[0].reason


# --- Updates that cannot be averaged ---


def broken(change: Any, weight: Any = 3, **metrics: Any) -> Any:
    return lambda sent: Update(change(dict(sent)), weight, metrics)


@pytest.mark.parametrize(
    ("train", "detail"),
    [
        (broken(lambda m: m | {"w": m["w"] * np.nan}), "array 'w' holds NaN"),
        (broken(lambda m: m | {"half": m["half"] + np.float16(np.inf)}), "array 'half' holds NaN or infinity"),
        (broken(lambda m: m | {"count": m["count"] + 2}), "array 'count' holds integers that have changed by more"),
        (broken(lambda m: m, weight=101), "weight must be an integer 1 .. 100"),
        (broken(lambda m: m, weight=0), "weight must be an integer 1 .. 100"),
    ],
    ids=["NaN", "infinity", "integers", "large weight", "weight of 0"],
)
def test_values_that_cannot_be_averaged_are_named_in_the_nodes_own_log_only(
    tmp_path: Path, train: Any, detail: str
) -> None:
    nodes = nodes_of(tmp_path)
    nodes["node 1"].train = train
    refusal = only_first_leaves(nodes, settings())
    assert detail in str(refusal)
    assert refusal.reason == PRIVATE_REASON


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (broken(lambda m: m | {"w": m["w"][:2]}), "array 'w' has shape [2, 4], the model's [3, 4]"),
        (broken(lambda m: {k: v for k, v in m.items() if k != "b"}), "array 'b' is missing"),
        (broken(lambda m: m | {"new": np.zeros(3)}), "an array 'new' that the model does not have"),
        (broken(lambda m: m | {"w": m["w"] > 0}), "array 'w' has dtype bool"),
        (broken(lambda m: m, loss=0.5), "metric 'loss' has no bound"),
        (broken(lambda m: m, weight=None), "the update has no weight"),
    ],
    ids=["shape", "missing", "new", "bool", "metric", "no weight"],
)
def test_what_does_not_fit_is_refused_by_its_name(tmp_path: Path, train: Any, words: str) -> None:
    nodes = nodes_of(tmp_path)
    nodes["node 1"].train = train
    assert words in only_first_leaves(nodes, settings()).reason


METRICS = {"loss": Metric.mean(10.0), "correct": Metric.count(100), "per": Metric.mean(1.0, length=2)}
GOOD = {"loss": 1.0, "correct": 7, "per": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("reported", "words", "private"),
    [
        ({"loss": 10.1}, "metric 'loss' is 10.1, and its bound is 10.0", True),
        ({"loss": float("nan")}, "metric 'loss' is nan", True),
        ({"correct": 101}, "metric 'correct' is 101, and must be 0 .. 100", True),
        ({"correct": -1}, "metric 'correct' is -1", True),
        ({"correct": 0.5}, "metric 'correct' is a count and must be an integer", False),
        ({"per": [0.5]}, "metric 'per' must be a list of 2 values, and has 1 values", False),
        ({"per": 0.5}, "metric 'per' must be a list of 2 values", False),
        ({"loss": [0.5]}, "metric 'loss' must be one value", False),
        ({"accuracy": 0.5}, "metric 'accuracy' has no bound and cannot be summed", False),
    ],
    ids=["bound", "NaN", "count", "negative", "real count", "length", "scalar", "list", "unknown"],
)
def test_a_metric_that_is_neither_is_refused_by_its_name(
    tmp_path: Path, reported: dict[str, Any], words: str, private: bool
) -> None:
    table = "loss = { mean = 10.0 }\ncorrect = { count = 100 }\nper = { mean = 1.0, length = 2 }"
    nodes = nodes_of(tmp_path, metrics=table)
    for u, node in enumerate(nodes.values()):
        node.train = moved_by(changes(6)[u], WEIGHTS[u], **(GOOD | reported if u == 0 else GOOD))
    asked = settings(Coding(clip=1.0, max_weight=100, metrics=METRICS))
    refusal = only_first_leaves(nodes, asked)
    assert words in str(refusal)
    assert (refusal.reason == PRIVATE_REASON) == private


def test_a_missing_metric_is_refused_by_its_name(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, metrics="loss = { mean = 10.0 }")
    for u, node in enumerate(nodes.values()):
        node.train = moved_by(changes(6)[u], WEIGHTS[u], **({} if u == 0 else {"loss": 1.0}))
    refusal = only_first_leaves(nodes, settings(Coding(clip=1.0, max_weight=100, metrics={"loss": Metric.mean(10.0)})))
    assert "metric 'loss' is missing" in refusal.reason


def test_floats_that_change_too_much_are_clipped_and_counted_in_the_nodes_log(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    nodes["node 1"].train = lambda sent: Update(sent | {"w": sent["w"] + np.float32(5)}, 100)
    outcome, notes = play(settings(), nodes, model())
    assert outcome.survivors == tuple(nodes)
    assert any("12 of 24 values change by more than 1.0 and are clipped" in note for note in nodes["node 1"].notes)
    assert not any("clipped" in note for note in notes)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"mask": np.array([True])}, "array 'mask' has dtype bool, which cannot be averaged"),
        ({"z": np.zeros(2, np.complex64)}, "array 'z' has dtype complex64"),
        ({"raw": np.zeros(2, "V2")}, "array 'raw' has dtype |V2, which cannot be averaged: is ml_dtypes installed?"),
        ({"w": np.array([np.nan], np.float32)}, "array 'w' of the model to be trained holds NaN"),
        ({}, "there is nothing to average"),
    ],
    ids=["bool", "complex", "bytes", "NaN", "nothing"],
)
def test_a_model_that_cannot_be_averaged_is_refused_by_the_server(arrays: Model, words: str) -> None:
    with pytest.raises(LocalProtocolError) as error:
        ServerRound(settings(), [1, 2, 3, 4], arrays, task=b"")
    assert words in str(error.value)


def test_what_is_left_out_stays_as_the_server_sent_it(tmp_path: Path) -> None:
    coding = 'clip = 1.0\nmax_weight = 100\nleft_out = ["*.steps", "mask"]'
    nodes = nodes_of(tmp_path, coding=coding)
    sent = model() | {"bn.steps": np.array(1_000_000), "mask": np.array([True, False])}
    for node in nodes.values():
        train = node.train
        node.train = lambda m, train=train: Update(  # type: ignore[misc]
            dict(train({k: v for k, v in m.items() if k != "mask"}).arrays) | {"bn.steps": m["bn.steps"] + 500}, 3
        )
    outcome, _ = play(settings(Coding(clip=1.0, max_weight=100, left_out=["*.steps", "mask"])), nodes, sent)
    assert outcome.survivors == tuple(nodes)
    assert outcome.arrays["bn.steps"] == 1_000_000
    assert outcome.arrays["mask"].tolist() == [True, False]


# --- Messages ---


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x01", b"\x01\x02" + bytes(12), os.urandom(64)], ids=range(5))
def test_bytes_that_are_no_request_are_refused(tmp_path: Path, data: bytes) -> None:
    node = nodes_of(tmp_path)["node 1"]
    assert node.handle(data, model()) is None
    assert node.trained == 0


def test_a_request_of_a_session_that_the_node_did_not_join_is_refused(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)
    for name, request in round_.requests.items():
        round_.receive(name, nodes[name].handle(request, model()) or b"")
    round_.end_exchange()
    stranger = nodes_of(tmp_path / "elsewhere")["node 1"]
    assert stranger.handle(round_.requests["node 1"], model()) is None
    assert "has no part in the session" in str(stranger.refusals[0])
    assert "secagg-state" not in stranger.refusals[0].reason


@pytest.mark.parametrize("data", [b"", b"\x02", os.urandom(40)], ids=range(3))
def test_a_reply_that_is_none_puts_its_node_out(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = nodes_of(tmp_path)
    monkeypatch.setattr(nodes["node 1"], "handle", lambda request, sent: data)
    outcome, _ = play(settings(), nodes, model())
    assert outcome.survivors == tuple(nodes)[1:]
    assert "AdvertiseKeys" in outcome.left["node 1"]


def test_a_node_cannot_answer_for_another(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)
    replies = {name: nodes[name].handle(request, model()) or b"" for name, request in round_.requests.items()}
    round_.receive("node 1", replies["node 2"])
    round_.receive("node 2", replies["node 2"])
    assert round_.waiting == {"node 3", "node 4", "node 5", "node 6"}
    assert "answers for another user" in round_.take_notes()[0]


def test_a_server_that_asks_for_a_second_unmasking_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, real = nodes_of(tmp_path), Node.handle
    first, kept = nodes["node 1"], list[bytes]()

    def remembers(request: bytes, sent: Model) -> bytes | None:
        kept.append(request)
        return real(first, request, sent)

    monkeypatch.setattr(first, "handle", remembers)
    play(settings(), nodes, model())
    changed = bytearray(kept[3])
    changed[-1] ^= 1
    assert real(first, bytes(changed), model()) is None
    assert "has been answered" in first.refusals[-1].reason
    assert real(first, kept[3], model()) is not None


def test_an_error_of_the_application_is_its_own(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]

    def fails(sent: Model) -> Update:
        raise ZeroDivisionError("of the application")

    node.train = fails
    request = invitation(int(NOW).to_bytes(8, "big") + bytes(16))
    with pytest.raises(ZeroDivisionError):
        node.handle(request, model())


# --- Two runs, and two processes ---


def test_two_rounds_at_once_both_end_right(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    rounds = [ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW) for _ in range(2)]
    over = [False, False]
    while not all(over):
        for i, round_ in enumerate(rounds):
            for name, request in round_.requests.items():
                reply = nodes[name].handle(request, model())
                assert reply is not None
                round_.receive(name, reply)
            over[i] = round_.end_exchange()
    for round_ in rounds:
        check(round_.outcome, nodes, model())


def test_a_node_that_meets_a_full_disk_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)
    for name, request in round_.requests.items():
        round_.receive(name, nodes[name].handle(request, model()) or b"")
    round_.end_exchange()
    request = round_.requests["node 1"]
    with monkeypatch.context() as broken_disk:
        broken_disk.setattr(os, "replace", _no_space)
        assert nodes["node 1"].handle(request, model()) is None
    (refusal,) = nodes["node 1"].refusals
    assert refusal.reason == "this node cannot keep its state; its own log says why"
    assert "No space" in str(refusal)
    assert nodes["node 1"].handle(request, model()) is not None


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_a_node_that_dies_between_saving_and_starting_goes_on(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, asked = active_round(tmp_path) if kind == "active" else (nodes_of(tmp_path), settings())
    first = nodes["node 1"]
    handle = Node.handle

    def dies_once(request: bytes, sent: Model) -> bytes | None:
        monkeypatch.setattr(first, "handle", lambda request, sent: handle(first, request, sent))
        with monkeypatch.context() as killed:
            killed.setattr(Client, "start", _killed)
            with pytest.raises(KeyboardInterrupt):
                handle(first, request, sent)
        return handle(first, request, sent)

    monkeypatch.setattr(first, "handle", dies_once)
    outcome, _ = play(asked, nodes, model())
    assert outcome.survivors == tuple(nodes)
    assert first.trained == 1
    check(outcome, nodes, model())


def _killed(*args: Any, **others: Any) -> None:
    raise KeyboardInterrupt


def _no_space(*args: Any, **others: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("kind", ["semi-honest", "active"])
def test_a_first_message_in_two_processes_at_once_gets_one_answer(tmp_path: Path, kind: str) -> None:
    """A framework that delivers a message twice trains twice at worst, and the node stays in the round."""
    nodes, asked = active_round(tmp_path) if kind == "active" else (nodes_of(tmp_path), settings())
    round_ = ServerRound(asked, list(nodes), model(), task=b"", clock=lambda: NOW)
    node, both = nodes["node 1"], Barrier(2)

    def begun() -> bytes:
        def train() -> Update:
            both.wait(60)
            return node.train(model())

        return node.site().begin(round_.requests["node 1"], model(), train, task=b"")

    with ThreadPoolExecutor(2) as threads:
        replies = [future.result() for future in [threads.submit(begun) for _ in range(2)]]
    assert replies[0] == replies[1]
    round_.receive("node 1", replies[0])
    assert round_.answered == 1
    assert node.handle(round_.requests["node 1"], model()) == replies[0]


def test_an_error_of_the_application_passes_through_as_it_is(tmp_path: Path) -> None:
    """Only the state's own files are meant by the state that cannot be kept."""
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(), list(nodes), model(), task=b"", clock=lambda: NOW)

    def train() -> Update:
        raise FileNotFoundError("/data/patients.csv")

    with pytest.raises(FileNotFoundError, match="patients"):
        nodes["node 1"].site().begin(round_.requests["node 1"], model(), train, task=b"")


def test_a_later_message_removes_old_states_as_well(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    assert nodes["node 1"].handle(invitation(int(NOW).to_bytes(8, "big") + bytes(16)), model()) is not None
    later = NOW + 86_402
    site = Site(SitePolicy.read(nodes["node 1"].policy), "node 1", clock=lambda: later)
    with pytest.raises(NodeRefusal):
        site.answer(RoundRequest.of(b"another session", 1, b"").encode())
    assert not list((tmp_path / "1" / "secagg-state").glob("*.client"))


def test_a_refusal_names_the_table_that_accepts_less_and_no_option(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    round_ = ServerRound(settings(n_corrupt=0), list(nodes), model(), task=b"", clock=lambda: NOW)
    assert nodes["node 1"].handle(round_.requests["node 1"], model()) is None
    reason = nodes["node 1"].refusals[0].reason
    assert "to accept less, give n_corrupt in [protection] of its policy" in reason
    assert "--" not in reason


def test_states_that_are_old_are_removed(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]
    assert node.handle(invitation(int(NOW).to_bytes(8, "big") + bytes(16)), model()) is not None
    later = NOW + 86_402
    site = Site(SitePolicy.read(node.policy), "node 1", clock=lambda: later)
    site.begin(invitation(int(later).to_bytes(8, "big") + bytes(16)), model(), lambda: node.train(model()), task=b"")
    assert len(list((tmp_path / "1" / "secagg-state").glob("*.client"))) == 1


# --- Policies ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[other]\n", "has no [other]"),
        ("[coding]\nclips = 1.0", "[coding] has no key clips"),
        ("[coding]\nclip = -1.0", "[coding] clip must be a positive number"),
        ("[coding]\nclip = nan", "[coding] clip must be a positive number"),
        ("[coding]\nbits = 54", "[coding] bits must be a whole number from 2 to 53"),
        ("[coding]\nmax_weight = true", "[coding] max_weight must be"),
        ("[coding]\nleft_out = 3", "[coding] left_out must be a list"),
        ("[coding]\nbits = 53\nmax_weight = 100", "max_weight * 2**bits must not exceed 2**53"),
        ('[protection]\nmodel = "honest"', "[protection] model must be one of active, semi-honest"),
        ('[protection]\nmodel = "active"', "the active model needs an identity and a roster"),
        ('[protection]\nmodel = "semi-honest"\ngraph = "ring"', "[protection] graph must be one of complete, sparse"),
        ('[protection]\nmodel = "semi-honest"\ngraph = "sparse"', "give [protection] degree"),
        ('[protection]\nmodel = "semi-honest"\ndegree = 30', "give [protection] degree"),
        ('[protection]\nmodel = "semi-honest"\ndegree = -1', "[protection] degree must be a whole number"),
        ("[site]\nnonce_age = 0", "[site] nonce_age must be seconds"),
        ("[metrics]\nloss = 1.0", "[metrics] loss must be such as"),
        ("[metrics]\nloss = { mean = 1.0, count = 2 }", "[metrics] loss: a metric is a count or a mean"),
        ("[metrics]\nloss = { count = 1.5 }", "[metrics] loss: mean must be a number, and count"),
        ("[metrics]\nloss = { mean = 1.0, length = 0 }", "[metrics] loss: length must be 1 .. 65536"),
        ("metrics = 3", "metrics must be a table"),
        ("[noise]\nepsilon = 1.0", "give [noise] epsilon and delta"),
        ("[noise]\nrho = 0.5", "ledger is missing"),
        ("[noise]\nrho = 0.5\nepsilon = 1.0", "not both"),
        ("clip = ", "is not TOML"),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value and value.isascii() else None,
)
def test_a_policy_that_is_wrong_is_refused_with_file_table_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "policy.toml"
    semi = (
        "" if "protection" in text or text in {"clip = ", "metrics = 3"} else '\n[protection]\nmodel = "semi-honest"\n'
    )
    path.write_text(text + semi)
    with pytest.raises(SecAggError) as error:
        SitePolicy.read(path)
    assert str(path) in str(error.value)
    assert words in str(error.value)


def test_a_policy_that_is_empty_wants_the_active_model(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("")
    with pytest.raises(LocalProtocolError, match="active model needs an identity"):
        SitePolicy.read(tmp_path / "policy.toml")


def test_paths_in_a_policy_are_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_policy(tmp_path / "site", site='state = "mine"')
    monkeypatch.chdir(tmp_path)
    assert SitePolicy.read(path.relative_to(tmp_path)).state == tmp_path / "site" / "mine"


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    node = nodes_of(tmp_path)["node 1"]
    state = tmp_path / "1" / "secagg-state"
    state.mkdir()
    state.chmod(0o777)
    assert node.handle(invitation(int(NOW).to_bytes(8, "big") + bytes(16)), model()) is None
    assert str(tmp_path) in str(node.refusals[0])
    assert str(tmp_path) not in node.refusals[0].reason


def test_too_few_nodes_end_the_round_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(Abort, match="AdvertiseKeys: 4 answered, 5 needed"):
        play(settings(), nodes_of(tmp_path), model(), drops={Round.ADVERTISE_KEYS: {"node 1", "node 2"}})


def test_requests_tell_which_comes_first() -> None:
    request = invitation(bytes(16))
    assert is_first(request)
    assert session_name(request) == session_name(invitation(bytes(16)))
    assert session_name(request) != session_name(invitation(bytes(15) + b"\1"))
    assert Params.decode(Invitation.decode(request).params).n == 6
    assert issubclass(ConfigError, SecAggError)
    assert CODING
