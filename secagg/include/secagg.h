/* secagg.h: the C kernels of secagg.
 *
 * A vector mod R has elements uint32_t when R <= 2^32 (functions ..._u32) and uint64_t when R > 2^32 (..._u64); both
 * kinds of function take R as a uint64_t in 2 .. 2^64 - 1, with 0 for 2^64.  Inputs described as "mod R" are < R.
 * Scalars are elements of Z_q, q the order of the P-256 group, as 32 bytes, big-endian (SEC 1), and < q.
 *
 * Functions keep no state of a call, allocate nothing that outlives it, and may run in any number of threads.  They
 * return 0, or -1 for a bad argument, and then have written nothing.  Time does not depend on the contents of vectors,
 * seeds, shares or secrets; it may depend on lengths, R, offsets, x-coordinates and what is verified.
 *
 * There are two libraries.  libsecagg.a and secagg.pc, in the folder that Python's secagg.get_library() names, are for
 * programs that are linked; the code is position-independent.  The module secagg._kernels exports the same functions to
 * those that load it.  The one thing that a library remembers is which instruction sets it uses, and each copy of it
 * remembers its own: secagg_isa_use() in a program says nothing to the module that Python has loaded in the same
 * process.
 *
 * All functions may be called after fork() in the child, whatever the parent's threads were doing: none has a lock. */
#ifndef SECAGG_H
#define SECAGG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The module is compiled with hidden symbols, so that it exports what stands here and no more. */
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* --- Versions ---------------------------------------------------------------------------------------------------
 * Under one version of this interface, functions, constants and names of instruction sets are only added, and
 * subjects before SECAGG_SUBJECTS, which grows; what is here keeps its types, its layout, its meaning and, for equal
 * arguments, its results to the bit.  Anything else gets a new version.  So a program that was compiled with this
 * header can use any library of the same version that is not older than it; who loads a library at run time
 * compares. */

#define SECAGG_API_VERSION 1

/* SECAGG_API_VERSION of the header that the library was compiled with. */
int secagg_api_version(void);

#define SECAGG_SEED_BYTES 16
#define SECAGG_NONCE_BYTES 12
#define SECAGG_SCALAR_BYTES 32

/* --- Instruction sets ------------------------------------------------------------------------------------------ */

/* The i-th instruction set that this build knows and this CPU has, oldest ("portable") first; NULL past the last. */
const char *secagg_isa_available(size_t i);

/* The i-th instruction set that this build knows, whatever this CPU has, oldest first; NULL past the last. */
const char *secagg_isa_built(size_t i);

/* Name of the newest in use. */
const char *secagg_isa(void);

/* Use the named instruction set and older ones from now on, in every thread; NULL for all.  0, or -1 if this one is not
 * available. */
int secagg_isa_use(const char *name);

/* What has kernels of its own for some instruction sets. */
enum secagg_subject {
    SECAGG_MASKS,
    SECAGG_PACKING,
    SECAGG_HKDF,
    SECAGG_AGREEMENT,
    SECAGG_TURBOSHAKE,
    SECAGG_NOISE,
    SECAGG_SIGNATURES,
    SECAGG_SHAMIR,
    SECAGG_ROUNDING,
    SECAGG_SUBJECTS /* how many there are */
};

/* Name of the instruction set whose kernels this subject uses; NULL if there is no such subject. */
const char *secagg_isa_of(enum secagg_subject subject);

/* The i-th available instruction set that has kernels for this subject, oldest first; NULL past the last. */
const char *secagg_isa_with(enum secagg_subject subject, size_t i);

/* Known-answer test of the mask, TurboSHAKE and signature kernels in use: 0, or -1 if one computes wrongly. */
int secagg_selftest(void);

/* --- Masks -----------------------------------------------------------------------------------------------------
 * PRG(seed) is the AES-128 keystream of `seed` in counter mode, its 128-bit big-endian counter starting at
 * nonce || 0^32.  For R = 2^b, element i of the vector it stands for is the w = ceil(b/8) little-endian bytes at
 * w*i, mod 2^b; for any other R it is (X * R) >> 128, X the 16 little-endian bytes at 16*i. */

