/* hkdf.c: HKDF-SHA256 of many keys; four at a time in the plain vectors that every 64-bit CPU has. */
#include "hkdf.h"
#include "secagg.h"
#include "wipe.h"

typedef uint32_t vec_t __attribute__((vector_size(16), may_alias));

#include "hkdf.inc"

_Static_assert(SECAGG_HKDF_MAX_BYTES + 1 + PADDING_BYTES <= MESSAGE_BLOCKS * BLOCK_BYTES, "an info has its room");

int secagg_hkdf_sha256(uint8_t *out, size_t length, const uint8_t *keys, size_t key_bytes, const uint8_t *infos,
                       size_t info_bytes, size_t n) {
    if (length == 0 || length > DIGEST_BYTES || key_bytes > SECAGG_HKDF_MAX_BYTES || info_bytes > SECAGG_HKDF_MAX_BYTES)
        return -1;
    const struct hkdf hkdf = {out, length, keys, key_bytes, infos, info_bytes, n};
#ifdef __x86_64__
    if (strcmp(secagg_isa(), "portable") != 0 && __builtin_cpu_supports("avx2")) {
        secagg_hkdf_avx2(&hkdf);
        return 0;
    }
#endif
    derive_all(&hkdf);
    return 0;
}
