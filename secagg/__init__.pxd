"""secagg.h for Cython: `cimport secagg`, with include_dirs=[secagg.get_include()],
library_dirs=[secagg.get_library()] and libraries=["secagg"]. The header says what each function does."""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "secagg.h" nogil:
    enum:
        SECAGG_API_VERSION
        SECAGG_SEED_BYTES
        SECAGG_NONCE_BYTES
        SECAGG_SCALAR_BYTES
        SECAGG_HKDF_MAX_BYTES

    enum secagg_subject:
        SECAGG_MASKS
        SECAGG_PACKING
        SECAGG_HKDF
        SECAGG_AGREEMENT
        SECAGG_TURBOSHAKE
        SECAGG_NOISE
        SECAGG_SIGNATURES
        SECAGG_SHAMIR
        SECAGG_ROUNDING
        SECAGG_SUBJECTS

    struct secagg_random:
        const uint8_t *seed
        const uint8_t *nonce
        const uint64_t *words
        uint64_t count
        uint64_t used

    int secagg_api_version()
    const char *secagg_isa_available(size_t i)
    const char *secagg_isa_built(size_t i)
    const char *secagg_isa()
    int secagg_isa_use(const char *name)
    const char *secagg_isa_of(secagg_subject subject)
    const char *secagg_isa_with(secagg_subject subject, size_t i)
    int secagg_selftest()
    int secagg_mask_sum_u32(uint32_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k,
                            uint64_t modulus, const uint8_t *nonce, uint64_t offset)
    int secagg_mask_sum_u64(uint64_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k,
                            uint64_t modulus, const uint8_t *nonce, uint64_t offset)
    int secagg_expand_u32(uint32_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                          uint64_t offset)
    int secagg_expand_u64(uint64_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                          uint64_t offset)
    int secagg_add_u32(uint32_t *a, const uint32_t *b, size_t n, uint64_t modulus)
    int secagg_add_u64(uint64_t *a, const uint64_t *b, size_t n, uint64_t modulus)
    int secagg_subtract_u32(uint32_t *a, const uint32_t *b, size_t n, uint64_t modulus)
    int secagg_subtract_u64(uint64_t *a, const uint64_t *b, size_t n, uint64_t modulus)
    int secagg_add_signed_u32(uint32_t *a, const int64_t *b, size_t n, uint64_t modulus)
    int secagg_add_signed_u64(uint64_t *a, const int64_t *b, size_t n, uint64_t modulus)
    int secagg_add_signed_u128(uint64_t *a, const int64_t *b, size_t n, const uint64_t *modulus)
    int secagg_reduce_u32(uint32_t *a, size_t n, uint64_t modulus)
    int secagg_reduce_u64(uint64_t *a, size_t n, uint64_t modulus)
    int secagg_pack_u32(uint8_t *out, const uint32_t *source, size_t n, uint64_t modulus)
    int secagg_pack_u64(uint8_t *out, const uint64_t *source, size_t n, uint64_t modulus)
    int secagg_unpack_u32(uint32_t *out, const uint8_t *source, size_t n, uint64_t modulus)
    int secagg_unpack_u64(uint64_t *out, const uint8_t *source, size_t n, uint64_t modulus)
    int secagg_packed_add_u32(uint32_t *acc, const uint8_t *source, size_t n, uint64_t modulus)
    int secagg_packed_add_u64(uint64_t *acc, const uint8_t *source, size_t n, uint64_t modulus)
    int secagg_packed_check(const uint8_t *source, size_t n, uint64_t modulus)
    int secagg_quantize(uint64_t *out, const double *values, const uint8_t *drawn, size_t n, double clip, double scale,
                        uint64_t offset)
    int secagg_round_at_random(int64_t *out, const double *values, const uint8_t *drawn, size_t n)
    int secagg_scalars_check(const uint8_t *scalars, size_t n)
    int secagg_shamir_share(uint8_t *shares, const uint8_t *secrets, size_t s, const uint8_t *coefficients, size_t t,
                            const uint32_t *xs, size_t n)
    int secagg_shamir_lagrange(uint8_t *coefficients, const uint32_t *xs, size_t t)
    int secagg_shamir_combine(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s)
    int secagg_shamir_reconstruct(uint8_t *secrets, const uint32_t *xs, const uint8_t *shares, size_t t, size_t s)
    int secagg_p256_lift(uint8_t *ys, uint8_t *valid, const uint8_t *xs, size_t n)
    int secagg_p256_agree(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs,
                          size_t n)
    int secagg_p256_agree_pairs(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs,
                                size_t n, const uint32_t *scalar_of, const uint32_t *x_of, size_t k)
    int secagg_ed25519_verify(uint8_t *valid, const uint8_t *keys, const uint8_t *signatures, const uint8_t *hashes,
                              size_t n)
    int secagg_ed25519_check_keys(uint8_t *valid, const uint8_t *keys, size_t n)
    int secagg_p256_exchange(uint8_t *agreed, uint8_t *valid, const uint8_t *scalar, const uint8_t *xs, size_t n)
    int secagg_x25519_exchange(uint8_t *agreed, uint8_t *valid, size_t n, const uint8_t *scalars, size_t s,
                               const uint8_t *points, size_t p)
    int secagg_hkdf_sha256(uint8_t *out, size_t length, const uint8_t *keys, size_t key_bytes, const uint8_t *infos,
                           size_t info_bytes, size_t n)
    int secagg_hkdf_sha256_salted(uint8_t *out, size_t length, const uint8_t *salts, const uint8_t *keys,
                                  size_t key_bytes, const uint8_t *infos, size_t info_bytes, size_t n)
    int secagg_noise_laplace(int64_t *out, size_t n, uint64_t numerator, uint64_t denominator, secagg_random *random)
    int secagg_noise_gaussian(int64_t *out, size_t n, const uint64_t *numerator, const uint64_t *denominator,
                              secagg_random *random)
    int secagg_noise_scan(int64_t *out, size_t n, const uint64_t *thresholds, size_t count, secagg_random *random)
    int secagg_noise_convolution(int64_t *out, size_t n, const uint64_t *thresholds, const uint64_t *counts, size_t tables,
                                 uint64_t factor, secagg_random *random)
    int secagg_noise_bitwise(int64_t *out, size_t n, const uint64_t *thresholds, unsigned bits, secagg_random *random)
    int secagg_noise_search(int64_t *out, size_t n, size_t *done, const uint64_t *thresholds, size_t count,
                            secagg_random *random)
    int secagg_random_words(uint64_t *out, size_t n, secagg_random *random)
