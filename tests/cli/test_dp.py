"""`secagg dp`, as a user meets it."""

import csv
import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from secagg.dp import ApproxDp, DiscreteLaplace, Ledger, Neighbours, Plan, PureDp, Sensitivity, ZCdp, calibrate

from ..support.commands import Command, plain_environment

N = Neighbours.REPLACE_ONE


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment():
        yield


COMMAND = Command("dp")
outcome, run, run_json, refused = COMMAND.outcome, COMMAND.run, COMMAND.run_json, COMMAND.refused


HISTOGRAM = ("--task", "histogram")
HISTOGRAM_ENTRY = Sensitivity.histogram(N)


def test_calibrate_states_noise_assumptions_and_price() -> None:
    text = run("calibrate", "--epsilon", "0.1", *HISTOGRAM, "--count", "4100")
    for part in (
        "0.1-DP for a report, replace-one", "L1 = 2, L2^2 = 2", "DiscreteLaplace(scale = 20) by each Aggregator",
        "up to 2 x", "1 of the 2 Aggregators adds noise that nobody", "at most 82, 2.00% of 4,100",
        "between two values of a report guesses right in 52.5%",
    ):  # fmt: skip
        assert part in text


def test_calibrate_json_is_exact() -> None:
    report = run_json("calibrate", "--epsilon", "1/3", *HISTOGRAM, "--reports-per-client", "2", "--span", "a day")
    assert report["budget"] == {"kind": "PureDp", "epsilon": "1/3"}
    assert report["noise"] == {"kind": "DiscreteLaplace", "scale": "12"}
    assert report["unit"] == "a client with at most 2 reports in a day"
    assert report["assumed"][1] == "no client has more than 2 reports in a day, over all batches"
    assert (report["over_noise"], report["isochronous"], report["error"]["relative"]) == (2, False, None)


@pytest.mark.parametrize(
    ("options", "sensitivity"),
    [(("--task", "sum", "--max-measurement", "255"), Sensitivity.sum(255, N)),
     (("--task", "sum", "--max-measurement", "5", "--min-measurement", "-5"), Sensitivity.sum(10, N)),
     (("--task", "vector-sum", "--length", "9", "--max-measurement", "3"), Sensitivity.vector_sum(9, 3, N)),
     (("--task", "multihot", "--length", "9", "--max-weight", "2"), Sensitivity.multihot(9, 2, N)),
     (("--task", "l2_bounded", "--length", "9", "--norm-squared", "100"), Sensitivity.l2_bounded(100, 9, N)),
     (("--l1", "3", "--l2-squared", "5"), Sensitivity(3, 5, N)), (HISTOGRAM, Sensitivity.histogram(N))],
)  # fmt: skip
def test_every_task(options: tuple[str, ...], sensitivity: Sensitivity) -> None:
    report = run_json("calibrate", "--epsilon", "1", *options)
    assert report["sensitivity"] == {"l1": str(sensitivity.l1), "l2_squared": str(sensitivity.l2_squared)}
    assert report["noise"]["scale"] == str(sensitivity.l1)


def test_every_place() -> None:
    options = ("calibrate", "--epsilon", "1", "--delta", "1e-6", *HISTOGRAM, "--length", "10")
    laws = {
        place: run_json(*options, "--place", place, *others)
        for place, others in {
            "central": (), "local": ("--clients", "50"), "distributed": ("--clients", "50"),
            "aggregators": ("--aggregators", "3", "--honest", "2"),
        }.items()
    }  # fmt: skip
    budget, sensitivity = ApproxDp(1, "1e-6"), Sensitivity.histogram(N)
    plan = Plan.distributed(budget, sensitivity, 10, clients=50, survivors=34, corrupt=16)
    assert laws["distributed"]["over_noise"] == float(plan.over_noise())
    assert laws["distributed"]["noise"] == {"kind": "Polya", "scale": "2", "parties": "18"}
    assert laws["central"]["noise"] == laws["local"]["noise"]
    assert laws["local"]["deviation"] == pytest.approx(50**0.5 * laws["central"]["deviation"])
    assert laws["aggregators"]["over_noise"] == 1.5
    assert run_json(*options, "--place", "distributed", "--clients", "50", "--survivors", "50", "--corrupt", "0")[
        "over_noise"
    ] == 1  # fmt: skip


