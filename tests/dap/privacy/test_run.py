"""The least noise for so many collections: it keeps to the total, with hardly any less it would not, and no other law
has less.
"""

from fractions import Fraction

import pytest

from secagg.dap.privacy.extension import Mechanism, collections_allowed, pays_for
from secagg.dap.privacy.run import privacy_of_run
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.dp import ApproxDp, Budget, PureDp, Unit, ZCdp, laws_of_run
from secagg.errors import LocalProtocolError

HISTOGRAM, COUNT = vdaf("Histogram", length=16, chunk_length=4), vdaf("Count")
TOTAL = ApproxDp(8, "1e-6")


@pytest.mark.parametrize(
    ("total", "collections", "task", "mechanism"),
    [
        (TOTAL, 100, HISTOGRAM, Mechanism.DISCRETE_GAUSSIAN),
        (TOTAL, 2, COUNT, Mechanism.DISCRETE_LAPLACE),
        (ZCdp(1), 100, HISTOGRAM, Mechanism.DISCRETE_GAUSSIAN),
        (PureDp(1), 10, COUNT, Mechanism.DISCRETE_LAPLACE),
    ],
)
def test_the_total_pays_for_so_many_and_hardly_for_more(
    total: Budget, collections: int, task: Vdaf, mechanism: Mechanism
) -> None:
    privacy = privacy_of_run(total, collections, task)
    assert (privacy.mechanism, privacy.total, privacy.honest) == (mechanism, total, 1)
    assert pays_for(privacy, privacy.plan(task), collections)
    assert collections <= collections_allowed(privacy, task) <= collections + 1 + collections // 1000


@pytest.mark.parametrize("collections", [2, 30, 300])
@pytest.mark.parametrize("total", [TOTAL, ApproxDp(1, "1e-9"), ZCdp("0.5")], ids=str)
def test_no_law_has_less_noise_for_the_same_total(total: Budget, collections: int) -> None:
    """`laws_of_run` searches among laws, and this among budgets."""
    plan = privacy_of_run(total, collections, HISTOGRAM).plan(HISTOGRAM)
    best = laws_of_run(total, HISTOGRAM.sensitivity(), collections, length=16)[0]
    assert 0.99 * float(best.variance) <= float(plan.law.variance) <= 1.02 * float(best.variance)


def test_many_collections_cost_less_than_so_many_times_one() -> None:
    counted, divided = (privacy_of_run(total, 100, COUNT).plan(COUNT).law for total in (TOTAL, PureDp(8)))
    assert 5 * counted.variance < divided.variance


def test_both_aggregators_share_the_noise_where_both_are_counted_on() -> None:
    one, both = (privacy_of_run(TOTAL, 50, HISTOGRAM, honest=honest).plan(HISTOGRAM) for honest in (1, 2))
    assert both.honest == 2
    assert float(both.variance()) < 0.6 * float(one.variance())


def test_the_unit_counts() -> None:
    weekly = privacy_of_run(TOTAL, 50, COUNT, unit=Unit(7, "a week"))
    assert weekly.unit == Unit(7, "a week")
    assert 50 <= collections_allowed(weekly, COUNT) <= 51
    assert weekly.plan(COUNT).law.variance > 10 * privacy_of_run(TOTAL, 50, COUNT).plan(COUNT).law.variance


@pytest.mark.parametrize("total", [TOTAL, ZCdp(1), PureDp(1)], ids=str)
def test_one_collection_has_the_whole_total(total: Budget) -> None:
    privacy = privacy_of_run(total, 1, HISTOGRAM)
    assert (privacy.budget, privacy.total) == (total, total)
    assert collections_allowed(privacy, HISTOGRAM) == 1


def test_a_pure_total_is_divided() -> None:
    assert privacy_of_run(PureDp(3), 4, COUNT).budget == PureDp(Fraction(3, 4))


@pytest.mark.parametrize("collections", [0, -1, (1 << 16) + 1])
def test_numbers_out_of_range_are_refused(collections: int) -> None:
    with pytest.raises(LocalProtocolError, match="collections must be 1"):
        privacy_of_run(TOTAL, collections, COUNT)


def test_what_no_noise_keeps_to_is_refused_with_the_reason() -> None:
    with pytest.raises(LocalProtocolError, match=r"no noise of the Aggregators keeps 1,000 collections.*: .*noise"):
        privacy_of_run(PureDp("1e-6"), 1000, COUNT, honest=2)


def test_budgets_that_no_task_may_have_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="epsilon and rho of a task must be"):
        privacy_of_run(ApproxDp("1e-9", "1e-30"), 1 << 16, HISTOGRAM)
