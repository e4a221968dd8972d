/* Addition, subtraction and reduction mod R.  Which modulus it is may be branched on; elements never are. */
#include <string.h>

#include "barrier.h"
#include "kernel.h"
#include "modulus.h"
#include "secagg.h"

/* Barrett's reduction, because the hardware's division takes a time that depends on its operands. */
struct reciprocal {
    uint64_t R;
    uint64_t m; /* floor(2^(63 + b) / R), below 2^64 since R > 2^(b - 1) */
    unsigned shift;
};

static struct reciprocal reciprocal_of(uint64_t R) {
    unsigned bits = modulus_bits(R);
    return (struct reciprocal){R, (uint64_t)(((uint128_t)1 << (63 + bits)) / R), bits - 1};
}

/* x mod R: the quotient's estimate floor(x * m / 2^(63 + b)) is right or one too small. */
static inline uint64_t remainder_of(uint64_t x, struct reciprocal r) {
    uint64_t quotient = (uint64_t)(((uint128_t)x * r.m) >> 64) >> r.shift;
    uint64_t rest = x - quotient * r.R;
    return rest - r.R + (r.R & less_u64(rest, r.R));
}

#define NAME(f) f##_u32
#define word uint32_t
#define FITS modulus_fits_u32
#include "vector.inc"

#define NAME(f) f##_u64
#define word uint64_t
#define FITS modulus_fits_u64
#include "vector.inc"
