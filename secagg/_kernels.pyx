# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
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


ctypedef fused word:
    uint32_t
    uint64_t


cdef uint64_t _checked(object modulus, int word_bytes) except? 0:
    """R as C takes it (0 for 2^64), if vectors mod R have words of this size."""
    if not 2 <= modulus <= 1 << 64:
        raise ValueError(f"modulus must be 2 .. 2**64, got {modulus}")
    if (4 if modulus <= 1 << 32 else 8) != word_bytes:
        raise ValueError("a vector mod R is uint32 when R <= 2**32, else uint64")
    return modulus & 0xFFFFFFFFFFFFFFFF


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


def isa_use(name=None):
    cdef bytes encoded = b"" if name is None else name.encode()
    if secagg_isa_use(NULL if name is None else <const char *>encoded):
        raise ValueError(f"instruction set {name!r} is not available here; choose from {', '.join(isa_available())}")
    selftest()


def selftest():
    if secagg_selftest():
        raise RuntimeError(f"the {isa()} kernels compute wrongly on this CPU; set SECAGG_ISA=portable")


def mask_sum(word[::1] acc, const uint8_t[:, ::1] seeds, const int8_t[::1] signs, modulus,
             const uint8_t[::1] nonce, uint64_t offset):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    cdef Py_ssize_t j
    _require(seeds.shape[1] == 16, "seeds must have shape [k, 16]")
    _require(signs.shape[0] == seeds.shape[0], "there must be one sign for each seed")
    _require(nonce.shape[0] == 12, "nonce must be 12 bytes")
    for j in range(signs.shape[0]):
        _require(signs[j] == 1 or signs[j] == -1, "signs must be 1 or -1")
    if acc.shape[0] == 0 or seeds.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_mask_sum_u32(&acc[0], acc.shape[0], &seeds[0, 0], &signs[0], seeds.shape[0], R, &nonce[0], offset)
        else:
            status = secagg_mask_sum_u64(&acc[0], acc.shape[0], &seeds[0, 0], &signs[0], seeds.shape[0], R, &nonce[0], offset)
    _ok(status)


def expand(word[::1] out, const uint8_t[::1] seed, modulus, const uint8_t[::1] nonce, uint64_t offset):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(seed.shape[0] == 16, "seed must be 16 bytes")
    _require(nonce.shape[0] == 12, "nonce must be 12 bytes")
    if out.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_expand_u32(&out[0], out.shape[0], &seed[0], R, &nonce[0], offset)
        else:
            status = secagg_expand_u64(&out[0], out.shape[0], &seed[0], R, &nonce[0], offset)
    _ok(status)


