/* X25519 of all kernels beside the portable one, and that one beside RFC 7748's vectors.  With SECAGG_CT_VALGRIND
 * defined, private and public keys are undefined for valgrind while the kernels run, so that it reports each branch or
 * index that depends on one. */
#include <stdio.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#define ITERATIONS 2
#else
#define SECRET(p, size) (void)(p)
#define PUBLIC(p, size) (void)(p)
#define ITERATIONS 1000
#endif

enum { BYTES = 32, MOST = 19 }; /* more than a kernel takes at a time */

typedef uint8_t key_t[BYTES];

static uint64_t state = 0x9e3779b97f4a7c15;

static uint8_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint8_t)state;
}

static int exchange(key_t *agreed, uint8_t *valid, size_t n, const key_t *scalars, size_t s, const key_t *points,
                    size_t p) {
    key_t secret[MOST], other[MOST];
    memcpy(secret, scalars, s * BYTES);
    memcpy(other, points, p * BYTES);
    SECRET(secret, s * BYTES);
    SECRET(other, p * BYTES);
    int status = secagg_x25519_exchange(agreed[0], valid, n, secret[0], s, other[0], p);
    PUBLIC(agreed, n * BYTES);
    PUBLIC(valid, n);
    return status;
}

/* Section 5.2: X25519 of 9 and 9, and of each result and the scalar before it. */
static int iterates(void) {
    static const key_t once = {0x42, 0x2c, 0x8e, 0x7a, 0x62, 0x27, 0xd7, 0xbc, 0xa1, 0x35, 0x0b,
                               0x3e, 0x2b, 0xb7, 0x27, 0x9f, 0x78, 0x97, 0xb8, 0x7b, 0xb6, 0x85,
                               0x4b, 0x78, 0x3c, 0x60, 0xe8, 0x03, 0x11, 0xae, 0x30, 0x79};
    static const key_t last = {0x68, 0x4c, 0xf5, 0x9b, 0xa8, 0x33, 0x09, 0x55, 0x28, 0x00, 0xef,
                               0x56, 0x6f, 0x2f, 0x4d, 0x3c, 0x1c, 0x38, 0x87, 0xc4, 0x93, 0x60,
                               0xe3, 0x87, 0x5f, 0x2e, 0xb9, 0x4d, 0x99, 0x53, 0x2c, 0x51};
    key_t k[1] = {{9}}, u[1] = {{9}}, agreed[1];
    uint8_t valid;
    for (int i = 1; i <= ITERATIONS; i++) {
        if (exchange(agreed, &valid, 1, k, 1, u, 1) || !valid)
            return 0;
        memcpy(u, k, sizeof u);
        memcpy(k, agreed, sizeof k);
        if (i == 1 && memcmp(k, once, BYTES))
            return 0;
    }
    return ITERATIONS < 1000 || memcmp(k, last, BYTES) == 0;
}

static key_t scalars[MOST], points[MOST];
static key_t expected[3][MOST];
static uint8_t are_valid[3][MOST];

/* Points 0, 1, p - 1, p, p + 1 and 2^255 - 1 with and without bit 255; all else is random. */
static void make_keys(void) {
    for (int i = 0; i < MOST; i++)
        for (int k = 0; k < BYTES; k++) {
            scalars[i][k] = next();
            points[i][k] = next();
        }
    for (int i = 0; i < 3; i++) {
        memset(points[i], 0, BYTES);
        memset(points[i + 5], 0xff, BYTES);
        points[i][0] = (uint8_t)i;
        points[i + 5][0] = (uint8_t)(0xec + i);
        points[i + 5][BYTES - 1] = 0x7f;
    }
    memset(points[9], 0xff, BYTES);
}

/* Of n keys of both, one private key, or one public key; what follows is not touched. */
static int agree(key_t *agreed, uint8_t *valid, size_t n, int which) {
    memset(agreed, 0xa5, (MOST + 1) * BYTES);
    memset(valid, 0xa5, MOST + 1);
    return exchange(agreed, valid, n, scalars, which == 1 ? 1 : n, points, which == 2 ? 1 : n) == 0 &&
           agreed[n][0] == 0xa5 && agreed[n][BYTES - 1] == 0xa5 && valid[n] == 0xa5;
}

static int all_agree(void) {
    key_t agreed[MOST + 1];
    uint8_t valid[MOST + 1];
    for (int which = 0; which < 3; which++)
        for (size_t n = 0; n <= MOST; n += ITERATIONS < 1000 ? 6 : 1)
            if (!agree(agreed, valid, n, which) || memcmp(agreed, expected[which], n * BYTES) ||
                memcmp(valid, are_valid[which], n))
                return 0;
    return 1;
}

static int makes_expected(void) {
    static const uint8_t small_order[] = {0, 1, 5, 6, 7};
    key_t agreed[MOST + 1];
    uint8_t valid[MOST + 1];
    for (int which = 0; which < 3; which++) {
        if (secagg_isa_use("portable") || !agree(agreed, valid, MOST, which))
            return 0;
        memcpy(expected[which], agreed, sizeof expected[which]);
        memcpy(are_valid[which], valid, sizeof are_valid[which]);
    }
    for (size_t i = 0; i < sizeof small_order; i++)
        if (are_valid[0][small_order[i]])
            return 0;
    int count = 0;
    for (size_t i = 0; i < MOST; i++)
        count += are_valid[0][i];
    return count == MOST - (int)sizeof small_order;
}

static int refuses(void) {
    key_t agreed[MOST];
    uint8_t valid[MOST];
    return exchange(agreed, valid, 3, scalars, 2, points, 3) == -1 &&
           exchange(agreed, valid, 3, scalars, 3, points, 4) == -1;
}

int main(void) {
    make_keys();
    int right = makes_expected() && refuses();
    for (size_t i = 0; right && secagg_isa_with(SECAGG_AGREEMENT, i); i++)
        right = secagg_isa_use(secagg_isa_with(SECAGG_AGREEMENT, i)) == 0 && iterates() && all_agree();
    puts(right ? "x25519: passed" : "x25519: agrees wrongly");
    return !right;
}
