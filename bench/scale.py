"""What a cluster needs for large sessions, from rates measured here: `python -m bench.scale` prints SCALE.md's tables.

Rates are of one core, best of several runs in its own CPU time, so that neighbours count little.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from secagg import Params, vector
from secagg.primitives import KeyPair
from secagg.protocol import unmask
from secagg.protocol.executors import completed
from secagg.protocol.messages import CIPHERTEXT_BYTES
from secagg.protocol.unmask import Agreement, Expansion, Masks, agreed_masks, block_size, coordinate_ranges, expand

from .script import replayable
from .tables import number, table

MINUTES = (2, 10, 60)
GBIT = (10, 100)


@dataclass(frozen=True)
class Rates:
    """Of one core.

    Attributes:
        keystream: bytes a second of masks expanded and added up.
        absorbed: bytes a second of packed vectors that the server checks and adds.
        seed: seconds for a seed, agreement and derivation.
        task: seconds of Dask's client and scheduler for a task.
    """

    keystream: float
    absorbed: float
    seed: float
    task: float


def best(run: Callable[[], object], rounds: int = 5) -> float:
    """Seconds."""
    times = []
    for _ in range(rounds):
        start = process_time()
        run()
        times.append(process_time() - start)
    return min(times)


def measure(params: Params, dropped: int) -> Rates:
    """With tasks as a session of this size has them, but fewer seeds, which takes no less for each."""
    rand = replayable(0)
    part, k = coordinate_ranges(params.m)[0], 1 << 13
    masks = Masks(np.frombuffer(rand(16 * k), np.uint8).reshape(k, 16), np.ones(k, np.int8))
    expansion = Expansion(masks, params.modulus, bytes(12), 0, len(part))
    packed = vector.pack(np.zeros(params.m, params.dtype), params.modulus)
    acc = np.zeros(params.m, params.dtype)
    vs, us = np.arange(dropped, dtype=np.uint32), np.arange(unmask.POINTS, dtype=np.uint32)
    pairs = [KeyPair.generate(rand) for _ in range(dropped + unmask.POINTS)]
    secrets, publics = rows([pair.secret for pair in pairs[:dropped]]), rows([pair.public for pair in pairs[dropped:]])
    agreement = Agreement(vs, secrets, us, publics, bytes(32))

    def absorb() -> None:
        vector.packed_check(packed, params.m, params.modulus)
        vector.packed_add(acc, packed, params.modulus)

    return Rates(
        k * len(part) * params.bits / 8 / best(lambda: expand(expansion)),
        len(packed) / best(absorb),
        best(lambda: agreed_masks(agreement)) / (len(us) * dropped),
        dask_task(expansion),
    )


def rows(items: list[bytes]) -> Any:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def zeros(call: Expansion) -> Any:
    """What `expand` takes and returns, without its work."""
    return np.zeros(call.n, vector.dtype(call.modulus))


def dask_task(call: Expansion, tasks: int = 200) -> float:
    """Client and scheduler are both in this process; the worker is not."""
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        executor = client.get_executor(pure=False)
        return best(lambda: list(completed(executor, zeros, [call] * tasks, unmask.WINDOW)), rounds=3) / tasks


def rates_table(rates: Rates) -> Iterator[str]:
    rows = (
        ("masks expanded and added up", f"{rates.keystream / 1e9:.1f} GB/s of keystream"),
        ("masked vectors checked and added to the sum", f"{rates.absorbed / 1e9:.1f} GB/s"),
        ("a seed: agreement and HKDF", f"{rates.seed * 1e6:.2f} us"),
        ("a task: Dask's client and scheduler together", f"{rates.task * 1e3:.1f} ms"),
    )
    return table(("one core", "measured"), rows)


def needs(params: Params, dropped: int, rates: Rates) -> Iterator[tuple[str, str]]:
    """The lines of a column."""
    survivors = params.n - dropped
    seeds = survivors * (dropped + 1)
    ranges = coordinate_ranges(params.m)
    block = block_size(seeds, ranges)
    tasks = math.ceil(seeds / block) * len(ranges)
    keystream = seeds * params.m * params.bits / 8
    core_seconds = keystream / rates.keystream + survivors * dropped * rates.seed
    out = 17 * seeds * len(ranges) + survivors / unmask.POINTS * dropped * (36 + unmask.POINTS)
    back = tasks * len(ranges[0]) * params.dtype.itemsize + 17 * survivors * dropped
    held = 32 * params.n**2 + params.m * params.dtype.itemsize
    ingress = survivors * params.packed_size
    yield "seeds", f"{seeds:,}"
    yield "keystream", f"{keystream / 1e12:,.1f} TB"
    yield "core seconds for seeds", number(survivors * dropped * rates.seed)
    yield "core seconds for masks", number(keystream / rates.keystream)
    for minutes in MINUTES:
        yield f"cores for {minutes} minutes", f"{math.ceil(core_seconds / 60 / minutes):,}"
    yield "tasks", f"{tasks:,}, {keystream / rates.keystream / tasks:.1f} s each"
    yield "Dask's own seconds", number(tasks * rates.task)
    yield "bytes to workers, and back", f"{out / 1e9:.1f} GB, {back / 1e9:.1f} GB"
    yield "masked vectors that come in", f"{ingress / 1e9:,.0f} GB"
    yield "one core to add them", f"{ingress / rates.absorbed:,.0f} s"
    for gbit in GBIT:
        seconds = ingress / (gbit * 1e9 / 8)
        yield f"at {gbit} Gbit/s they take", f"{seconds:,.0f} s"
        yield "... as long as the rest on", f"{core_seconds / seconds:,.0f} cores"
    yield "server's memory: shares and sums", f"{(held + params.m * params.dtype.itemsize) / 1e9:.1f} GB"
    yield "... with tasks under way, at most", f"{2 * held / 1e9:.1f} GB"
    yield "... in ShareKeys, requests included", f"{2 * CIPHERTEXT_BYTES * params.n**2 / 1e9:.1f} GB"


def main() -> None:
    params = Params(n=10_000, m=10_000_000, modulus=1 << 24)
    rates = measure(params, 1000)
    shares = (10, 30)
    columns = [list(needs(params, params.n * share // 100, rates)) for share in shares]
    lines = [(row[0][0], *(cell for _, cell in row)) for row in zip(*columns, strict=True)]
    print("\n".join(rates_table(rates)))
    print("\n".join(table(("dropouts", *(f"{share} %" for share in shares)), lines)))


if __name__ == "__main__":
    main()