def add(word[::1] a, const word[::1] b, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(a.shape[0] == b.shape[0], "vectors must have equal lengths")
    if a.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_add_u32(&a[0], &b[0], a.shape[0], R)
        else:
            status = secagg_add_u64(&a[0], &b[0], a.shape[0], R)
    _ok(status)


def subtract(word[::1] a, const word[::1] b, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(a.shape[0] == b.shape[0], "vectors must have equal lengths")
    if a.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_subtract_u32(&a[0], &b[0], a.shape[0], R)
        else:
            status = secagg_subtract_u64(&a[0], &b[0], a.shape[0], R)
    _ok(status)


def reduce(word[::1] a, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    if a.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_reduce_u32(&a[0], a.shape[0], R)
        else:
            status = secagg_reduce_u64(&a[0], a.shape[0], R)
    _ok(status)


cdef size_t _packed_bytes(size_t n, object modulus):
    return (n * (modulus - 1).bit_length() + 7) // 8


def pack(uint8_t[::1] out, const word[::1] vector, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(<size_t>out.shape[0] == _packed_bytes(vector.shape[0], modulus), "out must be ceil(n*b/8) bytes")
    if vector.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_pack_u32(&out[0], &vector[0], vector.shape[0], R)
        else:
            status = secagg_pack_u64(&out[0], &vector[0], vector.shape[0], R)
    _ok(status)


def unpack(word[::1] out, const uint8_t[::1] packed, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(<size_t>packed.shape[0] == _packed_bytes(out.shape[0], modulus), "packed must be ceil(n*b/8) bytes")
    if out.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_unpack_u32(&out[0], &packed[0], out.shape[0], R)
        else:
            status = secagg_unpack_u64(&out[0], &packed[0], out.shape[0], R)
    _ok(status)


def packed_add(word[::1] acc, const uint8_t[::1] packed, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(<size_t>packed.shape[0] == _packed_bytes(acc.shape[0], modulus), "packed must be ceil(n*b/8) bytes")
    if acc.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_packed_add_u32(&acc[0], &packed[0], acc.shape[0], R)
        else:
            status = secagg_packed_add_u64(&acc[0], &packed[0], acc.shape[0], R)
    _ok(status)


def packed_check(const uint8_t[::1] packed, size_t n, modulus):
    cdef uint64_t R = _checked(modulus, 4 if modulus <= 1 << 32 else 8)
    cdef int status
    if <size_t>packed.shape[0] != _packed_bytes(n, modulus):
        return False
    if n == 0:
        return True
    with nogil:
        status = secagg_packed_check(&packed[0], n, R)
    return status == 0


def scalars_check(const uint8_t[:, ::1] scalars):
    cdef int status
    _require(scalars.shape[1] == 32, "scalars must have shape [n, 32]")
    if scalars.shape[0] == 0:
        return True
    with nogil:
        status = secagg_scalars_check(&scalars[0, 0], scalars.shape[0])
    return status == 0


def shamir_share(uint8_t[:, :, ::1] shares, const uint8_t[:, ::1] secrets, const uint8_t[:, :, ::1] coefficients,
                 const uint32_t[::1] xs):
    cdef size_t n = shares.shape[0], s = shares.shape[1], t = coefficients.shape[1] + 1
    cdef int status
    _require(n > 0 and s > 0, "there must be at least one secret and one x-coordinate")
    _require(shares.shape[2] == 32 and secrets.shape[1] == 32 and coefficients.shape[2] == 32, "scalars are 32 bytes")
    _require(<size_t>secrets.shape[0] == s and <size_t>coefficients.shape[0] == s and <size_t>xs.shape[0] == n,
             "shapes must be shares[n, s, 32], secrets[s, 32], coefficients[s, t - 1, 32], xs[n]")
    with nogil:
        status = secagg_shamir_share(&shares[0, 0, 0], &secrets[0, 0], s, &coefficients[0, 0, 0] if t > 1 else NULL, t,
                                     &xs[0], n)
    _ok(status)


def shamir_lagrange(uint8_t[:, ::1] coefficients, const uint32_t[::1] xs):
    cdef int status
    _require(coefficients.shape[1] == 32 and coefficients.shape[0] == xs.shape[0] and xs.shape[0] > 0,
             "shapes must be coefficients[t, 32], xs[t], t at least 1")
    with nogil:
        status = secagg_shamir_lagrange(&coefficients[0, 0], &xs[0], xs.shape[0])
    _ok(status)


def shamir_combine(uint8_t[:, ::1] secrets, const uint8_t[:, ::1] coefficients, const uint8_t[:, :, ::1] shares):
    cdef size_t t = shares.shape[0], s = shares.shape[1]
    cdef int status
    _require(t > 0 and s > 0, "there must be at least one share and one secret")
    _require(shares.shape[2] == 32 and secrets.shape[1] == 32 and coefficients.shape[1] == 32, "scalars are 32 bytes")
    _require(<size_t>coefficients.shape[0] == t and <size_t>secrets.shape[0] == s,
             "shapes must be secrets[s, 32], coefficients[t, 32], shares[t, s, 32]")
    with nogil:
        status = secagg_shamir_combine(&secrets[0, 0], &coefficients[0, 0], &shares[0, 0, 0], t, s)
    _ok(status)


def p256_lift(uint8_t[:, ::1] ys, uint8_t[::1] valid, const uint8_t[:, ::1] xs):
    cdef int status
    _require(xs.shape[1] == 32 and ys.shape[1] == 32, "coordinates are 32 bytes")
    _require(ys.shape[0] == xs.shape[0] and valid.shape[0] == xs.shape[0], "shapes must be ys[n, 32], valid[n], xs[n, 32]")
    if xs.shape[0] == 0:
        return
    with nogil:
        status = secagg_p256_lift(&ys[0, 0], &valid[0], &xs[0, 0], xs.shape[0])
    _ok(status)


def p256_agree(uint8_t[:, :, ::1] agreed, uint8_t[::1] valid, const uint8_t[:, ::1] scalars, const uint8_t[:, ::1] xs):
    cdef size_t n = agreed.shape[0], d = agreed.shape[1]
    cdef int status
    _require(agreed.shape[2] == 32 and scalars.shape[1] == 32 and xs.shape[1] == 32,
             "scalars and coordinates are 32 bytes")
    _require(<size_t>scalars.shape[0] == d and <size_t>xs.shape[0] == n and <size_t>valid.shape[0] == n,
             "shapes must be agreed[n, d, 32], valid[n], scalars[d, 32], xs[n, 32]")
    if n == 0 or d == 0:
        return
    with nogil:
        status = secagg_p256_agree(&agreed[0, 0, 0], &valid[0], &scalars[0, 0], d, &xs[0, 0], n)
    _ok(status)


def hkdf_sha256(uint8_t[:, ::1] out, const uint8_t[:, ::1] keys, const uint8_t[:, ::1] infos):
    cdef int status
    _require(out.shape[0] == keys.shape[0] and out.shape[0] == infos.shape[0],
             "shapes must be out[n, length], keys[n, k], infos[n, i]")
    _require(1 <= out.shape[1] <= 32 and keys.shape[1] <= 118 and infos.shape[1] <= 118,
             "length must be 1 .. 32, a key and an info at most 118 bytes")
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_hkdf_sha256(&out[0, 0], out.shape[1], &keys[0, 0], keys.shape[1], &infos[0, 0], infos.shape[1],
                                    out.shape[0])
    _ok(status)


def add_signed(word[::1] a, const int64_t[::1] b, modulus):
    cdef uint64_t R = _checked(modulus, sizeof(word))
    cdef int status
    _require(a.shape[0] == b.shape[0], "vectors must have equal lengths")
    if a.shape[0] == 0:
        return
    with nogil:
        if word is uint32_t:
            status = secagg_add_signed_u32(&a[0], &b[0], a.shape[0], R)
        else:
            status = secagg_add_signed_u64(&a[0], &b[0], a.shape[0], R)
    _ok(status)


def add_signed_wide(uint64_t[:, ::1] a, const int64_t[::1] b, modulus):
    cdef uint64_t[2] R
    cdef int status
    _require(1 << 64 <= modulus < 1 << 128, "modulus must be 2**64 .. 2**128 - 1")
    _require(a.shape[1] == 2, "elements must have two words: shape [n, 2]")
    _require(a.shape[0] == b.shape[0], "vectors must have equal lengths")
    R[0], R[1] = modulus & 0xFFFFFFFFFFFFFFFF, modulus >> 64
    if a.shape[0] == 0:
        return
    with nogil:
        status = secagg_add_signed_u128(&a[0, 0], &b[0], a.shape[0], R)
    _ok(status)


include "_noise.pxi"

isa_use(environ.get("SECAGG_ISA") or None)
