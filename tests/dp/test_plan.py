"""Plans: who is counted on, what a client with many reports changes, and what they say about themselves."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from secagg.dp import (
    ApproxDp,
    BudgetExceeded,
    DiscreteGaussian,
    DiscreteGaussianDp,
    DiscreteLaplace,
    GaussianDp,
    LaplaceDp,
    Ledger,
    Neighbours,
    Party,
    Place,
    Plan,
    PureDp,
    Sensitivity,
    Unit,
    ZCdp,
)
from secagg.dp.exact import power_above
from secagg.dp.known_noise import plain
from secagg.dp.noise import TOTAL_VARIATION_MAX
from secagg.dp.samplers import IsochronousGaussian
from secagg.errors import LocalProtocolError

from ..support.gaussian_curve import curve_delta

N = Neighbours.REPLACE_ONE
HISTOGRAM = Sensitivity.histogram(N)
VECTOR = Sensitivity.l2_bounded(10, 1000, N)
APPROX = ApproxDp(1, "1e-6")


def distributed(budget: Any = APPROX, sensitivity: Sensitivity = VECTOR, **others: Any) -> Plan:
    return Plan.distributed(budget, sensitivity, 1000, **{"clients": 100, "survivors": 67, "corrupt": 33, **others})


def test_each_aggregator_adds_everything_where_one_is_honest() -> None:
    plan = Plan.aggregators(PureDp("0.1"), HISTOGRAM, 20)
    assert plan.law == DiscreteLaplace(Fraction(20)) == Plan.central(PureDp("0.1"), HISTOGRAM, 20).law
    assert plan.place.party is Party.AGGREGATOR
    assert plan.over_noise() == 2
    assert plan.variance() == pytest.approx(2 * plan.law.variance)
    assert plan.guarantee == LaplaceDp("0.1", 1, 2)


def test_two_honest_aggregators_of_three_share_the_noise() -> None:
    plan = Plan.aggregators(APPROX, VECTOR, 1000, count=3, honest=2)
    alone = Plan.aggregators(APPROX, VECTOR, 1000, count=3)
    assert plan.keeps_budget
    assert plan.law.variance == pytest.approx(alone.law.variance / 2, rel=0.02)
    assert plan.over_noise() == Fraction(3, 2)


def test_a_cohort_counts_on_the_honest_survivors_alone() -> None:
    plan = distributed()
    assert (plan.honest, plan.parties, plan.place.party) == (34, 100, Party.CLIENT)
    assert plan.keeps_budget
    assert isinstance(plan.law, DiscreteGaussian)
    assert isinstance(plan.guarantee, GaussianDp)
    assert [plan.over_noise(parties) * 34 for parties in (None, 67, 34)] == [100, 67, 34]
    assert plan.variance(34) * 1.01 < plan.variance(67) < plan.variance()
    with pytest.raises(LocalProtocolError, match=r"parties must be 34 \.\. 100"):
        plan.variance(33)


def test_fewer_survivors_or_more_corrupt_clients_need_more_noise_of_each() -> None:
    variances = [
        distributed(survivors=survivors, corrupt=corrupt).law.variance
        for survivors, corrupt in ((100, 0), (67, 0), (67, 33), (67, 66))
    ]
    assert variances == sorted(variances)
    assert variances[-1] > 60 * variances[0]


@pytest.mark.parametrize("budget", [PureDp("0.3"), ZCdp("0.02"), APPROX])
@pytest.mark.parametrize("sensitivity", [HISTOGRAM, VECTOR])
def test_every_plan_keeps_to_its_budget_and_half_its_noise_does_not(budget: Any, sensitivity: Sensitivity) -> None:
    plans = [
        Plan.central(budget, sensitivity, 1000),
        Plan.local(budget, sensitivity, 1000, clients=50),
        Plan.aggregators(budget, sensitivity, 1000, unit=Unit(3, "a day")),
    ]
    plans.append(distributed(budget, sensitivity))
    for plan in plans:
        assert plan.keeps_budget
        assert not Plan(**{**vars(plan), "law": weaker(plan.law)}).keeps_budget


def test_one_release_fits_a_ledger_of_the_same_budget() -> None:
    for budget in (PureDp("0.3"), ZCdp("0.02"), APPROX):
        for form in (None, False, True):
            plan, ledger = Plan.central(budget, HISTOGRAM, 1000, isochronous=form), Ledger(budget)
            ledger.spend(plan.guarantee, "first", total_variation=plan.total_variation)
            assert not ledger.affords(plan.guarantee, total_variation=plan.total_variation)
    for sensitivity in (VECTOR, Sensitivity.l2_bounded(10**8, 1000, N)):
        plan, ledger = distributed(sensitivity=sensitivity), Ledger(APPROX)
        ledger.spend(plan.guarantee, "first", total_variation=plan.total_variation)
        with pytest.raises(BudgetExceeded):
            ledger.spend(plan.guarantee, "second", total_variation=plan.total_variation)
    exact = Plan.central(ApproxDp(1, "0.3"), HISTOGRAM, 1)
    assert isinstance(exact.guarantee, DiscreteGaussianDp)
    assert not Ledger(exact.budget).affords(ZCdp(exact.guarantee.rho))
    assert Ledger(exact.budget).affords(exact.guarantee)  # whose law is known
    assert Ledger(exact.budget).affords(exact.budget)


def weaker(law: Any) -> Any:
    """A tenth less of a law's first parameter."""
    value, *others = vars(law).values()
    return type(law)(value * Fraction(9, 10), *others)


