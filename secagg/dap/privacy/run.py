"""The least noise with which a task may be collected so often, where its budget is that of all collections together."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from ...arguments import whole
from ...dp import REPORT, ApproxDp, Budget, Plan, PureDp, Unit, ZCdp
from ...dp.calibrate import budget_rho, smallest_sufficient
from ...dp.composition import keeps_budget
from ...dp.ledger import ALLOWANCE
from ...errors import LocalProtocolError, require
from ..vdafs import Vdaf
from .extension import AGGREGATORS, MAX_COLLECTIONS, Privacy, costs, least_noise

__all__ = ["privacy_of_run"]

_MOST_DOUBLINGS = 20  # of the noise that basic composition asks for


class _Kind(NamedTuple):
    """Budgets of one kind for a collection: with 1 / p of an epsilon or a rho each."""

    make: Callable[[Fraction], PureDp | ZCdp]
    start: Fraction  # a p that suffices by basic composition, but for samplers


def privacy_of_run(total: Budget, collections: int, vdaf: Vdaf, *, honest: int = 1, unit: Unit = REPORT) -> Privacy:
    """The privacy of a task that is to be collected so often: the Aggregators' law of least variance under the total.

    A total with a delta or of zCDP lets each collection be counted by its noise: many cost far less than so many times
    one. Which law serves best depends on their number.

    Args:
        total: what all collections together may reveal about a privacy unit.
        collections: how many there may be, 1 .. MAX_COLLECTIONS.
        vdaf: of the task.
        honest: how many of the two Aggregators are trusted to add noise and to keep it secret.
        unit: whose data the budget is about.

    Raises:
        LocalProtocolError: a number is out of range, or no noise keeps so many collections to the total.
    """
    collections, honest = whole(collections, "collections"), whole(honest, "honest")
    require(1 <= collections <= MAX_COLLECTIONS, f"collections must be 1 .. {MAX_COLLECTIONS:,}, got {collections:,}")

    def plan(budget: Budget) -> Plan:
        sensitivity, entries = vdaf.sensitivity(), vdaf.entries
        return Plan.aggregators(budget, sensitivity, entries, count=AGGREGATORS, honest=honest, unit=unit)

    def keeps(budget: Budget) -> bool:
        return any(keeps_budget(total, {cost: collections}, ALLOWANCE) for cost in costs(budget, plan(budget)))

    if collections == 1:  # the exact account of one is better than that of its pure or zCDP part
        return Privacy(least_noise(total, vdaf, honest, unit), total, total, honest, unit=unit)
    found: list[tuple[float, Budget]] = []
    reason: LocalProtocolError | None = None
    for kind in _kinds(total, collections):
        try:
            budget = _largest(kind, keeps)
            found.append((float(plan(budget).variance()), budget))
        except LocalProtocolError as error:
            reason = error
    if not found:
        raise LocalProtocolError(
            f"no noise of the Aggregators keeps {collections:,} collections to {total}: {reason}"
        ) from reason
    _, largest = min(found, key=lambda each: each[0])
    return Privacy(least_noise(largest, vdaf, honest, unit), largest, total, honest, unit=unit)


def _kinds(total: Budget, collections: int) -> Iterator[_Kind]:
    if isinstance(total, PureDp):
        yield _Kind(lambda p: PureDp(1 / p), collections / Fraction(total.epsilon))
        return
    of_pure = total.epsilon if isinstance(total, ApproxDp) else total.rho
    yield _Kind(lambda p: PureDp(1 / p), collections / Fraction(of_pure))
    yield _Kind(lambda p: ZCdp(1 / p), collections / Fraction(budget_rho(total)))


def _largest(kind: _Kind, keeps: Callable[[Budget], bool]) -> Budget:
    """The largest budget of a kind with which the run keeps to its total, to within 2.5e-4 of it."""

    def suffices(p: Fraction) -> bool:
        if p > kind.start * (1 << _MOST_DOUBLINGS):
            raise LocalProtocolError("the samplers of so much noise are too far from their law")
        return keeps(kind.make(p))

    return kind.make(smallest_sufficient(kind.start, suffices))
