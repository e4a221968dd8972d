"""The privacy task extension: one encoding of every value, what can be had, and how often."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.dialect import DAP_09
from secagg.dap.privacy import extension as privacy_module
from secagg.dap.privacy.estimates import error_bars, estimates
from secagg.dap.privacy.extension import (
    MAX_COLLECTIONS,
    Mechanism,
    Privacy,
    affords,
    collections_allowed,
    least_noise,
    pays_for,
)
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.dp import (
    ApproxDp,
    Budget,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Party,
    Place,
    Polya,
    PureDp,
    Skellam,
    Unit,
    ZCdp,
)
from secagg.dp.composition import Spent, keeps_budget
from secagg.dp.known_noise import LaplaceDp, plain
from secagg.errors import LocalProtocolError, RemoteProtocolError

from ...support.folders import ROOT
from ...support.tasks import make_task

LAPLACE, GAUSSIAN = Mechanism.DISCRETE_LAPLACE, Mechanism.DISCRETE_GAUSSIAN
RESPONSE = Mechanism.RANDOMIZED_RESPONSE
DAY = Unit(3, "a day")
VDAFS = [
    vdaf("Count"),
    vdaf("Sum", max_measurement=255),
    vdaf("SumVec", length=10, max_measurement=15),
    vdaf("Histogram", length=16),
    vdaf("MultihotCountVec", length=20, max_weight=3),
]
COUNT, SUM, SUM_VEC, HISTOGRAM, MULTIHOT = VDAFS

PLAIN = Privacy(LAPLACE, PureDp(1), PureDp(10))
FULL = Privacy(GAUSSIAN, ZCdp("0.1"), ApproxDp(30, "1e-6"), honest=2, unit=DAY)
LOCAL = Privacy(RESPONSE, PureDp(2), PureDp(20), honest=0)
PLAIN_HEX = "01  01 0101 0101  01 010a 0101  01 01 00000001 00"
FULL_HEX = "02  02 0101 010a  03 011e 0101 0101 030f4240  02 01 00000003 05 6120646179"
UNARY = Privacy(Mechanism.UNARY_ENCODING, PureDp(2), PureDp(20), honest=0)
UNARY_HEX = "06  01 0102 0101  01 0114 0101  00 01 00000001 00"
LOCAL_HEX = "04  01 0102 0101  01 0114 0101  00 01 00000001 00"


def by_name(chosen: Vdaf) -> str:
    return chosen.NAME


@pytest.mark.parametrize(
    ("privacy", "encoded"),
    [(PLAIN, PLAIN_HEX), (FULL, FULL_HEX), (LOCAL, LOCAL_HEX), (UNARY, UNARY_HEX)],
    ids=["plain", "full", "local", "unary"],
)
def test_encoding_is_the_documented_one(privacy: Privacy, encoded: str) -> None:
    assert privacy.encode() == bytes.fromhex(encoded)
    assert Privacy.decode(bytes.fromhex(encoded)) == privacy


def test_the_document_has_the_encoding_and_the_sensitivities() -> None:
    document = (ROOT / "docs" / "privacy.md").read_text()
    assert FULL_HEX in document
    structs = str(privacy_module.__doc__).split("    enum", 1)[1].split("} Privacy;")[0]
    assert structs in document
    rows = [[cell.strip() for cell in line.split("|")] for line in document.splitlines()]
    table = {row[1].split(",")[0]: row[2:4] for row in rows if len(row) == 8}
    values = {"m": 15, "d": 10, "w": 3, "min": min}
    for chosen in [
        *VDAFS[:1],
        vdaf("Sum", max_measurement=15),
        SUM_VEC,
        HISTOGRAM,
        vdaf(MULTIHOT.NAME, length=10, max_weight=3),
    ]:
        bounds = [
            text.replace("^", "**").replace("d m", "d * m").replace("2 w", "2 * w") for text in table[chosen.NAME]
        ]
        sensitivity = chosen.sensitivity()
        assert [eval(bound, values) for bound in bounds] == [sensitivity.l1, sensitivity.l2_squared]


@pytest.mark.parametrize(
    ("encoded", "says"),
    [
        ("01  01 020001 0101  01 010a 0101  01 01 00000001 00", "leading zeros"),
        ("01  01 0102 0102  01 010a 0101  01 01 00000001 00", "lowest terms"),
        ("01  01 0100 0101  01 010a 0101  01 01 00000001 00", "must be positive"),
        ("01  01 00 0101  01 010a 0101  01 01 00000001 00", "at most 16 bytes"),
        (f"01  01 11{'01' * 17} 0101  01 010a 0101  01 01 00000001 00", "at most 16 bytes"),
        ("01  01 0101 0100  01 010a 0101  01 01 00000001 00", "must be positive"),
        ("01  01 0207d0 0101  01 010a 0101  01 01 00000001 00", "1000"),
        ("01  03 0101 0101 0102 0103  01 010a 0101  01 01 00000001 00", "1/2"),
        ("07  01 0101 0101  01 010a 0101  01 01 00000001 00", "unknown value"),
        ("01  04 0101 0101  01 010a 0101  01 01 00000001 00", "kind of budget"),
        ("01  00 0101 0101  01 010a 0101  01 01 00000001 00", "kind of budget"),
        ("01  01 0101 0101  01 010a 0101  00 01 00000001 00", "honest"),
        ("01  01 0101 0101  01 010a 0101  03 01 00000001 00", "honest"),
        ("01  01 0101 0101  01 010a 0101  01 03 00000001 00", "neighbouring relation"),
        (
            "01  01 0101 0101  01 010a 0101  01 02 00000001 00",
            "report count, interval and checksum of a batch are exact",
        ),
        ("01  01 0101 0101  01 010a 0101  01 01 00000000 00", "reports must be at least 1"),
        ("01  01 0101 0101  01 010a 0101  01 01 00000002 00", "over which span"),
        ("01  01 0101 0101  01 010a 0101  01 01 00000002 01ff", "UTF-8"),
        ("01  01 0101 0101  01 010a 0101  01 01 00000002 010a", "printable"),
        ("01  01 0101 0101  01 010a 0101  01 01 00000001 00 00", "too many"),
        ("01  01 0101 0101  01 010a 0101  01 01 00000001", "ends early"),
        ("04  01 0101 0101  01 010a 0101  01 01 00000001 00", "trusts no Aggregator"),
        ("04  02 0101 0101  01 010a 0101  00 01 00000001 00", "pure budget"),
        ("06  01 0101 0101  01 010a 0101  01 01 00000001 00", "unary encoding trusts no Aggregator"),
        ("06  02 0101 0101  01 010a 0101  00 01 00000001 00", "unary encoding takes a pure budget"),
    ],
)
def test_other_bytes_are_refused(encoded: str, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says):
        Privacy.decode(bytes.fromhex(encoded))


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda tail: bytes.fromhex(PLAIN_HEX)[:-5] + tail))
def test_any_bytes_are_one_encoding_or_refused(data: bytes) -> None:
    try:
        privacy = Privacy.decode(data)
    except RemoteProtocolError:
        return
    assert privacy.encode() == data


numbers = st.fractions(Fraction(1, 10**6), 1000, max_denominator=10**12)
deltas = st.fractions(Fraction(1, 10**9), Fraction(1, 2), max_denominator=10**12)
budgets = st.one_of(numbers.map(PureDp), numbers.map(ZCdp), st.builds(ApproxDp, numbers, deltas))


@given(budgets, budgets, st.integers(1, 2), st.integers(1, 2**32 - 1), st.sampled_from(["a day", "ein Übermaß", "年"]))
def test_what_is_encoded_is_what_is_decoded(
    budget: Budget, total: Budget, honest: int, reports: int, span: str
) -> None:
    privacy = Privacy(LAPLACE, budget, total, honest, unit=Unit(reports, span))
    assert Privacy.decode(privacy.encode()) == privacy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"neighbours": Neighbours.ADD_REMOVE}, "use replace-one"),
        ({"honest": 3}, "1 or 2 of the two"),
        ({"budget": PureDp(Fraction(1, 10**10))}, "1e-9"),
        ({"budget": PureDp(Fraction(10**40 + 1, 10**40))}, "16 bytes"),
        ({"total": ApproxDp(1, Fraction(1, 10**31))}, "1e-30"),
        ({"unit": Unit(1 << 32, "a day")}, "2\\*\\*32"),
        ({"unit": Unit(2, "x" * 256)}, "255 bytes"),
        ({"unit": Unit(2, "\x1b[2J")}, "printable"),
    ],
)
def test_our_own_mistakes_are_ours(change: dict[str, Any], says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        replace(PLAIN, **change)


@pytest.mark.parametrize("unit", [Unit(), DAY], ids=str)
@pytest.mark.parametrize("chosen", VDAFS, ids=by_name)
def test_every_vdaf_takes_laplace_and_gaussian_noise(chosen: Vdaf, unit: Unit) -> None:
    for privacy, law in (
        (Privacy(LAPLACE, PureDp(1), PureDp(1), unit=unit), DiscreteLaplace),
        (Privacy(GAUSSIAN, ZCdp("0.1"), ZCdp("0.1"), unit=unit), DiscreteGaussian),
        (Privacy(GAUSSIAN, ZCdp("0.1"), ZCdp("0.1"), honest=2, unit=unit), DiscreteGaussian),
    ):
        plan = privacy.plan(chosen)
        assert isinstance(plan.law, law)
        assert (plan.parties, plan.honest, plan.length) == (2, privacy.honest, chosen.entries)
        assert plan.sensitivity == chosen.sensitivity()
        assert plan.keeps_budget
        assert plan.noise_for(Party.AGGREGATOR).sampler is not None


def test_one_honest_aggregator_adds_all_the_noise() -> None:
    assert PLAIN.plan(HISTOGRAM).law == DiscreteLaplace(Fraction(2))  # L1 = 2, epsilon = 1
    assert Privacy(GAUSSIAN, ZCdp("0.1"), ZCdp(1)).plan(HISTOGRAM).law == DiscreteGaussian(Fraction(10))


@pytest.mark.parametrize(
    ("privacy", "chosen", "says"),
    [
        (replace(PLAIN, mechanism=GAUSSIAN), HISTOGRAM, "DiscreteLaplace.*name discrete Laplace"),
        (replace(PLAIN, budget=ZCdp("0.1")), SUM, "DiscreteGaussian.*name discrete Gaussian"),
        (replace(PLAIN, honest=2), COUNT, "Polya.scale = 1, parties = 2., not discrete Laplace: name Polya"),
        (replace(PLAIN, mechanism=RESPONSE, honest=0), SUM, "Histogram and Count"),
        (replace(PLAIN, mechanism=RESPONSE, honest=0), MULTIHOT, "Histogram and Count"),
        (replace(PLAIN, mechanism=RESPONSE, honest=0), vdaf("Histogram", length=1), "at least 2 buckets"),
        (UNARY, HISTOGRAM, "SumVec or MultihotCountVec, not Histogram"),
        (UNARY, SUM_VEC, "max_measurement = 1, got 15"),
        (UNARY, MULTIHOT, "max_weight = length = 20, got 3: reports of more ones would be refused"),
        (UNARY, vdaf("SumVec", length=1, max_measurement=1), "at least 2 buckets"),
        (replace(PLAIN, total=PureDp("0.5")), COUNT, "does not allow one collection"),
        (replace(PLAIN, total=ZCdp("0.4")), COUNT, "does not allow one collection"),
        (replace(PLAIN, budget=PureDp("1e-9")), vdaf("Sum", max_measurement=1 << 12), "cannot be sampled"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_can(privacy: Privacy, chosen: Vdaf, says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        privacy.plan(chosen)
    with pytest.raises(LocalProtocolError, match=says):
        make_task(vdaf=chosen, privacy=privacy)


@pytest.mark.parametrize("budget", [PureDp(1), ApproxDp(1, "1e-6")])
def test_two_honest_aggregators_share_laplace_noise(budget: PureDp | ApproxDp) -> None:
    assert least_noise(budget, HISTOGRAM, honest=2) is Mechanism.POLYA
    privacy = Privacy(Mechanism.POLYA, budget, budget, honest=2)
    assert Privacy.decode(privacy.encode()) == privacy
    plan = privacy.plan(HISTOGRAM)
    scale = plan.law.scale  # type: ignore[union-attr]
    assert (plan.law, plan.guarantee) == (Polya(scale, 2), LaplaceDp(2 / scale, 1, 2))
    assert 2 <= scale < Fraction(201, 100)  # 2 but for what isochronous samples cost
    said = [value for name, value in privacy.report(HISTOGRAM) if name == "otherwise"]
    assert said == ["with 1 of 2 honest, at most 2.28-DP"]


def test_a_task_keeps_polya_noise_where_another_law_has_less() -> None:
    """The least noise of a budget may be of another law in another version, and the task goes on."""
    budget, chosen = ApproxDp("1/4", "1e-1"), vdaf("Sum", max_measurement=200)
    assert least_noise(budget, chosen, honest=2) is GAUSSIAN
    for mechanism, law in ((Mechanism.POLYA, Polya), (GAUSSIAN, DiscreteGaussian)):
        plan = Privacy(mechanism, budget, budget, honest=2).plan(chosen)
        assert (type(plan.law), plan.keeps_budget) == (law, True)
    with pytest.raises(LocalProtocolError, match="name discrete Gaussian"):
        Privacy(Mechanism.SKELLAM, budget, budget, honest=2).plan(chosen)


def test_two_aggregators_share_an_approximate_budget_as_skellam_noise() -> None:
    privacy = Privacy(Mechanism.SKELLAM, ApproxDp(1, "1e-6"), ApproxDp(10, "1e-5"), honest=2)
    plan = privacy.plan(HISTOGRAM)
    assert isinstance(plan.law, Skellam)
    assert plan.keeps_budget
    assert collections_allowed(privacy, HISTOGRAM) > 10  # more than epsilons alone would add up to


def test_sums_and_noise_must_fit_in_the_field() -> None:
    """2**32 reports of 2**31 are beyond half of Field64 by themselves; of 2**30 they leave room."""
    PLAIN.plan(vdaf("Sum", max_measurement=1 << 30))
    with pytest.raises(LocalProtocolError, match="does not fit in the field of Sum"):
        PLAIN.plan(vdaf("Sum", max_measurement=1 << 31))
    half = ((1 << 64) - (1 << 32) + 1) // 2
    largest = half >> 32
    with pytest.raises(LocalProtocolError, match="does not fit"):  # the reports do, and their noise does not
        replace(PLAIN, budget=PureDp("0.01")).plan(vdaf("Sum", max_measurement=largest))


def test_randomizing_clients_need_no_noise_of_aggregators() -> None:
    plan = LOCAL.plan(HISTOGRAM)
    assert plan.place is LOCAL.place is Place.LOCAL
    assert plan.noise_for(Party.AGGREGATOR).sampler is None
    with pytest.raises(LocalProtocolError, match="Clients do not randomize"):
        PLAIN.randomized_response(HISTOGRAM)


def test_clients_that_see_no_parameters_cannot_randomize() -> None:
    with pytest.raises(LocalProtocolError, match="cannot randomize"):
        make_task(privacy=LOCAL, dialect=DAP_09)
    assert make_task(privacy=LOCAL).privacy == LOCAL
    assert make_task(privacy=PLAIN, dialect=DAP_09).privacy == PLAIN


# The total budget.


@pytest.mark.parametrize(
    ("budget", "total", "allowed"),
    [
        (PureDp(1), PureDp(10), 10),
        (PureDp("0.3"), PureDp(1), 3),
        (PureDp(1), ZCdp("1.75"), 3),  # epsilon**2 / 2 each
        (PureDp(1), PureDp(1), 1),
        (PureDp("0.01"), PureDp(1000), MAX_COLLECTIONS),
    ],
)
def test_collections_that_a_total_allows(budget: Budget, total: Budget, allowed: int) -> None:
    privacy = Privacy(LAPLACE, budget, total)
    assert collections_allowed(privacy, HISTOGRAM) == allowed
    plan = privacy.plan(HISTOGRAM)
    assert affords(privacy, plan, allowed - 1)
    assert not affords(privacy, plan, allowed)
    assert not affords(privacy, plan, allowed + 1)
    assert pays_for(privacy, plan, allowed)
    assert pays_for(privacy, plan, allowed + 1) is (allowed == MAX_COLLECTIONS)


def test_randomized_response_costs_its_budget() -> None:
    assert collections_allowed(LOCAL, HISTOGRAM) == 10
    plan = LOCAL.plan(HISTOGRAM)
    assert [pays_for(LOCAL, plan, count) for count in (1, 10, 11)] == [True, True, False]


@pytest.mark.parametrize("total", [ApproxDp(8, "1e-6"), ApproxDp(30, "1e-30")], ids=str)
@pytest.mark.parametrize("honest", [1, 2])
def test_the_count_is_where_the_ledger_would_stop(honest: int, total: ApproxDp) -> None:
    """Of the second total, samples' distance from their law takes the most."""
    privacy = Privacy(GAUSSIAN, ZCdp("0.05"), total, honest=honest)
    plan = privacy.plan(SUM_VEC)
    cost = Spent(plan.guarantee, plan.total_variation)
    allowed = collections_allowed(privacy, SUM_VEC)
    assert allowed > 1
    assert keeps_budget(privacy.total, [cost] * allowed)
    assert not keeps_budget(privacy.total, [cost] * (allowed + 1))


