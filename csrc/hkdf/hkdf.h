/* hkdf.h: what hkdf.c, hkdf.inc and the instruction sets share. */
#ifndef SECAGG_HKDF_H
#define SECAGG_HKDF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"
#include "kernel.h"
#include "wipe.h"

/* Of SHA-256; padding is a bit 1 and a length of 64 bits. */
enum { BLOCK_BYTES = 64, DIGEST_BYTES = 32, PADDING_BYTES = 9 };

/* What HMAC takes after its key here. */
enum { MESSAGE_BLOCKS = 2 };

/* The arguments of secagg_hkdf_sha256_salted; salts is NULL if there are none. */
struct hkdf {
    uint8_t *out;
    size_t length;
    const uint8_t *salts;
    const uint8_t *keys;
    size_t key_bytes;
    const uint8_t *infos;
    size_t info_bytes;
    size_t n;
};

static inline uint32_t load32_be(const uint8_t *in) {
    uint32_t word;
    memcpy(&word, in, sizeof word);
    return __builtin_bswap32(word);
}

static inline void store32_be(uint8_t *out, uint32_t word) {
    word = __builtin_bswap32(word);
    memcpy(out, &word, sizeof word);
}

extern hkdf_fn secagg_hkdf_portable;
#ifdef __x86_64__
extern hkdf_fn secagg_hkdf_avx2;
#elif defined(__aarch64__)
extern hkdf_fn secagg_hkdf_armv8;
#endif

#endif
