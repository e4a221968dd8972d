"""The privacy task extension: the noise of a task, the budget of each collection, and that of all together.

Its type is 0xFD01, for private use; its data (RFC 8446, section 3):

    enum {
      discrete_laplace(1), discrete_gaussian(2), skellam(3), randomized_response(4), polya(5), unary_encoding(6), (255)
    } Mechanism;
    enum { pure(1), zcdp(2), approx(3), (255) } BudgetKind;
    enum { replace_one(1), add_remove(2), (255) } Neighbours;

    struct {
      opaque numerator<1..16>;      /* big-endian, at least 1, without leading zero bytes */
      opaque denominator<1..16>;    /* the same; the fraction is in lowest terms */
    } Fraction;

    struct {
      BudgetKind kind;
      Fraction parameter;           /* epsilon, or rho for zcdp */
      select (BudgetKind) {
        case approx: Fraction delta;
        default: Empty;
      };
    } Budget;

    struct {
      Mechanism mechanism;
      Budget budget;                /* of a privacy unit, in one collection */
      Budget total;                 /* of a privacy unit, in all collections of the task */
      uint8 honest;                 /* how many of the two Aggregators; 0 where Clients randomize */
      Neighbours neighbours;        /* replace_one */
      uint32 reports;               /* that a privacy unit has, at least 1 */
      opaque span<0..2^8-1>;        /* UTF-8: over what they are counted; empty for one report */
    } Privacy;

Epsilon and rho are 1e-9 .. 1000, delta is 1e-30 .. 1/2, and a span is printable text. Every value has one encoding, and
any other one is refused: all four roles must hold the same bytes.
"""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Self

from ...arguments import convert, flag, whole
from ...codec import Opaque, Reader, Struct, UInt
from ...dp import (
    REPORT,
    ApproxDp,
    Budget,
    DiscreteGaussian,
    DiscreteLaplace,
    Neighbours,
    Party,
    Place,
    Plan,
    Polya,
    PureDp,
    Skellam,
    Unit,
    ZCdp,
)
from ...dp.composition import Spent, keeps_budget, releases_allowed
from ...dp.ledger import ALLOWANCE
from ...dp.noise import describe
from ...errors import LocalProtocolError, RemoteProtocolError, require
from ..vdafs import Count, Histogram, MultihotCountVec, SumVec, Vdaf
from .randomized_response import RandomizedResponse
from .unary_encoding import UnaryEncoding

__all__ = ["Mechanism", "Privacy", "affords", "collections_allowed", "costs", "least_noise", "pays_for"]

PRIVACY_EXTENSION = 0xFD01  # a task extension of this package
AGGREGATORS = 2
MAX_REPORTS = 1 << 32  # of a batch: so many must leave room for the noise in the VDAF's field
MAX_COLLECTIONS = 1 << 16  # of a task with noise, whatever its total allows: one every hour for seven years

_TERM_BYTES = 16  # of a fraction's numerator and denominator
_MIN_PARAMETER, _MAX_PARAMETER = Fraction(1, 10**9), 1000  # of epsilons and rhos
_MIN_DELTA = Fraction(1, 10**30)


class Mechanism(IntEnum):
    """What makes the results of a task private: the law of the Aggregators' noise, or what Clients do."""

    DISCRETE_LAPLACE = 1
    DISCRETE_GAUSSIAN = 2
    SKELLAM = 3
    RANDOMIZED_RESPONSE = 4
    POLYA = 5
    UNARY_ENCODING = 6

    def __str__(self) -> str:
        names = ("discrete Laplace", "discrete Gaussian", "Skellam", "randomized response", "Polya", "unary encoding")
        return names[self.value - 1]

    @property
    def place(self) -> Place:
        """Who makes results private: the Aggregators, or the Clients (local)."""
        randomizing = (Mechanism.RANDOMIZED_RESPONSE, Mechanism.UNARY_ENCODING)
        return Place.LOCAL if self in randomizing else Place.AGGREGATORS


_LAWS = {
    DiscreteLaplace: Mechanism.DISCRETE_LAPLACE,
    DiscreteGaussian: Mechanism.DISCRETE_GAUSSIAN,
    Skellam: Mechanism.SKELLAM,
    Polya: Mechanism.POLYA,
}


