"""Times a subject and its baseline turn and turn about.

Neighbours and clock rates change what a machine does from one second to the next; a ratio of two times taken next to
each other survives that, and it survives a change of machine. A benchmark's `extra_info` holds, as [lower quartile,
median, upper quartile]:

    figures   what the subject reached, in each unit
    baseline  its name, and what it reached
    ratio     the baseline's time for the same work over the subject's: how many times faster the subject is
    rounds    of a whole session: milliseconds by round
    beside    the same of the baseline, if that is a session too
    target    what the figures or the ratio must reach, if anything
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from secagg import Round

Run = Callable[[], object]
Timer = Callable[[], float]


@dataclass(frozen=True)
class Unit:
    """How seconds read: `scale * seconds`, or `scale / seconds` for a rate."""

    name: str
    scale: float
    rate: bool = False

    def of(self, seconds: Sequence[float]) -> list[float]:
        times = np.asarray(seconds)
        return quartiles(self.scale / times if self.rate else self.scale * times)


MILLISECONDS = Unit("ms", 1e3)


def gb_per_second(size: int) -> Unit:
    """For work on `size` bytes."""
    return Unit("GB/s", size / 1e9, rate=True)


def ns_per_element(elements: int) -> Unit:
    return Unit("ns/element", 1e9 / elements)


@dataclass(frozen=True)
class Baseline:
    """What the subject is measured against; one run does 1/parts of the subject's work."""

    name: str
    run: Run
    unit: Unit
    parts: float = 1


@dataclass(frozen=True)
class Target:
    """A bound on the median of `of`, which is "ratio" or the name of a unit; where it is missed, `why`."""

    of: str
    bound: float
    at_least: bool = False
    why: str = ""


def quartiles(values: Sequence[float] | np.ndarray[Any, Any]) -> list[float]:
    return [float(q) for q in np.percentile(np.asarray(values), (25, 50, 75))]


def by_round(splits: Sequence[Mapping[Round, float]]) -> dict[str, list[float]]:
    """Quartiles for each round of several sessions."""
    return {str(current): quartiles([split[current] for split in splits]) for current in splits[0]}


class Paired:
    """The fixture `paired`: runs a benchmark once per test and returns what the subject's last run returned.

    Attributes:
        timer: the clock in use, wall time unless `--benchmark-timer` says otherwise.
    """

    def __init__(self, benchmark: BenchmarkFixture, timer: Timer) -> None:
        self._benchmark = benchmark
        self.timer = timer

    def __call__(
        self,
        case: str,
        subject: Run,
        baseline: Baseline,
        units: Sequence[Unit],
        target: Target | None = None,
        rounds: int = 15,
    ) -> Any:
        """Run the subject `rounds` times, the baseline before each, and store what the module's text says."""
        baselines: list[float] = []
        result = self._benchmark.pedantic(  # type: ignore[no-untyped-call]
            subject, setup=lambda: baselines.append(self.seconds(baseline.run)), rounds=rounds, warmup_rounds=1
        )
        if self._benchmark.stats is not None:
            times = self._benchmark.stats.stats.data
            self._record(case, times, baselines[-len(times) :], baseline, units, target)
        return result

    def _record(
        self,
        case: str,
        times: list[float],
        baselines: list[float],
        baseline: Baseline,
        units: Sequence[Unit],
        target: Target | None,
    ) -> None:
        self._benchmark.extra_info.update(
            case=case,
            figures={unit.name: unit.of(times) for unit in units},
            baseline={"name": baseline.name, baseline.unit.name: baseline.unit.of(baselines)},
            ratio=quartiles(baseline.parts * np.asarray(baselines) / np.asarray(times)),
            target=target and asdict(target),
        )

    def seconds(self, run: Run) -> float:
        start = self.timer()
        run()
        return self.timer() - start

    def note(self, **info: object) -> None:
        """Store more about this benchmark."""
        self._benchmark.extra_info.update(info)
