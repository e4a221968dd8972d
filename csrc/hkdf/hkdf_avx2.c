/* HKDF with AVX2: eight keys at a time. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "hkdf.h"

typedef uint32_t vec_t __attribute__((vector_size(32), may_alias));

#include "hkdf.inc"

void secagg_hkdf_avx2(const struct hkdf *hkdf) { derive_all(hkdf); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
