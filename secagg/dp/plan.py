"""Who adds noise, what it guarantees to whom, and under which assumptions.

A plan is made once, before any data is there, and given to every party. Each party adds what `noise_for` gives its
role.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Self

from ..arguments import convert, flag, optional, whole
from ..errors import require
from .accuracy import Error, error, mean_error, room
from .budget import ApproxDp, Budget, Guarantee
from .distributed import PartyLaw, SumLaw, calibrate_distributed, sum_law
from .exact import Exact, power_above, round_up, three_digits_up
from .form import is_isochronous, law_budget
from .ledger import Ledger
from .noise import Noise, describe, sampler_of
from .polya import Polya
from .rounds import ROUNDS_MAX, laws_of_run, run_keeps
from .samplers import Sampler
from .sensitivity import Neighbours, Sensitivity

WRAP_PROBABILITY = Fraction(1, 1 << 40)  # of a noisy sum, over all its entries


class Party(Enum):
    """A role in a protocol."""

    CLIENT = "each client"
    AGGREGATOR = "each Aggregator"
    COLLECTOR = "the Collector"


class Place(Enum):
    """Where noise is added, and so whom it protects from."""

    LOCAL = "local"
    DISTRIBUTED = "distributed"
    AGGREGATORS = "aggregators"
    CENTRAL = "central"

    @property
    def party(self) -> Party:
        """Who adds it there."""
        return {Place.AGGREGATORS: Party.AGGREGATOR, Place.CENTRAL: Party.COLLECTOR}.get(self, Party.CLIENT)


@dataclass(frozen=True)
class Unit:
    """Whose data the guarantee is about: one report, or one client with several.

    Attributes:
        reports: the most that a client reports, in all batches of the span together.
        span: the time over which that is counted, such as "a day"; empty where the unit is one report.

    Raises:
        LocalProtocolError: reports is below 1, or several reports have no span.
    """

    reports: int = 1
    span: str = ""

    def __post_init__(self) -> None:
        convert(self, whole, "reports")
        require(self.reports >= 1, f"reports must be at least 1, got {self.reports}")
        require(
            bool(self.span) or self.reports == 1,
            "say over which span a client has so many reports, as in Unit(3, 'a day')",
        )

    def __str__(self) -> str:
        if not self.span:
            return "a report"
        return f"a client with at most {self.reports} report{'s' * (self.reports > 1)} in {self.span}"


REPORT = Unit()
"""The unit of one report."""


@dataclass(frozen=True)
class Plan:
    """Noise for vectors of `length` integers; made by `local`, `distributed`, `aggregators` or `central`.

    Each of these takes `rounds` and `per_client`. The budget is of the whole run of so many releases, about other data
    of the same people. A client takes part in `per_client` of them at most, which its own `ledger` enforces. No other
    round tells anything about it, so that the noise is for so many. Observers may know in which rounds a client took
    part: the guarantee is not amplified by sampling, and `views` says what others learn.

    Each takes `isochronous`. True asks for samples whose time does not depend on them, and raises
    `LocalProtocolError` where the noise is too wide for that or delta cannot pay for it. False asks for exact samples.
    By default samples are exact under a pure budget, and under other budgets isochronous where that is possible.

    Attributes:
        budget: what a privacy unit's data may reveal.
        sensitivity: of one report.
        unit: the privacy unit.
        length: entries of the vector that is released.
        place: where noise is added.
        parties: how many parties add it.
        honest: how many of them are assumed to be honest; their noise is enough by itself.
        law: of the noise that each party adds to every entry.
        isochronous: whether the time of a sample does not depend on it. Samples are then within `total_variation` of
            their law, which is subtracted from an (epsilon, delta) budget's delta in advance. A pure or zCDP plan
            promises that its samples are within it of a mechanism that keeps to the budget.
        rounds: how many releases the run has.
        per_client: the most of them that one client takes part in; the budget is of these together.
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
    rounds: int = 1
    per_client: int = 1

    def __post_init__(self) -> None:
        convert(self, whole, "length", "parties", "honest", "rounds", "per_client")
        convert(self, flag, "isochronous")
        require(
            1 <= self.per_client <= self.rounds <= ROUNDS_MAX,
            f"1 <= per_client <= rounds <= {ROUNDS_MAX:,} must hold, got {self.per_client} and {self.rounds}",
        )
        require(
            self.rounds == 1 or self.unit.reports == 1,
            "a unit of several reports counts those of all batches of its span: leave out the unit, or rounds",
        )

    @classmethod
    def central(
        cls,
        budget: Budget,
        sensitivity: Sensitivity,
        length: int,
        *,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
        rounds: int = 1,
        per_client: int | None = None,
    ) -> Self:
        """The Collector adds the noise: it protects from those who see what the Collector publishes.

        Args:
            budget: what a privacy unit's data may reveal.
            sensitivity: of one report.
            length: entries of the vector that is released.
            unit: the privacy unit.
            isochronous: the form of the samples, see the class.
            rounds: how many releases the budget is for, see the class.
            per_client: the most of them that one client takes part in; by default all.

        Raises:
            LocalProtocolError: no such noise keeps to the budget.
        """
        return cls._make(budget, sensitivity, length, unit, Place.CENTRAL, 1, 1, isochronous, rounds, per_client)

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
        polya: bool | None = None,
        rounds: int = 1,
        per_client: int | None = None,
    ) -> Self:
        """Each Aggregator adds noise to its aggregate share: it protects from the Collector and the other Aggregators.

        This holds as long as `honest` Aggregators add their noise. With honest = 1 each adds all the noise, which
        protects from every Aggregator but the honest one. With more, an Aggregator that sees the result knows its own
        noise, and does not count as one of the honest.

        Args:
            budget: what a privacy unit's data may reveal.
            sensitivity: of one report.
            length: entries of the vector that is released.
            count: number of Aggregators.
            honest: how many of them are assumed to be honest.
            unit: the privacy unit.
            isochronous: the form of the samples, see the class.
            polya: whether Polya noise is chosen where it can be had, as for tasks that name it or that are from before
                there was any; by default where its variance is the least.
            rounds: how many releases the budget is for, see the class.
            per_client: the most of them that one client takes part in; by default all.

        Raises:
            LocalProtocolError: honest is not 1 .. count, the sensitivity is not for replace-one, or no such noise keeps
                to the budget.
        """
        count, honest = whole(count, "count"), whole(honest, "honest")
        require(1 <= honest <= count, f"honest must be 1 .. {count}, the number of Aggregators, got {honest}")
        cls._require_replace_one(sensitivity)
        place = Place.AGGREGATORS
        return cls._make(
            budget, sensitivity, length, unit, place, count, honest, isochronous, rounds, per_client, polya
        )

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
        rounds: int = 1,
        per_client: int | None = None,
    ) -> Self:
        """Each client of a SecAgg cohort adds a part of the noise before masking: it protects from all who see the sum.

        The noise of survivors - corrupt clients is enough. Fewer than `survivors` inputs end the round, so dropouts
        never weaken the guarantee. A client that sees the sum knows its own noise, however honest it is. So where
        clients get results, `corrupt` must be at least 1; it covers that many clients that share what they know.

        Args:
            budget: what a privacy unit's data may reveal.
            sensitivity: of one report.
            length: entries of the vector that is released.
            clients: number of clients.
            survivors: how many inputs the protocol has in every sum (t, or `Params.min_users`).
            corrupt: how many clients may add no noise, or tell what they add.
            unit: the privacy unit.
            isochronous: the form of the samples, see the class.
            rounds: how many releases the budget is for, see the class.
            per_client: the most of them that one client takes part in; by default all.

        Raises:
            LocalProtocolError: not corrupt < survivors <= clients, the sensitivity is not for replace-one, or no such
                noise keeps to the budget.
        """
        clients, survivors = whole(clients, "clients"), whole(survivors, "survivors")
        corrupt = whole(corrupt, "corrupt")
        require(
            0 <= corrupt < survivors <= clients,
            f"0 <= corrupt < survivors <= clients must hold, got {corrupt}, {survivors} and {clients}",
        )
        cls._require_replace_one(sensitivity)
        honest = survivors - corrupt
        place = Place.DISTRIBUTED
        return cls._make(budget, sensitivity, length, unit, place, clients, honest, isochronous, rounds, per_client)

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
        rounds: int = 1,
        per_client: int | None = None,
    ) -> Self:
        """Each client adds all the noise to its own report: it protects from everybody, whoever is honest.

        Args:
            budget: what a privacy unit's data may reveal.
            sensitivity: of one report.
            length: entries of the vector that is released.
            clients: number of clients.
            unit: the privacy unit.
            isochronous: the form of the samples, see the class.
            rounds: how many releases the budget is for, see the class.
            per_client: the most of them that one client takes part in; by default all.

        Raises:
            LocalProtocolError: there is no client, the sensitivity is not for replace-one, or no such noise keeps to
                the budget.
        """
        clients = whole(clients, "clients")
        require(clients >= 1, f"clients must be at least 1, got {clients}")
        cls._require_replace_one(sensitivity)
        place = Place.LOCAL
        return cls._make(budget, sensitivity, length, unit, place, clients, 1, isochronous, rounds, per_client)

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
        rounds: int,
        per_client: int | None,
        polya: bool | None = None,
    ) -> Self:
        length, rounds = whole(length, "length"), whole(rounds, "rounds")
        per_client = rounds if per_client is None else whole(per_client, "per_client")
        isochronous = None if isochronous is None else flag(isochronous, "isochronous")
        # In the worst case each report of a unit is in another batch; all their entries count.
        entries = length * unit.reports
        samples = honest * entries * max(1, per_client)

        # The law must keep to the budget that is left after the samples' distance from it.
        left = law_budget(budget, samples, isochronous)
        covered, polya = sensitivity.times(unit.reports), optional(flag)(polya, "polya")
        if per_client > 1:
            laws = laws_of_run(left, covered, per_client, parties=honest, length=entries)
            law = next((law for law in laws if polya is None or isinstance(law, Polya) is polya), laws[0])
        else:
            law = calibrate_distributed(left, covered, honest, entries, polya=polya)
        isochronous = is_isochronous(budget, samples, law, isochronous)
        return cls(budget, sensitivity, unit, length, place, parties, honest, law, isochronous, rounds, per_client)

    @staticmethod
    def _require_replace_one(sensitivity: Sensitivity) -> None:
        require(
            sensitivity.neighbours is Neighbours.REPLACE_ONE,
            "only a central plan can be add-remove; use replace-one: who took part in a SecAgg round, and how many"
            " reports a DAP batch has, is visible, so noise on the sum hides what was sent, but not that it was sent",
        )

    @property
    def guarantee(self) -> Guarantee:
        """What the release costs the privacy unit, for a `Ledger`: the guarantee of the honest parties' law.

        It composes better than the budget, which holds as well.

        A client's guarantee holds for all batches of the span together. With k_i of its k reports in batch i, epsilons
        add up to at most sum(k_i) times that of one report, and divergences to sum(k_i**2) times.
        """
        return self._total.guarantee(self._unit_sensitivity)

    @property
    def total_variation(self) -> Fraction:
        """A bound on the distance of all honest parties' samples together from their law, for a `Ledger`."""
        return round_up(self._samples * self._sampler.total_variation, 24) if self.isochronous else Fraction(0)

    @property
    def keeps_budget(self) -> bool:
        """Whether the honest parties' noise alone keeps to the budget: checked anew, from the laws.

        Under pure and zCDP budgets this is to within `total_variation`, in each round.
        """
        budget = law_budget(self.budget, self._samples * self.per_client, self.isochronous)
        if self.per_client > 1:
            return run_keeps(budget, self.guarantee, self.per_client)
        return self._total.satisfies(budget, self._unit_sensitivity)

    def ledger(self, path: Path | None = None, *, begun: bool | None = None) -> Ledger:
        """A client's ledger for the run: of its budget, and of `per_client` releases at most.

        Args:
            path: of the file; None keeps the ledger in memory.
            begun: whether this client has begun the run; see `Ledger`.

        Raises:
            LocalProtocolError: as for `Ledger`.
            OSError: as for `Ledger`.
        """
        return Ledger(self.budget, path, releases=self.per_client, begun=begun)

    def noise_for(self, party: Party) -> Noise:
        """What a party in this role adds to its share; nothing if other parties add the noise.

        `plan.noise_for(Party.AGGREGATOR).add_to(share, modulus)`.

        Args:
            party: the role.

        Raises:
            LocalProtocolError: the noise is too wide for any sampler.
        """
        if party is not self.place.party:
            return Noise(None, self.length)
        return Noise(self._sampler, self.length)

    def variance(self, parties: int | None = None) -> float:
        """The variance of each entry of the result, in floating point.

        Args:
            parties: how many parties added noise, honest .. parties of the plan; by default all.

        Raises:
            LocalProtocolError: the number is out of range.
        """
        return self._adding(parties) * float(self.law.variance)

    def over_noise(self, parties: int | None = None) -> Fraction:
        """The factor by which the variance exceeds what is needed, as more parties added noise than must be honest.

        It is 1 for local noise, where every report needs all of its own noise.

        Args:
            parties: how many parties added noise, honest .. parties of the plan; by default all.

        Raises:
            LocalProtocolError: the number is out of range.
        """
        return Fraction(1) if self.place is Place.LOCAL else Fraction(self._adding(parties), self.honest)

    def error(self, confidence: float, size: int | None = None, *, parties: int | None = None) -> Error:
        """A bound on the error of each entry of the result, for each entry by itself.

        Args:
            confidence: the probability that the bound holds, above 0 and at most 1 - 1e-12.
            size: the entry's true size, for a relative error.
            parties: how many parties added noise, honest .. parties of the plan; by default all.

        Raises:
            LocalProtocolError: a number is out of range.
        """
        return error(self.law, self._adding(parties), confidence, size)

    def mean_error(self, *, parties: int | None = None) -> float:
        """The mean of the absolute error of an entry of the result.

        Args:
            parties: how many parties added noise, honest .. parties of the plan; by default all.

        Raises:
            LocalProtocolError: the number is out of range.
        """
        return mean_error(self.law, self._adding(parties))

    def room(self, probability: Exact = WRAP_PROBABILITY) -> int:
        """A bound on every entry's |noise|: the headroom that a sum mod R needs (`Params.for_inputs(room=...)`).

        Args:
            probability: that the bound does not hold for some entry, an exact number between 0 and 1.

        Raises:
            LocalProtocolError: the probability is out of range.
        """
        return room(self.law, self.parties, self.length, probability)

    def report(self) -> list[tuple[str, str]]:
        """The plan in words: pairs of a name and a value, with all assumptions."""
        entries = f"each of {self.length:,} entries" if self.length > 1 else "every entry"
        return [
            ("guarantee", f"{self.budget} for {self.unit}, {self.sensitivity.neighbours.value}{self._closeness()}"),
            *self._run(),
            ("sensitivity", f"{self.sensitivity} of a report"),
            ("noise", f"{describe(self.law)} by {self.place.party.value}, on {entries}"),
            ("variance", self._variance_text()),
            ("samples", self._form()),
            ("over-noise", f"up to {float(self.over_noise()):.3g} x the variance that is needed"),
            *(("assumed", assumption) for assumption in self.assumptions()),
            *(("otherwise", fewer) for fewer in self._fewer()),
        ]

    def assumptions(self) -> list[str]:
        """What the guarantee depends on and nothing here can enforce, in words."""
        one = self.honest == 1
        add, clients = "adds" if one else "add", "client" if one else "clients"
        unknown = "that nobody who sees the result knows"
        who = {
            Place.CENTRAL: "the Collector and the Aggregators are trusted with the exact result",
            Place.AGGREGATORS: f"{self.honest} of the {self.parties} Aggregators {add} noise {unknown}",
            Place.DISTRIBUTED: f"{self.honest} {clients} in every sum {add} noise {unknown}",
        }
        assumptions = [who[self.place]] if self.place in who else []
        if self.unit.span:
            assumptions.append(
                f"no client has more than {self.unit.reports} reports in {self.unit.span}, over all batches"
            )
        if self.per_client < self.rounds:
            assumptions.append(f"no client joins more than {self.per_client:,} of the {self.rounds:,} rounds")
        return assumptions

    def _run(self) -> list[tuple[str, str]]:
        """What the budget is for, where there are several rounds."""
        if self.rounds == 1:
            return []
        of, some = "all of them", f"{self.rounds:,}"
        if self.per_client < self.rounds:
            of, some = "those that it joins", f"{some}, of which a client joins {self.per_client:,} at most"
        return [("rounds", f"{some}; the budget is of {of} together, and one costs {self.guarantee}")]

    def _closeness(self) -> str:
        """The total variation that a budget without a delta cannot cover, in words."""
        if isinstance(self.budget, ApproxDp) or not self.isochronous:
            return ""
        return f", but for a total variation of {power_above(self.total_variation * self.per_client)}"

    def _variance_text(self) -> str:
        """Of an entry of the result, where the fewest parties add noise and where all do."""
        least, most = self.variance(self.honest), self.variance()
        if self.honest == self.parties or self.place is Place.LOCAL:
            return f"{most:.3g} of each entry"
        return f"{most:.3g} of each entry if all {self.parties:,} add noise; the guarantee counts on {least:.3g}"

    def _fewer(self) -> list[str]:
        """What holds where fewer parties are honest: of Polya noise a larger epsilon, and no delta."""
        if not isinstance(self.law, Polya):
            return []
        numbers = dict.fromkeys(max(1, number) for number in (self.honest - 1, self.honest // 2))
        return [
            f"with {number} of {self.honest} honest, at most"
            f" {three_digits_up(self.law.epsilon_of(number, self._unit_sensitivity))}-DP"
            for number in numbers
        ]

    def _form(self) -> str:
        if not self.isochronous:
            return "exact, in a time that depends on them"
        covered = ", which delta covers" if isinstance(self.budget, ApproxDp) else ""
        return f"isochronous, together within {power_above(self.total_variation)} of the law{covered}"

    @property
    def _sampler(self) -> Sampler:
        return sampler_of(self.law, isochronous=self.isochronous)

    @property
    def _samples(self) -> int:
        """Number of samples of all honest parties."""
        return self.honest * self._unit_entries

    @property
    def _total(self) -> SumLaw:
        """The law of the honest parties' noise."""
        return sum_law(self.law, self.honest, self._unit_entries)

    @property
    def _unit_entries(self) -> int:
        """Entries of all batches with a report of one unit: in the worst case each report is in another batch."""
        return self.length * self.unit.reports

    @property
    def _unit_sensitivity(self) -> Sensitivity:
        return self.sensitivity.times(self.unit.reports)

    def _adding(self, parties: int | None) -> int:
        count = self.parties if parties is None else whole(parties, "parties")
        require(self.honest <= count <= self.parties, f"parties must be {self.honest} .. {self.parties}, got {count}")
        return count
