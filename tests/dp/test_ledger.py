"""The ledger: what composes, what it refuses, and what is on disk whenever the machine stops."""

import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg.dp import (
    ApproxDp,
    Budget,
    BudgetExceeded,
    DiscreteGaussianDp,
    GaussianDp,
    Guarantee,
    LaplaceDp,
    Ledger,
    Neighbours,
    Plan,
    PureDp,
    RenyiDp,
    Sensitivity,
    SkellamDp,
    ZCdp,
    loss_of,
    zcdp_epsilon,
)
from secagg.dp.composition import Spent, keeps_budget, releases_allowed
from secagg.dp.conversion import pure_to_zcdp
from secagg.dp.known_noise import plain
from secagg.dp.ledger import ALLOWANCE
from secagg.errors import ArgumentTypeError, LocalProtocolError

from ..support.gaussian_curve import curve_delta

N = Neighbours.REPLACE_ONE


def capacity(total: Budget, guarantee: Guarantee, limit: int = 200) -> int:
    """How many equal releases a fresh ledger takes."""
    ledger = Ledger(total)
    for batch in range(limit):
        try:
            ledger.spend(guarantee, str(batch))
        except BudgetExceeded:
            return batch
    return limit


@pytest.mark.parametrize(
    ("total", "guarantee", "releases"),
    [(PureDp(1), PureDp("0.1"), 10), (PureDp(1), PureDp("0.3"), 3), (ZCdp(1), ZCdp("0.1"), 10),
     (ZCdp("0.5"), PureDp("0.1"), 100), (ApproxDp(1, "1e-6"), ApproxDp("0.3", "1e-9"), 3),
     (ApproxDp(1, "1e-6"), ApproxDp("1e-3", "4e-7"), 2), (ApproxDp(1, "1e-6"), PureDp("0.5"), 2),
     (PureDp(1), ZCdp("1e-9"), 0), (PureDp(1), ApproxDp("1e-3", "1e-9"), 0), (ZCdp(1), ApproxDp("1e-3", "1e-9"), 0),
     (ZCdp(1), RenyiDp(Fraction(0), Fraction(1, 10**6)), 0)],
)  # fmt: skip
def test_how_often_a_budget_can_be_spent(total: Budget, guarantee: Guarantee, releases: int) -> None:
    assert capacity(total, guarantee) == releases


def test_rhos_add_up_under_an_approximate_budget() -> None:
    """The n-th release of 0.001-zCDP is refused exactly when n * 0.001 no longer converts to the total."""
    total, rho = ApproxDp(1, "1e-6"), Fraction(1, 1000)
    releases = capacity(total, ZCdp(rho))
    assert zcdp_epsilon(releases * rho, total.delta) <= total.epsilon < zcdp_epsilon((releases + 1) * rho, total.delta)
    assert releases > 20


def test_pure_releases_compose_by_the_better_of_two_ways() -> None:
    assert capacity(ApproxDp(1, "1e-6"), PureDp("0.01")) > 100  # by adding, 100
    assert capacity(ApproxDp(10, "1e-9"), PureDp(5)) == 2  # by zCDP, none


def test_renyi_lines_add_up() -> None:
    line = RenyiDp(Fraction(1, 10**5), Fraction(1, 1000))
    releases = capacity(ApproxDp(1, "1e-6"), line)
    assert (
        0.9 * capacity(ApproxDp(1, "1e-6"), ZCdp("0.001")) <= releases <= capacity(ApproxDp(1, "1e-6"), ZCdp("0.001"))
    )
    assert capacity(ApproxDp(1, "1e-6"), RenyiDp(Fraction(2), Fraction(1, 1000))) == 0


def test_mixed_releases_share_one_budget() -> None:
    ledger = Ledger(ApproxDp(1, "1e-6"))
    guarantees: list[Guarantee] = [ApproxDp("0.5", "1e-7"), ZCdp("0.001"), PureDp("0.01")]
    for batch, guarantee in enumerate(guarantees):
        ledger.spend(guarantee, str(batch))
    assert not ledger.affords(ApproxDp("0.4", "1e-7"))
    assert ledger.affords(ApproxDp("0.1", "1e-7"))


@pytest.mark.parametrize("cost", [ZCdp("0.001"), RenyiDp(Fraction(1, 10**5), Fraction(1, 1000))], ids=str)
def test_what_is_released_beside_epsilon_and_delta_has_their_rest(cost: Guarantee) -> None:
    """As many as under a budget of its own of this rest, and not one more."""
    beside = Spent(ApproxDp(1, "5e-7"))
    releases = allowed(ApproxDp(1, "5e-7"), Spent(cost))
    assert releases > 5
    assert keeps_budget(ApproxDp(2, "1e-6"), [beside, *[Spent(cost)] * releases])
    assert not keeps_budget(ApproxDp(2, "1e-6"), [beside, *[Spent(cost)] * (releases + 1)])


