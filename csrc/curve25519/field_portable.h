/* field_portable.h: F_p, p = 2^255 - 19, one element at a time, on limbs of 51 bits.
 *
 * What load, multiply and the squares make is *tight*: limbs below 2^51 + 2^18.  A difference of tight elements, which
 * is at most three of them, is *loose*.  tests/c/bounds_25519.cpp computes, by intervals through this source, that no
 * sum exceeds its 64 or 128 bits. */
#ifndef SECAGG_FIELD_PORTABLE_H
#define SECAGG_FIELD_PORTABLE_H

#include <stdint.h>
#include <string.h>

#include "barrier.h"
#include "kernel.h"

#define LANES 1
#define N 5
#define POSITION(i) (51 * (i))
#define WIDTH(i) 51

typedef uint64_t limb_t; /* of an element of one lane, as tables hold it */

#ifndef SECAGG_INTERVALS
typedef uint64_t vec;
typedef uint128_t wide;

static inline vec broadcast(uint64_t a) { return a; }
static inline wide product(vec a, vec b) { return (wide)a * b; }
static inline vec high(wide a) { return (vec)(a >> 51); }
static inline vec low(wide a) { return (vec)a & ((1ull << 51) - 1); }

/* a, of which the compiler knows nothing. */
static inline vec hidden(vec a) { return value_barrier_u64(a); }
#endif

typedef struct {
    vec limb[N];
} element_t;

/* 2p and 4p, with so much in every limb that no limb of what is subtracted exceeds it. */
KERNEL vec twice_p(int i) { return broadcast(i ? (2ull << 51) - 2 : (2ull << 51) - 38); }
KERNEL vec four_p(int i) { return broadcast(i ? (4ull << 51) - 4 : (4ull << 51) - 76); }

/* a + b, of tight elements. */
static inline void plus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + b->limb[i];
}

/* a - b, of tight elements. */
static inline void minus(element_t *out, const element_t *a, const element_t *b) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = a->limb[i] + (twice_p(i) - b->limb[i]);
}

/* -a, of a sum of two tight elements. */
static inline void opposite(element_t *out, const element_t *a) {
    UNROLL for (int i = 0; i < N; i++) out->limb[i] = four_p(i) - a->limb[i];
}

KERNEL vec times_19(vec a) { return a + (a << 1) + (a << 4); }

KERNEL void carry(element_t *out, wide t[N]) {
    UNROLL for (int i = 0; i < N - 1; i++) {
        t[i + 1] += high(t[i]);
        out->limb[i] = low(t[i]);
    }
    out->limb[N - 1] = low(t[N - 1]);
    wide first = product(high(t[N - 1]), broadcast(19)) + out->limb[0]; /* 2^255 = 19 */
    out->limb[0] = low(first);
    out->limb[1] += high(first);
}

KERNEL void columns(wide t[N], const element_t *a, const element_t *b) {
    vec wrapped[N];
    UNROLL for (int i = 1; i < N; i++) wrapped[i] = times_19(b->limb[i]);
    UNROLL for (int k = 0; k < N; k++) {
        t[k] = product(a->limb[0], b->limb[k]);
        UNROLL for (int i = 1; i < N; i++) t[k] += product(a->limb[i], i > k ? wrapped[k - i + N] : b->limb[k - i]);
    }
}

/* a * b, of loose elements. */
static __attribute__((noinline)) void multiply(element_t *out, const element_t *a, const element_t *b) {
    wide t[N];
    columns(t, a, b);
    carry(out, t);
}

KERNEL void square_columns(wide t[N], const element_t *a) {
    vec twice[N], wrapped[N];
    UNROLL for (int i = 0; i < N; i++) twice[i] = a->limb[i] + a->limb[i];
    UNROLL for (int j = N / 2; j < N; j++) wrapped[j] = times_19(a->limb[j]);
    UNROLL for (int k = 0; k < N; k++) {
        int started = 0;
        UNROLL for (int j = N - 1; j >= 0; j--) { /* and i <= j with i + j = k or k + N */
            int i = j > k ? k + N - j : k - j;
            if (i > j)
                continue;
            wide one = product(i < j ? twice[i] : a->limb[i], j > k ? wrapped[j] : a->limb[j]);
            t[k] = started ? t[k] + one : one;
            started = 1;
        }
    }
}

/* a^2, of a loose a. */
static __attribute__((noinline)) void square(element_t *out, const element_t *a) {
    wide t[N];
    square_columns(t, a);
    carry(out, t);
}

/* a^2 + b, of a loose a and what opposite makes. */
static __attribute__((noinline)) void square_plus(element_t *out, const element_t *a, const element_t *b) {
    wide t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += b->limb[i];
    carry(out, t);
}

/* 2 a^2 + b, of a tight a and a loose b. */
static __attribute__((noinline)) void twice_square_plus(element_t *out, const element_t *a, const element_t *b) {
    wide t[N];
    square_columns(t, a);
    UNROLL for (int i = 0; i < N; i++) t[i] += t[i] + b->limb[i];
    carry(out, t);
}

/* a * factor + b, of a loose a, a factor below 2^17 and a tight b. */
static __attribute__((noinline)) void times_plus(element_t *out, const element_t *a, uint64_t factor,
                                                 const element_t *b) {
    wide t[N];
    UNROLL for (int i = 0; i < N; i++) t[i] = product(a->limb[i], broadcast(factor)) + b->limb[i];
    carry(out, t);
}

#ifndef SECAGG_INTERVALS
/* Lane l := the element from[l][N]. */
static inline void gather(element_t *out, const limb_t *const from[LANES]) { memcpy(out, from[0], sizeof *out); }
#endif

#endif
