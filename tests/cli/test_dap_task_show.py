"""`secagg dap task show --config` on the Leader's machine, where the Helper has the task and where it has not."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.aggregators import change, serving
from ..support.commands import Command

DAP = Command("dap")
EXACT = ("task", "new", "--vdaf", "Count", "--min-batch-size", "10", "--mechanism", "none")
NOISY = ("--epsilon", "1", "--collections", "3")


@pytest.fixture
def configs(tmp_path: Path) -> tuple[Path, Path]:
    for role in ("leader", "helper"):
        DAP.run("init", "--role", role, "--dir", tmp_path)
        change(tmp_path / f"{role}.toml", listen="127.0.0.1:0")
    return tmp_path / "leader.toml", tmp_path / "helper.toml"


def until(state: str, *show: str | Path) -> Any:
    """What is shown, once the Helper's state is this one."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        shown = DAP.run_json(*show)
        if shown["helper_check"]["state"] == state:
            return shown
        time.sleep(0.2)
    raise AssertionError(shown)


def test_a_helper_without_the_task_is_told_of(configs: tuple[Path, Path], tmp_path: Path) -> None:
    leader, helper = configs
    task = tmp_path / "task/leader.json"
    show = ("task", "show", "--config", leader, task)
    with (
        serving("helper", "--config", helper) as (line, _),
        serving("leader", "--config", leader) as (leader_line, _),
    ):
        url = leader_line.split()[-1]
        DAP.run(*EXACT, "--leader", url, "--helper", line.split()[-1], "--output", tmp_path / "task")
        assert "there is no task" in DAP.refused(*show)
        DAP.run("task", "add", "--config", leader, task)
        shown = until("no task", *show)
        assert shown["waiting"] == 0
        text = DAP.run(*show)
        assert "helper is  does not have the task: its operator has to add it there" in text
        assert "; asked at 2" in text
        assert httpx.get(f"{url}/healthz/detail").json()["tasks"][0]["task_id"] == shown["task_id"]

        DAP.run("task", "add", "--config", helper, tmp_path / "task/helper.json")
        until("ready", *show)
        assert DAP.run_json("task", "show", "--config", leader, shown["task_id"])["task_id"] == shown["task_id"]
        assert "has the task and accepts our token" in DAP.run(*show)


def test_what_is_left_is_shown_at_both(configs: tuple[Path, Path], tmp_path: Path) -> None:
    leader, helper = configs
    urls = ("--leader", "https://l.example", "--helper", "https://h.example")
    added = ("--config", leader, "--config", helper, "--output", tmp_path / "t")
    DAP.run("task", "new", "--vdaf", "Count", "--min-batch-size", "10", *NOISY, *urls, *added)
    at_leader = DAP.run("task", "show", "--config", leader, tmp_path / "t/leader.json")
    assert "left         3 collections of the total" in at_leader
    assert "helper is    was not asked yet" in at_leader
    at_helper = DAP.run_json("task", "show", "--config", helper, tmp_path / "t/helper.json")
    assert at_helper["collections_left"] == 3
    assert "helper_check" not in at_helper
    assert "must be a task ID" in DAP.refused("task", "show", "--config", leader, "nothing.json")
    assert "collections_left" not in DAP.run_json("task", "show", tmp_path / "t/helper.json")
