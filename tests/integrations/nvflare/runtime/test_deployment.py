"""The example in a provisioned deployment, where sites have filters of their own."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from ....support.folders import ROOT
from ....support.processes import ran, started

pytestmark = pytest.mark.nightly

NAMESPACES = ("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
PATIENCE = 1200.0  # seconds


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """The folder of startup kits of a deployment that has run the example's jobs."""
    if ran(*NAMESPACES, "true").returncode:
        pytest.skip("this system lets nobody make a network namespace (unshare --map-root-user --net --pid)")
    folder = tmp_path_factory.mktemp("deployment")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "NVFLARE_POC_WORKSPACE": str(folder / "poc"),
    }
    script = Path(__file__).with_name("deployment.py")
    output = folder / "output.txt"
    with (
        output.open("wb") as file,
        started(
            *NAMESPACES, sys.executable, script, folder, example, cwd=folder, env=environment, stdout=file, stderr=file
        ) as process,
    ):
        assert process.wait(timeout=PATIENCE) == 0, output.read_text()[-6000:]
    (kits,) = (folder / "poc").glob("*/prod_00")
    return kits


def job_of(kits: Path, name: str) -> Path:
    """What an admin has downloaded of this job."""
    (job,) = (path.parents[2] for path in kits.glob(f"admin@nvidia.com/transfer/*/job/{name}/meta.json"))
    return job


def logs_of(kits: Path, site: str, job: Path) -> str:
    """What a site says of a job."""
    return (kits / site / job.name / "log.txt").read_text()


def test_secure_job_trains(deployment: Path) -> None:
    job = job_of(deployment, "secure-digits")
    server = (job / "workspace" / "log.txt").read_text()
    assert server.count("secagg: the mean is of 4 of 4 nodes") == 3
    weights = np.load(job / "workspace" / "models" / "server.npy")
    assert weights.shape == (65, 10)
    assert np.abs(weights).max() > 0.1
    (best,) = [line for line in server.splitlines() if "new best validation metric at round 2" in line]
    assert float(best.rpartition(" ")[2]) > 0.85


def test_plain_job_is_held_by_the_sites(deployment: Path) -> None:
    """Neither the job nor the server has anything of this package. The first site's refusal ends the job."""
    job = job_of(deployment, "plain-digits")
    said = [logs_of(deployment, f"site-{u}", job) for u in (1, 2, 3, 4)]
    assert any("secagg: task refused: the task does not run secure aggregation" in each for each in said)
    assert not any("invoking task executor" in each for each in said)
    assert "TASK_DATA_FILTER_ERROR" in (job / "workspace" / "log.txt").read_text()
    assert not (job / "workspace" / "models" / "server.npy").exists()


def test_site_that_lets_no_job_bring_code_takes_no_part(deployment: Path) -> None:
    job = job_of(deployment, "secure-digits")
    deployed = json.loads((job / "meta.json").read_text())["job_deploy_detail"]
    assert "site-5: NVFLARE_ERROR: BYOC not permitted" in deployed
    assert "site-4: OK" in deployed
    assert not (deployment / "site-5" / job.name / "log.txt").exists()