/* acc[i] := acc[i] + sum over j < k of signs[j] * PRG(seeds[j])[offset + i]  mod R.
 * In/out acc[n] mod R; inputs seeds[k][16], signs[k] each 1 or -1, nonce[12]. */
int secagg_mask_sum_u32(uint32_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                        const uint8_t *nonce, uint64_t offset);
int secagg_mask_sum_u64(uint64_t *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                        const uint8_t *nonce, uint64_t offset);

/* out[i] := PRG(seed)[offset + i].  Output out[n]; inputs seed[16], nonce[12]. */
int secagg_expand_u32(uint32_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                      uint64_t offset);
int secagg_expand_u64(uint64_t *out, size_t n, const uint8_t *seed, uint64_t modulus, const uint8_t *nonce,
                      uint64_t offset);

/* --- Vectors --------------------------------------------------------------------------------------------------- */

/* a[i] := a[i] + b[i] mod R.  In/out a[n] mod R; input b[n] mod R. */
int secagg_add_u32(uint32_t *a, const uint32_t *b, size_t n, uint64_t modulus);
int secagg_add_u64(uint64_t *a, const uint64_t *b, size_t n, uint64_t modulus);

/* a[i] := a[i] - b[i] mod R.  In/out a[n] mod R; input b[n] mod R. */
int secagg_subtract_u32(uint32_t *a, const uint32_t *b, size_t n, uint64_t modulus);
int secagg_subtract_u64(uint64_t *a, const uint64_t *b, size_t n, uint64_t modulus);

/* a[i] := a[i] + b[i] mod R.  In/out a[n] mod R; input b[n], any values. */
int secagg_add_signed_u32(uint32_t *a, const int64_t *b, size_t n, uint64_t modulus);
int secagg_add_signed_u64(uint64_t *a, const int64_t *b, size_t n, uint64_t modulus);

/* The same for R = modulus[2] of 2^64 .. 2^128 - 1 and elements of two words each, the low word first, as the VDAF
 * draft's Field128 has them: In/out a[n][2] mod R; input b[n], any values. */
int secagg_add_signed_u128(uint64_t *a, const int64_t *b, size_t n, const uint64_t *modulus);

/* a[i] := a[i] mod R.  In/out a[n], any values. */
int secagg_reduce_u32(uint32_t *a, size_t n, uint64_t modulus);
int secagg_reduce_u64(uint64_t *a, size_t n, uint64_t modulus);

/* --- Packed vectors --------------------------------------------------------------------------------------------
 * A packed vector is one little-endian number: element i is bits b*i .. b*i + b - 1, b = ceil(log2 R), bit j being
 * bit j mod 8 of byte j / 8.  n elements take ceil(n*b/8) bytes; the unused high bits of the last byte are 0.  Eight
 * elements take b whole bytes, so a slice that starts at a multiple of 8 is a packed vector itself. */

/* out := in, packed.  Output out[ceil(n*b/8)]; input in[n] mod R. */
int secagg_pack_u32(uint8_t *out, const uint32_t *in, size_t n, uint64_t modulus);
int secagg_pack_u64(uint8_t *out, const uint64_t *in, size_t n, uint64_t modulus);

/* out := in, unpacked, each element below 2^b.  Output out[n]; input in[ceil(n*b/8)]. */
int secagg_unpack_u32(uint32_t *out, const uint8_t *in, size_t n, uint64_t modulus);
int secagg_unpack_u64(uint64_t *out, const uint8_t *in, size_t n, uint64_t modulus);

/* acc[i] := acc[i] + in[i] mod R.  In/out acc[n] mod R; input in[ceil(n*b/8)], packed and valid. */
int secagg_packed_add_u32(uint32_t *acc, const uint8_t *in, size_t n, uint64_t modulus);
int secagg_packed_add_u64(uint64_t *acc, const uint8_t *in, size_t n, uint64_t modulus);

