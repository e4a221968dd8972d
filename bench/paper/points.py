"""What the paper's figures are made of: which points there are, what was measured there, and how sure that is."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from secagg import Params, Round

Split = dict[Round, float]
"""Milliseconds of each round of one session."""

ROUNDS = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING)
"""The semi-honest model's: all that the paper measures."""

MODULUS = 1 << 24


class Point(NamedTuple):
    """One party's session: `role` is "client" or "server", `dropouts` a percentage of the n users."""

    role: str
    n: int
    m: int
    dropouts: int

    @property
    def dropped(self) -> list[int]:
        """Users spread over 1..n."""
        count = self.n * self.dropouts // 100
        return [1 + i * self.n // count for i in range(count)]


# Fig. 8: CPU wall clock milliseconds of each round, and in all; m = 100,000 entries of 24 bits
PAPER_MS = {
    Point("client", 500, 100_000, 0): (1, 154, 694, 1, 849),
    Point("server", 500, 100_000, 0): (1, 26, 723, 1268, 2018),
    Point("server", 500, 100_000, 10): (1, 29, 623, 61586, 62239),
    Point("server", 500, 100_000, 30): (1, 28, 514, 142847, 143389),
    Point("client", 1000, 100_000, 0): (1, 336, 1357, 5, 1699),
    Point("server", 1000, 100_000, 0): (6, 148, 1481, 3253, 4887),
    Point("server", 1000, 100_000, 10): (6, 143, 1406, 179320, 180875),
    Point("server", 1000, 100_000, 30): (8, 143, 1169, 412446, 413767),
}


def paper_split(role: str) -> dict[str, int]:
    """The row of n = 1000 without dropouts, by round, and the total."""
    return dict(zip((*map(str, ROUNDS), "total"), PAPER_MS[Point(role, 1000, 100_000, 0)], strict=True))


class Traffic(NamedTuple):
    """Bytes of one client's messages in a session without dropouts."""

    sent: int
    received: int


class Mean(NamedTuple):
    """Of a sample, with half the width of its 95 % confidence interval; not a number for a sample of one."""

    value: float
    half: float


@dataclass(frozen=True)
class Plan:
    """Along n at `m` entries, and along m at `n` users, each for all `dropouts`; how often each point is measured.

    Attributes:
        counts, lengths: the values of n and of m.
        traffic_counts, traffic_lengths: the lines of Fig. 6d and of Fig. 6c.
        table_counts: the n of Fig. 8.
    """

    counts: tuple[int, ...]
    lengths: tuple[int, ...]
    traffic_counts: tuple[int, ...]
    traffic_lengths: tuple[int, ...]
    table_counts: tuple[int, ...]
    iterations: int
    n: int = 500
    m: int = 100_000
    dropouts: tuple[int, ...] = (0, 10, 30)

    def along_n(self, role: str) -> list[Point]:
        return [Point(role, n, self.m, dropouts) for n in self.counts for dropouts in self.dropouts]

    def along_m(self, role: str) -> list[Point]:
        return [Point(role, self.n, m, dropouts) for m in self.lengths for dropouts in self.dropouts]

    @property
    def table(self) -> list[Point]:
        """The rows of Fig. 8, in its order."""
        clients = {n: Point("client", n, self.m, 0) for n in self.table_counts}
        servers = [Point("server", n, self.m, dropouts) for n in self.table_counts for dropouts in self.dropouts]
        return [point for n in self.table_counts for point in (clients[n], *(s for s in servers if s.n == n))]

    @property
    def traffic(self) -> list[tuple[int, int]]:
        """(n, m) of Fig. 6c and 6d."""
        along_n = {(n, m) for n in self.counts for m in self.traffic_lengths}
        return sorted(along_n | {(n, m) for n in self.traffic_counts for m in self.lengths})


FULL = Plan(
    counts=tuple(range(100, 1001, 100)),
    lengths=tuple(range(100_000, 1_000_001, 100_000)),
    traffic_counts=(100, 500, 1000),
    traffic_lengths=(100_000, 500_000, 1_000_000),
    table_counts=(500, 1000),
    iterations=10,
)
QUICK = Plan(
    counts=(100, 200, 500),
    lengths=(100_000, 200_000, 400_000),
    traffic_counts=(100, 500),
    traffic_lengths=(100_000, 400_000),
    table_counts=(500,),
    iterations=3,
)


def params_of(n: int, m: int) -> Params:
    return Params(n=n, m=m, modulus=MODULUS)


def student(confidence: float, freedom: int) -> float:
    """The t that |T| stays below with this probability, by bisection (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _within(theta: float, freedom: int) -> float:
    """P(|T| < t) for theta = arctan(t / sqrt(freedom))."""
    odd = freedom % 2
    term, total = (math.cos(theta) if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= (k - 1) / k * math.cos(theta) ** 2
    return 2 / math.pi * (theta + math.sin(theta) * total) if odd else math.sin(theta) * total


def mean(values: Sequence[float]) -> Mean:
    """With the interval of Student's t."""
    k = len(values)
    half = student(0.95, k - 1) * float(np.std(values, ddof=1)) / math.sqrt(k) if k > 1 else math.nan
    return Mean(float(np.mean(values)), half)


def of_round(splits: Iterable[Split], current: Round | None) -> list[float]:
    """Milliseconds of one round in each session, or of all."""
    return [sum(split.values()) if current is None else split[current] for split in splits]


class Store:
    """Everything measured so far, in CSV files of a folder: `times.csv` has a line for each session, `traffic.csv` one
    for each (n, m), and `machine.txt` says where.
    """

    def __init__(self, folder: Path, machine: str) -> None:
        self.folder = folder
        self.machine = machine
        self.times: dict[Point, list[Split]] = {}
        self.traffic: dict[tuple[int, int], Traffic] = {}

    @classmethod
    def load(cls, folder: Path, machine: str) -> Self:
        """With what the folder holds already. Raises ValueError if that is another machine's, or other versions'."""
        store = cls(folder, machine)
        there = folder / "machine.txt"
        if there.exists() and there.read_text() != machine:
            raise ValueError(f"{folder} was measured elsewhere:\n{there.read_text()}and not with\n{machine}")
        for row in read_csv(folder / "times.csv"):
            point = Point(row["role"], int(row["n"]), int(row["m"]), int(row["dropouts"]))
            store.times.setdefault(point, []).append({current: float(row[str(current)]) for current in ROUNDS})
        for row in read_csv(folder / "traffic.csv"):
            store.traffic[int(row["n"]), int(row["m"])] = Traffic(int(row["sent"]), int(row["received"]))
        return store

    def mean(self, point: Point, current: Round | None = None) -> Mean:
        """Milliseconds of a round, or of the whole session."""
        return mean(of_round(self.times[point], current))

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "machine.txt").write_text(self.machine)
        lines = [
            (*point, iteration, *(f"{split[current]:.4f}" for current in ROUNDS))
            for point, splits in sorted(self.times.items())
            for iteration, split in enumerate(splits, 1)
        ]
        write_csv(self.folder / "times.csv", (*Point._fields, "iteration", *map(str, ROUNDS)), lines)
        traffic = [(*key, *value) for key, value in sorted(self.traffic.items())]
        write_csv(self.folder / "traffic.csv", ("n", "m", *Traffic._fields), traffic)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Nothing, if there is no such file."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """All of it or nothing, whatever interrupts."""
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    partial.replace(path)
