"""Fuzzes every decoder, or those named: `python -m fuzz.fuzz_decoders [--runs N] [--seconds S] [decoder ...]`.

libFuzzer mutates the committed corpus towards new branches of secagg's Python; what it finds on the way is kept only
while it runs. It ends at the first input that breaks a decoder's invariant, and prints that input in base64 and the
traceback; the input is also left as a file in the current directory. See `fuzz.decoders` for the invariants.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from . import libfuzzer  # before anything else imports secagg
from .decoders import DECODERS


def fuzz(names: Sequence[str], jobs: int, *options: str) -> None:
    """Fuzz so many decoders at a time, and print libFuzzer's last line for each; SystemExit if one fails."""
    waiting = list(reversed(names))
    running: dict[str, ForkProcess] = {}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    name = waiting.pop()
                    folder = Path(scratch, name)
                    folder.mkdir()
                    running[name] = libfuzzer.start(name, folder, *options)
                wait([process.sentinel for process in running.values()])
                for name in [name for name, process in running.items() if not process.is_alive()]:
                    said = Path(scratch, name, "output").read_text(errors="replace")
                    if running.pop(name).exitcode:
                        sys.exit(f"{said}\n{name}: failed")
                    print(f"{name}: {said.splitlines()[-1]}", flush=True)
        finally:
            for process in running.values():
                process.kill()
                process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decoders", nargs="*", metavar="decoder", help=", ".join(DECODERS))
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs for each decoder")
    parser.add_argument("--seconds", type=int, default=0, help="end each decoder's run after this time")
    parser.add_argument("--jobs", type=int, default=1, help="decoders that are fuzzed at a time")
    arguments = parser.parse_args()
    unknown = set(arguments.decoders) - set(DECODERS)
    if unknown:
        parser.error(f"no such decoder: {', '.join(sorted(unknown))}")
    limits = f"-runs={arguments.runs}", f"-max_total_time={arguments.seconds}"
    fuzz(list(arguments.decoders or DECODERS), arguments.jobs, *limits)


if __name__ == "__main__":
    main()
