/* Rounding: secagg.h's functions on top of the kernels. */
#include <math.h>

#include "rounding.h"

int secagg_quantize(uint64_t *out, const double *values, const uint8_t *drawn, size_t n, double clip, double scale,
                    uint64_t offset) {
    if (!(clip > 0 && clip < INFINITY && scale >= 0 && scale <= 0x1p52))
        return -1;
    const struct grid grid = {clip, clip, scale, offset};
    secagg_isa_row(SECAGG_ROUNDING)->round(out, values, drawn, n, &grid);
    return 0;
}

/* With a grid that changes nothing. */
int secagg_round_at_random(int64_t *out, const double *values, const uint8_t *drawn, size_t n) {
    const struct grid grid = {INFINITY, 1, 1, 0};
    if (drawn == NULL)
        return -1;
    secagg_isa_row(SECAGG_ROUNDING)->round((uint64_t *)out, values, drawn, n, &grid);
    return 0;
}
