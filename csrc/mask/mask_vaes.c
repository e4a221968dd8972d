/* mask_vaes.c: VAES and AVX2, two blocks at a time in 256-bit registers. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "mask.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("aes,avx2,vaes"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("aes,avx2,vaes")
#endif

#define MASK_SUM secagg_mask_sum_vaes
#define GROUP 12

typedef __m256i block_t;
typedef uint16_t lanes_t __attribute__((vector_size(32), may_alias));

KERNEL block_t from_bytes(const uint8_t *bytes) { return _mm256_loadu_si256((const __m256i *)bytes); }
KERNEL lanes_t high_bytes(lanes_t x) { return x >> 8; }
KERNEL void to_lanes(lanes_t *lanes, block_t x) { *lanes = (lanes_t)x; }
KERNEL block_t broadcast_key(const uint8_t *key) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)key));
}
KERNEL block_t aes_first(block_t x, const block_t *k) { return _mm256_xor_si256(x, *k); }
KERNEL block_t aes_round(block_t x, const block_t *k) { return _mm256_aesenc_epi128(x, *k); }
KERNEL block_t aes_last(block_t x, const block_t *k) { return _mm256_aesenclast_epi128(x, *k); }

/* The last round with a zero key is ShiftRows, undone here beforehand, and SubBytes. */
KERNEL void sub_words(uint32_t *words) {
    const __m256i unshift =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3));
    for (size_t i = 0; i < KEYS; i += 8) {
        __m256i *at = (__m256i *)(words + i);
        __m256i x = _mm256_shuffle_epi8(_mm256_loadu_si256(at), unshift);
        _mm256_storeu_si256(at, _mm256_aesenclast_epi128(x, _mm256_setzero_si256()));
    }
}

#include "mask.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
