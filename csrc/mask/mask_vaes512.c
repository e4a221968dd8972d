/* mask_vaes512.c: VAES and AVX-512, four blocks at a time in 512-bit registers. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "mask.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("aes,vaes,avx512f,avx512bw"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("aes,vaes,avx512f,avx512bw")
#endif

#define MASK_SUM secagg_mask_sum_vaes512
#define GROUP 12

typedef __m512i block_t;
typedef uint16_t lanes_t __attribute__((vector_size(64), may_alias));

KERNEL block_t from_bytes(const uint8_t *bytes) { return _mm512_loadu_si512(bytes); }
/* Not a shift, which would take the rounds' execution port on Intel's CPUs. */
KERNEL lanes_t high_bytes(lanes_t x) {
    return (lanes_t)_mm512_shuffle_epi8(
        (__m512i)x, _mm512_broadcast_i32x4(_mm_setr_epi8(1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11, -1, 13, -1, 15, -1)));
}

KERNEL void to_lanes(lanes_t *lanes, block_t x) { *lanes = (lanes_t)x; }
KERNEL block_t broadcast_key(const uint8_t *key) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)key));
}
KERNEL block_t aes_first(block_t x, const block_t *k) { return _mm512_xor_si512(x, *k); }
KERNEL block_t aes_round(block_t x, const block_t *k) { return _mm512_aesenc_epi128(x, *k); }
KERNEL block_t aes_last(block_t x, const block_t *k) { return _mm512_aesenclast_epi128(x, *k); }

/* The last round with a zero key is ShiftRows, undone here beforehand, and SubBytes. */
KERNEL void sub_words(uint32_t *words) {
    const __m512i unshift = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3));
    for (size_t i = 0; i < KEYS; i += 16) {
        __m512i x = _mm512_shuffle_epi8(_mm512_loadu_si512(words + i), unshift);
        _mm512_storeu_si512(words + i, _mm512_aesenclast_epi128(x, _mm512_setzero_si512()));
    }
}

#include "mask.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
