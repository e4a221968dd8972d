"""What steers training beside the model is the same at every node, or there is no sum."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.errors import LocalProtocolError
from secagg.integrations import NodeRefusal, ServerRound, Site, SitePolicy, Update, encoded_task

from .rounds import NOW, active, model, moved_by, settings, write_policy, write_roster

DIFFERENT: list[Any] = [
    None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, "", "1", "0x1", b"", b"1", [], {}, [1], [[1]], [1, 1], ["1"], [b"1"],
    {"1": 1}, {"1": {"1": 1}}, ["1", 1], [["1", 1]], {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"ab": 1}, 2**5000,
    float("inf"), np.float32(1), np.int64(1), np.zeros(1), np.zeros(2), np.zeros((1, 2)), np.zeros(2, "f4"),
    {"a": None}, "\ud800",
]  # fmt: skip


def test_no_two_values_have_one_encoding() -> None:
    assert len({encoded_task(value) for value in DIFFERENT}) == len(DIFFERENT)
    assert encoded_task(DIFFERENT) == encoded_task(tuple(DIFFERENT))


def test_floats_of_numpy_that_are_floats_of_python_are_equal_to_them() -> None:
    assert encoded_task(np.float64(0.1)) == encoded_task(0.1)


def test_mappings_are_equal_in_any_order() -> None:
    assert encoded_task({"b": [1], "a": {"d": 0.5, "c": "x"}}) == encoded_task({"a": {"c": "x", "d": 0.5}, "b": [1]})


@pytest.mark.parametrize("value", [{1: 2}, {1}, object(), 1j, np.array([object()]), [{"a": print}]])
def test_what_cannot_be_compared_is_refused(value: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encoded_task(value)


def test_deep_values_are_refused_and_exhaust_no_stack() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(LocalProtocolError, match="levels deep"):
        encoded_task(deep)


def site(path: Path) -> Site:
    return Site(SitePolicy.read(path), path.parent.name, clock=lambda: NOW)


def unasked() -> Update:
    raise AssertionError("the node has trained")


def test_a_server_cannot_silence_all_nodes_but_one_by_their_learning_rate(tmp_path: Path) -> None:
    """With a rate of 1 at node 3 and 0 at all others, the mean of five would be a fifth of node 3's change."""
    roster = write_roster(tmp_path / "keys", range(1, 6))
    policies = {u: write_policy(tmp_path / f"{u}", protection=active(tmp_path / "keys", u)) for u in range(1, 6)}
    task = {u: encoded_task({"lr": 1.0 if u == 3 else 0.0}) for u in policies}
    round_ = ServerRound(settings(roster=roster), list(policies), model(), task=task[3], clock=lambda: NOW)
    for u, path in policies.items():
        if u == 3:
            assert site(path).admit(round_.requests[u], model(), task=task[u]).reply is None
            continue
        with pytest.raises(NodeRefusal, match="another task"):
            site(path).begin(round_.requests[u], model(), unasked, task=task[u])
        assert not list((path.parent / "secagg-state").glob("*.client"))


def test_a_session_is_admitted_first_and_taken_after_training(tmp_path: Path) -> None:
    policies = {u: write_policy(tmp_path / f"{u}") for u in range(4)}
    round_ = ServerRound(settings(), list(policies), model(), task=b"task", clock=lambda: NOW)
    for u, path in policies.items():
        node = site(path)
        admitted = node.admit(round_.requests[u], model(), task=b"task")
        assert admitted.reply is None
        assert not list((path.parent / "secagg-state").glob("*.client"))
        late = Site(node.policy, path.parent.name, clock=lambda: NOW + 1e6)  # however long training took
        reply = late.take(admitted, moved_by({}, 10)(model()))
        assert late.take(admitted, moved_by({"w": 1}, 20)(model())) == reply
        assert node.admit(round_.requests[u], model(), task=b"task").reply == reply
        round_.receive(u, reply)
    assert not round_.end_exchange()


def test_requests_say_nothing_of_the_task_but_its_hash(tmp_path: Path) -> None:
    round_ = ServerRound(settings(), range(4), model(), task=b"a learning rate", clock=lambda: NOW)
    assert not any(b"a learning rate" in request for request in round_.requests.values())
