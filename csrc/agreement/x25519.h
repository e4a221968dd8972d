/* x25519.h: what x25519.c asks of an instruction set. */
#ifndef SECAGG_X25519_H
#define SECAGG_X25519_H

#include <stddef.h>
#include <stdint.h>

enum { X25519_BYTES = 32, X25519_MAX_LANES = 8 };

struct x25519_kernel {
    size_t lanes;
    /* agreed[l] := X25519(scalars[l], points[l]) (RFC 7748, section 5) for each lane, in time that depends on neither.
     * Inputs scalars[lanes][32], points[lanes][32], output agreed[lanes][32]. */
    void (*exchange)(uint8_t (*agreed)[X25519_BYTES], const uint8_t *const *scalars, const uint8_t *const *points);
};

extern const struct x25519_kernel secagg_x25519_portable;
#ifdef __x86_64__
extern const struct x25519_kernel secagg_x25519_avx2, secagg_x25519_ifma;
#endif

#endif
