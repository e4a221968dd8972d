"""A short run over a link that delays and breaks. In full: `python -m bench.dap.wan`."""

import pytest

from bench.dap import wan


def test_a_deployment_far_away_gives_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    wan.run_wan(wan.Distance(0.01, 1e6, 0.05), 300, seed=0)
    assert "300 reports in" in (printed := capsys.readouterr().out)
    assert "broke 0 times" not in printed


def test_a_wrong_result_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wan, "histogram", lambda values, buckets: [0] * buckets)
    with pytest.raises(SystemExit, match="wrong: 100 reports"):
        wan.run_wan(wan.Distance(0, 1e9, 0), 100, seed=0)
