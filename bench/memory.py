"""Peak memory, in minutes: `python -m bench.memory session`, `python -m bench.memory server`.

    session   clients and server in one process, clients one after another
    server    the server alone, with dropouts, its removal of masks on all CPUs; another process makes the messages, one
              at a time as the server takes them

A process of its own, because the peak of a process never sinks.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import numpy as np

from secagg import Params, Server, rounds_of, simulate
from secagg.protocol.simulate import expected_sum

from .script import Users, random_input


def session(params: Params, dropped: range) -> None:
    """Simulate it; an input exists only while its client needs it."""

    def inputs(u: int) -> Any:
        return random_input(params, u)

    result = simulate(params, inputs, drops={rounds_of(params)[2]: dropped})
    check(result.sum, expected_sum(params, inputs, result.survivors))


def server(params: Params, dropped: range) -> None:
    """Play the server against clients in another process."""
    here, there = get_context("spawn").Pipe(duplex=False)
    clients = get_context("spawn").Process(target=send_everything, args=(there, params, dropped))
    clients.start()
    there.close()  # or `recv` would wait for ever if the clients fail
    machine = Server(params)
    while machine.round is not None:
        while (message := here.recv()) is not None:
            machine.receive(*message)
        machine.end_round()
    check(machine.sum, here.recv())
    clients.join()


def send_everything(pipe: Connection, params: Params, dropped: range) -> None:
    """All users' messages, each with its sender; None after each round; and the sum that must come out."""
    users = Users(params, dropped)
    for current in rounds_of(params):
        for u in users.answering(current):
            pipe.send((u, users.answer(current, u)))
        pipe.send(None)
    pipe.send(users.sum)


def check(total: Any, expected: Any) -> None:
    if not np.array_equal(total, expected):
        raise SystemExit("the sum is wrong")


@dataclass(frozen=True)
class Case:
    """What is measured, at which size if nothing else is asked for, and what it may take."""

    run: Callable[[Params, range], None]
    clients: int
    dropped: int
    length: int
    bits: int
    limit_mb: int


CASES = {
    "session": Case(session, 500, 0, 1_000_000, 32, 600),
    "server": Case(server, 1000, 300, 1_000_000, 24, 1000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    for option in ("clients", "dropped", "length"):
        parser.add_argument(f"--{option}", type=int)
    options = parser.parse_args()
    case = CASES[options.case]
    clients, dropped, length = (
        getattr(case, name) if getattr(options, name) is None else getattr(options, name)
        for name in ("clients", "dropped", "length")
    )
    start = perf_counter()
    case.run(Params(n=clients, m=length, modulus=1 << case.bits), range(1, dropped + 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # KiB on Linux
    what = f"{options.case}, {clients} clients, {dropped} dropped, {length:,} entries of {case.bits} bits"
    print(json.dumps({"case": what, "mb": peak, "limit_mb": case.limit_mb, "s": perf_counter() - start}))


def measure(*options: str) -> dict[str, Any]:
    """`main` in a fresh process."""
    command = [sys.executable, "-m", "bench.memory", *options]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


if __name__ == "__main__":
    main()
