"""Budgets, and the conversions between them: never in favour of the one who publishes, and tight."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dp import ApproxDp, PureDp, RenyiDp, ZCdp
from secagg.dp.conversion import pure_to_zcdp, renyi_delta, zcdp_delta, zcdp_epsilon
from secagg.errors import LocalProtocolError

from ..support.gaussian_curve import curve_delta

epsilons = st.fractions(Fraction(1, 100), 20, max_denominator=1000)
rhos = st.fractions(Fraction(1, 1000), 10, max_denominator=1000)


def test_budgets_are_exact_however_they_are_written() -> None:
    assert PureDp("0.1") == PureDp(Fraction(1, 10)) == PureDp("1/10")
    assert PureDp("0.1").epsilon * 10 == 1
    assert [str(b) for b in (PureDp("0.1"), ZCdp("1/3"), ApproxDp(1, "1e-6"))] == [
        "0.1-DP", "1/3-zCDP", "(1, 1e-06)-DP",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [PureDp, ZCdp, lambda value: ApproxDp(value, "1e-6")])
@pytest.mark.parametrize("value", [0, "-0.1", "nan", 0.1])
def test_no_budget_of_nothing(kind: Any, value: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"epsilon must be|rho must be"):
        kind(value)


@pytest.mark.parametrize(("xi", "rho"), [("0", "0"), ("0", "-1"), ("-100", "-3"), ("-1.001", "1")])
def test_no_line_of_divergences_below_zero(xi: str, rho: str) -> None:
    with pytest.raises(LocalProtocolError, match="rho"):
        RenyiDp(Fraction(xi), Fraction(rho))


@pytest.mark.parametrize("delta", [0, 1, 2, "-1e-6"])
def test_delta_is_a_chance(delta: Any) -> None:
    with pytest.raises(
        LocalProtocolError, match=r"delta must be above 0 and below 1.*for delta = 0 leave delta out \(PureDp\)"
    ):
        ApproxDp(1, delta)


def delta_by_scanning(rho: float, epsilon: float) -> float:
    """The formula minimised over a dense grid of orders."""
    alpha = 1 + np.logspace(-6, 6, 400_001)
    log_delta = (alpha - 1) * (alpha * rho - epsilon + np.log1p(-1 / alpha)) - np.log(alpha)
    return float(np.exp(min(0.0, log_delta.min())))


@given(rhos, epsilons)
def test_zcdp_delta_is_above_a_zcdp_mechanism_and_no_more_than_the_best_order(rho: Fraction, epsilon: Fraction) -> None:
    delta = float(zcdp_delta(rho, epsilon))
    assert delta >= curve_delta(math.sqrt(2 * rho), float(epsilon)) - 1e-15
    assert delta == pytest.approx(delta_by_scanning(float(rho), float(epsilon)), rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("size", ["1e-3", "1e-30", "1e-100"])
def test_tiny_epsilons_have_orders_beyond_all_floats_that_are_whole(size: str) -> None:
    """At the best order, epsilon / (2 rho) = 500 / epsilon but for a 500th, delta is exp(-250 - 1) / alpha."""
    epsilon = Fraction(size)
    delta = zcdp_delta(epsilon**2 / 1000, epsilon)
    assert float(delta / epsilon) == pytest.approx(math.exp(-251) / 500, rel=1e-2, abs=0)


@given(rhos, st.integers(1, 30))
def test_zcdp_epsilon_inverts_zcdp_delta(rho: Fraction, digits: int) -> None:
    delta = Fraction(1, 10**digits)
    epsilon = zcdp_epsilon(rho, delta)
    assert zcdp_delta(rho, epsilon + Fraction(1, 10**9)) <= delta
    assert epsilon == 0 or zcdp_delta(rho, epsilon * (1 - Fraction(1, 10**6))) > delta


def test_the_tight_conversion_beats_the_textbook_one() -> None:
    """rho + 2 sqrt(rho ln(1/delta)) gives 5.76 for rho = 1/2 and delta = 1e-6."""
    assert float(zcdp_epsilon(Fraction(1, 2), Fraction(1, 10**6))) == pytest.approx(5.2215, abs=1e-4)


@given(epsilons)
def test_pure_to_zcdp_is_the_worst_order_of_randomized_response(epsilon: Fraction) -> None:
    """D_alpha / alpha of one bit told with epsilon never exceeds rho, and comes near it as alpha -> 1."""
    e, rho = float(epsilon), float(pure_to_zcdp(epsilon))
    yes, no = 1 / (1 + math.exp(-e)), 1 / (1 + math.exp(e))
    orders = [1 + 10.0**k for k in range(-4, 4)]
    ratios = [
        (np.logaddexp(a * math.log(yes) + (1 - a) * math.log(no), a * math.log(no) + (1 - a) * math.log(yes)))
        / ((a - 1) * a)
        for a in orders
    ]
    assert max(ratios) <= rho * (1 + 1e-6)
    assert ratios[0] == pytest.approx(rho, rel=1e-3)
    assert rho <= e * e / 2


def test_one_order_promises_no_more_than_the_best() -> None:
    rho, epsilon = Fraction(1, 10), Fraction(2)
    for alpha in (Fraction(3, 2), Fraction(5), Fraction(50)):
        assert zcdp_delta(rho, epsilon) <= renyi_delta(rho * alpha, alpha, epsilon) <= 1


@given(rhos, st.fractions(0, 1, max_denominator=100), st.integers(2, 40))
def test_a_line_of_divergences_gives_the_least_epsilon_of_all_orders(rho: Fraction, xi: Fraction, digits: int) -> None:
    line, delta = RenyiDp(xi, rho), Fraction(1, 10**digits)
    orders = np.arange(2.0, 2000.0)
    logs = np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    least = max(0.0, float((float(xi) + float(rho) * orders + logs).min()))
    assert least * (1 - 1e-12) - 1e-12 <= float(line.epsilon(delta)) <= least * (1 + 1e-9) + 1e-12
    if line.epsilon(delta) > 0:
        assert line.delta(line.epsilon(delta)) <= delta * Fraction(1_000_000_001, 1_000_000_000)


@pytest.mark.parametrize("delta", [0, 1, -1, "2"])
def test_a_line_has_no_epsilon_without_a_delta(delta: Any) -> None:
    with pytest.raises(LocalProtocolError, match="delta must be above 0 and below 1"):
        RenyiDp(Fraction(0), Fraction(1)).epsilon(delta)
