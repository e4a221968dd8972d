"""Rounds of FLARE's FedAvg through its own server and client code, in one process."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from nvflare.apis.dxo import DXO, DataKind
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.fuel.utils import fobs

from secagg.integrations import Site as CoreSite
from secagg.integrations.nvflare import Terms
from secagg.integrations.nvflare import site as site_module
from secagg.integrations.nvflare.wire import MESSAGE

from ..rounds import write_policy
from .federation import Federation, Model, Site, Training, fedavg, moved

CLIP, BITS, MAX_WEIGHT = 1.0, 16, 100
CODING = f"clip = {CLIP}\nbits = {BITS}\nmax_weight = {MAX_WEIGHT}"
METRICS = "accuracy = { mean = 1.0 }"
TERMS: dict[str, Any] = {"clip": CLIP, "bits": BITS, "max_weight": MAX_WEIGHT, "metrics": {"accuracy": {"mean": 1.0}}}
PROTECTION = 'model = "semi-honest"'


def model() -> Model:
    rng = np.random.default_rng(5)
    return {"w": rng.normal(size=(3, 4)).astype(np.float32), "b": rng.normal(size=5), "steps": np.array([7, 9])}


def change(u: int) -> dict[str, Any]:
    return {"w": np.full((3, 4), 0.01 * u), "b": np.linspace(-0.05, 0.1, 5) * u, "steps": 1}


def site(folder: Path, u: int, *, train: Any = None, protection: str = PROTECTION, **options: Any) -> Site:
    """Site u, whose update counts 10 u."""
    write_policy(folder / f"site-{u}", coding=CODING, metrics=METRICS, protection=protection)
    train = train or moved(change(u), 10 * u, accuracy=0.1 * u)
    return Site(f"site-{u}", folder / f"site-{u}", train, **options)


def run(folder: Path, sites: list[Site], terms: dict[str, Any] | None = None, **options: Any) -> tuple[Model, Any]:
    """The model after a job, and the federation."""
    given = FLModel(params=model())
    federation = Federation(sites, folder)
    controller = fedavg(given, Terms(**(terms or TERMS)), **options)
    federation.run(controller)
    federation.engine.components["controller"] = controller
    return given.params, federation


def weighted_mean(users: list[int]) -> Model:
    """What FedAvg gives in the clear."""
    weights = np.array([10.0 * u for u in users])
    start = model()
    return {
        name: np.tensordot(weights / weights.sum(), np.stack([values + change(u)[name] for u in users]), axes=1)
        for name, values in start.items()
    }


def check(found: Model, users: list[int], federation: Any) -> None:
    """The mean over these users is right to the quantizer's bound, and integers exactly."""
    outcome = federation.engine.components["controller"].last
    assert sorted(outcome.survivors) == [f"site-{u}" for u in users]
    assert outcome.mean_error is not None
    assert outcome.mean_error <= 2 * CLIP / (2 ** (BITS - 1) - 1)
    wanted = weighted_mean(users)
    np.testing.assert_allclose(found["b"], wanted["b"], rtol=0, atol=outcome.mean_error)
    np.testing.assert_allclose(found["w"], wanted["w"], rtol=0, atol=outcome.mean_error + 1e-6)
    np.testing.assert_array_equal(found["steps"], [8, 10])
    weights = np.array(users) / sum(users)
    assert outcome.metrics["accuracy"] == pytest.approx(sum(weights * 0.1 * np.array(users)), abs=1e-3)


def test_weighted_mean_is_right(tmp_path: Path) -> None:
    found, federation = run(tmp_path, [site(tmp_path, u) for u in range(1, 5)])
    check(found, [1, 2, 3, 4], federation)
    assert federation.engine.panics == []
    assert found["w"].dtype == np.float32


@pytest.mark.parametrize("exchange", [0, 1, 2, 3])
def test_sites_drop_out_at_each_exchange(tmp_path: Path, exchange: int) -> None:
    sites = [site(tmp_path, u, dies_at=exchange if u == 2 else None) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, train_timeout=3.0)
    check(found, [1, 2, 3, 4, 5] if exchange == 3 else [1, 3, 4, 5], federation)


