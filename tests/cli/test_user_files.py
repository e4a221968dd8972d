"""Files as people save and place them, and what SECAGG_ISA may be: one clear line where something is wrong."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secagg import _kernels
from secagg.cli import app
from secagg.dap.server.config import SECRET_VARIABLE
from secagg.dp import Ledger, PureDp

from ..support.commands import Command, plain_environment
from ..support.processes import ran

COMMAND, TOP = Command("dap"), Command()
run, run_json, refused = COMMAND.run, COMMAND.run_json, COMMAND.refused

BOM = b"\xef\xbb\xbf"
LATIN_1 = "\u00fc".encode("latin-1")
SAVE = "save it as UTF-8"


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment(SECRET_VARIABLE):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a Leader, and the files of a task that nobody serves."""
    run("init", "--role", "leader", "--dir", tmp_path)
    urls = ("--leader", "http://127.0.0.1:1", "--helper", "http://127.0.0.1:2")
    run("task", "new", "--vdaf", "count", "--min-batch-size", "5", "--mechanism", "none", *urls, "--output", tmp_path)
    run("collector-key", "--output", tmp_path / "collector.key")
    (tmp_path / "measurements").write_text("1\n0\n")
    return tmp_path


READ: dict[str, Callable[[Path], tuple[str | Path, ...]]] = {
    "leader.toml": lambda folder: ("task", "list", "--config", folder / "leader.toml"),
    "leader.secret": lambda folder: ("task", "list", "--config", folder / "leader.toml"),
    "client.json": lambda folder: ("task", "show", folder / "client.json"),
    "leader.json": lambda folder: ("task", "add", "--config", folder / "leader.toml", folder / "leader.json"),
    "collector.key": lambda folder: (
        *("task", "new", "--vdaf", "count", "--min-batch-size", "5", "--mechanism", "none", "--json"),
        *("--leader", "https://l.example", "--helper", "https://h.example"),
        *("--collector-key", folder / "collector.key"),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_may_begin_with_a_mark(name: str, folder: Path) -> None:
    file = folder / name
    file.write_bytes(BOM + file.read_bytes())
    run(*READ[name](folder))


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_of_another_encoding_is_named(name: str, encoding: str, folder: Path) -> None:
    file = folder / name
    file.write_bytes(LATIN_1 + file.read_bytes() if encoding == "latin-1" else file.read_text().encode("utf-16"))
    assert refused(*READ[name](folder)) == f"{file} is not UTF-8 text, in line 1: {SAVE}"


def test_measurements_may_begin_with_a_mark_and_must_be_utf_8(folder: Path) -> None:
    upload, file = ("upload", "--task", folder / "client.json", "--input"), folder / "measurements"
    file.write_bytes(BOM + b"1\r\n2\r\n")
    assert "measurement" in refused(*upload, file)
    file.write_bytes(BOM + b"1\r\n")
    assert "does not answer" in refused(*upload, file)
    file.write_bytes(b"1\n" + LATIN_1)
    assert refused(*upload, file) == f"{file} is not UTF-8 text, in line 2: {SAVE}"
    for data, reason in ((BOM + b"1\n", "does not answer"), (b"1\n" + LATIN_1, "stdin is not UTF-8 text, in line 2")):
        result = CliRunner().invoke(app, ["dap", *map(str, upload), "-"], input=data)
        assert result.exit_code == 2
        assert reason in result.stderr


def test_text_on_the_command_line_must_be_utf_8(folder: Path) -> None:
    given = os.fsdecode(LATIN_1)
    new = ("task", "new", "--vdaf", "count", "--min-batch-size", "5", "--mechanism", "none", "--json")
    urls = ("--leader", "https://l.example", "--helper", "https://h.example")
    assert refused(*new, *urls, "--info", given) == "--info must be UTF-8 text"
    assert run_json(*new[:-1], *urls, "--info", "gr\u00fcn")["parties"]


@pytest.mark.parametrize(
    "command",
    [
        ("dap", "collector-key", "--output"),
        ("dap", "store", "backup", "--config", "leader.toml", "--output"),
        ("keygen", "--output"),
        ("adopt",),
    ],
    ids=" ".join,
)
def test_a_missing_folder_is_named(command: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    reason = TOP.refused(*command, "missing/folder/file")
    assert "missing/folder: there is no such folder: make it first" in reason


@pytest.mark.parametrize(("key", "value"), [("journal", "missing/x.journal"), ("database", "sqlite:///missing/x.db")])
def test_a_missing_folder_of_a_configuration_is_named(key: str, value: str, folder: Path) -> None:
    config = folder / "leader.toml"
    lines = [f'{key} = "{value}"' if line.startswith(f"{key} =") else line for line in config.read_text().split("\n")]
    config.write_text("\n".join(lines))
    reason = refused("store", "upgrade", "--config", config)
    assert reason == f"{folder / 'missing'}: there is no such folder: make it first"


def test_a_missing_folder_of_a_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder: make it first") as error:
        _ = Ledger(PureDp(1), tmp_path / "missing" / "ledger").spent
    assert error.value.filename == str(tmp_path / "missing")


@pytest.mark.parametrize("listen", ["foo", "foo:bar", ":80", "127.0.0.1:65536", "127.0.0.1:\u0661"])
def test_an_address_that_is_none_is_one_line(listen: str, folder: Path) -> None:
    reason = refused("leader", "--config", folder / "leader.toml", "--listen", listen)
    assert reason == f'{listen!r} is no address to listen on: write it like "127.0.0.1:8080" or "[::]:443"'


@pytest.mark.parametrize("host", ["b\u00fccher..example", "\u00fc" * 70])
def test_a_host_that_nobody_can_listen_on_is_one_line(host: str, folder: Path) -> None:
    reason = refused("leader", "--config", folder / "leader.toml", "--listen", f"{host}:0")
    assert f"[server] cannot listen on {host}:0: " in reason


@pytest.mark.parametrize("command", [("info",), ("dap", "--help"), ("keygen", "--output", "x")], ids=" ".join)
@pytest.mark.parametrize("isa", ["abacus", "AESNI", "\udcff"])
def test_an_instruction_set_that_is_none_is_one_line(command: tuple[str, ...], isa: str, tmp_path: Path) -> None:
    environment = os.environ | {"SECAGG_ISA": isa}
    program = [sys.executable, "-m", "secagg", *command]
    ended = ran(*program, env=environment, cwd=tmp_path, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: SECAGG_ISA: ")
    assert isa == "\udcff" or ended.stderr.endswith(f"choose from {', '.join(_kernels.isa_available())}\n")


def test_an_instruction_set_that_is_one_is_taken() -> None:
    program = [sys.executable, "-m", "secagg", "info", "--json"]
    told = ran(*program, env=os.environ | {"SECAGG_ISA": "portable"})
    assert json.loads(told.stdout)["instruction_set"] == "portable"
