/* TurboSHAKE128 on AVX2, four states at a time. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include <stdint.h>

#define LANES 4
typedef uint64_t lanes_t __attribute__((vector_size(8 * LANES)));
#define LANE(x, l) ((x)[l])
#include "turboshake.inc"

const struct turboshake secagg_turboshake_avx2 = {LANES, run, &secagg_turboshake_portable};
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
