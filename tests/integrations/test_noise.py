"""Rounds with noise that the nodes add together, each with a ledger of its own."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.dp import ApproxDp, Ledger, ZCdp
from secagg.errors import Abort, LocalProtocolError, SecAggError
from secagg.integrations import Coding, Metric, Noise, RoundSettings, Site, SitePolicy, Update
from secagg.integrations.arrays import ModelForm
from secagg.protocol.messages import Round

from .rounds import NOW, Model, Node, active, play, write_policy, write_roster

WEIGHTS = [93, 95, 100, 98, 90, 97]
LEDGER = 'ledger = "ledger"\ntotal_epsilon = 60.0\ntotal_delta = 1e-4'
ONE_ROUND = "epsilon = 20.0\ndelta = 1e-5"
BUDGET = ApproxDp(20, "1e-5")


def sent() -> Model:
    return {"w": np.zeros((8, 8), np.float32), "b": np.ones(63)}


def train(u: int) -> Any:
    rng = np.random.default_rng(u)
    change = rng.normal(size=(8, 8))
    change *= 0.9 / np.linalg.norm(change)
    return lambda model: Update(
        {"w": (model["w"] + change).astype(np.float32), "b": model["b"]}, WEIGHTS[u], {"loss": 1.0 + u}
    )


def nodes_of(tmp_path: Path, noise: str = f"{ONE_ROUND}\n{LEDGER}") -> dict[str, Node]:
    coding, metrics = "clip = 1.0\nmax_weight = 100", "loss = { mean = 10.0 }"
    return {
        f"node {u}": Node(
            f"node {u}", write_policy(tmp_path / f"{u}", coding=coding, metrics=metrics, noise=noise), train(u)
        )
        for u in range(6)
    }


def asked(noise: Noise | None = None, **others: Any) -> RoundSettings:
    coding = Coding(clip=1.0, max_weight=100, metrics={"loss": Metric.mean(10.0)}, noise=noise or Noise(budget=BUDGET))
    return RoundSettings(coding=coding, **others)


def check(outcome: Any, nodes: dict[str, Node]) -> None:
    """The sum is that of the survivors and noise, on each of 64 values: one is beyond eight deviations, or all deviate
    half as much as they should, once in 10^8 times."""
    updates = {name: (WEIGHTS[int(name[-1])], nodes[name].train(sent())) for name in outcome.survivors}
    total = sum(w * update.arrays["w"].astype(float) for w, update in updates.values())
    noise = (outcome.arrays["w"] * outcome.weight - total) / (outcome.deviation * outcome.weight)
    assert np.abs(noise).max() < 8
    assert noise.std() > 0.5
    assert len(updates) <= outcome.weight <= 100 * len(updates)
    assert outcome.mean_error is None


@pytest.mark.parametrize("rotate", [False, True], ids=["plain", "rotated"])
def test_a_round_with_noise_says_what_it_reveals_and_what_is_left(tmp_path: Path, rotate: bool) -> None:
    noise = f"{ONE_ROUND}\n{LEDGER}\nrotate = {str(rotate).lower()}"
    nodes = nodes_of(tmp_path, noise)
    outcome, notes = play(asked(Noise(budget=BUDGET, rotate=rotate)), nodes, sent())
    assert outcome.survivors == tuple(nodes)
    assert outcome.guarantee is not None
    assert f"at most {outcome.guarantee} of each node's data" in notes[-1]
    for u, node in enumerate(nodes.values()):
        (note,) = [line for line in node.notes if "reveals" in line]
        assert f"reveals at most {outcome.guarantee}" in note
        assert "1 releases are spent" in note
        assert "more such rounds are left" in note
        assert len(Ledger(ApproxDp(60, "1e-4"), tmp_path / f"{u}" / "ledger").spent) == 1
    check(outcome, nodes)


@pytest.mark.parametrize("size", [0.1, 5.0, 1e300])
def test_a_change_that_is_shortened_leaves_means_as_they_are(size: float) -> None:
    metrics = {"loss": Metric.mean(10.0), "list": Metric.mean(2.0, length=3)}
    coding = Coding(clip=1.0, metrics=metrics, noise=Noise(budget=ZCdp(1_000_000)))
    received = {"w": np.zeros(16)}
    fitted = coding.fitted(received, b"")
    params = fitted.params(4, min_users=3, n_corrupt=1)
    update = Update({"w": np.full(16, size)}, None, {"loss": 5.0, "list": [2.0, -2.0, 1.0]})
    vector = fitted.vector(update, received)
    encoded = [fitted.encoded(update, vector, params, rand=os.urandom)[0] for _ in range(4)]
    total = np.sum(encoded, axis=0, dtype=np.uint64) % np.uint64(params.modulus)
    decoded = fitted.decoded(total.astype(params.dtype), params, 4)
    assert decoded.metrics["loss"] == pytest.approx(5.0, abs=0.3)
    assert decoded.metrics["list"] == pytest.approx([2.0, -2.0, 1.0], abs=0.1)
    assert bool(fitted.clipped(vector)) == (size > 1)
    means = vector[16:]
    room = np.sqrt(1 - np.sum(means**2))
    assert np.linalg.norm(decoded.change) == pytest.approx(min(4 * size, room), abs=0.05)


def test_what_is_said_to_be_left_is_left(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    play(asked(), nodes, sent())
    (note,) = [line for line in nodes["node 0"].notes if "reveals" in line]
    left = int(note.split(" more such rounds")[0].split()[-1])
    assert 1 <= left <= 20
    for _ in range(left):
        play(asked(), nodes, sent())
    assert "and 0 more such rounds are left" in nodes["node 0"].notes[-1]
    with pytest.raises(Abort):
        play(asked(), nodes, sent())
    refusal = nodes["node 0"].refusals[0]
    assert refusal.reason == "the ledger of this node does not pay for the round"
    assert "would exceed" in str(refusal)


def test_a_node_that_goes_before_its_input_is_sent_spends_nothing(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    outcome, _ = play(asked(), nodes, sent(), drops={Round.MASKED_INPUT_COLLECTION: {"node 4"}})
    check(outcome, nodes)
    assert not Ledger(ApproxDp(60, "1e-4"), tmp_path / "4" / "ledger").spent
    assert len(Ledger(ApproxDp(60, "1e-4"), tmp_path / "3" / "ledger").spent) == 1


def test_messages_that_come_twice_are_paid_for_once(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    play(asked(), nodes, sent(), twice=True)
    assert len(Ledger(ApproxDp(60, "1e-4"), tmp_path / "0" / "ledger").spent) == 1
    assert nodes["node 0"].trained == 1


def test_noise_in_the_active_model(tmp_path: Path) -> None:
    roster = write_roster(tmp_path / "keys", range(1, 7))
    nodes = nodes_of(tmp_path)
    for u, node in enumerate(nodes.values()):
        node.policy = write_policy(
            tmp_path / f"{u}",
            protection=active(tmp_path / "keys", u + 1),
            coding="clip = 1.0\nmax_weight = 100",
            metrics="loss = { mean = 10.0 }",
            noise=f"{ONE_ROUND}\n{LEDGER}",
        )
    outcome, _ = play(asked(roster=roster), nodes, sent(), drops={Round.SHARE_KEYS: {"node 5"}})
    check(outcome, nodes)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (Noise(budget=ApproxDp(21, "1e-5")), "another budget"),
        (Noise(budget=ZCdp(1)), "another budget"),
        (Noise(budget=BUDGET, rotate=True), "another rotate"),
    ],
    ids=["epsilon", "zcdp", "rotation"],
)
def test_a_session_with_less_noise_is_refused(tmp_path: Path, noise: Noise, words: str) -> None:
    nodes = nodes_of(tmp_path)
    with pytest.raises(Abort):
        play(asked(noise), nodes, sent())
    assert words in nodes["node 0"].refusals[0].reason
    assert nodes["node 0"].trained == 0


def test_a_session_without_noise_is_refused(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    with pytest.raises(Abort):
        play(RoundSettings(coding=Coding(clip=1.0, max_weight=100)), nodes, sent())
    assert "noise" in nodes["node 0"].refusals[0].reason


def test_a_server_that_counts_on_fewer_corrupt_nodes_is_refused(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    with pytest.raises(Abort):
        play(asked(n_corrupt=0), nodes, sent())
    assert "n_corrupt is 0, and this site wants at least 1" in nodes["node 0"].refusals[0].reason


def test_an_update_that_is_too_long_is_scaled_down_and_the_nodes_log_says_so(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path)
    nodes["node 2"].train = lambda m: Update({"w": m["w"] + np.float32(5), "b": m["b"]}, 100, {"loss": 0.0})
    outcome, notes = play(asked(), nodes, sent())
    assert any("norm of 40 and is scaled down to 1" in note for note in nodes["node 2"].notes)
    assert not any("norm of" in note for note in notes)
    nodes["node 2"].train = lambda m: Update({"w": m["w"] + np.float32(1 / 8), "b": m["b"]}, 100, {"loss": 0.0})
    check(outcome, nodes)


def test_means_are_under_the_noise_and_counts_are_refused_by_name(tmp_path: Path) -> None:
    outcome, _ = play(asked(), nodes_of(tmp_path), sent())
    loss: Any = outcome.metrics["loss"]
    assert outcome.deviation is not None
    total, scale = sum(WEIGHTS[u] * (1.0 + u) for u in range(6)), 8 * 10.0  # a bound of 10 is an eighth of the norm
    assert abs(loss * outcome.weight - total) < 8 * scale * outcome.deviation * outcome.weight
    assert loss * outcome.weight != total
    with pytest.raises(LocalProtocolError, match="metric 'correct' is a count"):
        Coding(clip=1.0, metrics={"correct": Metric.count(3)}, noise=Noise(budget=BUDGET))


def test_zcdp_budgets_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "x", noise='rho = 0.1\nledger = "ledger"\ntotal_rho = 1.5')
    policy = SitePolicy.read(path)
    assert policy.coding.noise == Noise(budget=ZCdp("0.1"))
    assert policy.ledger is not None
    assert policy.ledger.total == ZCdp("1.5")
    assert Site(policy, "x", clock=lambda: NOW).take_notes() == []
    assert ModelForm.of({"w": np.zeros(3)}).size == 3


# A budget of a whole run.

RUN = 'epsilon = 20.0\ndelta = 1e-5\nrounds = 5\nper_client = 2\nledger = "ledger"'
OF_RUN = Noise(budget=BUDGET, rounds=5, per_client=2)


def test_a_budget_of_a_run_is_shared_by_the_rounds_that_a_node_joins(tmp_path: Path) -> None:
    nodes = nodes_of(tmp_path, RUN)
    outcome, _ = play(asked(OF_RUN), nodes, sent())
    check(outcome, nodes)
    once, _ = play(asked(), nodes_of(tmp_path / "once"), sent())
    of_sums = [(each.deviation or 0.0) * each.weight for each in (outcome, once)]
    assert of_sums[0] / of_sums[1] == pytest.approx(2**0.5, rel=0.01)
    assert all("1 releases are spent, and 1 more such rounds are left" in node.notes[-1] for node in nodes.values())
    play(asked(OF_RUN), nodes, sent())
    with pytest.raises(Abort):
        play(asked(OF_RUN), nodes, sent())
    assert all("after 2 releases" in str(node.refusals[0]) for node in nodes.values())


@pytest.mark.parametrize(
    "other", [Noise(budget=BUDGET), replace(OF_RUN, rounds=6), replace(OF_RUN, per_client=1), replace(OF_RUN, rounds=2)]
)
def test_a_session_of_another_run_is_refused(tmp_path: Path, other: Noise) -> None:
    nodes = nodes_of(tmp_path, RUN)
    with pytest.raises(Abort):
        play(asked(other), nodes, sent())
    assert all("is refused by this site's policy" in str(node.refusals[0]) for node in nodes.values())


def test_a_ledger_that_is_lost_in_a_run_stops_the_node(tmp_path: Path) -> None:
    """With a new one the budget would be spent again; for a new run the operator says so."""
    file = write_policy(tmp_path / "x", noise=RUN)
    ledger = SitePolicy.read(file).ledger
    assert ledger is not None
    assert (ledger.total, ledger.releases) == (BUDGET, 2)
    assert ledger.path is not None
    assert SitePolicy.read(file).ledger is not None
    ledger.path.unlink()
    with pytest.raises(
        LocalProtocolError, match=r"although the run has begun.*for a new run, remove (.*begun)"
    ) as lost:
        SitePolicy.read(file)
    Path(str(lost.value).rpartition("remove ")[2]).unlink()
    assert SitePolicy.read(file).ledger is not None


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (f"{RUN}\ntotal_epsilon = 60.0\ntotal_delta = 1e-4", "leave out total_epsilon"),
        (f"{ONE_ROUND}\n{LEDGER}\nper_client = 2", "per_client goes with rounds"),
        (RUN.replace("rounds = 5", "rounds = 1"), "1 <= per_client <= rounds must hold, got 2 and 1"),
        (RUN.replace("rounds = 5", "rounds = 0"), "rounds"),
        (RUN.replace('\nledger = "ledger"', ""), "ledger is missing"),
    ],
)
def test_runs_that_are_none(tmp_path: Path, noise: str, words: str) -> None:
    with pytest.raises(SecAggError, match=words):
        SitePolicy.read(write_policy(tmp_path / "x", noise=noise))
