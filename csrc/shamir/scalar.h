/* scalar.h: arithmetic in Z_q, q = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551, the order of
 * the P-256 group (SEC 2, section 2.4.2).
 *
 * Numbers are little-endian arrays of 64-bit limbs.  Reduction rests on one congruence:
 *
 *     2^256 = F  mod q,  F = 2^256 - q < 2^224,  with limbs F0, F1, 0, 2^32 - 1,
 *
 * so a limb h of weight 2^256 is replaced by h * F: three limb products, of which one is a shift.  Every function
 * takes any scalar, reduced or not, and none branches on one. */
#ifndef SECAGG_SCALAR_H
#define SECAGG_SCALAR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "barrier.h"
#include "kernel.h"

#define SCALAR_LIMBS 4

typedef struct {
    uint64_t limb[SCALAR_LIMBS];
} scalar_t;

#define Q0 0xf3b9cac2fc632551u
#define Q1 0xbce6faada7179e84u
#define Q2 0xffffffffffffffffu
#define Q3 0xffffffff00000000u
#define F0 (-Q0)
#define F1 (~Q1)
#define F3 (~Q3)

static inline uint64_t load64_be(const uint8_t *in) {
    uint64_t word;
    memcpy(&word, in, sizeof word);
    return __builtin_bswap64(word);
}

static inline void store64_be(uint8_t *out, uint64_t word) {
    word = __builtin_bswap64(word);
    memcpy(out, &word, sizeof word);
}

static inline scalar_t scalar_load(const uint8_t *in) {
    return (scalar_t){{load64_be(in + 24), load64_be(in + 16), load64_be(in + 8), load64_be(in)}};
}

static inline void scalar_store(uint8_t *out, const scalar_t *a) {
    for (int i = 0; i < SCALAR_LIMBS; i++)
        store64_be(out + 8 * i, a->limb[SCALAR_LIMBS - 1 - i]);
}

/* 1 if a >= q, that is, if a + F passes 2^256; else 0. */
static inline uint64_t scalar_exceeds(const scalar_t *a) {
    uint128_t sum = (uint128_t)a->limb[0] + F0;
    sum = (sum >> 64) + a->limb[1] + F1;
    sum = (sum >> 64) + a->limb[2];
    sum = (sum >> 64) + a->limb[3] + F3;
    return (uint64_t)(sum >> 64);
}

/* v := v mod 2^256 + h * F for the five limbs at v, h being the fifth.  Where h can be 0 or 1 only, it is a mask. */
static inline void scalar_fold(uint64_t *v) {
    uint64_t h = value_barrier_u64(v[4]);
    uint128_t sum = (uint128_t)h * F0 + v[0];
    v[0] = (uint64_t)sum;
    sum = (uint128_t)h * F1 + v[1] + (uint64_t)(sum >> 64);
    v[1] = (uint64_t)sum;
    sum = (sum >> 64) + v[2];
    v[2] = (uint64_t)sum;
    sum = (sum >> 64) + (uint128_t)h * F3 + v[3];
    v[3] = (uint64_t)sum;
    v[4] = (uint64_t)(sum >> 64);
}

/* --- Lazy numbers: reduced below 2^256 + q only ------------------------------------------------------------------- */

typedef struct {
    uint64_t limb[SCALAR_LIMBS + 1]; /* the last is 0 or 1 */
} scalar_lazy_t;

/* a := a * m + sum over l of column[l] * 2^(64 l)  mod q, for m < 2^62 and column[l] < 2^126.
 *
 * No sum passes 2^128, and the fifth limb gets at most 2^62 + 2^63.  One fold leaves at most 2^32 there, and a second
 * leaves a number below 2^256 + 2^32 * F < 2^256 + q. */
static inline void scalar_lazy_muladd(scalar_lazy_t *a, uint64_t m, const uint128_t column[SCALAR_LIMBS]) {
    uint64_t *v = a->limb;
    uint128_t sum = 0;
    UNROLL for (int l = 0; l < SCALAR_LIMBS; l++) {
        sum = (sum >> 64) + (uint128_t)v[l] * m + column[l];
        v[l] = (uint64_t)sum;
    }
    v[4] = v[4] * m + (uint64_t)(sum >> 64);
    scalar_fold(v);
    scalar_fold(v);
}

scalar_t secagg_scalar_from_lazy(const scalar_lazy_t *a);

/* --- Sums of products -------------------------------------------------------------------------------------------- */

#define SPLIT_LIMBS 5
#define SPLIT_BITS 52

/* A scalar in limbs of 52 bits: their products with 64-bit limbs leave room to add 2^12 of them without carries. */
typedef struct {
    uint64_t limb[SPLIT_LIMBS];
} scalar_split_t;

#define SCALAR_SUM_TERMS 4096

/* The sum of at most 2^12 products, column[i][l] having weight 2^(52 i + 64 l). */
typedef struct {
    uint128_t column[SPLIT_LIMBS][SCALAR_LIMBS];
} scalar_sum_t;

scalar_split_t secagg_scalar_split(const scalar_t *a);

/* sum := sum + a[0] * b[0] + ... + a[terms - 1] * b[terms - 1], for a constant number of terms: each column is read and
 * written once for all of them. */
static inline void scalar_sum_muladd(scalar_sum_t *sum, const scalar_split_t *a, const scalar_t *b, int terms) {
    UNROLL for (int i = 0; i < SPLIT_LIMBS; i++) UNROLL for (int l = 0; l < SCALAR_LIMBS; l++) {
        uint128_t column = sum->column[i][l];
        _Pragma("GCC unroll 8") for (int k = 0; k < terms; k++) column += (uint128_t)a[k].limb[i] * b[k].limb[l];
        sum->column[i][l] = column;
    }
}

scalar_t secagg_scalar_from_sum(const scalar_sum_t *sum);

/* --- Reduced numbers ---------------------------------------------------------------------------------------------- */

/* a + b mod q, for a, b < q. */
scalar_t secagg_scalar_add(const scalar_t *a, const scalar_t *b);

/* q - a, for a < q: -a mod q, though not reduced for a = 0. */
scalar_t secagg_scalar_negate(const scalar_t *a);

/* a * b mod q. */
scalar_t secagg_scalar_mul(const scalar_t *a, const scalar_t *b);

/* 1 / a mod q; 0 for a = 0.  Temporaries are not erased: it is for what x-coordinates alone decide. */
scalar_t secagg_scalar_invert(const scalar_t *a);

#endif
