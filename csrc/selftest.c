/* selftest.c: whether the kernels in use compute rightly, by known answers. */
#include <string.h>

#include "isa.h"
#include "modulus.h"
#include "turboshake/turboshake.h"

/* --- Masks ------------------------------------------------------------------------------------------------------- */

/* The hash (64-bit FNV-1a, a word at a time) of 300 elements of a mask sum, from tests/vectors/make_masking.py. */
static const struct {
    uint64_t modulus, hash;
} answers[] = {
    {1ull << 8, 0xa81bcb2cf19a46e0},        {1ull << 16, 0x97fbf035b81d24c7}, {1ull << 20, 0x941043199bb447a8},
    {1ull << 32, 0x319bd06ecdcf251c},       {1ull << 40, 0x5624440e2629a015}, {1ull << 47, 0x4b37fac754a312ab},
    {1ull << 56, 0x27b55e74d7f1be60},       {0, 0x429ae6586eb936df},          {(1ull << 24) - 3, 0xcf30120644467ee3},
    {(1ull << 63) + 9, 0x78edc6c793fb5078},
};

enum { SELFTEST_ELEMENTS = 300 };

static uint64_t hash_word(uint64_t hash, uint64_t word) { return (hash ^ word) * 0x100000001B3; }

static uint64_t hash_mask_sum(uint64_t modulus, const uint8_t *seeds, const int8_t *signs, const uint8_t *nonce) {
    uint64_t hash = 0xCBF29CE484222325;
    uint32_t narrow[SELFTEST_ELEMENTS] = {0};
    uint64_t wide[SELFTEST_ELEMENTS] = {0};
    if (modulus_fits_u32(modulus))
        secagg_mask_sum_u32(narrow, SELFTEST_ELEMENTS, seeds, signs, 3, modulus, nonce, 5);
    else
        secagg_mask_sum_u64(wide, SELFTEST_ELEMENTS, seeds, signs, 3, modulus, nonce, 5);
    for (size_t i = 0; i < SELFTEST_ELEMENTS; i++)
        hash = hash_word(hash, modulus_fits_u32(modulus) ? narrow[i] : wide[i]);
    return hash;
}

static int masks_are_right(void) {
    const int8_t signs[3] = {1, -1, 1};
    uint8_t seeds[48];
    for (uint8_t i = 0; i < sizeof seeds; i++)
        seeds[i] = i;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (hash_mask_sum(answers[i].modulus, seeds, signs, seeds) != answers[i].hash)
            return 0;
    return 1;
}

/* --- TurboSHAKE128 ----------------------------------------------------------------------------------------------- */

/* RFC 9861, section 5: the first 32 bytes for FF FF FF. */
static const uint8_t answer[32] = {0xbf, 0x32, 0x3f, 0x94, 0x04, 0x94, 0xe8, 0x8e, 0xe1, 0xc5, 0x40,
                                   0xfe, 0x66, 0x0b, 0xe8, 0xa0, 0xc9, 0x3f, 0x43, 0xd1, 0x5e, 0xc0,
                                   0x06, 0x99, 0x84, 0x62, 0xfa, 0x99, 0x4e, 0xed, 0x5d, 0xab};

/* Of the widest kernel in use and of all that stand in for it on fewer messages. */
static int turboshake_is_right(void) {
    static const uint8_t message[3] = {0xff, 0xff, 0xff};
    const struct part part = {message, sizeof message, 0};
    const struct messages messages = {&part, 1};
    uint8_t out[TURBOSHAKE_MAX_LANES][sizeof answer];
    int wrong = 0;
    for (const struct turboshake *kernel = secagg_isa_row(SECAGG_TURBOSHAKE)->turboshake; kernel;
         kernel = kernel->narrower) {
        kernel->run(out[0], sizeof *out, sizeof *out, &messages, 0);
        for (size_t l = 0; l < kernel->lanes; l++)
            wrong |= memcmp(out[l], answer, sizeof answer);
    }
    return !wrong;
}

/* --- Signatures -------------------------------------------------------------------------------------------------- */

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

/* In every lane, of which each second one has another hash. */
static int signatures_are_right(void) {
    enum { COUNT = 8 };
    uint8_t keys[COUNT][sizeof key], signatures[COUNT][sizeof signature], hashes[COUNT][sizeof hash], valid[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(keys[i], key, sizeof key);
        memcpy(signatures[i], signature, sizeof signature);
        memcpy(hashes[i], hash, sizeof hash);
        hashes[i][i] ^= i & 1;
    }
    int wrong = secagg_ed25519_verify(valid, keys[0], signatures[0], hashes[0], COUNT);
    for (size_t i = 0; i < COUNT; i++)
        wrong |= valid[i] != !(i & 1);
    return !wrong;
}

int secagg_selftest(void) { return masks_are_right() && turboshake_is_right() && signatures_are_right() ? 0 : -1; }
