/* p256_pairs.c: many revealed keys' products with points, few of them a point.
 *
 * A point is doubled once for all its keys, and P, 32 P, 32^2 P ... are kept.  A key's product is a sum of these: in
 * digits of -15 .. 16, those of one digit are added up, and then the sums weighted (Yao's method).  Points in the lanes
 * have the same key, and take the same steps; groups of lanes with any keys take them together, and share inversions.
 *
 * No addition meets opposite points or the point at infinity, nor equal ones but where the plan doubles.  Of +-s take the
 * scalar below 2^255; its digits are d[j] * 32^j for j < 52, of which d[51] is 0 or 1.  All that is added is a sum of
 * e[j] * 32^j with the points e[j] of both sides:
 *   - Among the terms of one digit and the sums of digits from c on, e[j] is 1, 0 or -1, and both sides have different j.
 *   - To the weighted sum, where e[j] has the sign of d[j] and |d[j]| + 1 - c of its terms from c on, is added that of all
 *     from c - 1 on, each once: their sum has |d[j]| + 2 - c, their difference |d[j]| - c, which is 0 only where |d[j]| is
 *     c or there is no term.
 * So the sum and the difference of both have digits of -16 .. 16, not all 0, but where all terms so far have the digit c:
 * then both sides are the same point, in the same slot.  Such a number is not 0: 32 does not divide its lowest digit.  Nor
 * is it a multiple of q: it is below 17/31 * 2^255 + 2^255 < q. */
#include <stdlib.h>

#include "isa.h"
#include "p256_kernel.h"

#define MAX_POINTS (P256_SUMS * P256_MAX_LANES)

struct pairs {
    const struct p256_kernel *use;
    uint8_t *powers;
    void *scratch;
    const uint8_t *scalars;
    const uint32_t *scalar_of, *x_of;
    size_t k;
};

static size_t aligned(size_t bytes) { return (bytes + P256_ALIGNMENT - 1) / P256_ALIGNMENT * P256_ALIGNMENT; }

/* Of at most P256_GROUPS times the lanes. */
static void make_powers(const struct pairs *pairs, uint8_t *valid, uint8_t *powers, const uint8_t *xs, size_t n) {
    const struct p256_kernel *use = pairs->use;
    affine_t points[P256_GROUPS * P256_MAX_LANES];
    uint8_t made[P256_GROUPS * P256_MAX_LANES], failed[P256_MAX_LANES];
    size_t groups = (n + use->lanes - 1) / use->lanes;
    for (size_t g = 0, l = 0; g < groups; g++, l += use->lanes)
        secagg_p256_lift_lanes(points + l, made + l, use, xs + SECAGG_SCALAR_BYTES * l, least(n - l, use->lanes));
    use->powers(powers, failed, points, groups, pairs->scratch);
    for (size_t i = 0; i < n; i++)
        valid[i] = made[i] & !failed[i % use->lanes];
}

/* How many pairs from the i-th on have its key, at most a group. */
static size_t group_at(const struct pairs *pairs, size_t i) {
    size_t most = least(pairs->k - i, pairs->use->lanes), count = 1;
    while (count < most && pairs->scalar_of[i + count] == pairs->scalar_of[i])
        count++;
    return count;
}

/* Products of the pairs from *i on, of at most P256_SUMS groups, and where the next ones begin. */
static int agree(uint8_t *agreed, uint8_t *valid, const struct pairs *pairs, size_t *i) {
    const struct p256_kernel *use = pairs->use;
    uint8_t scalars[P256_SUMS][SECAGG_SCALAR_BYTES], failed[P256_MAX_LANES];
    const void *powers[MAX_POINTS];
    size_t pair[MAX_POINTS], groups = 0;
    for (; groups < P256_SUMS && *i < pairs->k; groups++) {
        size_t count = group_at(pairs, *i);
        memcpy(scalars[groups], pairs->scalars + SECAGG_SCALAR_BYTES * pairs->scalar_of[*i], SECAGG_SCALAR_BYTES);
        for (size_t l = 0; l < use->lanes; l++) { /* the last one again where there are fewer */
            size_t at = *i + least(l, count - 1);
            pair[use->lanes * groups + l] = at;
            powers[use->lanes * groups + l] = pairs->powers + use->power_bytes * pairs->x_of[at];
        }
        *i += count;
    }
    struct p256_plan *plan = secagg_p256_plan_make_sums(scalars[0], groups);
    if (plan == NULL)
        return -1;
    field_t x[MAX_POINTS];
    use->sums(x, failed, plan, groups, powers, pairs->scratch);
    for (size_t l = 0; l < use->lanes * groups; l++) {
        field_store(agreed + SECAGG_SCALAR_BYTES * pair[l], &x[l]);
        valid[pairs->x_of[pair[l]]] &= !failed[l % use->lanes];
    }
    secagg_p256_plan_free(plan);
    return 0;
}

static int are_below(const uint32_t *of, size_t k, size_t bound) {
    for (size_t i = 0; i < k; i++)
        if (of[i] >= bound)
            return 0;
    return 1;
}

int secagg_p256_agree_pairs(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs,
                            size_t n, const uint32_t *scalar_of, const uint32_t *x_of, size_t k) {
    const struct p256_kernel *use = secagg_isa_row(SECAGG_AGREEMENT)->agreement;
    if (!are_below(scalar_of, k, d) || !are_below(x_of, k, n))
        return -1;
    size_t filled = (n + use->lanes - 1) / use->lanes * use->lanes;
    struct pairs pairs = {use,
                          malloc(use->power_bytes * filled + 1),
                          aligned_alloc(P256_ALIGNMENT, aligned(use->sums_bytes(P256_SUMS))),
                          scalars,
                          scalar_of,
                          x_of,
                          k};
    int status = pairs.powers && pairs.scratch ? 0 : -1;
    for (size_t done = 0, step = P256_GROUPS * use->lanes; status == 0 && done < n; done += step)
        make_powers(&pairs, valid + done, pairs.powers + use->power_bytes * done, xs + SECAGG_SCALAR_BYTES * done,
                    least(n - done, step));
    for (size_t i = 0; status == 0 && i < k;)
        status = agree(agreed, valid, &pairs, &i);
    free(pairs.powers);
    free(pairs.scratch);
    return status;
}
