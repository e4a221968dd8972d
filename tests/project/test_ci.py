"""The scripts of `ci/`: `ci/slow` keeps its book, and runs every night what it lists."""

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.folders import ROOT
from ..support.processes import ran

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RESULTS = Path("bench/results/slow.md")


def parts() -> list[str]:
    printed: str = ran("bash", ROOT / "ci" / "slow", text=True).stdout
    return re.findall(r"^(\w+) +\d+  ", printed, re.M)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one(path: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
    assert {"name", True, "permissions", "jobs"} <= set(workflow)  # YAML 1.1 reads `on` as true
    assert all({"runs-on", "steps"} <= set(job) for job in workflow["jobs"].values())


def test_every_part_runs_at_night() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "slow.yml").read_text())
    assert workflow["jobs"]["slow"]["strategy"]["matrix"]["part"] == parts()


def test_flower_has_one_pin() -> None:
    """What the comparison with Flower is measured on is what the integration is tested on."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = {(name, each) for name, packages in extras.items() for each in packages if each.startswith("flwr")}
    assert pins == {("flower", "flwr>=1.42")}
    assert "secagg[flower]" in extras["peers"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with `ci/slow` and parts of its own, on a machine that has every tool."""
    for name in ("slow", "tools.sh", "c_tests.sh", "postgres.sh", "pythons.sh"):
        (tmp_path / "ci").mkdir(exist_ok=True)
        (tmp_path / "ci" / name).write_text((ROOT / "ci" / name).read_text())
    script = (tmp_path / "ci" / "slow").read_text()
    stubs = "parts() { printf 'good 1 passes\\nbad 1 fails\\nlong 0.01 never ends\\n'; }\n"
    stubs += "install_missing_tools() { :; }\nrun_good() { :; }\nrun_bad() { false; }\nrun_long() { sleep 1000; }\n"
    (tmp_path / "ci" / "slow").write_text(script.replace("python=${PYTHON", stubs + "python=${PYTHON"))
    (tmp_path / RESULTS).parent.mkdir(parents=True)
    (tmp_path / RESULTS).write_text("| part |\n| --- |\n| bad | 2001-01-01 | abc | passed | 1 |\n")
    identity = ("-c", "user.name=x", "-c", "user.email=x@x.example")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "x")):
        assert ran("git", *words, cwd=tmp_path).returncode == 0
    return tmp_path


def rows(checkout: Path, *chosen: str) -> tuple[int, list[list[str]]]:
    """Exit code, and the part, commit and outcome of each row."""
    done = ran("bash", "ci/slow", *chosen, cwd=checkout, env=os.environ | {"PYTHON": sys.executable}, text=True)
    lines = (checkout / RESULTS).read_text().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return done.returncode, [[part, commit, outcome] for part, _, commit, outcome, _ in cells]


def test_each_part_leaves_its_last_outcome(checkout: Path) -> None:
    commit: str = ran("git", "rev-parse", "--short", "HEAD", cwd=checkout, text=True).stdout.strip()
    outcomes = [["bad", commit, "failed"], ["good", commit, "passed"], ["long", commit, "not done after 0.01 minutes"]]
    assert rows(checkout, "all") == (1, outcomes)
    assert rows(checkout, "good") == (0, outcomes)


def test_changes_that_are_not_committed_are_told(checkout: Path) -> None:
    (checkout / "new").touch()
    code, found = rows(checkout, "good")
    assert code == 0
    assert found[1][1].endswith(", with changes")


def test_a_part_that_is_none_runs_nothing(checkout: Path) -> None:
    assert rows(checkout, "good", "nonsense") == (1, [["bad", "abc", "passed"]])
