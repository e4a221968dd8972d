/* ed25519.h: what ed25519.c asks of an instruction set.  All data are public: time may depend on them. */
#ifndef SECAGG_ED25519_H
#define SECAGG_ED25519_H

#include <stddef.h>
#include <stdint.h>

enum { ED25519_BYTES = 32, ED25519_A_DIGITS = 64, ED25519_B_DIGITS = 32 };

/* Two scalars, below 2^253, in signed digits, lowest first: a = sum of a[i] * 16^i with a[i] in -8 .. 7, and
 * b = sum of b[i] * 256^i with b[i] in -128 .. 127. */
struct ed25519_scalars {
    int8_t a[ED25519_A_DIGITS];
    int8_t b[ED25519_B_DIGITS];
};

struct ed25519_kernel {
    size_t lanes;
    size_t scratch_bytes;
    /* points[i] := the encoding of scalars[i].b * B - scalars[i].a * A, A being the point that keys[i] encodes, and
     * valid[i] := 1; valid[i] := 0, and points[i] that of scalars[i].b * B alone, if there is no such point.  Input keys[n][32], of
     * which y need not be below p; outputs points[n][32], valid[n]; scratch aligned to 64 bytes. */
    void (*combine)(uint8_t *points, uint8_t *valid, const uint8_t *keys, const struct ed25519_scalars *scalars,
                    size_t n, void *scratch);
};

extern const struct ed25519_kernel secagg_ed25519_portable;
#ifdef __x86_64__
extern const struct ed25519_kernel secagg_ed25519_avx2, secagg_ed25519_ifma;
#endif

#endif