def test_calibrate_states_the_cohort_that_it_assumes() -> None:
    options = ("--epsilon", "1", *HISTOGRAM, "--place", "distributed", "--clients", "100")
    assert "100 clients, 67 or more in a sum (t), 33 may be corrupt (n_C)" in run("calibrate", *options)
    others = ("--survivors", "80", "--corrupt", "10")
    assert "100 clients, 80 or more in a sum (t), 10 may be corrupt (n_C)" in run("calibrate", *options, *others)
    report = run_json("calibrate", *options)
    assert (report["survivors"], report["corrupt"]) == (67, 33)
    assert "survivors" not in run_json("calibrate", "--epsilon", "1", *HISTOGRAM)
    assert "(n_C)" not in run("calibrate", "--epsilon", "1", *HISTOGRAM)


CLIENTS = ("--place", "distributed", "--clients", "100")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--epsilon", "10"), []),
        (("--epsilon", "10.5"), ["epsilon = 10.5 hides next to nothing"]),
        (("--epsilon", "1", "--delta", "0.01", *CLIENTS), []),
        (("--epsilon", "1", "--delta", "0.0101", *CLIENTS), ["delta = 0.0101 is above 1/n, with n = 100"]),
        (("--epsilon", "1", "--delta", "0.0101"), []),
        (("--epsilon", "1", "--delta", "0.0101", "--count", "100"), ["delta = 0.0101 is above 1/n, with n = 100"]),
        (("--epsilon", "11", "--delta", "0.1", *CLIENTS), ["epsilon = 11", "delta = 0.1"]),
        (("--rho", "100"), []),
    ],
)
def test_calibrate_warns_of_budgets_that_hide_little(options: tuple[str, ...], says: list[str]) -> None:
    code, out, err = outcome("calibrate", *options, *HISTOGRAM, "--length", "4", "--json")
    assert code == 0
    assert json.loads(out)["place"]
    lines = err.splitlines()
    assert len(lines) == len(says)
    assert all(line.startswith(f"warning: {part}") for line, part in zip(lines, says, strict=True))


def test_calibrate_never_says_that_nothing_is_wrong_or_that_everything_is_known() -> None:
    _, out, _ = outcome("calibrate", "--epsilon", "30", *HISTOGRAM, "--count", "100")
    assert "none, with a confidence of 0.95: so little noise hides next to nothing" in out
    assert "guesses right in more than 99.9%" in out
    for epsilon in ("5", "7", "8", "10", "20"):
        _, out, _ = outcome("calibrate", "--epsilon", epsilon, *HISTOGRAM, "--count", "10000000")
        assert not re.search(r"100\.0 ?%|at most 0[, ]|0\.00%", out)
    assert "less than 0.01% of 10,000,000" in run("calibrate", "--epsilon", "1", *HISTOGRAM, "--count", "10000000")


def test_zcdp_budgets_and_add_remove() -> None:
    report = run_json(
        "calibrate", "--rho", "0.5", *HISTOGRAM, "--length", "4", "--place", "central", "--neighbours", "add-remove"
    )
    assert report["noise"] == {"kind": "DiscreteGaussian", "sigma_squared": "1"}
    assert report["neighbours"] == "add-remove"


