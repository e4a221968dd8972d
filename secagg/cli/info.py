"""`secagg info`: the versions of this installation, and the machine that it runs on."""

import os
import platform
from pathlib import Path
from typing import Any

import cryptography
import numpy as np
from cryptography.hazmat.backends.openssl import backend

from .. import __version__, _kernels, get_include, get_library
from ..primitives import LIVE as P256
from ..protocol.executors import usable_cpus
from ..x25519 import LIVE as X25519
from .console import show_json, show_pairs
from .options import JsonOption


def info(json: JsonOption = False) -> None:
    """Show the version, the newest instruction set in use, and what the package runs on.

    SECAGG_ISA in the environment is the newest instruction set that anything may use. SECAGG_AGREEMENT=openssl leaves
    agreement with live keys to OpenSSL.

    \b
    Examples:
      secagg info
      SECAGG_ISA=aesni secagg info --json
      SECAGG_AGREEMENT=openssl secagg info
    """
    facts = collect()
    if json:
        show_json(facts)
    else:
        show_pairs((name.replace("_", " "), _text(value)) for name, value in facts.items())


def collect() -> dict[str, Any]:
    """Everything that `secagg info` prints, by name."""
    return {
        "secagg": __version__,
        "c_api": _kernels.API_VERSION,
        "compiler": _kernels.COMPILER,
        "compiler_flags": _kernels.FLAGS,
        "instruction_set": _kernels.isa(),
        "chosen_by": "SECAGG_ISA" if os.environ.get("SECAGG_ISA") else "CPU features",
        "built_in": list(_kernels.isa_built()),
        "available": list(_kernels.isa_available()),
        "kernels": {subject: _kernels.isa_of(subject) for subject in _kernels.SUBJECTS},
        "live_keys": {kernel.curve: f"by {kernel}" for kernel in (P256, X25519)},
        "self_test": _self_test(),
        "cpu": cpu_model(),
        "threads": usable_cpus(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "include": get_include(),
        "library": get_library(),
    }


def cpu_model() -> str:
    """The processor's name, from Linux or else from Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _self_test() -> str:
    try:
        _kernels.selftest()
    except RuntimeError as error:
        return f"failed: {error}"
    return "passed"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name} {choice}" for name, choice in value.items()]
    return ", ".join(value) if isinstance(value, list) else str(value)
