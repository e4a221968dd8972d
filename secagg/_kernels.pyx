# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False, auto_pickle=False
"""The boundary to the C kernels: lengths, types and ranges are checked here, then C runs without the GIL."""

from os import environ

from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t

from secagg cimport *

cdef extern from *:
    """
    #ifdef __clang__
    #define SECAGG_COMPILER "clang " __clang_version__
    #else
    #define SECAGG_COMPILER "gcc " __VERSION__
    #endif
    """
    const char *SECAGG_COMPILER
    const char *SECAGG_FLAGS  # a macro of setup.py's

cdef extern from "isa.h" nogil:
    struct isa_row "isa":
        const turboshake *turboshake
    const isa_row *secagg_isa_row(secagg_subject subject)
    const char *secagg_isa_reason(secagg_subject subject)
    const char *secagg_isa_chosen(secagg_subject subject, const char *vendor, unsigned family, unsigned built)


include "_buffers.pxi"


cdef uint64_t _checked(object modulus) except? 0:
    """R as C takes it: 0 for 2^64."""
    if not 2 <= modulus <= 1 << 64:
        raise ValueError(f"modulus must be 2 .. 2**64, got {modulus}")
    return modulus & 0xFFFFFFFFFFFFFFFF


cdef Item _word(uint64_t R) noexcept:
    """The items of vectors mod R."""
    return UINT64 if R - 1 > 0xFFFFFFFF else UINT32


cdef int _require(bint condition, str message) except -1:
    if not condition:
        raise ValueError(message)
    return 0


cdef int _ok(int status) except -1:
    if status:
        raise ValueError("argument refused by the kernel; see secagg.h")
    return 0


API_VERSION = secagg_api_version()
COMPILER = (<bytes>SECAGG_COMPILER).decode()
FLAGS = (<bytes>SECAGG_FLAGS).decode()

SUBJECTS = {
    "masks": SECAGG_MASKS,
    "packing": SECAGG_PACKING,
    "hkdf": SECAGG_HKDF,
    "agreement": SECAGG_AGREEMENT,
    "turboshake": SECAGG_TURBOSHAKE,
    "noise": SECAGG_NOISE,
    "signatures": SECAGG_SIGNATURES,
    "shamir": SECAGG_SHAMIR,
    "rounding": SECAGG_ROUNDING,
}


def isa_available():
    names = []
    while secagg_isa_available(len(names)) is not NULL:
        names.append(secagg_isa_available(len(names)).decode())
    return tuple(names)


def isa_built():
    names = []
    while secagg_isa_built(len(names)) is not NULL:
        names.append(secagg_isa_built(len(names)).decode())
    return tuple(names)


def isa_with(subject):
    cdef secagg_subject of = SUBJECTS[subject]
    names = []
    while secagg_isa_with(of, len(names)) is not NULL:
        names.append(secagg_isa_with(of, len(names)).decode())
    return tuple(names)


def isa():
    return secagg_isa().decode()


def isa_of(subject):
    cdef secagg_subject of = SUBJECTS[subject]
    return secagg_isa_of(of).decode()


cdef const turboshake *turboshake_kernel() noexcept:
    return secagg_isa_row(SECAGG_TURBOSHAKE).turboshake


def isa_reason(subject):
    cdef secagg_subject of = SUBJECTS[subject]
    return secagg_isa_reason(of).decode()


def isa_chosen(subject, vendor, family, names):
    cdef secagg_subject of = SUBJECTS[subject]
    encoded = vendor.encode()
    cdef unsigned built = 0
    for i, name in enumerate(isa_built()):
        built |= (name in names) << i
    _require(built & 1, "every CPU has the portable row")
    return secagg_isa_chosen(of, encoded, family, built).decode()


def isa_use(name=None):
    cdef bytes encoded = b"" if name is None else name.encode()
    if secagg_isa_use(NULL if name is None else <const char *>encoded):
        raise ValueError(f"instruction set {name!r} is not available here; choose from {', '.join(isa_available())}")
    selftest()


def selftest():
    if secagg_selftest():
        raise RuntimeError(f"the {isa()} kernels compute wrongly on this CPU; set SECAGG_ISA=portable")


def mask_sum(acc, seeds, signs, modulus, nonce, uint64_t offset):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items a = _write(acc, word), k = _read(seeds, UINT8, 2), s = _read(signs, INT8), v = _read(nonce, UINT8)
    cdef size_t n = a.shape[0], count = k.shape[0], j
    cdef int status
    _require(k.shape[1] == 16, "seeds must have shape [k, 16]")
    _require(<size_t>s.shape[0] == count, "there must be one sign for each seed")
    _require(v.shape[0] == 12, "nonce must be 12 bytes")
    for j in range(count):
        _require(s.i8()[j] == 1 or s.i8()[j] == -1, "signs must be 1 or -1")
    if n == 0 or count == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_mask_sum_u32(a.u32(), n, k.u8(), s.i8(), count, R, v.u8(), offset)
        else:
            status = secagg_mask_sum_u64(a.u64(), n, k.u8(), s.i8(), count, R, v.u8(), offset)
    _ok(status)


