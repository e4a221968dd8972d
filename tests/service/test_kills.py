"""Processes that are killed in the middle of a session: participants, and the coordinator under its participants."""

import json
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import Any, cast

import numpy as np
import pytest

from secagg import Model, Round, rounds_of
from secagg.cli.service.serve import CONFIG, TOKEN, TOKENS
from secagg.http.steps import Progress
from secagg.service.coordinator import Coordinator
from secagg.service.participant import Contribution, Standing

from ..support.commands import Command
from ..support.coordinators import NAMES, PATIENCE, Kept, free_ports, kept, process
from ..support.processes import ran, started
from ..support.sites import Sites, sum_over, vector

MODELS = pytest.mark.parametrize("model", list(Model), ids=lambda model: model.name.lower())


def command(sites: Sites, session: str, u: int) -> list[str | Path]:
    """`secagg join` for a user, with files of its own."""
    folder = sites.folder
    key, source = folder / f"{u}.key", folder / f"{u}.npy"
    np.save(source, vector(u))
    words: list[str | Path] = [sys.executable, "-m", "secagg", "join", sites.kept.url, "--session", session, "--json"]
    if sites.model is Model.ACTIVE:
        assert sites.roster is not None
        sites.roster.write(folder / "roster.txt")
        if not key.exists():
            sites.identities[u].save(key)
        words += ["--roster", folder / "roster.txt"]
    else:
        key.touch(0o600)
        key.write_text(sites.kept.tokens[NAMES[u - 1]])
    return [*words, "--key", key, "--input", source, "--state", folder / "state"]


def killed_after(running: "subprocess.Popen[str]", current: Round) -> bool:
    """Kill a process once it says that it has answered a round; False if it has come to its end before."""
    assert running.stderr is not None
    for line in running.stderr:
        if line.rstrip().endswith(f"{current} answered"):
            running.send_signal(signal.SIGKILL)
            return True
    return False


@pytest.mark.alone
@MODELS
def test_a_participant_that_is_killed_in_each_round_goes_on_where_it_was(tmp_path: Path, model: Model) -> None:
    """User 4 is a process, and another after each round; the others wait for it."""

    def contribute(u: int) -> Contribution:
        with sites.participant(u) as participant:
            return participant.contribute(session, vector(u))

    with kept(tmp_path / "coordinator") as running, ThreadPoolExecutor(3) as pool:
        sites = Sites(running, tmp_path, model)
        session, params = sites.create()
        others = [pool.submit(contribute, u) for u in (1, 2, 3)]
        words = command(sites, session, 4)
        for current in rounds_of(params)[:-1]:
            with started(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as joining:
                assert killed_after(joining, current)
        done = ran(*words, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["survivors"] == [1, 2, 3, 4]
        for each in others:
            contribution = each.result(PATIENCE)
            assert contribution.sum is not None
            assert contribution.sum.tolist() == sum_over([1, 2, 3, 4])
    assert list((tmp_path / "state").glob("*.client")) == []


@pytest.mark.alone
@MODELS
def test_participants_go_on_under_a_coordinator_that_is_killed_in_each_round(tmp_path: Path, model: Model) -> None:
    """User 4 holds the round up until the coordinator has been killed and started again, five times or so."""
    Command("serve").run("--init", tmp_path / "c", "--participants", ",".join(NAMES[:4]))
    config, port = tmp_path / "c" / CONFIG, free_ports(1)[0]
    reached: Queue[Any] = Queue()
    go_on: Queue[None] = Queue()

    def hold(told: Progress) -> None:
        assert isinstance(told, Standing)
        if told.reason in ("joined", "answered"):
            reached.put(told.round)
            go_on.get(timeout=PATIENCE)

    def contribute(u: int) -> Contribution:
        with sites.participant(u) as participant:
            return participant.contribute(session, vector(u), progress=hold if u == 4 else None)

    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        url, running = stack.enter_context(process("--config", config, "--listen", f"127.0.0.1:{port}"))
        sites = Sites(speaking(url, tmp_path / "c"), tmp_path, model)
        session, params = sites.create()
        everybody: list[Future[Contribution]] = [pool.submit(contribute, u) for u in sites.users]
        for expected in (None, *rounds_of(params)):
            assert reached.get(timeout=PATIENCE) == expected
            running.send_signal(signal.SIGKILL)
            running.wait()
            again, running = stack.enter_context(process("--config", config, "--listen", f"127.0.0.1:{port}"))
            assert again == url
            go_on.put(None)
        for each in everybody:
            contribution = each.result(PATIENCE)
            assert contribution.sum is not None
            assert contribution.sum.tolist() == sum_over([1, 2, 3, 4])
        sites.kept.http.close()


def speaking(url: str, folder: Path) -> Kept:
    """The secrets of a coordinator whose process is another."""
    tokens = {name: (folder / TOKENS / f"{name}.token").read_text().strip() for name in NAMES[:4]}
    return Kept(cast(Coordinator, None), url, (folder / TOKEN).read_text().strip(), tokens)


_COUNTED = """
import ctypes, json, os, resource, sys
from tests.support.processes import ran
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whatever is started is ours in the end
done = ran(sys.executable, "-m", "secagg", *sys.argv[1:], stderr=None, text=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
taken = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": done.returncode, "cpu": taken.ru_utime + taken.ru_stime, "out": done.stdout}))
"""


@pytest.mark.alone
def test_the_demonstration_loses_three_of_twenty_and_takes_less_than_20_cpu_seconds() -> None:
    done = ran(sys.executable, "-c", _COUNTED, "serve", "--demo", "20", "--json", text=True)
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["code"] == 0, done.stderr
    shown = json.loads(counted["out"])
    assert shown["right"] is True
    assert shown["sum"] == shown["truth"]
    assert shown["participants"] == 20
    lost = {int(u): current for u, current in shown["lost"].items()}
    assert list(lost.values()) == ["AdvertiseKeys", "ShareKeys", "MaskedInputCollection"]
    counted_in = {u for u, current in lost.items() if current == "MaskedInputCollection"}
    assert lost.keys() - counted_in - set(shown["survivors"]) == lost.keys() - counted_in
    assert counted_in <= set(shown["survivors"])
    assert done.stderr.count("is killed, after") == 3
    assert counted["cpu"] <= 20


def test_a_demonstration_of_too_few_is_refused() -> None:
    serve = Command("serve")
    assert "takes 10 .. 200 participants, got 9" in serve.refused("--demo", "9")
    assert "--demo listens where it likes" in serve.refused("--demo", "20", "--listen", "127.0.0.1:0")
    assert "give --config to serve, --init to set up a coordinator, or --demo" in serve.refused(
        "--demo", "20", "--init", "x"
    )
