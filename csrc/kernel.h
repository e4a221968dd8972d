/* kernel.h: what the kernels of all subjects are written in. */
#ifndef SECAGG_KERNEL_H
#define SECAGG_KERNEL_H

__extension__ typedef unsigned __int128 uint128_t;

#define KERNEL static inline __attribute__((always_inline))

/* Before a loop of at most 16 steps: compilers do not unroll at -O2 what the kernels need unrolled. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
