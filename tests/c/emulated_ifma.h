/* emulated_ifma.h: what ifma.h has of AVX-512 IFMA, lane by lane, for CPUs without it. */
#ifndef SECAGG_EMULATED_IFMA_H
#define SECAGG_EMULATED_IFMA_H

#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define SECAGG_EMULATED
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors of 512 bits go from function to function here alone */

typedef uint64_t vec __attribute__((vector_size(64)));

static inline vec broadcast(uint64_t a) { return (vec){a, a, a, a, a, a, a, a}; }

/* sum + the low 52 bits of (a mod 2^52) (b mod 2^52) >> shift. */
static inline vec add_part(vec sum, vec a, vec b, int shift) {
    const uint64_t mask = (1ull << 52) - 1;
    for (int l = 0; l < 8; l++)
        sum[l] += (uint64_t)((uint128_t)(a[l] & mask) * (b[l] & mask) >> shift) & mask;
    return sum;
}

static inline vec add_low(vec sum, vec a, vec b) { return add_part(sum, a, b, 0); }
static inline vec add_high(vec sum, vec a, vec b) { return add_part(sum, a, b, 52); }

static inline vec hidden(vec a) { return a; }

static inline vec join(const void *low, const void *high) {
    vec both;
    memcpy(&both, low, 32);
    memcpy((char *)&both + 32, high, 32);
    return both;
}

#endif
