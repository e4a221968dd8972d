/* rounding.h: what rounding.c asks of an instruction set.
 *
 * Numbers are as secret as what they are made into: they are computed with, and nothing else is. */
#ifndef SECAGG_ROUNDING_H
#define SECAGG_ROUNDING_H

#include <string.h>

#include "barrier.h"
#include "isa.h"

/* A number v is y = (v, clipped to [-clip, clip]) / unit * scale steps, and offset is added. */
struct grid {
    double clip, unit, scale;
    uint64_t offset;
};

extern round_fn secagg_round_portable;
#ifdef __x86_64__
extern round_fn secagg_round_avx2;
#endif

#endif
