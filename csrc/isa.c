/* isa.c: which instruction sets there are, which one is in use, and whether it computes rightly. */
#include "isa.h"

#include <stdatomic.h>

static const struct isa *const known[] = {
    &secagg_portable,
#if defined(__x86_64__)
    &secagg_aesni,
    &secagg_vaes,
    &secagg_vaes512,
#endif
};

enum { KNOWN = sizeof known / sizeof *known };

/* NULL until first asked for. */
static _Atomic(const struct isa *) current;

static const struct isa *available(size_t i) {
    for (size_t j = 0; j < KNOWN; j++)
        if (known[j]->supported() && i-- == 0)
            return known[j];
    return NULL;
}

static const struct isa *fastest(void) {
    size_t j = KNOWN - 1;
    while (!known[j]->supported())
        j--;
    return known[j];
}

const struct isa *secagg_isa_current(void) {
    const struct isa *isa = atomic_load_explicit(&current, memory_order_relaxed);
    if (isa)
        return isa;
    const struct isa *chosen = fastest();
    return atomic_compare_exchange_strong(&current, &isa, chosen) ? chosen : isa;
}

const char *secagg_isa_available(size_t i) {
    const struct isa *isa = available(i);
    return isa ? isa->name : NULL;
}

const char *secagg_isa(void) { return secagg_isa_current()->name; }

int secagg_isa_use(const char *name) {
    const struct isa *isa = name ? NULL : fastest();
    for (size_t j = 0; j < KNOWN && name; j++)
        if (known[j]->supported() && strcmp(known[j]->name, name) == 0)
            isa = known[j];
    if (isa)
        atomic_store_explicit(&current, isa, memory_order_relaxed);
    return isa ? 0 : -1;
}

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

int secagg_selftest(void) {
    const int8_t signs[3] = {1, -1, 1};
    uint8_t seeds[48];
    for (uint8_t i = 0; i < sizeof seeds; i++)
        seeds[i] = i;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (hash_mask_sum(answers[i].modulus, seeds, signs, seeds) != answers[i].hash)
            return -1;
    return 0;
}
