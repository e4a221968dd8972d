/* lagrange.h: what x-coordinates alone decide about a reconstruction.  All of it is public, and so is the time it takes. */
#ifndef SECAGG_LAGRANGE_H
#define SECAGG_LAGRANGE_H

#include "scalar.h"

/* How many bits the largest of xs[n] has. */
unsigned secagg_lagrange_bits(const uint32_t *xs, size_t n);

/* The product of xs[t], which are below 2^bits. */
scalar_t secagg_lagrange_numerator(const uint32_t *xs, size_t t, unsigned bits);

/* xs[i] * product over j != i of (xs[j] - xs[i]): 0 if xs[i] is 0 or occurs twice. */
scalar_t secagg_lagrange_denominator(const uint32_t *xs, size_t t, size_t i, unsigned bits);

/* quotients[i] := a / d[i] for all i < n, with one inversion (Montgomery's trick); -1 if a d[i] is 0. */
int secagg_lagrange_divide(scalar_t *quotients, const scalar_t *a, const scalar_t *d, size_t n);

#endif