def test_local_noise_is_for_one_report() -> None:
    plan = Plan.local(PureDp(1), Sensitivity.sum(1, N), 1, clients=1024)
    assert plan.law == DiscreteLaplace(Fraction(1))
    assert plan.over_noise() == 1
    assert plan.variance() == pytest.approx(1024 * plan.law.variance)


def test_a_client_with_three_reports_takes_three_times_the_scale_and_nine_times_rho() -> None:
    one, three = (Plan.central(PureDp("0.1"), HISTOGRAM, 1, unit=unit) for unit in (Unit(), Unit(3, "a day")))
    assert (three.law, three.guarantee) == (DiscreteLaplace(Fraction(60)), plain(one.guarantee))
    one, three = (Plan.central(ZCdp("0.1"), HISTOGRAM, 1, unit=unit) for unit in (Unit(), Unit(3, "a day")))
    assert isinstance(one.law, DiscreteGaussian)
    assert three.law == DiscreteGaussian(9 * one.law.sigma_squared)
    assert three.assumptions()[-1] == "no client has more than 3 reports in a day, over all batches"
    assert str(three.unit) == "a client with at most 3 reports in a day"
    assert len(one.assumptions()) == 1


def test_the_report_states_guarantee_noise_and_assumptions() -> None:
    report = distributed(unit=Unit(2, "a week")).report()
    text = "\n".join(f"{name}: {value}" for name, value in report)
    for part in (
        "(1, 1e-06)-DP for a client with at most 2 reports in a week, replace-one", "by each client",
        "each of 1,000 entries", "up to 2.94 x", "assumed: 34 clients in every sum",
        "assumed: no client has more than 2",
    ):  # fmt: skip
        assert part in text
    assert "every entry" in dict(Plan.central(PureDp(1), HISTOGRAM, 1).report())["noise"]


def test_delta_covers_the_sampler() -> None:
    plan = distributed()
    assert plan.isochronous
    assert 0 < plan.total_variation <= 34 * 1000 * TOTAL_VARIATION_MAX
    assert plan.total_variation >= 34 * 1000 * IsochronousGaussian(vars(plan.law)["sigma_squared"]).total_variation
    tight = Plan.central(ApproxDp(1, "1e-30"), HISTOGRAM, 10**6)
    assert not tight.isochronous  # (1 + e) * 10**6 / 2**114 is about 2e-28
    assert tight.keeps_budget
    assert tight.total_variation == 0


def test_about_2_to_the_minus_100_at_a_million() -> None:
    """Of total variation, over all coordinates."""
    for scale in ("1", "100", "10000"):
        plan = Plan.central(PureDp(2 / Fraction(scale)), HISTOGRAM, 10**6, isochronous=True)
        assert Fraction(1, 1 << 106) < plan.total_variation < Fraction(1, 1 << 100)
        plan = Plan.central(ZCdp(Fraction(scale) ** -2), HISTOGRAM, 10**6)
        assert plan.total_variation < Fraction(1, 1 << 97)


