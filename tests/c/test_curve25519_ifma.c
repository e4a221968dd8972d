/* csrc/curve25519/curve25519_ifma.c, whose source this is, with AVX-512 IFMA emulated lane by lane, beside the portable
 * code: the same points of any keys and scalars, and the same agreements.  Of signatures, a key that is no point counts as the neutral element: were it taken as it is,
 * it could come to Z = 0, and spoil the inverses of other signatures. */
#ifdef __x86_64__
#include "emulated_ifma.h"

#define secagg_ed25519_ifma tested
#define secagg_x25519_ifma tested_x25519
#include "../../csrc/curve25519/curve25519_ifma.c"

#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 27, RUNS = 3 };

static uint64_t state = 0x9e3779b97f4a7c15;

static uint8_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)state;
}

/* Keys of any bytes; digits of any size, and some of the largest and the smallest alone. */
static void fill(uint8_t keys[COUNT][ED25519_BYTES], struct ed25519_scalars scalars[COUNT]) {
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < ED25519_BYTES; k++)
            keys[i][k] = next();
        for (int k = 0; k < ED25519_A_DIGITS; k++)
            scalars[i].a[k] = (int8_t)(i == 0 ? -8 : i == 1 ? 7 : (next() & 15) - 8);
        for (int k = 0; k < ED25519_B_DIGITS; k++)
            scalars[i].b[k] = (int8_t)(i == 0 ? -128 : i == 1 ? 127 : next() - 128);
    }
}

/* Of keys of any bytes, in every lane; a point of small order is 0 in its lane alone. */
static int agreements_are_equal(void) {
    uint8_t scalars[LANES][ELEMENT_BYTES], points[LANES][ELEMENT_BYTES];
    uint8_t agreed[LANES][ELEMENT_BYTES], expected[LANES][ELEMENT_BYTES] = {{0}};
    const uint8_t *scalar[LANES], *point[LANES];
    for (int l = 0; l < LANES; l++) {
        for (int k = 0; k < ELEMENT_BYTES; k++) {
            scalars[l][k] = next();
            points[l][k] = l == 2 ? 0 : next();
        }
        scalar[l] = scalars[l];
        point[l] = points[l];
    }
    tested_x25519.exchange(agreed, scalar, point);
    for (int l = 0; l < LANES; l++)
        secagg_x25519_portable.exchange(&expected[l], &scalar[l], &point[l]);
    return memcmp(agreed, expected, sizeof agreed) == 0;
}

int main(void) {
    static uint8_t keys[COUNT][ED25519_BYTES], points[RUNS][COUNT][ED25519_BYTES], valid[RUNS][COUNT];
    static struct ed25519_scalars scalars[COUNT];
    static const uint8_t neutral[ED25519_BYTES] = {1};
    const struct ed25519_kernel *kernels[RUNS] = {&tested, &secagg_ed25519_portable, &tested};
    fill(keys, scalars);
    for (int k = 0; k < RUNS; k++) {
        for (int i = 0; k == 2 && i < COUNT; i++)
            if (!valid[0][i])
                memcpy(keys[i], neutral, sizeof neutral);
        void *scratch = aligned_alloc(64, (kernels[k]->scratch_bytes + 63) / 64 * 64);
        if (scratch == NULL)
            return 1;
        kernels[k]->combine(points[k][0], valid[k], keys[0], scalars, COUNT, scratch);
        free(scratch);
    }
    int on_curve = 0, wrong = memcmp(valid[0], valid[1], sizeof valid[0]);
    for (int i = 0; i < COUNT; i++)
        on_curve += valid[0][i];
    wrong |= memcmp(points[0], points[1], sizeof points[0]) | memcmp(points[0], points[2], sizeof points[0]);
    for (int i = 0; i < 3; i++)
        wrong |= !agreements_are_equal();
    if (wrong || on_curve < 5 || on_curve > COUNT - 5) {
        puts("curve25519_ifma: wrong");
        return 1;
    }
    puts("curve25519_ifma: passed");
    return 0;
}
#else
int main(void) { return 0; }
#endif
