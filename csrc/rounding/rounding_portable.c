/* Rounding in plain C, two numbers at a time.  floor() and rint() of the C library may branch. */
#include "rounding.h"

typedef double vec __attribute__((vector_size(16)));
typedef uint64_t words __attribute__((vector_size(16)));

enum { LANES = sizeof(vec) / sizeof(double) };

static inline vec every(double x) { return (vec){x, x}; }
static inline words widened(const uint32_t *bits) { return (words){bits[0], bits[1]}; }

/* All ones where a < b. */
static inline words less(vec a, vec b) {
    words mask = (words)(a < b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

/* a where the mask is set, else b. */
static inline vec chosen(words mask, vec a, vec b) { return (vec)(((words)a & mask) | ((words)b & ~mask)); }

static inline vec lesser(vec a, vec b) { return chosen(less(a, b), a, b); }
static inline vec greater(vec a, vec b) { return chosen(less(b, a), a, b); }

/* From 2^52 on there are whole numbers only. */
static inline vec round_to_even(vec y) {
    vec large = (vec)((words)every(0x1p52) | ((words)y & (words)every(-0.0)));
    return y + large - large;
}

static inline vec round_down(vec y) {
    vec near = round_to_even(y), magnitude = (vec)((words)y & ~(words)every(-0.0));
    vec below = near - (vec)(less(y, near) & (words)every(1));
    return chosen(less(magnitude, every(0x1p52)), below, y);
}

#include "rounding.inc"

void secagg_round_portable(uint64_t *out, const double *values, const uint8_t *drawn, size_t n,
                           const struct grid *grid) {
    round_all(out, values, drawn, n, grid);
}