def test_many_laplace_releases_of_a_histogram_are_counted_as_what_they_are() -> None:
    """Two entries change by 1: 471 collections at 0.1 keep to (8, 1e-6); as pure ones 238, and by divergences 210."""
    plan = Plan.central(PureDp("0.1"), Sensitivity.histogram(Neighbours.REPLACE_ONE), 50)
    ledger = Ledger(ApproxDp(8, "1e-6"))
    assert ledger.releases_left(PureDp("0.1")) == 238
    assert ledger.releases_left(ZCdp(pure_to_zcdp(Fraction(1, 10)))) == 210
    assert ledger.releases_left(plan.guarantee, total_variation=plan.total_variation) == 471
    assert ledger.releases_left(plan.guarantee, limit=300) == 300


@pytest.mark.parametrize("budget", [ZCdp("0.02"), ApproxDp("0.5", "1e-9")])
@pytest.mark.parametrize(
    "sensitivity",
    [Sensitivity.sum(1, Neighbours.REPLACE_ONE), Sensitivity.histogram(Neighbours.REPLACE_ONE),
     Sensitivity.l2_bounded(10**6, 10**4, Neighbours.REPLACE_ONE)],
)  # fmt: skip
def test_known_noise_is_never_counted_at_more_than_its_bound_alone(budget: Budget, sensitivity: Sensitivity) -> None:
    for honest in (1, 2):
        plan = Plan.aggregators(budget, sensitivity, 100, honest=honest)
        for total in (ApproxDp(2, "1e-6"), ApproxDp(20, "1e-12"), ZCdp(1)):
            costs = (Spent(plan.guarantee, plan.total_variation), Spent(plain(plan.guarantee), plan.total_variation))
            known, bound = (releases_allowed(total, [], cost, 10**4, ALLOWANCE) for cost in costs)
            assert known >= bound
        assert known == bound  # of the last total, whose account is exact
    guarantee, large = Plan.central(budget, sensitivity, 100).guarantee, ApproxDp(20, "1e-6")
    known, bound = (releases_allowed(large, [], Spent(cost), 10**4) for cost in (guarantee, plain(guarantee)))
    assert known > bound or guarantee == plain(guarantee)


def test_gaussians_of_several_sizes_are_one_gaussian() -> None:
    """What they cost together is what one of the sum of their mu**2 costs."""
    ledger = Ledger(ApproxDp(10, "1e-6"))
    for batch in range(60):
        size = batch % 30 + 1
        ledger.spend(GaussianDp(10, Fraction(size, 2000)), str(batch))
    assert curve_delta(math.sqrt(0.465), float(ledger.epsilon("1e-6"))) == pytest.approx(1e-6, rel=1e-4)


@pytest.mark.parametrize(
    ("budget", "sensitivity"),
    [
        (ApproxDp(1, "1e-6"), Sensitivity.histogram(N)),
        (ApproxDp(1, "1e-6"), Sensitivity.sum(5, N)),
        (ApproxDp(3, "1e-5"), Sensitivity.l2_bounded(10**6, 1000, N)),
        (ApproxDp(1, "1e-30"), Sensitivity.l2_bounded(10**6, 1000, N)),
    ],
    ids=["histogram", "sum", "vector", "vector that takes all of delta"],
)
@pytest.mark.parametrize("isochronous", [False, True])
def test_a_plans_own_ledger_pays_for_it_once(budget: ApproxDp, sensitivity: Sensitivity, isochronous: bool) -> None:
    """Under whichever law: the account of a release is as exact as the search for its noise was."""
    if isochronous and budget.delta < Fraction(1, 10**20):
        budget = ApproxDp(budget.epsilon, Fraction(1, 10**24))  # half of it pays for the samples at a lower epsilon
    cohort: dict[str, Any] = {"clients": 100, "survivors": 67, "corrupt": 33, "isochronous": isochronous}
    plans = [
        Plan.central(budget, sensitivity, 1000, isochronous=isochronous),
        Plan.aggregators(budget, sensitivity, 1000, honest=2, polya=False, isochronous=isochronous),
        Plan.distributed(budget, sensitivity, 1000, **cohort),
    ]
    for plan in plans:
        assert plan.keeps_budget
        ledger = Ledger(budget)
        ledger.spend(plan.guarantee, "one", total_variation=plan.total_variation)
        with pytest.raises(BudgetExceeded):
            ledger.spend(plan.guarantee, "another", total_variation=plan.total_variation)


