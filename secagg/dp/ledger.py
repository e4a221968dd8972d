"""What several releases cost together, and a budget that they cannot exceed.

Under SecAgg each client keeps its own ledger, and spends before it joins a round. A ledger that the server keeps
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
    """A release would cost more than is left of the budget. Nothing was spent."""


@dataclass(frozen=True)
class Spent:
    """What one batch's release cost.

    Attributes:
        guarantee: of the law of the noise.
        total_variation: a bound on the distance of the samples from their law, 0 .. 1.

    Raises:
        LocalProtocolError: the total variation is out of range. A negative one would give budget back.
    """

    guarantee: Guarantee
    total_variation: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        convert(self, fraction, "total_variation")
        require(0 <= self.total_variation <= 1, f"total_variation must be 0 .. 1, got {self.total_variation}")


def keeps_budget(total: Budget, releases: list[Spent], allowance: Fraction = Fraction(0)) -> bool:
    """Whether releases keep to a budget together, where each may depend on the results of those before it.

    Pure epsilons add up, and so do the rhos of zCDP and the lines that bound Renyi divergences (Bun and Steinke 2016,
    Lemma 2.3; Mironov 2017, Proposition 1). Under an (epsilon, delta) budget, costs (epsilon, delta) add up, and the
    other costs are composed by Renyi divergences, or added if all are pure and that costs less.

    What is released may depend on earlier results. Under an (epsilon, delta) budget its cost must not: the order of the
    Renyi divergences, and the (epsilon, delta) that is left for them, are chosen at the end. Sums of epsilons and sums
    of rhos hold either way.

    Args:
        total: the budget.
        releases: what each of them cost.
        allowance: what the sum of their total variations may be under a pure or zCDP budget. The promise is then that
            they are within it of releases that keep to the budget.
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
    """A bound on the distance of all releases together from those of their laws: the distances add up."""
    return sum((release.total_variation for release in releases), Fraction(0))


def _keeps_approx(total: ApproxDp, guarantees: list[Guarantee], total_variation: Fraction) -> bool:
    """Whether the total pays for some epsilon', from 0 to the total's epsilon.

    The laws then keep to (epsilon', delta'). The samples, at a total variation of eta from their laws, keep to
    (epsilon', delta' + (1 + e**epsilon') eta), which implies the total.

    The larger epsilon' is, the less delta' the laws need, and the more the samples need. The sum falls up to an
    epsilon' that does not depend on the total, and is least there. So a larger total never refuses what a smaller one
    pays.
    """
    # Costs (epsilon, delta) are subtracted from the total.
    approximate = [g for g in guarantees if isinstance(g, ApproxDp)]
    others = [g for g in guarantees if not isinstance(g, ApproxDp)]
    spent = sum((g.epsilon for g in approximate), Fraction(0))
    delta = total.delta - sum((g.delta for g in approximate), Fraction(0))

    def paid(epsilon: Fraction, law_delta: Fraction) -> bool:
        """Whether the total has this epsilon left for the others, and the delta for their laws and all samples."""
        samples_delta = _samples_delta(spent + epsilon, total_variation)
        return spent + epsilon <= total.epsilon and law_delta + samples_delta <= delta

    # Pure costs add up, and need no delta for their laws.
    if all(isinstance(g, PureDp) for g in others) and paid(_pure(others), Fraction(0)):
        return True
    if not others or spent > total.epsilon:
        return False

    # The others as one line of Renyi divergences, D_alpha <= xi + rho * alpha, converted at the epsilon that costs
    # least.
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
    """What samples at this total variation from their laws add to delta; 1, which no total has, where it is huge."""
    if total_variation == 0:
        return Fraction(0)
    return (1 + exp_upper(epsilon)) * total_variation if epsilon <= EXP_LIMIT else Fraction(1)


def _pure(guarantees: Sequence[Guarantee]) -> Fraction:
    return sum((g.epsilon for g in guarantees if isinstance(g, PureDp)), Fraction(0))


def _rho(guarantees: Sequence[Guarantee]) -> Fraction:
    """The sum of the slopes of all bounds on Renyi divergences."""
    slopes = (
        pure_to_zcdp(g.epsilon) if isinstance(g, PureDp) else g.rho for g in guarantees if not isinstance(g, ApproxDp)
    )
    return sum(slopes, Fraction(0))


