/* field_avx2.h: F_p, p = 2^255 - 19, four elements at a time, one in each 64-bit lane, on limbs of 26 and 25 bits in
 * turn: limb i stands for limb * 2^ceil(25.5 i).
 *
 * What load, multiply and the squares make is *tight*: limbs below 2^26 + 2^17, the odd ones below 2^25 + 2^17.  A
 * difference of tight elements, which is at most three of them, is *loose*.  tests/c/bounds_25519.cpp computes, by
 * intervals through this source, that no sum exceeds 64 bits and no factor 32. */
#ifndef SECAGG_FIELD_AVX2_H
#define SECAGG_FIELD_AVX2_H

#include <stdint.h>
#include <string.h>

#include "barrier.h"
#include "kernel.h"

#define LANES 4
#define N 10
#define POSITION(i) ((51 * (i) + 1) / 2)
#define WIDTH(i) (26 - (i) % 2)

typedef uint32_t limb_t; /* of an element of one lane, as tables hold it */

#ifndef SECAGG_INTERVALS
#include <immintrin.h>

typedef uint64_t vec __attribute__((vector_size(32)));

/* The columns are in registers here.  Left alone, compilers first make all products, and then run out of registers. */
#define KEEP(t)                                                                                                        \
    __asm__(""                                                                                                         \
            : "+x"(t[0]), "+x"(t[1]), "+x"(t[2]), "+x"(t[3]), "+x"(t[4]), "+x"(t[5]), "+x"(t[6]), "+x"(t[7]),          \
              "+x"(t[8]), "+x"(t[9]))

static inline vec broadcast(uint64_t a) { return (vec)_mm256_set1_epi64x((long long)a); }
static inline vec product(vec a, vec b) { return (vec)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

/* a, of which the compiler knows nothing. */
static inline vec hidden(vec a) {
    VALUE_BARRIER_VECTOR(a);
    return a;
}
#endif

typedef struct {
    vec limb[N];
} element_t;

/* 2p and 4p, with so much in every limb that no limb of what is subtracted exceeds it. */
KERNEL vec twice_p(int i) { return broadcast(i ? (2ull << WIDTH(i)) - 2 : (2ull << WIDTH(0)) - 38); }
KERNEL vec four_p(int i) { return broadcast(i ? (4ull << WIDTH(i)) - 4 : (4ull << WIDTH(0)) - 76); }

/* a + b, of tight elements. */
static __attribute__((noinline)) void plus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + b->limb[i];
}

/* a - b, of tight elements. */
static __attribute__((noinline)) void minus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + (twice_p(i) - b->limb[i]);
}

/* -a, of a sum of two tight elements. */
static __attribute__((noinline)) void opposite(element_t *out, const element_t *a) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = four_p(i) - a->limb[i];
}

/* What limb i is too large for goes to the next one; 2^255 = 19. */
KERNEL void carry_from(vec t[N], int i) {
    vec over = t[i] >> WIDTH(i);
    t[i] &= broadcast((1ull << WIDTH(i)) - 1);
    if (i + 1 < N)
        t[i + 1] += over;
    else
        t[0] += over + (over << 1) + (over << 4);
}

/* Two chains of carries, since each waits for itself. */
KERNEL void carry(element_t *out, vec t[N]) {
    UNROLL for (int i = 0; i < 4; i++) {
        carry_from(t, i);
        carry_from(t, i + 4);
    }
    carry_from(t, 4);
    carry_from(t, 8);
    carry_from(t, 9);
    carry_from(t, 0);
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = t[i];
}

/* a * b, of loose elements.  Two odd limbs make twice what their column stands for. */
static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    vec t[N], wrapped[N];
    UNROLL for (int j = 1; j < N; j++) wrapped[j] = product(b->limb[j], broadcast(19));
    UNROLL for (int k = 0; k < N; k++) t[k] = product(a->limb[0], b->limb[k]);
    UNROLL for (int i = 1; i < N; i++) {
        vec once = a->limb[i], twice = once + once;
        UNROLL for (int k = 0; k < N; k++) t[k] +=
            product(i & ~k & 1 ? twice : once, i > k ? wrapped[k - i + N] : b->limb[k - i]);
        KEEP(t);
    }
    carry(out, t);
}

