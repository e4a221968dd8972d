"""What a peer is asked to do: the terms that `bench.peers` and the implementations it compares have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import Params

from ..paired import Timer

BITS = 24
MODULUS = 1 << BITS
SECRET_BYTES = 32
LEAST = 0.005  # seconds: quicker runs are repeated


@dataclass(frozen=True)
class Setting:
    """A session of n users with vectors of m entries of 24 bits, of whom the first `dropped` vanish before
    MaskedInputCollection; `masks` are added where masks alone are measured."""

    n: int
    m: int
    dropped: int
    masks: int

    @cached_property
    def params(self) -> Params:
        """With the default threshold, 67 for n = 100."""
        return Params(n=self.n, m=self.m, modulus=MODULUS)

    @property
    def survivors(self) -> range:
        return range(self.dropped + 1, self.n + 1)

    @property
    def slice_of_users(self) -> tuple[int, list[int]]:
        """One dropped user, and its fair part of the survivors: 1/`dropped` of the server's work."""
        return 1, list(self.survivors)[: len(self.survivors) // self.dropped]

    @property
    def total(self) -> NDArray[np.int64]:
        """A vector that masks hide, below R."""
        return np.random.default_rng(0).integers(0, MODULUS, self.m)


def nothing() -> None:
    """For work that needs no preparation."""


@dataclass(frozen=True)
class Work:
    """One thing to time.

    Attributes:
        run: what is timed; called with what `prepare` returned.
        prepare: what comes before each run, untimed; without it, quick runs are repeated.
        parts: a run does 1/parts of the work.
        check: whether a run's result is right.
    """

    run: Callable[[Any], object]
    prepare: Callable[[], Any] = nothing
    parts: float = 1
    check: Callable[[Any], bool] = field(default=lambda result: True)


def seconds(work: Work, timer: Timer) -> float:
    """Of the whole work, as one run predicts it, or the mean of several if they are quick and need no preparation."""
    loops, elapsed = 0, 0.0
    while not loops or (elapsed < LEAST and work.prepare is nothing):
        prepared = work.prepare()
        start = timer()
        result = work.run(prepared)
        elapsed += timer() - start
        loops += 1
        if not work.check(result):
            raise SystemExit("a result is wrong")
    return work.parts * elapsed / loops