/* 0 if in[ceil(n*b/8)] is valid, that is, every element is < R and the unused bits are 0; else -1. */
int secagg_packed_check(const uint8_t *in, size_t n, uint64_t modulus);

/* --- Rounding --------------------------------------------------------------------------------------------------
 * Numbers are finite and of IEEE 754's binary64, and each operation on them is rounded as it has it.  Rounding y at
 * random by the 32 little-endian bits of drawn[i] gives floor(y) + 1 if they are below 2^32 (y - floor(y)), else
 * floor(y).  No branch and no address depends on numbers; a processor's division may take longer where one of them, or a
 * result, is subnormal. */

/* out[i] := offset + y rounded, mod 2^64, y = min(max(values[i], -clip), clip) / clip * scale: at random, or, if drawn is
 * NULL, to the nearest integer, and to the even one of two.  Output out[n]; inputs values[n], drawn[n][4] or NULL; clip
 * above 0 and finite, scale 0 .. 2^52. */
int secagg_quantize(uint64_t *out, const double *values, const uint8_t *drawn, size_t n, double clip, double scale,
                    uint64_t offset);

/* out[i] := values[i] rounded at random.  Output out[n]; inputs values[n], of magnitudes below 2^63, drawn[n][4]. */
int secagg_round_at_random(int64_t *out, const double *values, const uint8_t *drawn, size_t n);

/* --- Shamir sharing over Z_q ----------------------------------------------------------------------------------- */

/* 0 if all of scalars[n][32] are < q, else -1. */
int secagg_scalars_check(const uint8_t *scalars, size_t n);

/* shares[i][j] := secrets[j] + sum over 1 <= k < t of coefficients[j][k-1] * xs[i]^k  mod q.
 * Output shares[n][s][32]; inputs secrets[s][32], coefficients[s][t-1][32] uniform in Z_q, xs[n], none of them 0. */
int secagg_shamir_share(uint8_t *shares, const uint8_t *secrets, size_t s, const uint8_t *coefficients, size_t t,
                        const uint32_t *xs, size_t n);

/* coefficients[i] := product over j != i of xs[j] / (xs[j] - xs[i])  mod q: Lagrange's basis at 0, with one inversion.
 * Output coefficients[t][32]; input xs[t], distinct, none of them 0. */
int secagg_shamir_lagrange(uint8_t *coefficients, const uint32_t *xs, size_t t);

/* secrets[j] := sum over i < t of coefficients[i] * shares[i][j]  mod q.
 * Output secrets[s][32]; inputs coefficients[t][32], shares[t][s][32]. */
int secagg_shamir_combine(uint8_t *secrets, const uint8_t *coefficients, const uint8_t *shares, size_t t, size_t s);

/* secrets[j] := the value at 0 of the polynomial of degree below t through all (xs[j][i], shares[j][i])  mod q: as by
 * secagg_shamir_lagrange and secagg_shamir_combine, but each secret has x-coordinates of its own, and one inversion
 * serves many.  Output secrets[s][32]; inputs xs[s][t], distinct in each row, none of them 0, and shares[s][t][32].  -1
 * may leave some of the secrets written. */
int secagg_shamir_reconstruct(uint8_t *secrets, const uint32_t *xs, const uint8_t *shares, size_t t, size_t s);

/* --- Points of P-256 ------------------------------------------------------------------------------------------- */

/* ys[i] := the even y of the point with x-coordinate xs[i], and valid[i] := 1; valid[i] := 0 where there is none, xs[i]
 * not being below p among them.  Output ys[n][32], valid[n]; input xs[n][32], which is public. */
int secagg_p256_lift(uint8_t *ys, uint8_t *valid, const uint8_t *xs, size_t n);

/* agreed[j][i] := x-coordinate of scalars[i] * P, P a point with x-coordinate xs[j], and valid[j] := 1; valid[j] := 0
 * where there is no such point, or where its products were not found by the general rule and must be made some other
 * way.  Output agreed[n][d][32], valid[n]; inputs scalars[d][32], none of them 0, xs[n][32].  Scalars are private keys
 * that were revealed: time depends on them.  -1 if d is 0, a scalar is 0 or q or more, or there is no memory. */
