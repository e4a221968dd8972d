"""What several releases cost together, and a budget that they cannot exceed.

Under SecAgg each client keeps its own ledger and spends before it joins a round: one that is held by the server
protects nobody from the server.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from ..arguments import convert
from ..durable import Contents, Document
from ..errors import ArgumentTypeError, LocalProtocolError, SecAggError, require
from .budget import ApproxDp, Budget, Guarantee, PureDp, RenyiDp, ZCdp
from .conversion import cheapest_epsilons, pure_to_zcdp, renyi_line_delta, zcdp_delta
from .exact import EXP_LIMIT, Exact, exp_upper, fraction, power_above

ALLOWANCE = Fraction(1, 1 << 64)  # of total variation, under totals without a delta

_LIMIT = 1 << 26  # bytes of a file: several 100,000 releases
_NUMBER = re.compile(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?")
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (PureDp, ZCdp, ApproxDp, RenyiDp)}


class BudgetExceeded(SecAggError):
    """A release would cost more than is left. Nothing was spent."""


@dataclass(frozen=True)
class Spent:
    """What one batch's release cost.

    Attributes:
        guarantee: of the law.
        total_variation: how far the samples may be from the law, 0 .. 1.

    Raises:
        LocalProtocolError: the total variation is out of range; below 0 it would give budget back.
    """

    guarantee: Guarantee
    total_variation: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        convert(self, fraction, "total_variation")
        require(0 <= self.total_variation <= 1, f"total_variation must be 0 .. 1, got {self.total_variation}")


def keeps_budget(total: Budget, releases: list[Spent], allowance: Fraction = Fraction(0)) -> bool:
    """Whether releases keep to a budget together, each made in the knowledge of those before it; under a pure or zCDP
    budget, but for a total variation of `allowance`, which their total variations must not exceed in sum.

    What is released may depend on earlier results; under an (epsilon, delta) budget, at what cost may not, because the
    order of Renyi divergences, and which (epsilon, delta) is left for the rest, are chosen at the end. Sums of epsilons
    and sums of rhos hold either way.

    Pure epsilons add, rhos of zCDP add, and so do the lines that bound Renyi divergences (Bun and Steinke 2016, Lemma
    2.3; Mironov 2017, Proposition 1). Under an (epsilon, delta) budget, (epsilon, delta)s are added as they are and the
    rest is composed by Renyi divergences or, if all pure, by adding, whichever costs less.
    """
    guarantees = [release.guarantee for release in releases]
    total_variation = _total_variation(releases)
    if isinstance(total, ApproxDp):
        return _keeps_approx(total, guarantees, total_variation)
    if total_variation > allowance:
        return False
    if isinstance(total, PureDp):
        return all(isinstance(g, PureDp) for g in guarantees) and _pure(guarantees) <= total.epsilon
    return all(isinstance(g, PureDp | ZCdp) for g in guarantees) and _rho(guarantees) <= total.rho


def _total_variation(releases: Iterable[Spent]) -> Fraction:
    """How far all releases together may be from those of their laws: each adds its own, whatever came before it."""
    return sum((release.total_variation for release in releases), Fraction(0))


def _keeps_approx(total: ApproxDp, guarantees: list[Guarantee], total_variation: Fraction) -> bool:
    """Whether some epsilon' from 0 to the total's is paid for: the laws then keep to (epsilon', delta'), the samples,
    at a total variation of eta from them, to (epsilon', delta' + (1 + e**epsilon') eta), and that implies the total.

    The laws need less delta' the larger epsilon' is, and the samples more. What both need is least at an epsilon' that
    does not depend on the total, so that a larger total never refuses what a smaller one pays; below, it falls.
    """
    approximate = [g for g in guarantees if isinstance(g, ApproxDp)]
    others = [g for g in guarantees if not isinstance(g, ApproxDp)]
    spent = sum((g.epsilon for g in approximate), Fraction(0))
    delta = total.delta - sum((g.delta for g in approximate), Fraction(0))

    def paid(epsilon: Fraction, law_delta: Fraction) -> bool:
        """Whether the others may take so much epsilon, at which their laws need so much delta."""
        samples_delta = _samples_delta(spent + epsilon, total_variation)
        return spent + epsilon <= total.epsilon and law_delta + samples_delta <= delta

    if all(isinstance(g, PureDp) for g in others) and paid(_pure(others), Fraction(0)):
        return True
    if not others or spent > total.epsilon:
        return False
    xi, rho = sum((g.xi for g in others if isinstance(g, RenyiDp)), Fraction(0)), _rho(others)
    integers = any(isinstance(g, RenyiDp) for g in others)
    left = total.epsilon - spent
    if total_variation:
        cheapest = cheapest_epsilons(xi, rho, total_variation, spent, integers=integers)
        epsilons = {min(left, max(Fraction(0), EXP_LIMIT - spent), epsilon) for epsilon in cheapest}
    else:
        epsilons = {left}
    law_delta = partial(renyi_line_delta, xi, rho) if integers else partial(zcdp_delta, rho)
    return any(paid(epsilon, law_delta(epsilon)) for epsilon in epsilons)


def _samples_delta(epsilon: Fraction, total_variation: Fraction) -> Fraction:
    """What samples at this total variation from their laws add to delta; 1, which nothing pays, where that is huge."""
    if total_variation == 0:
        return Fraction(0)
    return (1 + exp_upper(epsilon)) * total_variation if epsilon <= EXP_LIMIT else Fraction(1)


def _pure(guarantees: Sequence[Guarantee]) -> Fraction:
    return sum((g.epsilon for g in guarantees if isinstance(g, PureDp)), Fraction(0))


def _rho(guarantees: Sequence[Guarantee]) -> Fraction:
    """The slopes of all bounds on Renyi divergences."""
    slopes = (
        pure_to_zcdp(g.epsilon) if isinstance(g, PureDp) else g.rho for g in guarantees if not isinstance(g, ApproxDp)
    )
    return sum(slopes, Fraction(0))


class Ledger:
    """A total budget and what has been spent of it, in memory or in a file that survives crashes.

    All releases must be about the same unit and the same `Neighbours`.

    Processes that share a file take turns: a lock is held from reading until the new contents are on disk. So do
    threads, with a file or without. A file that is not there is a ledger of which nothing is spent. Symbolic links and
    relative paths are followed once, when the ledger is made; what else `secagg.durable` says of files holds here.

    Isochronous samples are not quite of their law. Under an (epsilon, delta) total delta pays for that, at the epsilon
    where the releases need the least of it, so that a larger total never refuses what a smaller one pays. A pure or
    zCDP total has no delta: what is promised is then that all releases together are within a total variation of
    `allowance` of releases that keep to the total.

    Args:
        total: for the privacy unit over all batches.
        path: of the file, in a folder that exists and that others may not write to; the first release creates it. None
            keeps the ledger in memory.
        allowance: of total variation, summed over all releases, from 0, for exact samples only, to below 1. By default
            2**-64, of which 10**12 isochronous samples take a thousandth at most. Not for (epsilon, delta) totals.

    Attributes:
        total, allowance: as given.
        path: of the file, absolute and without symbolic links; None in memory.

    Raises:
        LocalProtocolError: the allowance is out of range or for a total that has a delta; the file is no ledger, one of
            another total or allowance, or a copy (`secagg adopt FILE` takes one); the file has hard links, or others
            may write to its folder.
        OSError: the file or its folder cannot be read or written.
    """

    def __init__(self, total: Budget, path: Path | None = None, *, allowance: Exact | None = None) -> None:
        self.total = total
        self.allowance = _allowance(total, allowance)
        self._memory: dict[str, Spent] = {}
        self._lock = Lock()
        self._file = None if path is None else Document(path, "ledger", limit=_LIMIT, unmarked=True)
        self.path = None if self._file is None else self._file.path
        with self._turn():
            pass

    @property
    def spent(self) -> Mapping[str, Spent]:
        """By batch id."""
        with self._turn() as turn:
            return turn.spent

    def affords(self, guarantee: Guarantee, *, total_variation: Fraction = Fraction(0)) -> bool:
        """Whether a new batch of this cost would keep to the total now."""
        return keeps_budget(self.total, [*self.spent.values(), Spent(guarantee, total_variation)], self.allowance)

    def spend(self, guarantee: Guarantee, batch_id: str, *, total_variation: Fraction = Fraction(0)) -> None:
        """Record a release before it is made: once it returns, the cost is on disk. Again for the same batch it does
        nothing, so that it can be repeated after a crash, of which the same release must come: noise that is drawn anew
        makes another one, at its own cost and under its own id, if any of the first was sent.

        Args:
            guarantee: of the release, such as `Plan.guarantee`.
            batch_id: names the batch or round.
            total_variation: of the samples from their law, such as `Plan.total_variation`.

        Raises:
            BudgetExceeded: the releases would no longer keep to the total; nothing is recorded.
            LocalProtocolError: the batch is known at another cost, or the ledger's file is refused.
            OSError: the file cannot be read or written; nothing is recorded.
        """
        if not isinstance(batch_id, str):
            raise ArgumentTypeError(f"batch_id must be text, got {type(batch_id).__name__}")
        release = Spent(guarantee, total_variation)
        with self._turn() as turn:
            spent = turn.spent
            if batch_id in spent:
                require(spent[batch_id] == release, f"batch {batch_id!r} was spent at another cost")
                return
            releases = [*spent.values(), release]
            if not keeps_budget(self.total, releases, self.allowance):
                raise BudgetExceeded(
                    f"batch {batch_id!r} at {guarantee} would exceed {self._limit(releases)} after {len(spent)} batches"
                )
            turn.write({**spent, batch_id: release})

    def _limit(self, releases: list[Spent]) -> str:
        """What these exceed, in words."""
        if isinstance(self.total, ApproxDp) or _total_variation(releases) <= self.allowance:
            return str(self.total)
        return f"the total variation of {power_above(self.allowance)} that {self.total} is allowed to be off by"

    @contextmanager
    def _turn(self) -> Iterator["_Turn"]:
        """What is spent, while nobody else reads or writes it."""
        if self._file is None:
            with self._lock:
                yield _Turn(dict(self._memory), self._remember)
            return
        with self._file.turn() as contents:
            turn = _Turn(self._read(contents), lambda spent: contents.replace(self._encoded(spent)))
            if not contents.marked:
                turn.write(turn.spent)
            yield turn

    def _remember(self, spent: dict[str, Spent]) -> None:
        self._memory = spent

    def _read(self, contents: Contents) -> dict[str, Spent]:
        if contents.body is None:
            return {}
        try:
            total, allowance, spent = _decode(contents.body)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError, LocalProtocolError):
            raise LocalProtocolError(f"{self.path} is no ledger") from None
        require(total == self.total, f"{self.path} is a ledger of {total}, not of {self.total}")
        require(
            allowance == self.allowance,
            f"{self.path} is a ledger with an allowance of {allowance} of total variation, not of {self.allowance}",
        )
        return spent

    def _encoded(self, spent: dict[str, Spent]) -> bytes:
        entries = {
            name: {**_encode(s.guarantee), "total_variation": _text(s.total_variation)} for name, s in spent.items()
        }
        contents = {"total": _encode(self.total), "allowance": _text(self.allowance), "spent": entries}
        return json.dumps(contents, indent=1).encode()


@dataclass(frozen=True)
class _Turn:
    """What is spent, and what puts more in place of it."""

    spent: dict[str, Spent]
    write: Callable[[dict[str, Spent]], None]


def _allowance(total: Budget, allowance: Exact | None) -> Fraction:
    if isinstance(total, ApproxDp):
        require(allowance is None, f"{total} has a delta, which pays for total variation: leave out the allowance")
        return Fraction(0)
    number = ALLOWANCE if allowance is None else fraction(allowance, "allowance")
    require(0 <= number < 1, f"allowance must be at least 0 and below 1, got {number}")
    return number


def _encode(guarantee: Guarantee) -> dict[str, str]:
    return {"kind": type(guarantee).__name__, **{name: _text(value) for name, value in vars(guarantee).items()}}


def _text(value: Fraction) -> str:
    text = str(value) if max(value.numerator.bit_length(), value.denominator.bit_length()) <= 13_000 else ""
    require(_NUMBER.fullmatch(text) is not None, "a cost has too many digits for a ledger: round it up")
    return text


def _decode(contents: bytes) -> tuple[Budget, Fraction, dict[str, Spent]]:
    """Total, allowance and what is spent, of exactly the form that is written."""
    document = json.loads(
        contents.decode(),
        object_pairs_hook=_unrepeated,
        parse_int=_not_written,
        parse_float=_not_written,
        parse_constant=_not_written,
    )
    total, allowance = _decode_guarantee(document.pop("total")), _number(document.pop("allowance", "0"))
    spent = {name: _decode_spent(entry) for name, entry in document.pop("spent").items()}
    if document or isinstance(total, RenyiDp):
        raise ValueError
    return total, allowance, spent


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose names differ: of two entries one would be forgotten."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def _not_written(text: str) -> Any:
    """All numbers are written as text."""
    raise ValueError(text)


def _number(text: str) -> Fraction:
    """Neither decimals nor exponents, of which a short one has a value that no memory holds."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    return Fraction(text)


def _decode_guarantee(entry: dict[str, str]) -> Any:
    return _KINDS[entry["kind"]](**{name: _number(value) for name, value in entry.items() if name != "kind"})


def _decode_spent(entry: dict[str, str]) -> Spent:
    total_variation = _number(entry.pop("total_variation"))
    return Spent(_decode_guarantee(entry), total_variation)
