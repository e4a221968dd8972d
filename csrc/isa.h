/* isa.h: what an instruction set offers, and what its file and mask.inc share with the rest. */
#ifndef SECAGG_ISA_H
#define SECAGG_ISA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "modulus.h"
#include "secagg.h"
#include "wipe.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels read keystream as little-endian words"
#endif

#define AES_BLOCK 16
#define AES_ROUNDS 10
#define KEYS 32 /* schedules computed together */

__extension__ typedef unsigned __int128 uint128_t;

#define KERNEL static inline __attribute__((always_inline))

/* Before a loop of at most 16 steps: compilers do not unroll at -O2 what the kernels need unrolled. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The elements of vector x at constant indices. */
#ifdef __clang__
#define SHUFFLE(vector, x, ...) __builtin_shufflevector((vector)(x), (vector)(x), __VA_ARGS__)
#else
#define SHUFFLE(vector, x, ...) __builtin_shuffle((vector)(x), (vector){__VA_ARGS__})
#endif

/* Which stream of elements a seed stands for. */
struct prg {
    uint128_t counter; /* of keystream block 0: nonce || 0^32 */
    uint64_t modulus;  /* R, 0 for 2^64 */
    unsigned width;    /* keystream bytes an element: ceil(b/8) for R = 2^b, else 16 */
};

/* acc holds uint32_t if 2 <= R <= 2^32, else uint64_t; all arguments are valid; n and k may be 0. */
typedef void mask_sum_fn(const struct prg *prg, void *acc, size_t n, uint64_t offset, const uint8_t *seeds,
                         const int8_t *signs, size_t k);

struct isa {
    const char *name;
    int (*supported)(void);
    mask_sum_fn *mask_sum;
};

extern const struct isa secagg_portable, secagg_aesni, secagg_vaes, secagg_vaes512;

/* The instruction set in use. */
const struct isa *secagg_isa_current(void);

#endif
