/* The kernels over Field64. */
#include "field64.h"

#include "field.inc"

#include "ntt.inc"

#include "gadget.inc"

#include "gadget_mul.inc"

#include "gadget_poly.inc"

const struct vdaf_field secagg_field64 = VDAF_FIELD_KERNELS;