def every_place(budget: Any, sensitivity: Sensitivity = VECTOR, **form: Any) -> list[Plan]:
    plans = [
        Plan.central(budget, sensitivity, 1000, **form), Plan.local(budget, sensitivity, 1000, clients=9, **form),
        Plan.aggregators(budget, sensitivity, 1000, **form),
    ]  # fmt: skip
    return plans if isinstance(budget, PureDp) else [*plans, distributed(budget, sensitivity, **form)]


@pytest.mark.parametrize("budget", [PureDp("0.3"), ZCdp("0.02"), APPROX])
def test_samples_are_isochronous_on_request_and_by_default_unless_the_budget_is_pure(budget: Any) -> None:
    for plan, exact, timed in zip(
        every_place(budget), every_place(budget, isochronous=False), every_place(budget, isochronous=True), strict=True
    ):
        assert (exact.isochronous, timed.isochronous) == (False, True)
        assert exact.total_variation == 0
        assert plan == (exact if isinstance(budget, PureDp) else timed)
        assert 0 < timed.total_variation < Fraction(1, 1 << 95)
        party = plan.place.party
        assert type(exact.noise_for(party).sampler).__name__.startswith("Exact")
        assert type(timed.noise_for(party).sampler).__name__.startswith("Isochronous")
        assert exact.keeps_budget
        assert timed.keeps_budget
        assert vars(exact)["law"].variance == pytest.approx(vars(timed)["law"].variance)


def test_a_unit_of_many_reports_and_many_honest_parties_add_up_their_distance() -> None:
    one, three = (Plan.aggregators(ZCdp("0.1"), HISTOGRAM, 10, unit=unit) for unit in (Unit(), Unit(3, "a day")))
    distances = [IsochronousGaussian(vars(plan.law)["sigma_squared"]).total_variation for plan in (one, three)]
    assert 1 <= one.total_variation / (10 * distances[0]) < 1.000001  # numbers that `approx` would call 0
    assert 1 <= three.total_variation / (3 * 10 * distances[1]) < 1.000001
    many = distributed(ZCdp("0.1"))
    each_of_many = IsochronousGaussian(vars(many.law)["sigma_squared"]).total_variation
    assert 1 <= many.total_variation / (34 * 1000 * each_of_many) < 1.000001


@pytest.mark.parametrize("reports", [1, 3])
def test_delta_pays_for_the_samples_of_all_honest_parties_and_of_all_reports(reports: int) -> None:
    """What the law needs of delta and (1 + e**epsilon) for each sample, as far as one may be from its law."""
    samples_delta = Fraction("3.718281829") * 34 * 1000 * reports * TOTAL_VARIATION_MAX
    budget = ApproxDp(1, 3 * samples_delta)
    vector = Sensitivity.l2_bounded(100, 1000, N)
    plan = distributed(budget, vector, unit=Unit(reports, "a day"), isochronous=True)
    assert isinstance(plan.guarantee, GaussianDp)
    law_delta = curve_delta(math.sqrt(plan.guarantee.mu_squared), 1.0)
    assert law_delta * (1 - 1e-6) <= 2 * samples_delta < law_delta * 1.1


def test_wide_noise_is_isochronous_as_well() -> None:
    for budget in (ZCdp(1), APPROX):
        plan = Plan.central(budget, Sensitivity.l2_bounded(10**22, 1000, N), 1000)
        assert isinstance(plan.law, DiscreteGaussian)
        assert plan.law.sigma_squared > 1 << 70
        assert plan.isochronous
        assert 0 < plan.total_variation < Fraction(1, 1 << 104)
        assert plan.keeps_budget


def test_noise_too_wide_for_any_sampler_is_refused_in_either_form() -> None:
    wide = Sensitivity.l2_bounded(10**30, 1000, N)
    for budget, law in ((ZCdp(1), r"DiscreteGaussian\(sigma"), (PureDp(1), r"DiscreteLaplace\(scale")):
        with pytest.raises(LocalProtocolError, match=f"too wide for isochronous samples.*{law}"):
            Plan.central(budget, wide, 1000, isochronous=True)
        plan = Plan.central(budget, wide, 1000)
        assert not plan.isochronous
        with pytest.raises(LocalProtocolError, match="cannot be sampled"):
            plan.noise_for(Party.COLLECTOR)


