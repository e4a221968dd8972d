"""What bench.peers.nvflare measures gives the right mean."""

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from bench.peers import nvflare as measured

SETTINGS = (measured.Setting(4, 1_000), measured.Setting(6, 1_000, dropped=1))


@pytest.fixture(autouse=True)
def quiet_and_quick(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(measured, "PAUSE", 0.05)


@pytest.mark.parametrize("setting", SETTINGS, ids=["all", "one is gone"])
@pytest.mark.parametrize("name", measured.WAYS)
def test_ways_give_the_survivors_mean(tmp_path: Path, name: str, setting: measured.Setting) -> None:
    outcome = measured.WAYS[name](setting, tmp_path)
    np.testing.assert_allclose(outcome.mean, setting.mean, rtol=0, atol=1e-5)
    assert len(outcome.costs) == len(setting.survivors)
    assert {cost.tasks for cost in outcome.costs} == {{"plain FedAvg": 1, "secagg": 4}.get(name, 5)}
    assert all(cost.up > 1_000 * 3 and cost.down > 1_000 * 4 for cost in outcome.costs)
