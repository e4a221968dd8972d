/* curve25519_portable.c: signatures and agreements, of one key at a time. */
#include "curve25519/field_portable.h"

#include "curve25519/curve25519.inc"

const struct ed25519_kernel secagg_ed25519_portable = {LANES, sizeof(struct work), combine};
const struct x25519_kernel secagg_x25519_portable = {LANES, exchange};
