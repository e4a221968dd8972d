"""Tokens are rotated while servers run, and nothing is refused: with the processes that an operator starts."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg.dap.aggregator.directory import FRESH
from secagg.dap.secrets import token_hash
from secagg.http.base64url import base64url

from ..support.aggregators import change, serving
from ..support.commands import Command
from ..support.processes import PATIENCE

COMMAND = Command("dap")
run, run_json, refused = COMMAND.run, COMMAND.run_json, COMMAND.refused
NOBODYS = base64url(token_hash(b"nobody's"))
NEW = ("task", "new", "--vdaf", "count", "--mechanism", "none", "--min-batch-size", "2")


def asked(url: str, token: str) -> int:
    """The status of a request for a job that does not exist: 404 for who may ask, 401 for others."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False).status_code


def eventually(url: str, token: str, status: int) -> None:
    """All server processes have read their tasks again, which takes FRESH seconds at most."""
    time.sleep(FRESH + 1)
    limit = time.monotonic() + PATIENCE
    while asked(url, token) != status:
        assert time.monotonic() < limit, f"no {status} within {PATIENCE} s, of which {FRESH} should be enough"
        time.sleep(0.2)


def new_token(folder: Path, name: str) -> tuple[Path, str, str]:
    """Its file, itself and its hash."""
    made = run_json("task", "new-token", "--output", folder / name)
    token = (folder / name).read_text().strip()
    assert made == {"file": str(folder / name), "hash": base64url(token_hash(token.encode()))}
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    return folder / name, token, made["hash"]


def test_both_tokens_are_rotated_without_a_refusal(tmp_path: Path) -> None:
    for role in ("leader", "helper"):
        run("init", "--role", role, "--dir", tmp_path, "--listen", "127.0.0.1:0")
    leader, helper, task = tmp_path / "leader.toml", tmp_path / "helper.toml", tmp_path / "task"
    change(leader, processes=2)
    with (
        serving("leader", "--config", leader) as (leader_line, _),
        serving("helper", "--config", helper) as (helper_line, _),
    ):
        urls = (leader_line.split()[-1], helper_line.split()[-1])
        run(
            *("task", "new", "--vdaf", "sum", "--max-measurement", "9", "--mechanism", "none"),
            *("--min-batch-size", "2", "--batch-mode", "leader-selected", "--output", task),
            *("--leader", urls[0], "--helper", urls[1], "--config", leader, "--config", helper),
        )
        documents = {name: json.loads((task / f"{name}.json").read_text()) for name in ("leader", "collector")}
        task_id = documents["leader"]["task_id"]
        jobs = {
            "leader": f"{urls[0]}/tasks/{task_id}/collection_jobs/{22 * 'A'}",
            "helper": f"{urls[1]}/tasks/{task_id}/aggregation_jobs/{22 * 'A'}",
        }
        assert collected(task, task / "collector.json") == 3

        # The Leader's token: the Helper accepts it, too; the Leader shows it; the old one ends.
        old = documents["leader"]["leader_token"]
        file, new, digest = new_token(tmp_path, "of-leader")
        run("task", "accept-token", "--config", helper, task_id, digest)
        eventually(jobs["helper"], new, 404)
        assert asked(jobs["helper"], old) == 404
        assert collected(task, task / "collector.json") == 3  # under the old one
        run("task", "use-token", "--config", leader, "--token-file", file, task_id)
        assert collected(task, task / "collector.json") == 3
        run("task", "end-token", "--config", helper, task_id)
        eventually(jobs["helper"], old, 401)
        assert collected(task, task / "collector.json") == 3  # under the new one
        eventually_ready(leader, task_id)

        # The Collector's token, which it goes on to show in the other header.
        old = documents["collector"]["token"]
        file, new, digest = new_token(tmp_path, "of-collector")
        run("task", "accept-token", "--config", leader, task_id, digest)
        eventually(jobs["leader"], new, 404)
        assert asked(jobs["leader"], old) == 404
        file.write_text(f"DAP-Auth-Token: {new}\n")
        run("task", "use-token", "--task", task / "collector.json", "--token-file", file, "--output", task / "new.json")
        assert collected(task, task / "new.json") == 3
        run("task", "end-token", "--config", leader, task_id)
        eventually(jobs["leader"], old, 401)
        assert collected(task, task / "new.json") == 3


