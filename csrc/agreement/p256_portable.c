/* p256_portable.c: one point at a time, on 64-bit limbs. */
#include "p256_products.h"

#define LANES 1
#define DOUBLINGS 0

typedef field_t element_t;

static inline void spread(element_t *out, const field_t lane[LANES]) { *out = lane[0]; }
static inline void collect(field_t lane[LANES], const element_t *a) { lane[0] = *a; }

static void plus(element_t *out, const element_t *a, const element_t *b) { *out = field_add(a, b); }
static void minus(element_t *out, const element_t *a, const element_t *b) { *out = field_subtract(a, b); }
static void multiply(element_t *out, const element_t *a, const element_t *b) { *out = field_multiply(a, b); }

static void multiply_minus(element_t *out, const element_t *a, const element_t *b, const element_t *c) {
    element_t product = field_multiply(a, b);
    *out = field_subtract(&product, c);
}

#include "p256_products.inc"

const struct p256_kernel secagg_p256_portable = {LANES, scratch_bytes, products};
