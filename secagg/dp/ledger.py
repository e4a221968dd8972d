"""What several releases cost together, and a budget that they cannot exceed.

Under SecAgg each client keeps its own ledger, and spends before it joins a round. A ledger that the server keeps
protects nobody from the server.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

from ..arguments import flag, whole
from ..durable import Contents, Document
from ..errors import ArgumentTypeError, LocalProtocolError, SecAggError, require
from .budget import ApproxDp, Budget, Guarantee, PureDp, RenyiDp, ZCdp
from .composition import Spent, keeps_budget, least_epsilon, releases_allowed, rest, total_variation_of
from .exact import Exact, fraction, power_above
from .known_noise import COUNTS, DiscreteGaussianDp, GaussianDp, LaplaceDp, SkellamDp, plain

ALLOWANCE = Fraction(1, 1 << 64)  # of total variation, under totals without a delta
RELEASES_COUNTED = 1 << 16

_LIMIT = 1 << 26  # bytes of a file: several 100,000 releases
_NUMBER = re.compile(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?")
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (PureDp, ZCdp, ApproxDp, RenyiDp, LaplaceDp, DiscreteGaussianDp, GaussianDp, SkellamDp)
}


class BudgetExceeded(SecAggError):
    """A release would cost more than is left of the budget. Nothing was spent."""


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
        releases: the most releases that there may be, such as the rounds of a run that one client joins; None for no
            limit but the total.
        begun: whether the run that the ledger is for has begun. With False its file is made at once if there is none,
            and with True it must be there: a ledger that was lost would let the budget be spent again. By default the
            first release makes it.

    Attributes:
        total: as given.
        allowance: as given, or the default; 0 for (epsilon, delta) totals.
        releases: as given.
        path: of the file, absolute and without symbolic links; None in memory.

    Raises:
        LocalProtocolError: the allowance is out of range or for a total that has a delta; releases are below 1; the
            file is missing in a run that has begun, is not a ledger, has another total, allowance or number of
            releases, or is a copy (`secagg adopt FILE` takes one); the file has hard links, or others
            may write to its folder.
        OSError: the file or its folder cannot be read or written.
    """

    def __init__(
        self,
        total: Budget,
        path: Path | None = None,
        *,
        allowance: Exact | None = None,
        releases: int | None = None,
        begun: bool | None = None,
    ) -> None:
        self.total = total
        self.allowance = _allowance(total, allowance)
        self.releases = None if releases is None else whole(releases, "releases")
        require(self.releases is None or self.releases >= 1, f"releases must be at least 1, got {self.releases}")
        begun = None if begun is None else flag(begun, "begun")
        require(begun is None or path is not None, "begun is for a ledger in a file: give path")
        self._needed = begun is True
        self._memory: dict[str, Spent] = {}
        self._lock = Lock()
        self._file = None if path is None else Document(path, "ledger", limit=_LIMIT, unmarked=True)
        self.path = None if self._file is None else self._file.path
        with self._turn() as turn:
            if begun is False:
                turn.write(turn.spent)
        self._needed = begun is not None

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
        releases = [*self.spent.values(), Spent(guarantee, total_variation)]
        return self._counts(len(releases)) and keeps_budget(self.total, releases, self.allowance)

    def releases_left(
        self, guarantee: Guarantee, *, total_variation: Fraction = Fraction(0), limit: int = RELEASES_COUNTED
    ) -> int:
        """How many more batches of this cost would keep to the total now.

        Args:
            guarantee: of each release, such as `Plan.guarantee`.
            total_variation: of its samples from their law, such as `Plan.total_variation`.
            limit: where to stop counting, from 1 on.

        Raises:
            LocalProtocolError: the limit is below 1.
        """
        cost = Spent(guarantee, total_variation)
        spent = self.spent.values()
        count = releases_allowed(self.total, spent, cost, limit, self.allowance)
        return count if self.releases is None else min(count, self.releases - len(spent))

    def left(self) -> PureDp | ZCdp | None:
        """The largest release that would keep to the total now: a rho under a zCDP total, else a pure epsilon.

        Under an (epsilon, delta) total it is found to within 1e-3 of it. It is for one more release: several smaller
        ones may add up to more.

        Returns:
            What one more release may cost; None if nothing is left.
        """
        spent = self.spent.values()
        return rest(self.total, spent) if self._counts(len(spent) + 1) else None

    def epsilon(self, delta: Exact) -> Fraction:
        """An epsilon for which all that was spent is (epsilon, delta)-DP together: the least that is known.

        Args:
            delta: exact, above 0 and below 1. It may be that of the total, or another one.

        Returns:
            The epsilon, 0 if nothing was spent.

        Raises:
            LocalProtocolError: delta is out of range, or too small for any epsilon.
        """
        return least_epsilon(self.spent.values(), delta)

    def spend(self, guarantee: Guarantee, batch_id: str, *, total_variation: Fraction = Fraction(0)) -> None:
        """Record the cost of a release before it is made. Once this returns, the cost is on disk.

        For a batch that is recorded at this cost it does nothing, so it can be repeated after a crash; also where an
        earlier version recorded it, which did not know laws of noise. The same release must follow then. Noise that is
        drawn anew makes another release, with its own cost and id, if any of the first was sent.

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
                known = spent[batch_id] in (release, Spent(plain(guarantee), total_variation))
                require(known, f"batch {batch_id!r} is recorded at another cost: name a new batch")
                return
            releases = [*spent.values(), release]
            if not self._counts(len(releases)):
                raise BudgetExceeded(
                    f"batch {batch_id!r} would exceed the {self.releases:,} releases of this ledger: this client has"
                    " taken part in all of its rounds"
                )
            if not keeps_budget(self.total, releases, self.allowance):
                raise BudgetExceeded(
                    f"batch {batch_id!r} at {guarantee} would exceed {self._limit(releases)} after {len(spent)} batches"
                )
            turn.write({**spent, batch_id: release})

    def _counts(self, number: int) -> bool:
        """Whether there may be so many releases."""
        return self.releases is None or number <= self.releases

    def _limit(self, releases: list[Spent]) -> str:
        """What these exceed, in words."""
        if isinstance(self.total, ApproxDp) or total_variation_of(releases) <= self.allowance:
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
            require(
                not self._needed,
                f"{self.path} is missing, although the run has begun: what was spent is not known. Put the file back,"
                " or leave the run; a new ledger would spend the budget again",
            )
            return {}
        try:
            total, allowance, limit, spent = _decode(contents.body)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError, LocalProtocolError):
            raise LocalProtocolError(f"{self.path} is not a ledger") from None
        require(total == self.total, f"{self.path} is a ledger of {total}, not of {self.total}")
        require(
            allowance == self.allowance,
            f"{self.path} is a ledger with an allowance of {allowance} of total variation, not of {self.allowance}",
        )
        require(
            limit == self.releases, f"{self.path} is a ledger of {_releases(limit)}, not of {_releases(self.releases)}"
        )
        return spent

    def _encoded(self, spent: dict[str, Spent]) -> bytes:
        entries = {
            name: {**_encode(s.guarantee), "total_variation": _text(s.total_variation)} for name, s in spent.items()
        }
        contents: dict[str, Any] = {"total": _encode(self.total), "allowance": _text(self.allowance), "spent": entries}
        if self.releases is not None:
            contents["releases"] = str(self.releases)
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


def _text(value: Fraction | int) -> str:
    text = str(value) if max(value.numerator.bit_length(), value.denominator.bit_length()) <= 13_000 else ""
    require(_NUMBER.fullmatch(text) is not None, "a cost has too many digits for a ledger: round it up")
    return text


def _releases(limit: int | None) -> str:
    return "any number of releases" if limit is None else f"{limit:,} releases"


def _decode(contents: bytes) -> tuple[Budget, Fraction, int | None, dict[str, Spent]]:
    """Total, allowance, limit of releases and what is spent, from exactly the form that is written."""
    document = json.loads(
        contents.decode(),
        object_pairs_hook=_unrepeated,
        parse_int=_not_written,
        parse_float=_not_written,
        parse_constant=_not_written,
    )
    total, allowance = _decode_guarantee(document.pop("total")), _number(document.pop("allowance", "0"))
    limit = None if "releases" not in document else _whole(document.pop("releases"))
    spent = {name: _decode_spent(entry) for name, entry in document.pop("spent").items()}
    if document or isinstance(total, RenyiDp):
        raise ValueError
    return total, allowance, limit, spent


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
    return _KINDS[entry["kind"]](**{name: _value(name, text) for name, text in entry.items() if name != "kind"})


def _value(name: str, text: str) -> Fraction | int:
    return _whole(text) if name in COUNTS else _number(text)


def _whole(text: str) -> int:
    number = _number(text)
    if number.denominator != 1:
        raise ValueError
    return int(number)


def _decode_spent(entry: dict[str, str]) -> Spent:
    total_variation = _number(entry.pop("total_variation"))
    return Spent(_decode_guarantee(entry), total_variation)