def test_known_noise_pays_for_its_samples_where_that_costs_least() -> None:
    """Never less than what a search over all epsilons finds, and no more than 1 % above it."""
    off, known = Fraction(1, 1 << 40), loss_of(LaplaceDp("0.1", 1, 2))
    assert known is not None
    several = known.times(100)
    for largest in (Fraction(5, 2), Fraction(50), Fraction(10**6)):
        epsilons = [Fraction(step, 100) for step in range(1, min(800, int(100 * largest)) + 1)]
        needed = min(several.delta(e) + (1 + Fraction(math.exp(e))) * 100 * off for e in epsilons)
        releases = [Spent(LaplaceDp("0.1", 1, 2), off)] * 100
        assert keeps_budget(ApproxDp(largest, needed * Fraction(101, 100)), releases)
        assert not keeps_budget(ApproxDp(largest, needed * Fraction(98, 100)), releases)


def test_what_is_left_is_what_one_more_release_may_cost() -> None:
    pure, zcdp, approx = Ledger(PureDp(1)), Ledger(ZCdp(1)), Ledger(ApproxDp(1, "1e-6"))
    for ledger in (pure, zcdp):
        ledger.spend(PureDp("0.75"), "a")
    assert pure.left() == PureDp("0.25")
    assert zcdp.left() == ZCdp(1 - pure_to_zcdp(Fraction(3, 4)))
    pure.spend(PureDp("0.25"), "b")
    assert pure.left() is None
    approx.spend(ZCdp("0.005"), "a")
    approx.spend(ApproxDp("0.5", "1e-7"), "b")
    left = approx.left()
    assert isinstance(left, PureDp)
    assert approx.affords(left)
    assert not approx.affords(PureDp(left.epsilon * Fraction(1002, 1000)))
    approx.spend(left, "c")
    rest = approx.left()
    assert rest is None or (isinstance(rest, PureDp) and rest.epsilon < left.epsilon / 50)


def test_the_epsilon_that_was_spent_is_the_least_that_pays() -> None:
    ledger = Ledger(ApproxDp(10, "1e-6"))
    assert ledger.epsilon("1e-6") == 0
    releases: list[Guarantee] = [
        PureDp("0.1"),
        ZCdp("0.01"),
        LaplaceDp("0.2", 1, 2),
        RenyiDp(Fraction(0), Fraction(1, 100)),
    ]
    for batch, guarantee in enumerate(releases):
        ledger.spend(guarantee, str(batch), total_variation=Fraction(1, 1 << 90))
        for delta in ("1e-3", "1e-6", "1e-12"):
            epsilon, spent = ledger.epsilon(delta), list(ledger.spent.values())
            assert keeps_budget(ApproxDp(epsilon, delta), spent)
            assert not keeps_budget(ApproxDp(epsilon * Fraction(9999, 10000), delta), spent)
    with pytest.raises(LocalProtocolError, match="no epsilon up to 10,000 is known for which 4 releases"):
        ledger.epsilon("1e-40")


@pytest.mark.parametrize(
    "guarantee", [LaplaceDp("0.1", 1, 2), DiscreteGaussianDp("0.1", 1, 2), GaussianDp("0.1", "0.2", "1e-9"),
                  SkellamDp(Fraction(0), Fraction(1, 10), Fraction(100), 3, 1)],
)  # fmt: skip
def test_a_batch_that_an_earlier_version_recorded_is_not_spent_again(tmp_path: Path, guarantee: Guarantee) -> None:
    """It did not know the law of the noise. What it recorded stays."""
    total, path, off = ApproxDp(10, "1e-6"), tmp_path / "ledger.json", Fraction(1, 1 << 90)
    Ledger(total, path).spend(plain(guarantee), "a", total_variation=off)
    again = Ledger(total, path)
    again.spend(guarantee, "a", total_variation=off)
    assert again.spent == {"a": Spent(plain(guarantee), off)}
    with pytest.raises(LocalProtocolError, match="recorded at another cost"):
        again.spend(guarantee, "a", total_variation=2 * off)
    again.spend(guarantee, "b")
    with pytest.raises(LocalProtocolError, match="recorded at another cost"):
        again.spend(plain(guarantee), "b")


@pytest.mark.parametrize("count", ["1/2", "0", "-1", "2/1"])
def test_a_number_of_entries_is_whole_and_positive(tmp_path: Path, count: str) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path, allowance=0).spend(LaplaceDp("0.1", 1, 2), "a")
    path.write_text(path.read_text().partition("\n")[2].replace('"entries": "2"', f'"entries": "{count}"'))
    if count == "2/1":
        assert Ledger(PureDp(1), path, allowance=0).spent["a"].guarantee == LaplaceDp("0.1", 1, 2)
        return
    with pytest.raises(LocalProtocolError, match="is not a ledger"):
        Ledger(PureDp(1), path, allowance=0)


