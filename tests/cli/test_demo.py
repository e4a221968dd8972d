"""`secagg dap demo`: the command on real processes, and what it does when they, or its user, do not go on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from secagg.cli.demo import experiments, figures
from secagg.cli.demo.command import terminable
from secagg.cli.demo.demo import Batch, Demo, Release, browsers, privacy_for, ranking
from secagg.cli.demo.local import Local, LocalError
from secagg.cli.demo.report import BAR, bar_text
from secagg.cli.demo.usage import Usage
from secagg.dap.messages import Role
from secagg.dap.server.config import SECRET_VARIABLE
from secagg.dap.vdafs import vdaf

from ..support.commands import Command, plain_environment
from ..support.processes import PATIENCE, left_over, ran, started

NO_NOISE = "1000"  # the epsilon at which no sample but 0 is to be expected in 1e200 years


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment(SECRET_VARIABLE):
        yield


COMMAND = Command("dap", "demo")
outcome, refused = COMMAND.outcome, COMMAND.refused


def quiet(name: str, done: int, total: int) -> None:
    """No progress."""


def test_result_is_the_histogram_of_the_browsers() -> None:
    code, out, err = outcome("--reports", "300", "--length", "5", "--epsilon", NO_NOISE, "--seed", "3", "--json")
    assert (code, err) == (0, "")
    report: dict[str, Any] = json.loads(out)
    seen = browsers(300, 5, np.random.default_rng(3))
    assert report["truth"] == np.bincount(seen, minlength=5).tolist()
    assert report["result"] == report["truth"]
    assert (report["report_count"], report["wrong"], report["folder"], report["figures"]) == (300, None, None, [])
    assert [row["role"] for row in report["processes"]] == ["leader", "helper", "collector"]
    assert len({os.getpid(), *(row["pid"] for row in report["processes"])}) == 4
    assert all(row["cpu_seconds"] > 0 and row["peak_bytes"] > 1 << 20 for row in report["processes"])
    assert ["total", "1000-DP: 1 collections at most"] in report["privacy"]


def test_text_has_the_bars_and_a_kept_folder_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    code, out, err = outcome("--reports", "200", "--keep", folder)
    assert (code, err) == (0, "")
    bar = privacy_for("1", vdaf("Histogram", length=20)).plan(vdaf("Histogram", length=20)).error(0.95).absolute
    truth = np.bincount(browsers(200, 20, np.random.default_rng(1)), minlength=20)
    rows = [line.split()[:4] for line in out.splitlines()]  # one remark begins with a noisy number, which may be 8, too
    (row,) = (row for row in rows if row[:2] == ["8", f"{truth[8]:,}"])
    assert row[3] == f"{bar:,.0f}"
    assert "guarantee    1-DP for a report, replace-one" in out
    assert f"{folder} has the configurations" in out
    assert {"leader.toml", "leader.db", "leader.log", "helper.db", "collector-1.json"} <= set(os.listdir(folder))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_wrong_result_is_shown_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    collect = Demo.collect

    def tampered(self: Demo, batches: list[Batch]) -> list[Release]:
        releases = collect(self, batches)
        return [replace(release, result=[release.result[0] + 10_000, *release.result[1:]]) for release in releases]

    monkeypatch.setattr(Demo, "collect", tampered)
    code, out, err = outcome("--reports", "100", "--json")
    assert code == 1
    assert json.loads(out)["wrong"] in err
    assert "more than the noise can be" in err


def test_the_reports_that_the_post_s_error_takes_follow_from_the_law(tmp_path: Path) -> None:
    """Two noises of scale 20: a mean error of 30, and so 3,000 reports where half of them are of the type."""
    local = Local(tmp_path)
    local.urls = {Role.LEADER: "http://127.0.0.1:1", Role.HELPER: "http://127.0.0.1:2"}
    batch = Demo(local, 4, quiet).new_batch(np.repeat([0, 1], [50, 50]), "0.1")
    release = Release(batch, 100, [50, 50, 0, 0], 80.0, Usage(1, 0.0, 0.0, 0))
    assert figures.reports_needed([release], 1) == pytest.approx(3000, rel=0.01)
    assert figures.reports_needed([release, release], 1) == figures.reports_needed([release], 1)


def test_figures_are_drawn_from_a_task_for_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "HISTOGRAM_EPSILONS", ("1",))
    monkeypatch.setattr(experiments, "EPSILONS", ("1", NO_NOISE))
    monkeypatch.setattr(experiments, "SIZES", (20, 40))
    monkeypatch.setattr(experiments, "REPEATS", 1)
    code, out, err = outcome("--reports", "30", "--figures", tmp_path / "drawn")
    assert (code, err) == (0, "")
    files = sorted((tmp_path / "drawn").iterdir())
    assert [line.removeprefix("drawn: ") for line in out.splitlines() if line.startswith("drawn: ")]
    assert {file.suffix for file in files} == {".svg", ".json"}
    assert len(files) == 4
    assert all("</svg>" in file.read_text() for file in files if file.suffix == ".svg")
    by_batch = (tmp_path / "drawn" / "dap_error_by_batch.svg").read_text()
    assert "a mean error of 2% at most: type 8 from " in by_batch
    assert "2%, as in the post" in by_batch
    points = json.loads((tmp_path / "drawn" / "dap_figures.json").read_text())
    assert [point["epsilon"] for point in points["by_epsilon"]] == ["1", NO_NOISE]
    assert points["by_epsilon"][1]["result"] == points["by_epsilon"][1]["truth"]
    assert [point["reports"] for point in points["by_size"]] == [20, 40]
    assert [sum(point["truth"]) for point in points["by_size"]] == [20, 40]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--reports", "9"), "--reports must be 10 .. 1,000,000, got 9"),
        (("--reports", "1000001"), "--reports must be 10 .. 1,000,000"),
        (("--length", "1"), "--length must be 2 .. 1,000, got 1"),
        (("--seed", "-1"), "--seed must not be negative"),
        (("--epsilon", "0"), "epsilon"),
        (("--epsilon", "much"), "epsilon"),
        (("--epsilon", "1001"), "epsilon and rho of a task must be 1e-9 .. 1000"),
        (("--figures", "x", "--length", "5"), "leave out --length"),
        (("--figures", __file__), "it is not a folder"),
        (("--keep", Path(__file__).parent), "it must be a new or empty folder"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(arguments: tuple[str | Path, ...], reason: str) -> None:
    assert reason in refused(*arguments)


def test_missing_matplotlib_and_foreign_secret_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "matplotlib", None)
        assert refused("--figures", tmp_path) == "--figures needs matplotlib: pip install matplotlib"
    monkeypatch.setenv(SECRET_VARIABLE, "00" * 32)
    assert refused().endswith("unset it")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_ends_every_process(tmp_path: Path, number: signal.Signals, code: int) -> None:
    folder = tmp_path / "kept"
    command = (sys.executable, "-m", "secagg", "dap", "demo", "--reports", "1000000", "--keep", folder)
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + PATIENCE
        while not (folder / "collector-1.json").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert not [command for command in left_over().values() if str(folder) in command]
    assert (process.returncode, out, err) == (code, b"", b"")


class Unraisable:
    """Gets a signal where Python ignores what is raised."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_comes_while_garbage_is_collected_is_not_lost(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(typer.Exit) as raised:
            _signalled_while_garbage_is_collected(number)
    finally:
        signal.signal(signal.SIGINT, interrupts)
    assert raised.value.exit_code == 128 + number
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == before
    assert capsys.readouterr().err == ""


