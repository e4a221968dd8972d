/* kernel.h: what the kernels of all subjects are written in. */
#ifndef SECAGG_KERNEL_H
#define SECAGG_KERNEL_H

#if __SIZEOF_POINTER__ < 8
#error "secagg wants a 64-bit CPU: this compiler makes code for a 32-bit one"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "secagg wants a little-endian CPU: its kernels read bytes as words, and this compiler's CPU is big-endian"
#endif

__extension__ typedef unsigned __int128 uint128_t;

#define KERNEL static inline __attribute__((always_inline))

/* Before a loop of at most 16 steps: compilers do not unroll at -O2 what the kernels need unrolled. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
