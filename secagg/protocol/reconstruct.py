"""Secrets from the shares of Unmasking, although some of the shares are wrong (the paper's section 8 leaves this open).

Every secret can be checked: b_v against its commitment, s_v_sk against s_v_pk. As long as the checks pass, all secrets
come from one batched reconstruction (section 7.2). One that fails is decoded with errors, and the holders found wrong
are left out of the next batch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import shamir
from ..codec import Ids, Octets
from ..decoding import decode, lagrange_at
from ..errors import Abort
from ..shamir import Q

Check = Callable[[int, bytes], Any]
"""What the secret of a dealer stands for, or None if it is not the one that the dealer committed to."""


class Wrong(NamedTuple):
    """A share that does not belong to its dealer's polynomial, or did not open: one of the two has lied."""

    holder: int
    dealer: int


class Reconstruction:
    """The shares of one session as they arrive, and then the secrets.

    Args:
        dealers: U2, ascending; each deals to and holds from its neighbours among them.
        t: threshold.
        check: see `Check`.

    Attributes:
        wrong: the wrong shares that `secrets` came upon.
    """

    def __init__(self, dealers: Ids, t: int, check: Check) -> None:
        self.wrong: set[Wrong] = set()
        self._dealers = dealers
        self._t = t
        self._check = check
        self._shares: Octets = np.zeros((len(dealers), len(dealers), 32), np.uint8)  # [holder, dealer]
        self._known = np.zeros((len(dealers), len(dealers)), np.bool_)

    def add(self, holder: int, dealers: Ids, shares: Octets) -> None:
        """What `holder` sent: a share of each of `dealers`."""
        row, columns = self._index(holder), self._index(dealers)
        self._shares[row, columns] = shares
        self._known[row, columns] = True

    def secrets(self) -> dict[int, Any]:
        """What each dealer's secret stands for.

        Raises:
            Abort: fewer than t shares of a secret came, or too many of them are wrong.
        """
        found: dict[int, Any] = {}
        left = self._dealers.tolist()
        while left:
            found |= self._batch(left)
            left = [v for v in left if v not in found]
            if left:
                found[left[0]] = self._correct(left[0])
                left = left[1:]
        self._confront(found)
        return found

    def _batch(self, dealers: list[int]) -> dict[int, Any]:
        """Those of the secrets that the first t holders not yet suspected agree on."""
        groups: dict[bytes, list[int]] = {}
        for v in dealers:
            groups.setdefault(self._trusted(v)[: self._t].tobytes(), []).append(v)
        found: dict[int, Any] = {}
        for key, group in groups.items():
            holders = np.frombuffer(key, np.uint32)
            if len(holders) == self._t:
                secrets = shamir.reconstruct(self._shares[np.ix_(self._index(holders), self._index(group))], holders)
                found |= {v: self._check(v, bytes(secret)) for v, secret in zip(group, secrets, strict=True)}
        return {v: meaning for v, meaning in found.items() if meaning is not None}

    def _correct(self, v: int) -> Any:
        """One secret from all its shares, wrong ones among them."""
        for holders in (self._trusted(v), self._holders(v)):
            decoded = decode(self._integers(holders, v), holders.tolist(), self._t) if len(holders) >= self._t else None
            meaning = None if decoded is None else self._check(v, decoded.secret.to_bytes(32, "big"))
            if decoded is not None and meaning is not None:
                self.wrong |= {Wrong(int(holders[i]), v) for i in decoded.wrong}
                return meaning
        if len(holders) < self._t:
            raise Abort(f"shares of user {v}'s secret", len(holders), self._t)
        raise Abort(f"too many shares of user {v}'s secret are wrong to recover it", len(holders), self._t)

    def _confront(self, found: Iterable[int]) -> None:
        """Compare every share of the suspected holders with what the others' shares say."""
        suspects = {wrong.holder for wrong in self.wrong}
        for holder in sorted(suspects):
            for v in found:
                if holder in self._holders(v) and Wrong(holder, v) not in self.wrong:
                    self._confront_one(holder, v)

    def _confront_one(self, holder: int, v: int) -> None:
        others = self._trusted(v)[: self._t]
        if len(others) < self._t:
            return
        coefficients = lagrange_at(holder, tuple(others.tolist()))
        expected = sum(c * s for c, s in zip(coefficients, self._integers(others, v), strict=True)) % Q
        if expected != self._integers(np.array([holder], np.uint32), v)[0]:
            self.wrong.add(Wrong(holder, v))

    def _holders(self, v: int) -> Ids:
        """Who sent a share of v's secret."""
        return self._dealers[self._known[:, self._index(v)]]

    def _trusted(self, v: int) -> Ids:
        """Those of them who have sent no wrong share of any secret."""
        holders = self._holders(v)
        return holders[~np.isin(holders, [wrong.holder for wrong in self.wrong])]

    def _integers(self, holders: Ids, v: int) -> list[int]:
        return [int.from_bytes(bytes(share), "big") for share in self._shares[self._index(holders), self._index(v)]]

    def _index(self, users: Ids | Sequence[int] | int) -> NDArray[np.intp]:
        return np.searchsorted(self._dealers, users)


def blame(wrong: Iterable[Wrong], n_corrupt: int) -> tuple[set[int], set[int], set[Wrong]]:
    """Who must have lied: holders, dealers, and the pairs of whom one has.

    A corrupt dealer can hand chosen holders bad shares, and a corrupt holder can send bad ones, so one wrong share
    proves nothing. More than n_corrupt dealers do not all lie about one holder, nor that many holders about one dealer.
    """
    pairs = set(wrong)
    by_holder = Counter(pair.holder for pair in pairs)
    by_dealer = Counter(pair.dealer for pair in pairs)
    holders = {u for u, count in by_holder.items() if count > n_corrupt}
    dealers = {v for v, count in by_dealer.items() if count > n_corrupt}
    return holders, dealers, {pair for pair in pairs if pair.holder not in holders and pair.dealer not in dealers}
