"""The masks of Fig. 4 as calls of `mask_sum`: which seeds, which signs; and the server's removal of them.

Removal is one pipeline of two kinds of tasks: `agreed_masks` makes seeds, a few survivors at a time, and `expand` masks
of them, so many seeds and coordinates at a time. Both are pure functions whose arguments and results can be pickled and
are small beside the work, so that any `concurrent.futures.Executor` may run them: threads, processes, a cluster. Their
arguments have no `repr` of what they hold, because clusters log the arguments of tasks that fail.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import masking, vector
from ..codec import Ids, Octets
from ..primitives import agree_all, mask_seeds
from .executors import borrowed, completed
from .graph import Graph
from .params import Params

Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""

Signs = NDArray[np.int8]

RANGE = 1 << 17
"""Coordinates of a task at most, and ..."""

SEEDS = 1 << 15
"""... seeds, if TASKS_MAX allows it: with elements of 24 bits that is most of a second of work, and each of the two is
half a megabyte to send. A larger task has to send less for its work, but is more to lose and to wait for."""

TASKS_MIN, TASKS_MAX = 1 << 7, 1 << 14
"""Into how many tasks the expansion is cut: enough that threads end together and a bar moves, unless ELEMENTS forbids
it; not so many that handing them out, milliseconds each in a cluster, keeps hundreds of cores waiting."""

ELEMENTS = 1 << 24
"""Elements of a task at least, milliseconds of work, if SEEDS allows it."""

CHUNK = 256
"""Seeds that `mask_sum` takes at a time."""

POINTS = 16
"""Public keys at a time that `agree_all` is fast with."""

PRODUCTS = 1 << 11
"""Agreements of a task at least: with few dropped users it takes more of the survivors."""

WINDOW = 64
"""Tasks under way at a time at least."""


def prg_nonce(session: bytes) -> bytes:
    """Where the PRG's counter starts in this session."""
    return session[: masking.NONCE_BYTES]


def seed_array(seeds: bytes) -> Octets:
    """Seeds one after the other as the kernels take them, uint8 [k, 16]."""
    return np.frombuffer(seeds, np.uint8).reshape(-1, masking.SEED_BYTES)


def pairwise_signs(u: int | Ids, others: Ids) -> Signs:
    """D_{u,v} for v over `others`: 1 where u > v, -1 where u < v (Fig. 4, round 2)."""
    return np.where(others < u, 1, -1).astype(np.int8)


@dataclass(frozen=True, eq=False, repr=False)
class Masks:
    """The sum of signs * PRG(seeds): uint8[k, 16] and int8[k]."""

    seeds: Octets
    signs: Signs


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """What `agreed_masks` takes: dropped users vs with their s_sk, survivors us with their s_pk, and which of the pairs
    [u, v] are neighbours."""

    vs: Ids
    secrets: Octets
    us: Ids
    publics: Octets
    adjacent: NDArray[np.bool_]
    session: bytes


@dataclass(frozen=True, eq=False, repr=False)
class Expansion:
    """What `expand` takes: masks, of which elements offset .. offset + n - 1 mod R are wanted."""

    masks: Masks
    modulus: int
    nonce: bytes
    offset: int
    n: int


def agreed_masks(call: Agreement) -> Masks:
    """-p_{u,v} of all neighbours u, v, to be added to a sum that has p_{u,v} in it."""
    rows, columns = np.nonzero(call.adjacent)
    agreed = agree_all(call.secrets, call.publics)[rows, columns]
    us, vs = call.us[rows], call.vs[columns]
    return Masks(mask_seeds(agreed, call.session, us, vs), pairwise_signs(vs, us))  # p_{v,u} = -p_{u,v}


def expand(call: Expansion) -> NDArray[Any]:
    """A slice of a sum of masks."""
    acc, masks = np.zeros(call.n, vector.dtype(call.modulus)), call.masks
    masking.mask_sum(acc, masks.seeds, masks.signs, modulus=call.modulus, nonce=call.nonce, offset=call.offset)
    return acc


def in_blocks(masks: Iterable[Masks], size: int) -> Iterator[Masks]:
    """The same seeds, `size` at a time; each is copied once."""
    block, filled = _empty(size), 0
    for source in masks:
        taken = 0
        while taken < len(source.seeds):
            fits = min(size - filled, len(source.seeds) - taken)
            block.seeds[filled : filled + fits] = source.seeds[taken : taken + fits]
            block.signs[filled : filled + fits] = source.signs[taken : taken + fits]
            taken, filled = taken + fits, filled + fits
            if filled == size:
                yield block
                block, filled = _empty(size), 0
    if filled:
        yield Masks(block.seeds[:filled], block.signs[:filled])


def _empty(size: int) -> Masks:
    return Masks(np.empty((size, masking.SEED_BYTES), np.uint8), np.empty(size, np.int8))


