"""`secagg dap`, as the operators of Leader and Helper, Clients and a Collector meet it."""

import json
import re
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from secagg.cli.dap.collect import parse_interval, waiting
from secagg.cli.dap.common import instant
from secagg.cli.durations import duration, duration_text
from secagg.dap import task_file
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig
from secagg.dap.privacy.extension import Mechanism, collections_allowed
from secagg.dap.secrets import token_hash
from secagg.dap.server.config import SECRET_VARIABLE, Config
from secagg.dap.store.migrations import VERSION
from secagg.dap.task_file import AggregatorParty, CollectorParty
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.dp import ApproxDp, PureDp, ZCdp
from secagg.http.base64url import base64url
from secagg.http.steps import Progress

from ..support.aggregators import change, serving
from ..support.commands import Command, plain_environment
from ..support.processes import PATIENCE, ran

URLS = ("--leader", "https://leader.example", "--helper", "https://helper.example")
HISTOGRAM = ("task", "new", "--vdaf", "histogram", "--length", "4", *URLS, "--min-batch-size", "5")
PRIVATE = ("--epsilon", "1", "--collections", "10")


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment(SECRET_VARIABLE):
        yield


COMMAND = Command("dap")
outcome, run, run_json, refused = COMMAND.outcome, COMMAND.run, COMMAND.run_json, COMMAND.refused


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def leader(tmp_path: Path) -> Path:
    run("init", "--role", "leader", "--dir", tmp_path)
    return tmp_path / "leader.toml"


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    run("init", "--role", "helper", "--dir", tmp_path)
    return tmp_path / "helper.toml"


# --- init -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["leader", "helper"])
def test_init_makes_all_that_an_aggregator_needs(role: str, tmp_path: Path) -> None:
    report = run_json("init", "--role", role, "--dir", tmp_path / "new", "--listen", "127.0.0.1:0")
    config = Config.load(Path(report["config"]))
    assert config.role.name.lower() == role
    assert config.server.listen == "127.0.0.1:0"
    names = {f"{role}.toml", f"{role}.secret", f"{role}.db", f"{role}.journal"}
    assert names <= {path.name for path in (tmp_path / "new").iterdir()}
    assert all(mode(tmp_path / "new" / name) == 0o600 for name in names)
    assert (tmp_path / "new" / f"{role}.secret").read_text().strip() not in Path(report["config"]).read_text()
    assert [row["key"] for row in run_json("key", "list", "--config", report["config"])] == [0]


def test_init_never_writes_over_anything(leader: Path) -> None:
    before = {path: path.read_bytes() for path in leader.parent.iterdir()}
    assert "exists already, and is never overwritten" in refused("init", "--role", "leader", "--dir", leader.parent)
    assert {path: path.read_bytes() for path in leader.parent.iterdir()} == before