def test_rounds_follow_one_another(tmp_path: Path) -> None:
    found, federation = run(tmp_path, [site(tmp_path, u) for u in range(1, 5)], rounds=3)
    assert federation.engine.panics == []
    np.testing.assert_array_equal(found["steps"], [10, 12])
    np.testing.assert_allclose(found["w"], model()["w"] + 3 * 0.03, atol=1e-3)


def test_training_ends_when_goal_is_reached(tmp_path: Path) -> None:
    sites = [site(tmp_path, u, dies_at=0 if u == 5 else None) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, goal=4)
    check(found, [1, 2, 3, 4], federation)


def test_goal_below_the_quorum_does_not_end_training(tmp_path: Path) -> None:
    """Two sites answer at once, and three later: a round of two can give no mean."""

    def slow(u: int) -> Any:
        train = moved(change(u), 10 * u, accuracy=0.1 * u)

        def wait(received: Model) -> Any:
            time.sleep(0.6)
            return train(received)

        return wait

    sites = [site(tmp_path, u, train=slow(u) if u > 2 else None) for u in range(1, 6)]
    _, federation = run(tmp_path, sites, goal=2)
    assert federation.engine.panics == []
    assert len(federation.engine.components["controller"].last.survivors) >= 3


def test_training_may_take_longer_than_a_nonce_is_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site checks that a session is new before it trains, and not again."""
    passed = [0.0]
    monkeypatch.setattr(site_module, "Site", partial(CoreSite, clock=lambda: time.time() + passed[0]))

    def slow(u: int) -> Any:
        train = moved(change(u), 10 * u, accuracy=0.1 * u)

        def wait(received: Model) -> Any:
            admitted.wait(60)  # all sites look at the session before time passes
            passed[0] = 3600.0
            return train(received)

        return wait

    admitted = Barrier(4)
    sites = [site(tmp_path, u, train=slow(u)) for u in range(1, 5)]
    for played in sites:
        policy = played.folder / "policy.toml"
        policy.write_text(f"[site]\nnonce_age = 600\n{policy.read_text()}")
    found, federation = run(tmp_path, sites)
    check(found, [1, 2, 3, 4], federation)


def test_tasks_that_come_twice_get_the_same_messages(tmp_path: Path) -> None:
    """FLARE sends a task again where it has lost a site's process."""
    sites = [site(tmp_path, u, twice=u == 2) for u in range(1, 5)]
    found, federation = run(tmp_path, sites)
    check(found, [1, 2, 3, 4], federation)
    messages = [fobs.loads(reply)[MESSAGE] for reply in sites[1].replies]
    assert len(messages) == 8
    assert messages[0::2] == messages[1::2]


def test_second_training_for_one_task_counts_for_nothing(tmp_path: Path) -> None:
    results: Iterator[Training] = iter(
        [moved(change(2), 20, accuracy=0.2), lambda received: DXO(DataKind.METRICS, data={"accuracy": 1.0})]
    )
    again = site(tmp_path, 2, train=lambda received: next(results)(received), twice=True)
    found, federation = run(tmp_path, [again, *(site(tmp_path, u) for u in (1, 3, 4))])
    check(found, [1, 2, 3, 4], federation)
    assert len(again.trainer.tasks) == 2


def test_two_jobs_at_once(tmp_path: Path) -> None:
    """Each site takes part in both, with one folder of state."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run, tmp_path, [site(tmp_path, u) for u in range(1, 5)]) for _ in range(2)]
        for job in jobs:
            check(job.result()[0], [1, 2, 3, 4], job.result()[1])


def test_noise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    noise = 'rho = 0.5\nledger = "ledger.json"\ntotal_rho = 0.6'
    sites = []
    for u in range(1, 5):
        write_policy(tmp_path / f"site-{u}", coding="clip = 1.0", protection=PROTECTION, noise=noise)
        sites.append(Site(f"site-{u}", tmp_path / f"site-{u}", moved({"w": 0.01}, 1)))
    terms = {"clip": 1.0, "noise": {"rho": 0.5}}
    found, federation = run(tmp_path, sites, terms, rounds=2, max_failed_rounds=1)
    assert federation.engine.panics == []
    assert not np.array_equal(found["w"], model()["w"])
    assert "the mean is of 4 of 4 nodes; at most ~0.499" in caplog.text
    assert caplog.text.count("the ledger of this node does not pay for the round") >= 4
    assert "the round has failed, and the model stays as it is" in caplog.text
