"""The benchmarks' own arithmetic: what `python -m bench.paper` says of what it measured."""

import argparse
import csv
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bench.paper import figures, growth, measure
from bench.paper.points import FULL, PAPER_MS, QUICK, ROUNDS, Mean, Plan, Point, Split, Store, mean, params_of, student
from bench.script import Users, client_script, random_input, server_script
from bench.suites import bench_client, bench_server
from secagg import Model, Params, Round, rounds_of
from secagg.protocol.messages import Unmasking, decode

from ..protocol.test_communication import overhead_bytes

TINY = Plan(
    counts=(10, 20, 30, 40),
    lengths=(8, 16, 24, 32),
    traffic_counts=(10, 20),
    traffic_lengths=(8, 32),
    table_counts=(),
    iterations=2,
    n=20,
    m=8,
)
GONE = {2, 3, 7, 10}


def clock() -> float:
    """Stands still."""
    return 0.0


# --- Scripts --------------------------------------------------------------------------------------------------------


def total_of(params: Params, users: set[int]) -> NDArray[Any]:
    inputs = np.array([random_input(params, u) for u in users], np.uint64)
    total: NDArray[Any] = inputs.sum(0, np.uint64) % np.uint64(params.modulus)
    return total


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("gone", [set(), {1}, {12}, GONE], ids=len)
def test_server_removes_what_a_scripts_survivors_added_for_the_dropped(model: Model, gone: set[int]) -> None:
    params = Params(n=12, m=50, modulus=1 << 24, t=8, n_corrupt=2, model=model)
    script = server_script(params, gone)
    server = script.server()
    for answers in script.answers.values():
        for u, answer in answers.items():
            server.receive(u, answer)
        server.end_round()
    survivors = {*range(1, 13)} - gone
    assert set(server.survivors) == survivors
    assert not server.faults
    assert np.array_equal(server.sum, total_of(params, survivors))
    assert np.array_equal(script.sum, server.sum)


def test_a_server_that_is_wrong_about_a_scripts_sum_is_noticed() -> None:
    script = server_script(params_of(10, 20), {4})
    script.sum[3] ^= 1
    with pytest.raises(AssertionError):
        bench_server.play(script, clock)


def test_messages_can_be_asked_for_one_at_a_time_and_again() -> None:
    params = params_of(10, 20)
    users = Users(params, {4})
    script = server_script(params, {4})
    assert [users.answering(current) for current in rounds_of(params)] == [list(a) for a in script.answers.values()]
    for current, answers in script.answers.items():
        assert {u: users.answer(current, u) for u in answers} == answers


@pytest.mark.parametrize("model", Model)
def test_a_scripted_client_survives_and_reveals_shares_of_the_dropped(model: Model) -> None:
    params = Params(n=12, m=50, modulus=1 << 24, t=8, n_corrupt=2, model=model)
    without, script = (client_script(params, gone) for gone in (set[int](), GONE))
    assert script.u not in GONE
    assert list(bench_client.play(script, clock)) == list(rounds_of(params))
    revealed = []
    for played in (client_script(params, GONE - {10}), script):
        client = played.client()
        client.set_input(played.x)
        client.start()
        *_, last = (client.receive(request) for request in played.requests.values())
        revealed.append(decode(played.cast.pki.split(last)[0], Unmasking).shares)
    assert without.u == 6
    assert np.flatnonzero((revealed[0] != revealed[1]).any(1)).tolist() == [10 - 1]


@pytest.mark.parametrize("point", [Point("server", n, 8, dropouts) for n in (10, 99, 1000) for dropouts in (0, 10, 30)])
def test_dropouts_are_so_many_different_users(point: Point) -> None:
    dropped = set(point.dropped)
    assert len(dropped) == len(point.dropped) == point.n * point.dropouts // 100
    assert dropped <= set(range(1, point.n + 1))


# --- Statistics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 35, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_students_t_is_scipys(confidence: float, freedom: int) -> None:
    assert student(confidence, freedom) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-9)


@given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-3))
def test_interval_of_a_mean_is_scipys(values: list[float]) -> None:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    found = mean(values)
    assert (found.value - found.half, found.value + found.half) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_one_value_has_no_interval() -> None:
    assert mean([3.0]).value == 3.0
    assert math.isnan(mean([3.0]).half)


