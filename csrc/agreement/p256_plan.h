/* p256_plan.h: the additions that take a point P to its multiples by many scalars, the same for every point. */
#ifndef SECAGG_P256_PLAN_H
#define SECAGG_P256_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define P256_NONE UINT32_MAX

/* Of the plans of several points: their powers are 2^(5j) * P, j < P256_POWERS. */
#define P256_POWER_WIDTH 5
#define P256_POWERS 52
#define P256_SLOTS (P256_POWERS + 1)
#define P256_ADDITIONS (P256_POWERS + (1 << (P256_POWER_WIDTH - 1)))

/* slot[plus] := slot[a] + slot[b], slot[minus] := slot[a] - slot[b]; either is P256_NONE if it is not wanted.  Where a is
 * b, only the sum is. */
struct p256_addition {
    uint32_t a, b, plus, minus;
};

/* Slots hold points.  Slot i < powers holds 2^i * P to begin with; the others get their points by the additions.  Those
 * of one level do not need each other. */
struct p256_plan {
    size_t powers, slots, levels, widest; /* widest: the most additions of a level */
    struct p256_addition *additions;
    size_t *level_end;
    uint32_t *result; /* the slot of scalar[i] * P, or of its negative */
};

/* For scalars[d][32], big-endian, 1 .. q - 1; NULL if one is not, or if there is no memory. */
struct p256_plan *secagg_p256_plan_make(const uint8_t *scalars, size_t d);

/* A multiple each of several points: slot P256_POWERS * i + j holds 2^(5j) * P[i] to begin with, powers is 0, and result[i]
 * is the slot of scalars[i] * P[i] or of its negative.  There are at most P256_SLOTS slots and P256_ADDITIONS additions a
 * point.  Input scalars[n][32], as above. */
struct p256_plan *secagg_p256_plan_make_sums(const uint8_t *scalars, size_t n);

void secagg_p256_plan_free(struct p256_plan *plan);

#endif
