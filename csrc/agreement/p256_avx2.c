/* p256_avx2.c: four points at a time, one in each 64-bit lane, on limbs of 29 bits.
 *
 * p in base B = 2^29 is -1 + 2^9 B^3 + 2^18 B^6 + C7 B^7 + C8 B^8, so that a reduction step needs two shifts and two
 * products, and its multiplier is the lowest limb itself.  A tight element (p256_elements.inc) has limbs below 2^29 and a
 * value below 2p, so that its highest limb is below 2^25.  A sum of two has limbs below 2^30 and value below 4p, a
 * difference limbs below 3 * 2^29 + 2^20 and value below 6p.  Hence
 *   - a column of a product of a difference and a sum stays below 9 * (3 * 2^59 + 2^50) + 2^59 < 2^64, and so does one of
 *     a sum of four, of limbs below 2^31, and a tight element;
 *   - a * b / 2^261 + p < (6 * 4 / 32 + 1) p < 2p. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "p256_kernel.h"
#include <immintrin.h>

#define LANES 4
#define DOUBLINGS 5 /* 9 * 29 = 261 bits */

#define N 9
#define BITS 29
#define MASK ((1ull << BITS) - 1)
#define C7 ((1u << 29) - (1u << 21))
#define C8 ((1u << 24) - 1)

typedef uint64_t vec __attribute__((vector_size(32)));
typedef uint32_t limb_t;

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

/* sum + column k of a * b, or of a * a if there is `twice`, which is 2a then. */
KERNEL vec column(vec sum, const element_t *a, const element_t *b, const element_t *twice, int k) {
    UNROLL for (int i = 0; i < N; i++) {
        int j = k - i;
        if (j < 0 || j >= N)
            continue;
        if (twice == NULL)
            sum += product(a->limb[i], b->limb[j]);
        else if (i < j)
            sum += product(twice->limb[i], a->limb[j]);
        else if (i == j)
            sum += product(a->limb[i], a->limb[i]);
    }
    return sum;
}

/* The columns of a * b / 2^261, carries among them not made; the arguments are those of `column`. */
KERNEL element_t columns(const element_t *a, const element_t *b, const element_t *twice) {
    element_t high;
    vec m[N], carry = broadcast(0);
    UNROLL for (int k = 0; k < N; k++) {
        vec t = column(carry, a, b, twice, k);
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
        vec t = column(k ? broadcast(0) : carry, a, b, twice, k + N);
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

KERNEL element_t product_columns(const element_t *a, const element_t *b) { return columns(a, b, NULL); }

KERNEL element_t square_columns(const element_t *a) {
    element_t twice;
    plus(&twice, a, a);
    return columns(a, a, &twice);
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

/* A tight element, from limbs that carry and a value below 10p, limbs 3 and 6 being 2^22 and more.  h, the value's bits
 * from 256 on or one less, takes h p off. */
KERNEL element_t reduced(element_t t) {
    vec top = t.limb[8] + (t.limb[7] >> BITS);
    vec h = top >> 24;
    t.limb[0] += h;
    t.limb[3] -= h << 9;
    t.limb[6] -= h << 18;
    t.limb[7] = (t.limb[7] & broadcast(MASK)) + (h << 21);
    t.limb[8] = top & broadcast((1 << 24) - 1);
    return carried(t);
}

/* t + 8p - c, for t below 2p. */
KERNEL element_t reduced_minus(element_t t, const element_t *c) {
    UNROLL for (int i = 0; i < N; i++) t.limb[i] += broadcast(2 * P4[i]) - c->limb[i];
    return reduced(t);
}

static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    *out = carried(product_columns(a, b));
}

static __attribute__((noinline)) void square(element_t *out, const element_t *a) { *out = carried(square_columns(a)); }

static __attribute__((noinline)) void multiply_minus(element_t *out, const element_t *a, const element_t *b,
                                                     const element_t *c) {
    *out = reduced_minus(product_columns(a, b), c);
}

static __attribute__((noinline)) void square_minus(element_t *out, const element_t *a, const element_t *c) {
    *out = reduced_minus(square_columns(a), c);
}

static __attribute__((noinline)) void multiply_triple(element_t *out, const element_t *a, const element_t *b) {
    element_t t = carried(product_columns(a, b));
    UNROLL for (int i = 0; i < N; i++) t.limb[i] += t.limb[i] + t.limb[i] + broadcast(P4[i]);
    *out = reduced(t);
}

static void subtract(element_t *out, const element_t *a, const element_t *b) {
    element_t t;
    minus(&t, a, b);
    *out = reduced(t);
}

#include "p256_kernel.inc"

const struct p256_kernel secagg_p256_avx2 = KERNEL_OF_ALL;

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
