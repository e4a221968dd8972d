"""Whether the time that noise takes tells how large it is: `python -m bench.noise_timing`, in about three minutes.

As dudect does (O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code constant time?", 2017): many small batches are
drawn and added to a share, each is timed, and the times of those whose noise came out large are compared with the rest
by Welch's t-test. Times beyond a percentile are cropped, because interrupts hide what there is to see; of several
percentiles the largest |t| counts. Beyond 4.5 the two are told apart; below it, not by so many measurements.

Seeds are random and stand in no order, so that whatever else the machine does meets both classes alike.
"""

import argparse
import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.dp.samplers import (
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    IsochronousWideGaussian,
    Rand,
    Sampler,
)
from secagg.vdaf.field import Field64

from .machine import machine_lines
from .tables import table

LAWS: tuple[Sampler, ...] = (
    *(form(Fraction(scale)) for scale in (1, 100) for form in (ExactLaplace, IsochronousLaplace)),
    *(form(Fraction(1)) for form in (ExactGaussian, IsochronousGaussian)),
    *(form(Fraction(10**4)) for form in (ExactGaussian, IsochronousWideGaussian)),
    *(form(Fraction(100)) for form in (ExactSkellam, IsochronousSkellam)),
)
CROPS = (100, 99, 95, 80)  # percentiles
TOLD_APART = 4.5
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Batches of one sampler.

    Attributes:
        times: nanoseconds, of each batch.
        sizes: the sum of its samples' magnitudes.
    """

    times: Reals
    sizes: Reals

    @property
    def halves(self) -> float:
        """Large against small noise, cut at the median."""
        middle = np.median(self.sizes)
        return largest_t(self.times[self.sizes > middle], self.times[self.sizes <= middle])

    @property
    def tenths(self) -> float:
        """The tenth of the largest noise against that of the smallest."""
        low, high = np.percentile(self.sizes, (10, 90))
        return largest_t(self.times[self.sizes >= high], self.times[self.sizes <= low])

    @property
    def correlation(self) -> float:
        """Between time and size, of the 95 % of the batches that took the least."""
        kept = self.times <= np.percentile(self.times, 95)
        return float(np.corrcoef(self.times[kept], self.sizes[kept])[0, 1])


def measure(law: Sampler, samples: int, batches: int) -> Measured:
    """Times what a party does, but for the seed, which comes from the operating system beforehand."""
    share, modulus = np.zeros(samples, np.uint64), Field64.MODULUS
    seeds = [replayed(os.urandom(16)) for _ in range(batches)]
    times = np.empty(batches)
    law.add_to(share, modulus)  # makes the table
    gc.disable()
    for i, seed in enumerate(seeds):
        start = perf_counter_ns()
        law.add_to(share, modulus, rand=seed)
        times[i] = perf_counter_ns() - start
    gc.enable()
    return Measured(times, np.array([np.abs(law.sample(samples, rand=seed)).sum() for seed in seeds], float))


def replayed(seed: bytes) -> Rand:
    """A source that gives this seed, however often it is asked."""
    return lambda size: seed[:size]


def welch_t(a: Reals, b: Reals) -> float:
    """How many standard errors the means are apart; 0 where there is not enough to say."""
    if min(a.size, b.size) < 2:
        return 0.0
    error = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    return float((a.mean() - b.mean()) / error) if error > 0 else 0.0


def largest_t(a: Reals, b: Reals) -> float:
    """Of all crops, the t that is furthest from 0."""
    limits = np.percentile(np.concatenate([a, b]), CROPS)
    return max((welch_t(a[a <= limit], b[b <= limit]) for limit in limits), key=abs)


def lines(laws: Sequence[Sampler], samples: int, batches: int) -> Iterator[str]:
    yield from machine_lines("time.perf_counter_ns", os.getloadavg()[0], ("numpy",))
    yield f"{batches:,} batches of {samples} samples for each line.\n"
    yield from table(
        ("sampler", "median, ns", "t, halves", "t, outer tenths", "correlation", "told apart"),
        [row(law, measure(law, samples, batches)) for law in laws],
    )


def row(law: Sampler, found: Measured) -> tuple[str, ...]:
    t = found.halves, found.tenths
    told = "**yes**" if max(map(abs, t)) > TOLD_APART else "no"
    return name(law), f"{np.median(found.times):,.0f}", *(f"{x:.1f}" for x in t), f"{found.correlation:.4f}", told


def name(law: Any) -> str:
    (parameter, value), *_ = vars(law).items()
    return f"{type(law).__name__}, {parameter.replace('_', ' ')} {value}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=500_000)
    parser.add_argument("--samples", type=int, default=16, help="of a batch")
    options = parser.parse_args()
    print("\n".join(lines(LAWS, options.samples, options.batches)))


if __name__ == "__main__":
    main()
