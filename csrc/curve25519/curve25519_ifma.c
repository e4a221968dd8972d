/* curve25519_ifma.c: signatures and agreements, of eight keys at a time. */
#ifdef __x86_64__
#ifndef SECAGG_EMULATED
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512ifma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512ifma")
#endif
#endif
#include "curve25519/field_ifma.h"

#include "curve25519/curve25519.inc"

const struct ed25519_kernel secagg_ed25519_ifma = {LANES, sizeof(struct work), combine};
const struct x25519_kernel secagg_x25519_ifma = {LANES, exchange};

#if defined(__clang__) && !defined(SECAGG_EMULATED)
#pragma clang attribute pop
#endif
#endif
