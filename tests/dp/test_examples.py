"""The examples on differential privacy, small; skipped where the `examples` extra is not installed."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from secagg import dp

from ..support.folders import ROOT
from ..support.processes import ran

EXAMPLES = ROOT / "examples"

pytest.importorskip("matplotlib", reason="needs matplotlib (the `examples` extra)")
pytestmark = pytest.mark.slow

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def rows(name: str, *arguments: str) -> tuple[list[list[float]], str]:
    """The numbers of each line that holds only numbers, and all that was printed."""
    done = ran(sys.executable, EXAMPLES / f"{name}.py", *arguments, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if re.fullmatch(r"[\d.,:% ]+", line) and line.strip()]
    return [[float(cell.strip(":%").replace(",", "")) for cell in line.split()] for line in lines], done.stdout


def test_network_errors_are_as_far_off_as_their_noise(tmp_path: Path) -> None:
    """Two Laplace noises of scale b = 2 / epsilon are 1.5 b off on average."""
    plot = tmp_path / "errors.png"
    arguments = ("--reports", "1500", "--largest", "300", "--releases", "300", "--plot", str(plot))
    table_rows, printed = rows("network_errors", *arguments)
    assert [row[1] for row in table_rows] == [1500] * 9 + [100, 300]
    for epsilon, reports, common, common_error, rare, rare_error, _, within in table_rows:
        assert rare < common < reports
        for count, error in ((common, common_error), (rare, rare_error)):
            assert epsilon > 0.2 or 0.7 < error / 100 * count / (3 / epsilon) < 1.3
        assert within > 92
    assert re.search(r"type 8, \d+ reports: mean error of at most 2% from epsilon = 0\.[25] on", printed)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_network_errors_get_noise_from_both_aggregators(load: Load) -> None:
    module = load("network_errors")
    plan = module.plan_for("0.5")
    nothing = module.Batch(np.zeros(20, np.int64), (module.PRIO3.agg_init(), module.PRIO3.agg_init()))
    released = np.array([nothing.release(plan) for _ in range(500)])
    assert 0.8 < released.var() / (4 * 4**2) < 1.2  # 2 * scale**2 each
    assert released.min() < 0 < released.max()


def test_network_errors_fail_when_reports_are_lost(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("network_errors")
    seen = module.draw(50, np.random.default_rng(0))
    assert module.collect(seen, lambda done: None).reports == 50
    monkeypatch.setattr(type(module.PRIO3), "agg_update", lambda *arguments: None)
    with pytest.raises(SystemExit, match="not the histogram"):
        module.collect(seen, lambda done: None)


def test_noise_under_secure_aggregation_is_sqrt_n_times_less(tmp_path: Path) -> None:
    plot = tmp_path / "gain.png"
    table_rows, _ = rows("local_or_distributed", "--largest", "64", "--entries", "1000", "--plot", str(plot))
    assert [row[0] for row in table_rows] == [16, 32, 64]
    for n, local, together, gain, root, cautious, cautious_gain, cautious_root in table_rows:
        assert root == pytest.approx(n**0.5, abs=0.01)
        assert cautious_root == pytest.approx((2 * n // 3 + 1 - (-(-n // 3) - 1)) ** 0.5, abs=0.01)
        assert gain == pytest.approx(local / together, rel=0.01) == pytest.approx(root, rel=0.2)
        assert cautious_gain == pytest.approx(local / cautious, rel=0.01)
        assert cautious_gain == pytest.approx(cautious_root, rel=0.2)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_local_or_distributed_fails_when_a_session_gives_another_sum(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("local_or_distributed")
    session = module.session
    monkeypatch.setattr(module, "session", lambda *arguments: session(*arguments) + 1)
    with pytest.raises(SystemExit, match="not that of the noisy vectors"):
        module.compare(16, 10, np.random.default_rng(0))


def test_a_private_mean_is_as_far_off_as_its_noise(tmp_path: Path) -> None:
    plot = tmp_path / "mean.png"
    arguments = ("--users", "9", "--entries", "1000", "--plot", plot)
    done = ran(sys.executable, EXAMPLES / "private_mean.py", *arguments, text=True)
    assert done.returncode == 0, done.stderr
    cells = [
        line.replace(",", "").split() for line in done.stdout.splitlines() if re.match(r" +[\d.]+ +(no|yes) ", line)
    ]
    assert len(cells) == 4 * 4 + 2 * 3  # at epsilon = 1 with one dropout more
    assert {(row[1], row[2]) for row in cells} == {(rotated, k) for rotated in ("no", "yes") for k in "012"}
    for epsilon, _, dropped, *numbers in cells:
        error, expected, central, ratio, over_noise = map(float, numbers[:5])
        assert error == pytest.approx(expected, rel=0.15)
        assert over_noise == pytest.approx((9 - int(dropped)) / 5, abs=0.01)  # t = 7, n_C = 2
        assert ratio == pytest.approx(error / central, rel=0.01)
        assert ratio == pytest.approx(over_noise**0.5, rel=0.2), epsilon
    assert re.search(r"a ledger of \(4, 1e-05\)-DP pays for 1\d rounds at \(1, 1e-06\)-DP; nobody joins", done.stdout)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_private_mean_fails_when_noise_is_missing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("private_mean")
    noise = dp.Noise.sample
    monkeypatch.setattr(dp.Noise, "sample", lambda self, **others: 0 * noise(self, **others))
    with pytest.raises(SystemExit, match="FAILED: an error of"):
        module.measure(module.task_for("1", 5, 200, False), np.ones((5, 200)), 0)


@pytest.mark.parametrize("example", ["network_errors", "local_or_distributed", "private_mean"])
@pytest.mark.parametrize("name", ["missing/plot.png", "plot.txt"])
def test_a_plot_that_could_not_be_saved_is_refused_first(load: Load, tmp_path: Path, example: str, name: str) -> None:
    module = load(example)
    with pytest.raises(module.typer.BadParameter, match=r"must end in \.png, in a directory that exists"):
        module.plot_path(tmp_path / name)
