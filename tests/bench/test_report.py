"""bench.report says what a figure is worth: the load, what was missed, by how much, and why."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.machine import machine_lines
from bench.suites import Record

TARGET = {"of": "ratio", "bound": 0.9, "at_least": True, "why": "three bytes are shuffled"}


def info(ratio: float, target: dict[str, Any] | None) -> Record:
    return {
        "case": f"masks {ratio}",
        "figures": {"ms": [1.0, 2.0, 3.0]},
        "baseline": {"name": "bare AES", "ms": [1.0, 2.0, 3.0]},
        "ratio": [ratio] * 3,
        "target": target,
        "group": "kernels",
    }


def test_what_is_missed_says_by_how_much_and_why() -> None:
    slow = TARGET | {"of": "ms", "bound": 2.0, "at_least": False, "why": ""}
    said = "\n".join(report.summary([info(0.8, TARGET), info(0.95, TARGET), info(1.5, slow), info(2.0, None)]))
    assert said.startswith("1 of 3 targets met, memory aside. Missed:\n")
    assert "- masks 0.8: 0.800, at least 0.9x: three bytes are shuffled" in said
    assert "- masks 1.5: 2.00, under 2 ms: no cause is known" in said
    assert "0.95" not in said


def test_nothing_missed_is_one_line() -> None:
    assert list(report.summary([info(0.95, TARGET)])) == ["1 of 1 targets met, memory aside.\n"]


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ((0.2, 1.1), "load average when the run began: 0.2, and when it ended, the run itself included: 1.1"),
        ((0.2, None), "load average when the run began: 0.2\n"),
        ((None, None), "clock: `some`\n"),
    ],
)
def test_the_load_before_and_after_is_said(loads: tuple[float | None, float | None], said: str) -> None:
    assert said in "\n".join(machine_lines("some", loads[0], (), loads[1]))


def suites() -> Record:
    """A report of pytest-benchmark, as far as it is read."""
    extra = {key: value for key, value in info(0.8, TARGET).items() if key != "group"}
    return {"benchmarks": [{"group": "kernels", "extra_info": extra}]}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results' page, with suites that take no time."""
    written = tmp_path / "suites.md"
    written.write_text(f"words\n{report.BEGIN}\nold\n{report.END}\nmore words\n")
    monkeypatch.setattr(report, "RESULTS", written)
    monkeypatch.setattr(report, "run_suites", lambda timer: suites())
    return written


def run(monkeypatch: pytest.MonkeyPatch, load: float, *options: str) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("sys.argv", ["report", "--no-memory", *options])
    report.main()


def test_what_a_busy_machine_measured_is_not_written(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = page.read_text()
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, 0.6)
    assert ended.value.code == 2
    assert "the load average is 0.6: wait until it is at most 0.5, or insist by --loaded" in capsys.readouterr().err
    assert page.read_text() == before


@pytest.mark.parametrize(("load", "options"), [(0.5, ()), (7.0, ("--loaded",))])
def test_a_quiet_machine_or_one_who_insists_writes(
    page: Path, monkeypatch: pytest.MonkeyPatch, load: float, options: tuple[str, ...]
) -> None:
    run(monkeypatch, load, *options)
    text = page.read_text()
    assert f"load average when the run began: {load}" in text
    assert text.startswith("words\n")
    assert text.endswith("more words\n")
    assert "old" not in text


def test_a_saved_report_tells_no_load_of_today(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(suites()))
    run(monkeypatch, 9.0, "--json", str(saved), "--print")
    assert "load average" not in capsys.readouterr().out
