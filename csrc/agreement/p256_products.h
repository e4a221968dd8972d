/* p256_products.h: multiples of several points at a time, what p256.c asks of an instruction set. */
#ifndef SECAGG_P256_PRODUCTS_H
#define SECAGG_P256_PRODUCTS_H

#include "p256_field.h"
#include "p256_plan.h"

typedef struct {
    field_t x, y;
} affine_t;

struct p256_kernel {
    size_t lanes;
    size_t (*scratch_bytes)(const struct p256_plan *plan);
    /* x[lane * d + i] := x of scalar[i] * points[lane], as a number, not in Montgomery form; failed[lane] := 1, and
     * nothing said of its x, if an addition met points with equal x.  Inputs points[lanes]; outputs x[lanes * d],
     * failed[lanes]. */
    void (*products)(field_t *x, uint8_t *failed, const struct p256_plan *plan, size_t d, const affine_t *points,
                     void *scratch);
};

extern const struct p256_kernel secagg_p256_portable;
#ifdef __x86_64__
extern const struct p256_kernel secagg_p256_avx2, secagg_p256_ifma;
#endif

#endif