@given(st.lists(st.floats(-2, 3), min_size=3, max_size=3), st.floats(1e-6, 1e3))
def test_fit_recovers_the_powers_of_a_product(powers: list[float], scale: float) -> None:
    xs = [(d, n - d, m) for n in (100, 400, 1000) for d in (n // 10, n // 3) for m in (1000, 5000)]
    found = growth.fit(xs, [scale * math.prod(x**k for x, k in zip(row, powers, strict=True)) for row in xs])
    assert found is not None
    assert [k.value for k in found.exponents] == pytest.approx(powers, abs=1e-6)
    assert found.scale == pytest.approx(scale, rel=1e-5)
    assert found(*xs[0]) == pytest.approx(scale * math.prod(x**k for x, k in zip(xs[0], powers, strict=True)), rel=1e-5)


def test_fit_of_noisy_values_is_scipys_regression() -> None:
    xs = list(range(100, 1001, 100))
    ys = [x**1.7 * random.Random(x).uniform(0.8, 1.25) for x in xs]
    found = growth.fit(xs, ys)
    expected = stats.linregress(np.log(xs), np.log(ys))
    assert found is not None
    assert found.r2 == pytest.approx(expected.rvalue**2)
    half = stats.t.ppf(0.975, len(xs) - 2) * expected.stderr
    assert tuple(found.exponents[0]) == pytest.approx((expected.slope, half))


@pytest.mark.parametrize(
    "xs", [[], [1.0], [1.0, 2.0], [5.0, 5.0, 5.0], [(1.0, 2.0), (2.0, 4.0), (3.0, 6.0), (4.0, 8.0)]]
)
def test_nothing_is_fitted_to_what_cannot_tell(xs: list[float]) -> None:
    assert growth.fit(xs, [1.0] * len(xs)) is None


# --- What is measured -----------------------------------------------------------------------------------------------


def test_the_full_plan_is_the_papers() -> None:
    assert FULL.table == list(PAPER_MS)
    points, counts = measure.selected(FULL, measure.SELECTIONS)
    assert {point.n for point in points if point.m == 100_000} == set(range(100, 1001, 100))
    assert {point.m for point in points if point.n == 500} == set(range(100_000, 1_000_001, 100_000))
    assert {point.dropouts for point in points} == {0, 10, 30}
    assert len(points) == 2 * 3 * (10 + 10 - 1)
    assert len(counts) == len(set(counts)) == 3 * 10 + 3 * 10 - 9
    assert list(measure.left_out(FULL)) == []


def test_the_quick_plan_says_what_it_leaves_out() -> None:
    (text,) = measure.left_out(QUICK)
    assert "n = 300, 400, 600" in text
    assert "m = 300,000, 500,000" in text
    assert "Fig. 8's rows for n = 1,000" in text
    assert "7 of the paper's 10 iterations" in text
    points, counts = measure.selected(QUICK, measure.SELECTIONS)
    all_points, all_counts = measure.selected(FULL, measure.SELECTIONS)
    assert set(points) < set(all_points)
    assert {n for n, _ in counts} <= {n for n, _ in all_counts}


def test_parts_are_chosen_by_name() -> None:
    assert measure.parse(["--only", "fig8,fig6"]).only == ("fig8", "fig6")
    assert measure.selected(FULL, ["fig8"]) == (sorted(FULL.table), [])
    with pytest.raises(argparse.ArgumentTypeError, match="no such part: fig9"):
        measure.chosen("fig8,fig9")


@pytest.mark.parametrize(("n", "m"), [(10, 8), (25, 1000)])
def test_traffic_is_section_7_1s_and_what_the_messages_itemise(n: int, m: int) -> None:
    counted = measure.traffic(n, m)
    assert 8 * (sum(counted) - sum(overhead_bytes(n).values())) == figures.formula_bits(n, m)


# --- Figures --------------------------------------------------------------------------------------------------------


def options(folder: Path, *arguments: str) -> argparse.Namespace:
    return measure.parse(["--output", str(folder), *arguments])


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything at tiny sizes."""
    folder = tmp_path_factory.mktemp("figures")
    measure.run(options(folder), TINY, "the command")
    return folder


def test_a_run_writes_every_table_and_plot(measured: Path) -> None:
    panels = {f"fig{name}.csv" for name in ("6a", "6b", "6c", "6d", "7a", "7b")}
    others = {"fig6.svg", "fig7.svg", "growth.svg", "growth.csv", "figures.md"}
    raw = {"times.csv", "traffic.csv", "machine.txt"}
    assert {path.name for path in measured.iterdir()} == panels | others | raw
    text = (measured / "figures.md").read_text()
    assert "the command" in text
    assert "The paper prints no data for Figures 6 and 7" in text
    assert "**A subset**" in text
    assert text.count(".svg)") == 3
    assert len(read(measured / "times.csv")) == 2 * 2 * 3 * (4 + 4 - 1)
    assert len(read(measured / "growth.csv")) == sum(len(law.dropouts) for law in growth.LAWS) + 3


def test_a_figures_table_holds_the_means_of_the_measured_times(measured: Path) -> None:
    times = [row for row in read(measured / "times.csv") if (row["role"], row["n"], row["m"]) == ("server", "30", "8")]
    totals = [sum(float(row[str(current)]) for current in ROUNDS) for row in times if row["dropouts"] == "30"]
    (row,) = (row for row in read(measured / "fig7a.csv") if (row["n"], row["dropouts"]) == ("30", "30"))
    assert len(totals) == TINY.iterations
    assert float(row["ms"]) == pytest.approx(np.mean(totals), rel=1e-3)
    # The file has rounded times, and of two that are close the interval is little more than what was rounded off.
    rounded = 1e-3 * float(np.mean(totals))
    assert float(row["half_of_95_percent_interval"]) == pytest.approx(mean(totals).half, rel=1e-2, abs=rounded)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """Which points are measured, without measuring any."""
    points: list[Point] = []

    def player(point: Point) -> object:
        points.append(point)
        return lambda timer: dict.fromkeys(ROUNDS, 1.0)

    monkeypatch.setattr(measure, "player", player)
    monkeypatch.setattr(measure, "Estimate", lambda iterations: Flat())
    return points


class Flat:
    """An estimate that measures nothing."""

    def seconds(self, point: Point) -> float:
        return 1.0

    def total(self, points: list[Point]) -> float:
        return float(len(points))


def copy_of(folder: Path, target: Path) -> Path:
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_resumed_run_measures_what_is_missing(measured: Path, tmp_path: Path, played: list[Point]) -> None:
    folder = copy_of(measured, tmp_path)
    before = (folder / "times.csv").read_text()
    lines = before.splitlines(keepends=True)
    (folder / "times.csv").write_text("".join(lines[:-1]))  # as if killed before the last point's last iteration
    measure.run(options(folder, "--resume"), TINY, "")
    assert played == [Point("server", 40, 8, 30)]
    after = (folder / "times.csv").read_text().splitlines(keepends=True)
    assert after[:-2] == lines[:-2]
    assert after[-1] == "server,40,8,30,2,1.0000,1.0000,1.0000,1.0000\n"


def test_a_new_run_measures_what_is_selected_and_keeps_the_rest(
    measured: Path, tmp_path: Path, played: list[Point]
) -> None:
    folder = copy_of(measured, tmp_path)
    measure.run(options(folder, "--only", "fig7"), TINY, "")
    assert len(played) == 3 * (4 + 4 - 1)
    assert {point.role for point in played} == {"server"}
    rows = {role: [row for row in read(folder / "times.csv") if row["role"] == role] for role in ("client", "server")}
    assert rows["client"] == [row for row in read(measured / "times.csv") if row["role"] == "client"]
    assert all(row["Unmasking"] == "1.0000" for row in rows["server"])


def test_a_plan_alone_measures_nothing(tmp_path: Path, played: list[Point], capsys: pytest.CaptureFixture[str]) -> None:
    measure.run(options(tmp_path, "--plan"), TINY, "")
    assert "42 points to measure, 2 iterations each" in capsys.readouterr().out
    assert not played
    assert not list(tmp_path.iterdir())


def test_results_of_two_machines_are_not_mixed(measured: Path, tmp_path: Path, played: list[Point]) -> None:
    folder = copy_of(measured, tmp_path)
    (folder / "machine.txt").write_text("- another\n")
    with pytest.raises(ValueError, match="was measured elsewhere:\n- another"):
        measure.run(options(folder, "--resume"), TINY, "")
    measure.run(options(folder, "--only", "fig6"), TINY, "")
    assert {row["role"] for row in read(folder / "times.csv")} == {"client"}


def spread_over_rounds(total: float) -> Split:
    return dict.fromkeys(ROUNDS, total / len(ROUNDS))


def test_fig8_has_the_papers_number_ours_and_their_ratio(tmp_path: Path) -> None:
    store = Store(tmp_path, "")
    for point in FULL.table:
        store.times[point] = [spread_over_rounds(total) for total in (30.0, 40.0, 50.0)]
    text = list(figures.write(store, FULL))
    rows = read(tmp_path / "fig8.csv")
    assert len(rows) == 8 * 5
    (worst,) = (r for r in rows if (r["n"], r["dropouts"], r["round"]) == ("1000", "30", "Total"))
    assert (worst["paper_ms"], worst["ours_ms"], float(worst["ratio"])) == ("413767", "40", 1.034e4)
    assert any("| server, 1000, 30 % |" in line and "40.0 ± 24.8 (413,767; 10,344x) |" in line for line in text)


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 1.5))
def test_growth_finds_how_dropouts_cost_grows(of_d: float, of_rest: float, of_m: float) -> None:
    store = Store(Path(), "")
    for point in {*FULL.along_n("server"), *FULL.along_m("server")}:
        d, base = len(point.dropped), 0.25 * point.n
        extra = 1e-6 * d**of_d * (point.n - d) ** of_rest * point.m**of_m
        store.times[point] = [{**dict.fromkeys(ROUNDS, base), Round.UNMASKING: base + extra}]
    rows = list(growth.dropout_rows(growth.extras(store, FULL)))
    assert [row.exponent.value for row in rows] == pytest.approx([of_d, of_rest, of_m], abs=1e-3)
    assert [row.x for row in rows] == ["d", "n - d", "m"]


def test_a_count_has_no_interval_to_show() -> None:
    assert figures.cell(Mean(1234.5, 0)) == "1,234"
    assert figures.cell(Mean(1.5, math.nan)) == "1.50"
    assert figures.cell(Mean(1.5, 0.25)) == "1.50 ± 0.250"
