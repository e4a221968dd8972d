"""One round in Flower, plain, by ours, and by Flower's SecAgg+: `python -m bench.peers.federated`.

Bytes of each node, CPU time of a node and of the server, the error of the mean, and, apart from all that, what Flower
takes to start a process for a message. Needs the extra `peers`. SecAgg+ with 100 nodes takes many minutes.
"""

import argparse
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from ...machine import machine_lines
from ...tables import number, table
from .ways import flowers, ours, plain
from .work import Setting

WAYS: dict[str, Callable[[Setting], Any]] = {
    "plain FedAvg": plain,
    "secagg": ours,
    "secagg, active model": lambda setting: ours(setting, active=True),
    "Flower's SecAgg+": flowers,
}
FULL = {
    "10 nodes, 1,000,000 parameters": Setting(10, 1_000_000, epochs=10),
    "30 nodes, 100,000 parameters, 3 dropped": Setting(30, 100_000, dropped=3, epochs=10),
    "100 nodes, 100,000 parameters, 10 dropped": Setting(100, 100_000, dropped=10, epochs=10),
}
QUICK = {"5 nodes, 10,000 parameters, 1 dropped": Setting(5, 10_000, dropped=1)}
PROCESSES = 5  # that are started, for the median
FLOWER = "import flwr.supernode.cli.flwr_clientapp, flwr.clientapp, numpy; "
SECAGG = "from secagg.integrations.flower import secagg_mod"


@dataclass(frozen=True)
class Row:
    """What one way took, in bytes and seconds; of a node, the median of those that stayed."""

    up: float
    down: float
    client: float
    server: float
    wall: float
    messages: int
    error: float
    bound: float


def measured(way: Callable[[Setting], Any], setting: Setting) -> Row:
    begin, wall = time.process_time(), time.perf_counter()
    arrays, grid = way(setting)
    taken, wall = time.process_time() - begin, time.perf_counter() - wall
    costs = [grid.nodes[i + 1].cost for i in range(setting.dropped, setting.n)]
    wanted = setting.mean([*range(setting.dropped, setting.n)])
    return Row(
        median(cost.up for cost in costs),
        median(cost.down for cost in costs),
        median(cost.seconds for cost in costs),
        taken - grid.client_seconds,
        wall,
        max(cost.messages for cost in costs),
        max(float(np.abs(a - b).max()) for a, b in zip(arrays, wanted, strict=True)),
        grid.bound,
    )


def lines(setting: Setting, rows: dict[str, Row], training: float) -> Iterator[str]:
    base = rows["plain FedAvg"]
    yield from table(
        ("way", "up, bytes", "down, bytes", "to plain", "CPU of a node, ms", "beyond plain, ms", "of the server, s",
         "beyond plain, s", "wall, s", "messages", "largest error"),
        (
            (
                name,
                f"{row.up:,.0f}",
                f"{row.down:,.0f}",
                f"{(row.up + row.down) / (base.up + base.down):.3f}",
                number(1e3 * row.client),
                number(1e3 * (row.client - base.client)) if row is not base else "",
                number(row.server),
                number(row.server - base.server) if row is not base else "",
                number(row.wall),
                str(row.messages),
                f"{row.error:.2e}",
            )
            for name, row in rows.items()
        ),
    )  # fmt: skip
    yield f"- Training alone takes {1e3 * training:.0f} ms of a node's CPU time."
    yield f"- The quantizer's bound on secagg's error is {max(row.bound for row in rows.values()):.2e}."
    allowed = 0.05 * base.client + 1e-3 * (setting.n - 1)
    yield f"- Goals: 1.10 times plain's bytes; {1e3 * allowed:.0f} ms of a node and 1 s of the server beyond plain.\n"


def process_seconds(imports: str) -> float:
    """CPU time of a process that imports what a ClientApp's does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", imports], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def training_seconds(setting: Setting) -> float:
    setting.train(0, setting.model)
    begin = time.process_time()
    setting.train(0, setting.model)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small round: seconds, to see that it works")
    parser.add_argument("--only", choices=[*FULL, *QUICK], help="one setting")
    parser.add_argument("--without", nargs="*", default=[], choices=[*WAYS], help="ways that are left out")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    load = os.getloadavg()[0]
    print("\n".join(machine_lines("time.process_time", load, ("numpy", "cryptography", "flwr"))), flush=True)
    alone, both = (median(process_seconds(imports) for _ in range(PROCESSES)) for imports in (FLOWER, FLOWER + SECAGG))
    print(f"- A process for a message: {alone:.2f} s of CPU time for Flower's imports, {both:.2f} s with secagg's.\n")
    chosen = QUICK if options.quick else FULL
    for name, setting in chosen.items() if options.only is None else [(options.only, (FULL | QUICK)[options.only])]:
        rows = {}
        for each, way in WAYS.items():
            if each not in options.without:
                rows[each] = measured(way, setting)
                print(f"{name}: {each}: {rows[each]}", file=sys.stderr, flush=True)
        print(f"## {name}\n", *lines(setting, rows, training_seconds(setting)), sep="\n", flush=True)