def _signalled_while_garbage_is_collected(number: signal.Signals) -> None:
    with terminable() as check:
        check()
        doomed = Unraisable(number)
        del doomed
        check()


def test_an_interrupt_while_code_is_made_ends_with_130() -> None:
    script = """
import signal, sys
from typer import Exit
from secagg.cli.demo.command import terminable
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with terminable():
        exec("signal.raise_signal(signal.SIGINT)")
except Exit as end:
    sys.exit(end.exit_code)
"""
    done = ran(sys.executable, "-c", script)
    assert (done.returncode, done.stderr) == (130, b"")


def test_process_that_ends_is_named_with_its_log(tmp_path: Path) -> None:
    with Local(tmp_path) as local:
        demo = Demo(local, 4, quiet)
        batch = demo.new_batch(browsers(100, 4, np.random.default_rng(0)), "1")
        local.processes[Role.LEADER].kill()
        with pytest.raises(
            LocalError, match=r"the leader has ended by itself, with exit code -9; the end of its log: "
        ):
            demo.upload([batch])


def test_collector_that_fails_says_why(tmp_path: Path) -> None:
    with Local(tmp_path) as local:
        demo = Demo(local, 4, quiet)
        batch = demo.new_batch(browsers(100, 4, np.random.default_rng(0)), "1")
        demo.upload([batch])
        batch.file.write_text("{}")
        with pytest.raises(LocalError, match=r"the Collector failed: .*collector-1\.json"):
            demo.collect([batch])


def test_process_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    local = Local(tmp_path)
    (tmp_path / "leader.toml").write_text("nonsense")
    with (
        pytest.raises(LocalError, match=r"the leader does not start; the end of its log: error: .*leader\.toml"),
        local,
    ):
        pass


def test_release_is_wrong_beyond_its_noise(tmp_path: Path) -> None:
    local = Local(tmp_path)
    local.urls = {Role.LEADER: "http://127.0.0.1:1", Role.HELPER: "http://127.0.0.1:2"}
    batch = Demo(local, 4, quiet).new_batch(np.repeat([0, 1], [90, 10]), "1")
    right = Release(batch, 100, [95, 7, -9, 3], 8.0, Usage(1, 0.0, 0.0, 0))
    assert right.errors == [5, -3, -9, 3]
    assert right.wrong is None
    assert replace(right, report_count=99).wrong == "100 reports were accepted, but 99 were collected"
    assert "more than the noise can be" in str(replace(right, result=[95, 7, -300, 3]).wrong)


def test_types_are_ranked_as_in_the_post() -> None:
    order = ranking(20)
    assert (order[0], order[3]) == (8, 15)
    assert all(sorted(ranking(n)) == list(range(n)) for n in (2, 20, 1000))
    counts = np.bincount(browsers(100_000, 20, np.random.default_rng(0)), minlength=20)
    assert counts.argmax() == 8
    assert 0.5 < counts[8] / 100_000 < 0.54


def test_sizes_of_batches_follow_the_reports() -> None:
    assert experiments.sizes(1000) == [100, 300, 1000, 3000, 10_000, 30_000]
    assert experiments.sizes(20) == [100, 300]
    assert experiments.sizes(1_000_000)[-1] == 1_000_000


@pytest.mark.parametrize(
    ("truth", "result", "bar", "expected"),
    [
        (64, 64, 0, "█" * BAR + "|"),  # nothing in doubt
        (0, -30, 8, "|"),  # nothing to be seen
        (16, 0, 16, "░" * (BAR // 2) + "|"),  # nobody, or as many as 16: half as long as 64
        (4, 16, 0, "█" * (BAR // 4) + "|" + "█" * (BAR // 4 - 1)),
    ],
)
def test_bars(truth: int, result: int, bar: float, expected: str) -> None:
    assert bar_text(truth, result, bar, 64) == expected
