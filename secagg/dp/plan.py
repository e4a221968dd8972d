"""Who adds the noise, what it promises to whom, and under which assumptions.

A plan is made once, before any data, and given to every party: each asks it for `noise_for` its role and adds that.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Self

from ..arguments import convert, flag, whole
from ..errors import require
from .accuracy import Error, error, room
from .budget import ApproxDp, Budget, Guarantee
from .distributed import GaussianSum, PartyLaw, calibrate_distributed, sum_law
from .exact import Exact, power_above, round_up
from .form import is_isochronous, law_budget
from .noise import Noise, describe, sampler_of
from .samplers import Sampler
from .sensitivity import Neighbours, Sensitivity

WRAP_PROBABILITY = Fraction(1, 1 << 40)  # of a noisy sum, over all its entries


class Party(Enum):
    """A role in a protocol."""

    CLIENT = "each client"
    AGGREGATOR = "each Aggregator"
    COLLECTOR = "the Collector"


class Place(Enum):
    """Where noise is added."""

    LOCAL = "local"
    DISTRIBUTED = "distributed"
    AGGREGATORS = "aggregators"
    CENTRAL = "central"

    @property
    def party(self) -> Party:
        """Who adds it."""
        return {Place.AGGREGATORS: Party.AGGREGATOR, Place.CENTRAL: Party.COLLECTOR}.get(self, Party.CLIENT)


@dataclass(frozen=True)
class Unit:
    """Whose data the guarantee is about: one report, or one client with several.

    Attributes:
        reports: how many reports a client has at most, in a batch and in all batches of the span together.
        span: over what that is counted, such as "a day"; empty for the unit of one report.

    Raises:
        LocalProtocolError: reports is below 1, or a client's span is not stated.
    """

    reports: int = 1
    span: str = ""

    def __post_init__(self) -> None:
        convert(self, whole, "reports")
        require(self.reports >= 1, f"reports must be at least 1, got {self.reports}")
        require(
            bool(self.span) or self.reports == 1, "say over which span a client has so many reports: Unit(3, 'a day')"
        )

    def __str__(self) -> str:
        if not self.span:
            return "a report"
        return f"a client with at most {self.reports} report{'s' * (self.reports > 1)} in {self.span}"


REPORT = Unit()


@dataclass(frozen=True)
class Plan:
    """Noise for vectors of `length` integers; made by `local`, `distributed`, `aggregators` or `central`.

    Each of these takes `isochronous`: True asks for samples whose time does not depend on them, and raises
    `LocalProtocolError` where the noise is too wide for that or delta cannot pay for it; False for exact samples. By
    default samples are exact under a pure budget, and isochronous under others where that is possible. Wide Gaussian or
    Skellam noise is slow then: at a variance of 2**20 it takes 7 microseconds a sample, exact noise a tenth of one.

    Attributes:
        budget: what a privacy unit's data may reveal.
        sensitivity: of one report.
        unit: the privacy unit.
        length: entries of the vector that is released.
        place: where noise is added.
        parties: how many parties add it.
        honest: how many are counted on: what they add is enough by itself.
        law: what each of them adds to every entry.
        isochronous: whether the samplers' time does not depend on the samples. Their law is then a little off: by
            `total_variation`, which is taken off an (epsilon, delta) budget's delta in advance. The promise of a pure
            or zCDP plan is that its samples are so close to a mechanism that keeps to the budget.
    """

    budget: Budget
    sensitivity: Sensitivity
    unit: Unit
    length: int
    place: Place
    parties: int
    honest: int
    law: PartyLaw
    isochronous: bool

    def __post_init__(self) -> None:
        convert(self, whole, "length", "parties", "honest")
        convert(self, flag, "isochronous")

    @classmethod
    def central(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        *,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
    ) -> Self:
        """The Collector adds the noise: private towards those who see what it publishes, not towards itself."""
        return cls._make(budget, sensitivity, length, unit, Place.CENTRAL, 1, 1, isochronous)

    @classmethod
    def aggregators(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        *,
        count: int = 2,
        honest: int = 1,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
    ) -> Self:
        """Each of `count` Aggregators adds noise to its aggregate share: private towards the Collector and the others
        as long as `honest` of them do. With honest = 1 each adds all of it, which protects from every Aggregator but
        the honest one; with more, an Aggregator that sees the result knows its own part and is not one of `honest`.

        Raises:
            LocalProtocolError: honest is not 1 .. count, or the sensitivity is not for replace-one.
        """
        count, honest = whole(count, "count"), whole(honest, "honest")
        require(1 <= honest <= count, f"honest must be 1 .. {count}, the number of Aggregators, got {honest}")
        cls._require_replace_one(sensitivity)
        return cls._make(budget, sensitivity, length, unit, Place.AGGREGATORS, count, honest, isochronous)

    @classmethod
    def distributed(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        *,
        clients: int,
        survivors: int,
        corrupt: int,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
    ) -> Self:
        """Each client of a SecAgg cohort adds a part before masking: private towards whoever sees the sum.

        Counted on are survivors - corrupt clients, where `survivors` is how many inputs the protocol has in every sum
        (t, or `Params.min_users`). A client that sees the sum knows its own part of the noise, however honest it is:
        where clients get results, `corrupt` must be 1 at least, and covers so many that pool them. Fewer than
        `survivors` inputs end the round, so dropouts never weaken the guarantee.

        Raises:
            LocalProtocolError: not corrupt < survivors <= clients, the sensitivity is not for replace-one, or the
                budget is pure.
        """
        clients, survivors = whole(clients, "clients"), whole(survivors, "survivors")
        corrupt = whole(corrupt, "corrupt")
        require(
            0 <= corrupt < survivors <= clients,
            f"0 <= corrupt < survivors <= clients must hold, got {corrupt}, {survivors} and {clients}",
        )
        cls._require_replace_one(sensitivity)
        honest = survivors - corrupt
        return cls._make(budget, sensitivity, length, unit, Place.DISTRIBUTED, clients, honest, isochronous)

    @classmethod
    def local(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        *,
        clients: int,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
    ) -> Self:
        """Each client adds all the noise to its own report: private towards everybody, whoever is honest.

        Raises:
            LocalProtocolError: there is no client, or the sensitivity is not for replace-one.
        """
        clients = whole(clients, "clients")
        require(clients >= 1, f"clients must be at least 1, got {clients}")
        cls._require_replace_one(sensitivity)
        return cls._make(budget, sensitivity, length, unit, Place.LOCAL, clients, 1, isochronous)

    @classmethod
    def _make(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        unit: Unit,
        place: Place,
        parties: int,
        honest: int,
        isochronous: bool | None,
    ) -> Self:
        length = whole(length, "length")
        isochronous = None if isochronous is None else flag(isochronous, "isochronous")
        entries = length * unit.reports
        samples = honest * entries
        law = calibrate_distributed(
            law_budget(budget, samples, isochronous), sensitivity.times(unit.reports), honest, entries
        )
        isochronous = is_isochronous(budget, samples, law, isochronous)
        return cls(budget, sensitivity, unit, length, place, parties, honest, law, isochronous)

    @staticmethod
    def _require_replace_one(sensitivity: Sensitivity) -> None:
        require(
            sensitivity.neighbours is Neighbours.REPLACE_ONE,
            "only a central plan can be add-remove: who took part in a SecAgg round and how many reports a DAP batch"
            " has is visible, so that noise on the sum can hide what was sent, not that it was; use replace-one",
        )

    @property
    def guarantee(self) -> Guarantee:
        """What the unit's reports cost it, for a `Ledger`: the promise of the honest parties' law, which composes
        better than the budget. The budget itself is as true, and better for a single release of one number or histogram
        with Gaussian noise, whose exact delta is below that of its zCDP.

        A client's guarantee holds for all batches of the span together: with k_i of its k reports in batch i, epsilons
        add up to sum(k_i) of one report's at most, and divergences to sum(k_i**2).
        """
        return self._total.guarantee(self._unit_sensitivity)

    @property
    def total_variation(self) -> Fraction:
        """A bound on how far the honest parties' samples, all together, are from the law: for a `Ledger`."""
        return round_up(self._samples * self._sampler.total_variation, 24) if self.isochronous else Fraction(0)

    @property
    def keeps_budget(self) -> bool:
        """Whether the honest parties' noise alone keeps to the budget, but under pure and zCDP budgets for
        `total_variation`: checked anew, from the laws."""
        budget = law_budget(self.budget, self._samples, self.isochronous)
        return self._total.satisfies(budget, self._unit_sensitivity)

    def noise_for(self, party: Party) -> Noise:
        """What a party in this role adds to its share; nothing where noise is not its part.

        `plan.noise_for(Party.AGGREGATOR).add_to(share, modulus)`.

        Raises:
            LocalProtocolError: the noise is too wide for any sampler.
        """
        if party is not self.place.party:
            return Noise(None, self.length)
        return Noise(self._sampler, self.length)

    def variance(self, parties: int | None = None) -> float:
        """Of each entry of the result, where so many parties added noise; by default all."""
        return self._adding(parties) * float(self.law.variance)

    def over_noise(self, parties: int | None = None) -> Fraction:
        """By which factor the variance exceeds what is needed, because more parties added noise than are counted on.

        1 for local noise, where every report needs all of its own.
        """
        return Fraction(1) if self.place is Place.LOCAL else Fraction(self._adding(parties), self.honest)

    def error(self, confidence: float, size: int | None = None, *, parties: int | None = None) -> Error:
        """What the error of each entry stays within with this confidence; relative to a true `size`, if given."""
        return error(self.law, self._adding(parties), confidence, size)

    def room(self, probability: Exact = WRAP_PROBABILITY) -> int:
        """A bound on every entry's |noise| that fails with this probability at most, over all entries together: the
        headroom that a sum mod R needs on both sides (`Params.for_inputs(room=...)`)."""
        return room(self.law, self.parties, self.length, probability)

    def report(self) -> list[tuple[str, str]]:
        """The plan in words: names and values, assumptions included."""
        entries = f"each of {self.length:,} entries" if self.length > 1 else "every entry"
        return [
            ("guarantee", f"{self.budget} for {self.unit}, {self.sensitivity.neighbours.value}{self._closeness()}"),
            ("sensitivity", f"{self.sensitivity} of a report"),
            ("noise", f"{describe(self.law)} by {self.place.party.value}, on {entries}"),
            ("samples", self._form()),
            ("over-noise", f"up to {float(self.over_noise()):.3g} x the variance that is needed"),
            *(("assumed", assumption) for assumption in self.assumptions()),
        ]

    def assumptions(self) -> list[str]:
        """What the guarantee rests on and nothing here can enforce."""
        unknown = "that nobody who sees the result knows"
        who = {
            Place.CENTRAL: "the Collector and the Aggregators are trusted with the exact result",
            Place.AGGREGATORS: f"{self.honest} of the {self.parties} Aggregators add noise {unknown}",
            Place.DISTRIBUTED: f"{self.honest} clients in every sum add noise {unknown}",
        }
        assumptions = [who[self.place]] if self.place in who else []
        if self.unit.span:
            assumptions.append(
                f"no client has more than {self.unit.reports} reports in {self.unit.span}, over all batches"
            )
        return assumptions

    def _closeness(self) -> str:
        """What a budget without a delta cannot cover."""
        if isinstance(self.budget, ApproxDp) or not self.isochronous:
            return ""
        return f", but for a total variation of {power_above(self.total_variation)}"

    def _form(self) -> str:
        if not self.isochronous:
            return "exact, in a time that tells something about them"
        covered = ", which delta covers" if isinstance(self.budget, ApproxDp) else ""
        return f"isochronous, together within {power_above(self.total_variation)} of the law{covered}"

    @property
    def _sampler(self) -> Sampler:
        return sampler_of(self.law, isochronous=self.isochronous)

    @property
    def _samples(self) -> int:
        """Of all parties that are counted on."""
        return self.honest * self._unit_entries

    @property
    def _total(self) -> PartyLaw | GaussianSum:
        """The law of the honest parties' noise."""
        return sum_law(self.law, self.honest, self._unit_entries)

    @property
    def _unit_entries(self) -> int:
        """Entries of all batches that have a report of one unit: in the worst case each report is in another."""
        return self.length * self.unit.reports

    @property
    def _unit_sensitivity(self) -> Sensitivity:
        return self.sensitivity.times(self.unit.reports)

    def _adding(self, parties: int | None) -> int:
        count = self.parties if parties is None else whole(parties, "parties")
        require(self.honest <= count <= self.parties, f"parties must be {self.honest} .. {self.parties}, got {count}")
        return count
