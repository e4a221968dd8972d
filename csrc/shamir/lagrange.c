/* lagrange.c: Lagrange's basis polynomials at 0, as fractions with small factors. */
#include "lagrange.h"

#include <stdlib.h>

#include "secagg.h"

unsigned secagg_lagrange_bits(const uint32_t *xs, size_t n) {
    uint32_t all = 1;
    for (size_t i = 0; i < n; i++)
        all |= xs[i];
    return 32 - (unsigned)__builtin_clz(all);
}

/* A product of factors below `limit` <= 2^32, mod q: value * pending, pending < 2^62. */
typedef struct {
    scalar_lazy_t value;
    uint64_t pending, most; /* most * limit is 2^62 */
} product_t;

static const uint128_t NOTHING[SCALAR_LIMBS] = {0};

static product_t product_of(uint32_t factor, unsigned bits) { return (product_t){{{1}}, factor, 1ull << (62 - bits)}; }

static inline void multiply(product_t *p, uint32_t factor) {
    if (p->pending >= p->most) {
        scalar_lazy_muladd(&p->value, p->pending, NOTHING);
        p->pending = 1;
    }
    p->pending *= factor;
}

static scalar_t finish(product_t *p) {
    scalar_lazy_muladd(&p->value, p->pending, NOTHING);
    return secagg_scalar_from_lazy(&p->value);
}

scalar_t secagg_lagrange_numerator(const uint32_t *xs, size_t t, unsigned bits) {
    product_t p = product_of(1, bits);
    for (size_t j = 0; j < t; j++)
        multiply(&p, xs[j]);
    return finish(&p);
}

scalar_t secagg_lagrange_denominator(const uint32_t *xs, size_t t, size_t i, unsigned bits) {
    product_t p = product_of(xs[i], bits);
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

int secagg_lagrange_divide(scalar_t *quotients, const scalar_t *a, const scalar_t *d, size_t n) {
    quotients[0] = d[0]; /* at first, quotients[i] is the product of d[0] .. d[i] */
    for (size_t i = 1; i < n; i++)
        quotients[i] = secagg_scalar_mul(&quotients[i - 1], &d[i]);
    if (is_zero(&quotients[n - 1]))
        return -1;
    scalar_t rest = secagg_scalar_invert(&quotients[n - 1]);
    rest = secagg_scalar_mul(&rest, a);
    for (size_t i = n - 1; i > 0; i--) {
        quotients[i] = secagg_scalar_mul(&rest, &quotients[i - 1]);
        rest = secagg_scalar_mul(&rest, &d[i]);
    }
    quotients[0] = rest;
    return 0;
}

int secagg_shamir_lagrange(uint8_t *coefficients, const uint32_t *xs, size_t t) {
    if (t == 0 || t > UINT32_MAX) /* there are not that many distinct x-coordinates */
        return -1;
    scalar_t *d = malloc(2 * t * sizeof *d);
    if (d == NULL)
        return -1;
    unsigned bits = secagg_lagrange_bits(xs, t);
    scalar_t a = secagg_lagrange_numerator(xs, t, bits), *quotients = d + t;
    for (size_t i = 0; i < t; i++)
        d[i] = secagg_lagrange_denominator(xs, t, i, bits);
    int status = secagg_lagrange_divide(quotients, &a, d, t);
    for (size_t i = 0; i < t && status == 0; i++)
        scalar_store(coefficients + i * SECAGG_SCALAR_BYTES, &quotients[i]);
    free(d);
    return status;
}
