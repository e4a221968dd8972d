"""`secagg dp audit`, as a user meets it; and planted faults of the package that it finds."""

import sys
from collections.abc import Iterator

import pytest

from secagg.dp import Sensitivity
from secagg.dp.sensitivity import Neighbours

from ..mutants.planting import environment
from ..mutants.table import MUTANTS
from ..support.commands import Command, plain_environment
from ..support.processes import ran

COMMAND = Command("dp", "audit")
QUICK = ("--runs", "20000", "--seed", "1")


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment():
        yield


def test_a_sound_plan_passes_and_the_output_says_what_that_means() -> None:
    text = COMMAND.run("--epsilon", "1", "--task", "histogram", "--seed", "1")
    for part in (
        "1-DP for a report, replace-one", "DiscreteLaplace(scale = 2) by each Aggregator, of 1 honest party",
        "(1, 0) or (0, 1)", "100,000 with each", "epsilon is at least 0.9", "with a confidence of 99.9%",
        "epsilon is at most 1", "nothing speaks against the claim; so many runs show an epsilon of 9.",
    ):  # fmt: skip
        assert part in text
    assert "delta" not in text


def test_json_has_the_numbers() -> None:
    report = COMMAND.run_json("--epsilon", "2", "--delta", "1e-6", "--task", "histogram", "--length", "4", *QUICK)
    assert report["audit"]["keeps_claim"] is True
    assert (report["audit"]["runs"], report["audit"]["claimed"], report["audit"]["delta"]) == (20_000, 2, 1e-6)
    assert 1.5 < report["audit"]["epsilon"] < 2
    assert (report["inputs"], report["honest"]) == ([[1, 0], [0, 1]], 1)
    assert report["noise"]["kind"] == "DiscreteLaplace"


def test_noise_is_fresh_unless_a_seed_repeats_it() -> None:
    options = ("--epsilon", "1", "--task", "histogram", "--runs", "2000")
    fresh, repeated = (
        {COMMAND.run_json(*options, *seed)["audit"]["epsilon"] for _ in range(3)} for seed in ((), ("--seed", "5"))
    )
    assert len(fresh) > 1  # two of so few runs are equal by chance once in 10,000 times
    assert len(repeated) == 1


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        (("--task", "sum", "--max-measurement", "9", "--min-measurement", "-2"), [[9], [-2]]),
        (("--task", "vector-sum", "--max-measurement", "3", "--length", "3"), [[3, 3, 3], [0, 0, 0]]),
        (("--task", "multihot", "--length", "9", "--max-weight", "2"), [[1, 1, 0, 0], [0, 0, 1, 1]]),
        (("--task", "multihot", "--length", "3", "--max-weight", "2"), [[1, 1, 0], [0, 0, 1]]),
        (("--task", "l2-bounded", "--length", "3", "--norm-squared", "1e2"), [[10], [-10]]),
        (("--l1", "9", "--l2-squared", "81"), [[9], [0]]),
        (("--l1", "3", "--l2-squared", "3"), [[1] * 3, [0] * 3]),
        (("--task", "histogram", "--reports-per-client", "3", "--span", "a day"), [[3, 0], [0, 3]]),
    ],
)
def test_inputs_are_as_far_apart_as_a_task_allows(options: tuple[str, ...], inputs: list[list[int]]) -> None:
    report = COMMAND.run_json("--rho", "0.5", "--length", "5", *options, *QUICK)
    assert report["inputs"] == inputs
    assert report["audit"]["keeps_claim"]
    differences = [abs(a - b) for a, b in zip(*inputs, strict=True)]
    sensitivity = Sensitivity(report["sensitivity"]["l1"], report["sensitivity"]["l2_squared"], Neighbours.REPLACE_ONE)
    reports = 3 if "--span" in options else 1
    assert sum(d * d for d in differences) == sensitivity.l2_squared * reports**2


@pytest.mark.parametrize(
    ("task", "inputs"),
    [
        (("sum", "--max-measurement", "9", "--min-measurement", "-20"), [[-20], [0]]),
        (("histogram",), [[1], [0]]),
        (("multihot", "--length", "9", "--max-weight", "2"), [[1, 1], [0, 0]]),
        (("l2-bounded", "--length", "9", "--norm-squared", "100"), [[10], [0]]),
    ],
)
def test_add_remove_is_audited_against_nothing(task: tuple[str, ...], inputs: list[list[int]]) -> None:
    report = COMMAND.run_json(
        "--epsilon", "1", "--place", "central", "--neighbours", "add-remove", "--task", *task, *QUICK
    )
    assert report["inputs"] == inputs


@pytest.mark.parametrize(
    ("place", "honest"),
    [
        (("distributed", "--clients", "9", "--survivors", "8", "--corrupt", "2"), 6),
        (("distributed", "--clients", "9"), 5),
        (("aggregators", "--aggregators", "3", "--honest", "2"), 2),
        (("local", "--clients", "9"), 1),
        (("central",), 1),
    ],
)
def test_the_noise_of_the_honest_counts(place: tuple[str, ...], honest: int) -> None:
    report = COMMAND.run_json("--epsilon", "1", "--task", "histogram", "--place", *place, *QUICK)
    assert report["honest"] == honest
    assert 0.7 < report["audit"]["epsilon"] <= 1


def test_what_cannot_be_audited_is_refused() -> None:
    refused = COMMAND.refused
    assert "budget is missing" in refused("--task", "histogram")
    assert "runs must be 1,000" in refused("--epsilon", "1", "--task", "histogram", "--runs", "5")
    assert "--seed must not be negative" in refused("--epsilon", "1", "--task", "histogram", "--seed", "-1")
    assert "allows none" in refused("--epsilon", "1", "--l1", "1/2", "--l2-squared", "1/4")


FOUND = {
    "histogram-sensitivity-halved": ("--epsilon", "1", "--task", "histogram"),
    "signed-distance-is-that-of-counts": (
        *("--rho", "1", "--task", "l2-bounded", "--length", "9", "--norm-squared", "10000"),
        *("--runs", "400000"),
    ),
    "multihot-counts-the-old-ones-only": ("--epsilon", "1", "--task", "multihot", "--length", "9", "--max-weight", "2"),
    "range-without-its-lower-end": (
        *("--epsilon", "1", "--task", "sum", "--max-measurement", "5", "--min-measurement", "-5"),
    ),
    "plan-for-one-report-of-a-unit": (
        *("--epsilon", "1", "--task", "histogram", "--reports-per-client", "2", "--span", "a day"),
    ),
    "corrupt-clients-count-as-honest": (
        *("--epsilon", "1", "--task", "histogram", "--place", "distributed"),
        *("--clients", "9", "--survivors", "9", "--corrupt", "8"),
    ),
    "nobody-adds-noise": ("--epsilon", "1", "--task", "histogram"),
}


@pytest.mark.parametrize("name", FOUND)
def test_planted_faults_are_found(name: str) -> None:
    """Half of the noise or of the sensitivity, and other faults of the table of mutants, in a process of their own."""
    (mutant,) = (planned for planned in MUTANTS if planned.name == name)
    command = [sys.executable, "-m", "secagg", "dp", "audit", *FOUND[name], "--seed", "1"]
    sound, broken = (ran(*command, env=environment(planted), text=True) for planted in (None, mutant))
    assert (sound.returncode, sound.stderr) == (0, "")
    assert broken.returncode == 1, broken.stderr + broken.stdout
    assert "the noise does not keep" in broken.stdout
