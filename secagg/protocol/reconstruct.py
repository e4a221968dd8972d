"""Secrets from the shares of Unmasking, although some of the shares are wrong (the paper's section 8 leaves this open).

Every secret can be checked: b_v against its commitment, s_v_sk against s_v_pk. As long as the checks pass, one batched
reconstruction recovers all secrets (section 7.2). A secret that fails its check is decoded with errors, and holders of
wrong shares are asked last in the next batch.

A secret that passes its check does not prove that the polynomial is the dealer's. Let c of its t or more shares be
corrupt: they also lie on any polynomial that differs from the dealer's by a multiple of x and of t - c or fewer factors
(x - holder). Only t - 1 honest shares and the secret determine the polynomial. So a share is called wrong only if
c + t - 1 shares contradict it. In a sparse graph there may be fewer holders than that: then nobody is blamed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import shamir
from ..codec import Ids, Octets
from ..errors import Abort
from ..reed_solomon import Polynomial, decode, evaluate, extrapolate
from .graph import Neighbourhoods, positions

COMMON = 8
"""Of so many secrets from the same holders it pays to make Lagrange's coefficients once."""

AT_ONCE = 1 << 12
"""How many secrets of different holders are reconstructed together: their shares are copied."""

Verify = Callable[[int, bytes], Any]
"""Called with a dealer and a reconstructed secret; returns what the secret stands for, or None if the dealer committed
to another one."""


class WrongShare(NamedTuple):
    """A share that does not lie on its dealer's polynomial, or did not open: holder or dealer has lied."""

    holder: int
    dealer: int


