/* Scanning a table in plain C: compilers turn (W < c) into a borrow. */
#include "scan.h"

void secagg_scan_portable(uint64_t *above, const struct scan_words *words, const uint64_t *thresholds, size_t count) {
    for (size_t j = 0; j < SCAN_SAMPLES; j++) {
        uint128_t w = (uint128_t)words->high[j] << 64 | words->low[j];
        uint64_t x = 0;
        for (size_t k = 0; k < count; k++)
            x += w < threshold(thresholds, k);
        above[j] = x;
    }
}
