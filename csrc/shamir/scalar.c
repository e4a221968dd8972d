/* scalar.c: the parts of Z_q arithmetic that no inner loop needs. */
#include "scalar.h"

#include "wipe.h"

/* v mod q for five limbs v < 2^256 + q, which are destroyed.  One fold brings it below 2^256 < 2q. */
static scalar_t reduce(uint64_t v[SCALAR_LIMBS + 1]) {
    scalar_t a;
    scalar_fold(v);
    memcpy(&a, v, sizeof a);
    v[4] = scalar_exceeds(&a);
    scalar_fold(v); /* adds F, and 2^256 goes to the limb that is left behind: minus q */
    memcpy(&a, v, sizeof a);
    return a;
}

scalar_t secagg_scalar_from_lazy(const scalar_lazy_t *a) {
    scalar_lazy_t v = *a;
    scalar_t result = reduce(v.limb);
    wipe(&v, sizeof v);
    return result;
}

scalar_split_t secagg_scalar_split(const scalar_t *a) {
    const uint64_t mask = (1ull << SPLIT_BITS) - 1, *v = a->limb;
    return (scalar_split_t){{
        v[0] & mask,
        (v[0] >> 52 | v[1] << 12) & mask,
        (v[1] >> 40 | v[2] << 24) & mask,
        (v[2] >> 28 | v[3] << 36) & mask,
        v[3] >> 16,
    }};
}

/* Horner's rule over the rows, for the low and the high halves of the columns apart; then low + 2^64 * high. */
scalar_t secagg_scalar_from_sum(const scalar_sum_t *sum) {
    scalar_lazy_t low = {{0}}, high = {{0}};
    uint128_t column[SCALAR_LIMBS] = {0};
    for (int i = SPLIT_LIMBS - 1; i >= 0; i--) {
        for (int l = 0; l < SCALAR_LIMBS; l++)
            column[l] = (uint64_t)sum->column[i][l];
        scalar_lazy_muladd(&low, 1ull << SPLIT_BITS, column);
        for (int l = 0; l < SCALAR_LIMBS; l++)
            column[l] = sum->column[i][l] >> 64;
        scalar_lazy_muladd(&high, 1ull << SPLIT_BITS, column);
    }
    scalar_t a = secagg_scalar_from_lazy(&low);
    memset(column, 0, sizeof column);
    scalar_lazy_muladd(&high, 1ull << 32, column);
    for (int l = 0; l < SCALAR_LIMBS; l++)
        column[l] = a.limb[l];
    scalar_lazy_muladd(&high, 1ull << 32, column);
    a = secagg_scalar_from_lazy(&high);
    wipe(&low, sizeof low);
    wipe(&high, sizeof high);
    wipe(column, sizeof column);
    return a;
}

scalar_t secagg_scalar_add(const scalar_t *a, const scalar_t *b) {
    uint64_t v[SCALAR_LIMBS + 1];
    uint128_t sum = 0;
    for (int l = 0; l < SCALAR_LIMBS; l++) {
        sum = (sum >> 64) + a->limb[l] + b->limb[l];
        v[l] = (uint64_t)sum;
    }
    v[4] = (uint64_t)(sum >> 64);
    scalar_t result = reduce(v);
    wipe(v, sizeof v);
    return result;
}

/* q + (2^256 - 1 - a) + 1, without the carry out. */
scalar_t secagg_scalar_negate(const scalar_t *a) {
    static const uint64_t q[SCALAR_LIMBS] = {Q0, Q1, Q2, Q3};
    scalar_t result;
    uint128_t sum = (uint128_t)1 << 64;
    for (int l = 0; l < SCALAR_LIMBS; l++) {
        sum = (sum >> 64) + q[l] + ~a->limb[l];
        result.limb[l] = (uint64_t)sum;
    }
    return result;
}

/* Horner's rule over the 52-bit limbs of b. */
scalar_t secagg_scalar_mul(const scalar_t *a, const scalar_t *b) {
    scalar_split_t split = secagg_scalar_split(b);
    scalar_lazy_t product = {{0}};
    uint128_t column[SCALAR_LIMBS];
    for (int i = SPLIT_LIMBS - 1; i >= 0; i--) {
        for (int l = 0; l < SCALAR_LIMBS; l++)
            column[l] = (uint128_t)a->limb[l] * split.limb[i];
        scalar_lazy_muladd(&product, 1ull << SPLIT_BITS, column);
    }
    scalar_t result = secagg_scalar_from_lazy(&product);
    wipe(&split, sizeof split);
    wipe(&product, sizeof product);
    wipe(column, sizeof column);
    return result;
}

/* Fermat: a^(q-2).  The exponent is public. */
scalar_t secagg_scalar_invert(const scalar_t *a) {
    static const uint64_t exponent[SCALAR_LIMBS] = {Q0 - 2, Q1, Q2, Q3};
    scalar_t power = {{1}};
    for (int bit = 255; bit >= 0; bit--) {
        power = secagg_scalar_mul(&power, &power);
        if (exponent[bit / 64] >> (bit % 64) & 1)
            power = secagg_scalar_mul(&power, a);
    }
    return power;
}
