"""Jobs in FLARE's simulation environment for recipes: a process for each site, or for each task."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from ....support.folders import ROOT
from ....support.processes import ran
from ...rounds import active, write_policy, write_roster
from ..test_rounds import CODING, METRICS, TERMS

pytestmark = pytest.mark.nightly

BOUND = 2.0 / (2**15 - 1)  # of one round's mean; the true one is smaller by the weights


def give_policies(local: Path, protections: dict[int, str], components: Sequence[dict[str, Any]] = ()) -> None:
    """The folder `local` that all simulated sites get: a policy for each."""
    local.mkdir(parents=True)
    for u, protection in protections.items():
        write_policy(local / "made", coding=CODING, metrics=METRICS, protection=protection).rename(
            local / f"site-{u}.toml"
        )
    (local / "made").rmdir()
    site = {
        "id": "secagg",
        "path": "secagg.integrations.nvflare.site.SecAggSite",
        "args": {"policy": "{site}.toml"},
    }
    (local / "privacy.json").write_text(json.dumps({"components": [site, *components], "scopes": [{"name": "all"}]}))


def simulate(folder: Path, **settings: Any) -> np.ndarray[Any, Any]:
    """The model after a job."""
    done = ran(
        sys.executable,
        Path(__file__).with_name("simulation.py"),
        folder,
        json.dumps({"terms": TERMS, **settings}),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stdout.decode()[-4000:] + done.stderr.decode()[-4000:]
    found: np.ndarray[Any, Any] = np.load(folder / "job" / "server" / "simulate_job" / "models" / "server.npy")
    return found


def log(folder: Path, name: str) -> str:
    return (folder / "job" / name / "log.txt").read_text()


def mean(users: list[int]) -> float:
    """Of 0.01 u, weighted by 10 u."""
    return 0.01 * sum(u * u for u in users) / sum(users)


def test_sites_that_die_lie_or_want_more(tmp_path: Path) -> None:
    lax = 'model = "semi-honest"\nn_corrupt = 0\nmin_inputs = 2\n'
    protections = {u: lax + f"min_users = {4 if u == 7 else 3}" for u in range(1, 11)}
    dying = {
        "id": "dying",
        "path": f"{__package__}.dying.Dying",
        "args": {"at": {"site-8": 1, "site-9": 2, "site-10": 3}},
    }
    give_policies(tmp_path / "job" / "local", protections, [dying])
    found = simulate(
        tmp_path,
        sites=10,
        threads=10,
        rounds=2,
        terms={**TERMS, "n_corrupt": 0, "t": 3, "min_users": 3},
        train_args="--nan 5 --reshaped 6",
        train_timeout=45.0,
        goal=7,
        exchange_timeout=20.0,
    )
    # Site 10 dies after its update is in; in the second round it is gone, and so are 8 and 9.
    server = log(tmp_path, "server")
    assert "the mean is of 5 of 10 nodes" in server
    np.testing.assert_allclose(found, mean([1, 2, 3, 4, 10]) + mean([1, 2, 3, 4]), rtol=0, atol=2 * BOUND)
    assert "site-5 is out of the round: this node's update cannot be used" in server
    assert "holds NaN" not in server
    assert "array 'numpy_key' holds NaN" in log(tmp_path, "site-5")
    assert "array 'numpy_key' has shape" in server
    assert "min_users is 3, and this site wants at least 4" in server
    for name, exchange in (("site-8", "ShareKeys"), ("site-9", "MaskedInputCollection"), ("site-10", "Unmasking")):
        assert f"{name} is out of the round: no answer in time ({exchange})" in server


def test_active_model_where_each_task_has_a_process_of_its_own(tmp_path: Path) -> None:
    local = tmp_path / "job" / "local"
    write_roster(tmp_path / "pki", range(1, 6))
    write_roster(tmp_path / "other", range(1, 6))
    give_policies(local, {u: active(tmp_path / ("other" if u == 3 else "pki"), u) for u in range(1, 6)})
    terms = {**TERMS, "roster": str(tmp_path / "pki" / "roster.txt")}
    found = simulate(tmp_path, sites=5, threads=2, rounds=1, terms=terms, exchange_timeout=120.0)
    np.testing.assert_allclose(found, mean([1, 2, 4, 5]), rtol=0, atol=BOUND)
    assert "the mean is of 4 of 5 nodes" in log(tmp_path, "server")
    assert "site-3 is out of the round: the session is refused by this site's policy: roster is" in log(
        tmp_path, "server"
    )


def test_example_gives_the_model_that_plain_fedavg_gives(tmp_path: Path, example: Path) -> None:
    """After one round, which starts from one model: the means differ by the quantizer's error."""
    models = []
    for options in ([], ["--plain"]):
        command = (sys.executable, example / "digits_job.py", "--sites", "4", "--rounds", "1")
        done = ran(
            *command,
            *options,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stdout.decode()[-4000:] + done.stderr.decode()[-4000:]
        name = "plain-digits" if options else "secure-digits"
        models.append(np.load(tmp_path / "workspace" / name / "server" / "simulate_job" / "models" / "server.npy"))
    secure, plain = models
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(secure, plain, rtol=0, atol=2e-6)
    server = (tmp_path / "workspace" / "secure-digits" / "server" / "log.txt").read_text()
    assert "the mean is of 4 of 4 nodes; error of a mean at most 7" in server
