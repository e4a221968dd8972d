"""The examples run as a user runs them; skipped where the `examples` extra is not installed."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ..support.folders import ROOT
from ..support.processes import ran

EXAMPLES = ROOT / "examples"
ROW = re.compile(r" +(\d+) +([\d.]+)% +([\d.]+)% +([\d.e-]+) +([\d.e-]+) +[\d.]+  (.+)")

pytest.importorskip("sklearn", reason="needs scikit-learn (the `examples` extra)")
pytest.importorskip("matplotlib", reason="needs matplotlib (the `examples` extra)")


def federated_digits(*arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(sys.executable, EXAMPLES / "federated_digits.py", *arguments, text=True)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = importlib.import_module("federated_digits")
    monkeypatch.setattr(module, "EPOCHS", 1)
    return module


def test_federated_digits_learns_and_agrees_with_plain_averaging(tmp_path: Path) -> None:
    plot = tmp_path / "accuracy.png"
    arguments = ("--rounds", "3", "--clients", "12", "--drop", "0.2", "--plot", str(plot))
    done = federated_digits(*arguments, "--seed", "5", "--threads", "2")
    assert done.returncode == 0, done.stderr
    rows = [match.groups() for match in map(ROW.fullmatch, done.stdout.splitlines()) if match]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    for _, secure, plain, difference, bound, dropped in rows:
        assert abs(float(secure) - float(plain)) < 0.5
        assert 0 < float(difference) <= float(bound) < 1e-4
        assert len(re.findall(r"\b\d+\b(?!:)", dropped)) == 2
    assert float(rows[-1][1]) > 60
    assert "sent per client and round" in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_federated_digits_repeats_itself_with_the_same_seed(module: ModuleType) -> None:
    """Keys and masks differ every time; they leave no trace in the model."""

    def train(threads: int) -> list[Any]:
        training = module.Training(clients=8, drop=0.25, seed=3, threads=threads)
        outcomes = [training.round(lambda *progress: None) for _ in range(2)]
        return [(o.secure_accuracy, o.difference, o.drops, o.simulation.sum.tobytes()) for o in outcomes]

    assert train(threads=1) == train(threads=2)


def test_federated_digits_fails_when_the_averages_differ_too_much(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = module.Training(clients=5, drop=0.0, seed=1, threads=1)
    plain_average = module.plain_average
    monkeypatch.setattr(module, "plain_average", lambda *args: [array + 1e-3 for array in plain_average(*args)])
    with pytest.raises(SystemExit, match="differ by more than the error bound"):
        module.run(training, 1, module.Console(quiet=True))


def test_federated_digits_refuses_in_one_line(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(module.typer.Exit) as stop:
        module.main(rounds=1, clients=10, drop=0.9, threads=1)
    assert stop.value.exit_code == 2
    assert re.fullmatch(r"too many clients dropped out: \w+: \d answered, 7 needed\n", capsys.readouterr().err)


@pytest.mark.parametrize(("name", "reason"), [("missing/plot.png", "no such directory"), ("plot.txt", "end in .png")])
def test_federated_digits_refuses_a_plot_it_could_not_save(
    module: ModuleType, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(module.typer.BadParameter, match=reason):
        module.plot_path(tmp_path / name)


def test_parts_cover_the_training_set_unequally(module: ModuleType) -> None:
    training_set, test_set = module.load_data(0)
    parts = module.partition(training_set, 100, module.np.random.default_rng(0))
    sizes = [len(part.y) for part in parts.values()]
    assert (sum(sizes), len(test_set.y)) == (1437, 360)
    assert sorted(parts) == list(range(1, 101))
    assert min(sizes) >= 1
    assert max(sizes) > 5 * sorted(sizes)[50]