def test_samples_off_their_law_cost_delta() -> None:
    ledger = Ledger(ApproxDp(1, "1e-6"))
    off = Fraction(1, 10**7)
    for batch in "abcd":
        ledger.spend(PureDp("0.1"), batch, total_variation=off)
    with pytest.raises(BudgetExceeded):  # 5 * (1 + e**0.5) * 1e-7 is more than 1e-6
        ledger.spend(PureDp("0.1"), "e", total_variation=off)
    ledger.spend(PureDp("0.001"), "e")
    for total in (PureDp(1), ZCdp(1)):
        assert not Ledger(total).affords(PureDp("0.1"), total_variation=off)


def allowed(total: Budget, cost: Spent, limit: int = 1 << 12) -> int:
    """How many releases at one cost keep to the total, by bisection."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps_budget(total, [cost] * middle) else (low, middle)
    return low


def test_delta_is_charged_at_the_epsilon_that_is_needed() -> None:
    """20 isochronous samples at 0.02-zCDP: at epsilon = 60 (1 + e**60) * 2e-32 is a part of 1e-6, at 100 1e-6 times
    what there is."""
    plan = Plan.aggregators(ZCdp("0.02"), Sensitivity.histogram(Neighbours.REPLACE_ONE), 20)
    cost = Spent(plan.guarantee, plan.total_variation)
    counts = [allowed(ApproxDp(epsilon, "1e-6"), cost) for epsilon in (58, 59, 60, 100, 9999, 20_000, "1e50")]
    assert counts == sorted(counts)
    assert 1182 <= counts[2] == counts[3] == counts[6]


OFFS = st.integers(1, 200).map(lambda bits: Fraction(1, 1 << bits))
SIZES = st.fractions(Fraction(1, 10**4), 3, max_denominator=10**4)
GUARANTEES: st.SearchStrategy[Guarantee] = st.one_of(
    SIZES.map(PureDp), SIZES.map(ZCdp), st.builds(RenyiDp, st.fractions(0, 1, max_denominator=1000), SIZES),
    st.builds(ApproxDp, SIZES, st.integers(5, 40).map(lambda digits: Fraction(1, 10**digits))),
    st.builds(LaplaceDp, SIZES, st.integers(1, 20), st.integers(1, 3)), st.builds(GaussianDp, SIZES, SIZES),
)  # fmt: skip
RELEASES = st.lists(st.builds(Spent, GUARANTEES, OFFS | st.just(Fraction(0))), min_size=1, max_size=5)
EPSILONS = st.fractions(Fraction(1, 100), 200, max_denominator=100)
DELTAS = st.integers(1, 30).map(lambda digits: Fraction(1, 10**digits))


@settings(max_examples=100, deadline=None)
@given(RELEASES, EPSILONS, DELTAS, EPSILONS, st.integers(1, 100))
def test_a_larger_total_never_refuses_what_a_smaller_one_pays(
    releases: list[Spent], epsilon: Fraction, delta: Fraction, more: Fraction, factor: int
) -> None:
    if keeps_budget(ApproxDp(epsilon, delta), releases):
        for larger in (epsilon + more, epsilon * (1 + more / 1000), Fraction(10**6)):
            assert keeps_budget(ApproxDp(larger, min(Fraction(1, 2), delta * factor)), releases)


def least_delta(releases: list[Spent], largest_epsilon: float) -> float:
    """The least delta that the releases need at any epsilon up to the largest, by search over epsilons and orders."""
    total_variation = float(sum(release.total_variation for release in releases))
    guarantees = [release.guarantee for release in releases]
    xi = float(sum(guarantee.xi for guarantee in guarantees if isinstance(guarantee, RenyiDp)))
    rho = float(sum(guarantee.rho for guarantee in guarantees if isinstance(guarantee, ZCdp | RenyiDp)))
    integers = any(isinstance(guarantee, RenyiDp) for guarantee in guarantees)
    orders = np.arange(2.0, 500.0) if integers else 1 + np.logspace(-2, 3, 1000)

    def delta(epsilon: float) -> float:
        exponents = (orders - 1) * (xi + rho * orders - epsilon + np.log1p(-1 / orders)) - np.log(orders)
        return math.exp(min(0.0, exponents.min())) + (1 + math.exp(epsilon)) * total_variation

    step = largest_epsilon / 1000
    best = min(np.linspace(0, largest_epsilon, 1001), key=delta)
    return min(1.0, *map(delta, np.linspace(max(0, best - step), min(largest_epsilon, best + step), 201)))


LINES = st.builds(ZCdp, st.fractions(Fraction(1, 100), 1, max_denominator=100)) | st.builds(
    RenyiDp, st.fractions(0, 1, max_denominator=100), st.fractions(Fraction(1, 100), 1, max_denominator=100)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.builds(Spent, LINES, OFFS), min_size=1, max_size=3), st.fractions(1, 60, max_denominator=10))
@example([Spent(ZCdp(Fraction(1, 70)), Fraction(1, 1 << 142))], Fraction(170, 3))
def test_the_delta_that_is_charged_is_the_least_of_all_epsilons(releases: list[Spent], epsilon: Fraction) -> None:
    """Never less than what a search finds, and no more than 1 % above it."""
    needed = least_delta(releases, float(epsilon))
    if needed < 0.9:
        assert keeps_budget(ApproxDp(epsilon, Fraction(needed * 1.01)), releases)
        assert not keeps_budget(ApproxDp(epsilon, Fraction(needed * 0.98)), releases)


def test_renyi_lines_above_the_total_are_refused() -> None:
    assert not Ledger(ApproxDp(1, "1e-6")).affords(RenyiDp(Fraction(3), Fraction(1, 1000)))


@pytest.mark.parametrize("total", [PureDp(1), ZCdp(1)])
def test_without_a_delta_all_releases_share_an_allowance_of_total_variation(total: Budget, tmp_path: Path) -> None:
    off, path = Fraction(1, 1 << 65), tmp_path / "ledger.json"
    ledger = Ledger(total, path)
    assert ledger.allowance == Fraction(1, 1 << 64)
    for batch in "ab":
        ledger.spend(PureDp("0.1"), batch, total_variation=off)
        ledger.spend(PureDp("0.1"), batch, total_variation=off)
    assert not Ledger(total, path).affords(PureDp("0.1"), total_variation=Fraction(1, 1 << 200))
    with pytest.raises(BudgetExceeded, match=rf"the allowance of 2\^-64 of total variation beside {total}"):
        ledger.spend(PureDp("0.1"), "c", total_variation=off)
    ledger.spend(PureDp("0.1"), "c")
    assert list(ledger.spent) == ["a", "b", "c"]


def test_an_allowance_is_what_the_caller_says_and_none_where_delta_pays(tmp_path: Path) -> None:
    off = Fraction(1, 1000)
    assert Ledger(ZCdp(1), allowance="0.001").affords(ZCdp("0.1"), total_variation=off)
    assert not Ledger(ZCdp(1), allowance="0.00099").affords(ZCdp("0.1"), total_variation=off)
    strict = Ledger(ZCdp(1), allowance=0)
    assert strict.affords(ZCdp("0.1"))
    assert not strict.affords(ZCdp("0.1"), total_variation=Fraction(1, 1 << 200))
    with pytest.raises(LocalProtocolError, match="has a delta, which pays for total variation"):
        Ledger(ApproxDp(1, "1e-6"), allowance="1e-9")
    for wrong in (-1, 1, "2", 0.5):
        with pytest.raises(LocalProtocolError, match="allowance"):
            Ledger(ZCdp(1), allowance=wrong)  # type: ignore[arg-type]


def test_the_allowance_stands_in_the_file_and_is_checked_like_the_total(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(ZCdp(1), path, allowance="1/1000").spend(ZCdp("0.1"), "a", total_variation=Fraction(1, 1000))
    assert not Ledger(ZCdp(1), path, allowance="0.001").affords(ZCdp("0.1"), total_variation=Fraction(1, 1 << 200))
    for other in (None, 0, "1/999"):
        with pytest.raises(LocalProtocolError, match="is a ledger with an allowance of 1/1000 of total variation, not"):
            Ledger(ZCdp(1), path, allowance=other)
    contents = json.loads(path.read_text().partition("\n")[2])
    del contents["allowance"]
    contents["spent"]["a"]["total_variation"] = "0"
    path.write_text(json.dumps(contents))  # as it was before there were allowances
    assert list(Ledger(ZCdp(1), path, allowance=0).spent) == ["a"]
    with pytest.raises(LocalProtocolError, match="an allowance of 0 of total variation"):
        Ledger(ZCdp(1), path)


def test_spending_twice_for_a_batch_costs_once() -> None:
    ledger = Ledger(PureDp(1))
    for _ in range(3):
        ledger.spend(PureDp("0.6"), "monday")
    assert ledger.affords(PureDp("0.4"))
    assert not ledger.affords(PureDp("0.41"))
    with pytest.raises(LocalProtocolError, match="'monday' is recorded at another cost"):
        ledger.spend(PureDp("0.1"), "monday")


def test_a_refused_release_costs_nothing() -> None:
    ledger = Ledger(PureDp(1))
    ledger.spend(PureDp("0.9"), "a")
    with pytest.raises(BudgetExceeded, match=r"batch 'b' at 0.2-DP would exceed 1-DP after 1 batches"):
        ledger.spend(PureDp("0.2"), "b")
    ledger.spend(PureDp("0.1"), "c")
    assert list(ledger.spent) == ["a", "c"]


@pytest.mark.parametrize(
    "guarantee",
    [PureDp("0.1"), ZCdp("1/3000"), ApproxDp("0.1", "1e-9"), RenyiDp(Fraction(-1, 10**9), Fraction(1, 999)),
     LaplaceDp("0.1", 3, 2), DiscreteGaussianDp("1/300", 1, 2), GaussianDp("1/300", "1/149", "1e-12"),
     SkellamDp(Fraction(1, 10**6), Fraction(1, 200), Fraction(100), 1, 2)],
)  # fmt: skip
def test_every_guarantee_survives_the_disk(tmp_path: Path, guarantee: Guarantee) -> None:
    total, path = ApproxDp(1, "1e-6"), tmp_path / "ledger.json"
    Ledger(total, path).spend(guarantee, "a", total_variation=Fraction(1, 1 << 90))
    again = Ledger(total, path)
    assert again.spent["a"].guarantee == guarantee
    assert again.spent["a"].total_variation == Fraction(1, 1 << 90)
    again.spend(guarantee, "a", total_variation=Fraction(1, 1 << 90))
    assert len(again.spent) == 1


def test_ledgers_of_one_file_share_what_is_left(tmp_path: Path) -> None:
    first, second = (Ledger(PureDp(1), tmp_path / "ledger.json") for _ in range(2))
    first.spend(PureDp("0.7"), "a")
    with pytest.raises(BudgetExceeded):
        second.spend(PureDp("0.7"), "b")


def test_simultaneous_spenders_never_exceed_the_total(tmp_path: Path) -> None:
    def spend(batch: int) -> bool:
        try:
            Ledger(PureDp(1), tmp_path / "ledger.json").spend(PureDp("0.1"), str(batch))
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(30))) == 10
    assert len(Ledger(PureDp(1), tmp_path / "ledger.json").spent) == 10


def test_threads_that_share_a_ledger_in_memory_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would find enough left if others could spend while it decides."""
    ledger = Ledger(PureDp(1))

    def slow(*args: Any) -> bool:
        enough_left = keeps_budget(*args)
        time.sleep(0.001)
        return enough_left

    def spend(batch: int) -> bool:
        try:
            ledger.spend(PureDp("0.1"), str(batch))
        except BudgetExceeded:
            return False
        return True

    monkeypatch.setattr("secagg.dp.ledger.keeps_budget", slow)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(30))) == len(ledger.spent) == 10


