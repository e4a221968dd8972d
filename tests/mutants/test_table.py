"""The table of mutants applies to the package as it is, and the runner tells what it should tell apart."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from ..support.folders import ROOT
from .__main__ import main, of_day
from .mutant import Mutant, StaleEdit, edited
from .planting import planted
from .running import Verdict, run
from .table import MUTANTS

EXAMPLE = """
def largest(a, b):
    if a < b:
        return b
    return a

class Counter:
    def step(self):
        self.n = self.n + 1 if self.n < 9 else self.n + 1
"""

TESTS = """
import subprocess, sys
from example import largest

def test_here():
    assert largest(2, 2) == 2

def test_in_a_process_that_a_test_starts():
    assert subprocess.check_output([sys.executable, "-c", "import example; print(example.largest(1, 2))"]) == b"2\\n"
"""


def mutant(old: str, new: str, scope: str = "largest", which: int | None = None) -> Mutant:
    return Mutant("example", f"example:{scope}", old, new, "It is an example.", ("test_example.py",), which)


@pytest.mark.parametrize("planned", MUTANTS, ids=lambda planned: planned.name)
def test_every_mutant_applies_and_names_its_tests(planned: Mutant) -> None:
    planted(planned)
    assert 1 <= len(planned.tests) <= 2
    assert all((ROOT / test.partition("::")[0]).is_file() for test in planned.tests)


def test_no_module_of_mutants_is_forgotten() -> None:
    modules = [import_module(f"{__package__}.{file.stem}") for file in sorted(Path(__file__).parent.glob("[a-z]*.py"))]
    known = {id(planned) for planned in MUTANTS}
    for module in modules:
        assert all(id(planned) in known for planned in getattr(module, "MUTANTS", ())), module.__name__


def test_names_differ_and_every_subject_has_its_mutants() -> None:
    assert max(Counter(planned.name for planned in MUTANTS).values()) == 1
    subjects = Counter(planned.module.split(".")[1] for planned in MUTANTS)
    assert subjects["dp"] >= 15
    assert subjects["noisy"] >= 10
    assert subjects["dap"] >= 15
    assert subjects["protocol"] >= 20


@pytest.mark.parametrize(
    ("new", "verdict"),
    [("a > b", Verdict.CAUGHT), ("a <= b", Verdict.SURVIVED), ("a < c", Verdict.BROKEN)],
)
def test_caught_survived_and_no_program(tmp_path: Path, new: str, verdict: Verdict) -> None:
    (tmp_path / "example.py").write_text(EXAMPLE)
    (tmp_path / "test_example.py").write_text(TESTS)
    planted_one = mutant("a < b", new)
    outcome = run(planted_one.tests, planted_one, folder=tmp_path)
    assert outcome.verdict is verdict, outcome.reason
    if verdict is Verdict.CAUGHT:
        assert outcome.reason == "test_in_a_process_that_a_test_starts"


@pytest.mark.parametrize(
    ("stale", "says"),
    [
        (mutant("a > b", "a < b"), "has 'a > b' 0 times"),
        (mutant("a < b", "a <  b"), "changes nothing"),
        (mutant("a < b", "a > b", "smallest"), "has no smallest"),
        (mutant("a < b", "a > b", "Counter.step"), "0 times"),
        (mutant("self.n + 1", "self.n", "Counter.step"), "2 times"),
        (mutant("self.n + 1", "self.n", "Counter.step", 3), "2 times"),
    ],
)
def test_an_edit_that_does_not_apply_is_an_error(stale: Mutant, says: str) -> None:
    with pytest.raises(StaleEdit, match=says):
        edited(EXAMPLE, stale)


def test_a_module_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StaleEdit, match="no module example"):
        planted(mutant("a < b", "a > b"), [str(tmp_path)])


def test_an_edit_replaces_what_it_says() -> None:
    names: dict[str, type] = {}
    exec(compile(edited(EXAMPLE, mutant("self.n + 1", "self.n + 5", "Counter.step", 2)), "example", "exec"), names)
    counter = names["Counter"]()
    counter.n = 8
    for expected in (9, 14):
        counter.step()
        assert counter.n == expected


def test_all_mutants_have_their_day() -> None:
    days = [of_day(MUTANTS, 10, 739_000 + day) for day in range(-(-len(MUTANTS) // 10))]
    assert all(len(chosen) == 10 for chosen in days)
    assert {planned.name for chosen in days for planned in chosen} == {planned.name for planned in MUTANTS}


def test_the_command_lists_mutants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "skellam-with-2-l1"]) == 0
    assert "secagg.dp.distributed:Skellam.guarantee" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "nothing-of-the-kind"])
