/* shamir.c: Shamir's t-out-of-n sharing over Z_q (Bonawitz et al., section 3.1), many secrets at a time.
 *
 * x-coordinates and what follows from them alone (powers, Lagrange coefficients) are public, and code here may branch
 * on them.  It never does on a secret, a polynomial's coefficient or a share. */
#include "isa.h"
#include "lagrange.h"
#include "secagg.h"
#include "shamir_kernel.h"
#include "wipe.h"

static const struct shamir_kernel *kernel(void) { return secagg_isa_row(SECAGG_SHAMIR)->shamir; }

int secagg_scalars_check(const uint8_t *scalars, size_t n) {
    uint64_t exceeds = 0;
    for (size_t i = 0; i < n; i++) {
        scalar_t a = scalar_at(scalars, i);
        exceeds |= scalar_exceeds(&a);
    }
    return -(int)exceeds;
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
    return kernel()->share(shares, secrets, s, coefficients, t, xs, n);
}

int secagg_shamir_combine(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s) {
    if (t == 0 || s == 0)
        return -1;
    kernel()->combine(secrets, coefficients, shares, t, s);
    return 0;
}

#define BATCH 128 /* secrets whose fractions are divided with one inversion */

/* secagg_shamir_reconstruct for s <= BATCH. */
static int reconstruct(uint8_t *secrets, const uint32_t *xs, unsigned bits, const uint8_t *shares, size_t t, size_t s) {
    const scalar_t one = {{1}};
    uint8_t above[BATCH * SECAGG_SCALAR_BYTES], below[BATCH * SECAGG_SCALAR_BYTES];
    scalar_t divisor[BATCH], inverse[BATCH], secret;
    if (kernel()->fractions(above, below, xs, bits, shares, t, s))
        return -1;
    for (size_t j = 0; j < s; j++)
        divisor[j] = scalar_at(below, j);
    int status = secagg_lagrange_divide(inverse, &one, divisor, s);
    for (size_t j = 0; j < s && status == 0; j++) {
        secret = scalar_at(above, j);
        secret = secagg_scalar_mul(&secret, &inverse[j]);
        scalar_put(secrets, j, &secret);
    }
    wipe(above, sizeof above);
    wipe(&secret, sizeof secret);
    return status;
}

int secagg_shamir_reconstruct(uint8_t *secrets, const uint32_t *xs, const uint8_t *shares, size_t t, size_t s) {
    if (t == 0 || s == 0 || t > UINT32_MAX)
        return -1;
    unsigned bits = secagg_lagrange_bits(xs, s * t);
    for (size_t j = 0; j < s; j += BATCH)
        if (reconstruct(secrets + j * SECAGG_SCALAR_BYTES, xs + j * t, bits, shares + j * t * SECAGG_SCALAR_BYTES, t,
                        s - j < BATCH ? s - j : BATCH))
            return -1;
    return 0;
}
