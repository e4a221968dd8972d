/* mask_aesni.c: AES-NI, one block at a time in 128-bit registers. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "mask.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("aes,avx"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("aes,avx")
#endif

#define MASK_SUM secagg_mask_sum_aesni
#define GROUP 12

typedef __m128i block_t;
typedef uint16_t lanes_t __attribute__((vector_size(16), may_alias));

KERNEL block_t from_bytes(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }
/* Not a shift, which would take the rounds' execution port on Intel's CPUs. */
KERNEL lanes_t high_bytes(lanes_t x) {
    return (lanes_t)_mm_shuffle_epi8((__m128i)x,
                                     _mm_setr_epi8(1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11, -1, 13, -1, 15, -1));
}

KERNEL void to_lanes(lanes_t *lanes, block_t x) { *lanes = (lanes_t)x; }
KERNEL block_t broadcast_key(const uint8_t *key) { return from_bytes(key); }
KERNEL block_t aes_first(block_t x, const block_t *k) { return _mm_xor_si128(x, *k); }
KERNEL block_t aes_round(block_t x, const block_t *k) { return _mm_aesenc_si128(x, *k); }
KERNEL block_t aes_last(block_t x, const block_t *k) { return _mm_aesenclast_si128(x, *k); }

/* The last round with a zero key is ShiftRows, undone here beforehand, and SubBytes. */
KERNEL void sub_words(uint32_t *words) {
    const __m128i unshift = _mm_setr_epi8(0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3);
    for (size_t i = 0; i < KEYS; i += 4) {
        __m128i *at = (__m128i *)(words + i);
        _mm_storeu_si128(at, _mm_aesenclast_si128(_mm_shuffle_epi8(_mm_loadu_si128(at), unshift), _mm_setzero_si128()));
    }
}

#include "mask.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
