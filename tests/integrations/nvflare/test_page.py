"""What docs/nvflare.md shows: the job's two lines, and the site's two files."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from nvflare.fuel.utils.class_utils import instantiate_class
from nvflare.job_config.api import FedJob
from nvflare.recipe import SimEnv

from secagg.integrations import SitePolicy
from secagg.integrations.nvflare import SecAggFedAvg, SecAggSite

from ...support.folders import ROOT

PAGE = (ROOT / "docs" / "nvflare.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def with_diff() -> str:
    return "".join(line[1:] for line in block("diff").splitlines(keepends=True))


def test_privacy_file_is_the_examples(example: Path) -> None:
    shown = json.loads(block("json"))
    assert shown == json.loads((example / "site" / "privacy.json").read_text())
    (component,) = shown["components"]
    assert isinstance(instantiate_class(component["path"], component["args"]), SecAggSite)


def test_policy_is_the_examples(tmp_path: Path, example: Path) -> None:
    (tmp_path / "secagg.toml").write_text(block("toml"))
    shown, used = SitePolicy.read(tmp_path / "secagg.toml"), SitePolicy.read(example / "site" / "secagg.toml")
    assert shown.accepts == used.accepts
    for name in ("clip", "bits", "max_weight", "metrics"):
        assert getattr(shown.coding, name) == getattr(used.coding, name)


def test_two_lines_make_a_secure_job(tmp_path: Path, example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the run itself, which takes a simulation: the example's, in runtime/."""
    deployed = []

    def deploy(self: SimEnv, job: FedJob) -> str:
        deployed.append(job)
        return str(job.name)

    monkeypatch.setattr(SimEnv, "deploy", deploy)
    monkeypatch.chdir(example)
    exec(compile(with_diff(), "docs/nvflare.md", "exec"), {})
    (workflow,) = deployed[0]._deploy_map["server"].app_config.workflows
    assert type(workflow.controller) is SecAggFedAvg
    assert workflow.controller.num_rounds == 3


def test_plain_lines_are_a_plain_job() -> None:
    plain = "".join(line[1:] for line in block("diff").splitlines(keepends=True) if not line.startswith("+"))
    assert "secagg" not in plain
    compile(plain, "docs/nvflare.md", "exec")


def test_terms_of_the_page_are_the_sites() -> None:
    numbers = dict(re.findall(r"(clip|max_weight|min_users)=([\d.]+)", block("diff")))
    in_file = dict(re.findall(r"^(clip|max_weight|min_users) = ([\d.]+)", block("toml"), re.MULTILINE))
    assert numbers == in_file
