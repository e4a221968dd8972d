/* scan.h: what noise_table.c asks of an instruction set: 128 random bits of some samples against a table of thresholds.
 *
 * A kernel reads the whole table, whatever the samples are, and computes with what comparisons give; no address and no
 * branch depends on it.  The table is public. */
#ifndef SECAGG_SCAN_H
#define SECAGG_SCAN_H

#include "isa.h"
#include "kernel.h"

enum { SCAN_SAMPLES = 8 };

/* What a table needs of some samples' random bits: W, of which a low and a high word, and a sign. */
struct scan_words {
    uint64_t low[SCAN_SAMPLES], high[SCAN_SAMPLES], sign[SCAN_SAMPLES];
};

static inline uint128_t threshold(const uint64_t *thresholds, size_t i) {
    return (uint128_t)thresholds[2 * i + 1] << 64 | thresholds[2 * i];
}

extern scan_fn secagg_scan_portable;
#ifdef __x86_64__
extern scan_fn secagg_scan_avx2;
#endif

#endif
