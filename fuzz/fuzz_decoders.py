"""Fuzzes every decoder, or those named: `python -m fuzz.fuzz_decoders [--runs N] [--seconds S] [decoder ...]`.

libFuzzer mutates the committed corpus towards new branches of secagg's Python; what it finds on the way is kept only
while it runs. It ends at the first input that breaks a decoder's invariant, with that input in base64, a file of it in
the current directory, and the traceback. See `fuzz.decoders` for the invariants.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["secagg"]):
    from .decoders import CORPUS, DECODERS

LIMITS = ("-max_len=1024", "-timeout=10", "-rss_limit_mb=1024")


def fuzz(name: str, options: list[str]) -> None:
    """Fuzzes one decoder in this process, and ends it."""
    check = DECODERS[name]
    atheris.Setup([name, *LIMITS, *options, str(CORPUS / name)], lambda data: check(data) and None)
    atheris.Fuzz()


def fuzz_in_subprocess(name: str, options: list[str]) -> None:
    """libFuzzer ends its process without cleaning up, so each decoder has a process, and that one a folder."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*(f"--option={option}" for option in [*options, folder]), "--here", name]
        result = subprocess.run(
            [sys.executable, "-m", "fuzz.fuzz_decoders", *arguments],
            env={**os.environ, "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}\n{name}: the invariant is broken")
    executed = [line for line in result.stderr.splitlines() if line.startswith("Done ")]
    print(f"{name}: {executed[-1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decoders", nargs="*", metavar="decoder", help=", ".join(DECODERS))
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs for each decoder")
    parser.add_argument("--seconds", type=int, default=0, help="end each decoder's run after this time")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--option", action="append", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.decoders) - set(DECODERS)
    if unknown:
        parser.error(f"no such decoder: {', '.join(sorted(unknown))}")
    if arguments.here:
        fuzz(arguments.decoders[0], arguments.option)
    for name in arguments.decoders or DECODERS:
        fuzz_in_subprocess(name, [f"-runs={arguments.runs}", f"-max_total_time={arguments.seconds}"])


if __name__ == "__main__":
    main()