def test_init_that_fails_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "leader"
    folder.mkdir()
    kept = {"leader.secret-old", "leader.db-2026", "leader.toml-old"}  # renamed, as init never overwrites anything
    for name in kept:
        (folder / name).touch()
    make = ("init", "--role", "leader", "--dir", folder)
    assert "does not answer" in refused(*make, "--database", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert {file.name for file in folder.iterdir()} <= kept | {"leader.journal", "leader.journal.lock"}
    assert all((folder / name).exists() for name in kept)
    run(*make)
    assert (folder / "leader.secret").exists()


def test_two_secrets_differ(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("init", "--role", "helper", "--dir", tmp_path / name)
    assert (tmp_path / "a/helper.secret").read_bytes() != (tmp_path / "b/helper.secret").read_bytes()


def test_the_secret_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no secret: set SECAGG_DAP_SECRET" in refused(
        "init", "--role", "leader", "--dir", tmp_path, "--no-secret-file"
    )
    monkeypatch.setenv(SECRET_VARIABLE, "ab" * 32)
    other = tmp_path / "other"
    assert "unset it, or give --no-secret-file" in refused("init", "--role", "leader", "--dir", other)
    run("init", "--role", "leader", "--dir", other, "--no-secret-file")
    assert not (other / "leader.secret").exists()
    assert run_json("task", "list", "--config", other / "leader.toml") == []


# --- tasks ------------------------------------------------------------------------------------------------------


def test_a_task_has_a_file_for_every_party(tmp_path: Path) -> None:
    out = run(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t")
    for part in (
        "Histogram(length = 4, chunk_length = 2)", "5 reports or more, time-interval", "rounded to 1 h; any time",
        "1-DP for a report, replace-one", "DiscreteLaplace(scale = 2) by each Aggregator", "10 collections at most",
        "client.json  for Clients; public",
    ):  # fmt: skip
        assert part in out
    assert {path.name for path in (tmp_path / "t").iterdir()} == {f"{name}.json" for name in task_file.PARTIES}
    assert all(mode(path) == 0o600 for path in (tmp_path / "t").iterdir())
    assert "exists already, and is never overwritten" in refused(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t")


SUM = ("task", "new", "--vdaf", "sum", *URLS, "--mechanism", "none", "--max-measurement")
SELECTED = ("--batch-mode", "leader-selected", "--min-batch-size", "3", "--batch-size")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((str((1 << 32) - 1), "--min-batch-size", "10"), None),
        ((str(1 << 32), "--min-batch-size", "10"), "a larger batch is refused: more than 4,294,967,295 reports of up"),
        ((str(1 << 62), "--min-batch-size", "3"), "a larger batch is refused: more than 3 reports of up to"),
        ((str(1 << 62), "--min-batch-size", "4"), "no batch of this task has a result: more than 3 reports of"),
        ((str(1 << 62), *SELECTED, "3"), None),
        ((str(1 << 62), *SELECTED, "4"), "the Leader selects smaller batches than --batch-size: more than 3 reports"),
    ],
)
def test_a_task_whose_sums_may_be_beyond_the_field_is_warned_of(
    options: tuple[str, ...], says: str | None, tmp_path: Path
) -> None:
    code, out, err = outcome(*SUM, *options, "--output", tmp_path / "t")
    assert code == 0
    if says is None:
        assert err == ""
        return
    assert err.startswith(f"warning: {says}")
    assert err.count("\n") == 1
    max_size = "4,294,967,295" if options[0] == str(1 << 32) else "3"
    assert f" reports or more, at most {max_size}, whose sum is sure to be in the field" in out


def test_the_words_hold_no_secret(tmp_path: Path, leader: Path) -> None:
    out = run(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t", "--config", leader)
    for path in (tmp_path / "t").iterdir():
        out += run("task", "show", path) + run("task", "show", path, "--json")
    out += run("task", "list", "--config", leader)
    secret = json.loads((tmp_path / "t/collector.json").read_text())
    assert secret["token"] not in out
    assert secret["hpke_private_key"] not in out
    aggregator = json.loads((tmp_path / "t/leader.json").read_text())
    assert aggregator["verify_key"] not in out
    assert aggregator["leader_token"] not in out


def test_all_parties_on_stdout() -> None:
    report = run_json(*HISTOGRAM, *PRIVATE)
    parties = {name: task_file.from_document(document) for name, document in report["parties"].items()}
    assert set(parties) == set(task_file.PARTIES)
    assert report["vdaf"] == {"name": "Histogram", "length": 4, "chunk_length": 2}
    assert report["privacy"]["collections"] == 10
    assert "give --output DIR, or --json to print the secrets" in refused(*HISTOGRAM, *PRIVATE)


def task_of(*options: str) -> Any:
    return task_file.from_document(
        run_json("task", "new", *URLS, "--min-batch-size", "5", *options)["parties"]["client"]
    ).task


@pytest.mark.parametrize(
    ("options", "expected"),
    [(("count",), vdaf("Count")),
     (("sum", "--max-measurement", "255"), vdaf("Sum", max_measurement=255)),
     (("sum-vec", "--length", "9", "--max-measurement", "3"), vdaf("SumVec", length=9, max_measurement=3)),
     (("Histogram", "--length", "9", "--chunk-length", "5"), vdaf("Histogram", length=9, chunk_length=5)),
     (("multihotcountvec", "--length", "9", "--max-weight", "2"), vdaf("MultihotCountVec", length=9, max_weight=2))],
)  # fmt: skip
def test_every_vdaf(options: tuple[str, ...], expected: Vdaf) -> None:
    task = task_of("--vdaf", *options, "--mechanism", "none")
    assert task.vdaf == expected
    assert task.privacy is None


@pytest.mark.parametrize(
    ("options", "mechanism", "budget", "total"),
    [(PRIVATE, Mechanism.DISCRETE_LAPLACE, PureDp(1), PureDp(10)),
     (("--epsilon", "1/3", "--total-epsilon", "1"), Mechanism.DISCRETE_LAPLACE, PureDp("1/3"), PureDp(1)),
     (("--rho", "0.5", "--collections", "3"), Mechanism.DISCRETE_GAUSSIAN, ZCdp("1/2"), ZCdp("3/2")),
     (("--rho", "0.5", "--total-rho", "2"), Mechanism.DISCRETE_GAUSSIAN, ZCdp("1/2"), ZCdp(2)),
     (("--total-epsilon", "3", "--collections", "4"), Mechanism.DISCRETE_LAPLACE, PureDp("3/4"), PureDp(3)),
     (("--epsilon", "1", "--delta", "1e-9", "--collections", "2"), None, ApproxDp(1, "1e-9"), ApproxDp(2, "2e-9")),
     ((*PRIVATE, "--mechanism", "randomized-response"), Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(10))],
)  # fmt: skip
def test_every_budget(options: tuple[str, ...], mechanism: Mechanism | None, budget: object, total: object) -> None:
    privacy = task_of("--vdaf", "histogram", "--length", "4", *options).privacy
    assert mechanism in (None, privacy.mechanism)
    assert (privacy.budget, privacy.total) == (budget, total)
    assert privacy.honest == (0 if privacy.mechanism is Mechanism.RANDOMIZED_RESPONSE else 1)


def test_the_noise_of_a_year_follows_from_its_total() -> None:
    total = ("--total-epsilon", "8", "--total-delta", "1e-6", "--collections", "365")
    task = task_of("--vdaf", "histogram", "--length", "4", *total)
    assert task.privacy is not None
    assert (task.privacy.mechanism, task.privacy.total) == (Mechanism.DISCRETE_GAUSSIAN, ApproxDp(8, "1e-6"))
    assert 365 <= collections_allowed(task.privacy, task.vdaf) <= 367
    reason = refused(*HISTOGRAM, "--json", *total, "--mechanism", "skellam")
    assert "--collections and the total choose the mechanism" in reason


def test_long_histograms_by_unary_encoding() -> None:
    """Its VDAF is one of bits, and no Aggregator is counted on."""
    options = ("--length", "40", "--max-measurement", "1", *PRIVATE, "--mechanism", "unary-encoding")
    task = task_of("--vdaf", "sum-vec", *options)
    assert task.privacy is not None
    assert (task.privacy.mechanism, task.privacy.honest) == (Mechanism.UNARY_ENCODING, 0)
    assert task.privacy.report(task.vdaf)[1][1].startswith("each client sets a bit for each of 40 buckets")


def test_other_options_of_a_task(tmp_path: Path) -> None:
    options = ("--time-precision", "5m", "--batch-mode", "leader-selected", "--batch-size", "9", "--dialect", "dap-09")
    when = ("--start", "2026-01-31", "--duration", "30d", "--info", "page loads")
    unit = ("--reports-per-client", "2", "--span", "a day", "--honest", "2")
    out = run(*HISTOGRAM, "--rho", "0.5", "--collections", "3", *options, *when, *unit, "--output", tmp_path)
    assert "from 2026-01-31T00:00:00Z until 2026-03-02T00:00:00Z" in out
    assert "a client with at most 2 reports in a day" in out
    assert "Clients of this dialect did not see the parameters" in out
    party = task_file.load(tmp_path / "leader.json")
    assert isinstance(party, AggregatorParty)
    assert (party.task.time_precision, party.secrets.batch_size) == (300, 9)
    assert (party.task.batch_mode, party.task.dialect.tag) == (BatchMode.LEADER_SELECTED, b"dap-09")
    assert party.task.configuration.task_info == b"page loads"


@pytest.mark.parametrize("dialect", ["dap-19", "dap-18", "dap-09"])
def test_a_task_says_what_its_parties_speak(dialect: str, leader: Path, tmp_path: Path) -> None:
    exact = (*HISTOGRAM, "--mechanism", "none", "--output", tmp_path / "t")
    out = run(*exact) if dialect == "dap-19" else run(*exact, "--dialect", dialect)  # the default
    assert ["dialect", dialect] in [line.split(maxsplit=1) for line in out.splitlines()]
    task_id = run_json("task", "add", "--config", leader, tmp_path / "t/leader.json")["task_id"]
    assert run_json("task", "show", "--config", leader, task_id)["dialect"] == dialect


def test_a_task_needs_no_info_since_draft_19() -> None:
    assert task_of("--vdaf", "count", "--mechanism", "none", "--info", "").configuration.task_info == b""
    reason = refused(*HISTOGRAM, "--json", "--mechanism", "none", "--info", "", "--dialect", "dap-18")
    assert "task_info must not be empty in dap-18" in reason


def test_a_task_that_others_made(tmp_path: Path) -> None:
    key, token = base64url(bytes(range(32))), "leader-token"
    (tmp_path / "key").write_text(f"{key}\n")
    (tmp_path / "leader").write_text(token)
    config = run("collector-key", "--output", tmp_path / "collector.key").strip()
    options = ("--task-id", base64url(bytes(32)), "--verify-key-file", tmp_path / "key", "--hpke-config", config)
    tokens = ("--leader-token-file", tmp_path / "leader", "--collector-token-file", "-")
    made = (*HISTOGRAM, "--mechanism", "none", *options, *tokens, "--output", tmp_path / "t")
    run(*made, stdin="collector-token\n")
    leader, helper, collector = (
        json.loads((tmp_path / f"t/{name}.json").read_text()) for name in ("leader", "helper", "collector")
    )
    assert leader["task_id"] == base64url(bytes(32))
    assert leader["verify_key"] == helper["verify_key"] == key
    assert leader["collector_hpke_config"] == collector["hpke_config"] == config
    assert (leader["leader_token"], collector["token"]) == (token, "collector-token")
    assert helper["leader_token_hash"] == base64url(token_hash(token.encode()))


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--task-id", "x"), "--task-id must be URL-safe base64"),
     (("--task-id", "AAAA"), "a task ID must have 32 bytes"),
     (("--verify-key-file", "key"), "--verify-key-file must be URL-safe base64"),
     (("--verify-key-file", "-", "--leader-token-file", "-"), "only one secret can come from stdin"),
     (("--leader-token-file", "words"), "--leader-token-file must hold one word"),
     (("--leader-token-file", "empty"), "--leader-token-file must hold one word"),
     (("--leader-token-file", "key"), "a token must have 1 .. 1,024 letters")],
)  # fmt: skip
def test_what_others_decided_is_refused_with_a_reason_that_does_not_tell_it(
    options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"key": "s3cret!", "words": "s3cret! s3cret!", "empty": " \n"}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    said = refused(*HISTOGRAM, "--json", "--mechanism", "none", *options)
    assert reason in said
    assert "s3cret" not in said


