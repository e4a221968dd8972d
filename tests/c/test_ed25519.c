/* Verification of signatures and keys, for the sanitizers and emulators; tests/test_signatures.py compares with OpenSSL. */
#include <stdio.h>
#include <string.h>

#include "secagg.h"

/* RFC 8032, section 7.1, test 2: the key, the signature, and SHA-512(R || A || M). */
static const uint8_t key[32] = {0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a,
                                0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
                                0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c};
static const uint8_t signature[64] = {0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
                                      0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
                                      0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
                                      0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
                                      0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
static const uint8_t hash[64] = {0xa2, 0x71, 0xdf, 0x0d, 0x2b, 0x0d, 0x03, 0xbd, 0x17, 0xb4, 0xed, 0x9a, 0x4b,
                                 0x6a, 0xfd, 0xdf, 0x2e, 0x73, 0x28, 0x7f, 0xd6, 0x30, 0xf1, 0xa1, 0x37, 0xd8,
                                 0x7c, 0xe8, 0x73, 0xa5, 0x91, 0xcc, 0x31, 0xb6, 0xdd, 0x85, 0x2a, 0x98, 0xb5,
                                 0xdd, 0x12, 0x26, 0xfe, 0x99, 0x3d, 0x82, 0x28, 0x27, 0x8c, 0xeb, 0xa2, 0x1f,
                                 0x80, 0xb8, 0xfc, 0x95, 0x98, 0x6a, 0x70, 0xd7, 0x1e, 0xdf, 0x3f, 0xaf};

enum { COUNT = 70 };

/* Around lanes and batches: one signature is wrong, at each place. */
static int verifies(size_t n) {
    static uint8_t keys[COUNT][32], signatures[COUNT][64], hashes[COUNT][64], valid[COUNT];
    for (size_t wrong = 0; wrong < n; wrong += 1 + n / 8) {
        for (size_t i = 0; i < n; i++) {
            memcpy(keys[i], key, sizeof key);
            memcpy(signatures[i], signature, sizeof signature);
            memcpy(hashes[i], hash, sizeof hash);
        }
        signatures[wrong][wrong % 64] ^= 1;
        if (secagg_ed25519_verify(valid, keys[0], signatures[0], hashes[0], n))
            return 0;
        for (size_t i = 0; i < n; i++)
            if (valid[i] != (i != wrong))
                return 0;
    }
    return 1;
}

/* A key; the neutral element, and with p + 1 for its y of 1; order 2; and y = 2, which no point has. */
static int knows_keys(void) {
    static const uint8_t neutral[32] = {1}, none[32] = {2};
    static const uint8_t expected[5] = {1, 0, 0, 0, 0};
    uint8_t keys[5][32], valid[5];
    memcpy(keys[0], key, sizeof key);
    memcpy(keys[1], neutral, sizeof neutral);
    memset(keys[2], 0xff, 32);
    keys[2][0] = 0xee;
    keys[2][31] = 0x7f;
    memcpy(keys[3], keys[2], 32);
    keys[3][0] = 0xec;
    memcpy(keys[4], none, sizeof none);
    return secagg_ed25519_check_keys(valid, keys[0], 5) == 0 && memcmp(valid, expected, sizeof expected) == 0;
}

int main(void) {
    static const size_t counts[] = {1, 2, 5, 9, COUNT};
    for (size_t i = 0; secagg_isa_with(SECAGG_SIGNATURES, i); i++) {
        const char *isa = secagg_isa_with(SECAGG_SIGNATURES, i);
        int right = secagg_isa_use(isa) == 0 && knows_keys() && secagg_ed25519_verify(NULL, NULL, NULL, NULL, 0) == 0;
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            right &= verifies(counts[c]);
        if (!right) {
            printf("ed25519: %s verifies wrongly\n", isa);
            return 1;
        }
    }
    puts("ed25519: passed");
    return 0;
}
