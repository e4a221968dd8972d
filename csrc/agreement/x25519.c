/* x25519.c: X25519 (RFC 7748, section 5) of many private and public keys, in time that depends on neither. */
#include "x25519.h"

#include <string.h>

#include "barrier.h"
#include "isa.h"
#include "wipe.h"

/* 1 if a result is not all zeros, else 0 (section 6.1). */
static uint8_t is_not_zero(const uint8_t agreed[X25519_BYTES]) {
    uint32_t bits = 0;
    for (int i = 0; i < X25519_BYTES; i++)
        bits |= agreed[i];
    return (uint8_t)(value_barrier_u32(bits + UINT8_MAX) >> 8);
}

int secagg_x25519_exchange(uint8_t *agreed, uint8_t *valid, size_t n, const uint8_t *scalars, size_t s,
                           const uint8_t *points, size_t p) {
    const struct x25519_kernel *use = secagg_isa_row(SECAGG_AGREEMENT)->x25519;
    const uint8_t *scalar[X25519_MAX_LANES], *point[X25519_MAX_LANES];
    uint8_t made[X25519_MAX_LANES][X25519_BYTES];
    if ((s != n && s != 1) || (p != n && p != 1))
        return -1;
    for (size_t done = 0; done < n; done += use->lanes) {
        size_t count = n - done < use->lanes ? n - done : use->lanes;
        for (size_t l = 0; l < use->lanes; l++) {
            size_t i = done + (l < count ? l : 0); /* lanes without work of their own do the first one's */
            scalar[l] = scalars + (s == 1 ? 0 : X25519_BYTES * i);
            point[l] = points + (p == 1 ? 0 : X25519_BYTES * i);
        }
        use->exchange(made, scalar, point);
        memcpy(agreed + X25519_BYTES * done, made, X25519_BYTES * count);
        for (size_t l = 0; l < count; l++)
            valid[done + l] = is_not_zero(made[l]);
    }
    wipe(made, sizeof made);
    return 0;
}
