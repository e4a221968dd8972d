"""The C API through cffi computes what the Python boundary computes."""

import doctest

import numpy as np
import pytest

import secagg.capi
from secagg import _kernels
from secagg.capi import ffi, lib

MODULI = [2, 1 << 24, (1 << 24) - 3, 1 << 32, (1 << 32) + 15, 1 << 62, (1 << 64) - 59, 1 << 64]


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.usefixtures("isa")
def test_mask_sum_through_cffi_equals_kernels(modulus: int) -> None:
    bits = 32 if modulus <= 1 << 32 else 64
    rng = np.random.default_rng(0)
    start = rng.integers(0, modulus, 1000, dtype=f"uint{bits}")
    seeds, nonce = rng.integers(0, 256, (5, 16), np.uint8), rng.bytes(12)
    signs = np.array([1, -1, -1, 1, -1], np.int8)

    expected, acc = start.copy(), start.copy()
    _kernels.mask_sum(expected, seeds, signs, modulus, nonce, 77)
    status = getattr(lib, f"secagg_mask_sum_u{bits}")(
        ffi.from_buffer(f"uint{bits}_t[]", acc),
        len(acc),
        ffi.from_buffer("uint8_t[]", seeds),
        ffi.from_buffer("int8_t[]", signs),
        len(signs),
        modulus % (1 << 64),
        nonce,
        77,
    )

    assert status == 0
    assert np.array_equal(acc, expected)
    assert not np.array_equal(acc, start)


@pytest.mark.usefixtures("isa")
def test_library_is_the_module_that_python_uses() -> None:
    assert ffi.string(lib.secagg_isa()).decode() == _kernels.isa()


def test_constants_of_the_header() -> None:
    assert (lib.SECAGG_SEED_BYTES, lib.SECAGG_NONCE_BYTES, lib.SECAGG_SCALAR_BYTES) == (16, 12, 32)


def test_every_declared_function_is_exported() -> None:
    functions = [name for name in dir(lib) if name.startswith("secagg_")]
    assert len(functions) > 20
    assert all(ffi.typeof(getattr(lib, name)).kind == "function" for name in functions)


def test_docstring_example() -> None:
    results = doctest.testmod(secagg.capi)
    assert results.attempted > 0
    assert results.failed == 0
