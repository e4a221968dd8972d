/* shamir_portable.c: one share, or one secret, at a time. */
#include "lagrange.h"
#include "secagg.h"
#include "shamir_kernel.h"
#include "wipe.h"

/* Secrets combined together: their sums (10 KB) stay in L1 while each row of shares is read in one long run. */
#define BLOCK 32

/* --- Sharing ----------------------------------------------------------------------------------------------------- */

#define MAX_TERMS 8

/* x^0 .. x^terms, all below 2^62: Horner's rule takes `terms` coefficients a step. */
typedef struct {
    size_t terms;
    uint64_t power[MAX_TERMS + 1];
} powers_t;

static powers_t powers_of(uint32_t x) {
    powers_t p = {1, {1, x}};
    while (p.terms < MAX_TERMS && p.power[p.terms] < (1ull << 62) / x) {
        p.power[p.terms + 1] = p.power[p.terms] * x;
        p.terms++;
    }
    return p;
}

/* The polynomial secret + coefficients[0] * x + ... + coefficients[t-2] * x^(t-1). */
static scalar_t evaluate(const uint8_t *secret, const uint8_t *coefficients, size_t t, const powers_t *x) {
    scalar_lazy_t value = {{0}};
    uint128_t column[SCALAR_LIMBS];
    size_t end = t;
    while (end > 0) {
        size_t start = (end - 1) / x->terms * x->terms;
        memset(column, 0, sizeof column);
        for (size_t k = start; k < end; k++) {
            scalar_t term = k == 0 ? scalar_load(secret) : scalar_at(coefficients, k - 1);
            UNROLL for (int l = 0; l < SCALAR_LIMBS; l++) column[l] += (uint128_t)term.limb[l] * x->power[k - start];
        }
        scalar_lazy_muladd(&value, x->power[x->terms], column);
        end = start;
    }
    scalar_t result = secagg_scalar_from_lazy(&value);
    wipe(&value, sizeof value);
    wipe(column, sizeof column);
    return result;
}

static int share(uint8_t *shares, const uint8_t *secrets, size_t s, const uint8_t *coefficients, size_t t,
                 const uint32_t *xs, size_t n) {
    scalar_t share;
    for (size_t i = 0; i < n; i++) {
        powers_t x = powers_of(xs[i]);
        for (size_t j = 0; j < s; j++) {
            const uint8_t *of_secret = t == 1 ? NULL : coefficients + j * (t - 1) * SECAGG_SCALAR_BYTES;
            share = evaluate(secrets + j * SECAGG_SCALAR_BYTES, of_secret, t, &x);
            scalar_put(shares, i * s + j, &share);
        }
    }
    wipe(&share, sizeof share);
    return 0;
}

/* --- Reconstruction from common x-coordinates -------------------------------------------------------------------- */

#define TERMS 8 /* products that are added up before they go to a sum in memory */

/* sum[j] := sum over i < t of coefficients[i] * shares[i * stride + j], for j < count <= BLOCK and t <= 2^12. */
static void sum_products(scalar_sum_t *sum, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t stride,
                         size_t count) {
    memset(sum, 0, count * sizeof *sum);
    for (size_t i = 0; i < t; i += TERMS) {
        size_t terms = t - i < TERMS ? t - i : TERMS;
        scalar_split_t split[TERMS] = {{{0}}};
        for (size_t k = 0; k < terms; k++) {
            scalar_t coefficient = scalar_at(coefficients, i + k);
            split[k] = secagg_scalar_split(&coefficient);
        }
        for (size_t j = 0; j < count; j++) {
            scalar_t share[TERMS];
            for (size_t k = 0; k < TERMS; k++) { /* a missing term is 0 times some share */
                share[k] = scalar_at(shares, (k < terms ? i + k : i) * stride + j);
                if (i + TERMS + k < t)
                    __builtin_prefetch(shares + ((i + TERMS + k) * stride + j) * SECAGG_SCALAR_BYTES);
            }
            scalar_sum_muladd(&sum[j], split, share, TERMS);
        }
    }
}

/* secagg_shamir_combine for `count` <= BLOCK of the `s` secrets. */
static void combine_block(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s,
                          size_t count) {
    scalar_t secret[BLOCK] = {{{0}}}, part;
    scalar_sum_t sum[BLOCK];
    for (size_t i = 0; i < t; i += SCALAR_SUM_TERMS) {
        size_t terms = t - i < SCALAR_SUM_TERMS ? t - i : SCALAR_SUM_TERMS;
        sum_products(sum, coefficients + i * SECAGG_SCALAR_BYTES, shares + i * s * SECAGG_SCALAR_BYTES, terms, s,
                     count);
        for (size_t j = 0; j < count; j++) {
            part = secagg_scalar_from_sum(&sum[j]);
            secret[j] = secagg_scalar_add(&secret[j], &part);
        }
    }
    for (size_t j = 0; j < count; j++)
        scalar_put(secrets, j, &secret[j]);
    wipe(secret, sizeof secret);
    wipe(&part, sizeof part);
    wipe(sum, sizeof sum);
}

static void combine(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s) {
    for (size_t j = 0; j < s; j += BLOCK)
        combine_block(secrets + j * SECAGG_SCALAR_BYTES, coefficients, shares + j * SECAGG_SCALAR_BYTES, t, s,
                      s - j < BLOCK ? s - j : BLOCK);
}

/* --- Reconstruction from x-coordinates of each secret's own ------------------------------------------------------- */

static int fractions(uint8_t *above, uint8_t *below, const uint32_t *xs, unsigned bits, const uint8_t *shares, size_t t,
                     size_t s) {
    scalar_t a, b, share;
    for (size_t j = 0; j < s; j++, xs += t, shares += t * SECAGG_SCALAR_BYTES) {
        a = (scalar_t){{0}};
        b = (scalar_t){{1}};
        for (size_t i = 0; i < t; i++) { /* a / b + share / d */
            scalar_t d = secagg_lagrange_denominator(xs, t, i, bits);
            share = scalar_at(shares, i);
            share = secagg_scalar_mul(&share, &b);
            a = secagg_scalar_mul(&a, &d);
            a = secagg_scalar_add(&a, &share);
            b = secagg_scalar_mul(&b, &d);
        }
        scalar_t product = secagg_lagrange_numerator(xs, t, bits);
        a = secagg_scalar_mul(&a, &product);
        scalar_put(above, j, &a);
        scalar_put(below, j, &b);
    }
    wipe(&a, sizeof a);
    wipe(&share, sizeof share);
    return 0;
}

const struct shamir_kernel secagg_shamir_portable = {share, combine, fractions};
