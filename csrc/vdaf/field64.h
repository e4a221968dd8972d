/* field64.h: one element of Field64, p = 2^64 - 2^32 + 1.
 *
 * The kernels multiply data, which are canonical, by constants in "form": here the same, as 2^64 = 2^32 - 1 and
 * 2^96 = -1 mod p reduce a product without Montgomery's trick.  All functions take and return values below p, and take
 * the same time for all. */
#ifndef SECAGG_FIELD64_H
#define SECAGG_FIELD64_H

#include <stdint.h>

#include "barrier.h"
#include "kernel.h"

typedef struct {
    uint64_t word;
} fe_t;

enum { FE_WORDS = 1, FE_TWO_ADICITY = 32 };

#define FE_P 0xffffffff00000001u
#define FE_EPSILON 0xffffffffu /* 2^64 mod p */

static const fe_t fe_zero = {0}, fe_one = {1}, fe_one_form = {1};
static const fe_t fe_generator_form = {0x185629dcda58878c}; /* 7^(2^32 - 1), of order 2^32 */
static const fe_t fe_half_form = {0x7fffffff80000001};

static inline uint64_t fe_excess(const uint64_t *a) { return a[0] >= FE_P; }

/* p = -FE_EPSILON mod 2^64: what borrowed takes FE_EPSILON away instead of adding p. */
static inline fe_t fe_add(fe_t a, fe_t b) {
    uint64_t gap = FE_P - b.word, difference = a.word - gap;
    return (fe_t){difference - (FE_EPSILON & mask_u64(a.word < gap))};
}

static inline fe_t fe_sub(fe_t a, fe_t b) { return (fe_t){a.word - b.word - (FE_EPSILON & mask_u64(a.word < b.word))}; }

static inline fe_t fe_from_product(uint128_t x) {
    uint64_t low = (uint64_t)x, high = (uint64_t)(x >> 64);
    uint64_t top = high >> 32, middle = (high & FE_EPSILON) * FE_EPSILON;
    uint64_t y = low - top;
    y -= FE_EPSILON & mask_u64(low < top);
    uint64_t z = y + middle;
    z += FE_EPSILON & mask_u64(z < y);
    return (fe_t){z - (FE_P & mask_u64(z >= FE_P))};
}

/* a * b, b in form: of the form that a is. */
static inline fe_t fe_mul(fe_t a, fe_t b) { return fe_from_product((uint128_t)a.word * b.word); }

/* a in form. */
static inline fe_t fe_enter(fe_t a) { return a; }

/* 1 if a is 0, else 0. */
static inline uint64_t fe_is_zero(fe_t a) { return (uint64_t)(a.word == 0); }

/* A sum of fewer than 2^30 products, or of as many elements. */
typedef struct {
    uint128_t low;
    uint64_t top;
} fe_sum_t;

static inline void fe_sum_muladd(fe_sum_t *sum, fe_t a, fe_t b) {
    uint128_t product = (uint128_t)a.word * b.word;
    sum->low += product;
    sum->top += sum->low < product;
}

static inline void fe_sum_add(fe_sum_t *sum, fe_t a) {
    sum->low += a.word;
    sum->top += sum->low < a.word;
}

/* The sum over R, which is 1 here. */
static inline fe_t fe_from_sum(const fe_sum_t *sum) {
    fe_t minus = {value_barrier_u64(sum->top) << 32}; /* 2^128 = -2^32 */
    return fe_sub(fe_from_product(sum->low), minus);
}

#endif
