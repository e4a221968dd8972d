/* p256_kernel.h: several points at a time, what p256.c, p256_pairs.c and p256_exchange.c ask of an instruction set. */
#ifndef SECAGG_P256_KERNEL_H
#define SECAGG_P256_KERNEL_H

#include "p256_field.h"
#include "p256_invert.h"
#include "p256_plan.h"

#define P256_MAX_LANES 8
#define P256_ALIGNMENT 64

/* Numbers below p, not in Montgomery's form. */
typedef struct {
    field_t x, y;
} affine_t;

/* As many times the lanes share an inversion. */
#define P256_GROUPS 8

/* --- Multiples by live keys (p256_exchange.c) -------------------------------------------------------------------- */

#define P256_WINDOW 5
#define P256_DIGITS 51

/* The digit 2 index + 1, or its negative if `negative` is all ones; else that is 0. */
struct p256_digit {
    uint64_t index, negative;
};

/* --- Multiples by revealed keys, few of a point (p256_pairs.c) ---------------------------------------------------- */

/* As many times the lanes share inversions of sums. */
#define P256_SUMS 32

/* ----------------------------------------------------------------------------------------------------------------- */

struct p256_kernel {
    size_t lanes;
    /* points[l] := the point with x[l] < p and one of its two y, and valid[l] := 1; 0 if there is none.  Outputs
     * points[lanes], valid[lanes]; input x[lanes]. */
    void (*lift)(affine_t *points, uint8_t *valid, const field_t *x);
    size_t (*scratch_bytes)(const struct p256_plan *plan);
    /* x[lane * d + i] := x of scalar[i] * points[lane]; failed[lane] := 1, and nothing said of its x, if an addition met
     * points with equal x.  Inputs points[lanes]; outputs x[lanes * d], failed[lanes]. */
    void (*products)(field_t *x, uint8_t *failed, const struct p256_plan *plan, size_t d, const affine_t *points,
                     void *scratch);
    /* powers[i] := 2^(5j) * points[i], j < P256_POWERS, as `sums` takes them, and failed[l] as above, of all groups.
     * Input points[groups * lanes], groups at most P256_GROUPS; outputs power_bytes a point, failed[lanes]; scratch as
     * for `sums`. */
    size_t power_bytes;
    void (*powers)(void *powers, uint8_t *failed, const affine_t *points, size_t groups, void *scratch);
    size_t (*sums_bytes)(size_t groups);
    /* x[lanes * g + l] := x of scalar g's multiple of the point whose powers are lane[lanes * g + l], and failed[l] as
     * above, of all groups.  Inputs a plan of secagg_p256_plan_make_sums, lane[groups * lanes], groups at most P256_SUMS;
     * outputs x[groups * lanes], failed[lanes]. */
    void (*sums)(field_t *x, uint8_t *failed, const struct p256_plan *plan, size_t groups, const void *const *lane,
                 void *scratch);
    size_t exchange_bytes;
    /* x[i] := x of k * points[i], and failed[i] := 0, for the k that the digits stand for; failed[i] := 1 if an addition
     * met points with equal x.  Inputs digits[P256_DIGITS], points[groups * lanes], groups at most P256_GROUPS; outputs
     * x[groups * lanes], failed[groups * lanes].  Time does not depend on the digits, which are left in scratch. */
    void (*exchange)(field_t *x, uint8_t *failed, const struct p256_digit *digits, const affine_t *points,
                     size_t groups, void *scratch);
};

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* points[l] := the point with x-coordinate xs[l], and valid[l] := 1 for l < count; elsewhere, and where there is none, the
 * generator and 0.  Outputs points[lanes], valid[lanes]; input xs[count][32], count at most the kernel's lanes. */
void secagg_p256_lift_lanes(affine_t *points, uint8_t *valid, const struct p256_kernel *use, const uint8_t *xs,
                            size_t count);

extern const struct p256_kernel secagg_p256_portable;
#ifdef __x86_64__
extern const struct p256_kernel secagg_p256_avx2, secagg_p256_ifma;
#endif

#endif
