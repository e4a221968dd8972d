/* p256_ifma.c: eight points at a time, one in each 64-bit lane, on limbs of 52 bits, which AVX-512 IFMA multiplies. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512ifma")
#endif
#include "ifma.h"
#include "p256_kernel.h"

#define LANES 8

typedef int64_t signed_vec __attribute__((vector_size(64)));

#include "p256_limbs52.inc"

#include "p256_kernel.inc"

const struct p256_kernel secagg_p256_ifma = KERNEL_OF_ALL;

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
