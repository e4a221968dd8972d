/* mask.c: the public functions of secagg.h on masks. */
#include "mask.h"

static unsigned element_width(uint64_t modulus) {
    return modulus_is_power(modulus) ? (modulus_bits(modulus) + 7) / 8 : AES_BLOCK;
}

static struct prg make_prg(uint64_t modulus, const uint8_t *nonce) {
    struct prg prg = {0, modulus, element_width(modulus)};
    for (size_t i = 0; i < SECAGG_NONCE_BYTES; i++)
        prg.counter = prg.counter << 8 | nonce[i];
    prg.counter <<= 32;
    return prg;
}

static int are_signs(const int8_t *signs, size_t k) {
    for (size_t j = 0; j < k; j++)
        if (signs[j] != 1 && signs[j] != -1)
            return 0;
    return 1;
}

static int mask_sum(void *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                    const uint8_t *nonce, uint64_t offset) {
    if (!are_signs(signs, k))
        return -1;
    struct prg prg = make_prg(modulus, nonce);
    secagg_isa_row(SECAGG_MASKS)->mask_sum(&prg, acc, n, offset, seeds, signs, k);
    return 0;
}

int secagg_mask_sum_u32(uint32_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                        const uint8_t *nonce, uint64_t offset) {
    return modulus_fits_u32(modulus) ? mask_sum(acc, n, seeds, signs, k, modulus, nonce, offset) : -1;
}

int secagg_mask_sum_u64(uint64_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                        const uint8_t *nonce, uint64_t offset) {
    return modulus_fits_u64(modulus) ? mask_sum(acc, n, seeds, signs, k, modulus, nonce, offset) : -1;
}

static const int8_t plus = 1;

int secagg_expand_u32(uint32_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                      uint64_t offset) {
    if (!modulus_fits_u32(modulus))
        return -1;
    memset(out, 0, n * sizeof *out);
    return mask_sum(out, n, seed, &plus, 1, modulus, nonce, offset);
}

int secagg_expand_u64(uint64_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                      uint64_t offset) {
    if (!modulus_fits_u64(modulus))
        return -1;
    memset(out, 0, n * sizeof *out);
    return mask_sum(out, n, seed, &plus, 1, modulus, nonce, offset);
}