def test_the_form_of_samples_can_be_chosen() -> None:
    timed = run("calibrate", "--epsilon", "0.1", *HISTOGRAM, "--isochronous")
    assert "0.1-DP for a report, replace-one, but for a total variation of 2^-1" in timed
    forms = {
        (budget, form): run_json("calibrate", *budget, *HISTOGRAM, "--length", "4", *form)
        for budget in (("--epsilon", "1"), ("--rho", "1"), ("--epsilon", "1", "--delta", "1e-9"))
        for form in ((), ("--exact",), ("--isochronous",))
    }
    for (budget, form), report in forms.items():
        assert report["isochronous"] == (form == ("--isochronous",) or (form == () and budget != ("--epsilon", "1")))
        assert (Fraction(report["total_variation"]) > 0) == report["isochronous"]


@pytest.mark.parametrize("error", ["2%", "0.02", "1/50"])
def test_epsilon_for_the_example_of_the_post(error: str) -> None:
    report = run_json("epsilon-for", "--relative-error", error, "--count", "500", "--confidence", "0.95", *HISTOGRAM)
    epsilon = Fraction(report["budget"]["epsilon"])
    plan = Plan.aggregators(PureDp(epsilon), Sensitivity.histogram(N), 1)
    assert isinstance(plan.law, DiscreteLaplace)
    assert report["noise"]["scale"] == str(plan.law.scale)
    assert report["error"]["relative"] == 0.02
    assert "at most 10, 2.00% of 500" in run("epsilon-for", "--relative-error", error, "--count", "500", *HISTOGRAM)


@pytest.mark.parametrize("confidence", ["0.5", "0.95", "0.999"])
def test_the_confidence_that_is_asked_for_is_kept(confidence: str) -> None:
    """|Laplace(1 / epsilon)| exceeds e with a chance of exp(-e epsilon)."""
    report = ("--task", "sum", "--max-measurement", "1", "--place", "central", "--confidence", confidence)
    exponent = -math.log(1 - float(confidence))
    found = run_json("epsilon-for", "--relative-error", "10%", "--count", "10000", *report)
    assert float(Fraction(found["budget"]["epsilon"])) == pytest.approx(exponent / 1000, rel=0.01)
    noisy = run_json("calibrate", "--epsilon", "0.001", *report)
    assert noisy["error"]["absolute"] == pytest.approx(1000 * exponent, rel=0.01)
    (row,) = run_json("tradeoff", "--epsilon", "0.001", "--reports", "1000", *report)
    assert int(row["error"]) == pytest.approx(1000 * exponent, rel=0.01)


def test_tradeoff_table_csv_json_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib (the `examples` extra)")
    options = ("tradeoff", *HISTOGRAM, "--epsilon", "0.1, 1", "--reports", "100,1000", "--share", "10%")
    places = ("--place", "central,local", "--csv", tmp_path / "t.csv", "--plot", tmp_path / "t.png")
    lines = run(*options, *places).splitlines()
    assert len(lines) == 2 + 8 + 1
    assert lines[2].split()[:4] == ["central", "0.1", "100", "10"]
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["place"] for row in rows] == ["central"] * 4 + ["local"] * 4
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert [row["relative_error"] for row in run_json(*options, "--place", "central,local")] == [
        row["relative error"] for row in rows
    ]


def test_calibrate_for_a_run() -> None:
    run_of = ("calibrate", "--epsilon", "8", "--delta", "1e-6", *HISTOGRAM, "--length", "9", "--place", "central")
    report = run_json(*run_of, "--rounds", "100", "--per-client", "10")
    plan = Plan.central(ApproxDp(8, "1e-6"), HISTOGRAM_ENTRY, 9, rounds=100, per_client=10)
    assert (report["rounds"], report["per_client"]) == (100, 10)
    assert report["deviation"] == plan.variance() ** 0.5
    assert run_json(*run_of, "--rounds", "100")["deviation"] > 2 * report["deviation"]
    assert "100, of which a client joins 10 at most" in run(*run_of, "--rounds", "100", "--per-client", "10")


