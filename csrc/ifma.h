/* ifma.h: vectors of eight 64-bit lanes and what AVX-512 IFMA multiplies them by: the low and the high 52 bits of a
 * product are added to two sums. */
#ifndef SECAGG_IFMA_H
#define SECAGG_IFMA_H

#include <stdint.h>

/* tests/c has vectors of intervals, and vectors that need no AVX-512. */
#if !defined(SECAGG_INTERVALS) && !defined(SECAGG_EMULATED)
#include <immintrin.h>

typedef uint64_t vec __attribute__((vector_size(64)));

static inline vec broadcast(uint64_t a) { return (vec)_mm512_set1_epi64((long long)a); }

static inline vec add_low(vec sum, vec a, vec b) {
    return (vec)_mm512_madd52lo_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}

static inline vec add_high(vec sum, vec a, vec b) {
    return (vec)_mm512_madd52hi_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}

/* 32 bytes of each. */
static inline vec join(const void *low, const void *high) {
    __m512i half = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return (vec)_mm512_inserti64x4(half, _mm256_loadu_si256((const __m256i *)high), 1);
}
#endif

#ifndef SECAGG_INTERVALS
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vec){__VA_ARGS__})
#endif

/* out[i] := in lane l, word i of the 32 bytes of lane l: pair[k] has those of lane k, and then those of lane k + 4. */
static inline __attribute__((always_inline)) void transpose(vec out[4], const vec pair[4]) {
    vec even = SHUFFLE(pair[0], pair[1], 0, 8, 2, 10, 4, 12, 6, 14);
    vec odd = SHUFFLE(pair[0], pair[1], 1, 9, 3, 11, 5, 13, 7, 15);
    vec next_even = SHUFFLE(pair[2], pair[3], 0, 8, 2, 10, 4, 12, 6, 14);
    vec next_odd = SHUFFLE(pair[2], pair[3], 1, 9, 3, 11, 5, 13, 7, 15);
    out[0] = SHUFFLE(even, next_even, 0, 1, 8, 9, 4, 5, 12, 13);
    out[1] = SHUFFLE(odd, next_odd, 0, 1, 8, 9, 4, 5, 12, 13);
    out[2] = SHUFFLE(even, next_even, 2, 3, 10, 11, 6, 7, 14, 15);
    out[3] = SHUFFLE(odd, next_odd, 2, 3, 10, 11, 6, 7, 14, 15);
}
#endif

#endif
