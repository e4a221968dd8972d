"""The hardware's limit: AES-128 counter mode with nothing else to do, by a C function compiled for the occasion."""

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from .paired import Baseline, gb_per_second

STATES = 12
REGISTER_BYTES = {"aesni": 16, "vaes": 32, "vaes512": 64}


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bare_aes.so"
        source = Path(__file__).parent / "bare_aes.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))


def bare_aes(isa: str, size: int, parts: float = 1) -> Baseline:
    """About `size` bytes of keystream, made in the registers of an instruction set and stored nowhere."""
    group = STATES * REGISTER_BYTES[isa]
    groups, out = max(1, size // group), np.empty(64, np.uint8)
    function = _library()[isa]
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    function.restype = None
    made = groups * group
    return Baseline(
        f"bare AES, {isa}", lambda: function(out.ctypes.data, groups), gb_per_second(made), parts * size / made
    )