def test_aggregators_take_their_own_file(leader: Path, helper: Path, tmp_path: Path) -> None:
    run(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t")
    assert "1-DP for a report" in run("task", "add", "--config", leader, tmp_path / "t/leader.json")
    assert "there is or was a task" in refused("task", "add", "--config", leader, tmp_path / "t/leader.json")
    for wrong in ("leader", "client", "collector"):
        reason = refused("task", "add", "--config", helper, tmp_path / f"t/{wrong}.json")
        assert f"this is the {wrong}'s file" in reason
    run("task", "add", "--config", helper, tmp_path / "t/helper.json")
    (row,) = run_json("task", "list", "--config", helper)
    assert (row["collections_left"], row["waiting"], row["mechanism"]) == (10, 0, "discrete Laplace")
    assert row["task_id"] in run("task", "list", "--config", leader)


def test_a_task_is_deleted_once(leader: Path, tmp_path: Path) -> None:
    task_id = run_json(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t", "--config", leader)["task_id"]
    assert f"task {task_id} is deleted here" in run("task", "delete", "--config", leader, task_id)
    assert run_json("task", "list", "--config", leader) == []
    assert "there is no task" in refused("task", "delete", "--config", leader, task_id)
    assert "there is or was a task" in refused("task", "add", "--config", leader, tmp_path / "t/leader.json")


def test_a_task_with_waiting_reports_is_deleted_by_force_only(leader: Path, tmp_path: Path) -> None:
    task_id = run_json(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t", "--config", leader)["task_id"]
    store = Config.load(leader).open_store()
    with store.write() as tx:
        tx.execute(text("INSERT INTO reports (task, id, bucket, body) VALUES (1, x'00', 0, x'00')"))
    store.close()
    delete = ("task", "delete", "--config", leader)
    assert "1 reports of this task are not aggregated yet" in refused(*delete, task_id)
    assert run_json(*delete, "--force", task_id) == {"deleted": task_id}


def test_keys_that_another_server_had(leader: Path, tmp_path: Path) -> None:
    """Under number 200; and a Collector's, likewise."""
    private = bytes(range(32))
    public = PrivateKey.from_bytes(private).public_bytes
    config = base64url(HpkeConfig(200, 0x20, 1, 1, public).encode())
    (tmp_path / "key").write_text(base64url(private) + "\n")
    given = ("--hpke-config", config, "--private-key-file", tmp_path / "key")
    made = run_json("key", "import", "--config", leader, *given)
    assert made["key"] == 200
    assert [row["key"] for row in run_json("key", "list", "--config", leader)] == [200, 0]
    assert "number 200 already" in refused("key", "import", "--config", leader, *given)

    assert run("collector-key", "--output", tmp_path / "collector.key", *given).strip() == config
    key = task_file.load_key(tmp_path / "collector.key")
    assert (key.config.id, key.private_key.private_bytes) == (200, private)
    assert "goes with" in refused("collector-key", "--output", tmp_path / "x", "--hpke-config", config)

    (tmp_path / "other").write_text(base64url(bytes(32)))
    (tmp_path / "short").write_text(base64url(bytes(31)))
    for name, reason in (("other", "does not belong to its key"), ("short", "of 32 bytes")):
        wrong = ("--hpke-config", config, "--private-key-file", tmp_path / name)
        assert reason in refused("key", "import", "--config", leader, *wrong)
        assert reason in refused("collector-key", "--output", tmp_path / "x", *wrong)
    wrong = ("--hpke-config", "x", "--private-key-file", tmp_path / "key")
    assert "this is no key pair" in refused("key", "import", "--config", leader, *wrong)
    assert not (tmp_path / "x").exists()


def test_a_collector_keeps_its_key(tmp_path: Path) -> None:
    config = run("collector-key", "--output", tmp_path / "collector.key").strip()
    assert mode(tmp_path / "collector.key") == 0o600
    assert "never overwritten" in refused("collector-key", "--output", tmp_path / "collector.key")
    run(*HISTOGRAM, *PRIVATE, "--collector-config", config, "--output", tmp_path / "t")
    run(*HISTOGRAM, *PRIVATE, "--collector-key", tmp_path / "collector.key", "--output", tmp_path / "u")
    without, with_key = (task_file.load(tmp_path / f"{name}/collector.json") for name in "tu")
    assert isinstance(without, CollectorParty)
    assert isinstance(with_key, CollectorParty)
    assert without.private_key is None
    assert with_key.private_key is not None
    assert without.config == with_key.config
    reason = refused("collect", "--task", tmp_path / "t/collector.json", "--interval", "0/1h")
    assert "has no private key: give --collector-key FILE" in reason


NEW = ("task", "new", "--json", "--vdaf", "histogram", "--min-batch-size", "5")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((*HISTOGRAM, "--json"), "a budget is missing: give --epsilon"),
     ((*HISTOGRAM, "--json", "--epsilon", "1"), "the total budget is missing: give --collections"),
     ((*HISTOGRAM, "--json", "--epsilon", "1", "--total-epsilon", "0.5"), "does not allow one collection"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--total-epsilon", "5"), "--collections and the budget of one set the total"),
     ((*HISTOGRAM, "--json", "--epsilon", "1", "--collections", "0"), "--collections must be at least 1"),
     ((*HISTOGRAM, "--json", "--total-epsilon", "1", "--collections", "0"), "collections must be 1 .."),
     ((*HISTOGRAM, "--json", *PRIVATE, "--mechanism", "none"), "--mechanism none takes no budget"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--mechanism", "magic"), "--mechanism must be one of auto, none, discrete"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--mechanism", "discrete-gaussian"), "name discrete Laplace"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--time-precision", "1 week"), "--time-precision must be a duration such as"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--start", "yesterday"), "--start must be a time such as 2026-01-31"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--start", "0"), "a task interval has a start and an end"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--duration", "1d"), "--duration needs --start"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--start", "9", "--end", "0"), "--end must be after --start"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--dialect", "dap-17"), "--dialect must be one of dap-19, dap-18, dap-09"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--batch-size", "9"),
      "batch_size is only for tasks whose Leader selects the batches"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--max-weight", "9"), "Histogram takes chunk_length, length, got max_weight"),
     ((*HISTOGRAM, "--json", *PRIVATE, "--collector-config", "x"), "must be what `secagg dap collector-key` printed"),
     ((*NEW, *URLS, *PRIVATE), "Histogram needs length"),
     (("task", "new", "--json", *URLS, "--min-batch-size", "5", "--vdaf", "mean"), "--vdaf must be one of Count, Sum,"),
     ((*NEW, "--leader", "http://leader.example", "--helper", "https://h.example", "--length", "2", *PRIVATE),
      "the Leader's URL, http://leader.example, is http and leads to another machine: tokens would travel"),
     ((*NEW, "--leader", "leader.example", "--helper", "https://h.example", "--length", "2", *PRIVATE),
      "--leader must be the URL of a server: write it like https://"),
     ((*NEW, "--leader", "https://a:b@l.example", "--helper", "https://h.example", "--length", "2", *PRIVATE),
      "--leader must be the URL of a server: it must not hold a name or password"),
     (("init", "--role", "collector"), "--role must be one of leader, helper"),
     (("task", "show", "/nowhere.json"), "/nowhere.json: No such file or directory"),
     (("task", "list", "--config", "/nowhere.toml"), "/nowhere.toml: No such file or directory")],
)  # fmt: skip
def test_refused_with_a_reason(arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*arguments)