class Reconstruction:
    """The shares of one session as they arrive, and then the secrets.

    Args:
        graph: U2, and who of them holds whose shares.
        t: how many shares reveal a secret.
        c: how many of the holders of one dealer's shares may lie, together, and of the dealers of one holder.
        verify: checks a secret; see `Verify`.

    Attributes:
        wrong: the wrong shares that `secrets` found.
        doubtful: shares that other shares contradict, but too few to prove that holder or dealer has lied.
        impostors: dealers whose shares are of another secret than they committed to.
    """

    def __init__(self, graph: Neighbourhoods, t: int, c: int, verify: Verify) -> None:
        self.wrong: set[WrongShare] = set()
        self.doubtful: set[WrongShare] = set()
        self.impostors: set[int] = set()
        self._dealers = graph.users
        self._graph = graph
        self._t = t
        self._c = c
        self._verify = verify
        self._shares: Octets = np.zeros((graph.size, 32), np.uint8)  # [pair of holder and dealer]
        self._received = np.zeros(graph.size, np.bool_)
        self._suspicion = np.zeros(len(graph.users), np.intp)  # how often each holder's share was left out
        self._suspected = False  # whether any was
        self._sources: dict[int, bytes] = {}  # the t holders whose shares gave a dealer's secret in a batch

    def add(self, holder: int, dealers: Ids, shares: Octets) -> None:
        """Take what `holder` sent: a share of the secret of each of `dealers`, uint8[k, 32]."""
        cells = self._graph.row(holder, dealers)
        self._shares[cells] = shares
        self._received[cells] = True

    def secrets(self) -> dict[int, Any]:
        """By dealer, what the dealer's secret stands for.

        Raises:
            Abort: fewer than t shares of a secret came, too many of them are wrong, or they are of another secret than
                the dealer committed to.
        """
        recovered: dict[int, Any] = {}
        missing = self._dealers.tolist()
        try:
            while missing:
                # SS.recon of all secrets at once, from the t holders least suspected.
                recovered |= self._batch(missing)
                missing = [v for v in missing if v not in recovered]

                # One that fails its check is decoded with errors; the next batch asks those found wrong last.
                if missing:
                    recovered[missing[0]] = self._correct(missing[0])
                    missing = missing[1:]
        finally:
            # Once somebody lied, the shares around it that no batch needed are compared as well.
            if self._suspected:
                self._confront()
        return recovered

    def _batch(self, dealers: list[int]) -> dict[int, Any]:
        """The secrets that the t least suspected holders of each agree on."""
        sources = {v: holders for v in dealers if len(holders := self._ranked(v)[: self._t]) == self._t}
        apart: list[int] = []
        secrets: dict[int, bytes] = {}
        for key, group in _groups((v, holders.tobytes()) for v, holders in sources.items()).items():
            if len(group) < COMMON:
                apart += group
            else:
                holders = np.frombuffer(key, np.uint32)
                secrets |= _by_dealer(group, shamir.reconstruct(self._block(holders, group), holders))
        for start in range(0, len(apart), AT_ONCE):
            group = apart[start : start + AT_ONCE]
            xs = np.stack([sources[v] for v in group])
            cells = np.stack([self._graph.column(sources[v], v) for v in group])
            secrets |= _by_dealer(group, shamir.reconstruct_each(self._shares.take(cells, axis=0), xs, self._t))
        recovered = {v: value for v, secret in secrets.items() if (value := self._verify(v, secret)) is not None}
        self._sources |= {v: sources[v].tobytes() for v in recovered}
        return recovered

    def _correct(self, v: int) -> Any:
        """The secret of v, from all its shares or from those of unsuspected holders, although some shares are wrong."""
        # SS.recon needs t shares.
        holders = self._holders(v)
        if len(holders) < self._t:
            raise Abort(f"shares of user {v}'s secret", len(holders), self._t)
        trusted = holders[self._suspicion[self._index(holders)] == 0]
        for sample in (holders, trusted):
            # Reed-Solomon: a polynomial that all but floor((m - t) / 2) of the m shares lie on, if there is one.
            decoded = decode(self._integers(sample, v), sample.tolist(), self._t) if len(sample) >= self._t else None
            if decoded is None:
                continue
            wrong = [WrongShare(int(sample[i]), v) for i in decoded.wrong]
            wrong += self._contradicting(np.setdiff1d(holders, sample), v, decoded.polynomial)

            # The secret is right if it fits the commitment (b) or the public key (s^sk).
            recovered = self._verify(v, decoded.secret.to_bytes(32, "big"))
            if recovered is not None:
                self._suspicion[self._index([u for u, _ in wrong])] += 1
                self._suspected |= bool(wrong)
                self._record(wrong, len(holders) - len(wrong))
                return recovered

            # So many shares agree on a wrong secret that t honest holders are among them: the dealer dealt it.
            if len(holders) - len(wrong) >= self._t + self._c:
                self.impostors.add(v)
                raise Abort(f"user {v}'s shares are not of the secret that it committed to", len(holders), self._t)
        raise Abort(f"too many shares of user {v}'s secret are wrong to recover it", len(holders), self._t)

    def _contradicting(self, holders: Ids, v: int, polynomial: Polynomial) -> list[WrongShare]:
        """The shares of v's secret that do not lie on a polynomial."""
        shares = zip(holders.tolist(), self._integers(holders, v), strict=True)
        return [WrongShare(u, v) for u, share in shares if evaluate(polynomial, u) != share]

    def _record(self, wrong: Iterable[WrongShare], agreeing: int) -> None:
        """Note wrong shares of one dealer's secret, of which `agreeing` other shares agree."""
        (self.wrong if agreeing >= self._t - 1 + self._c else self.doubtful).update(wrong)

    def _confront(self) -> None:
        """Look for whatever else the holders of wrong shares sent, and those who are found meanwhile."""
        suspects = {int(u) for u in self._dealers[self._suspicion > 0]}
        left, heard = dict(self._sources), set[int]()
        while suspects:
            near = {v for u in suspects for v in self._graph.holders(u).tolist()}
            heard |= suspects
            suspects = self._compare([(v, left.pop(v)) for v in sorted(near & left.keys())]) - heard

    def _compare(self, sources: list[tuple[int, bytes]]) -> set[int]:
        """Compare all shares of secrets with the polynomials that they came from; whose shares do not lie there."""
        found = set[int]()
        for key, group in _groups(sources).items():
            holders, sent = self._sent(group)
            agrees = self._agreeing(np.frombuffer(key, np.uint32), group, holders, sent)
            for column, v in enumerate(group):
                contradicting = holders[sent[:, column] & ~agrees[:, column]].tolist()
                self._record((WrongShare(u, v) for u in contradicting), int(agrees[:, column].sum()))
                found.update(contradicting)
        return found

    def _sent(self, group: list[int]) -> tuple[Ids, NDArray[np.bool_]]:
        """Who sent a share of a secret of the group, ascending; and [holder, dealer of the group]: of which."""
        of_each = [self._holders(v) for v in group]
        holders = np.unique(np.concatenate(of_each))
        sent = np.zeros((len(holders), len(group)), np.bool_)
        for column, senders in enumerate(of_each):
            sent[positions(senders, holders), column] = True
        return holders, sent

    def _agreeing(self, sources: Ids, group: list[int], holders: Ids, sent: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """[holder, dealer of the group]: which shares lie on the polynomial through those of `sources`."""
        # The share of a further holder is the polynomial's value at its id, for all secrets of the group at once.
        block, agrees, dealers = self._block(sources, group), sent.copy(), np.array(group, np.uint32)
        for row in np.flatnonzero(~np.isin(holders, sources)):
            u, columns = int(holders[row]), np.flatnonzero(sent[row])
            expected = extrapolate(block, sources, u)[columns]
            agrees[row, columns] = (self._shares[self._graph.row(u, dealers[columns])] == expected).all(1)
        return agrees

    def _holders(self, v: int) -> Ids:
        """Who sent a share of v's secret."""
        near = self._graph.holders(v)
        return near[self._received[self._graph.column(near, v)]]

    def _ranked(self, v: int) -> Ids:
        """Who sent a share of v's secret, the least suspected first."""
        holders = self._holders(v)
        if not self._suspected:
            return holders
        return holders[np.argsort(self._suspicion[self._index(holders)], kind="stable")]

    def _integers(self, holders: Ids, v: int) -> list[int]:
        return [int.from_bytes(bytes(share), "big") for share in self._block(holders, [v])[:, 0]]

    def _block(self, holders: Ids, group: list[int]) -> Octets:
        cells = np.stack([self._graph.column(holders, v) for v in group], axis=1)
        return self._shares.take(cells, axis=0)

    def _index(self, users: Ids | Sequence[int] | int) -> NDArray[np.intp]:
        return positions(users, self._dealers)


def blame(wrong: Iterable[WrongShare], c: int) -> tuple[set[int], set[int], set[WrongShare]]:
    """Who must have lied: holders, dealers, and the pairs in which one of the two has.

    A corrupt dealer can deal bad shares to chosen holders, and a corrupt holder can send bad shares, so one wrong share
    proves nothing. But at most c dealers lie about one holder, and at most c holders about one dealer.

    Args:
        wrong: the wrong shares.
        c: how many holders of one dealer's shares may lie, and dealers of one holder.

    Returns:
        The holders and the dealers who must have lied, and the wrong shares between all others.
    """
    pairs = set(wrong)
    by_holder = Counter(pair.holder for pair in pairs)
    by_dealer = Counter(pair.dealer for pair in pairs)
    holders = {u for u, count in by_holder.items() if count > c}
    dealers = {v for v, count in by_dealer.items() if count > c}
    return holders, dealers, {pair for pair in pairs if pair.holder not in holders and pair.dealer not in dealers}


def _by_dealer(dealers: list[int], secrets: Octets) -> dict[int, bytes]:
    return {v: bytes(secret) for v, secret in zip(dealers, secrets, strict=True)}


def _groups(keyed: Iterable[tuple[int, bytes]]) -> dict[bytes, list[int]]:
    """Items by their keys."""
    groups: dict[bytes, list[int]] = {}
    for item, key in keyed:
        groups.setdefault(key, []).append(item)
    return groups
