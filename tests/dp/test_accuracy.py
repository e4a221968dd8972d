"""Errors, headroom, posteriors, and the epsilon for an accuracy, against sums over outcomes and samples."""

import csv
import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.dp import (
    ApproxDp,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Place,
    Plan,
    PureDp,
    Sensitivity,
    Skellam,
    epsilon_for,
    plan_at,
    plot,
    posterior,
    tradeoff,
    write_csv,
)
from secagg.dp.accuracy import error, mean_error, room
from secagg.dp.distributed import PartyLaw
from secagg.dp.polya import Polya
from secagg.dp.tradeoff import COLUMNS
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
HISTOGRAM = Sensitivity.histogram(N)
LAWS: list[PartyLaw] = [
    DiscreteLaplace(Fraction(1, 5)), DiscreteLaplace(Fraction(7, 2)), DiscreteGaussian(Fraction(1, 10)),
    DiscreteGaussian(Fraction(9)), Skellam(Fraction(1, 2)), Skellam(Fraction(12)),
]  # fmt: skip


def weights(law: PartyLaw, reach: int) -> NDArray[np.float64]:
    """P[y] at index y + reach."""
    y = np.arange(-reach, reach + 1)
    if isinstance(law, Skellam):
        half = float(law.variance) / 2
        poisson = np.exp([k * math.log(half) - half - math.lgamma(k + 1) for k in range(reach + 1)])
        return np.convolve(poisson, poisson[::-1])
    assert not isinstance(law, Polya)  # has tests of its own
    raw = np.exp(
        -abs(y) / float(law.scale) if isinstance(law, DiscreteLaplace) else -y * y / float(2 * law.sigma_squared)
    )
    normalised: NDArray[np.float64] = raw / raw.sum()
    return normalised


def sum_weights(law: PartyLaw, parties: int) -> NDArray[np.float64]:
    total = np.ones(1)
    for _ in range(parties):
        total = np.convolve(total, weights(law, 150))
    return total


def chance_within(total: NDArray[np.float64], bound: int) -> float:
    middle = len(total) // 2
    return float(total[middle - bound : middle + bound + 1].sum())


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("parties", [1, 2, 5])
def test_mean_error_is_the_sum_over_outcomes(law: PartyLaw, parties: int) -> None:
    total = sum_weights(law, parties)
    reach = len(total) // 2
    assert mean_error(law, parties) == pytest.approx(float(abs(np.arange(-reach, reach + 1)) @ total), rel=1e-9)


@pytest.mark.parametrize(
    ("law", "parties", "exact"),
    [
        (DiscreteLaplace(Fraction(2000)), 1, 2000.0),  # of the continuous law, which is near enough
        (DiscreteLaplace(Fraction(2000)), 2, 3000.0),
        (DiscreteGaussian(Fraction(10**8)), 1, 1e4 * math.sqrt(2 / math.pi)),
        (Skellam(Fraction(10**6)), 10_000, 1e5 * math.sqrt(2 / math.pi)),
    ],
)
def test_mean_error_of_wide_noise(law: PartyLaw, parties: int, exact: float) -> None:
    assert mean_error(law, parties) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("parties", [1, 2, 5])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_error_is_the_least_bound_with_this_confidence(law: PartyLaw, parties: int, confidence: float) -> None:
    bound = error(law, parties, confidence).absolute
    total = sum_weights(law, parties)
    assert chance_within(total, bound) >= confidence - 1e-12
    assert bound == 0 or chance_within(total, bound - 1) < confidence


@pytest.mark.parametrize("scale", [1000, 10**6, 10**12])
def test_wide_laws_are_stretched(scale: int) -> None:
    """A Laplace law exceeds e with a chance of exp(-e / scale); a Gaussian stays within 1.96 sigma."""
    expected = scale * math.log(20)
    assert error(DiscreteLaplace(Fraction(scale)), 1, 0.95).absolute == pytest.approx(expected, rel=0.005)
    for law in (DiscreteGaussian(Fraction(scale**2)), Skellam(Fraction(scale**2))):
        assert error(law, 4, 0.95).absolute == pytest.approx(2 * 1.95996 * scale, rel=0.005)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("parties", [900, 10**6])