@pytest.mark.parametrize("off", ["-1/1000", "1001/1000"])
def test_no_total_variation_gives_budget_back(off: str) -> None:
    ledger = Ledger(ApproxDp(1, "1e-6"))
    with pytest.raises(LocalProtocolError, match="total_variation"):
        ledger.affords(PureDp("0.1"), total_variation=Fraction(off))
    with pytest.raises(LocalProtocolError, match="total_variation"):
        ledger.spend(PureDp("0.1"), "a", total_variation=Fraction(off))
    assert not ledger.spent


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path).spend(PureDp("0.4"), "a")
    before = path.read_bytes()

    def crash(*_: Any, **__: Any) -> None:
        raise OSError("power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, crash)
        with pytest.raises(OSError, match="power is gone"):
            Ledger(PureDp(1), path).spend(PureDp("0.4"), "b")
    assert path.read_bytes() == before
    after = Ledger(PureDp(1), path)
    assert list(after.spent) == ["a"]
    after.spend(PureDp("0.4"), "b")
    assert list(after.spent) == ["a", "b"]


def test_contents_are_synced_before_they_replace_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(descriptor: int) -> None:
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def logged_replace(*names: Any, **folders: Any) -> None:
        events.append("replace")
        replace(*names, **folders)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    Ledger(PureDp(1), tmp_path / "ledger.json").spend(PureDp("0.4"), "a")
    assert events == ["file", "replace", "folder"]


def test_a_ledger_of_another_total_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path).spend(PureDp("0.4"), "a")
    with pytest.raises(LocalProtocolError, match="is a ledger of 1-DP, not of 2-DP"):
        Ledger(PureDp(2), path)


