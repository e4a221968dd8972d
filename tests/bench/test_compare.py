"""bench.compare tells a regression from noise, and names what it cannot compare."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import compare
from bench.compare import Measured, Verdict, best_of, dump, load, measured, of_suites, rows, settled, summary, verdict
from bench.suites import TITLES

BEFORE = {
    "kernels: mask_sum, portable / OpenSSL": Measured([0.4, 0.5, 0.6], "portable", "bench_kernels.py::a[portable]"),
    "kernels: mask_sum, vaes / OpenSSL": Measured([1.9, 2.0, 2.1], "vaes", "bench_kernels.py::a[vaes]"),
    "shamir: share / galois": Measured([90.0, 100.0, 110.0], "", "bench_shamir.py::b"),
}
SHARE = "shamir: share / galois"


def scaled(case: str, factor: float) -> dict[str, Measured]:
    """`BEFORE` with one case's ratio changed."""
    ratio = [factor * q for q in BEFORE[case].ratio]
    return BEFORE | {case: Measured(ratio, BEFORE[case].isa, BEFORE[case].test)}


def never(tests: Sequence[str]) -> dict[str, Measured]:
    raise AssertionError(f"measured again: {tests}")


def verdicts(lines: Sequence[compare.Line]) -> dict[str, Verdict]:
    return {line.case: line.verdict for line in lines if line.verdict is not Verdict.SAME}


@pytest.mark.parametrize("case", BEFORE)
def test_a_regression_of_a_fifth_is_measured_thrice_and_fails(case: str) -> None:
    asked: list[list[str]] = []

    def still_slow(tests: Sequence[str]) -> dict[str, Measured]:
        asked.append(list(tests))
        return {case: scaled(case, 0.78)[case]}

    lines = settled(BEFORE, scaled(case, 0.8), still_slow)
    assert verdicts(lines) == {case: Verdict.SLOWER}
    assert Verdict.SLOWER in compare.FAILURES
    assert asked == [[BEFORE[case].test]] * 2
    (line,) = (line for line in lines if line.case == case)
    assert line.now is not None
    assert (line.now.attempts, line.now.ratio) == (3, scaled(case, 0.8)[case].ratio)
    assert line.change == pytest.approx(-0.2)


@pytest.mark.parametrize("factor", [0.9, 0.851, 1.0, 1.149])
def test_a_tenth_passes_and_is_not_measured_again(factor: float) -> None:
    assert verdicts(settled(BEFORE, scaled(SHARE, factor), never)) == {}


def test_the_bound_is_fifteen_per_cent() -> None:
    before = Measured([1.0, 1.0, 1.0])
    assert verdict(before, Measured([0.8, 0.8501, 0.9])) is Verdict.SAME
    assert verdict(before, Measured([0.8, 0.8499, 0.9])) is Verdict.SLOWER


def test_only_medians_count() -> None:
    assert verdict(Measured([1.0, 2.0, 3.0]), Measured([0.1, 1.9, 2.0])) is Verdict.SAME


def test_a_dip_that_does_not_come_again_passes_and_is_told() -> None:
    lines = settled(BEFORE, scaled(SHARE, 0.5), lambda tests: {SHARE: BEFORE[SHARE]})
    assert verdicts(lines) == {}
    assert "1 were measured again" in summary(lines)


def test_no_attempt_is_forgotten_for_a_worse_one() -> None:
    best = best_of(scaled(SHARE, 0.8), {SHARE: scaled(SHARE, 0.6)[SHARE]})
    assert best[SHARE] == Measured(scaled(SHARE, 0.8)[SHARE].ratio, "", BEFORE[SHARE].test, attempts=2)


def test_a_gain_is_named_and_passes() -> None:
    lines = settled(BEFORE, scaled(SHARE, 1.3), never)
    assert verdicts(lines) == {SHARE: Verdict.FASTER}
    assert Verdict.FASTER not in compare.FAILURES


def test_a_new_case_is_named_and_passes() -> None:
    lines = settled(BEFORE, BEFORE | {"codec: encode / struct": Measured([1.0, 1.0, 1.0])}, never)
    assert verdicts(lines) == {"codec: encode / struct": Verdict.NEW}
    assert Verdict.NEW not in compare.FAILURES


def test_a_case_that_vanished_fails() -> None:
    now = {case: each for case, each in BEFORE.items() if case != SHARE}
    assert verdicts(settled(BEFORE, now, never)) == {SHARE: Verdict.MISSING}
    assert Verdict.MISSING in compare.FAILURES


def only_share(isas: list[str], monkeypatch: pytest.MonkeyPatch) -> list[compare.Line]:
    """What comes of a run on a machine with these instruction sets that measured one case."""
    monkeypatch.setattr("secagg._kernels.isa_available", lambda: isas)
    return settled(BEFORE, {SHARE: BEFORE[SHARE]}, never)