class Ledger:
    """A total budget and what has been spent of it, in memory or in a file that survives crashes.

    All releases must be about the same unit and the same `Neighbours`.

    Processes that share a file take turns: a lock is held from reading until the new contents are on disk. Threads take
    turns, too, with a file or without. If there is no file, nothing is spent. Symbolic links and relative paths are
    followed once, when the ledger is made. `secagg.durable` says what else holds for files.

    Isochronous samples are not exactly of their law. Under an (epsilon, delta) total, delta pays for that, at the
    epsilon where the releases need the least delta: a larger total never refuses what a smaller one pays. A pure or
    zCDP total has no delta. The promise is then that all releases together are within a total variation of `allowance`
    of releases that keep to the total.

    Args:
        total: for the privacy unit over all batches.
        path: of the file, in a folder that exists and that others may not write to; the first release creates it. None
            keeps the ledger in memory.
        allowance: what the sum of all total variations may be, at least 0 (only exact samples) and below 1. By default
            2**-64; 10**12 isochronous samples take at most a thousandth of it. Not for (epsilon, delta) totals.

    Attributes:
        total: as given.
        allowance: as given, or the default; 0 for (epsilon, delta) totals.
        path: of the file, absolute and without symbolic links; None in memory.

    Raises:
        LocalProtocolError: the allowance is out of range or for a total that has a delta; the file is not a ledger, has
            another total or allowance, or is a copy (`secagg adopt FILE` takes one); the file has hard links, or others
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
        """What each release cost, by batch id."""
        with self._turn() as turn:
            return turn.spent

    def affords(self, guarantee: Guarantee, *, total_variation: Fraction = Fraction(0)) -> bool:
        """Whether a new batch of this cost would keep to the total now.

        Args:
            guarantee: of the release, such as `Plan.guarantee`.
            total_variation: of the samples from their law, such as `Plan.total_variation`.
        """
        return keeps_budget(self.total, [*self.spent.values(), Spent(guarantee, total_variation)], self.allowance)

    def spend(self, guarantee: Guarantee, batch_id: str, *, total_variation: Fraction = Fraction(0)) -> None:
        """Record the cost of a release before it is made. Once this returns, the cost is on disk.

        For a batch that is recorded at this cost it does nothing, so it can be repeated after a crash. The same release
        must follow then. Noise that is drawn anew makes another release, with its own cost and id, if any of the first
        was sent.

        Args:
            guarantee: of the release, such as `Plan.guarantee`.
            batch_id: names the batch or round.
            total_variation: of the samples from their law, such as `Plan.total_variation`.

        Raises:
            BudgetExceeded: the releases would no longer keep to the total; nothing is recorded.
            LocalProtocolError: the batch is recorded at another cost, or the ledger's file is refused.
            OSError: the file cannot be read or written; nothing is recorded.
        """
        if not isinstance(batch_id, str):
            raise ArgumentTypeError(f"batch_id must be text, got {type(batch_id).__name__}")
        release = Spent(guarantee, total_variation)
        with self._turn() as turn:
            spent = turn.spent
            if batch_id in spent:
                require(spent[batch_id] == release, f"batch {batch_id!r} is recorded at another cost: name a new batch")
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
        return f"the allowance of {power_above(self.allowance)} of total variation beside {self.total}"

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
            raise LocalProtocolError(f"{self.path} is not a ledger") from None
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
    """Total, allowance and what is spent, from exactly the form that is written."""
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
    """An object whose names all differ: of two equal names one entry would be lost."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def _not_written(text: str) -> Any:
    """Refuses JSON numbers: a ledger writes all numbers as text."""
    raise ValueError(text)


def _number(text: str) -> Fraction:
    """A fraction; decimals and exponents are refused, as a short exponent can have a value too large for memory."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    return Fraction(text)


def _decode_guarantee(entry: dict[str, str]) -> Any:
    return _KINDS[entry["kind"]](**{name: _number(value) for name, value in entry.items() if name != "kind"})


def _decode_spent(entry: dict[str, str]) -> Spent:
    total_variation = _number(entry.pop("total_variation"))
    return Spent(_decode_guarantee(entry), total_variation)
