/* shamir.c: Shamir's t-out-of-n sharing over Z_q (Bonawitz et al., section 3.1), many secrets at a time.
 *
 * x-coordinates and what follows from them alone (powers, Lagrange coefficients) are public, and code here may branch
 * on them.  It never does on a secret, a polynomial's coefficient or a share. */
#include <stdlib.h>

#include "scalar.h"
#include "secagg.h"
#include "wipe.h"

/* Secrets combined together: their sums (10 KB) stay in L1 while each row of shares is read in one long run. */
#define BLOCK 32

static scalar_t scalar_at(const uint8_t *scalars, size_t i) { return scalar_load(scalars + i * SECAGG_SCALAR_BYTES); }

static void scalar_put(uint8_t *scalars, size_t i, const scalar_t *a) {
    scalar_store(scalars + i * SECAGG_SCALAR_BYTES, a);
}

int secagg_scalars_check(const uint8_t *scalars, size_t n) {
    uint64_t exceeds = 0;
    for (size_t i = 0; i < n; i++) {
        scalar_t a = scalar_at(scalars, i);
        exceeds |= scalar_exceeds(&a);
    }
    return -(int)exceeds;
}

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

static int any_zero(const uint32_t *xs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (xs[i] == 0)
            return 1;
    return 0;
}

int secagg_shamir_share(uint8_t *shares, const uint8_t *secrets, size_t s, const uint8_t *coefficients, size_t t,
                        const uint32_t *xs, size_t n) {
    if (s == 0 || t == 0 || n == 0 || any_zero(xs, n))
        return -1;
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

/* --- Lagrange coefficients --------------------------------------------------------------------------------------- */

/* A product of 32-bit factors mod q: value * pending, pending < 2^62. */
typedef struct {
    scalar_lazy_t value;
    uint64_t pending;
} product_t;

static const uint128_t NOTHING[SCALAR_LIMBS] = {0};

static inline void multiply(product_t *p, uint32_t factor) {
    if (p->pending >> 30) {
        scalar_lazy_muladd(&p->value, p->pending, NOTHING);
        p->pending = 1;
    }
    p->pending *= factor;
}

static scalar_t finish(product_t *p) {
    scalar_lazy_muladd(&p->value, p->pending, NOTHING);
    return secagg_scalar_from_lazy(&p->value);
}

/* The product of all xs. */
static scalar_t numerator(const uint32_t *xs, size_t t) {
    product_t p = {{{1}}, 1};
    for (size_t j = 0; j < t; j++)
        multiply(&p, xs[j]);
    return finish(&p);
}

/* xs[i] * product over j != i of (xs[j] - xs[i]): 0 if xs[i] is 0 or occurs twice. */
static scalar_t denominator(const uint32_t *xs, size_t t, size_t i) {
    product_t p = {{{1}}, xs[i]};
    uint32_t negative = 0;
    for (size_t j = 0; j < t; j++) {
        uint32_t below = xs[j] < xs[i];
        uint32_t distance = below ? xs[i] - xs[j] : xs[j] - xs[i];
        negative ^= below;
        multiply(&p, j == i ? 1 : distance);
    }
    scalar_t magnitude = finish(&p);
    return negative ? secagg_scalar_negate(&magnitude) : magnitude;
}

static int is_zero(const scalar_t *a) { return (a->limb[0] | a->limb[1] | a->limb[2] | a->limb[3]) == 0; }

/* quotients[i] := a / d[i] for all i < t, with one inversion (Montgomery's trick); -1 if a d[i] is 0.  products[t] is
 * scratch. */
static int divide_by_all(uint8_t *quotients, const scalar_t *a, const scalar_t *d, scalar_t *products, size_t t) {
    products[0] = d[0];
    for (size_t i = 1; i < t; i++)
        products[i] = secagg_scalar_mul(&products[i - 1], &d[i]);
    if (is_zero(&products[t - 1]))
        return -1;
    scalar_t rest = secagg_scalar_invert(&products[t - 1]);
    rest = secagg_scalar_mul(&rest, a);
    for (size_t i = t - 1; i > 0; i--) {
        scalar_t quotient = secagg_scalar_mul(&rest, &products[i - 1]);
        scalar_put(quotients, i, &quotient);
        rest = secagg_scalar_mul(&rest, &d[i]);
    }
    scalar_put(quotients, 0, &rest);
    return 0;
}

int secagg_shamir_lagrange(uint8_t *coefficients, const uint32_t *xs, size_t t) {
    if (t == 0 || t > UINT32_MAX) /* there are not that many distinct x-coordinates */
        return -1;
    scalar_t *d = malloc(2 * t * sizeof *d);
    if (d == NULL)
        return -1;
    scalar_t a = numerator(xs, t);
    for (size_t i = 0; i < t; i++)
        d[i] = denominator(xs, t, i);
    int status = divide_by_all(coefficients, &a, d, d + t, t);
    free(d);
    return status;
}

/* --- Reconstruction ---------------------------------------------------------------------------------------------- */

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
            for (size_t k = 0; k < TERMS; k++) /* a missing term is 0 times some share */
                share[k] = scalar_at(shares, (k < terms ? i + k : i) * stride + j);
            scalar_sum_muladd(&sum[j], split, share, TERMS);
        }
    }
}

/* secagg_shamir_combine for `count` of the `s` secrets. */
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

int secagg_shamir_combine(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s) {
    if (t == 0 || s == 0)
        return -1;
    for (size_t j = 0; j < s; j += BLOCK)
        combine_block(secrets + j * SECAGG_SCALAR_BYTES, coefficients, shares + j * SECAGG_SCALAR_BYTES, t, s,
                      s - j < BLOCK ? s - j : BLOCK);
    return 0;
}