def test_an_instruction_set_that_is_not_there_is_skipped_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = only_share(["portable"], monkeypatch)
    vaes = "kernels: mask_sum, vaes / OpenSSL"
    assert verdicts(lines) == {vaes: Verdict.SKIPPED, "kernels: mask_sum, portable / OpenSSL": Verdict.MISSING}
    assert Verdict.SKIPPED not in compare.FAILURES
    assert any(vaes in row and "skipped: cannot be measured here: no vaes" in row for row in rows(lines))
    assert "1 skipped" in summary(lines)


def test_a_case_of_an_instruction_set_that_is_there_cannot_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(verdicts(only_share(["portable", "vaes"], monkeypatch)).values()) == {Verdict.MISSING}


@pytest.mark.parametrize(
    ("baseline", "absent"),
    [("Rust, prio 0.18.1", "Rust"), ("OpenDP's laplace", "OpenDP"), ("bare AES, vaes512", "vaes512"), ("galois", "")],
)
def test_a_baseline_that_is_not_there_is_named(baseline: str, absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    monkeypatch.setattr("secagg._kernels.isa_available", lambda: ["portable"])
    assert compare.lacking("", baseline) == absent
    assert compare.lacking("aesni", baseline).startswith("aesni")


def benchmark(group: str, case: str, params: dict[str, str] | None) -> dict[str, Any]:
    """As pytest-benchmark writes it, as far as it is read."""
    info = {"case": case, "baseline": {"name": "OpenSSL", "ms": [1, 2, 3]}, "ratio": [1.0, 2.0, 3.0]}
    options = {"timer": "process_time"}
    return {
        "group": group,
        "fullname": f"bench_{group}.py::x",
        "params": params,
        "extra_info": info,
        "options": options,
    }


def test_reading_a_report() -> None:
    report = {"benchmarks": [benchmark("kernels", "mask_sum", {"isa": "vaes"}), benchmark("server", "server", None)]}
    assert measured(report) == {
        "kernels: mask_sum / OpenSSL": Measured([1.0, 2.0, 3.0], "vaes", "bench_kernels.py::x"),
        "server: server / OpenSSL": Measured([1.0, 2.0, 3.0], "", "bench_server.py::x"),
    }


def test_two_cases_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="kernels: mask_sum / OpenSSL"):
        measured({"benchmarks": [benchmark("kernels", "mask_sum", None)] * 2})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ratios.json"
    machine = {"cpu": "some", "cores": 2}
    assert load(path) == ({}, {})
    dump(path, machine, BEFORE)
    assert load(path) == (machine, {case: Measured(each.ratio, each.isa) for case, each in BEFORE.items()})
    assert sum(" / " in line for line in path.read_text().splitlines()) == len(BEFORE)


def test_there_are_committed_ratios_of_our_suites() -> None:
    machine, ratios = load(compare.RATIOS)
    assert set(machine) == set(compare.this_machine("time.process_time"))
    assert "kernels" in {case.partition(":")[0] for case in ratios} <= set(TITLES)


def test_nothing_to_compare_with_is_an_error(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(2.0)
    compare.RATIOS.unlink()
    monkeypatch.setattr("sys.argv", ["compare", "--json", str(tmp_path / "report.json")])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 2
    assert "there is no" in capsys.readouterr().err


def test_naming_suites_leaves_the_others_alone() -> None:
    assert list(of_suites(BEFORE, ["shamir"])) == [SHARE]
    assert of_suites(BEFORE, []) == BEFORE


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bench.compare` on a report in which one ratio is 2, given the committed one."""
    monkeypatch.setattr(compare, "RATIOS", tmp_path / "ratios.json")
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"benchmarks": [benchmark("server", "server", None)]}))

    def run(committed: float, *options: str) -> None:
        old = {"server: server / OpenSSL": Measured([committed] * 3)}
        dump(compare.RATIOS, compare.this_machine("time.process_time") | {"cores": 99}, old)
        monkeypatch.setattr("sys.argv", ["compare", "--json", str(report), *options])
        compare.main()

    return run


def test_the_command_fails_on_a_fifth(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(2.5)
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "99 for ratios.json" in printed
    assert "| server: server / OpenSSL | 2.50 | 2.00 | -20% | 1x | **slower** |" in printed


def test_the_command_passes_on_a_tenth(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command(2.2)
    assert "1 cases: 1 same." in capsys.readouterr().out


def test_update_makes_the_report_the_standard(command: Any) -> None:
    command(2.5, "--update")
    machine, ratios = load(compare.RATIOS)
    assert machine == compare.this_machine("time.process_time")
    assert ratios == {"server: server / OpenSSL": Measured([1.0, 2.0, 3.0])}


def test_updating_one_suite_of_another_machine_is_refused(command: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        command(2.5, "--update", "client")
    assert ended.value.code == 2
    assert load(compare.RATIOS)[0]["cores"] == 99
