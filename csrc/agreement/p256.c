/* p256.c: public keys of the curve P-256, y^2 = x^3 - 3x + b over F_p (SP 800-186, section 3.2.1.3), and their
 * multiples by revealed private keys.  Nobody's secret is seen here, so that time may depend on all of it. */
#include <stdlib.h>

#include "isa.h"
#include "p256_kernel.h"

/* --- Lifting ----------------------------------------------------------------------------------------------------- */

/* The generator, which stands where there is no point. */
static const affine_t G = {
    {{0xf4a13945d898c296, 0x77037d812deb33a0, 0xf8bce6e563a440f2, 0x6b17d1f2e12c4247}},
    {{0xcbb6406837bf51f5, 0x2bce33576b315ece, 0x8ee7eb4a7c0f9e16, 0x4fe342e2fe1a7f9b}},
};

void secagg_p256_lift_lanes(affine_t *points, uint8_t *valid, const struct p256_kernel *use, const uint8_t *xs,
                            size_t count) {
    field_t x[P256_MAX_LANES], less;
    uint8_t below[P256_MAX_LANES] = {0};
    for (size_t l = 0; l < use->lanes; l++) {
        x[l] = l < count ? field_load(xs + SECAGG_SCALAR_BYTES * l) : G.x;
        below[l] = l < count && subtract_limbs(&less, &x[l], &P);
        if (!below[l])
            x[l] = G.x;
    }
    use->lift(points, valid, x);
    for (size_t l = 0; l < use->lanes; l++) {
        valid[l] &= below[l];
        if (!valid[l])
            points[l] = G;
    }
}

static void store_even(uint8_t *out, const field_t *y) {
    field_t even = *y;
    if (even.limb[0] & 1)
        subtract_limbs(&even, &P, &even);
    field_store(out, &even);
}

int secagg_p256_lift(uint8_t *ys, uint8_t *valid, const uint8_t *xs, size_t n) {
    const struct p256_kernel *use = secagg_isa_row(SECAGG_AGREEMENT)->agreement;
    affine_t points[P256_MAX_LANES];
    uint8_t made[P256_MAX_LANES];
    for (size_t i = 0; i < n; i++) {
        size_t l = i % use->lanes;
        if (l == 0)
            secagg_p256_lift_lanes(points, made, use, xs + SECAGG_SCALAR_BYTES * i, least(n - i, use->lanes));
        valid[i] = made[l];
        if (made[l])
            store_even(ys + SECAGG_SCALAR_BYTES * i, &points[l].y);
    }
    return 0;
}

/* --- Agreement of revealed keys ---------------------------------------------------------------------------------- */

/* Products of the scalars and of `count` points, at most a kernel's lanes. */
static void agree(uint8_t *agreed, uint8_t *valid, const struct p256_kernel *use, const struct p256_plan *plan,
                  size_t d, const uint8_t *xs, size_t count, field_t *products, void *scratch) {
    affine_t points[P256_MAX_LANES];
    uint8_t made[P256_MAX_LANES], failed[P256_MAX_LANES];
    secagg_p256_lift_lanes(points, made, use, xs, count);
    use->products(products, failed, plan, d, points, scratch);
    for (size_t l = 0; l < count; l++) {
        valid[l] = made[l] && !failed[l];
        for (size_t i = 0; i < d; i++)
            field_store(agreed + SECAGG_SCALAR_BYTES * (l * d + i), &products[l * d + i]);
    }
}

int secagg_p256_agree(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs, size_t n) {
    if (d == 0)
        return -1;
    const struct p256_kernel *use = secagg_isa_row(SECAGG_AGREEMENT)->agreement;
    struct p256_plan *plan = secagg_p256_plan_make(scalars, d);
    if (plan == NULL)
        return -1;
    size_t bytes = (use->scratch_bytes(plan) + P256_ALIGNMENT - 1) / P256_ALIGNMENT * P256_ALIGNMENT;
    void *scratch = aligned_alloc(P256_ALIGNMENT, bytes);
    field_t *products = malloc(use->lanes * d * sizeof *products);
    int status = scratch && products ? 0 : -1;
    for (size_t done = 0; status == 0 && done < n; done += use->lanes) {
        size_t count = least(n - done, use->lanes);
        agree(agreed + SECAGG_SCALAR_BYTES * d * done, valid + done, use, plan, d, xs + SECAGG_SCALAR_BYTES * done,
              count, products, scratch);
    }
    free(products);
    free(scratch);
    secagg_p256_plan_free(plan);
    return status;
}
