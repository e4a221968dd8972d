/* p256_avx2.c: four points at a time, one in each 64-bit lane, on limbs of 29 bits.
 *
 * p in base B = 2^29 is -1 + 2^9 B^3 + 2^18 B^6 + C7 B^7 + C8 B^8, so that a reduction step needs two shifts and two
 * products, and its multiplier is the lowest limb itself.  An element that multiply or multiply_minus made is *tight*:
 * limbs below 2^29, value below 2p.  A sum of two has limbs below 2^30 and value below 4p, a difference limbs below
 * 3 * 2^29 + 2^20 and value below 6p.  Hence
 *   - a column of a product of a difference and a sum stays below 9 * (3 * 2^59 + 2^50) + 2^59 < 2^64;
 *   - a * b / 2^261 + p < (6 * 4 / 32 + 1) p < 2p. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "p256_products.h"
#include <immintrin.h>

#define LANES 4
#define DOUBLINGS 5 /* 9 * 29 = 261 bits */

#define N 9
#define BITS 29
#define MASK ((1ull << BITS) - 1)
#define C7 ((1u << 29) - (1u << 21))
#define C8 ((1u << 24) - 1)

typedef uint64_t vec __attribute__((vector_size(32)));

typedef struct {
    vec limb[N];
} element_t;

/* Multiples of p, with so much in every limb that no limb of what is subtracted exceeds it: 4p for a tight element, 8p
 * for a sum. */
static const uint64_t P4[N] = {(1 << 30) - 4,
                               (1 << 30) - 2,
                               (1 << 30) - 2,
                               (1 << 30) - 2 + (1 << 11),
                               (1 << 30) - 2,
                               (1 << 30) - 2,
                               (1 << 30) - 2 + (1 << 20),
                               (1 << 30) - 2 - (1 << 23),
                               (1 << 26) - 2};

static inline vec broadcast(uint64_t a) { return (vec)_mm256_set1_epi64x((long long)a); }
static inline vec product(vec a, vec b) { return (vec)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

#include "p256_lanes.inc"

static inline void plus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + b->limb[i];
}

static inline void minus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + (broadcast(P4[i]) - b->limb[i]);
}

/* The columns of a * b / 2^261, carries among them not made. */
KERNEL element_t columns(const element_t *a, const element_t *b) {
    element_t high;
    vec m[N], carry = broadcast(0);
    UNROLL for (int k = 0; k < N; k++) {
        vec t = carry;
        UNROLL for (int i = 0; i <= k; i++) t += product(a->limb[i], b->limb[k - i]);
        if (k >= 3)
            t += m[k - 3] << 9;
        if (k >= 6)
            t += m[k - 6] << 18;
        if (k >= 7)
            t += product(m[k - 7], broadcast(C7));
        if (k >= 8)
            t += product(m[k - 8], broadcast(C8));
        m[k] = t & broadcast(MASK);
        carry = t >> BITS;
    }
    UNROLL for (int k = 0; k < N; k++) {
        vec t = k ? broadcast(0) : carry;
        UNROLL for (int i = k + 1; i < N; i++) t += product(a->limb[i], b->limb[k + N - i]);
        if (k + 6 < N)
            t += m[k + 6] << 9;
        if (k + 3 < N)
            t += m[k + 3] << 18;
        if (k + 2 < N)
            t += product(m[k + 2], broadcast(C7));
        if (k + 1 < N)
            t += product(m[k + 1], broadcast(C8));
        high.limb[k] = t;
    }
    return high;
}

KERNEL element_t carried(element_t a) {
    vec carry = broadcast(0);
    UNROLL for (int i = 0; i < N - 1; i++) {
        vec t = a.limb[i] + carry;
        a.limb[i] = t & broadcast(MASK);
        carry = t >> BITS;
    }
    a.limb[N - 1] += carry;
    return a;
}

static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    *out = carried(columns(a, b));
}

/* The value is below 10p; h, its bits from 256 on or one less, takes h p off and leaves less than 2p.  What h p takes
 * from limbs 3 and 6 is less than 8p left in them. */
static __attribute__((noinline)) void multiply_minus(element_t *out, const element_t *a, const element_t *b,
                                                     const element_t *c) {
    element_t t = columns(a, b);
    UNROLL for (int i = 0; i < N; i++) t.limb[i] += broadcast(2 * P4[i]) - c->limb[i];
    vec h = (t.limb[8] + (t.limb[7] >> BITS)) >> 24;
    t.limb[0] += h;
    t.limb[3] -= h << 9;
    t.limb[6] -= h << 18;
    t.limb[7] += h << 21;
    t.limb[8] -= h << 24;
    *out = carried(t);
}

#include "p256_products.inc"

const struct p256_kernel secagg_p256_avx2 = {LANES, scratch_bytes, products};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
