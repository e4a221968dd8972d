/* p256_plan.h: the additions that take a point P to its multiples by many scalars, the same for every point. */
#ifndef SECAGG_P256_PLAN_H
#define SECAGG_P256_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define P256_NONE UINT32_MAX

/* slot[plus] := slot[a] + slot[b], slot[minus] := slot[a] - slot[b]; either is P256_NONE if it is not wanted. */
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

void secagg_p256_plan_free(struct p256_plan *plan);

#endif
