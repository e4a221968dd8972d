/* barrier.h: masks that stay masks.
 *
 * Where a mask comes from a comparison, as in x - (p & -(x >= p)), a compiler may see that it is 0 or all ones, and so
 * that the line says no more than "if (x >= p) x -= p".  clang 14 makes branches of such lines, on secrets; gcc 12 does
 * not, and nothing holds either to what it does.  A value barrier is an empty piece of assembly through which a value
 * goes: what comes out may be anything for all that the compiler knows, so that it can only compute with it.  No
 * instruction is added.
 *
 * Every mask that follows from a secret is made here, and every secret bit that is multiplied or shifted goes through
 * a barrier, since b * c is c or 0.  A carry that is added needs none: processors add it as it is. */
#ifndef SECAGG_BARRIER_H
#define SECAGG_BARRIER_H

#include <stdint.h>

#include "kernel.h"

static inline uint32_t value_barrier_u32(uint32_t x) {
    __asm__("" : "+r"(x));
    return x;
}

static inline uint64_t value_barrier_u64(uint64_t x) {
    __asm__("" : "+r"(x));
    return x;
}

/* The same for a vector, a variable, of any type that a register holds. */
#if defined(__x86_64__)
#define VALUE_BARRIER_VECTOR(x) __asm__("" : "+x"(x))
#elif defined(__aarch64__)
#define VALUE_BARRIER_VECTOR(x) __asm__("" : "+w"(x))
#else
#define VALUE_BARRIER_VECTOR(x) __asm__("" : "+m"(x))
#endif

/* All ones for 1, 0 for 0. */
static inline uint32_t mask_u32(uint32_t bit) { return value_barrier_u32(-bit); }
static inline uint64_t mask_u64(uint64_t bit) { return value_barrier_u64(-bit); }

static inline uint128_t mask_u128(uint64_t bit) {
    uint64_t mask = mask_u64(bit);
    return (uint128_t)mask << 64 | mask;
}

#endif