def test_a_ledger_counts_the_rounds_that_a_client_joins(tmp_path: Path) -> None:
    """However much of the budget is left."""
    path = tmp_path / "ledger.json"
    ledger = Ledger(PureDp(1), path, releases=2)
    assert ledger.releases_left(PureDp("0.1")) == 2
    for batch in "aab":
        Ledger(PureDp(1), path, releases=2).spend(PureDp("0.1"), batch)
    assert ledger.releases_left(PureDp("0.1")) == 0
    assert ledger.left() is None
    assert not ledger.affords(PureDp("0.1"))
    with pytest.raises(BudgetExceeded, match="batch 'c' would exceed the 2 releases of this ledger"):
        ledger.spend(PureDp("0.1"), "c")
    assert list(ledger.spent) == ["a", "b"]
    for other in (None, 3):
        with pytest.raises(LocalProtocolError, match="is a ledger of 2 releases, not of"):
            Ledger(PureDp(1), path, releases=other)
    with pytest.raises(LocalProtocolError, match="releases must be at least 1"):
        Ledger(PureDp(1), releases=0)


def test_a_ledger_without_a_limit_is_not_one_with_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path).spend(PureDp("0.1"), "a")
    assert "releases" not in path.read_text()  # versions that knew no limit read it
    with pytest.raises(LocalProtocolError, match="is a ledger of any number of releases, not of 2 releases"):
        Ledger(PureDp(1), path, releases=2)


