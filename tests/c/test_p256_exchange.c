/* Agreement with a live key, beside the kernels of revealed keys, which add in another way and order.  With
 * SECAGG_CT_VALGRIND defined, the key is undefined for valgrind while the kernels run, so that it reports each branch or
 * index that depends on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#define STRIDE 211
#else
#define SECRET(p, size) (void)(p)
#define PUBLIC(p, size) (void)(p)
#ifdef __OPTIMIZE__
#define STRIDE 5 /* tests/test_exchange.py takes all of these keys */
#else
#define STRIDE 45 /* unoptimised, and with sanitizers, a key takes eight times as long */
#endif
#endif

#define MOST_POINTS 70 /* more than a kernel takes at a time */
#define MOST_KEYS 8192

static uint8_t keys[MOST_KEYS][32], points[MOST_POINTS][32];
static size_t n_keys;

/* q - 1, and its half. */
static const uint8_t q_less_1[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                     0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x50};
static const uint8_t half_q[32] = {0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
                                   0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

/* key + more, or key - less. */
static void add_key(const uint8_t *key, int more) {
    uint8_t *sum = keys[n_keys++];
    for (int i = 31; i >= 0; i--) {
        more += key[i];
        sum[i] = (uint8_t)more;
        more = (more - sum[i]) / 256;
    }
}

/* The window's bits between zeros, or between ones up to bit 254; there is no bit 255 then. */
static void add_window(int at, int bits, int ones) {
    uint8_t key[32];
    memset(key, ones ? 0xff : 0, sizeof key);
    key[0] &= 0x7f;
    for (int b = 0; b < 6 && at + b < 255; b++) {
        uint8_t bit = (uint8_t)(1 << (at + b) % 8);
        key[31 - (at + b) / 8] = (uint8_t)((key[31 - (at + b) / 8] & ~bit) | (bits >> b & 1 ? bit : 0));
    }
    add_key(key, 0);
}

static void make_keys(void) {
    static const uint8_t zero[32];
    for (int i = 0; i < 64; i++) {
        add_key(zero, i + 1);
        add_key(q_less_1, -i);
        add_key(half_q, i - 32);
    }
    for (int b = 0; b < 256; b++)
        for (int more = -1; more <= 1; more++) {
            uint8_t power[32] = {0};
            power[31 - b / 8] = (uint8_t)(1 << b % 8);
            if (b > 0)
                add_key(power, more);
        }
    for (int at = 0; at < 255; at += 5)
        for (int bits = 0; bits < (at < 250 ? 64 : 32); bits++)
            for (int ones = 0; ones < 2; ones++)
                if (bits || ones)
                    add_window(at, bits, ones);
}

/* Of multiples of the generator by small numbers; the last is no point. */
static int make_points(void) {
    static const uint8_t generator[32] = {0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6,
                                          0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
                                          0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96};
    static uint8_t multipliers[MOST_POINTS][32];
    uint8_t valid;
    for (int i = 0; i < MOST_POINTS; i++)
        multipliers[i][31] = (uint8_t)(i + 1);
    int status = secagg_p256_agree(points[0], &valid, multipliers[0], MOST_POINTS, generator, 1);
    memset(points[MOST_POINTS - 1], 0xff, 32);
    return status == 0 && valid;
}

static int exchange(uint8_t agreed[][32], uint8_t *valid, const uint8_t *key, size_t n) {
    uint8_t secret[32];
    memcpy(secret, key, sizeof secret);
    SECRET(secret, sizeof secret);
    int status = secagg_p256_exchange(agreed[0], valid, secret, points[0], n);
    PUBLIC(agreed, 32 * n);
    PUBLIC(valid, n);
    return status == 0;
}

#define AT_ONCE 128
#define SOME_POINTS 3

/* Every STRIDE-th key with some points. */
static int all_keys_agree(void) {
    static uint8_t expected[SOME_POINTS][AT_ONCE][32], agreed[SOME_POINTS][32], valid[SOME_POINTS];
    for (size_t start = 0; start < n_keys; start += AT_ONCE) {
        size_t d = n_keys - start < AT_ONCE ? n_keys - start : AT_ONCE;
        uint8_t *flat = expected[0][0];
        if (secagg_p256_agree(flat, valid, keys[start], d, points[0], SOME_POINTS))
            return 0;
        for (size_t i = 0; i < d; i += STRIDE) {
            if (!exchange(agreed, valid, keys[start + i], SOME_POINTS))
                return 0;
            for (size_t j = 0; j < SOME_POINTS; j++)
                if (!valid[j] || memcmp(agreed[j], flat + 32 * (j * d + i), 32))
                    return 0;
        }
    }
    return 1;
}

/* Every number of points; what is none is refused alone, and what follows its place is not touched. */
static int all_numbers_agree(void) {
    static uint8_t all[MOST_POINTS][32], agreed[MOST_POINTS + 1][32], valid[MOST_POINTS + 1];
    static uint8_t expected[MOST_POINTS][32];
    const uint8_t *key = keys[n_keys / 2];
    if (secagg_p256_agree(expected[0], valid, key, 1, points[0], MOST_POINTS) ||
        !exchange(all, valid, key, MOST_POINTS))
        return 0;
    for (size_t n = 0; n <= MOST_POINTS; n += STRIDE / 5) {
        memset(agreed, 0xa5, sizeof agreed);
        memset(valid, 0xa5, sizeof valid);
        if (!exchange(agreed, valid, key, n) || valid[n] != 0xa5 || agreed[n][0] != 0xa5 || agreed[n][31] != 0xa5)
            return 0;
        for (size_t i = 0; i < n; i++)
            if (valid[i] != (i < MOST_POINTS - 1) || (valid[i] && memcmp(agreed[i], expected[i], 32)))
                return 0;
    }
    return 1;
}

/* 0 and q are no keys: they make the point at infinity, in every lane. */
static int no_key_agrees(void) {
    uint8_t agreed[SOME_POINTS][32], valid[SOME_POINTS];
    static const uint8_t zero[32];
    add_key(q_less_1, 1);
    const uint8_t *none[] = {zero, keys[--n_keys]};
    for (size_t k = 0; k < 2; k++) {
        if (!exchange(agreed, valid, none[k], SOME_POINTS))
            return 0;
        for (size_t j = 0; j < SOME_POINTS; j++)
            if (valid[j])
                return 0;
    }
    return 1;
}

int main(void) {
    make_keys();
    for (size_t i = 0; secagg_isa_with(SECAGG_AGREEMENT, i); i++) {
        const char *name = secagg_isa_with(SECAGG_AGREEMENT, i);
        if (secagg_isa_use(name) || !make_points() || !all_keys_agree() || !all_numbers_agree() || !no_key_agrees()) {
            printf("p256_exchange: %s agrees wrongly\n", name);
            return 1;
        }
    }
    puts("p256_exchange: passed");
    return 0;
}