def expand(out, seed, modulus, nonce, uint64_t offset):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items o = _write(out, word), k = _read(seed, UINT8), v = _read(nonce, UINT8)
    cdef size_t n = o.shape[0]
    cdef int status
    _require(k.shape[0] == 16, "seed must be 16 bytes")
    _require(v.shape[0] == 12, "nonce must be 12 bytes")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_expand_u32(o.u32(), n, k.u8(), R, v.u8(), offset)
        else:
            status = secagg_expand_u64(o.u64(), n, k.u8(), R, v.u8(), offset)
    _ok(status)


def add(a, b, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(a, word), y = _read(b, word)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>y.shape[0] == n, "vectors must have equal lengths")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_add_u32(x.u32(), y.u32(), n, R)
        else:
            status = secagg_add_u64(x.u64(), y.u64(), n, R)
    _ok(status)


def subtract(a, b, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(a, word), y = _read(b, word)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>y.shape[0] == n, "vectors must have equal lengths")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_subtract_u32(x.u32(), y.u32(), n, R)
        else:
            status = secagg_subtract_u64(x.u64(), y.u64(), n, R)
    _ok(status)


def reduce(a, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(a, word)
    cdef size_t n = x.shape[0]
    cdef int status
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_reduce_u32(x.u32(), n, R)
        else:
            status = secagg_reduce_u64(x.u64(), n, R)
    _ok(status)


cdef size_t _packed_bytes(size_t n, uint64_t R) except? 0:
    cdef object last = R - 1  # Python's integer: n of any size overflows no product
    return (n * last.bit_length() + 7) // 8


def pack(out, vector, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items o = _write(out, UINT8), x = _read(vector, word)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>o.shape[0] == _packed_bytes(n, R), "out must be ceil(n*b/8) bytes")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_pack_u32(o.u8(), x.u32(), n, R)
        else:
            status = secagg_pack_u64(o.u8(), x.u64(), n, R)
    _ok(status)


def unpack(out, packed, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(out, word), p = _read(packed, UINT8)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>p.shape[0] == _packed_bytes(n, R), "packed must be ceil(n*b/8) bytes")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_unpack_u32(x.u32(), p.u8(), n, R)
        else:
            status = secagg_unpack_u64(x.u64(), p.u8(), n, R)
    _ok(status)


def packed_add(acc, packed, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(acc, word), p = _read(packed, UINT8)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>p.shape[0] == _packed_bytes(n, R), "packed must be ceil(n*b/8) bytes")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_packed_add_u32(x.u32(), p.u8(), n, R)
        else:
            status = secagg_packed_add_u64(x.u64(), p.u8(), n, R)
    _ok(status)


def packed_check(packed, size_t n, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Items p = _read(packed, UINT8)
    cdef int status
    if <size_t>p.shape[0] != _packed_bytes(n, R):
        return False
    if n == 0:
        return True
    with nogil:
        status = secagg_packed_check(p.u8(), n, R)
    return status == 0


def add_signed(a, b, modulus):
    cdef uint64_t R = _checked(modulus)
    cdef Item word = _word(R)
    cdef Items x = _write(a, word), y = _read(b, INT64)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(<size_t>y.shape[0] == n, "vectors must have equal lengths")
    if n == 0:
        return
    with nogil:
        if word == UINT32:
            status = secagg_add_signed_u32(x.u32(), y.i64(), n, R)
        else:
            status = secagg_add_signed_u64(x.u64(), y.i64(), n, R)
    _ok(status)


def add_signed_wide(a, b, modulus):
    cdef Items x = _write(a, UINT64, 2), y = _read(b, INT64)
    cdef size_t n = x.shape[0]
    cdef uint64_t[2] R
    cdef int status
    _require(1 << 64 <= modulus < 1 << 128, "modulus must be 2**64 .. 2**128 - 1")
    _require(x.shape[1] == 2, "elements must have two words: shape [n, 2]")
    _require(<size_t>y.shape[0] == n, "vectors must have equal lengths")
    R[0], R[1] = modulus & 0xFFFFFFFFFFFFFFFF, modulus >> 64
    if n == 0:
        return
    with nogil:
        status = secagg_add_signed_u128(x.u64(), y.i64(), n, R)
    _ok(status)


include "_shamir.pxi"
include "_keys.pxi"
include "_noise.pxi"
include "_rounding.pxi"

isa_use(environ.get("SECAGG_ISA") or None)
