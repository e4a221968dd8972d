"""bench.history keeps each run's ratios, and shows what has fallen and when."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import compare, history
from bench.history import Entry, append, by_machine, draw, falls, read, rows

HERE = {"cpu": "some", "cores": 2, "flags": "aes", "versions": "numpy 2", "timer": "time.process_time"}
THERE = HERE | {"cpu": "other"}
MASKS, SHARE = "kernels: mask_sum / OpenSSL", "shamir: share / galois"


def run(commit: str, masks: float, machine: dict[str, Any] = HERE, **others: float) -> Entry:
    return Entry("2026-12-01", commit, machine, {MASKS: masks} | others)


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    entries = [run("a", 2.0), run("b", 1.9, THERE)]
    assert read(path) == []
    for entry in entries:
        append(path, entry)
    assert read(path) == entries
    assert len(path.read_text().splitlines()) == 2


def test_the_committed_history_is_of_cases_that_are_compared() -> None:
    entries = read(history.HISTORY)
    assert entries
    cases = set(compare.load(compare.RATIOS)[1])
    assert all(entry.ratios and set(entry.machine) == set(HERE) for entry in entries)
    assert cases & set(entries[0].ratios)


def test_a_fall_is_named_with_the_commit_that_was_best() -> None:
    (fall,) = falls([run("a", 2.0), run("b", 2.2), run("c", 2.1), run("d", 1.8)])
    assert (fall.case, fall.best, fall.commit, fall.now) == (MASKS, 2.2, "b", 1.8)
    assert "| kernels: mask_sum / OpenSSL | some, 2 cores, process_time | 2.20 | b | 1.80 | -18% |" in rows([fall])


@pytest.mark.parametrize(
    "entries",
    [
        [run("a", 2.0)],
        [run("a", 2.0), run("b", 1.71)],
        [run("a", 9.0, THERE), run("b", 2.0)],  # machines are not compared
        [run("a", 9.0), *(run(str(i), 2.0) for i in range(history.RECENT)), run("z", 2.0)],  # of long ago
        [run("a", 2.0), Entry("2026-12-01", "b", HERE, {SHARE: 0.1})],  # another suite was measured
    ],
)
def test_what_is_no_fall(entries: list[Entry]) -> None:
    assert list(falls(entries)) == []


def test_each_suite_is_drawn_with_a_line_for_each_machine(tmp_path: Path) -> None:
    entries = [run("a", 2.0), run("b", 1.9, THERE, **{SHARE: 100.0}), run("c", 2.1)]
    drawn = draw(tmp_path / "plots", entries)
    assert [path.name for path in drawn] == ["kernels.svg", "shamir.svg"]
    for path in drawn:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert list(by_machine(entries)) == ["some, 2 cores, process_time", "other, 2 cores, process_time"]


def test_a_saved_report_becomes_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    benchmark = {
        "group": "kernels",
        "fullname": "bench_kernels.py::x",
        "params": None,
        "extra_info": {"case": "mask_sum", "baseline": {"name": "OpenSSL"}, "ratio": [1.0, 1.23456, 3.0]},
        "options": {"timer": "process_time"},
    }
    report.write_text(json.dumps({"benchmarks": [benchmark]}))
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(history, "PLOTS", tmp_path / "plots")
    monkeypatch.setattr(history, "commit_here", lambda: "abc")
    append(history.HISTORY, Entry("2026-12-01", "old", compare.this_machine("time.process_time"), {MASKS: 2.0}))
    monkeypatch.setattr("sys.argv", ["history", "--json", str(report)])
    history.main()
    *_, last = read(history.HISTORY)
    assert (last.commit, last.ratios) == ("abc", {MASKS: 1.235})
    printed = capsys.readouterr().out
    assert "kernels.svg" in printed
    assert "| 2.00 | old | 1.24 | -38% |" in printed or "| 2.00 | old | 1.23 | -38% |" in printed