def test_calibrate_says_what_whom_is_told() -> None:
    cohort = (*HISTOGRAM, "--length", "9", "--place", "distributed", "--clients", "100", "--rounds", "100")
    run_of = ("calibrate", "--epsilon", "8", "--delta", "1e-6", *cohort, "--per-client", "10")
    seen = run_json(*run_of, "--population", "1000")["views"]
    assert (seen["invited"], seen["population"], seen["delta"]) == (100, 1000, "1e-06")
    assert 0 < seen["outsiders"] < seen["insiders"] <= 8
    text = run(*run_of, "--population", "1000")
    assert re.search(r"insiders +epsilon = [78]\S* at delta = 1e-06, towards the server, the clients", text)
    assert "100 of 1,000 are drawn at random before it is known who is available" in text
    assert "outsiders" not in run(*run_of)
    assert "views" not in run_json(*run_of)


def test_compose_says_what_a_year_of_weekly_collections_costs() -> None:
    weekly = ("compose", "--releases", "52", "--epsilon", "0.1", *HISTOGRAM)
    text = run(*weekly, "--total-epsilon", "8")
    for part in (
        "0.1-DP: DiscreteLaplace(scale = 20), a deviation of 28.28", "epsilon = 2.267 at delta = 1e-6",
        "epsilon = 5.2, if delta must be 0", "(8, 1e-06)-DP allows 471 such releases: enough for 52",
        "least noise for 52 releases",
    ):  # fmt: skip
        assert part in text
    assert "total" not in run(*weekly)
    smaller, larger = (run_json(*weekly, "--total-delta", delta)["epsilon"] for delta in ("1e-3", "1e-9"))
    assert smaller < 2.267 < larger < 5.2
    assert "not enough" in run("compose", "--releases", "472", "--epsilon", "0.1", *HISTOGRAM, "--total-epsilon", "8")


@pytest.mark.parametrize(
    ("options", "budget"), [(("--epsilon", "0.1"), PureDp("0.1")), (("--rho", "0.01"), ZCdp("0.01"))]
)
def test_compose_counts_what_the_ledger_counts(options: tuple[str, ...], budget: PureDp | ZCdp) -> None:
    ledger, guarantee = Ledger(ApproxDp(3, "1e-9")), calibrate(budget, HISTOGRAM_ENTRY).guarantee(HISTOGRAM_ENTRY)
    total = ("--total-epsilon", "3", "--total-delta", "1e-9")
    report = run_json("compose", "--releases", "5", *options, *HISTOGRAM, *total)
    assert report["allowed"] == ledger.releases_left(guarantee)
    for batch in range(5):
        ledger.spend(guarantee, str(batch))
    assert report["epsilon"] == float(ledger.epsilon("1e-9"))


def test_compose_finds_the_law_for_a_total() -> None:
    """A single release takes Laplace noise, and a hundred take Gaussian noise."""
    total = ("--total-epsilon", "8", *HISTOGRAM)
    one, many = (run_json("compose", "--releases", count, *total)["laws"] for count in ("1", "100"))
    assert one[0]["noise"].startswith("DiscreteLaplace")
    assert [law["noise"].partition("(")[0] for law in many] == ["DiscreteGaussian", "DiscreteLaplace"]
    text = run("compose", "--releases", "100", *total)
    assert "one release" not in text
    assert "9.235" in text


