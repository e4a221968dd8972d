"""The C API of `secagg.h`, opened with cffi from the compiled module: no compiler and no second library needed.

`ffi` and `lib` are cffi's usual pair: `ffi` makes and casts buffers, and `lib` has the functions and constants that the
header declares and explains. C checks little and trusts pointers, so the caller must pass right lengths. A function
returns 0, or -1 for a bad argument.

    >>> import numpy as np
    >>> from secagg.capi import ffi, lib
    >>> acc = np.zeros(4, np.uint32)
    >>> seed, nonce = bytes(lib.SECAGG_SEED_BYTES), bytes(lib.SECAGG_NONCE_BYTES)
    >>> lib.secagg_mask_sum_u32(ffi.from_buffer("uint32_t[]", acc), len(acc), seed, [1], 1, 1 << 24, nonce, 0)
    0
    >>> [f"{word:06x}" for word in acc]
    ['4be966', '8aefd4', '883b2c', '59fa4c']
"""

import re
from pathlib import Path
from typing import Any

from cffi import FFI

from secagg import _kernels, get_include

__all__ = ["ffi", "lib"]


def _declarations(header: str) -> str:
    """The header's declarations and numeric constants, as cffi's parser takes them."""
    plain_c = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", header, flags=re.DOTALL)
    return re.sub(r"^#(?!define \w+ \d+$).*$", "", plain_c, flags=re.MULTILINE)


ffi: Any = FFI()
ffi.cdef(_declarations(Path(get_include(), "secagg.h").read_text()))
lib: Any = ffi.dlopen(_kernels.__file__)
