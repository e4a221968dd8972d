/* p256_invert.h: inverses mod p of what is public. */
#ifndef SECAGG_P256_INVERT_H
#define SECAGG_P256_INVERT_H

#include "p256_field.h"

/* 1 / a in Montgomery's form, for a that is not 0.  Time depends on a. */
field_t secagg_p256_invert(const field_t *a);

#endif
