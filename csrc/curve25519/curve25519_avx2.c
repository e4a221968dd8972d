/* curve25519_avx2.c: signatures and agreements, of four keys at a time. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "curve25519/field_avx2.h"

#include "curve25519/curve25519.inc"

const struct ed25519_kernel secagg_ed25519_avx2 = {LANES, sizeof(struct work), combine};
const struct x25519_kernel secagg_x25519_avx2 = {LANES, exchange};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
