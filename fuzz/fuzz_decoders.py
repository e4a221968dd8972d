"""Fuzzes every decoder, or those named: `python -m fuzz.fuzz_decoders [--runs N] [--seconds S] [decoder ...]`.

libFuzzer mutates the committed corpus towards new branches of secagg's Python; what it finds on the way is kept only
while it runs. It ends at the first input that breaks a decoder's invariant, and prints that input in base64 and the
traceback; the input is also left as a file in the current directory. See `fuzz.decoders` for the invariants.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from .decoders import DECODERS

LIMITS = ("-max_len=1024", "-timeout=10", "-rss_limit_mb=1024")


def fuzz(name: str, runs: int, seconds: int) -> str:
    """libFuzzer's last line; SystemExit if a decoder fails. It ends its process without cleaning up, so each decoder
    has a process, and that one a folder."""
    with tempfile.TemporaryDirectory() as folder:
        options = (*LIMITS, f"-runs={runs}", f"-max_total_time={seconds}", folder)
        result = subprocess.run(
            [sys.executable, "-m", "fuzz.libfuzzer", name, *options],
            env={**os.environ, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}\n{name}: failed")
    return result.stderr.splitlines()[-1]


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
    names = list(arguments.decoders or DECODERS)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        said = pool.map(lambda name: fuzz(name, arguments.runs, arguments.seconds), names)
        try:
            for name, line in zip(names, said, strict=True):
                print(f"{name}: {line}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)  # of those that follow one that failed


if __name__ == "__main__":
    main()
