"""What tests start: `tests/support/processes.py`."""

import os
import re
import signal
import subprocess
import sys
import time

from ..support.folders import ROOT
from ..support.processes import family, left_over, ran, restore_interrupts, started

# The others are a program of its own, which tests run, and a test that is written for it.
PLACES = {
    "tests/support/processes.py",
    "tests/mutants/running.py",
    "tests/mutants/test_table.py",
    "tests/integrations/nvflare/runtime/deployment.py",  # a program, in a namespace that ends what it starts
}
STARTS = re.compile(r"\bsubprocess\.(run|call|check_\w+|Popen)\(|\bos\.(system|popen)\(|ProcessPoolExecutor\(")


def running(mark: str) -> list[str]:
    return [command for command in left_over().values() if mark in command]


def wait_until_gone(mark: str) -> None:
    """Killed processes are there for a moment more."""
    until = time.monotonic() + 60
    while running(mark):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_process_takes_those_that_it_has_started_with_it() -> None:
    with started("bash", "-c", "sleep 98761 & echo; wait", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert len(running("sleep 98761")) == 2
        process.kill()
        process.wait()
        assert len(running("sleep 98761")) == 1
    wait_until_gone("sleep 98761")


def test_a_family_is_killed_in_whatever_sessions_it_is() -> None:
    sleeping = [f"sleep {each}" for each in (98763, 98764, 98765)]
    script = "setsid -f sleep 98763; setsid -f sh -c 'sleep 98764; :'; sleep 98765; :"
    with family("bash", "-c", script, env={**os.environ}) as kin:
        while not all(map(running, sleeping)):
            time.sleep(0.01)
        assert os.getpid() not in kin.members()
        kin.kill()
        assert kin.members() == []
        assert kin.head.wait(60) != 0
    assert not any(map(running, sleeping))


def test_a_family_does_not_outlive_its_test() -> None:
    with family("bash", "-c", "setsid -f sleep 98766; echo", env={**os.environ}, stdout=subprocess.PIPE) as kin:
        assert kin.head.stdout is not None
        assert kin.head.stdout.readline() == b"\n"
        assert kin.head.wait(60) == 0
        assert len(running("sleep 98766")) == 1
    wait_until_gone("sleep 98766")


def test_what_is_left_is_named_with_its_test() -> None:
    with started("sleep", "98762"):
        (command,) = running("sleep 98762")
        assert "test_what_is_left_is_named_with_its_test" in command
    wait_until_gone("sleep 98762")


def test_interrupts_are_heeded_where_they_were_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        restore_interrupts()
        signal.raise_signal(signal.SIGINT)  # still ignored here
        done = ran(sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT).__name__)", text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.stdout == "default_int_handler\n"


def test_tests_start_processes_in_one_place() -> None:
    others = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    assert {name for name, text in others.items() if STARTS.search(text)} <= PLACES
