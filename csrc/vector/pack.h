/* Packing kernels: what pack.c asks of an instruction set.
 *
 * Eight elements, a group, take b whole bytes.  A kernel handles whole groups and may touch up to PACK_SLACK bytes of
 * the packed side past the last one: reading them, or writing anything there.  Elements need no alignment. */
#ifndef SECAGG_PACK_H
#define SECAGG_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { PACK_GROUP = 8, PACK_SLACK = 16 };

/* out := in, packed. */
typedef void pack_kernel(uint8_t *out, const void *in, size_t groups, unsigned bits);

/* out := in, or out + in mod R. */
typedef void unpack_kernel(void *out, const uint8_t *in, size_t groups, unsigned bits, uint64_t modulus);

struct pack_kernels {
    pack_kernel *pack;
    unpack_kernel *unpack;      /* out := in mod 2^b */
    unpack_kernel *add_power;   /* out := out + in mod R, R = 2^b */
    unpack_kernel *add_modulus; /* out := out + in mod any other R */
};

/* One table for 32-bit elements, one for 64-bit ones. */
extern const struct pack_kernels secagg_pack_portable[2];
#ifdef __x86_64__
extern const struct pack_kernels secagg_pack_avx2[2];
#elif defined(__aarch64__)
extern const struct pack_kernels secagg_pack_neon[2];
#endif

#endif
