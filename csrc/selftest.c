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

int secagg_selftest(void) { return masks_are_right() && turboshake_is_right() ? 0 : -1; }
