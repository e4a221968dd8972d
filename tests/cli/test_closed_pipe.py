"""Whoever reads a command's output may stop before its end, as `head` does: the command ends with 141 or 0, and says
nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.processes import PATIENCE, ran, started

PROGRAM = (sys.executable, "-m", "secagg")
SMALL = ("--clients", "4", "--length", "10", "--threshold", "3", "--corrupt", "0")
NEW = ("dap", "task", "new", "--vdaf", "Count", "--leader", "https://l.example", "--helper", "https://h.example",
       "--min-batch-size", "10", "--mechanism", "none")  # fmt: skip
MANY = ",".join(str(i) for i in range(1, 1500))  # rows of more bytes than a pipe holds

LEADER = ("--config", "leader.toml")
COMMANDS = [
    ("--help",), ("--version",), ("info",), ("simulate", "--help"), ("simulate", *SMALL),
    ("simulate", *SMALL, "--json"), ("keygen", "--output", "NEW/user.key"),
    ("bench", "--length", "64", "--seeds", "1", "--repeat", "1", "--json"),
    ("dp", "calibrate", "--epsilon", "1", "--task", "histogram"),
    ("dp", "tradeoff", "--task", "histogram", "--reports", MANY, "--epsilon", "1"),
    ("dp", "epsilon-for", "--relative-error", "2%", "--count", "500", "--task", "histogram"),
    ("dap", "--help"), ("dap", "task", "--help"), ("dap", "key", "new", "--help"),
    ("dap", "init", "--role", "leader", "--dir", "NEW/leader"),
    ("dap", "collector-key", "--output", "NEW/collector.key"),
    (*NEW, "--output", "NEW/task"), (*NEW, "--json"), ("dap", "task", "show", "made/leader.json"),
    ("dap", "task", "list", *LEADER), (*NEW, *LEADER, "--output", "NEW/added"),
    ("dap", "key", "list", *LEADER), ("dap", "key", "new", *LEADER, "--json"), ("dap", "store", "upgrade", *LEADER),
    ("dap", "store", "backup", *LEADER, "--output", "NEW/copy.db"),
    ("dap", "leader", *LEADER, "--listen", "127.0.0.1:0"), ("dap", "worker", *LEADER),
]  # fmt: skip
SERVERS = ("leader", "worker")
PRINT_MUCH = {"--help", "info", "tradeoff", "simulate", "task"}
"""Words of commands whose reader is likely to be gone before they end; the others are nightly."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Leader and a task."""
    folder = tmp_path_factory.mktemp("made")
    for command in (("dap", "init", "--role", "leader"), (*NEW, "--output", "made")):
        ran(*PROGRAM, *command, cwd=folder).check_returncode()
    return folder


def ended(command: tuple[str, ...], made: Path, new: Path, *, reads: bool, **variables: str) -> tuple[int, bytes]:
    """Exit code and stderr of a command whose reader is gone before it starts, or after the first byte."""
    read_end, write_end = os.pipe()
    if not reads:
        os.close(read_end)
    words = [word.replace("NEW", str(new)) for word in command]
    environ = {**os.environ, "PYTHONUNBUFFERED": "", **variables}
    with started(*PROGRAM, *words, cwd=made, stdout=write_end, stderr=subprocess.PIPE, env=environ) as process:
        os.close(write_end)
        if reads:
            with os.fdopen(read_end, "rb", buffering=0) as reader:
                reader.read(1)
        stderr = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, stderr


def named(command: tuple[str, ...]) -> str:
    return " ".join(command)[:40]


@pytest.mark.parametrize("command", COMMANDS, ids=named)
def test_nobody_reads(command: tuple[str, ...], made: Path, tmp_path: Path) -> None:
    code, stderr = ended(command, made, tmp_path, reads=False)
    said = [line for line in stderr.splitlines() if b" secagg.dap." not in line and b" uvicorn." not in line]  # no log
    assert (code, said) == (141, [])


@pytest.mark.parametrize("command", [
    pytest.param(command, marks=() if PRINT_MUCH & set(command) else pytest.mark.nightly)
    for command in COMMANDS if not set(command) & set(SERVERS)
], ids=named)  # fmt: skip
def test_the_reader_stops_after_the_first_byte(command: tuple[str, ...], made: Path, tmp_path: Path) -> None:
    code, stderr = ended(command, made, tmp_path, reads=True)
    assert (code in (0, 141), stderr) == (True, b"")


@pytest.mark.parametrize("command", [("--version",), ("info",)], ids=named)
def test_nobody_reads_what_is_written_at_once(command: tuple[str, ...], made: Path, tmp_path: Path) -> None:
    assert ended(command, made, tmp_path, reads=False, PYTHONUNBUFFERED="1") == (141, b"")


def test_an_error_is_one_although_nobody_reads(made: Path, tmp_path: Path) -> None:
    code, stderr = ended(("simulate", "--bits", "65"), made, tmp_path, reads=False)
    assert (code, stderr) == (2, b"error: --bits must be 1 .. 64, got 65\n")


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
        done = ran(*PROGRAM, "--version", stdout=full, env=buffered)
    assert (done.returncode, done.stderr) == (2, b"error: the output cannot be written: No space left on device\n")


def test_no_stdout_at_all(made: Path) -> None:
    done = ran("sh", "-c", f"exec {' '.join(PROGRAM)} --version >&-", cwd=made)
    assert (done.returncode, done.stderr) == (0, b"")
