/* field128.h: one element of Field128, p = 2^128 - 28 * 2^64 + 1.
 *
 * The kernels multiply data, which are canonical, by constants in "form", Montgomery's with R = 2^128: the product is
 * canonical again.  All functions take and return values below p, and take the same time for all. */
#ifndef SECAGG_FIELD128_H
#define SECAGG_FIELD128_H

#include <stdint.h>

#include "barrier.h"
#include "kernel.h"

typedef struct {
    uint64_t low, high;
} fe_t;

enum { FE_WORDS = 2, FE_TWO_ADICITY = 66 };

#define FE_P ((uint128_t)0xffffffffffffffe4 << 64 | 1)
#define FE_EPSILON ((uint128_t)0x1b << 64 | 0xffffffffffffffff) /* 2^128 mod p = 28 * 2^64 - 1 */

static const fe_t fe_zero = {0, 0}, fe_one = {1, 0}, fe_one_form = {0xffffffffffffffff, 0x1b};
static const fe_t fe_square_of_r = {0xfffffffffffffcf1, 0x5587};
static const fe_t fe_generator_form = {0xf0111fb98c6b9875, 0x50f8f7f554db309c}; /* 7^(2^62 - 7), of order 2^66 */
static const fe_t fe_half_form = {0, 0x8000000000000000};

static inline uint128_t fe_wide(fe_t a) { return (uint128_t)a.high << 64 | a.low; }

static inline fe_t fe_narrow(uint128_t a) { return (fe_t){(uint64_t)a, (uint64_t)(a >> 64)}; }

static inline uint64_t fe_excess(const uint64_t *a) { return ((uint128_t)a[1] << 64 | a[0]) >= FE_P; }

/* a - b mod p, for a < 2p and b < p where the difference is below p. */
static inline fe_t fe_difference(uint128_t a, uint128_t b) { return fe_narrow(a - b + (FE_P & mask_u128(a < b))); }

/* Montgomery's reduction of low + 2^128 * high: `plus` - `minus` is the whole over R, if plus + high does not wrap.
 * As p = 1 mod 2^64, each of the two steps takes the lowest word times p away and shifts. */
static inline void fe_reduce(uint128_t low, uint128_t *plus, uint128_t *minus) {
    uint64_t q0 = (uint64_t)low;
    uint128_t shifted = (uint128_t)28 * q0 + (uint64_t)(low >> 64);
    uint64_t q1 = (uint64_t)shifted;
    *plus = (uint128_t)28 * q1 + (uint64_t)(shifted >> 64);
    *minus = (uint128_t)q1 << 64 | q0;
}

static inline void fe_product(fe_t a, fe_t b, uint128_t *low, uint128_t *high) {
    uint128_t p00 = (uint128_t)a.low * b.low, p01 = (uint128_t)a.low * b.high;
    uint128_t p10 = (uint128_t)a.high * b.low, p11 = (uint128_t)a.high * b.high;
    uint128_t middle = (p00 >> 64) + (uint64_t)p01 + p10; /* at most 2^128 - 1 */
    *low = middle << 64 | (uint64_t)p00;
    *high = p11 + (p01 >> 64) + (middle >> 64);
}

/* A sum of fewer than 2^30 products, or of as many elements. */
typedef struct {
    uint64_t word[5];
} fe_sum_t;

static inline uint128_t fe_sum_low(const fe_sum_t *sum) { return (uint128_t)sum->word[1] << 64 | sum->word[0]; }

static inline uint128_t fe_sum_high(const fe_sum_t *sum) { return (uint128_t)sum->word[3] << 64 | sum->word[2]; }

/* What kernels spend their time on.  gcc 12 makes code of the C below that takes 1.4 times as long as the assembly;
 * clang's is as fast. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(SECAGG_FIELD_IN_C)
#include "field128_x86.h"
#else

static inline fe_t fe_add(fe_t a, fe_t b) { return fe_difference(fe_wide(a), FE_P - fe_wide(b)); }

static inline fe_t fe_sub(fe_t a, fe_t b) { return fe_difference(fe_wide(a), fe_wide(b)); }

/* a * b / R: with b in form, the product, in the form that a is. */
static inline fe_t fe_mul(fe_t a, fe_t b) {
    uint128_t low, high, plus, minus;
    fe_product(a, b, &low, &high);
    fe_reduce(low, &plus, &minus);
    return fe_difference(high + plus, minus); /* high <= p^2 / 2^128 leaves room for plus < 2^69 */
}

/* sum += a * b */
static inline void fe_sum_muladd(fe_sum_t *sum, fe_t a, fe_t b) {
    uint128_t low, high, sum_low = fe_sum_low(sum), sum_high = fe_sum_high(sum);
    fe_product(a, b, &low, &high);
    sum_low += low;
    high += sum_low < low; /* high < 2^128 - 1 */
    sum_high += high;
    *sum = (fe_sum_t){{(uint64_t)sum_low, (uint64_t)(sum_low >> 64), (uint64_t)sum_high, (uint64_t)(sum_high >> 64),
                       sum->word[4] + (sum_high < high)}};
}

#endif

/* a in form. */
static inline fe_t fe_enter(fe_t a) { return fe_mul(a, fe_square_of_r); }

/* 1 if a is 0, else 0. */
static inline uint64_t fe_is_zero(fe_t a) { return (uint64_t)((a.low | a.high) == 0); }

/* sum += a */
static inline void fe_sum_add(fe_sum_t *sum, fe_t a) {
    uint128_t low = fe_sum_low(sum) + fe_wide(a);
    sum->word[0] = (uint64_t)low;
    sum->word[1] = (uint64_t)(low >> 64);
    sum->word[2] += low < fe_wide(a);
}

/* The sum over R: with one operand of each product in form, the sum of the products in the other's. */
static inline fe_t fe_from_sum(const fe_sum_t *sum) {
    uint128_t high = fe_sum_high(sum), plus, minus;
    fe_reduce(fe_sum_low(sum), &plus, &minus);
    plus += high;
    uint128_t y = plus - minus;
    /* What left and entered at 2^128, plus 1 so as not to be negative. */
    uint64_t wraps = value_barrier_u64(sum->word[4] + 1 + (plus < high) - (plus < minus));
    uint128_t more = FE_EPSILON * wraps;
    y += more;
    y += FE_EPSILON & mask_u128(y < more);
    return fe_difference(y, FE_EPSILON); /* y <= p - 1 + FE_EPSILON */
}

#endif
