/* The lanes of csrc/agreement/p256_avx2.c, whose source this is. */
#ifdef __x86_64__
#define secagg_p256_avx2 tested
#include "../../csrc/agreement/p256_avx2.c"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#endif
#include "p256_lanes_test.inc"
#ifdef __clang__
#pragma clang attribute pop
#endif

int main(void) { return __builtin_cpu_supports("avx2") ? test("p256_avx2") : 0; }
#else
int main(void) { return 0; }
#endif
