"""SIGHUP opens the log file again, as after a rotation, and does nothing else: tested with real processes."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest

from secagg.http.hangup import on_hangup
from secagg.http.logs import LogFile

from ...support.processes import ran, started

PROGRAM = (sys.executable, "-m", "secagg", "dap")
PATIENCE = 60.0  # seconds, on a busy machine


@contextmanager
def running(*arguments: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server or a worker, and the line by which it says that it is there; no process of its group is left."""
    with started(*PROGRAM, *arguments, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a Leader that logs to a file."""
    ran(*PROGRAM, "init", "--role", "leader", cwd=tmp_path).check_returncode()
    return tmp_path


def change(folder: Path, *lines: tuple[str, str]) -> None:
    file = folder / "leader.toml"
    text = file.read_text()
    for before, after in (("# file = ", 'file = "leader.log" # '), *lines):
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.02)


class Requests:
    """Requests one after another, from a thread, until the block is left; none may be lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answered = 0
        self.lost: list[object] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with httpx.Client(timeout=PATIENCE) as http:
            while not self._stop.is_set():
                try:
                    status = http.get(f"{self._url}/healthz").status_code
                    self.lost += [] if status == 200 else [status]
                except httpx.HTTPError as error:
                    self.lost.append(error)
                self.answered += 1

    def have_been(self, count: int) -> bool:
        return self.answered >= count

    def __enter__(self) -> "Requests":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_goes_on_in_a_new_file(processes: int, folder: Path) -> None:
    change(folder, ("processes = 1", f"processes = {processes}"))
    new, old = folder / "leader.log", folder / "old.log"
    with running("leader", "--config", "leader.toml", "--listen", "127.0.0.1:0", folder=folder) as (process, line):
        with Requests(line.split()[-1]) as requests:
            started = "Started server process"
            wait_for(
                lambda: new.read_text().count("Application startup complete") == processes, "no server has started"
            )
            for rotation in range(3):
                enough = requests.answered + 10
                new.rename(old)
                process.send_signal(signal.SIGHUP)
                wait_for(new.exists, "no new file")
                wait_for(lambda: not writers(old), f"rotation {rotation}: the old file is still open")
                wait_for(partial(requests.have_been, enough), "requests are not answered")
                assert len(writers(new)) == processes + (processes > 1)
        assert requests.lost == []
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert started not in new.read_text(), "a server process was started anew"
        assert new.read_text().count("workers have stopped") == processes


def test_a_worker_goes_on_in_a_new_file(folder: Path) -> None:
    change(folder)
    new, old = folder / "leader.log", folder / "old.log"
    with running("worker", "--config", "leader.toml", folder=folder) as (process, line):
        assert line.startswith("working")
        new.rename(old)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: new.exists() and not writers(old), "no new file")
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_without_a_file_nothing_happens(folder: Path) -> None:
    with running("leader", "--config", "leader.toml", "--listen", "127.0.0.1:0", folder=folder) as (process, line):
        process.send_signal(signal.SIGHUP)
        assert httpx.get(f"{line.split()[-1]}/healthz", timeout=PATIENCE).status_code == 200
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_file_that_cannot_be_opened_is_refused_at_the_start_and_kept_later(folder: Path) -> None:
    change(folder, ('file = "leader.log"', 'file = "logs/leader.log"'))
    refused = ran(*PROGRAM, "leader", "--config", "leader.toml", cwd=folder)
    assert refused.returncode == 2
    assert b"[log] file logs/leader.log cannot be written: No such file" in refused.stderr
    (folder / "logs").mkdir()
    with running("worker", "--config", "leader.toml", folder=folder) as (process, _):
        (folder / "logs").rename(folder / "elsewhere")
        process.send_signal(signal.SIGHUP)
        kept = folder / "elsewhere/leader.log"
        wait_for(lambda: "cannot be opened again" in kept.read_text(), "it does not go on in the file that it has")
        assert process.poll() is None


def writers(file: Path) -> set[int]:
    """The processes that have the file open."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(link.resolve() == file for link in (entry / "fd").iterdir()):
                    found.add(int(entry.name))
            except OSError:  # it has ended, or is not ours
                continue
    return found


def test_a_line_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """As where the disk is full: whoever acts on SIGHUP is there for the next one."""
    handler = LogFile(Path("/dev/full"))
    assert handler.stream is not None
    handler.stream.write("a line that is still to be written")
    handler.baseFilename = str(tmp_path / "log")
    handler.reopen()
    handler.emit(logging.makeLogRecord({"msg": "the next"}))
    handler.close()
    assert (tmp_path / "log").read_text() == "the next\n"


def test_an_action_that_fails_leaves_the_next_hangup_heard() -> None:
    calls: SimpleQueue[int] = SimpleQueue()

    def act() -> None:
        calls.put(1)
        raise OSError("the disk is full")

    with on_hangup(act):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            assert calls.get(timeout=PATIENCE) == 1