def test_a_delta_that_cannot_pay_for_isochronous_samples_is_said_to_be_too_small() -> None:
    with pytest.raises(LocalProtocolError, match=r"it must be at least 2\^-92, got \(1, 1e-30\)-DP"):
        Plan.central(ApproxDp(1, "1e-30"), HISTOGRAM, 10**6, isochronous=True)
    least = ApproxDp(1, Fraction(1, 1 << 92))
    assert Plan.central(least, HISTOGRAM, 10**6, isochronous=True).keeps_budget


def test_a_larger_epsilon_never_refuses_the_isochronous_form_that_a_smaller_one_pays_for() -> None:
    """From 58 on half of delta no longer pays at epsilon itself; the noise then stays what it is there."""
    plans = [Plan.central(ApproxDp(e, "1e-6"), VECTOR, 1000, isochronous=True) for e in (1, 50, 57, 58, 60, 100, 9999)]
    for plan in plans:
        assert plan.keeps_budget
        assert plan.isochronous
        ledger = Ledger(plan.budget)
        ledger.spend(plan.guarantee, "first", total_variation=plan.total_variation)
    variances = [float(plan.law.variance) for plan in plans]
    assert variances == sorted(variances, reverse=True)
    assert variances[2] > variances[3] == variances[4] == variances[6]
    assert not Plan.central(ApproxDp(100, "1e-6"), VECTOR, 1000).isochronous  # by default, the least noise


def test_the_report_says_how_close_samples_are_where_no_delta_covers_it() -> None:
    report = dict(Plan.central(ZCdp("0.1"), HISTOGRAM, 10**6).report())
    assert report["guarantee"] == "0.1-zCDP for a report, replace-one, but for a total variation of 2^-102"
    assert report["samples"] == "isochronous, together within 2^-102 of the law"
    report = dict(Plan.central(APPROX, VECTOR, 1000).report())
    assert report["guarantee"] == "(1, 1e-06)-DP for a report, replace-one"
    assert report["samples"].endswith("of the law, which delta covers")
    report = dict(Plan.central(PureDp(1), HISTOGRAM, 1).report())
    assert report["guarantee"] == "1-DP for a report, replace-one"
    assert report["samples"] == "exact, in a time that depends on them"


def test_room_and_error_are_those_of_all_noises() -> None:
    plan = Plan.aggregators(PureDp("0.1"), HISTOGRAM, 20)
    central = Plan.central(PureDp("0.1"), HISTOGRAM, 20)
    assert central.error(0.95).absolute < plan.error(0.95).absolute < plan.room()
    assert central.room() < plan.room() < central.room(Fraction(1, 1 << 80)) * 2
    assert plan.error(0.95, 100).relative == plan.error(0.95).absolute / 100
    assert plan.error(0.95, parties=1) == central.error(0.95)
    assert plan.mean_error(parties=1) == central.mean_error() < plan.mean_error() < plan.error(0.95).absolute


ADD = Sensitivity.histogram(Neighbours.ADD_REMOVE)


