"""What figures were measured on."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

FLAGS = ("aes", "avx2", "vaes", "avx512f", "avx512ifma", "adx", "bmi2", "sha_ni")
LIBRARIES = ("numpy", "cryptography", "galois", "pycryptodome", "pytest-benchmark")


def cpu() -> tuple[str, str]:
    """Model and, of `FLAGS`, those it has."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    flags = re.search(r"^flags\s*: (.*)$", text, re.M)
    present = set(flags[1].split()) if flags else set()
    return model[1] if model else platform.processor(), " ".join(flag for flag in FLAGS if flag in present)


def compiler() -> str:
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


def versions(libraries: Sequence[str]) -> str:
    return ", ".join(f"{library} {importlib.metadata.version(library)}" for library in libraries)


def machine_lines(
    timer: str, load: float | None, libraries: Sequence[str], after: float | None = None
) -> Iterator[str]:
    """A section of Markdown.

    Args:
        timer: the clock.
        load: the load average when the run began; None if nobody looked.
        libraries: whose versions matter.
        after: the load average when it ended, of which the run itself is 1; None if nobody looked.
    """
    model, flags = cpu()
    yield "## Machine\n"
    yield f"- {model}, {os.cpu_count()} cores; {flags}"
    yield f"- {platform.system()}, {compiler()}; Python {platform.python_version()}"
    yield f"- {versions(libraries)}, {backend.openssl_version_text()}"
    began = "" if load is None else f"; load average when the run began: {load:.1f}"
    ended = "" if after is None else f", and when it ended, the run itself included: {after:.1f}"
    yield f"- clock: `{timer}`{began}{ended}\n"
