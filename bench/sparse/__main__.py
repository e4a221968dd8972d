"""What a session costs over a sparse graph in CPU time, one user in twenty corrupt and one in twenty gone.

    python -m bench.sparse server     the server of n = 100,000 in the semi-honest model, m = 1,000, in some minutes
    python -m bench.sparse client     one client of it
    python -m bench.sparse plot       all points of results/figures/sparse.svg, half an hour; those that are there stay
    python -m bench.sparse draw       the plot of what is there, and its numbers as Markdown

The others' messages are true ones but for ciphertexts and the masks among survivors, which no server can tell. A server
sits in a process of its own: its peak of memory is beside the seconds, and beyond 1 GB the exit code is 1.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict

from ..compare import this_machine
from . import figures, points
from .parties import PARTIES
from .points import Measured, Session

MEGABYTES, SECONDS = 1000, 30
"""What the server of n = 100,000 may take."""


def one(role: str, session: Session) -> None:
    """Measure one point here, and print it."""
    point = PARTIES[role](session)
    print(json.dumps(asdict(point)))
    if role == "server":
        print(f"{point.total:.1f} s (at most {SECONDS}), {point.megabytes:.0f} MB ({MEGABYTES})", file=sys.stderr)
        if point.megabytes > MEGABYTES:
            raise SystemExit(1)


def in_a_fresh_process(role: str, session: Session) -> Measured:
    """The same in a process of its own."""
    options = ("--graph", session.graph, "--model", session.model, "--clients", str(session.n))
    command = [sys.executable, "-m", "bench.sparse", role, *options, "--length", str(session.m)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return points.measured(json.loads(done.stdout))


def plot() -> None:
    """Measure what is missing of the plot, and save each point as soon as it is there."""
    machine, there = points.read() if points.FILE.exists() else (this_machine("time.process_time"), [])
    known = {(point.role, point.session) for point in there}
    for role, session in points.planned():
        if (role, session) not in known:
            there.append(in_a_fresh_process(role, session))
            points.write(machine, there)
    draw()


def draw() -> None:
    """The plot and its numbers."""
    _, there = points.read()
    figures.draw(there)
    print("\n".join(figures.tables(there)))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*PARTIES, "plot", "draw"))
    parser.add_argument("--graph", choices=("sparse", "complete"), default="sparse")
    parser.add_argument("--model", choices=points.MODELS, default="semi-honest")
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=points.M)
    options = parser.parse_args()
    if options.what in PARTIES:
        one(options.what, Session(options.graph, options.model, options.clients, options.length))
    else:
        {"plot": plot, "draw": draw}[options.what]()


if __name__ == "__main__":
    main()
