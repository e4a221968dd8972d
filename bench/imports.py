"""What it costs to load the package: `python -m bench.imports`, in about a minute.

Each command is run in a fresh interpreter, turn and turn about with the one that it is compared with, and its CPU time
is taken, since that is what loading is and neighbours change it least.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .machine import machine_lines
from .tables import table


@dataclass(frozen=True)
class Load:
    """A command, what it is compared with, and how many milliseconds more it may take."""

    name: str
    arguments: tuple[str, ...]
    beside: str
    baseline: tuple[str, ...]
    bound: float


# What the help of a program costs that does nothing.
TYPER = """
import typer
app = typer.Typer(rich_markup_mode=None)
app.callback()(lambda: None)
app.command("nothing")(lambda: None)
app(["--help"])
"""

LOADS = (
    Load("import secagg", ("-c", "import secagg"), "a bare interpreter", ("-c", ""), 15),
    Load("import secagg.masking", ("-c", "import secagg.masking"), "import numpy", ("-c", "import numpy"), 10),
    *(
        Load(
            f"secagg {' '.join(options)}",
            ("-m", "secagg", *options),
            "an empty typer program",
            ("-c", TYPER),
            bound,
        )
        for options, bound in ((["--help"], 30), (["dap", "--help"], 60))
    ),
)


def cpu_milliseconds(arguments: Sequence[str]) -> float:
    """CPU time of a fresh interpreter with these arguments, children included."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return 1e3 * (usage.ru_utime + usage.ru_stime)


def measure(load: Load, runs: int) -> tuple[float, float, float]:
    """Medians of the command, of its baseline, and of their differences, in milliseconds."""
    pairs = [(cpu_milliseconds(load.arguments), cpu_milliseconds(load.baseline)) for _ in range(runs)]
    ours, theirs = zip(*pairs, strict=True)
    return median(ours), median(theirs), median(a - b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=31, help="of each command")
    options = parser.parse_args()
    rows = []
    for load in LOADS:
        ours, theirs, more = measure(load, options.runs)
        rows.append((load.name, f"{ours:.0f}", f"{load.beside}, {theirs:.0f}", f"{more:.0f}", f"{load.bound:.0f}"))
    print("\n".join(table(("command", "ms", "beside, ms", "more, ms", "at most"), rows)))
    print("\n".join(machine_lines("CPU time", os.getloadavg()[0], ("numpy", "typer"))))


if __name__ == "__main__":
    main()