def test_the_sum_of_many_noises_is_as_good_as_normal(law: PartyLaw, parties: int) -> None:
    deviation = math.sqrt(parties * float(law.variance))
    assert error(law, parties, 0.95).absolute == pytest.approx(1.95996 * deviation, rel=0.01, abs=1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("parties", [1, 5])
def test_room_holds_with_its_probability_and_is_not_absurd(law: PartyLaw, parties: int) -> None:
    total = sum_weights(law, parties)
    bound = room(law, parties, 1000, "1e-3")
    outside = 1 - chance_within(total, bound)
    assert 1000 * outside <= 1e-3 + 1e-9
    tight = next(e for e in range(1000) if 1000 * (1 - chance_within(total, e)) <= 1e-3)
    assert bound <= 2 * tight + 8


def test_relative_error_is_that_of_the_size() -> None:
    bound = error(DiscreteLaplace(Fraction(20)), 1, 0.95, 500)
    assert bound.relative == bound.absolute / 500
    assert error(DiscreteLaplace(Fraction(20)), 1, 0.95).relative is None


def test_posterior_of_an_even_prior() -> None:
    for epsilon in ("0.1", "1", "5"):
        e = math.exp(float(epsilon))
        assert posterior(PureDp(epsilon), "1/2") == pytest.approx(e / (1 + e))
        assert posterior(ApproxDp(epsilon, "0.01"), "1/2") == pytest.approx((e + 0.01) / (1 + e))
    assert posterior(PureDp(5000), "1/2") == pytest.approx(1)


def test_no_guess_is_worse_than_the_prior() -> None:
    for prior in ("0.01", "0.3", "0.99"):
        assert posterior(PureDp("1e-6"), prior) == pytest.approx(max(float(prior), 1 - float(prior)), rel=1e-5)


def test_posterior_bounds_every_attack_on_real_noise() -> None:
    """The best threshold against a count with Laplace noise, for several priors."""
    total = weights(DiscreteLaplace(Fraction(2)), 100)
    for prior in (0.2, 0.5, 0.7):
        right = np.maximum(prior * total[1:], (1 - prior) * total[:-1]).sum()
        assert right <= posterior(PureDp("1/2"), str(prior)) + 1e-9


@pytest.mark.parametrize(
    ("count", "relative", "delta"),
    [(500, "0.02", None), (15000, "2/100", None), (300, "0.1", "1e-6"), (10**6, "0.001", None)],
)
def test_epsilon_for_is_enough_and_a_hundredth_less_is_not(count: int, relative: str, delta: str | None) -> None:
    def plan_for(epsilon: Fraction) -> Plan:
        budget = PureDp(epsilon) if delta is None else ApproxDp(epsilon, delta)
        return plan_at(Place.AGGREGATORS, budget, HISTOGRAM, 20, 1000)

    plan = epsilon_for(relative, count, plan_for)
    assert isinstance(plan.budget, PureDp | ApproxDp)
    accepted = Fraction(relative) * count
    assert (
        plan.error(0.95).absolute <= accepted < plan_for(plan.budget.epsilon * Fraction(98, 100)).error(0.95).absolute
    )


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_epsilon_for_has_the_confidence_that_is_asked_for(confidence: float) -> None:
    """|Laplace(1 / epsilon)| exceeds 1,000 with a chance of exp(-1000 epsilon)."""
    sensitivity = Sensitivity.sum(1, N)
    plan = epsilon_for(
        "0.1", 10_000, lambda epsilon: Plan.central(PureDp(epsilon), sensitivity, 1), confidence=confidence
    )
    assert isinstance(plan.budget, PureDp)
    assert float(plan.budget.epsilon) == pytest.approx(-math.log(1 - confidence) / 1000, rel=0.01)


def test_the_posts_two_percent_at_epsilon_a_hundredth_needs_15000_reports() -> None:
    """Central, add-remove: |Laplace(100)| stays within 300 with 95 %, which is 2 % of 15,000."""
    sensitivity = Sensitivity.histogram(Neighbours.ADD_REMOVE)
    plan = epsilon_for("0.02", 15_000, lambda epsilon: Plan.central(PureDp(epsilon), sensitivity, 20))
    assert isinstance(plan.budget, PureDp)
    assert float(plan.budget.epsilon) == pytest.approx(0.01, rel=0.01)


def test_no_epsilon_is_enough_for_the_impossible() -> None:
    def plan_for(epsilon: Fraction) -> Plan:
        return Plan.central(PureDp(epsilon), Sensitivity.sum(10**9, N), 1)

    with pytest.raises(LocalProtocolError, match=r"no epsilon up to 100 has so small an error: 0.001 of 10 is 0.01"):
        epsilon_for("0.001", 10, plan_for)


def test_tradeoff_has_a_row_for_each_choice_and_behaves() -> None:
    rows = tradeoff(
        HISTOGRAM, 20, epsilons=["0.1", 1], reports=[100, 10_000], places=list(Place), delta="1e-6", share="0.1"
    )
    assert len(rows) == 16
    by = {(row.place, float(row.epsilon), row.reports): row for row in rows}
    for place in Place:
        assert by[place, 0.1, 100].error > by[place, 1, 100].error
        assert by[place, 1, 100].relative > by[place, 1, 10_000].relative
    assert by[Place.LOCAL, 1, 10_000].deviation == pytest.approx(100 * by[Place.CENTRAL, 1, 100].deviation)
    assert by[Place.AGGREGATORS, 1, 100].deviation == pytest.approx(math.sqrt(2) * by[Place.CENTRAL, 1, 100].deviation)
    assert by[Place.CENTRAL, 1, 10_000].size == 1000


def test_csv_has_every_column() -> None:
    out = io.StringIO()
    rows = tradeoff(HISTOGRAM, 20, epsilons=["1/3"], reports=[100])
    write_csv(rows, out)
    (line,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert tuple(line) == COLUMNS
    assert (line["place"], line["epsilon"], line["reports"]) == ("aggregators", "1/3", "100")
    assert float(line["relative error"]) == pytest.approx(rows[0].relative, rel=1e-3)


@pytest.mark.parametrize(("epsilons", "reports"), [(["0.1", 1], [10, 100]), ([1], [100]), ([1], [10, 100])])
def test_plot_writes_an_image(tmp_path: Path, epsilons: list[Any], reports: list[int]) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib (the `examples` extra)")
    plot(tradeoff(HISTOGRAM, 20, epsilons=epsilons, reports=reports), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(LocalProtocolError, match="cannot write"):
        plot(tradeoff(HISTOGRAM, 20, epsilons=epsilons, reports=reports), tmp_path / "plot.abc")


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: error(LAWS[0], 1, 1.0), "confidence"), (lambda: error(LAWS[0], 1, 0.5, 0), "size"),
     (lambda: room(LAWS[0], 1, 1, 1), "probability"), (lambda: posterior(PureDp(1), 1), "prior"),
     (lambda: tradeoff(HISTOGRAM, 2, epsilons=[1], reports=[0]), "reports"),
     (lambda: tradeoff(HISTOGRAM, 2, epsilons=[1], reports=[1], share=2), "share"),
     (lambda: epsilon_for(0, 5, lambda e: Plan.central(PureDp(e), HISTOGRAM, 1)), "relative error must be positive"),
     (lambda: epsilon_for("0.1", 0, lambda e: Plan.central(PureDp(e), HISTOGRAM, 1)), "count")],
)  # fmt: skip
def test_questions_without_an_answer(make: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        make()
