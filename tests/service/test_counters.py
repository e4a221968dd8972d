"""Counters behind a program: what it is called with, and each way in which it can fail, by one line and in time."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from secagg import LocalProtocolError
from secagg.service.counters import CommandCounter, CounterFailed, command_counters

NAME = "0123456789abcdef" * 2

PROGRAM = """#!/bin/sh
# One file for each name. It stands for a program that asks a TPM.
set -e
file="$1/$3"
case "$2" in
value) cat "$file" 2>/dev/null || echo 0 ;;
advance) echo "$4" > "$file" ;;
esac
echo "$2 $3 $4" >> "$1/log"
"""


def program(folder: Path, text: str = PROGRAM) -> Path:
    """A program of a user's."""
    path = folder / "a counter"
    path.write_text(text)
    path.chmod(0o700)
    return path


@pytest.fixture
def counted(tmp_path: Path) -> str:
    """The command of a program that counts."""
    (tmp_path / "numbers").mkdir()
    return shlex.join([str(program(tmp_path)), str(tmp_path / "numbers")])


def test_the_program_is_asked_for_a_name_s_number_and_raises_it(counted: str, tmp_path: Path) -> None:
    counter, other = command_counters(counted)(NAME), command_counters(counted)("f" * 32)
    assert counter.value() == 0
    counter.advance(1)
    counter.advance(2)
    assert (counter.value(), other.value()) == (2, 0)
    log = (tmp_path / "numbers" / "log").read_text().splitlines()
    assert log == [f"value {NAME} ", f"advance {NAME} 1", f"advance {NAME} 2", f"value {NAME} ", f"value {'f' * 32} "]


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("  7\\n\\n", 7), ("18446744073709551615", 2**64 - 1)])
def test_numbers_of_64_bits_are_read(tmp_path: Path, text: str, value: int) -> None:
    assert CommandCounter([str(program(tmp_path, f"#!/bin/sh\nprintf '{text}'\n"))], NAME).value() == value


@pytest.mark.parametrize("text", ["", "-1", "1.0", "0x7", "07", "1 2", "18446744073709551616", "9" * 30, "\\0331"])
def test_whatever_else_is_printed_is_no_number(tmp_path: Path, text: str) -> None:
    counter = CommandCounter([str(program(tmp_path, f"#!/bin/sh\nprintf -- '{text}'\n"))], NAME)
    with pytest.raises(CounterFailed, match="expected a number of 64 bits, got") as failed:
        counter.value()
    assert str(failed.value).isprintable()


BOTH: list[Callable[[CommandCounter], object]] = [lambda counter: counter.value(), lambda counter: counter.advance(1)]


@pytest.mark.parametrize("act", BOTH, ids=["value", "advance"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho 3; echo 'no\033 TPM' >&2; echo here >&2; exit 4\n", r"ended with exit code 4: no\? TPM here"),
        ("#!/bin/sh\nkill -9 $$\n", "ended with exit code -9"),
        ("#!/bin/sh\nyes\n", "prints more than 4096 bytes"),
        ("#!/bin/sh\nyes >&2\n", "prints more than 4096 bytes"),
        ("#!/bin/sh\nsleep 1000 & sleep 1000\n", "takes longer than 0.2 s"),
        ("#!/bin/sh\nexec >&- 2>&-; sleep 1000\n", "takes longer than 0.2 s"),
        ("no program\n", "cannot be run: Exec format error"),
    ],
    ids=["exit code", "killed", "talkative", "talkative errors", "slow", "silent", "no program"],
)
def test_a_program_that_fails_is_one_line(
    tmp_path: Path, text: str, reason: str, act: Callable[[CommandCounter], object]
) -> None:
    seconds = 0.2 if "0.2" in reason else 60.0
    with pytest.raises(CounterFailed, match=reason) as failed:
        act(CommandCounter([str(program(tmp_path, text))], NAME, seconds=seconds))
    assert str(failed.value).isprintable()


@pytest.mark.parametrize("fails", [False, True])
def test_a_program_that_leaves_others_behind_has_ended(tmp_path: Path, fails: bool) -> None:
    """As one that starts its agent at the first call, which keeps stdout and stderr open for as long as it lives."""
    marker = tmp_path / "agent"
    end = "echo 'no TPM' >&2; exit 4" if fails else "echo 3"
    text = f"#!/bin/sh\nsleep 1000 &\necho $! > '{marker}'\n{end}\n"
    counter = CommandCounter([str(program(tmp_path, text))], NAME, seconds=60.0)
    try:
        if fails:
            with pytest.raises(CounterFailed, match="ended with exit code 4: no TPM"):
                counter.advance(1)
        else:
            assert counter.value() == 3
        os.kill(int(marker.read_text()), 0)  # nobody has ended what is not ours to end
    finally:
        os.kill(int(marker.read_text()), signal.SIGKILL)


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CounterFailed, match=r"the counter '.*/none value' cannot be run: No such file"):
        command_counters(str(tmp_path / "none"))(NAME).value()


@pytest.mark.parametrize(("text", "reason"), [("  ", "is empty"), ("tpm 'x", "cannot be read: No closing quotation")])
def test_a_command_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        command_counters(text)


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    with pytest.raises(CounterFailed, match="expected a number"):
        command_counters(f"echo $(touch {tmp_path}/touched); touch {tmp_path}/touched")(NAME).value()
    assert not (tmp_path / "touched").exists()


def test_an_interrupt_of_the_terminal_does_not_reach_the_program(tmp_path: Path) -> None:
    """It is in a session of its own."""
    script = tmp_path / "sid.py"
    script.write_text("import os; print(os.getsid(0) == os.getpid() and 1 or 0)")
    assert CommandCounter([sys.executable, str(script)], NAME).value() == 1
