/* isa.h: what an instruction set offers to each subject, and which one a subject uses. */
#ifndef SECAGG_ISA_H
#define SECAGG_ISA_H

#include <stddef.h>
#include <stdint.h>

#include "secagg.h"

struct ed25519_kernel;
struct grid;
struct hkdf;
struct p256_kernel;
struct pack_kernels;
struct prg;
struct scan_words;
struct shamir_kernel;
struct turboshake;
struct x25519_kernel;

/* acc holds uint32_t if 2 <= R <= 2^32, else uint64_t; all arguments are valid; n and k may be 0. */
typedef void mask_sum_fn(const struct prg *prg, void *acc, size_t n, uint64_t offset, const uint8_t *seeds,
                         const int8_t *signs, size_t k);

typedef void hkdf_fn(const struct hkdf *hkdf);

/* above[j] := how many of the 128-bit thresholds, which descend, are above W of sample j (noise/scan.h). */
typedef void scan_fn(uint64_t *above, const struct scan_words *words, const uint64_t *thresholds, size_t count);

/* out[i] := values[i], in steps of the grid and rounded, at random by drawn[n][4] unless that is NULL; n may be 0. */
typedef void round_fn(uint64_t *out, const double *values, const uint8_t *drawn, size_t n, const struct grid *grid);

/* A row of the table: what the CPU must have, and the kernels of some subjects.  The others are NULL here, and take an
 * older row's; the portable row has all. */
struct isa {
    const char *name;
    int (*supported)(void); /* by this CPU; includes what older rows want */
    mask_sum_fn *mask_sum;
    const struct pack_kernels *packing; /* two: of 32-bit and of 64-bit elements */
    hkdf_fn *hkdf;
    const struct p256_kernel *agreement;
    const struct x25519_kernel *x25519; /* of the same subject, in the same rows */
    const struct turboshake *turboshake;
    scan_fn *scan;
    const struct ed25519_kernel *signature;
    const struct shamir_kernel *shamir;
    round_fn *round;
};

/* The row whose kernels this subject uses: the one that it prefers among those that the CPU has and that are not newer
 * than secagg_isa(). */
const struct isa *secagg_isa_row(enum secagg_subject subject);

/* Why the subject prefers its first row on this CPU. */
const char *secagg_isa_reason(enum secagg_subject subject);

/* The row that the subject would use on a CPU of this vendor and family, by CPUID's leaves 0 and 1, if bit i says that it
 * has the i-th row that is built in, and nothing were capped.  It has the first one. */
const char *secagg_isa_chosen(enum secagg_subject subject, const char *vendor, unsigned family, unsigned built);

#endif