def test_plain_http_on_request() -> None:
    urls = ("--leader", "http://leader.internal", "--helper", "http://helper.internal", "--allow-http")
    assert run_json(*NEW[:2], *NEW[3:], *urls, "--length", "2", *PRIVATE)["leader"] == "http://leader.internal"


# --- keys and stores --------------------------------------------------------------------------------------------


def test_keys_are_rotated_and_ended(leader: Path) -> None:
    made = run_json("key", "new", "--config", leader, "--lifetime", "90d")
    assert (made["key"], made["advertised"], made["accepted"]) == (1, True, True)
    new, old = run_json("key", "list", "--config", leader)
    assert (new["key"], old["key"]) == (1, 0)
    assert new["public_key"] != old["public_key"]
    assert old["advertised_until"] is not None
    assert "accepted no" in run("key", "end", "--config", leader, "0", "--at-once")
    assert "is the only one that Clients are told of" in refused("key", "end", "--config", leader, "1")
    assert "until" in run("key", "list", "--config", leader)


def test_a_backup_of_a_store_in_use_is_whole(leader: Path, tmp_path: Path) -> None:
    store = Config.load(leader).open_store()
    with store.read() as tx:
        tx.execute(text("SELECT * FROM tasks"))
        task_id = run_json(*HISTOGRAM, *PRIVATE, "--output", tmp_path / "t", "--config", leader)["task_id"]
        report = run_json("store", "backup", "--config", leader, "--output", tmp_path / "copy.db")
    store.close()
    assert report["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert mode(tmp_path / "copy.db") == 0o600
    assert "never overwritten" in refused("store", "backup", "--config", leader, "--output", tmp_path / "copy.db")
    run("task", "delete", "--config", leader, task_id)
    for name in ("leader.db", "leader.db-wal", "leader.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(tmp_path / "leader.db")
    assert [row["task_id"] for row in run_json("task", "list", "--config", leader)] == [task_id]


def test_postgresql_is_backed_up_by_its_own_program(leader: Path) -> None:
    content = re.sub('database = ".*"', 'database = "postgresql+psycopg://db.example/x"', leader.read_text())
    leader.write_text(content)
    assert "back it up with pg_dump" in refused("store", "backup", "--config", leader, "--output", "/tmp/x")


def test_an_old_store_is_upgraded_on_request(leader: Path) -> None:
    with closing(sqlite3.connect(leader.parent / "leader.db")) as database:
        database.execute("UPDATE secagg_store SET version = ?", (VERSION + 1,))
        database.commit()
    assert "use a newer program" in refused("task", "list", "--config", leader)
    (leader.parent / "leader.db").unlink()
    assert "make it with `secagg dap store upgrade" in refused("task", "list", "--config", leader)
    assert run_json("store", "upgrade", "--config", leader) == {"version": VERSION}
    assert run_json("task", "list", "--config", leader) == []


def test_a_store_without_its_journal_says_the_command_that_accepts_the_loss(leader: Path) -> None:
    journal, accept = leader.parent / "leader.journal", ("store", "accept-journal", "--config", leader)
    assert "accept it without --lost" in refused(*accept, "--lost")
    journal.unlink()
    for command in (("task", "list"), ("key", "new"), ("store", "upgrade"), ("leader",), ("worker",)):
        refusal = refused(*command, "--config", leader)
        assert "leader.journal, is gone: put it back" in refusal
        assert "`secagg dap store accept-journal --config FILE --lost` accepts the loss" in refusal
    assert "if it is lost, say so with --lost" in refused(*accept)
    assert not journal.exists()
    assert run(*accept, "--lost") == f"the store goes on with a new journal, {journal}\n"
    assert run_json("task", "list", "--config", leader) == []
    assert mode(journal) == 0o600


def test_another_journal_is_taken_on_request_only(leader: Path, helper: Path) -> None:
    journal = leader.parent / "leader.journal"
    (leader.parent / "helper.journal").replace(journal)
    assert "is not this store's journal of releases: put the store's own back" in refused(
        "task", "list", "--config", leader
    )
    accepted = run_json("store", "accept-journal", "--config", leader)
    assert accepted == {"journal": str(journal), "lost": False}
    assert run_json("task", "list", "--config", leader) == []


def test_a_copied_journal_is_adopted(leader: Path) -> None:
    journal, copy = leader.parent / "leader.journal", leader.parent / "copy"
    shutil.copy(journal, copy)
    copy.replace(journal)
    assert "leader.journal is a copy, or was moved from another disk" in refused("task", "list", "--config", leader)
    assert "journal of releases is used from now on" in Command().run("adopt", journal)
    assert run_json("task", "list", "--config", leader) == []


def test_init_makes_nothing_in_a_folder_that_others_may_write_to(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert "others may write to the folder" in refused("init", "--role", "leader", "--dir", folder)
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    run("init", "--role", "leader", "--dir", folder)


# --- words ------------------------------------------------------------------------------------------------------


def test_times_and_durations() -> None:
    assert [duration("x", text) for text in ("90", "90s", "5m", "1h", "30d")] == [90, 90, 300, 3600, 2_592_000]
    assert [duration_text(seconds) for seconds in (90, 300, 3600, 86_400)] == ["90 s", "5 m", "1 h", "1 d"]
    assert instant("x", "1970-01-02") == instant("x", "1970-01-02T02:00+02:00") == instant("x", "86400") == 86_400
    for interval in ("3600/1h", "1970-01-01T01:00Z/1970-01-01T02:00Z", "3600/7200"):
        assert parse_interval(interval, 3600) == (3600, 3600)


def test_an_interval_that_is_none(tmp_path: Path) -> None:
    run(*HISTOGRAM, *PRIVATE, "--output", tmp_path)
    collector = ("collect", "--task", tmp_path / "collector.json")
    for interval, reason in {
        "0": "START/DURATION or START/END", "9/5": "must end after it starts",
        "60/1h": "whole numbers of the task's time precision, 3,600 seconds: try 1970-01-01T00:00:00Z/3600s",
    }.items():  # fmt: skip
        assert reason in refused(*collector, "--interval", interval)
    assert "--interval is missing" in refused(*collector)
    assert "--next is for tasks whose Leader selects" in refused(*collector, "--next")
    assert "is another party's file" in refused("collect", "--task", tmp_path / "client.json", "--interval", "0/1h")


@pytest.mark.parametrize(
    ("measurements", "reason"),
    [((), "give measurements, or --input FILE"),
     (("1", "x7"), "measurement 2 must be a number"),
     (("1,2",), "measurement 1 has 2 numbers; Histogram takes 1"),
     (("4",), "measurement 0 must be 0 .. 3, counted from 0")],
)  # fmt: skip
def test_measurements_that_are_none(measurements: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    run(*HISTOGRAM, *PRIVATE, "--output", tmp_path)
    refusal = refused("upload", "--task", tmp_path / "client.json", *measurements)
    assert reason in refusal
    assert "x7" not in refusal


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['sqlalchemy'] = None; from secagg.__main__ import main; main()"
    done = ran(sys.executable, "-c", program, "dap", "task", "list", text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "error: this command needs the package sqlalchemy, which is not installed:"
        " pip install '.[dap]' in a checkout of secagg\n"
    )
    for arguments in (("--help",), ("dap", "--help")):
        done = ran(sys.executable, "-c", program, *arguments, text=True)
        assert done.returncode == 0, done.stderr


def test_without_the_command_line_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from secagg.__main__ import main; main()"
    done = ran(sys.executable, "-c", program, "info", text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "error: this command needs the package typer, which is not installed:"
        " pip install '.[cli]' in a checkout of secagg\n"
    )


# --- servers ----------------------------------------------------------------------------------------------------


def test_a_deployment_by_commands_alone(leader: Path, helper: Path, tmp_path: Path) -> None:
    """Two server processes for the Leader without workers, a worker of its own, a Helper that answers later."""
    change(leader, processes=2, threads=0, listen="127.0.0.1:0", format="json")
    change(helper, later=True, listen="127.0.0.1:0")
    assert "configures a helper: run `secagg dap helper" in refused("leader", "--config", helper)
    with (
        serving("leader", "--config", leader) as (leader_line, _),
        serving("helper", "--config", helper, "--json") as (helper_line, _),
        serving("worker", "--config", leader) as (worker_line, _),
    ):
        assert leader_line.startswith("listening on http://127.0.0.1:")
        assert worker_line == "working with 1 threads"
        leader_url, helper_url = leader_line.split()[-1], json.loads(helper_line)["listening"]
        urls = ("--leader", leader_url, "--helper", helper_url, "--config", leader, "--config", helper)
        sized = ("--min-batch-size", "5", "--time-precision", "1d")
        exact = ("--vdaf", "sum-vec", "--length", "2", "--max-measurement", "9", "--mechanism", "none")
        selected = ("--batch-mode", "leader-selected", "--output", tmp_path / "exact")
        noisy = ("--vdaf", "histogram", "--length", "2", "--epsilon", "1", "--collections", "2")
        run("task", "new", *exact, *sized, *urls, *selected)
        run("task", "new", *noisy, *sized, *urls, "--output", tmp_path / "noisy")

        run("upload", "--task", tmp_path / "exact/client.json", "--", "1,2", "3,4", "0,9", "1,0", "5,5")
        patient = ("--timeout", f"{PATIENCE:.0f}s")
        collected = run_json("collect", "--task", tmp_path / "exact/collector.json", "--next", *patient)
        assert (collected["report_count"], collected["result"], collected["deleted"]) == (5, [10, 20], True)

        (tmp_path / "values").write_text("1\n" * 40 + "0\n" * 10)
        client = ("upload", "--task", tmp_path / "noisy/client.json", "--input", tmp_path / "values")
        assert run_json(*client) == {"accepted": 50, "refused": [], "unknown": []}
        today = time.time() // 86_400 * 86_400
        unfinished = ("collect", "--task", tmp_path / "noisy/collector.json", "--interval", f"{int(today)}/1d")
        assert "is not over until" in refused(*unfinished)
        collect = (*unfinished, "--early")
        out = run(*collect, *patient)
        assert "discrete Laplace, 1-DP" in out
        assert run(*collect) == out  # the same bytes, and so the same noise
        rows = run_json("task", "list", "--config", leader)
        assert [row["collections_left"] for row in rows] == [None, 1]
        assert [row["waiting"] for row in rows] == [0, 0]
        check_http(leader_url)


@pytest.mark.parametrize("selected", [False, True], ids=["time-interval", "leader-selected"])
def test_a_deployment_that_speaks_dap_09(leader: Path, helper: Path, tmp_path: Path, selected: bool) -> None:
    """All four roles, by processes of their own; in this draft a Helper never answers later."""
    change(leader, listen="127.0.0.1:0")
    change(helper, later=True, listen="127.0.0.1:0")
    with (
        serving("leader", "--config", leader) as (leader_line, _),
        serving("helper", "--config", helper) as (helper_line, _),
    ):
        urls = ("--leader", leader_line.split()[-1], "--helper", helper_line.split()[-1])
        sized = ("--min-batch-size", "5", "--time-precision", "1d", "--dialect", "dap-09")
        mode = ("--batch-mode", "leader-selected") if selected else ()
        noisy = ("--vdaf", "histogram", "--length", "2", "--rho", "1", "--collections", "3")
        files = ("--config", leader, "--config", helper, "--output", tmp_path / "task")
        run("task", "new", *noisy, *sized, *mode, *urls, *files)
        (tmp_path / "values").write_text("1\n" * 5)
        upload = ("upload", "--task", tmp_path / "task/client.json", "--input", tmp_path / "values")
        assert run_json(*upload) == {"accepted": 5, "refused": [], "unknown": []}

        today = time.time() // 86_400 * 86_400
        batch = ("--next",) if selected else ("--interval", f"{int(today)}/1d", "--early")
        collect = ("collect", "--task", tmp_path / "task/collector.json", *batch, "--timeout", f"{PATIENCE:.0f}s")
        first = run_json(*collect)
        assert (first["report_count"], first["deleted"]) == (5, selected)
        assert all(abs(value - exact) < 100 for value, exact in zip(first["result"], [0, 5], strict=True))
        if selected:  # its job is deleted, and the next query is another one
            assert run_json(*upload)["accepted"] == 5
        second = run_json(*collect)
        assert second["report_count"] == 5
        assert selected or second == first  # the noise of another batch may by chance be that of the first
        rows = run_json("task", "list", "--config", leader)
        assert [row["collections_left"] for row in rows] == [1 if selected else 2]


def test_a_batch_that_is_not_ready_is_told_from_an_error(leader: Path, tmp_path: Path) -> None:
    """By exit code 3, and by what it waits for."""
    change(leader, listen="127.0.0.1:0")
    with serving("leader", "--config", leader) as (line, _):
        urls = ("--leader", line.split()[-1], "--helper", "https://helper.example", "--config", leader)
        run("task", "new", "--vdaf", "count", "--mechanism", "none", "--min-batch-size", "5", *urls,
            "--batch-mode", "leader-selected", "--output", tmp_path / "task")  # fmt: skip
        collect = ("collect", "--task", tmp_path / "task/collector.json", "--next")
        code, out, err = outcome(*collect, "--timeout", "2s")
    assert (code, out) == (3, "")
    assert err.startswith("error: the batch is not ready after 2 s: no batch has 5 reports yet")


def test_who_waits_without_a_terminal_is_told_once_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # in other tests nobody is
    with waiting() as tell:
        for waited in range(0, 190, 10):
            tell(Progress(waited, 10, "no batch has 5 reports"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" after ")[1].split(" s")[0] for line in lines] == ["60", "120", "180"]
    assert all("no batch has 5 reports" in line for line in lines)


def check_http(url: str) -> None:
    assert httpx.get(f"{url}/healthz", trust_env=False).text == "ok\n"
    metrics = httpx.get(f"{url}/metrics", trust_env=False).text
    counted = re.findall(r'reports_uploaded_total\{outcome="accepted",task="[^"]{43}"} (.*)', metrics)
    assert sorted(counted) == ["5.0", "50.0"]  # of both tasks, and of both processes
    assert "secagg_dap_queue_depth" in metrics


def test_a_server_that_cannot_start_says_why(leader: Path, helper: Path) -> None:
    with serving("helper", "--config", helper, "--listen", "127.0.0.1:0") as (line, _):
        taken = line.rpartition("http://")[2]
        arguments = ("leader", "--config", leader, "--listen", taken)
        done = ran(sys.executable, "-m", "secagg", "dap", *arguments, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"[server] cannot listen on {taken}: Address already in use" in done.stderr
