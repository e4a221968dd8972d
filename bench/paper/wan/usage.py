"""CPU time of processes from moment to moment, so that what a round took can be told afterwards."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from secagg.cli.demo.usage import usage

PERIOD = 0.05  # seconds
OTHERS = "others"  # all that runs on the machine, without ours


class Samples:
    """What groups of processes had taken at each moment. Use `watched`.

    Args:
        groups: process ids by name.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = groups
        self._of_process: dict[int, float] = {}  # its last, also once it has ended
        self._times: list[float] = []
        self._spent: dict[str, list[float]] = {name: [] for name in (*groups, OTHERS)}
        self.peaks = dict.fromkeys(groups, 0)

    def take(self) -> None:
        """A sample of now."""
        for name, pids in self._groups.items():
            for found in filter(None, map(usage, pids)):
                self._of_process[found.pid] = found.cpu_seconds
                self.peaks[name] = max(self.peaks[name], found.peak_bytes)
            self._spent[name].append(sum(self._of_process.get(pid, 0.0) for pid in pids))
        self._times.append(time.time())
        self._spent[OTHERS].append(busy_seconds() - sum(self._of_process.values()))

    def spent(self, name: str, begin: float, end: float) -> float:
        """CPU seconds of a group between two moments, POSIX seconds."""
        before, after = np.interp([begin, end], self._times, self._spent[name])
        return float(after - before)


def busy_seconds() -> float:
    """CPU seconds that anybody has taken since the machine started, also those that another machine has taken away."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _, _, interrupts, soft, stolen = map(int, fields)
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watched(groups: Mapping[str, Sequence[int]]) -> Iterator[Samples]:
    """Samples for as long as the block lasts, and one at its end."""
    samples, over = Samples(groups), threading.Event()

    def watch() -> None:
        while not over.wait(PERIOD):
            samples.take()

    samples.take()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
        samples.take()
