"""Advertised tasks, as the operators of both Aggregators, the Author, Clients and a Collector meet them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secagg.dap import peer_file, task_file
from secagg.dap.peer_file import AggregatorPeer, CollectorPeer
from secagg.dap.secrets import token_hash
from secagg.dap.server.config import SECRET_VARIABLE
from secagg.dap.taskprov import derive_task_id
from secagg.http.base64url import base64url

from ..support.aggregators import change, serving
from ..support.commands import Command, plain_environment

URLS = ("--leader", "https://leader.example", "--helper", "https://helper.example")
HISTOGRAM = ("task", "new", "--taskprov", "--vdaf", "histogram", "--length", "4", "--min-batch-size", "5")
EXACT = ("--mechanism", "none")
DAY = 86_400


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment(SECRET_VARIABLE):
        yield


COMMAND = Command("dap")
run, run_json, refused = COMMAND.run, COMMAND.run_json, COMMAND.refused


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    run("init", "--role", "helper", "--dir", tmp_path)
    return tmp_path / "helper.toml"


def test_a_deployment_of_processes_takes_a_task_that_its_clients_advertise(tmp_path: Path) -> None:
    """Neither operator has heard of the task, and both of them collect it."""
    configs = {role: tmp_path / f"{role}.toml" for role in ("leader", "helper")}
    for role, config in configs.items():
        run("init", "--role", role, "--dir", tmp_path, "--listen", "127.0.0.1:0")
        change(config, opt_in=True, exact=True, min_batch_size=3, lifetime=3)
    change(configs["leader"], processes=2)
    change(configs["helper"], later=True)
    with (
        serving("leader", "--config", configs["leader"]) as (leader_line, _),
        serving("helper", "--config", configs["helper"]) as (helper_line, _),
    ):
        urls = ("--leader", leader_line.split()[-1], "--helper", helper_line.split()[-1])
        run("peer", "new", *urls, "--output", tmp_path / "peer")
        for role, config in configs.items():
            run("peer", "add", "--config", config, tmp_path / f"peer/{role}.json")

        today = int(time.time()) // DAY * DAY
        span = ("--time-precision", "1d", "--start", str(today), "--duration", "2d")
        run(*HISTOGRAM[:-2], *EXACT, *urls, *span, "--min-batch-size", "3", "--output", tmp_path / "task")
        assert [file.name for file in (tmp_path / "task").iterdir()] == ["client.json"]
        client, collector = tmp_path / "task/client.json", tmp_path / "peer/collector.json"
        run("upload", "--task", client, *"0123321032")
        batch = ("--interval", f"{today}/2d", "--early", "--timeout", "60s")
        result = run_json("collect", "--task", client, "--peer", collector, *batch)
    assert (result["report_count"], result["result"]) == (10, [2, 2, 3, 3])
    for config in configs.values():
        (peer,) = run_json("peer", "list", "--config", config)
        assert (peer["tasks"], peer["new"]) == (1, 1)
        (task,) = run_json("task", "list", "--config", config)
        assert task["task_id"] == run_json("task", "show", client)["task_id"]


NEW = (*HISTOGRAM, *EXACT, *URLS)
SPAN = ("--start", "2026-01-31", "--duration", "30d")


def test_an_author_makes_one_public_file(tmp_path: Path) -> None:
    out = run(*NEW, *SPAN, "--info", "x", "--output", tmp_path / "t")
    assert "client.json  for Clients, and for the Collector together with its file of the peer; public" in out
    document = json.loads((tmp_path / "t/client.json").read_text())
    configuration = task_file.load(tmp_path / "t/client.json").task.encoded
    assert document == {
        "kind": "secagg dap task",
        "version": 2,
        "party": "client",
        "task_id": base64url(derive_task_id(configuration)),
        "task_configuration": base64url(configuration),
        "dialect": "dap-19",
    }
    again = run_json(*NEW, *SPAN, "--info", "x")
    assert again["parties"] == {"client": document}  # the same values are the same task


def test_peers_are_made_added_listed_and_deleted(helper: Path, tmp_path: Path) -> None:
    config = run("collector-key", "--output", tmp_path / "collector.key").strip()
    for name, content in (("init", base64url(bytes(range(32)))), ("leader", "leader-token")):
        (tmp_path / name).write_text(content + "\n")
    given = ("--verify-key-init-file", tmp_path / "init", "--leader-token-file", tmp_path / "leader")
    out = run("peer", "new", *URLS, "--hpke-config", config, *given, "--output", tmp_path / "peer")
    assert "helper.json  for the Helper alone: secagg dap peer add" in out
    files = {path.name: path for path in (tmp_path / "peer").iterdir()}
    assert files.keys() == {"leader.json", "helper.json", "collector.json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.values())
    peer, collector = peer_file.load(files["helper.json"]), peer_file.load(files["collector.json"])
    assert isinstance(peer, AggregatorPeer)
    assert isinstance(collector, CollectorPeer)
    assert (peer.secrets.verify_key, peer.secrets.peer_token) == (bytes(range(32)), token_hash(b"leader-token"))
    assert collector.private_key is None

    code, _, err = COMMAND.outcome("peer", "add", "--config", helper, files["helper.json"])
    assert code == 0
    assert "opt_in = false in [taskprov]: no advertised task is taken" in err
    change(helper, opt_in=True, exact=True)
    assert "here already: delete it first" in refused("peer", "add", "--config", helper, files["helper.json"])
    assert "this is the leader's file" in refused("peer", "add", "--config", helper, files["leader.json"])
    assert "this is the collector's file" in refused("peer", "add", "--config", helper, files["collector.json"])
    (row,) = run_json("peer", "list", "--config", helper)
    assert (row["peer"], row["leader"], row["helper"]) == (1, URLS[1], URLS[3])
    assert (row["tasks"], row["new"]) == (0, 0)
    assert "https://leader" in run("peer", "list", "--config", helper)
    assert "its tasks stay" in run("peer", "delete", "--config", helper, "1")
    assert "there is no such peer here" in refused("peer", "delete", "--config", helper, "1")
    run_json("peer", "add", "--config", helper, files["helper.json"])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A task, a peer, a task that is not advertised, and another peer."""
    run(*NEW, *SPAN, "--output", tmp_path / "task")
    run("peer", "new", *URLS, "--output", tmp_path / "peer")
    run(*(word for word in NEW if word != "--taskprov"), "--output", tmp_path / "plain")
    elsewhere = ("--leader", "https://leader.example", "--helper", "https://elsewhere.example")
    run("peer", "new", *elsewhere, "--output", tmp_path / "other")
    folders = [tmp_path / name for name in ("task", "peer", "plain", "other")]
    return {f"{folder.name}/{path.stem}": path for folder in folders for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("task", "peer", "reason"),
    [("task/client", "peer/helper", "is another party's file: give the Collector's, collector.json of `peer new`"),
     ("task/client", "task/client", "this is not a file of kind 'secagg dap peer'"),
     ("plain/client", "peer/collector", "this task is not advertised: its Collector has a file of the task itself"),
     ("task/client", "other/collector", "the peer's are https://leader.example and https://elsewhere.example"),
     ("task/client", None, "is another party's file: give the Collector's, collector.json")],
)  # fmt: skip
def test_a_collector_needs_its_file_of_the_peer(
    files: dict[str, Path], task: str, peer: str | None, reason: str
) -> None:
    given = () if peer is None else ("--peer", files[peer])
    assert reason in refused("collect", "--task", files[task], *given, "--interval", "2026-01-31/1h")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((*NEW, "--json", "--task-id", "A" * 43), "--taskprov takes no ID, key, token"),
     ((*NEW, "--json", "--verify-key-file", "x"), "--taskprov takes no ID, key, token"),
     ((*NEW, "--json", "--collector-config", "x"), "--taskprov takes no ID, key, token"),
     ((*NEW, "--json", "--labels", "x"), "--taskprov takes no ID, key, token"),
     ((*NEW, "--json", "--batch-mode", "leader-selected", "--batch-size", "9"), "--taskprov takes no ID, key, token"),
     ((*NEW, "--json", "--dialect", "dap-18"), "an advertised task speaks dap-19"),
     ((*HISTOGRAM, *EXACT, "--json", *URLS[:2], "--helper", "http://h.example"), "is http and leads to another"),
     ((*HISTOGRAM, *EXACT, "--json", *URLS[:2], "--helper", URLS[1]), "Leader and Helper are both at"),
     ((*HISTOGRAM[:5], "--length", "2000000", "--min-batch-size", "5", *EXACT, "--json", *URLS), "a report of this"),
     (("peer", "new", *URLS), "give --output DIR, or --json"),
     (("peer", "new", "--json", *URLS[:2], "--helper", "http://h.example"), "is http and leads to another machine"),
     (("peer", "new", "--json", *URLS[:2], "--helper", URLS[1]), "Leader and Helper are both at"),
     (("peer", "new", "--json", *URLS, "--hpke-config", "x"), "must be what `secagg dap collector-key` printed"),
     (("peer", "list", "--config", "/nowhere.toml"), "/nowhere.toml: No such file or directory")],
)  # fmt: skip
def test_refused_with_a_reason(arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*arguments)
