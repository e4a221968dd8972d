/* The lanes of csrc/agreement/p256_ifma.c, whose source this is. */
#ifdef __x86_64__
#define secagg_p256_ifma tested
#include "../../csrc/agreement/p256_ifma.c"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma"))), apply_to = function)
#endif
#include "p256_lanes_test.inc"
#ifdef __clang__
#pragma clang attribute pop
#endif

int main(void) { return __builtin_cpu_supports("avx512ifma") ? test("p256_ifma") : 0; }
#else
int main(void) { return 0; }
#endif
