"""Peak memory of a session in one process, clients one after another: `python -m bench.memory`, two minutes or more.

A process of its own, because the peak of a process never sinks.
"""

import argparse
import json
import resource
import subprocess
import sys
from time import perf_counter
from typing import Any

import numpy as np

from secagg import Params, simulate

from .script import random_input

LIMIT_MB = 600


def session(n: int, m: int) -> None:
    """Simulate n clients with m entries of 32 bits each; the input exists only while its client needs it."""
    params = Params(n=n, m=m, modulus=1 << 32)
    result = simulate(params, lambda u: random_input(params, u))
    total = np.zeros(m, params.dtype)
    for u in result.survivors:
        total += random_input(params, u)
    if not np.array_equal(result.sum, total):
        raise SystemExit("the sum is wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--length", type=int, default=1_000_000)
    options = parser.parse_args()
    start = perf_counter()
    session(options.clients, options.length)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # KiB on Linux
    print(json.dumps({"clients": options.clients, "length": options.length, "mb": peak, "s": perf_counter() - start}))


def measure(*options: str) -> dict[str, Any]:
    """`main` in a fresh process."""
    command = [sys.executable, "-m", "bench.memory", *options]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


if __name__ == "__main__":
    main()
