/* Signed addition mod R where elements have two words.  R may be branched on; elements never are. */
#include "barrier.h"
#include "kernel.h"
#include "secagg.h"

static inline uint128_t load(const uint64_t *words) { return (uint128_t)words[1] << 64 | words[0]; }

static inline void store(uint64_t *words, uint128_t x) {
    words[0] = (uint64_t)x;
    words[1] = (uint64_t)(x >> 64);
}

/* a + b = a - c mod R, with c = |b| or R - |b|, which is 1 .. R; |b| <= 2^63 is below R. */
int secagg_add_signed_u128(uint64_t *a, const int64_t *b, size_t n, const uint64_t *modulus) {
    uint128_t R = load(modulus);
    if (modulus[1] == 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint128_t negative = mask_u128((uint64_t)b[i] >> 63), x = load(a + 2 * i);
        uint128_t magnitude = ((uint64_t)b[i] ^ (uint64_t)negative) - (uint64_t)negative;
        uint128_t c = (R - magnitude) ^ (((R - magnitude) ^ magnitude) & negative);
        store(a + 2 * i, x - c + (R & mask_u128(x < c)));
    }
    return 0;
}
