/* TurboSHAKE128 on AVX-512, eight states at a time. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC target("avx512f")
#endif
#include <stdint.h>

#define LANES 8
typedef uint64_t lanes_t __attribute__((vector_size(8 * LANES)));
#define LANE(x, l) ((x)[l])
#include "turboshake.inc"

const struct turboshake secagg_turboshake_avx512 = {LANES, run, &secagg_turboshake_avx2};
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
