"""All that a lying server can learn over a sparse graph, by linear algebra: no machine, no proof, every case.

Users stand at 0 .. n - 1 of the circle. What the server has is y_v = x_v + b_v + the sum of +-m_vw over w in the U2
that v was shown, and those of the secrets b_v and s_v of which t shares came. A combination of the y_v in which no
unknown mask is left is a sum of inputs that it learns. The honest inputs of one U3 are such a sum; any other is a
break.

What is left out is never better for the server: a user who may answer and does not, a user outside U3 who masks its
input (its b is never revealed), and a user in U3 who does not mask it, but where `may_drop` asks for that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

P = 3  # a prime above 2, for signs to count
_AT_ONCE = 1 << 14

Users = frozenset[int]
Views = NDArray[np.int64]
"""[case, user]: the set of v's neighbours that v was shown in U2, as bits; `DROPPED` where v masks nothing."""

DROPPED = -1


@dataclass(frozen=True)
class Rules:
    """What honest users check.

    Attributes:
        n: how many users there are, all of whom join.
        degree: how many neighbours each has.
        corrupt: who is corrupt.
        t: how many shares reveal a secret.
        quorum: how many must have signed a U3.
        least_view: how many neighbours a user must see in U2.
    """

    n: int
    degree: int
    corrupt: Users
    t: int
    quorum: int
    least_view: int

    @classmethod
    def proper(cls, n: int, degree: int, corrupt: Users = frozenset(), c: int = 0) -> "Rules":
        """Those of docs/sparse-graph.md, where every honest user has at most c corrupt neighbours."""
        t = degree // 2 + c + 2
        return cls(n, degree, corrupt, t, quorum=(n + len(corrupt)) // 2 + 1, least_view=t - 1)

    @property
    def honest(self) -> list[int]:
        return [v for v in range(self.n) if v not in self.corrupt]

    def neighbours(self, v: int) -> list[int]:
        return [(v + step) % self.n for step in range(-(self.degree // 2), self.degree // 2 + 1) if step]

    def views(self, v: int) -> list[int]:
        """Every part of v's neighbours that it may be shown."""
        near = self.neighbours(v)
        sizes = range(self.least_view, self.degree + 1)
        return [bits(some) for size in sizes for some in combinations(near, size)]


class Break(NamedTuple):
    """A sum that nobody agreed to.

    Attributes:
        stories: the U3 that were shown and signed.
        answered: who answered for which of them.
        views: the U2 of each user, as bits.
    """

    stories: tuple[Users, ...]
    answered: tuple[Users, ...]
    views: tuple[int, ...]


def bits(users: Any) -> int:
    return sum(1 << v for v in users)


def breaks(rules: Rules, stories: int = 1, may_drop: bool = False) -> Iterator[Break]:
    """Every break in which the server shows so many U3 and a quorum signs each; nobody signs two."""
    for told, answered in choices(rules, stories):
        for views in _views(rules, told, answered, may_drop):
            for case in np.flatnonzero(_is_broken(rules, told, answered, views)):
                yield Break(told, answered, tuple(views[case].tolist()))


def choices(rules: Rules, stories: int) -> Iterator[tuple[tuple[Users, ...], tuple[Users, ...]]]:
    """So many U3, and who signs each of them."""
    for told in product(_sets(rules, mirrored=stories == 1), *[list(_sets(rules))] * (stories - 1)):
        for answered in _signers(rules, told):
            yield told, answered


def _sets(rules: Rules, mirrored: bool = False) -> Iterator[Users]:
    """Every U3, the largest first; if wanted one of those that rotations and reflections of the circle make equal."""
    seen: set[int] = set()
    for size in range(rules.n, rules.quorum - 1, -1):
        for some in combinations(range(rules.n), size):
            if not mirrored or rules.corrupt:
                yield frozenset(some)
            elif bits(some) not in seen:
                seen |= {bits((sign * v + turn) % rules.n for v in some) for sign in (1, -1) for turn in range(rules.n)}
                yield frozenset(some)


def _signers(rules: Rules, told: tuple[Users, ...]) -> Iterator[tuple[Users, ...]]:
    """For each U3 the honest users who sign it: nobody two, and with the corrupt ones in it a quorum."""
    choices = [[None, *(i for i, u3 in enumerate(told) if v in u3)] for v in rules.honest]
    for chosen in product(*choices):
        answered = tuple(frozenset(v for v, i in zip(rules.honest, chosen, strict=True) if i == story)
                         for story in range(len(told)))  # fmt: skip
        helped = [len(signed) + len(rules.corrupt & u3) for signed, u3 in zip(answered, told, strict=True)]
        if min(helped) >= rules.quorum:
            yield answered


def _views(rules: Rules, told: tuple[Users, ...], answered: tuple[Users, ...], may_drop: bool) -> Iterator[Views]:
    """All U2 of all users in some U3, some cases at a time: who signs a U3 has seen those of its neighbours in it, and
    who signs none is not able to, or there would be no need to look at the case."""
    options = [[0] for _ in range(rules.n)]
    for v in rules.honest:
        near = bits(rules.neighbours(v))
        needs = [bits(u3) & near for u3, signed in zip(told, answered, strict=True) if v in signed]
        able = [bits(u3) & near for u3 in told if v in u3]
        if needs:
            options[v] = [view for view in rules.views(v) if needs[0] & ~view == 0]
        elif able:
            options[v] = [view for view in rules.views(v) if len(told) > 1 or able[0] & ~view]
            options[v] += [DROPPED] * may_drop
    sizes = [len(each) for each in options]
    total = int(np.prod(sizes, dtype=object))
    for start in range(0, total, _AT_ONCE):
        places = np.unravel_index(np.arange(start, min(start + _AT_ONCE, total)), sizes)
        yield np.stack([np.array(each)[place] for each, place in zip(options, places, strict=True)], axis=1)


def _is_broken(rules: Rules, told: tuple[Users, ...], answered: tuple[Users, ...], views: Views) -> NDArray[np.bool_]:
    """[case]: whether some combination of the y_v without unknown masks is not a multiple of one U3's sum."""
    inputs = sorted(frozenset().union(*told) - rules.corrupt)
    known_b, known_s = _known(rules, told, answered, views)
    some = known_b[:, inputs].any(1)  # or every y has a mask that no other has
    broken = np.zeros(len(views), np.bool_)
    broken[some] = _has_other_sums(rules, told, inputs, known_b[some], known_s[some], views[some])
    return broken


def _has_other_sums(
    rules: Rules,
    told: tuple[Users, ...],
    inputs: list[int],
    known_b: NDArray[np.bool_],
    known_s: NDArray[np.bool_],
    views: Views,
) -> NDArray[np.bool_]:
    matrix = np.concatenate([_self_masks(inputs, known_b, views), _pairwise_masks(rules, inputs, known_s, views)], 2)
    free = len(inputs) - _rank(matrix)
    allowed = np.zeros(len(views), np.bool_)
    for u3 in told:
        rows = [v in u3 for v in inputs]
        allowed |= (matrix[:, rows].sum(1) % P == 0).all(1)
    broken: NDArray[np.bool_] = (free > 1) | ((free == 1) & ~allowed)
    return broken


def _known(
    rules: Rules, told: tuple[Users, ...], answered: tuple[Users, ...], views: Views
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[case, user]: whether t shares of b_v, and of s_v, came. Corrupt holders give both."""
    corrupt = np.array([len(rules.corrupt.intersection(rules.neighbours(v))) for v in range(rules.n)])
    b, s = (np.tile(corrupt, (len(views), 1)) for _ in range(2))
    for u3, signed in zip(told, answered, strict=True):
        for w in signed:
            b[:, w] += 1  # one's own share
            for v in rules.neighbours(w):
                (b if v in u3 else s)[:, v] += views[:, w] >> v & 1
    return b >= rules.t, s >= rules.t


def _self_masks(inputs: list[int], known_b: NDArray[np.bool_], views: Views) -> NDArray[np.int8]:
    unknown = ~known_b[:, inputs] | (views[:, inputs] == DROPPED)
    masks: NDArray[np.int8] = np.eye(len(inputs), dtype=np.int8) * unknown[:, None, :]
    return masks


def _pairwise_masks(rules: Rules, inputs: list[int], known_s: NDArray[np.bool_], views: Views) -> NDArray[np.int8]:
    pairs = [(v, w) for v in rules.honest for w in rules.neighbours(v) if v < w and w not in rules.corrupt]
    masks = np.zeros((len(views), len(inputs), len(pairs)), np.int8)
    for column, (v, w) in enumerate(pairs):
        unknown = ~known_s[:, v] & ~known_s[:, w]
        for u, other, sign in ((v, w, 1), (w, v, P - 1)):
            if u in inputs:
                shown = (views[:, u] >> other & 1).astype(np.bool_) & (views[:, u] != DROPPED)
                masks[:, inputs.index(u), column] = sign * (unknown & shown)
    return masks


def _rank(matrix: NDArray[np.int8]) -> NDArray[np.intp]:
    """[case]: the rank mod P of [case, row, column]. Each row clears its first entry from the rows below."""
    left, cases = matrix.copy(), np.arange(len(matrix))
    rank = np.zeros(len(matrix), np.intp)
    for row in range(left.shape[1]):
        pivot = left[:, row]
        first = (pivot != 0).argmax(1)
        value = pivot[cases, first]  # its own inverse mod 3
        rank += value != 0
        factors = left[cases, :, first] * value[:, None] % P
        factors[:, : row + 1] = 0
        left = (left + (P - factors)[:, :, None] * pivot[:, None, :]) % P
    return rank
