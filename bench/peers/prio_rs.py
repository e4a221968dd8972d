"""The published Rust crate `prio`, built by cargo on first use and called in this process."""

import shutil
import subprocess
from ctypes import CDLL, c_char_p, c_size_t, c_uint32
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE / "prio_rs" / "Cargo.toml"
TARGET = HERE.parents[1] / "build" / "prio_rs"


class PrioUnavailable(Exception):
    """No cargo, or no registry that it could fetch the crate from."""


class PrioRs:
    """Steps of Prio3 in Rust; see prio_rs/src/lib.rs for their names."""

    def __init__(self) -> None:
        """Raises PrioUnavailable."""
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
            raise PrioUnavailable(f"cargo cannot build the crate: {built.stderr.strip()}")
        (library,) = (path for path in (TARGET / "release").glob("*prio_rs.*") if path.suffix in (".so", ".dylib"))
        self._do = CDLL(str(library)).prio_do
        self._do.argtypes = [c_uint32, c_char_p, c_size_t, c_size_t, c_char_p, c_size_t]
        self._do.restype = None

    def do(self, draft: int, circuit: str, length: int, chunk_length: int, step: str, reports: int) -> None:
        self._do(draft, circuit.encode(), length, chunk_length, step.encode(), reports)
