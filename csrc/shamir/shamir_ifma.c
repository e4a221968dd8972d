/* shamir_ifma.c: eight shares, or secrets, at a time, on limbs of 52 bits, which AVX-512 IFMA multiplies. */
#ifdef __x86_64__
#ifndef SECAGG_EMULATED
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512ifma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512ifma")
#endif
#endif
#include "ifma.h"
#include "lagrange.h"
#include "secagg.h"
#include "shamir_kernel.h"
#include "wipe.h"

#include <stdlib.h>

#define LANES 8

typedef int64_t signed_vec __attribute__((vector_size(64)));

#ifndef SECAGG_EMULATED
/* Big-endian words. */
static inline vec swap_bytes(vec a) {
    const __m128i reversed = _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
    return (vec)_mm512_shuffle_epi8((__m512i)a, _mm512_broadcast_i32x4(reversed));
}
#endif

#include "limbs52.inc"

#include "shamir_lanes.inc"

const struct shamir_kernel secagg_shamir_ifma = {share, combine, fractions};

#if defined(__clang__) && !defined(SECAGG_EMULATED)
#pragma clang attribute pop
#endif
#endif
