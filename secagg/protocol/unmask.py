"""The masks of Fig. 4 as calls of `mask_sum`, with their seeds and signs, and the server's removal of them.

Removal is one pipeline with two kinds of tasks. `agreed_masks` makes seeds, for a few survivors at a time; `expand`
makes masks of them, for a block of seeds and a range of coordinates at a time. Both are pure functions. Their arguments
and results can be pickled, and are small compared with the work, so that any `concurrent.futures.Executor` may run
them: threads, processes, a cluster. The `repr` of an argument does not show its contents, because clusters log the
arguments of tasks that fail.
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
from ..primitives import agree_all, agree_pairs, mask_seeds
from .executors import borrowed, completed
from .graph import Neighbourhoods, positions
from .params import Params

Progress = Callable[[int, int], None]
"""Called with (done, total) as a long computation goes on."""

Signs = NDArray[np.int8]

RANGE = 1 << 17
"""The largest number of coordinates of a task."""

SEEDS = 1 << 15
"""The largest number of seeds of a task, if TASKS_MAX allows it. With RANGE and elements of 24 bits this is most of a
second of work, and seeds and coordinates are half a megabyte each to send. A larger task would send less for its work,
but more would be lost with it, and its end would take longer."""

TASKS_MIN, TASKS_MAX = 1 << 7, 1 << 14
"""Into how many tasks the expansion is cut. TASKS_MIN, unless ELEMENTS forbids it, lets threads end together and a
progress bar move. TASKS_MAX keeps their distribution, milliseconds for each task in a cluster, from making hundreds of
cores wait."""

ELEMENTS = 1 << 24
"""The smallest number of elements of a task, milliseconds of work, if SEEDS allows it."""

CHUNK = 256
"""How many seeds `mask_sum` takes at a time."""

POINTS = 16
"""With how many public keys at a time `agree_all` is fast."""

PRODUCTS = 1 << 11
"""The number of agreements of a task: in the complete graph the smallest, which takes more of the survivors where few
users dropped, and in a sparse one the largest."""

WINDOW = 64
"""The smallest number of tasks under way at a time."""


def prg_nonce(session: bytes) -> bytes:
    """The nonce of this session's PRG: the upper part of the first counter block."""
    return session[: masking.NONCE_BYTES]


def seed_array(seeds: bytes) -> Octets:
    """Concatenated seeds as the kernels take them, uint8[k, 16]."""
    return np.frombuffer(seeds, np.uint8).reshape(-1, masking.SEED_BYTES)


def pairwise_signs(u: int | Ids, others: Ids) -> Signs:
    """D_{u,v} for v over `others`: 1 where u > v, -1 where u < v (Fig. 4, round 2)."""
    return np.where(others < u, 1, -1).astype(np.int8)


@dataclass(frozen=True, eq=False, repr=False)
class Masks:
    """Masks to be added up: the sum of signs[j] * PRG(seeds[j]).

    Attributes:
        seeds: uint8[k, 16].
        signs: int8[k], each 1 or -1.
    """

    seeds: Octets
    signs: Signs


@dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """The argument of `agreed_masks`.

    Attributes:
        vs: dropped users, uint32[d].
        secrets: their s_sk, uint8[d, 32].
        us: survivors, uint32[s].
        publics: their s_pk, uint8[s, 32].
        session: the session's id.
        pairs: who are neighbours, as positions in `us` and in `vs`, intp[2, k]; None for all of them.
    """

    vs: Ids
    secrets: Octets
    us: Ids
    publics: Octets
    session: bytes
    pairs: NDArray[np.intp] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Expansion:
    """The argument of `expand`.

    Attributes:
        masks: the masks to be added up.
        modulus: R.
        nonce: the session's, 12 bytes; see `prg_nonce`.
        offset: the first element that is wanted.
        n: how many elements are wanted.
    """

    masks: Masks
    modulus: int
    nonce: bytes
    offset: int
    n: int


