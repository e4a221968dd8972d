/* hkdf.c: HKDF-SHA256 of many keys. */
#include "hkdf.h"

_Static_assert(SECAGG_HKDF_MAX_BYTES + 1 + PADDING_BYTES <= MESSAGE_BLOCKS * BLOCK_BYTES, "an info has its room");

int secagg_hkdf_sha256_salted(uint8_t *out, size_t length, const uint8_t *salts, const uint8_t *keys, size_t key_bytes,
                              const uint8_t *infos, size_t info_bytes, size_t n) {
    if (length == 0 || length > DIGEST_BYTES || key_bytes > SECAGG_HKDF_MAX_BYTES || info_bytes > SECAGG_HKDF_MAX_BYTES)
        return -1;
    const struct hkdf hkdf = {out, length, salts, keys, key_bytes, infos, info_bytes, n};
    secagg_isa_row(SECAGG_HKDF)->hkdf(&hkdf);
    return 0;
}

int secagg_hkdf_sha256(uint8_t *out, size_t length, const uint8_t *keys, size_t key_bytes, const uint8_t *infos,
                       size_t info_bytes, size_t n) {
    return secagg_hkdf_sha256_salted(out, length, NULL, keys, key_bytes, infos, info_bytes, n);
}
