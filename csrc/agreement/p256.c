/* p256.c: public keys of the curve P-256, y^2 = x^3 - 3x + b over F_p (SP 800-186, section 3.2.1.3), and their
 * multiples by revealed private keys.  Nobody's secret is seen here, so that time may depend on all of it. */
#include <stdlib.h>
#include <string.h>

#include "isa.h"
#include "p256_products.h"

static const field_t R_SQUARED = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
static const field_t B = {{0xd89cdf6229c4bddf, 0xacf005cd78843090, 0xe5a220abf7212ed6, 0xdc30061d04874834}};

/* --- Lifting ----------------------------------------------------------------------------------------------------- */

/* x^3 - 3x + b = x (x^2 - 3) + b. */
static field_t curve(const field_t *x) {
    field_t square = field_multiply(x, x), three = field_add(&ONE, &ONE);
    three = field_add(&three, &ONE);
    square = field_subtract(&square, &three);
    square = field_multiply(&square, x);
    return field_add(&square, &B);
}

/* The point with this x-coordinate and one of its two y; 0 if there is none. */
static int lift(affine_t *point, const uint8_t *in) {
    field_t x = field_load(in), less;
    if (!subtract_limbs(&less, &x, &P))
        return 0;
    point->x = field_multiply(&x, &R_SQUARED);
    field_t y_squared = curve(&point->x);
    point->y = field_square_root(&y_squared);
    field_t check = field_multiply(&point->y, &point->y);
    return memcmp(&check, &y_squared, sizeof check) == 0;
}

static void store_even(uint8_t *out, const field_t *y) {
    field_t even = field_multiply(y, &(field_t){{1}});
    if (even.limb[0] & 1)
        subtract_limbs(&even, &P, &even);
    field_store(out, &even);
}

int secagg_p256_lift(uint8_t *ys, uint8_t *valid, const uint8_t *xs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        affine_t point;
        valid[i] = (uint8_t)lift(&point, xs + SECAGG_SCALAR_BYTES * i);
        if (valid[i])
            store_even(ys + SECAGG_SCALAR_BYTES * i, &point.y);
    }
    return 0;
}

/* --- Agreement --------------------------------------------------------------------------------------------------- */

/* The generator, which stands where there is no point. */
static const affine_t G = {
    {{0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6}},
    {{0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85}},
};

#define MAX_LANES 8
#define ALIGNMENT 64

/* Products of the scalars and of `count` points, at most a kernel's lanes. */
static void agree(uint8_t *agreed, uint8_t *valid, const struct p256_kernel *use, const struct p256_plan *plan,
                  size_t d, const uint8_t *xs, size_t count, field_t *products, void *scratch) {
    affine_t points[MAX_LANES];
    uint8_t failed[MAX_LANES];
    for (size_t l = 0; l < use->lanes; l++) {
        int is_point = l < count && lift(&points[l], xs + SECAGG_SCALAR_BYTES * l);
        if (!is_point)
            points[l] = G;
        if (l < count)
            valid[l] = (uint8_t)is_point;
    }
    use->products(products, failed, plan, d, points, scratch);
    for (size_t l = 0; l < count; l++) {
        valid[l] &= !failed[l];
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
    size_t bytes = (use->scratch_bytes(plan) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *scratch = aligned_alloc(ALIGNMENT, bytes);
    field_t *products = malloc(use->lanes * d * sizeof *products);
    int status = scratch && products ? 0 : -1;
    for (size_t done = 0; status == 0 && done < n; done += use->lanes) {
        size_t count = n - done < use->lanes ? n - done : use->lanes;
        agree(agreed + SECAGG_SCALAR_BYTES * d * done, valid + done, use, plan, d, xs + SECAGG_SCALAR_BYTES * done,
              count, products, scratch);
    }
    free(products);
    free(scratch);
    secagg_p256_plan_free(plan);
    return status;
}
