"""What bench.peers.nvflare measures gives the right mean."""

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from bench.peers import nvflare as measured

SETTING = measured.Setting(4, 1_000)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("name", measured.WAYS)
def test_ways_give_the_mean(tmp_path: Path, name: str) -> None:
    outcome = measured.WAYS[name](SETTING, tmp_path)
    np.testing.assert_allclose(outcome.mean, SETTING.mean, rtol=0, atol=1e-5)
    assert {cost.tasks for cost in outcome.costs} == {{"plain FedAvg": 1, "secagg": 4}.get(name, 5)}
    assert all(cost.up > 1_000 * 3 and cost.down > 1_000 * 4 for cost in outcome.costs)