EPSILON = ("--epsilon", "1")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("calibrate", "--epsilon", "0", *HISTOGRAM), "epsilon must be positive, got 0"),
     (("calibrate", "--epsilon", "-1", *HISTOGRAM), "epsilon must be positive, got -1"),
     (("calibrate", "--epsilon", "one", *HISTOGRAM), "epsilon must be a number such as 2, '0.1'"),
     (("calibrate", "--epsilon", "nan", *HISTOGRAM), "epsilon must be a number"),
     (("calibrate", *EPSILON, "--delta", "1", *HISTOGRAM, "--length", "3"), "delta must be above 0 and below 1, got 1"),
     (("calibrate", *EPSILON, "--delta", "0", *HISTOGRAM, "--length", "3"), "for delta = 0 leave delta out"),
     (("calibrate", *EPSILON, "--delta", "1e-6", *HISTOGRAM), "histogram needs --length, which is missing"),
     (("calibrate", *HISTOGRAM), "the budget is missing: give --epsilon"),
     (("calibrate", *EPSILON, "--rho", "1", *HISTOGRAM), "--rho is a budget of its own"),
     (("calibrate", *EPSILON), "the sensitivity is missing: how much one report can change the result; give --task"),
     (("calibrate", *EPSILON, "--l1", "2"), "or both --l1 and --l2-squared"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--l1", "2"), "--task sets the sensitivity"),
     (("calibrate", *EPSILON, "--task", "mean"), "--task must be one of sum, vector-sum, histogram"),
     (("calibrate", *EPSILON, "--task", "sum"), "sum needs --max-measurement, which is missing"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--place", "local"), "--place local needs --clients, which is missing"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--place", "mars"), "--place must be one of local, distributed"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--neighbours", "add-remove"), "only a central plan can be add-remove"),
     (("calibrate", "--epsilon", "1e-4", *HISTOGRAM, "--place", "distributed", "--clients", "9"), "a scale of 4,096"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--reports-per-client", "2"), "say over which span"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--confidence", "1"), "confidence must be above 0"),
     (("calibrate", "--epsilon", "1e-20", *HISTOGRAM), "this noise cannot be sampled: scale must be"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--count", "0"), "--count must be at least 1, got 0"),
     (("calibrate", *EPSILON, "--delta", "1.5", *HISTOGRAM), "delta must be above 0 and below 1, got 1.5"),
     (("calibrate", "--epsilon", "inf", *HISTOGRAM), "epsilon must be a number"),
     (("calibrate", "--epsilon", "0,5", *HISTOGRAM), "epsilon must be a number"),
     (("epsilon-for", "--relative-error", "2%", "--count", "500"), "the sensitivity is missing"),
     (("calibrate", "--rho", "1e-25", *HISTOGRAM, "--length", "3", "--isochronous"), "too wide for isochronous"),
     (("epsilon-for", "--relative-error", "0", "--count", "5", *HISTOGRAM), "relative error must be positive"),
     (("epsilon-for", "--relative-error", "x%", "--count", "5", *HISTOGRAM), "--relative-error must be a number"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--rounds", "3", "--per-client", "4"), "1 <= per_client <= rounds"),
     (("calibrate", *EPSILON, *HISTOGRAM, "--population", "9"), "--population goes with --epsilon and --delta"),
     (("calibrate", *EPSILON, "--delta", "1e-6", *HISTOGRAM, "--length", "3", "--population", "9"), "clients that add"),
     (("compose", "--releases", "52", *HISTOGRAM), "give the budget of each release, or --total-epsilon, or both"),
     (("compose", "--releases", "0", *HISTOGRAM, *EPSILON), "--releases must be 1 .. 65,536, got 0"),
     (("compose", "--releases", "9", *HISTOGRAM, "--total-delta", "1", *EPSILON), "delta must be above 0 and below 1"),
     (("tradeoff", *HISTOGRAM, "--epsilon", "1,,2"), "--epsilon must be values separated by commas"),
     (("tradeoff", *HISTOGRAM, "--reports", "1.5"), "--reports must be whole numbers, got 1.5"),
     (("tradeoff", *HISTOGRAM, "--share", "200%"), "share must be above 0 and at most 1"),
     (("tradeoff", *HISTOGRAM, "--csv", "/nowhere/t.csv"), "cannot write /nowhere/t.csv: no such directory")],
)  # fmt: skip
def test_refused_with_a_reason(arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*arguments)


@pytest.mark.parametrize("command", [(), ("calibrate",), ("tradeoff",), ("epsilon-for",), ("compose",)])
def test_help_teaches(command: tuple[str, ...]) -> None:
    text = run(*command, "--help")
    assert text == run(*command, "-h")
    assert "secagg dp" in text