def test_only_a_central_plan_can_be_add_remove() -> None:
    assert Plan.central(PureDp("0.1"), ADD, 1).law == DiscreteLaplace(Fraction(10))
    with pytest.raises(LocalProtocolError, match="only a central plan can be add-remove"):
        Plan.aggregators(PureDp(1), ADD, 1)
    with pytest.raises(LocalProtocolError, match="only a central plan can be add-remove"):
        Plan.local(PureDp(1), ADD, 1, clients=3)
    with pytest.raises(LocalProtocolError, match="only a central plan can be add-remove"):
        distributed(sensitivity=ADD)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: Plan.aggregators(APPROX, VECTOR, 1000, honest=3), r"honest must be 1 \.\. 2"),
     (lambda: Plan.aggregators(APPROX, VECTOR, 1000, honest=0), "honest must be"),
     (lambda: distributed(survivors=33), "corrupt < survivors"), (lambda: distributed(survivors=101), "survivors <="),
     (lambda: distributed(PureDp("0.1"), Sensitivity.sum(1000, N)), "a scale of 4,096 at most"),
     (lambda: Plan.central(APPROX, VECTOR, 0), "length"),
     (lambda: Plan.local(APPROX, VECTOR, 1, clients=0), "clients"), (lambda: Unit(0, "a day"), "reports"),
     (lambda: Unit(3), "over which span")],
)  # fmt: skip
def test_what_is_no_plan(make: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        make()


def test_places_know_who_adds() -> None:
    assert [place.party for place in Place] == [Party.CLIENT, Party.CLIENT, Party.AGGREGATOR, Party.COLLECTOR]


RUN: dict[str, Any] = {"rounds": 100, "per_client": 20}


@pytest.mark.parametrize("budget", [PureDp(4), ZCdp(1), ApproxDp(4, "1e-6")], ids=str)
@pytest.mark.parametrize("isochronous", [None, False, True])
def test_the_budget_of_a_run_is_spent_in_the_rounds_that_a_client_joins(budget: Any, isochronous: bool | None) -> None:
    """Twenty fit its ledger, and one more does not; nor would twenty with less noise."""
    for make in (Plan.central, Plan.aggregators):
        plan = make(budget, HISTOGRAM, 50, isochronous=isochronous, **RUN)
        assert plan.keeps_budget
        assert not Plan(**{**vars(plan), "law": weaker(plan.law)}).keeps_budget
        ledger = Ledger(budget)
        for batch in range(20):
            ledger.spend(plan.guarantee, str(batch), total_variation=plan.total_variation)
        assert not ledger.affords(plan.guarantee, total_variation=plan.total_variation)


def test_a_run_reserves_delta_for_the_samples_of_all_its_rounds() -> None:
    """For one round of 1,000 entries a delta of 1e-28 leaves enough, and for ten thousand it does not."""
    total = ApproxDp(1, "1e-28")
    assert Plan.central(total, HISTOGRAM, 1000, isochronous=True).isochronous
    assert not Plan.central(total, HISTOGRAM, 1000, rounds=10**4).isochronous
    plan = Plan.central(ApproxDp(1, "1e-20"), HISTOGRAM, 1000, isochronous=True, rounds=100)
    assert Ledger(plan.budget).releases_left(plan.guarantee, total_variation=plan.total_variation) == 100


def test_clients_share_the_noise_of_a_run() -> None:
    plan, alone = distributed(sensitivity=HISTOGRAM, **RUN), distributed(sensitivity=HISTOGRAM)
    assert plan.keeps_budget
    assert plan.honest == alone.honest
    assert 10 < float(plan.law.variance) / float(alone.law.variance) < 400
    assert distributed(rounds=20).law == distributed(**RUN).law
    assert distributed(rounds=100).law != distributed(**RUN).law


def test_the_report_says_what_a_run_assumes() -> None:
    pairs = dict(distributed(**RUN).report())
    assert pairs["rounds"].startswith("100, of which a client joins 20 at most; the budget is of those that it joins")
    assert "no client joins more than 20 of the 100 rounds" in distributed(**RUN).assumptions()
    every = distributed(rounds=3)
    assert dict(every.report())["rounds"].startswith("3; the budget is of all of them together")
    assert not [text for text in every.assumptions() if "rounds" in text]
    assert "rounds" not in dict(distributed().report())
    many = Plan.central(ZCdp(1), HISTOGRAM, 9, rounds=2**12)
    together = power_above(many.total_variation * 2**12)
    assert dict(many.report())["guarantee"].endswith(f"but for a total variation of {together}")


@pytest.mark.parametrize(
    "wrong",
    [{"rounds": 0}, {"rounds": 1 << 17}, {"rounds": 3, "per_client": 4}, {"rounds": 3, "per_client": 0},
     {"per_client": 2}],
)  # fmt: skip
def test_rounds_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="rounds"):
        Plan.central(APPROX, HISTOGRAM, 1, **wrong)


def test_a_unit_of_several_reports_has_no_rounds() -> None:
    with pytest.raises(LocalProtocolError, match="leave out the unit, or rounds"):
        Plan.central(APPROX, HISTOGRAM, 1, unit=Unit(3, "a day"), rounds=2)


def test_a_plan_has_the_ledger_of_its_run(tmp_path: Path) -> None:
    plan, path = distributed(**RUN), tmp_path / "ledger.json"
    with pytest.raises(LocalProtocolError, match="is missing, although the run has begun"):
        plan.ledger(path, begun=True)
    ledger = plan.ledger(path, begun=False)
    assert (ledger.total, ledger.releases) == (plan.budget, 20)
    ledger.spend(plan.guarantee, "1", total_variation=plan.total_variation)
    assert list(plan.ledger(path, begun=True).spent) == ["1"]
    assert plan.ledger().releases == 20
