/* Lifting x-coordinates and agreement, for the sanitizers and emulators; tests/test_primitives.py and
 * tests/test_agreement.py compare them with OpenSSL. */
#include <stdio.h>
#include <string.h>

#include "secagg.h"

#define N 4

/* The generator's x, which has an even and an odd y; 0; p, which is 0 mod p but not reduced; and no x-coordinate. */
static const uint8_t xs[N][32] = {
    {0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
     0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96},
    {0},
    {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    {[31] = 1},
};
static const uint8_t expected_valid[N] = {1, 1, 0, 0};

/* p minus the generator's y (SP 800-186, section 3.2.1.3), which is odd. */
static const uint8_t even_y[32] = {0xb0, 0x1c, 0xbd, 0x1c, 0x01, 0xe5, 0x80, 0x65, 0x71, 0x18, 0x14,
                                   0xb5, 0x83, 0xf0, 0x61, 0xe9, 0xd4, 0x31, 0xcc, 0xa9, 0x94, 0xce,
                                   0xa1, 0x31, 0x34, 0x49, 0xbf, 0x97, 0xc8, 0x40, 0xae, 0x0a};

#define D 20

/* a * (b * G) = b * (a * G) for all of D scalars, with every instruction set; a point that is none is reported. */
static int agrees(void) {
    static uint8_t scalars[D][32], publics[1][D][32], agreed[D + 1][D][32], points[D + 1][32], valid[D + 1];
    for (int i = 0; i < D; i++)
        for (int j = 0; j < 32; j++)
            scalars[i][j] = (uint8_t)(i * 67 + j * j * 29 + i * j + (i == 3 ? 0 : 1));
    memset(scalars[0], 0, 32);
    scalars[0][31] = 1;
    if (secagg_p256_agree(publics[0][0], valid, scalars[0], D, xs[0], 1) || !valid[0] ||
        memcmp(publics[0][0], xs[0], 32))
        return 0;
    memcpy(points, publics, sizeof publics);
    memset(points[D], 0xff, 32);
    if (secagg_p256_agree(agreed[0][0], valid, scalars[0], D, points[0], D + 1) || valid[D])
        return 0;
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            if (!valid[j] || memcmp(agreed[j][i], agreed[i][j], 32))
                return 0;
    memset(scalars[7], 0, 32);
    return secagg_p256_agree(agreed[0][0], valid, scalars[0], D, points[0], 1) == -1 &&
           secagg_p256_agree(agreed[0][0], valid, scalars[0], 0, points[0], 1) == -1;
}

/* a * (b * G) = b * (a * G) of some pairs; a point that is none is reported, whether a pair has it or not. */
static int pairs_agree(void) {
    static uint8_t scalars[D][32], publics[D + 1][32], agreed[2 * D][32], valid[D + 1];
    static uint32_t scalar_of[2 * D], x_of[2 * D], others[D], zeros[D];
    for (int i = 0; i < D; i++) {
        others[i] = (uint32_t)i;
        for (int j = 0; j < 32; j++)
            scalars[i][j] = (uint8_t)(i * 41 + j * j * 23 + i * j + 1);
    }
    if (secagg_p256_agree_pairs(publics[0], valid, scalars[0], D, xs[0], 1, others, zeros, D) || !valid[0])
        return 0;
    memset(publics[D], 0xff, 32);
    for (uint32_t i = 0; i < 2 * D; i++) {
        scalar_of[i] = i % 2 ? i / 2 : 0;
        x_of[i] = i % 2 ? 0 : i / 2;
    }
    if (secagg_p256_agree_pairs(agreed[0], valid, scalars[0], D, publics[0], D + 1, scalar_of, x_of, 2 * D) || valid[D])
        return 0;
    for (int i = 0; i < D; i++)
        if (!valid[i] || memcmp(agreed[2 * i], agreed[2 * i + 1], 32))
            return 0;
    x_of[5] = D + 1;
    if (secagg_p256_agree_pairs(agreed[0], valid, scalars[0], D, publics[0], D + 1, scalar_of, x_of, 2 * D) != -1)
        return 0;
    x_of[5] = 0;
    scalar_of[5] = D;
    if (secagg_p256_agree_pairs(agreed[0], valid, scalars[0], D, publics[0], D + 1, scalar_of, x_of, 2 * D) != -1)
        return 0;
    memset(scalars[7], 0, 32);
    return secagg_p256_agree_pairs(agreed[0], valid, scalars[0], D, publics[0], D, others, zeros, D) == -1;
}

int main(void) {
    uint8_t ys[N][32], valid[N];
    if (secagg_p256_lift(ys[0], valid, xs[0], N) || memcmp(valid, expected_valid, N)) {
        puts("p256: wrong x-coordinates accepted or refused");
        return 1;
    }
    if (memcmp(ys[0], even_y, sizeof even_y)) {
        puts("p256: wrong y");
        return 1;
    }
    for (size_t i = 0; secagg_isa_available(i); i++)
        if (secagg_isa_use(secagg_isa_available(i)) || !agrees() || !pairs_agree()) {
            printf("p256: %s agrees wrongly\n", secagg_isa_available(i));
            return 1;
        }
    puts("p256: passed");
    return 0;
}