int secagg_p256_agree(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs, size_t n);

/* agreed[i] := x-coordinate of scalars[scalar_of[i]] * P, P a point with x-coordinate xs[x_of[i]], for all i < k, where
 * few scalars meet a point; valid[j] as for secagg_p256_agree, of all pairs with xs[j], and of each x whether it has a
 * pair or not.  It is fast where pairs of one scalar follow one another.  Output agreed[k][32], valid[n]; inputs
 * scalars[d][32], xs[n][32], scalar_of[k], x_of[k].  Scalars are private keys that were revealed: time depends on them.
 * -1 if a pair's scalar is 0 or q or more, a position is d, n or more, or there is no memory; this takes some 4 KB a
 * point. */
int secagg_p256_agree_pairs(uint8_t *agreed, uint8_t *valid, const uint8_t *scalars, size_t d, const uint8_t *xs,
                            size_t n, const uint32_t *scalar_of, const uint32_t *x_of, size_t k);

/* agreed[i] := x-coordinate of scalar * P, P a point with x-coordinate xs[i], and valid[i] := 1; valid[i] := 0 where there
 * is no such point.  Output agreed[n][32], valid[n]; inputs scalar[32], 1 .. q - 1, which is not checked, xs[n][32].  The
 * scalar is a private key in use: time does not depend on it, and its traces are erased.  Nothing is agreed if it is 0
 * or q.  -1 if there is no memory. */
int secagg_p256_exchange(uint8_t *agreed, uint8_t *valid, const uint8_t *scalar, const uint8_t *xs, size_t n);

/* --- X25519 ----------------------------------------------------------------------------------------------------- */

/* agreed[i] := X25519(scalars[i], points[i]) (RFC 7748, section 5), and valid[i] := 1; valid[i] := 0 where that is 0, as
 * of a point of small order.  A single scalar or a single point stands for n of them.  Outputs agreed[n][32], valid[n];
 * inputs scalars[s][32], points[p][32], any bytes, s and p each n or 1.  Scalars are private keys in use: time depends
 * neither on them nor on points, and their traces are erased. */
int secagg_x25519_exchange(uint8_t *agreed, uint8_t *valid, size_t n, const uint8_t *scalars, size_t s,
                           const uint8_t *points, size_t p);

/* --- Ed25519 ---------------------------------------------------------------------------------------------------- */

/* valid[i] := 1 if signatures[i] = R || S is the key keys[i]'s, else 0: the key is a point A's, S is below the order of
 * the base point B, and R is the encoding of S B - hashes[i] A (RFC 8032, section 5.1.7, without cofactor).  As OpenSSL
 * has it, the y of a key need not be below p, nor the sign of x = 0 be 0, and A may have any order.  Each signature is
 * checked by itself.  Output valid[n]; inputs keys[n][32], signatures[n][64], hashes[n][64] = SHA-512(R || keys[i] || the
 * message), all public.  -1 if there is no memory. */
int secagg_ed25519_verify(uint8_t *valid, const uint8_t *keys, const uint8_t *signatures, const uint8_t *hashes,
                          size_t n);

/* valid[i] := 1 if keys[i] is the canonical encoding of a point of the base point's order, as every private key's is,
 * else 0.  Output valid[n]; input keys[n][32], public.  -1 if there is no memory. */
int secagg_ed25519_check_keys(uint8_t *valid, const uint8_t *keys, size_t n);

/* --- Derivation of keys ---------------------------------------------------------------------------------------- */

/* The most bytes of a key or an info: with what HKDF appends, two blocks of SHA-256. */
#define SECAGG_HKDF_MAX_BYTES 118

/* out[i] := HKDF-SHA256(keys[i], no salt, infos[i]) (RFC 5869), one block of Expand at most.
 * Output out[n][length], length 1 .. 32; inputs keys[n][key_bytes], infos[n][info_bytes], each at most 118 bytes. */
