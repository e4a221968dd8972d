/* The kernels over Field128. */
#include "field128.h"

#include "field.inc"

#include "ntt.inc"

#include "gadget.inc"

#include "gadget_mul.inc"

#include "gadget_poly.inc"

const struct vdaf_field secagg_field128 = VDAF_FIELD_KERNELS;
