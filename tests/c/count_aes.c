/* count_aes.c: one mask sum by the ARMv8 kernel, for ci/count_aes.py to watch.  Arguments: R as secagg.h takes it, the
 * bytes of keystream that an element has, how many elements, how many seeds, what every byte of these is. */
#include <stdlib.h>

#include "mask/mask.h"

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    struct prg prg = {0, strtoull(argv[1], NULL, 10), (unsigned)strtoul(argv[2], NULL, 10)};
    size_t n = strtoul(argv[3], NULL, 10), k = strtoul(argv[4], NULL, 10);
    void *acc = calloc(n, sizeof(uint64_t));
    uint8_t *seeds = malloc(k * SECAGG_SEED_BYTES);
    int8_t *signs = malloc(k);
    if (!acc || !seeds || !signs)
        return 2;
    memset(seeds, (int)strtoul(argv[5], NULL, 10), k * SECAGG_SEED_BYTES);
    for (size_t j = 0; j < k; j++)
        signs[j] = j % 2 ? 1 : -1;
    secagg_mask_sum_armv8(&prg, acc, n, 0, seeds, signs, k);
    return 0;
}