@pytest.mark.parametrize("limit", ["1/2", "0.5", "x", ""])
def test_a_limit_of_releases_is_a_whole_number(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path, allowance=0, releases=2).spend(PureDp("0.1"), "a")
    path.write_text(path.read_text().partition("\n")[2].replace('"releases": "2"', f'"releases": "{limit}"'))
    with pytest.raises(LocalProtocolError, match="is not a ledger"):
        Ledger(PureDp(1), path, allowance=0, releases=2)


@pytest.mark.parametrize("begun", [False, True])
def test_a_ledger_that_is_lost_in_a_run_is_an_error(tmp_path: Path, begun: bool) -> None:
    """It is made when the run begins, and must be there from then on: a new one would spend the budget again."""
    path = tmp_path / "ledger.json"
    with pytest.raises(LocalProtocolError, match="is missing, although the run has begun"):
        Ledger(PureDp(1), path, begun=True)
    assert not path.exists()
    Ledger(PureDp(1), path, begun=False)
    assert path.exists()
    ledger = Ledger(PureDp(1), path, begun=begun)
    ledger.spend(PureDp("0.5"), "a")
    path.unlink()
    for attempt in (lambda: ledger.spend(PureDp("0.5"), "b"), lambda: ledger.affords(PureDp("0.5"))):
        with pytest.raises(LocalProtocolError, match="was removed or replaced while it was in use"):
            attempt()
    with pytest.raises(LocalProtocolError, match="is missing, although the run has begun"):
        Ledger(PureDp(1), path, begun=True)
    assert not path.exists()


def test_a_run_that_begins_again_keeps_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    Ledger(PureDp(1), path, begun=False).spend(PureDp("0.5"), "a")
    assert list(Ledger(PureDp(1), path, begun=False).spent) == ["a"]
    with pytest.raises(LocalProtocolError, match="begun is for a ledger in a file"):
        Ledger(PureDp(1), begun=True)


ENTRY = '"%s": {"kind": "PureDp", "epsilon": "%s", "total_variation": "0"}'
ESCAPED_A = r"\u0061"


def of_spent(entries: str, others: str = "") -> str:
    """A file as old versions wrote it, of these entries."""
    return f'{{"total": {{"kind": "PureDp", "epsilon": "1"}}, "spent": {{{entries}}}{others}}}'


