/* p256_exchange.c: multiples of many public points by one live private key, in constant time: time does not depend on the
 * key k.
 *
 * Only x-coordinates are wanted, and k P and -k P have the same.  q is odd, so that one of k and q - k is odd; let k be
 * it.  Then k = sum of d[i] 2^(5i) for i < 51, + 2^255, with odd digits d[i] = (((k >> 5i) | 1) mod 64) - 32 of -31 .. 31:
 * what the digits from i on make is a[i] = (k >> 5i) | 1, since 32 a[i + 1] + d[i] = a[i], and a[51] = 1.  No digit is 0
 * and no sum starts from the point at infinity, so that every key takes the same steps: from A = P, 51 times
 *
 *     A := 32 A + d[i] P,
 *
 * with 32 A by five doublings in Jacobian coordinates and d[i] P from a table of P, 3P ... 31P in affine ones.
 *
 * The formulas are right for all k of 1 .. q - 1.  A doubling is right for every point of odd order.  An addition of A and
 * D is right unless A is D, -D or the point at infinity.  Let A = 32a P, a = a[i + 1], and D = d P, d = d[i]:
 *   - a is at least 1, so that 32a, 32a - d and 32a + d are at least 1.  It remains to see that none of them is a multiple
 *     of q.
 *   - For i > 0, a is at most 2^246, and all of them are below 2^251 + 32 < q.
 *   - For i = 0, 32a + d = k, which is below q.  32a = k - d and 32a - d = k - 2d are below q + 62 < 2q, so that one of
 *     them is q only where k = q - e, e = |d| or 2|d|, d being negative.  Now |d| = 32 - k mod 64, and q mod 64 = 17.  So
 *     |d| = 15 + e mod 64: for e = |d| that is 0 = 15, for e = 2|d| it is |d| = 49 mod 64; |d| is at most 31.
 * The table's sums are of P or (2j - 1) P and 2P, and 2j - 1 + 2 and 2j - 1 - 2 are no multiples of q.
 *
 * All the same: a sum that met one of those cases would have Z = 0, and keep it whatever is added.  Its lane is then
 * refused, and no wrong x leaves this file. */
#include <stdlib.h>

#include "isa.h"
#include "p256_kernel.h"
#include "wipe.h"

_Static_assert(P256_WINDOW *P256_DIGITS == 255, "the digits reach to the highest bit");

/* --- Digits ------------------------------------------------------------------------------------------------------ */

/* The odd one of k and q - k. */
static scalar_t odd_of(const scalar_t *k) {
    scalar_t odd = *k, negative = secagg_scalar_negate(k);
    uint64_t even = mask_u64(~k->limb[0] & 1);
    for (int i = 0; i < SCALAR_LIMBS; i++)
        odd.limb[i] ^= (odd.limb[i] ^ negative.limb[i]) & even;
    wipe(&negative, sizeof negative);
    return odd;
}

/* ((k >> at) | 1) mod 64. */
static uint64_t window_of(const scalar_t *k, unsigned at) {
    unsigned shift = at % 64;
    uint64_t bits = k->limb[at / 64] >> shift;
    if (shift + P256_WINDOW + 1 > 64 && at / 64 + 1 < SCALAR_LIMBS)
        bits |= k->limb[at / 64 + 1] << (64 - shift);
    return (bits | 1) & ((2 << P256_WINDOW) - 1);
}

static void recode(struct p256_digit digits[P256_DIGITS], const uint8_t *scalar) {
    scalar_t k = scalar_load(scalar), odd = odd_of(&k);
    for (unsigned i = 0; i < P256_DIGITS; i++) {
        uint64_t window = window_of(&odd, P256_WINDOW * i);
        uint64_t negative = mask_u64(~(window >> P256_WINDOW) & 1);
        digits[i].index = ((window ^ negative) & ((1 << P256_WINDOW) - 1)) >> 1;
        digits[i].negative = negative;
    }
    wipe(&k, sizeof k);
    wipe(&odd, sizeof odd);
}

/* --- Agreement --------------------------------------------------------------------------------------------------- */

#define MAX_POINTS (P256_GROUPS * P256_MAX_LANES)

/* Of at most P256_GROUPS times the lanes. */
static void exchange_some(uint8_t *agreed, uint8_t *valid, const struct p256_kernel *use,
                          const struct p256_digit *digits, const uint8_t *xs, size_t count, void *scratch) {
    affine_t points[MAX_POINTS];
    field_t x[MAX_POINTS];
    uint8_t made[MAX_POINTS], failed[MAX_POINTS];
    size_t groups = (count + use->lanes - 1) / use->lanes;
    for (size_t g = 0, l = 0; g < groups; g++, l += use->lanes)
        secagg_p256_lift_lanes(points + l, made + l, use, xs + SECAGG_SCALAR_BYTES * l, least(count - l, use->lanes));
    use->exchange(x, failed, digits, points, groups, scratch);
    for (size_t i = 0; i < count; i++) {
        valid[i] = made[i] & ~failed[i];
        field_store(agreed + SECAGG_SCALAR_BYTES * i, &x[i]);
    }
    wipe(x, sizeof x);
}

int secagg_p256_exchange(uint8_t *agreed, uint8_t *valid, const uint8_t *scalar, const uint8_t *xs, size_t n) {
    const struct p256_kernel *use = secagg_isa_row(SECAGG_AGREEMENT)->agreement;
    struct p256_digit digits[P256_DIGITS];
    size_t bytes = (use->exchange_bytes + P256_ALIGNMENT - 1) / P256_ALIGNMENT * P256_ALIGNMENT;
    void *scratch = aligned_alloc(P256_ALIGNMENT, bytes);
    if (scratch == NULL)
        return -1;
    recode(digits, scalar);
    for (size_t done = 0; done < n; done += P256_GROUPS * use->lanes)
        exchange_some(agreed + SECAGG_SCALAR_BYTES * done, valid + done, use, digits, xs + SECAGG_SCALAR_BYTES * done,
                      least(n - done, P256_GROUPS * use->lanes), scratch);
    wipe(digits, sizeof digits);
    wipe(scratch, bytes);
    free(scratch);
    return 0;
}
