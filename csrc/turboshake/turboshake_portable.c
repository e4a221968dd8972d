/* TurboSHAKE128, one state at a time. */
#include <stdint.h>

#define LANES 1
typedef uint64_t lanes_t;
#define LANE(x, l) (*(&(x) + (l)))
#include "turboshake.inc"

const struct turboshake secagg_turboshake_portable = {LANES, run, NULL};