int secagg_hkdf_sha256(uint8_t *out, size_t length, const uint8_t *keys, size_t key_bytes, const uint8_t *infos,
                       size_t info_bytes, size_t n);

/* out[i] := HKDF-SHA256(keys[i], salts[i], infos[i]).  As secagg_hkdf_sha256, and input salts[n][32]. */
int secagg_hkdf_sha256_salted(uint8_t *out, size_t length, const uint8_t *salts, const uint8_t *keys, size_t key_bytes,
                              const uint8_t *infos, size_t info_bytes, size_t n);

/* --- Noise -----------------------------------------------------------------------------------------------------
 * Samples of discrete laws, from random 64-bit words.  Functions return -1 also if words ran out; then what they wrote
 * is no noise. */

/* Where random words come from: words[count] unless it is NULL, else the words PRG(seed)[i] mod 2^64 (see Masks).
 * Words are used once and in order: `used` says which is next, and a function leaves there how many have been used. */
struct secagg_random {
    const uint8_t *seed;   /* [16] */
    const uint8_t *nonce;  /* [12] */
    const uint64_t *words; /* NULL, or [count] */
    uint64_t count;
    uint64_t used;
};

/* out[i] := x with probability proportional to exp(-|x| / scale), scale = numerator / denominator.  Output out[n];
 * numerator and denominator 1 .. 2^56, scale at most 2^40: x is beyond int64_t with less than 2^-12,000,000.  Time
 * depends on the samples. */
int secagg_noise_laplace(int64_t *out, size_t n, uint64_t numerator, uint64_t denominator,
                         struct secagg_random *random);

/* out[i] := x with probability proportional to exp(-x^2 / (2 variance)), variance = numerator / denominator.  Output
 * out[n]; numerator[2] and denominator[2], low word first, 1 .. 2^100, variance at most 2^80.  Time depends on the
 * samples. */
int secagg_noise_gaussian(int64_t *out, size_t n, const uint64_t *numerator, const uint64_t *denominator,
                          struct secagg_random *random);

/* The next four take 128-bit thresholds, each a low and a high word: c stands for the probability c / 2^128. */

/* out[i] := +-x, either with probability 1/2, x >= k + 1 with the probability of thresholds[k] for k < count, which
 * descend.  Output out[n]; input thresholds[count][2].  Takes 3 words a sample; time does not depend on samples. */
int secagg_noise_scan(int64_t *out, size_t n, const uint64_t *thresholds, size_t count, struct secagg_random *random);

/* out[i] := factor^(tables - 1) y[0] + ... + factor y[tables - 2] + y[tables - 1] mod 2^64, the y independent: y[t] as
 * secagg_noise_scan draws it from the next counts[t] thresholds.  Output out[n]; inputs thresholds[sum of counts][2],
 * counts[tables], tables at most 32.  Takes 3 tables words a sample; time does not depend on samples. */
int secagg_noise_convolution(int64_t *out, size_t n, const uint64_t *thresholds, const uint64_t *counts, size_t tables,
                             uint64_t factor, struct secagg_random *random);

/* out[i] := +-(1 + x), either with probability 1/2, or 0 but with the probability of thresholds[0]; bit b of x is 1 with
 * that of thresholds[b + 1].  Output out[n]; input thresholds[bits + 1][2], bits at most 62.  Takes 2 bits + 3 words a
 * sample; time does not depend on samples. */
int secagg_noise_bitwise(int64_t *out, size_t n, const uint64_t *thresholds, unsigned bits,
                         struct secagg_random *random);

/* As secagg_noise_scan, of the real probabilities whose first 128 bits the thresholds are, those beyond count being below
 * 2^-128.  Where the first 128 random bits do not decide, stops before the sample's words: *done says how many samples
 * there are.  Time depends on the samples. */
int secagg_noise_search(int64_t *out, size_t n, size_t *done, const uint64_t *thresholds, size_t count,
                        struct secagg_random *random);

/* out[i] := the next word.  Output out[n]. */
int secagg_random_words(uint64_t *out, size_t n, struct secagg_random *random);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
