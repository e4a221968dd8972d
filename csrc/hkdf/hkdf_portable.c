/* HKDF in the plain vectors that every 64-bit CPU has: four keys at a time. */
#include "hkdf.h"

typedef uint32_t vec_t __attribute__((vector_size(16), may_alias));

#include "hkdf.inc"

void secagg_hkdf_portable(const struct hkdf *hkdf) { derive_all(hkdf); }