def test_a_total_that_is_the_budget_allows_one_collection() -> None:
    """Of a single number, whose exact delta is below what its zCDP gives."""
    privacy = Privacy(GAUSSIAN, ApproxDp(1, "0.1"), ApproxDp(1, "0.1"))
    plan = privacy.plan(COUNT)
    assert not keeps_budget(privacy.total, [Spent(plain(plan.guarantee), plan.total_variation)])
    assert collections_allowed(privacy, COUNT) == 1


# In words and for the Collector.


def test_the_report_names_what_is_assumed() -> None:
    report = FULL.report(HISTOGRAM, seen=False)
    text = "\n".join(f"{name}: {value}" for name, value in report)
    assert "0.1-zCDP for a client with at most 3 reports in a day, replace-one" in text
    assert "2 of the 2 Aggregators add noise" in text
    assert f"{collections_allowed(FULL, HISTOGRAM):,} collections at most" in text
    assert "did not see the parameters" in text
    assert "did not see" not in str(FULL.report(HISTOGRAM))
    local = str(replace(LOCAL, unit=DAY).report(HISTOGRAM))
    assert "towards everybody" in local
    assert "no client has more than 3 reports in a day" in local


def test_error_bars_are_the_noises_quantiles() -> None:
    bars = error_bars(PLAIN, HISTOGRAM, 0.95, 1000)
    assert bars == [float(PLAIN.plan(HISTOGRAM).error(0.95).absolute)] * 16
    assert 4 < bars[0] < 4 * 3.9  # between one and four standard deviations of two Laplace noises of scale 2
    assert error_bars(PLAIN, COUNT, 0.95, 1000) != bars[:1]
    assert error_bars(None, HISTOGRAM, 0.95, 1000) == [0.0] * 16
    with pytest.raises(LocalProtocolError, match="confidence"):
        error_bars(LOCAL, HISTOGRAM, 1.0, 1000)


def test_results_under_aggregators_noise_are_estimates_as_they_are() -> None:
    assert estimates(PLAIN, HISTOGRAM, [3, -1] * 8, 20) == [3.0, -1.0] * 8
    assert estimates(None, COUNT, 7, 20) == [7.0]