class _Fraction:
    """A positive fraction in lowest terms."""

    def write(self, value: Fraction) -> bytes:
        return b"".join(
            Opaque(1).write(term.to_bytes((term.bit_length() + 7) // 8, "big")) for term in value.as_integer_ratio()
        )

    def read(self, reader: Reader) -> Fraction:
        numerator, denominator = self._term(reader), self._term(reader)
        fraction = Fraction(numerator, denominator)
        if fraction.denominator != denominator:
            raise RemoteProtocolError("a fraction must be in lowest terms")
        return fraction

    @staticmethod
    def _term(reader: Reader) -> int:
        data = reader.take_sized(1)
        if not 1 <= len(data) <= _TERM_BYTES or data[0] == 0:
            raise RemoteProtocolError(
                f"a fraction's numerator and denominator must be positive, at most {_TERM_BYTES} bytes, without leading"
                " zeros"
            )
        return int.from_bytes(data, "big")


_FRACTION = _Fraction()


class _Budget:
    """A budget, after its kind."""

    KINDS: tuple[type[Any], ...] = (PureDp, ZCdp, ApproxDp)

    def write(self, value: Budget) -> bytes:
        kind = 1 + self.KINDS.index(type(value))
        return bytes([kind]) + b"".join(_FRACTION.write(number) for number in vars(value).values())

    def read(self, reader: Reader) -> Any:
        kind = UInt(1).read(reader)
        if not 1 <= kind <= len(self.KINDS):
            raise RemoteProtocolError(f"unknown kind of budget: {kind}")
        made = self.KINDS[kind - 1]
        return made(*(_FRACTION.read(reader) for _ in range(2 if made is ApproxDp else 1)))


class _Neighbours:
    """The neighbouring relation; Privacy accepts only one of the two."""

    KINDS = (Neighbours.REPLACE_ONE, Neighbours.ADD_REMOVE)

    def write(self, value: Neighbours) -> bytes:
        return bytes([1 + self.KINDS.index(value)])

    def read(self, reader: Reader) -> Neighbours:
        kind = UInt(1).read(reader)
        if not 1 <= kind <= len(self.KINDS):
            raise RemoteProtocolError(f"unknown neighbouring relation: {kind}")
        return self.KINDS[kind - 1]


class _Unit:
    """A privacy unit: how many reports, and over which span they are counted."""

    REPORTS, SPAN = UInt(4), Opaque(1)

    def write(self, value: Unit) -> bytes:
        return self.REPORTS.write(value.reports) + self.SPAN.write(value.span.encode())

    def read(self, reader: Reader) -> Unit:
        reports, span = self.REPORTS.read(reader), self.SPAN.read(reader)
        try:
            return Unit(reports, span.decode())
        except UnicodeDecodeError:
            raise RemoteProtocolError("a privacy unit's span is not UTF-8") from None


def _require_usable(budget: Budget) -> None:
    """Refuse numbers that do not fit, and numbers beyond all use, for which calibration would take long."""
    parameter, *deltas = vars(budget).values()
    terms = [term for number in (parameter, *deltas) for term in number.as_integer_ratio()]
    require(
        max(terms).bit_length() <= 8 * _TERM_BYTES,
        f"numerator and denominator of a budget must have at most {_TERM_BYTES} bytes",
    )
    require(
        _MIN_PARAMETER <= parameter <= _MAX_PARAMETER, f"epsilon and rho of a task must be 1e-9 .. 1000, got {budget}"
    )
    require(all(_MIN_DELTA <= delta <= Fraction(1, 2) for delta in deltas), f"delta must be 1e-30 .. 1/2, got {budget}")


def _require_short_unit(unit: Unit) -> None:
    require(unit.reports < 1 << 32, "a privacy unit must have fewer than 2**32 reports")
    require(
        len(unit.span.encode()) < 1 << 8 and (not unit.span or unit.span.isprintable()),
        "a privacy unit's span must be printable text of at most 255 bytes",
    )


@dataclass(frozen=True)
class Privacy(Struct):
    """What a task promises, and how: the data of the privacy task extension.

    Attributes:
        mechanism: the law of least variance that keeps to the budget, by name, or what Clients do.
        budget: what one collection may reveal about a privacy unit.
        total: what all collections of the task together may reveal about a privacy unit.
        honest: how many of the two Aggregators are trusted to add noise and to keep it secret, 1 or 2; 0 where Clients
            randomize, who need to trust neither.
        neighbours: replace-one.
        unit: whose data the guarantee is about.

    Raises:
        LocalProtocolError: the values contradict one another, or DAP cannot provide them.
    """

    mechanism: Annotated[Mechanism, UInt(1, Mechanism)]
    budget: Annotated[Budget, _Budget()]
    total: Annotated[Budget, _Budget()]
    honest: Annotated[int, UInt(1)] = 1
    neighbours: Annotated[Neighbours, _Neighbours()] = Neighbours.REPLACE_ONE
    unit: Annotated[Unit, _Unit()] = REPORT

    def __post_init__(self) -> None:
        convert(self, whole, "honest")
        require(
            self.neighbours is Neighbours.REPLACE_ONE,
            "DAP cannot hide that somebody took part: report count, interval and checksum of a batch are exact; use"
            " replace-one, which hides what was sent",
        )
        _require_usable(self.budget)
        _require_usable(self.total)
        _require_short_unit(self.unit)
        if self.place is Place.LOCAL:
            require(self.honest == 0, f"{self.mechanism} trusts no Aggregator: set honest = 0, not {self.honest}")
            require(isinstance(self.budget, PureDp), f"{self.mechanism} takes a pure budget, not {self.budget}")
        else:
            require(1 <= self.honest <= AGGREGATORS, f"honest must be 1 or 2 of the two Aggregators, got {self.honest}")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The extension's data from the wire.

        Args:
            reader: stands before the data.

        Raises:
            RemoteProtocolError: the data is malformed, or `Privacy` refuses its values.
        """
        try:
            return super().read(reader)
        except LocalProtocolError as error:
            raise RemoteProtocolError(str(error)) from None

    @property
    def place(self) -> Place:
        """Who makes results private: the Aggregators, or the Clients (local)."""
        return self.mechanism.place

    def plan(self, vdaf: Vdaf) -> Plan:
        """The noise of a task with this VDAF; where Clients randomize, a plan in which Aggregators add none.

        Args:
            vdaf: of the task.

        Raises:
            LocalProtocolError: there is no such noise; the message says why, and what there is.
        """
        return _plan(self, vdaf)

    @property
    def takes_buckets(self) -> bool:
        """Whether a measurement is the number of a bucket, 0 .. k - 1, although the VDAF takes vectors."""
        return self.mechanism is Mechanism.UNARY_ENCODING

    def randomized_response(self, vdaf: Vdaf) -> RandomizedResponse | UnaryEncoding:
        """What Clients do to each measurement before they shard it; the reports of a unit share epsilon evenly.

        Args:
            vdaf: of the task: Count or Histogram; for unary encoding SumVec of bits, or MultihotCountVec of any weight.

        Raises:
            LocalProtocolError: Clients do not randomize, or what they do does not suit the VDAF.
        """
        require(
            self.place is Place.LOCAL,
            f"Clients do not randomize in this task: Aggregators add its noise, {self.mechanism}",
        )
        assert isinstance(self.budget, PureDp)
        epsilon = self.budget.epsilon / self.unit.reports
        if self.mechanism is Mechanism.UNARY_ENCODING:
            _require_all_bits(vdaf)
            return UnaryEncoding(vdaf.entries, epsilon)
        require(
            isinstance(vdaf, Count | Histogram),
            f"randomized response is for Histogram and Count, whose reports it leaves valid, not for {vdaf.NAME}",
        )
        return RandomizedResponse(2 if isinstance(vdaf, Count) else vdaf.entries, epsilon)

    def report(self, vdaf: Vdaf, *, seen: bool = True) -> list[tuple[str, str]]:
        """The guarantee in words: names and values, assumptions included.

        Args:
            vdaf: of the task.
            seen: whether Clients see the parameters; those of a dialect that binds no task do not.
        """
        plan, seen = self.plan(vdaf), flag(seen, "seen")
        pairs = plan.report() if self.place is Place.AGGREGATORS else self._local_report(vdaf)
        pairs.append(("total", f"{self.total}: {collections_allowed(self, vdaf):,} collections at most"))
        if not seen:
            pairs.append(("assumed", "the operators' word: Clients of this dialect did not see the parameters"))
        return pairs

    def _local_report(self, vdaf: Vdaf) -> list[tuple[str, str]]:
        response = self.randomized_response(vdaf)
        assumed = f"no client has more than {self.unit.reports} reports in {self.unit.span}, over all batches"
        reported = f"reports its own of {response.buckets:,} values with p = {float(response.p):.6g}"
        if isinstance(response, UnaryEncoding):
            reported = (
                f"sets a bit for each of {response.buckets:,} buckets with q = {float(response.q):.6g}, its own 1/2"
            )
        return [
            ("guarantee", f"{self.budget} for {self.unit}, {self.neighbours.value}, towards everybody"),
            ("noise", f"each client {reported}"),
            *([("assumed", assumed)] if self.unit.span else []),
        ]


def _require_all_bits(vdaf: Vdaf) -> None:
    """Refuse a VDAF that does not take every vector of bits."""
    require(
        isinstance(vdaf, SumVec | MultihotCountVec),
        f"unary encoding reports a bit for each bucket: take SumVec or MultihotCountVec, not {vdaf.NAME}",
    )
    if isinstance(vdaf, SumVec):
        require(vdaf.max_measurement == 1, f"unary encoding needs max_measurement = 1, got {vdaf.max_measurement}")
    if isinstance(vdaf, MultihotCountVec):
        require(
            vdaf.max_weight == vdaf.length,
            f"unary encoding needs max_weight = length = {vdaf.length}, got {vdaf.max_weight}: reports of more ones"
            " would be refused, and those that are left would keep to no budget that is known",
        )


def least_noise(budget: Budget, vdaf: Vdaf, honest: int = 1, unit: Unit = REPORT) -> Mechanism:
    """The mechanism of the Aggregators that keeps to a budget with the least variance: the one that a task must name.

    Args:
        budget: of one collection.
        vdaf: of the task.
        honest: how many of the two Aggregators are trusted to add noise and to keep it secret.
        unit: whose data the budget is about.

    Raises:
        LocalProtocolError: no mechanism keeps to the budget.
    """
    plan = Plan.aggregators(budget, vdaf.sensitivity(), vdaf.entries, count=AGGREGATORS, honest=honest, unit=unit)
    return _LAWS[type(plan.law)]


def collections_allowed(privacy: Privacy, vdaf: Vdaf) -> int:
    """How many collections the total budget allows, up to MAX_COLLECTIONS.

    Args:
        privacy: of the task.
        vdaf: of the task.
    """
    return _allowed(privacy, privacy.plan(vdaf))


def affords(privacy: Privacy, plan: Plan, spent: int) -> bool:
    """Whether one more collection keeps to the total budget.

    Each collection costs the same, so that an Aggregator's ledger need only keep their number.

    Args:
        privacy: of the task.
        plan: the task's; see `Privacy.plan`.
        spent: the number of collections so far.
    """
    return whole(spent, "spent") < _allowed(privacy, plan)


def pays_for(privacy: Privacy, plan: Plan, count: int) -> bool:
    """Whether the total budget pays for so many collections: `collections_allowed(...) >= count`, at a small part of
    its cost.

    Args:
        privacy: of the task.
        plan: the task's; see `Privacy.plan`.
        count: of collections, at least 1.
    """
    number = whole(count, "count")
    return any(keeps_budget(privacy.total, {cost: number}, ALLOWANCE) for cost in costs(privacy.budget, plan))


@lru_cache
def _plan(privacy: Privacy, vdaf: Vdaf) -> Plan:
    plan = _local_plan(privacy, vdaf) if privacy.place is Place.LOCAL else _aggregators_plan(privacy, vdaf)
    require(
        pays_for(privacy, plan, 1),
        f"the total budget, {privacy.total}, does not allow one collection at {privacy.budget}: raise it",
    )
    return plan


def _local_plan(privacy: Privacy, vdaf: Vdaf) -> Plan:
    privacy.randomized_response(vdaf)
    return Plan.local(privacy.budget, vdaf.sensitivity(), vdaf.entries, clients=1, unit=privacy.unit)


def _aggregators_plan(privacy: Privacy, vdaf: Vdaf) -> Plan:
    # The law of least variance that keeps to the budget. A task that names Polya noise keeps it where another version
    # found less noise of another law, and one that names another law may be from before there was Polya noise.
    plan = Plan.aggregators(
        privacy.budget,
        vdaf.sensitivity(),
        vdaf.entries,
        count=AGGREGATORS,
        honest=privacy.honest,
        unit=privacy.unit,
        polya={Mechanism.POLYA: True, Mechanism.DISCRETE_LAPLACE: None}.get(privacy.mechanism, False),
    )

    # The task must name this law: all parties check it.
    given = _LAWS[type(plan.law)]
    require(
        given is privacy.mechanism,
        f"for {vdaf.NAME}, {privacy.budget} and {privacy.honest} of 2 Aggregators honest the least noise is"
        f" {describe(plan.law)}, not {privacy.mechanism}: name {given}, or change the budget (a pure one has discrete"
        " Laplace noise, one of zCDP discrete Gaussian noise)",
    )

    # A sampler must reach it, and the field must have room for it.
    plan.noise_for(Party.AGGREGATOR)  # raises where no sampler reaches so far
    require(
        vdaf.prio3().capacity(signed=True, room=plan.room()) >= MAX_REPORTS,
        f"the sum of {MAX_REPORTS:,} reports and noise up to {plan.room():,} does not fit in the field of {vdaf.NAME}:"
        " lower max_measurement or raise the budget",
    )
    return plan


@lru_cache
def _allowed(privacy: Privacy, plan: Plan) -> int:
    """The largest number of collections that keeps to the total budget."""
    bounds = costs(privacy.budget, plan)
    return max(releases_allowed(privacy.total, [], cost, MAX_COLLECTIONS, ALLOWANCE) for cost in bounds)


def costs(budget: Budget, plan: Plan) -> list[Spent]:
    """What a collection costs, by each of the bounds that are true of all of them.

    Each is counted at its plan's guarantee, which composes better, or at its budget, which is better for one. For a
    budget without a delta, the samples' total variation from their law is added.

    Args:
        budget: of one collection.
        plan: made for it.
    """
    if plan.place is Place.LOCAL:
        return [Spent(budget)]
    off = Fraction(0) if isinstance(budget, ApproxDp) else plan.total_variation
    return [Spent(budget, off), Spent(plan.guarantee, plan.total_variation)]
