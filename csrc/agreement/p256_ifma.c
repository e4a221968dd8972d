/* p256_ifma.c: eight points at a time, one in each 64-bit lane, on limbs of 52 bits, which AVX-512 IFMA multiplies.
 *
 * p in base B = 2^52 is -1 + 2^44 B + 2^36 B^3 + C4 B^4.  All limbs that are multiplied are below 2^52, and so are
 * those of sums and differences, whose values are below 4p; what multiply and multiply_minus make is below 2p, because
 * a * b / 2^260 + p < (4 * 4 / 16 + 1) p. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512ifma")
#endif
#include "p256_products.h"
#include <immintrin.h>

#define LANES 8
#define DOUBLINGS 4 /* 5 * 52 = 260 bits */

#define N 5
#define BITS 52
#define MASK ((1ull << BITS) - 1)
#define C1 (1ull << 44)
#define C3 (1ull << 36)
#define C4 ((1ull << 48) - (1ull << 16))

typedef uint64_t vec __attribute__((vector_size(64)));
typedef int64_t signed_vec __attribute__((vector_size(64)));

typedef struct {
    vec limb[N];
} element_t;

/* p's digits, from -2^52 to 2^52. */
static const int64_t DIGITS[N] = {-1, C1, 0, C3, C4};

static inline vec broadcast(uint64_t a) { return (vec)_mm512_set1_epi64((long long)a); }
static inline vec shift(vec a) { return (vec)((signed_vec)a >> BITS); }

static inline vec add_low(vec sum, vec a, vec b) {
    return (vec)_mm512_madd52lo_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}

static inline vec add_high(vec sum, vec a, vec b) {
    return (vec)_mm512_madd52hi_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}

#include "p256_lanes.inc"

/* Limbs below 2^52, from signed ones. */
KERNEL void carry(element_t *out, const vec t[N]) {
    vec left = broadcast(0);
    UNROLL for (int i = 0; i < N - 1; i++) {
        vec sum = t[i] + left;
        out->limb[i] = sum & broadcast(MASK);
        left = shift(sum);
    }
    out->limb[N - 1] = t[N - 1] + left;
}

static inline void plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = a->limb[i] + b->limb[i];
    carry(out, t);
}

/* a - b + 2p. */
static inline void minus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = a->limb[i] - b->limb[i] + broadcast(2 * (uint64_t)DIGITS[i]);
    carry(out, t);
}

/* a * b / 2^260, carries not made. */
KERNEL void columns(vec high[N], const element_t *a, const element_t *b) {
    vec t[2 * N];
    UNROLL for (int k = 0; k < N; k++) t[k] = t[k + N] = broadcast(0);
    UNROLL for (int i = 0; i < N; i++) {
        UNROLL for (int j = 0; j < N; j++) {
            t[i + j] = add_low(t[i + j], a->limb[i], b->limb[j]);
            t[i + j + 1] = add_high(t[i + j + 1], a->limb[i], b->limb[j]);
        }
    }
    UNROLL for (int k = 0; k < N; k++) {
        vec m = t[k]; /* its lowest 52 bits, which -m takes away */
        t[k + 1] = add_low(t[k + 1] + shift(m), m, broadcast(C1));
        t[k + 2] = add_high(t[k + 2], m, broadcast(C1));
        t[k + 3] = add_low(t[k + 3], m, broadcast(C3));
        t[k + 4] = add_low(add_high(t[k + 4], m, broadcast(C3)), m, broadcast(C4));
        t[k + 5] = add_high(t[k + 5], m, broadcast(C4));
    }
    UNROLL for (int k = 0; k < N; k++) high[k] = t[k + N];
}

static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    columns(t, a, b);
    carry(out, t);
}

/* a * b - c + 4p is below 6p, and its highest limb not negative.  h, that limb's bits from 256 on, takes h p off and
 * leaves less than 2p: what the other limbs would carry into it is far less than 2^256 - p. */
static __attribute__((noinline)) void multiply_minus(element_t *out, const element_t *a, const element_t *b,
                                                     const element_t *c) {
    vec t[N];
    columns(t, a, b);
    UNROLL for (int i = 0; i < N; i++) t[i] += broadcast(4 * (uint64_t)DIGITS[i]) - c->limb[i];
    vec h = t[4] >> 48;
    t[0] += h;
    t[1] -= h << 44;
    t[3] -= h << 36;
    t[4] -= (h << 48) - (h << 16);
    carry(out, t);
}

#include "p256_products.inc"

const struct p256_kernel secagg_p256_ifma = {LANES, scratch_bytes, products};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