@dataclass(frozen=True, eq=False, repr=False)
class Revealed:
    """What the survivors' shares reveal.

    Attributes:
        survivors: U3, ascending.
        seeds: of their self masks, uint8[s, 16].
        publics: their s_pk, uint8[s, 32].
        dropped: the others of U2.
        secrets: their s_sk, uint8[d, 32].
    """

    survivors: Ids
    seeds: Octets
    publics: Octets
    dropped: Ids
    secrets: Octets

    def adjacent(self, graph: Graph) -> NDArray[np.bool_]:
        """[u, v]: whether survivor u and dropped user v are neighbours."""
        table = np.zeros((len(self.survivors), len(self.dropped)), np.bool_)
        for column, v in enumerate(self.dropped.tolist()):
            table[np.searchsorted(self.survivors, graph.neighbours(v, self.survivors)), column] = True
        return table


class Removal:
    """What takes the masks out of the sum of y_u over U3, by being added to it.

    Args:
        params: the session's.
        session: its id.
        revealed: minus p_u is wanted for every survivor, and minus p_{u,v} for all of its dropped neighbours v.
        progress: called with (done, total) tasks.
    """

    def __init__(self, params: Params, session: bytes, revealed: Revealed, progress: Progress) -> None:
        self._params = params
        self._session = session
        self._revealed = revealed
        self._progress = progress

        # One seed for every p_u, u in U3, and for every p_{v,u}, v in U2 \ U3.
        self._adjacent = revealed.adjacent(params.graph)
        seeds = len(revealed.seeds) + int(np.count_nonzero(self._adjacent))

        # Tasks of agreement, and tasks of expansion: each of these takes a block of seeds and a range of coordinates.
        self._ranges = coordinate_ranges(params.m)
        self._block = block_size(seeds, self._ranges)
        self._agreements = self._split_by_user()
        self._total = len(self._agreements) + _ceil(seeds, self._block) * len(self._ranges)
        self._done = 0

        # So many at a time: a task of expansion sends 17 bytes a seed and takes back its coordinates.
        task_bytes = 17 * self._block + params.dtype.itemsize * len(self._ranges[0])
        self._window = max(WINDOW, self._server_bytes() // task_bytes)

    def run(self, executor: Executor | None) -> NDArray[Any]:
        """The vector, dtype(R)[m].

        Args:
            executor: runs the tasks; None for threads, as many as there are CPUs for this process.

        Raises:
            what the executor raises, and `progress`.
        """
        # Agreements give seeds, blocks of seeds and ranges of coordinates give sums of masks, and these add up.
        acc = np.zeros(self._params.m, self._params.dtype)
        with (
            borrowed(executor) as pool,
            closing(self._masks(pool)) as masks,
            closing(completed(pool, expand, self._expansions(masks), self._window)) as sums,
        ):
            for expansion, masks_sum in sums:
                vector.add(acc[expansion.offset : expansion.offset + expansion.n], masks_sum, self._params.modulus)
                self._step()
        return acc

    def _server_bytes(self) -> int:
        """Bytes of the shares and the sum: what is under way may take as much again."""
        users = len(self._revealed.survivors) + len(self._revealed.dropped)
        return 32 * users**2 + self._params.m * self._params.dtype.itemsize

    def _split_by_user(self) -> list[Agreement]:
        """Some survivors at a time, with all dropped users."""
        revealed = self._revealed
        if not len(revealed.dropped):
            return []
        step = POINTS * max(1, PRODUCTS // (POINTS * len(revealed.dropped)))
        groups = [slice(start, start + step) for start in range(0, len(revealed.survivors), step)]
        return [
            Agreement(
                revealed.dropped,
                revealed.secrets,
                revealed.survivors[group],
                revealed.publics[group],
                self._adjacent[group],
                self._session,
            )
            for group in groups
        ]

    def _masks(self, pool: Executor) -> Generator[Masks]:
        """All that are to go."""
        # Fig. 4, round 4, server: - p_u = - PRG(b_u) for u in U3, whose seeds are known.
        yield Masks(self._revealed.seeds, np.full(len(self._revealed.seeds), -1, np.int8))

        # p_{v,u} for u in U3 and v in U2 \ U3, by KA.agree(s_v^sk, s_u^pk).
        for _, masks in completed(pool, agreed_masks, self._agreements, self._window):
            self._step()
            yield masks

    def _expansions(self, masks: Iterable[Masks]) -> Iterator[Expansion]:
        """The same, split by seeds and by coordinates."""
        modulus, nonce = self._params.modulus, prg_nonce(self._session)
        for block in in_blocks(masks, self._block):
            for coordinates in self._ranges:
                yield Expansion(block, modulus, nonce, coordinates.start, len(coordinates))

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def coordinate_ranges(m: int) -> list[range]:
    """0 .. m - 1 in equal parts of RANGE elements at most, cut where blocks of AES are whole."""
    step = _ceil(_ceil(m, _ceil(m, RANGE)), 16) * 16
    return [range(start, min(start + step, m)) for start in range(0, m, step)]


def block_size(seeds: int, ranges: list[range]) -> int:
    """How many of the seeds a task takes."""
    work = seeds * len(ranges)
    enough = max(_ceil(work, TASKS_MIN), ELEMENTS // len(ranges[0]))
    allowed = max(_ceil(work, TASKS_MAX), SEEDS)
    return _ceil(min(enough, allowed), CHUNK) * CHUNK


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
