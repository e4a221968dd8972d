"""The published Rust crate `prio`, built by cargo on first use, as a process that does what it is told."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE / "prio_rs" / "Cargo.toml"
TARGET = HERE.parent / "build" / "prio_rs"


class PrioUnavailable(Exception):
    """No cargo, or no registry that it could fetch the crate from."""


class PrioRs:
    """Runs steps of Prio3 in Rust; see prio_rs/src/main.rs for their names."""

    def __init__(self) -> None:
        if shutil.which("cargo") is None:
            raise PrioUnavailable("needs cargo")
        build = [
            "cargo",
            "build",
            "--release",
            "--locked",
            "-q",
            f"--manifest-path={PROJECT}",
            f"--target-dir={TARGET}",
        ]
        built = subprocess.run(build, capture_output=True, text=True)
        if built.returncode:
            raise PrioUnavailable(f"cargo cannot build the crate: {built.stderr.strip().splitlines()[0]}")
        program = TARGET / "release" / "prio_rs"
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, draft: int, circuit: str, length: int, chunk_length: int, step: str, reports: int) -> None:
        """Returns when the step is done for so many reports."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(draft, circuit, length, chunk_length, step, reports, file=self._process.stdin, flush=True)
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError("prio_rs has stopped")

    def close(self) -> None:
        self._process.communicate()