def collected(task: Path, collector: Path) -> int:
    """The sum of two reports, from their upload to the collection."""
    run("upload", "--task", task / "client.json", "1", "2")
    result: Any = run_json("collect", "--task", collector, "--next", "--timeout", f"{PATIENCE:.0f}s")["result"]
    return int(result)


def eventually_ready(leader: Path, task_id: str) -> None:
    """The Leader has asked its Helper since, which takes the token."""
    limit = time.monotonic() + PATIENCE
    while run_json("task", "show", "--config", leader, task_id)["helper_check"]["state"] != "ready":
        assert time.monotonic() < limit
        time.sleep(0.2)


@pytest.fixture
def aggregators(tmp_path: Path) -> dict[str, Path]:
    """Their configurations, with one task."""
    for role in ("leader", "helper"):
        run("init", "--role", role, "--dir", tmp_path)
    configs = {role: tmp_path / f"{role}.toml" for role in ("leader", "helper")}
    both = [word for config in configs.values() for word in ("--config", config)]
    urls = ("--leader", "https://leader.example", "--helper", "https://helper.example")
    run("task", "new", "--vdaf", "count", "--mechanism", "none", "--min-batch-size", "2", *urls, *both,
        "--output", tmp_path / "task")  # fmt: skip
    return configs


def test_what_is_refused(aggregators: dict[str, Path], tmp_path: Path) -> None:
    leader, helper = aggregators["leader"], aggregators["helper"]
    (row,) = run_json("task", "list", "--config", leader)
    task, (file, token, digest) = row["task_id"], new_token(tmp_path, "new.token")
    use = ("task", "use-token", "--token-file", file)
    assert "43 characters" in refused("task", "accept-token", "--config", helper, task, "short")
    assert "there is no task" in refused("task", "accept-token", "--config", helper, NOBODYS, digest)
    assert "no older token" in refused("task", "end-token", "--config", helper, task)
    assert "exists already" in refused("task", "new-token", "--output", file)
    assert "shows no token to anybody" in refused(*use, "--config", helper, task)
    assert "give --config of the Leader, or --task" in refused(*use)
    assert "--config goes with TASK" in refused(*use, "--config", leader)
    assert "--task goes with --output" in refused(*use, "--task", tmp_path / "task/collector.json")
    output = ("--output", tmp_path / "other.json")
    assert "is not the Collector's file" in refused(*use, "--task", tmp_path / "task/client.json", *output)
    file.write_text("no/token but two words")
    assert "must hold one word" in refused(*use, "--config", leader, task)
    file.write_text("t\u00f6ken")
    assert "--token-file must hold one word" in refused(*use, "--config", leader, task)
    file.write_text("=token")
    assert "a token must have" in refused(*use, "--config", leader, task)
    run("task", "accept-token", "--config", helper, task, digest, "--keep", "1h")
    assert "is accepted already" in refused("task", "accept-token", "--config", helper, task, digest)
    assert "end it first" in refused("task", "accept-token", "--config", helper, task, NOBODYS)
    assert token not in run("task", "end-token", "--config", helper, task)


@pytest.mark.parametrize("begin", ["-7", "-h", "--"])
def test_an_id_and_a_hash_may_begin_with_a_minus_sign(tmp_path: Path, begin: str) -> None:
    run("init", "--role", "helper", "--dir", tmp_path)
    config, task = tmp_path / "helper.toml", begin + 40 * "x" + "A"
    urls = ("--leader", "https://leader.example", "--helper", "https://helper.example")
    run(*NEW, *urls, "--task-id", task, "--config", config, "--output", tmp_path / "task")
    digests = [begin + 40 * letter + "A" for letter in "uvwx"]
    for line in (
        ("--config", config, task, digests[0], "--keep", "2d"),
        (task, digests[1], "--keep=2d", "--config", config),
        (task, "--config", config, "--", digests[2]),
        ("--config", config, "--", task, digests[3]),
    ):
        assert task in run("task", "accept-token", *line)
        assert task in run("task", "end-token", task, "--config", config)
    assert run_json("task", "show", "--config", config, task)["task_id"] == task
    # Which are no options, nor hide one that nobody knows.
    assert "No such option: --kept" in COMMAND.outcome("task", "end-token", task, "--config", config, "--kept")[2]
    assert "HASH must be" in refused("task", "accept-token", task, digests[0][:-1] + "B", "--config", config)
