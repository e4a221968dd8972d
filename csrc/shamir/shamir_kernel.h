/* shamir_kernel.h: what an instruction set has for sharing and reconstruction. */
#ifndef SECAGG_SHAMIR_KERNEL_H
#define SECAGG_SHAMIR_KERNEL_H

#include "scalar.h"

/* Arguments are valid, and counts are not 0. */
struct shamir_kernel {
    /* secagg_shamir_share.  -1 if there is no memory. */
    int (*share)(uint8_t *shares, const uint8_t *secrets, size_t s, const uint8_t *coefficients, size_t t,
                 const uint32_t *xs, size_t n);

    /* secagg_shamir_combine. */
    void (*combine)(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s);

    /* above[j] / below[j] := the value at 0 of the polynomial through (xs[j][i], shares[j][i]), i < t, for j < s.
     * below[j] is 0 if an x-coordinate of row j is 0 or occurs twice, and depends on the x-coordinates alone.  Outputs
     * above[s][32], below[s][32]; inputs xs[s][t], all below 2^bits, shares[s][t][32]; -1 if there is no memory. */
    int (*fractions)(uint8_t *above, uint8_t *below, const uint32_t *xs, unsigned bits, const uint8_t *shares, size_t t,
                     size_t s);
};

extern const struct shamir_kernel secagg_shamir_portable, secagg_shamir_ifma;

static inline scalar_t scalar_at(const uint8_t *scalars, size_t i) { return scalar_load(scalars + i * 32); }

static inline void scalar_put(uint8_t *scalars, size_t i, const scalar_t *a) { scalar_store(scalars + i * 32, a); }

#endif