/* The columns of a^2.  Every product but a square's comes twice, and two odd limbs make twice their column. */
KERNEL void square_columns(vec t[N], const element_t *a) {
    vec twofold[N], wrapped[N];
    UNROLL for (int j = 1; j < N; j += 2) twofold[j] = a->limb[j] + a->limb[j];
    UNROLL for (int j = N / 2; j < N; j++) wrapped[j] = product(a->limb[j], broadcast(j & 1 ? 38 : 19));
    vec first = a->limb[0] + a->limb[0];
    t[0] = product(a->limb[0], a->limb[0]);
    UNROLL for (int k = 1; k < N; k++) t[k] = product(first, a->limb[k]);
    UNROLL for (int i = 1; i < N; i++) {
        vec once = a->limb[i], twice = once + once;
        UNROLL for (int j = N - 1; j >= i; j--) {
            int wraps = i + j >= N;
            vec left = i < j && !(wraps && j & ~i & 1) ? twice : once;
            vec right = wraps ? wrapped[j] : i & j & 1 ? twofold[j] : a->limb[j];
            t[wraps ? i + j - N : i + j] += product(left, right);
        }
        KEEP(t);
    }
}

/* a^2, of a loose a. */
static __attribute__((noinline)) void square(element_t *out, const element_t *a) {
    vec t[N];
    square_columns(t, a);
    carry(out, t);
}

/* a^2 + b, of a loose a and what opposite makes. */
static __attribute__((noinline)) void square_plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += b->limb[i];
    carry(out, t);
}

/* 2 a^2 + b, of a tight a and a loose b. */
static __attribute__((noinline)) void twice_square_plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += t[i] + b->limb[i];
    carry(out, t);
}

/* a * factor + b, of a loose a, a factor below 2^17 and a tight b. */
static __attribute__((noinline)) void times_plus(element_t *out, const element_t *a, uint64_t factor,
                                                 const element_t *b) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = product(a->limb[i], broadcast(factor)) + b->limb[i];
    carry(out, t);
}

#ifndef SECAGG_INTERVALS
static inline __m128i four_limbs(const limb_t *from) { return _mm_loadu_si128((const __m128i *)from); }
static inline __m128i two_limbs(const limb_t *from) { return _mm_loadl_epi64((const __m128i *)from); }

/* Limbs 2i and 2i + 1 of all lanes, from a vector that has them side by side in each. */
KERNEL void unzip(element_t *out, int i, __m256i both) {
    out->limb[2 * i] = (vec)both & broadcast(UINT32_MAX);
    out->limb[2 * i + 1] = (vec)both >> 32;
}

/* Lane l := the element from[l][N]. */
static __attribute__((noinline)) void gather(element_t *out, const limb_t *const from[LANES]) {
    UNROLL for (int i = 0; i < 8; i += 4) {
        __m256i even = _mm256_set_m128i(four_limbs(from[2] + i), four_limbs(from[0] + i));
        __m256i odd = _mm256_set_m128i(four_limbs(from[3] + i), four_limbs(from[1] + i));
        unzip(out, i / 2, _mm256_unpacklo_epi64(even, odd));
        unzip(out, i / 2 + 1, _mm256_unpackhi_epi64(even, odd));
    }
    __m128i low = _mm_unpacklo_epi64(two_limbs(from[0] + 8), two_limbs(from[1] + 8));
    __m128i high = _mm_unpacklo_epi64(two_limbs(from[2] + 8), two_limbs(from[3] + 8));
    unzip(out, 4, _mm256_set_m128i(high, low));
}
#endif

#endif
