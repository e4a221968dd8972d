/* field_ifma.h: F_p, p = 2^255 - 19, eight elements at a time, one in each 64-bit lane, on limbs of 51 bits, which
 * AVX-512 IFMA multiplies: the low and the high 52 bits of a product are added to two sums.
 *
 * All elements are *tight*: limbs below 2^51 + 2^15, and so below the 2^52 that can be multiplied.  Sums and differences
 * are carried, too.  tests/c/bounds_25519.cpp computes, by intervals through this source, that no sum exceeds 64 bits
 * and no factor 52. */
#ifndef SECAGG_FIELD_IFMA_H
#define SECAGG_FIELD_IFMA_H

#include <stdint.h>
#include <string.h>

#include "barrier.h"
#include "ifma.h"
#include "kernel.h"

#define LANES 8
#define N 5
#define POSITION(i) (51 * (i))
#define WIDTH(i) 51

typedef uint64_t limb_t; /* of an element of one lane, as tables hold it */

/* tests/c has vectors of its own. */
#if !defined(SECAGG_INTERVALS) && !defined(SECAGG_EMULATED)
/* a, of which the compiler knows nothing. */
static inline vec hidden(vec a) {
    VALUE_BARRIER_VECTOR(a);
    return a;
}
#endif

typedef struct {
    vec limb[N];
} element_t;

/* Multiples of p with so much in every limb that no limb of what is subtracted exceeds it. */
KERNEL vec twice_p(int i) { return broadcast(i ? (2ull << 51) - 2 : (2ull << 51) - 38); }

KERNEL vec times_19(vec a) { return a + (a << 1) + (a << 4); }

/* What a limb is too large for goes to the next one, of all at once; 2^255 = 19. */
KERNEL void carry(element_t *out, const vec t[N]) {
    const vec mask = broadcast((1ull << 51) - 1);
    out->limb[0] = (t[0] & mask) + times_19(t[N - 1] >> 51);
    UNROLL for (int i = 1; i < N; i++) out->limb[i] = (t[i] & mask) + (t[i - 1] >> 51);
}

static __attribute__((noinline)) void plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = a->limb[i] + b->limb[i];
    carry(out, t);
}

static __attribute__((noinline)) void minus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = a->limb[i] + (twice_p(i) - b->limb[i]);
    carry(out, t);
}

static __attribute__((noinline)) void opposite(element_t *out, const element_t *a) {
    vec t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = twice_p(i) - a->limb[i];
    carry(out, t);
}

/* The columns of a number that is made of low and high halves: a high one stands for 2^52, twice the next limb. */
KERNEL void columns(vec t[N], const vec low[2 * N], const vec high[2 * N]) {
    vec all[2 * N];
    all[0] = low[0];
    UNROLL for (int k = 1; k < 2 * N; k++) all[k] = low[k] + (high[k - 1] << 1);
    UNROLL for (int k = 0; k < N; k++) t[k] = all[k] + times_19(all[k + N]);
}

KERNEL void product_columns(vec t[N], const element_t *a, const element_t *b) {
    vec low[2 * N], high[2 * N];
    UNROLL for (int k = 0; k < 2 * N; k++) low[k] = high[k] = broadcast(0);
    UNROLL for (int i = 0; i < N; i++) {
        UNROLL for (int j = 0; j < N; j++) {
            low[i + j] = add_low(low[i + j], a->limb[i], b->limb[j]);
            high[i + j] = add_high(high[i + j], a->limb[i], b->limb[j]);
        }
    }
    columns(t, low, high);
}

/* Products of two different limbs come twice. */
KERNEL void square_columns(vec t[N], const element_t *a) {
    vec low[2 * N], high[2 * N];
    UNROLL for (int k = 0; k < 2 * N; k++) low[k] = high[k] = broadcast(0);
    UNROLL for (int i = 0; i < N; i++) {
        UNROLL for (int j = i + 1; j < N; j++) {
            low[i + j] = add_low(low[i + j], a->limb[i], a->limb[j]);
            high[i + j] = add_high(high[i + j], a->limb[i], a->limb[j]);
        }
    }
    UNROLL for (int k = 0; k < 2 * N; k++) {
        low[k] += low[k];
        high[k] += high[k];
    }
    UNROLL for (int i = 0; i < N; i++) {
        low[2 * i] = add_low(low[2 * i], a->limb[i], a->limb[i]);
        high[2 * i] = add_high(high[2 * i], a->limb[i], a->limb[i]);
    }
    columns(t, low, high);
}

static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    product_columns(t, a, b);
    carry(out, t);
}

static __attribute__((noinline)) void square(element_t *out, const element_t *a) {
    vec t[N];
    square_columns(t, a);
    carry(out, t);
}

/* a^2 + b. */
static __attribute__((noinline)) void square_plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += b->limb[i];
    carry(out, t);
}

/* 2 a^2 + b. */
static __attribute__((noinline)) void twice_square_plus(element_t *out, const element_t *a, const element_t *b) {
    vec t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += t[i] + b->limb[i];
    carry(out, t);
}

/* a * factor + b, of a factor below 2^17. */
static __attribute__((noinline)) void times_plus(element_t *out, const element_t *a, uint64_t factor,
                                                 const element_t *b) {
    vec t[N], high[N];
    UNROLL for (int i = 0; i < N; i++) {
        t[i] = add_low(b->limb[i], a->limb[i], broadcast(factor));
        high[i] = add_high(broadcast(0), a->limb[i], broadcast(factor)) << 1;
    }
    t[0] += times_19(high[N - 1]);
    UNROLL for (int i = 1; i < N; i++) t[i] += high[i - 1];
    carry(out, t);
}

#ifndef SECAGG_INTERVALS
/* Lane l := the element from[l][N]: the transposition of its first four limbs in two steps, then the fifth. */
static __attribute__((noinline)) void gather(element_t *out, const limb_t *const from[LANES]) {
    vec pair[4] = {join(from[0], from[4]), join(from[1], from[5]), join(from[2], from[6]), join(from[3], from[7])};
    transpose(out->limb, pair);
    out->limb[4] =
        (vec){from[0][4], from[1][4], from[2][4], from[3][4], from[4][4], from[5][4], from[6][4], from[7][4]};
}
#endif

#endif
