/* mask.h: what mask.c, mask.inc and the instruction sets share. */
#ifndef SECAGG_MASK_H
#define SECAGG_MASK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"
#include "kernel.h"
#include "modulus.h"
#include "secagg.h"
#include "wipe.h"

#define AES_BLOCK 16
#define AES_ROUNDS 10
#define KEYS 32 /* schedules computed together */

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

extern mask_sum_fn secagg_mask_sum_portable;
#ifdef __x86_64__
extern mask_sum_fn secagg_mask_sum_aesni, secagg_mask_sum_vaes, secagg_mask_sum_vaes512;
#elif defined(__aarch64__)
extern mask_sum_fn secagg_mask_sum_armv8;
#endif

#endif