@pytest.mark.parametrize(
    "contents",
    ["", "[]", "{}", '{"total": 3, "spent": {}}', '{"total": {"kind": "os"}, "spent": {}}',
     json.dumps({"total": {"kind": "PureDp", "epsilon": "1"}, "spent": {"a": {"kind": "PureDp", "epsilon": "1/0"}}}),
     json.dumps({"total": {"kind": "PureDp", "epsilon": "-1"}, "spent": {}}),
     json.dumps({"total": {"kind": "PureDp", "rho": "1"}, "spent": {}}),
     of_spent('"a": {"kind": "PureDp", "epsilon": "1/10"}'),
     of_spent('"a": {"kind": "PureDp", "epsilon": "1/10", "total_variation": 0}'),
     of_spent('"a": {"kind": "PureDp", "epsilon": 0.1, "total_variation": "0"}'),
     of_spent(f'"a": {{"kind": "PureDp", "epsilon": {"9" * 10**6}, "total_variation": "0"}}'),
     of_spent('"a": {"kind": "PureDp", "epsilon": NaN, "total_variation": "0"}'),
     of_spent('"a": {"kind": "PureDp", "epsilon": "1/10", "total_variation": "0", "note": "1"}'),
     of_spent('"a": {"kind": "PureDp", "epsilon": "1/10", "total_variation": "0", "epsilon": "1/20"}'),
     of_spent(f"{ENTRY % ('a', '1')}, {ENTRY % ('b', '1/2')}, {ENTRY % ('a', '1/100')}"),
     of_spent(f"{ENTRY % ('a', '1')}, {ENTRY % (ESCAPED_A, '1/100')}"),
     of_spent(ENTRY % ("a", "1/10"), ', "lent": {}'),
     "\ufeff" + of_spent(ENTRY % ("a", "1/10")), of_spent("") + "{}", of_spent("")[:-1],
     "[" * 10**6, '{"a":' * 10**6, of_spent('"a": ' + "[" * 10**5 + "]" * 10**5)],
    ids=lambda contents: contents[:60],
)  # fmt: skip
def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, contents: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(contents)
    with pytest.raises(LocalProtocolError, match="is not a ledger"):
        Ledger(PureDp(1), path)
    assert path.read_text() == contents


@pytest.mark.parametrize(
    "number",
    ["1e999999999", "1e-999999999", "1E5", "0.1", ".5", " 1", "1 ", "+1", "1_0", "1/ 10", "1/1e9", "inf", "nan", "0x1",
     "\u0661", "", "-", "/", "1/", "/1", "1/2/3", "1/-2", "9" * 4001, "1/" + "9" * 10**6],
    ids=lambda number: number[:12],
)  # fmt: skip
def test_a_number_that_is_not_as_it_is_written_is_refused_at_once(tmp_path: Path, number: str) -> None:
    """The value of "1e999999999" would fill the memory, if anybody lived to see it."""
    path = tmp_path / "ledger.json"
    path.write_text(of_spent(ENTRY % ("a", number)))
    with pytest.raises(LocalProtocolError, match="is not a ledger"):
        Ledger(PureDp(1), path)


@pytest.mark.parametrize("where", ["total", "allowance", "total_variation"])
def test_a_number_is_refused_wherever_it_stands(tmp_path: Path, where: str) -> None:
    contents: Any = {
        "total": {"kind": "PureDp", "epsilon": "1"},
        "allowance": str(ALLOWANCE),
        "spent": {"a": {"kind": "PureDp", "epsilon": "1/10", "total_variation": "0"}},
    }
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps(contents))
    assert list(Ledger(PureDp(1), path).spent) == ["a"]
    place = {"total": contents["total"], "allowance": contents, "total_variation": contents["spent"]["a"]}[where]
    place["epsilon" if where == "total" else where] = "1e999999999"
    path.write_text(json.dumps(contents))
    with pytest.raises(LocalProtocolError, match="is not a ledger"):
        Ledger(PureDp(1), path)


def test_a_ledger_from_before_there_were_marks_is_taken_and_marked(tmp_path: Path) -> None:
    path, copy = tmp_path / "ledger.json", tmp_path / "copy"
    path.write_text(of_spent(ENTRY % ("a", "1/2")))
    path.chmod(0o644)
    assert list(Ledger(PureDp(1), path, allowance=0).spent) == ["a"]
    assert path.stat().st_mode & 0o077 == 0
    copy.write_bytes(path.read_bytes())
    with pytest.raises(LocalProtocolError, match="is a copy"):
        Ledger(PureDp(1), copy, allowance=0)


def test_a_ledger_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(LocalProtocolError, match="a ledger has 67,108,864 at most"):
        Ledger(PureDp(1), path)


@pytest.mark.parametrize("file", [False, True])
def test_an_id_is_text(tmp_path: Path, file: bool) -> None:
    """A number would come back from the disk as text, and be spent again."""
    ledger = Ledger(PureDp(1), tmp_path / "ledger.json" if file else None)
    with pytest.raises(ArgumentTypeError, match="batch_id must be text, got int"):
        ledger.spend(PureDp("0.1"), 1)  # type: ignore[arg-type]
    assert not ledger.spent


def test_a_cost_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    ledger = Ledger(PureDp(1), path)
    ledger.spend(PureDp(Fraction(1, 10**3900)), "a")
    before = path.read_bytes()
    for digits in (4100, 10**5):
        with pytest.raises(LocalProtocolError, match="too many digits"):
            ledger.spend(PureDp(Fraction(1, 10**digits)), "b")
    assert path.read_bytes() == before
    assert list(Ledger(PureDp(1), path).spent) == ["a"]