def agreed_masks(call: Agreement) -> Masks:
    """-p_{u,v} of all pairs of neighbours, to be added to a sum that contains p_{u,v}."""
    if call.pairs is None:
        rows, columns = np.indices((len(call.us), len(call.vs))).reshape(2, -1)
        agreed = agree_all(call.secrets, call.publics).reshape(-1, 32)
    else:
        rows, columns = call.pairs
        agreed = agree_pairs(call.secrets, call.publics, columns, rows)
    us, vs = call.us[rows], call.vs[columns]
    return Masks(mask_seeds(agreed, call.session, us, vs), pairwise_signs(vs, us))  # p_{v,u} = -p_{u,v}


def expand(call: Expansion) -> NDArray[Any]:
    """Elements offset .. offset + n - 1 of a sum of masks, mod R."""
    acc, masks = np.zeros(call.n, vector.dtype(call.modulus)), call.masks
    masking.mask_sum(acc, masks.seeds, masks.signs, modulus=call.modulus, nonce=call.nonce, offset=call.offset)
    return acc


def in_blocks(masks: Iterable[Masks], size: int) -> Iterator[Masks]:
    """The same masks in blocks of `size` seeds; each seed is copied once."""
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
        survivors: U3, ascending, uint32[s].
        seeds: the seeds of the survivors' self masks, uint8[s, 16].
        publics: the survivors' s_pk, uint8[s, 32].
        dropped: the other users of U2, ascending, uint32[d].
        secrets: the dropped users' s_sk, uint8[d, 32].
    """

    survivors: Ids
    seeds: Octets
    publics: Octets
    dropped: Ids
    secrets: Octets


class Removal:
    """The vector that removes the masks from the sum of y_u over U3 when it is added to it.

    It contains -p_u for every survivor u, and -p_{u,v} for all dropped neighbours v of u.

    Args:
        params: the session's parameters.
        session: the session's id.
        graph: who of U2 are neighbours.
        revealed: what the shares reveal.
        progress: called with (done, total) tasks.
    """

    def __init__(
        self, params: Params, session: bytes, graph: Neighbourhoods, revealed: Revealed, progress: Progress
    ) -> None:
        self._params = params
        self._session = session
        self._graph = graph
        self._revealed = revealed
        self._progress = progress

        # One seed for every p_u, u in U3, and for every p_{v,u}, v in U2 \ U3.
        self._agreements = self._of_everybody() if graph.complete else self._of_neighbours()
        seeds = len(revealed.seeds) + sum(map(_products, self._agreements))

        # Tasks of agreement, and tasks of expansion: each of these takes a block of seeds and a range of coordinates.
        self._ranges = coordinate_ranges(params.m)
        self._block = block_size(seeds, self._ranges)
        self._total = len(self._agreements) + _ceil(seeds, self._block) * len(self._ranges)
        self._done = 0

        # So many at a time: a task of expansion sends 17 bytes a seed and takes back its coordinates.
        task_bytes = 17 * self._block + params.dtype.itemsize * len(self._ranges[0])
        self._window = max(WINDOW, self._server_bytes() // task_bytes)

    def run(self, executor: Executor | None) -> NDArray[Any]:
        """Compute the vector.

        Args:
            executor: runs the tasks; None for threads, one for each CPU that this process may use.

        Returns:
            dtype(R)[m].

        Raises:
            Exception: what the executor or `progress` raises.
        """
        # Agreements give seeds, blocks of seeds and ranges of coordinates give sums of masks, and these add up.
        acc = np.zeros(self._params.m, self._params.dtype)
        with (
            borrowed(executor) as pool,
            closing(self._masks(pool)) as masks,
            closing(completed(pool, expand, self._expansions(masks), self._window)) as sums,
        ):
            for expansion, masks_sum in sums:
                aligned = np.require(masks_sum, requirements="A")  # as what comes over a network need not be
                vector.add(acc[expansion.offset : expansion.offset + expansion.n], aligned, self._params.modulus)
                self._step()
        return acc

    def _server_bytes(self) -> int:
        """Bytes of the shares and of the sum; tasks under way may take as many again."""
        return 32 * self._graph.size + self._params.m * self._params.dtype.itemsize

    def _of_everybody(self) -> list[Agreement]:
        """Tasks of some survivors each, with all dropped users."""
        revealed = self._revealed
        if not len(revealed.dropped):
            return []

        # With few dropped users a task takes more of the survivors, in multiples of what `agree_all` is fast with.
        step = POINTS * max(1, PRODUCTS // (POINTS * len(revealed.dropped)))
        groups = [slice(start, start + step) for start in range(0, len(revealed.survivors), step)]
        return [
            Agreement(
                revealed.dropped,
                revealed.secrets,
                revealed.survivors[group],
                revealed.publics[group],
                self._session,
            )
            for group in groups
        ]

    def _of_neighbours(self) -> list[Agreement]:
        """Tasks of the users on some stretch of the circle, who have most of their neighbours there."""
        revealed = self._revealed
        around = [self._graph.neighbours(v, revealed.survivors) for v in revealed.dropped.tolist()]
        if not around:
            return []
        columns = np.repeat(np.arange(len(around)), [len(us) for us in around])
        rows = positions(np.concatenate(around), revealed.survivors)
        along = np.argsort(self._graph.places(revealed.survivors)[rows], kind="stable")
        stretches = [along[start : start + PRODUCTS] for start in range(0, len(along), PRODUCTS)]
        return [self._of_pairs(rows[stretch], columns[stretch]) for stretch in stretches]

    def _of_pairs(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Agreement:
        """The task of some pairs, positions among the survivors and among the dropped users."""
        revealed = self._revealed
        us, rows = np.unique(rows, return_inverse=True)
        vs, columns = np.unique(columns, return_inverse=True)
        return Agreement(
            revealed.dropped[vs],
            revealed.secrets[vs],
            revealed.survivors[us],
            revealed.publics[us],
            self._session,
            np.stack([rows, columns]),
        )

    def _masks(self, pool: Executor) -> Generator[Masks]:
        """All masks to be removed, negated."""
        # Fig. 4, round 4, server: - p_u = - PRG(b_u) for u in U3, whose seeds are known.
        yield Masks(self._revealed.seeds, np.full(len(self._revealed.seeds), -1, np.int8))

        # p_{v,u} for u in U3 and v in U2 \ U3, by KA.agree(s_v^sk, s_u^pk).
        for _, masks in completed(pool, agreed_masks, self._agreements, self._window):
            self._step()
            yield masks

    def _expansions(self, masks: Iterable[Masks]) -> Iterator[Expansion]:
        """Their expansion, split by seeds and by coordinates."""
        modulus, nonce = self._params.modulus, prg_nonce(self._session)
        for block in in_blocks(masks, self._block):
            for coordinates in self._ranges:
                yield Expansion(block, modulus, nonce, coordinates.start, len(coordinates))

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _products(call: Agreement) -> int:
    """How many agreements a task makes."""
    return len(call.us) * len(call.vs) if call.pairs is None else call.pairs.shape[1]


def coordinate_ranges(m: int) -> list[range]:
    """0 .. m - 1 in equal ranges of at most RANGE elements, cut where blocks of AES are whole."""
    step = _ceil(_ceil(m, _ceil(m, RANGE)), 16) * 16
    return [range(start, min(start + step, m)) for start in range(0, m, step)]


def block_size(seeds: int, ranges: list[range]) -> int:
    """How many seeds a task takes."""
    work = seeds * len(ranges)
    enough = max(_ceil(work, TASKS_MIN), ELEMENTS // len(ranges[0]))
    allowed = max(_ceil(work, TASKS_MAX), SEEDS)
    return _ceil(min(enough, allowed), CHUNK) * CHUNK


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
