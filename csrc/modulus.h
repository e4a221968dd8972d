/* Moduli as secagg.h passes them: R in 2 .. 2^64 - 1, and 0 for 2^64. */
#ifndef SECAGG_MODULUS_H
#define SECAGG_MODULUS_H

#include <stdint.h>

#include "barrier.h"

/* Whether vectors mod R have 32-bit, or 64-bit, elements; R = 1 passes neither. */
static inline int modulus_fits_u32(uint64_t R) { return R - 2 <= UINT32_MAX - 1; }
static inline int modulus_fits_u64(uint64_t R) { return R - 1 > UINT32_MAX; }

/* R = 2^b: R - 1 is then the mask of an element. */
static inline int modulus_is_power(uint64_t R) { return (R & (R - 1)) == 0; }

/* b = ceil(log2 R). */
static inline unsigned modulus_bits(uint64_t R) { return 64 - (unsigned)__builtin_clzll(R - 1); }

/* All ones if a < b, else 0. */
static inline uint32_t less_u32(uint32_t a, uint32_t b) { return mask_u32(a < b); }
static inline uint64_t less_u64(uint64_t a, uint64_t b) { return mask_u64(a < b); }

#endif
