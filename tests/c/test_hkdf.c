/* HKDF without Python, for sanitizers, emulators and valgrind.  With SECAGG_CT_VALGRIND defined, keys are undefined for
 * valgrind while the kernels run, so that it reports each branch or index that depends on them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#else
#define SECRET(p, size) ((void)(p), (void)(size))
#define PUBLIC(p, size) ((void)(p), (void)(size))
#endif

#define MAX SECAGG_HKDF_MAX_BYTES

static int failures;

static void check(int holds, const char *what, size_t n) {
    if (!holds) {
        printf("FAILED: %s, n = %zu, %s\n", what, n, secagg_isa());
        failures++;
    }
}

/* Byte j of row i is row * i + step * j.  As large as it must be, so that AddressSanitizer sees what goes beyond. */
static uint8_t *rows(size_t n, size_t size, unsigned row, unsigned step) {
    size_t total = n * size;
    uint8_t *bytes = malloc(total ? total : 1);
    if (bytes == NULL)
        exit(2);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < size; j++)
            bytes[i * size + j] = (uint8_t)(row * i + step * j);
    return bytes;
}

static uint8_t *derive(size_t length, size_t key_bytes, size_t info_bytes, size_t n) {
    uint8_t *out = rows(n, length, 0, 0), *keys = rows(n, key_bytes, 7, 1), *infos = rows(n, info_bytes, 13, 3);
    SECRET(keys, n * key_bytes);
    check(secagg_hkdf_sha256(out, length, keys, key_bytes, infos, info_bytes, n) == 0, "refused", n);
    PUBLIC(out, n * length);
    free(keys);
    free(infos);
    return out;
}

/* Test case 3 of RFC 5869, as far as one block goes. */
static void test_rfc_5869(void) {
    static const uint8_t expected[32] = {0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80,
                                         0x2a, 0x06, 0x3c, 0x5a, 0x31, 0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1,
                                         0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f, 0x3c, 0x73, 0x8d, 0x2d};
    uint8_t key[22], out[32];
    memset(key, 0x0b, sizeof key);
    SECRET(key, sizeof key);
    check(secagg_hkdf_sha256(out, sizeof out, key, sizeof key, key, 0, 1) == 0, "refused", 1);
    PUBLIC(out, sizeof out);
    check(memcmp(out, expected, sizeof out) == 0, "test case 3", 1);
}

/* Test case 1, which has a salt, of 32 bytes with the zeros that HMAC appends. */
static void test_salt(void) {
    static const uint8_t expected[32] = {0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f,
                                         0x64, 0xd0, 0x36, 0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a,
                                         0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf};
    enum { COUNT = 9 };
    uint8_t salts[COUNT][32] = {{0}}, keys[COUNT][22], infos[COUNT][10], out[COUNT][32];
    memset(keys, 0x0b, sizeof keys);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < 13; j++) {
            salts[i][j] = (uint8_t)j;
            if (j < 10)
                infos[i][j] = (uint8_t)(0xf0 + j);
        }
    SECRET(salts, sizeof salts);
    SECRET(keys, sizeof keys);
    check(secagg_hkdf_sha256_salted(out[0], 32, salts[0], keys[0], 22, infos[0], 10, COUNT) == 0, "refused", COUNT);
    PUBLIC(out, sizeof out);
    for (size_t i = 0; i < COUNT; i++)
        check(memcmp(out[i], expected, 32) == 0, "test case 1", i);
}

/* Rows 0, 8 and 16 of the shape that seeds of masks have; the answers are OpenSSL's. */
static void test_known_answers(void) {
    static const uint8_t expected[3][16] = {
        {0xcf, 0x6e, 0xff, 0x58, 0x2d, 0x48, 0xfb, 0x70, 0x02, 0xb6, 0xaf, 0xe1, 0x8d, 0x77, 0x74, 0x67},
        {0x91, 0x86, 0x88, 0xbf, 0xcd, 0x13, 0x8a, 0x6c, 0xc4, 0x18, 0xef, 0xec, 0x22, 0x96, 0x32, 0xe5},
        {0x66, 0x40, 0x2b, 0x90, 0x5e, 0x25, 0x05, 0xbd, 0xd3, 0x00, 0x4c, 0x15, 0x78, 0x63, 0x56, 0xed},
    };
    uint8_t *out = derive(16, 32, 55, 17);
    for (size_t i = 0; i < 3; i++)
        check(memcmp(out + 8 * i * 16, expected[i], 16) == 0, "known answer", 8 * i);
    free(out);
}

/* The first n of 17 rows, for n around the lanes of every vector. */
static void test_counts(size_t length, size_t key_bytes, size_t info_bytes) {
    static const size_t counts[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16};
    uint8_t *all = derive(length, key_bytes, info_bytes, 17);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint8_t *some = derive(length, key_bytes, info_bytes, counts[i]);
        check(memcmp(some, all, counts[i] * length) == 0, "a row depends on the count", counts[i]);
        free(some);
    }
    free(all);
}

static void test_refusals(void) {
    uint8_t in[MAX + 1] = {0}, out[33], untouched[33];
    memset(out, 0xaa, sizeof out);
    memset(untouched, 0xaa, sizeof untouched);
    check(secagg_hkdf_sha256(out, 0, in, 32, in, 55, 1) == -1, "length 0 is refused", 1);
    check(secagg_hkdf_sha256(out, 33, in, 32, in, 55, 1) == -1, "length 33 is refused", 1);
    check(secagg_hkdf_sha256(out, 32, in, MAX + 1, in, 55, 1) == -1, "a longer key is refused", 1);
    check(secagg_hkdf_sha256(out, 32, in, 32, in, MAX + 1, 1) == -1, "a longer info is refused", 1);
    check(memcmp(out, untouched, sizeof out) == 0, "refusals write nothing", 1);
}

static void test_isa(const char *isa) {
    secagg_isa_use(isa);
    test_rfc_5869();
    test_salt();
    test_known_answers();
    test_counts(16, 32, 55);
    test_counts(32, MAX, MAX);
    test_counts(1, 0, 0);
    test_refusals();
}

int main(void) {
    for (size_t i = 0; secagg_isa_available(i); i++)
        test_isa(secagg_isa_available(i));
    if (failures == 0)
        printf("test_hkdf: ok\n");
    return failures != 0;
}
