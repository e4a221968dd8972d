"""`secagg simulate` with noise, as a user meets it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.cli import simulate
from secagg.dp import ApproxDp, Place
from secagg.noisy import NoisySum
from secagg.protocol.simulate import expected_sum

from ..support.commands import Command, plain_environment

BUDGET = ("--dp-epsilon", "1", "--dp-delta", "1e-6")
SMALL = ("--clients", "10", "--length", "400", *BUDGET)


@pytest.fixture(autouse=True)
def plain_terminal() -> Iterator[None]:
    with plain_environment():
        yield


COMMAND = Command("simulate")
outcome, run, run_json, refused = COMMAND.outcome, COMMAND.run, COMMAND.run_json, COMMAND.refused


def updates(folder: Path, n: int = 6, m: int = 300) -> NDArray[np.float64]:
    """Writes n vectors of norm 1, the first of norm 2, and returns them, [n, m]."""
    vectors = np.random.default_rng(7).normal(size=(n, m)) + 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] *= 2
    for number, vector in enumerate(vectors):
        np.save(folder / f"client{number}.npy", vector)
    return vectors


@pytest.mark.parametrize("form", [(), ("--dp-rotate",), ("--model", "active"), ("--threads", "2")])
def test_a_noisy_session_says_what_it_promises_and_what_it_costs(form: tuple[str, ...]) -> None:
    text = run(*SMALL, "--drop", "0.2", *form)
    assert "sum               of 8 clients; equal to the sum computed in the clear with the clients' noise\n" in text
    assert "guarantee         (1, 1e-06)-DP for a report, replace-one\n" in text
    assert "noise             DiscreteGaussian(sigma_squared = " in text
    assert (
        "over-noise        2 x the variance that is needed: 8 clients added noise, 4 are assumed to be honest\n" in text
    )
    assert "assumed           4 clients in every sum add noise that nobody who sees the result knows\n" in text
    assert "clipped           0 of 8 vectors were longer than 1\n" in text
    assert "1.42 times less, from a server that is trusted with the exact sum\n" in text  # sqrt(2), and rounding
    assert (", rotated to 512 entries\n" in text) == ("--dp-rotate" in form)
    assert ("padding           rotation pads 400 entries to 512, and every masked vector from" in text) == (
        "--dp-rotate" in form
    )


def test_json_describes_the_noise() -> None:
    report = run_json("--clients", "10", "--length", "4096", *BUDGET, "--drop", "0.2", "--seed", "3")
    noise = report["noise"]
    task = NoisySum.like(np.zeros(4096), clip=1.0, budget=ApproxDp(1, "1e-6"), n=10)
    assert report["sum_correct"] is True
    assert report["modulus"] == task.params().modulus
    assert noise["budget"] == {"kind": "ApproxDp", "epsilon": "1", "delta": "1/1000000"}
    assert noise["sensitivity"]["l2_squared"] == str(task.plan.sensitivity.l2_squared)
    assert noise["place"] == Place.DISTRIBUTED.value
    assert noise["noise"] == {"kind": "DiscreteGaussian", "sigma_squared": str(vars(task.plan.law)["sigma_squared"])}
    assert noise["isochronous"] is task.plan.isochronous
    assert (noise["counted_on"], noise["over_noise"], noise["over_noise_max"]) == (4, 2.0, 2.5)
    assert (noise["steps"], noise["step"], noise["room"]) == (task.steps, task.step, task.plan.room())
    assert noise["deviation"] == pytest.approx((8 * task.plan.law.variance) ** 0.5 * task.step / 8)
    assert noise["error"] == pytest.approx(noise["deviation"], rel=0.06)
    assert noise["deviation"] / noise["central_deviation"] == pytest.approx(2**0.5, rel=0.01)
    assert noise["output"] is None
    assert noise["padding"] is None


def test_thresholds_decide_who_is_counted_on() -> None:
    options = ("--threat", "server-only", "--threshold", "7")
    assert run_json(*SMALL, *options)["noise"]["counted_on"] == 7
    assert run_json(*SMALL, "--corrupt", "1", "--threshold", "9")["noise"]["counted_on"] == 8


def test_the_budget_may_be_of_many_sessions() -> None:
    """The noise of one is then that of `NoisySum` for as many, which is more."""
    run_of = ("--dp-rounds", "100", "--dp-per-client", "10")
    text = run(*SMALL, *run_of)
    assert "rounds            100, of which a client joins 10 at most; the budget is of those that it joins" in text
    assert "assumed           no client joins more than 10 of the 100 rounds\n" in text
    noise = run_json(*SMALL, *run_of)["noise"]
    assert (noise["rounds"], noise["per_client"]) == (100, 10)
    budget = ApproxDp(1, "1e-6")
    of_many = NoisySum.like(np.zeros(400), clip=1.0, budget=budget, n=10, rounds=100, per_client=10)
    assert noise["noise"]["sigma_squared"] == str(vars(of_many.plan.law)["sigma_squared"])
    of_all = run_json(*SMALL, "--dp-rounds", "100")["noise"]
    of_one = run_json(*SMALL)["noise"]
    assert of_one["deviation"] < noise["deviation"] / 2 < of_all["deviation"] / 4


def test_zcdp_budgets_and_any_clip_norm() -> None:
    noise = run_json("--clients", "5", "--length", "30", "--dp-rho", "0.5", "--dp-clip", "12.5")["noise"]
    assert noise["budget"] == {"kind": "ZCdp", "rho": "1/2"}
    assert (noise["clip"], noise["clipped"]) == (12.5, 0)


def test_the_mean_of_a_folder_is_written_with_its_noise(tmp_path: Path) -> None:
    vectors, output = updates(tmp_path), tmp_path / "mean"
    arguments = ("--input", tmp_path, "--dp-rho", "1000", "--dp-clip", "1", "--output", output)
    noise = run_json(*arguments)["noise"]
    vectors[0] /= 2
    error = np.load(output) - vectors.mean(axis=0)
    assert np.std(error) == pytest.approx(noise["deviation"], rel=0.3)
    assert noise["clipped"] == 1
    assert noise["output"] == str(output)
    assert f"written to {output}" in run(*arguments)
    bias = np.linalg.norm(vectors[0]) / 6 / 300**0.5  # half of the first vector is gone
    assert noise["error"] == pytest.approx((bias**2 + np.mean(error**2)) ** 0.5, rel=0.2)


def test_a_clip_norm_that_is_no_power_of_two_is_met_by_every_vector(tmp_path: Path) -> None:
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.full(7, 0.1))
    assert run_json("--input", tmp_path, "--dp-rho", "1", "--dp-clip", str(0.1 * 7**0.5))["noise"]["clipped"] == 0


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_wrong_sum_is_told_and_exits_with_1(monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    """The sum is compared with that of the inputs and the noises: without these it is another."""
    monkeypatch.setattr(simulate, "expected_sum", lambda *arguments, noises: expected_sum(*arguments))
    code, out, err = outcome(*SMALL, *form)
    assert (code, err) == (1, "error: the sum differs from the one computed in the clear, noise included\n")
    assert "DIFFERS" in out or json.loads(out)["sum_correct"] is False


def test_a_seed_repeats_the_inputs_but_never_the_noise() -> None:
    first, second = (run_json(*SMALL, "--seed", "1", "--drop", "0.1") for _ in range(2))
    assert first["survivors"] == second["survivors"]
    assert first["noise"]["error"] != second["noise"]["error"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--dp-epsilon", "1"), "--dp-epsilon needs --dp-delta"),
        (("--dp-delta", "1e-6"), "--dp-delta needs --dp-epsilon"),
        (("--dp-rho", "1", "--dp-epsilon", "1"), "--dp-rho is a budget of its own"),
        (("--dp-clip", "1"), "--dp-clip needs noise: give --dp-epsilon and --dp-delta, or --dp-rho"),
        (("--dp-rotate",), "--dp-rotate needs noise"),
        (("--dp-rounds", "2"), "--dp-rounds needs noise"),
        (("--dp-per-client", "1"), "--dp-per-client needs noise"),
        ((*BUDGET, "--dp-rounds", "0"), "1 <= per_client <= rounds"),
        ((*BUDGET, "--dp-rounds", "2", "--dp-per-client", "3"), "1 <= per_client <= rounds"),
        ((*BUDGET, "--bits", "20"), "noise sets R: leave out --bits and --modulus"),
        ((*BUDGET, "--modulus", "1000"), "noise sets R: leave out --bits and --modulus"),
        ((*BUDGET, "--clip", "1"), "with noise give --dp-clip"),
        ((*BUDGET, "--dp-clip", "0"), "--dp-clip must be positive"),
        ((*BUDGET, "--dp-clip", "nan"), "--dp-clip must be positive"),
        ((*BUDGET, "--output", "mean.npy"), "--output needs --input"),
        (("--dp-epsilon", "0", "--dp-delta", "1e-6"), "epsilon must be positive"),
        (("--dp-epsilon", "-1", "--dp-delta", "1e-6"), "epsilon must be positive"),
        (("--dp-epsilon", "1", "--dp-delta", "1"), "delta must be above 0 and below 1"),
        (("--dp-epsilon", "one", "--dp-delta", "1e-6"), "epsilon must be a number such as"),
        (("--dp-rho", "1e-30", "--length", "9"), "this noise cannot be sampled"),
        ((*BUDGET, "--clients", "1"), "--clients must be at least 2"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*arguments)


def test_a_folder_needs_a_clip_norm(tmp_path: Path) -> None:
    updates(tmp_path)
    assert "--input needs --dp-clip" in refused("--input", tmp_path, *BUDGET)
    assert "--input sets --clients" in refused("--input", tmp_path, *BUDGET, "--clients", "3", "--dp-clip", "1")
    (tmp_path / "single").mkdir()
    updates(tmp_path / "single", n=1)
    assert "at least 2 clients" in refused("--input", tmp_path / "single", *BUDGET, "--dp-clip", "1")


def test_too_many_dropouts_end_the_session() -> None:
    assert "too few clients are left in MaskedInputCollection: 6 answered, 7 needed" in refused(*SMALL, "--drop", "0.4")
