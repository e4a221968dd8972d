"""Uploads with a token: what an operator and a Client type, and what they read."""

import time
from pathlib import Path
from typing import Any

import pytest

from secagg.dap.aggregator.directory import FRESH
from secagg.dap.secrets import token_hash
from secagg.http.base64url import base64url

from ..support.aggregators import serving
from ..support.commands import Command
from ..support.processes import PATIENCE

COMMAND = Command("dap")
run, run_json, refused, outcome = COMMAND.run, COMMAND.run_json, COMMAND.refused, COMMAND.outcome
HASH = base64url(token_hash(b"a token"))
NEW = ("task", "new", "--vdaf", "count", "--mechanism", "none", "--min-batch-size", "2")


@pytest.fixture
def leader(tmp_path: Path) -> tuple[Path, str]:
    """A Leader's configuration, and the ID of its task."""
    run("init", "--role", "leader", "--dir", tmp_path)
    urls = ("--leader", "https://leader.example", "--helper", "https://helper.example")
    config = tmp_path / "leader.toml"
    run(*NEW, *urls, "--config", config, "--output", tmp_path / "task")
    (row,) = run_json("task", "list", "--config", config)
    return config, row["task_id"]


def test_tokens_come_and_go(leader: tuple[Path, str]) -> None:
    config, task = leader
    at = ("--config", config, task)
    assert "everybody may upload" in run("client-token", "list", *at)
    assert run_json("task", "show", *at)["client_tokens"] == 0
    assert "need a token (1 known)" in run("client-token", "add", *at, "site 7", HASH)
    added = run_json("client-token", "add", *at, "site 8", base64url(token_hash(b"another")))
    assert added == {"task_id": task, "name": "site 8", "tokens": 2}
    assert [row["name"] for row in run_json("client-token", "list", *at)] == ["site 7", "site 8"]
    assert "site 7" in run("client-token", "list", *at)
    assert "need a Client's token (2 known)" in run("task", "show", *at)
    assert "site 7 is none any more" in run("client-token", "delete", *at, "site 7")
    assert "everybody may upload" in refused("client-token", "delete", *at, "site 8")
    assert run_json("client-token", "delete", *at, "site 8", "--to-everybody")["tokens"] == 0
    assert run_json("client-token", "list", *at) == []


def test_what_is_refused(leader: tuple[Path, str], tmp_path: Path) -> None:
    config, task = leader
    at = ("--config", config, task)
    assert "43 characters" in refused("client-token", "add", *at, "site", "short")
    assert "there is no task" in refused("client-token", "add", "--config", config, HASH, "site", HASH)
    assert "is called nobody" in refused("client-token", "delete", *at, "nobody")
    run("client-token", "add", *at, "site", HASH)
    assert "delete it first" in refused("client-token", "add", *at, "site", HASH)
    assert "under another name" in refused("client-token", "add", *at, "other", HASH)
    run("init", "--role", "helper", "--dir", tmp_path)
    run("task", "add", "--config", tmp_path / "helper.toml", tmp_path / "task" / "helper.json")
    with_helper = ("--config", tmp_path / "helper.toml", task)
    assert "configures a helper" in refused("client-token", "add", *with_helper, "site", HASH)
    both = ("--input", "-", "--token-file", "-")
    assert "only one of" in refused("upload", "--task", tmp_path / "task" / "client.json", *both)


def test_a_leader_that_runs_takes_uploads_with_the_token_alone(tmp_path: Path) -> None:
    for role in ("leader", "helper"):
        run("init", "--role", role, "--dir", tmp_path, "--listen", "127.0.0.1:0")
    leader, task = tmp_path / "leader.toml", tmp_path / "task"
    with (
        serving("leader", "--config", leader) as (leader_line, _),
        serving("helper", "--config", tmp_path / "helper.toml") as (helper_line, _),
    ):
        urls = ("--leader", leader_line.split()[-1], "--helper", helper_line.split()[-1])
        run(*NEW, *urls, "--config", leader, "--config", tmp_path / "helper.toml", "--output", task)
        upload = ("upload", "--task", task / "client.json", "1")
        assert run_json(*upload)["accepted"] == 1
        made: Any = run_json("task", "new-token", "--output", tmp_path / "site.token")
        (row,) = run_json("task", "list", "--config", leader)
        run("client-token", "add", "--config", leader, row["task_id"], "site", made["hash"])
        limit = time.monotonic() + FRESH + PATIENCE
        while outcome(*upload)[0] == 0:
            assert time.monotonic() < limit, f"the server has not learned of the token, for which {FRESH} s are enough"
            time.sleep(0.2)
        assert "need a Client's token" in refused(*upload)
        assert run_json(*upload, "--token-file", tmp_path / "site.token")["accepted"] == 1
