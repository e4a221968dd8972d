"""The same work by Flower's SecAgg+ and by plain numpy + pycryptodome: `python -m bench.peers`, about three minutes.

Everything runs in this process, turn and turn about; times are medians, and "times as fast" is the median of the
turns' ratios, with its quartiles. Needs the extra `peers`, whose `flwr` holds typer and rich to older versions: give
it an environment of its own. On a machine that others use as well, `--timer time.process_time` counts this
process's own time alone.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pytest_benchmark.utils import load_timer
from rich.console import Console
from rich.progress import Progress

from ..machine import machine_lines
from ..paired import Timer, quartiles
from ..tables import number, spread, table
from .flower import VERSION, Flower
from .obvious import Obvious
from .ours import Ours
from .work import BITS, Setting, Work, seconds

FULL = Setting(n=100, m=100_000, dropped=10, masks=100)
QUICK = Setting(n=20, m=10_000, dropped=2, masks=10)
OURS, FLOWER, OBVIOUS = "secagg", f"Flower {VERSION}", "numpy + pycryptodome"

NOTES = (
    f"{FLOWER}: a mask is numpy's Mersenne twister, `RandomState`, seeded with 32 bits, the xor of the seed's words"
    " (28 bits for pairwise masks, whose seed is base64 text), of int64 below R - 1; Shamir is pycryptodome's over"
    " GF(2^128) in chunks of 16 bytes: 3 for b_u (32 bytes and padding), 20 for the secret key as PEM; the server"
    " combines all shares that came, not t of them, and computes Lagrange's coefficients anew for every chunk; keys"
    " are P-384, loaded from PEM for each use; shares travel under Fernet. Everyone is everyone's neighbour. The"
    " server's step is its `unmask_stage`, dequantization included, with replies handed over in memory, and spared the"
    " masks between two dropped users, which it would expand, too.",
    f"{OBVIOUS}: AES-128-CTR, 4 bytes of keystream an entry; Shamir as above in 2 chunks, from t shares; P-256 and"
    " HKDF-SHA256; AES-GCM for shares; bare functions, no messages and no checks.",
    f"{OURS}: the session of the paper's Fig. 4 over encoded messages, every check included: `Client` from everyone's"
    " keys to the masked vector, `Server` from the first share to the sum; semi-honest model, one thread.",
    "Both peers' shares lie on lines instead of polynomials of degree t - 1, where only reconstruction is timed: that"
    " costs the same, and the shares are made sooner. Every unmasked sum was compared with the true one.",
)


class Implementation(Protocol):
    """Everyone's answer to each case."""

    def mask(self) -> Work: ...
    def masks(self) -> Work: ...
    def share(self) -> Work: ...
    def reconstruct(self) -> Work: ...
    def agree(self) -> Work: ...
    def client(self) -> Work: ...
    def unmask(self) -> Work: ...


def cases(setting: Setting) -> dict[str, str]:
    """In the table's words, by the method's name."""
    n, t, m, survivors = setting.n, setting.params.t, setting.m, len(setting.survivors)
    return {
        "mask": f"one mask expanded, {m:,} entries of {BITS} bits",
        "masks": f"{setting.masks} such masks expanded and added",
        "share": f"32 bytes shared, n = {n}, t = {t}",
        "reconstruct": f"{survivors} secrets of 32 bytes reconstructed from {survivors} users' shares",
        "agree": f"{n - 1} pairwise seeds agreed on",
        "client": f"a client, ShareKeys and MaskedInputCollection, n = {n}",
        "unmask": f"the server's Unmasking, n = {n}, {setting.dropped} dropped",
    }


Times = dict[str, list[float]]
"""Seconds of each turn, by implementation."""


def measure(works: dict[str, Work], turns: int, budget: float, timer: Timer) -> Times:
    """All in turn, until there were so many turns or so many seconds are spent; one turn at least. What is done whole
    is done once before, to warm up."""
    times: Times = {name: [] for name in works}
    for work in works.values():
        if work.parts == 1:
            seconds(work, timer)
    begin = timer()
    while not times[OURS] or (len(times[OURS]) < turns and timer() - begin < budget):
        for name, work in works.items():
            times[name].append(seconds(work, timer))
    return times


def compared(case: str, works: dict[str, Work], times: Times) -> dict[str, Any]:
    """One line of the table, as JSON: milliseconds and ratios to ours, as quartiles."""
    ours = times[OURS]
    return {
        "case": case,
        "turns": len(ours),
        "ms": {name: quartiles([1e3 * second for second in taken]) for name, taken in times.items()},
        "fraction": {name: 1 / work.parts for name, work in works.items() if work.parts != 1},
        "ratio": {
            name: quartiles([second / own for second, own in zip(taken, ours, strict=True)])
            for name, taken in times.items()
            if name != OURS
        },
    }


def run(setting: Setting, turns: int, budget: float, timer: Timer) -> Iterator[dict[str, Any]]:
    """Every case, the quick ones first; shows on stderr how far it is."""
    words = cases(setting)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("making keys and sessions", total=len(words))
        everyone: dict[str, Implementation] = {OURS: Ours(setting), FLOWER: Flower(setting), OBVIOUS: Obvious(setting)}
        for method, case in words.items():
            progress.update(task, description=case)
            works: dict[str, Work] = {name: getattr(each, method)() for name, each in everyone.items()}
            yield compared(case, works, measure(works, turns, budget, timer))
            progress.advance(task)


def cell(record: dict[str, Any], name: str) -> str:
    """The median, and how much of the work was done for it."""
    fraction = record["fraction"].get(name)
    scaled = f" (1/{1 / fraction:.0f} of it, scaled)" if fraction else ""
    return number(record["ms"][name][1]) + scaled


def lines(records: Sequence[dict[str, Any]], timer: str, load: float) -> Iterator[str]:
    yield from machine_lines(timer, load, ("numpy", "cryptography", "flwr", "pycryptodome"))
    peers = (FLOWER, OBVIOUS)
    rows = (
        (
            record["case"],
            number(record["ms"][OURS][1]),
            *(text for name in peers for text in (cell(record, name), spread(record["ratio"][name]))),
            str(record["turns"]),
        )
        for record in records
    )
    columns = (text for name in peers for text in (f"{name}, ms", "times as fast"))
    yield from table(("what", f"{OURS}, ms", *columns, "turns"), rows)
    yield from (f"- {note}" for note in NOTES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small session, one turn: seconds, to see that it works")
    parser.add_argument("--turns", type=int, default=7, help="the most measurements of a case [7]")
    parser.add_argument("--budget", type=float, default=40, help="no new turn of a case after so many seconds [40]")
    parser.add_argument("--timer", default="time.perf_counter", help="clock of all times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    timer: Timer = load_timer(options.timer).target  # type: ignore[no-untyped-call]
    setting, turns = (QUICK, 1) if options.quick else (FULL, options.turns)
    records = list(run(setting, turns, options.budget, timer))
    if options.json:
        options.json.write_text(json.dumps({"timer": options.timer, "load": load, "cases": records}, indent=1) + "\n")
    print("\n".join(lines(records, options.timer, load)))
