"""Which tasks `secagg dap` makes, adds and takes part in, by their URLs and by the size of their reports."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secagg.dap import task_file
from secagg.dap.server.config import SECRET_VARIABLE
from secagg.dap.task_file import CollectorKey
from secagg.http.base64url import base64url

from ..support.commands import Command, plain_environment
from ..support.tasks import make_task

COMMAND = Command("dap")
outcome, run, run_json, refused = COMMAND.outcome, COMMAND.run, COMMAND.run_json, COMMAND.refused

NEW = ("task", "new", "--vdaf", "histogram", "--min-batch-size", "5", "--mechanism", "none")
LEADER, HELPER = ("--leader", "https://leader.example"), ("--helper", "https://helper.example")
PLAIN = "is http and leads to another machine: tokens would travel in the clear"


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment(SECRET_VARIABLE):
        yield


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Path]:
    """A Leader and a Helper."""
    for role in ("leader", "helper"):
        run("init", "--role", role, "--dir", tmp_path)
    return {role: tmp_path / f"{role}.toml" for role in ("leader", "helper")}


def party_files(folder: Path, **changes: Any) -> Callable[[str], Path]:
    """The files of a task as others may have made them, unchecked."""
    changes = {"vdaf": make_task().vdaf} | changes
    parties = task_file.new_parties(
        make_task(**{key: value for key, value in changes.items() if not key.endswith("_url")}).configuration,
        CollectorKey.generate(),
        upload_bytes=1 << 40,
    )
    for name, party in parties.items():
        document = task_file.to_document(party)
        configuration = make_task(**changes).encoded
        document["task_configuration"] = base64url(configuration)
        (folder / f"{name}.json").write_text(json.dumps(document))
    return lambda name: folder / f"{name}.json"


UNFIT = [
    ({"leader_url": "http://leader.internal"}, f"the Leader's URL, http://leader.internal, {PLAIN}"),
    ({"helper_url": "http://127.0.0.1.evil.org"}, f"the Helper's URL, http://127.0.0.1.evil.org, {PLAIN}"),
    ({"helper_url": "https://LEADER.example:443/dap"}, "Leader and Helper are both at https://leader.example/dap"),
]


@pytest.mark.parametrize(("changes", "reason"), UNFIT)
def test_a_file_is_refused_for_its_urls_by_whoever_would_take_part(
    changes: dict[str, Any], reason: str, tmp_path: Path, configs: dict[str, Path]
) -> None:
    file = party_files(tmp_path, **changes)
    for role in ("leader", "helper"):
        assert reason in refused("task", "add", "--config", configs[role], file(role))
        assert run_json("task", "list", "--config", configs[role]) == []
    assert reason in refused("upload", "--task", file("client"), "1")
    assert reason in refused("collect", "--task", file("collector"), "--interval", "0/1h")
    assert "helper" in run("task", "show", file("client"))  # who looks at it does not take part


def test_a_file_with_http_is_taken_on_request(tmp_path: Path, configs: dict[str, Path]) -> None:
    file = party_files(tmp_path, leader_url="http://leader.invalid", helper_url="http://helper.invalid")
    for role in ("leader", "helper"):
        assert run_json("task", "add", "--allow-http", "--config", configs[role], file(role))["leader"]
    for command in (("upload", "--task", file("client"), "1"), ("task", "show", file("helper"))):
        assert PLAIN not in "".join(outcome(*command, *(["--allow-http"] if command[0] == "upload" else []))[1:])
    assert "--allow-http" in refused("upload", "--task", file("client"), "1")


@pytest.mark.parametrize(
    ("leader", "helper"),
    [
        ("https://one.example", "https://one.example/"),
        ("https://one.example", "https://ONE.example:443"),
        ("https://b\u00fccher.example/dap", "https://xn--bcher-kva.example/dap/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
    ],
)
def test_no_task_is_made_with_one_url_for_both(leader: str, helper: str) -> None:
    reason = refused(*NEW, "--length", "4", "--leader", leader, "--helper", helper, "--json", "--allow-http")
    assert "Leader and Helper are both at" in reason


def test_an_internationalised_host_is_taken_and_kept_in_ascii(tmp_path: Path) -> None:
    run(*NEW, "--length", "4", "--leader", "https://B\u00fccher.example", *HELPER, "--output", tmp_path)
    for name in ("client", "leader", "helper", "collector"):
        assert run_json("task", "show", tmp_path / f"{name}.json")["leader"] == "https://xn--bcher-kva.example"


@pytest.mark.parametrize(
    "url", ["https://b\u00fccher..example", "https://\u2603.example", "https://b\udcfccher.example"]
)
def test_a_host_that_is_no_internationalised_name_is_one_line(url: str) -> None:
    reason = refused(*NEW, "--length", "4", "--leader", url, *HELPER, "--json")
    assert reason.startswith("--leader must be the URL of a server: its host is no internationalised name")


# The size of reports.

LARGE = ("--length", "10000000")


def test_a_task_whose_reports_are_too_large_is_not_made(tmp_path: Path) -> None:
    reason = refused(*NEW, *LARGE, *LEADER, *HELPER, "--output", tmp_path / "t")
    assert "a report of this task has 160,209,544 bytes" in reason
    assert "takes uploads of 16,777,216 at most: ask for fewer buckets, or have the Leader's operator raise" in reason
    assert not (tmp_path / "t").exists()
    assert run_json(*NEW, *LARGE, *LEADER, *HELPER, "--upload-bytes", "160209544")["parties"]
    assert "160,209,543" in refused(*NEW, *LARGE, *LEADER, *HELPER, "--upload-bytes", "160209543", "--json")


def test_the_leaders_own_limit_counts_where_it_is_known(tmp_path: Path, configs: dict[str, Path]) -> None:
    text = configs["leader"].read_text()
    configs["leader"].write_text(text.replace("upload_bytes = 16777216", "upload_bytes = 1024"))
    length = ("--length", "100")
    assert "uploads of 1,024 at" in refused(*NEW, *length, *LEADER, *HELPER, "--json", "--config", configs["leader"])
    stated = ("--upload-bytes", "9999999", "--config", configs["leader"])
    assert "uploads of 1,024 at" in refused(*NEW, *length, *LEADER, *HELPER, *stated, "--output", tmp_path / "t")
    assert not (tmp_path / "t").exists()
    assert run_json("task", "list", "--config", configs["leader"]) == []
    run(*NEW, "--length", "4", *LEADER, *HELPER, "--output", tmp_path / "t", "--config", configs["leader"])


def test_a_leader_adds_no_task_whose_reports_it_would_not_take(tmp_path: Path, configs: dict[str, Path]) -> None:
    run(*NEW, "--length", "100", *LEADER, *HELPER, "--output", tmp_path / "t")
    text = configs["leader"].read_text()
    configs["leader"].write_text(text.replace("upload_bytes = 16777216", "upload_bytes = 1024"))
    add = ("task", "add", "--config", configs["leader"], tmp_path / "t" / "leader.json")
    assert "its Leader takes uploads of 1,024 at most" in refused(*add)
    assert run_json("task", "list", "--config", configs["leader"]) == []
    configs["leader"].write_text(text)
    run(*add)
    run("task", "add", "--config", configs["helper"], tmp_path / "t" / "helper.json")
