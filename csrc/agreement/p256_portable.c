/* p256_portable.c: one point at a time, on 64-bit limbs.  Operations are calls: inlined, they would take three times the
 * code and gain little. */
#include "p256_kernel.h"

#define LANES 1
#define DOUBLINGS 0

#define N LIMBS

typedef uint64_t vec;
typedef uint64_t limb_t;
typedef field_t element_t;

static inline vec broadcast(uint64_t a) { return a; }
static inline uint64_t lane_of(vec a, size_t l) { return l ? 0 : a; }
static inline vec hidden(vec a) { return value_barrier_u64(a); }

static inline void spread(element_t *out, const field_t lane[LANES]) { *out = lane[0]; }
static inline void collect(field_t lane[LANES], const element_t *a) { lane[0] = *a; }

/* Calls cost nothing beside the products, and inlined sums made this file three times as long. */
#define FORMULA static __attribute__((noinline)) void

FORMULA plus(element_t *out, const element_t *a, const element_t *b) { *out = field_add(a, b); }
FORMULA minus(element_t *out, const element_t *a, const element_t *b) { *out = field_subtract(a, b); }
static void subtract(element_t *out, const element_t *a, const element_t *b) { minus(out, a, b); }
static void multiply(element_t *out, const element_t *a, const element_t *b) { *out = field_multiply(a, b); }
static void square(element_t *out, const element_t *a) { *out = field_multiply(a, a); }

FORMULA multiply_minus(element_t *out, const element_t *a, const element_t *b, const element_t *c) {
    element_t product = field_multiply(a, b);
    *out = field_subtract(&product, c);
}

static void square_minus(element_t *out, const element_t *a, const element_t *c) { multiply_minus(out, a, a, c); }

FORMULA multiply_triple(element_t *out, const element_t *a, const element_t *b) {
    element_t product = field_multiply(a, b), twice = field_add(&product, &product);
    *out = field_add(&twice, &product);
}

#include "p256_kernel.inc"

const struct p256_kernel secagg_p256_portable = KERNEL_OF_ALL;
