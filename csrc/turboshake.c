/* turboshake.c: which kernels there are, and their use on any number of messages. */
#include "turboshake.h"

#include <string.h>

/* Widest first; each list ends with one lane. */
static const struct turboshake *const one_lane[] = {&secagg_turboshake_portable};
#ifdef __x86_64__
static const struct turboshake *const four_lanes[] = {&secagg_turboshake_avx2, &secagg_turboshake_portable};
static const struct turboshake *const eight_lanes[] = {&secagg_turboshake_avx512, &secagg_turboshake_avx2,
                                                       &secagg_turboshake_portable};
#endif

/* AVX-512 goes with the widest AES instructions only, so that every width can be chosen for tests. */
const struct turboshake *const *secagg_turboshake_kernels(const char *isa) {
#ifdef __x86_64__
    if (strcmp(isa, "vaes") == 0 && __builtin_cpu_supports("avx512f"))
        return eight_lanes;
    if (strcmp(isa, "portable") != 0 && __builtin_cpu_supports("avx2"))
        return four_lanes;
#endif
    (void)isa;
    return one_lane;
}

void secagg_turboshake(const struct turboshake *const *kernels, uint8_t *out, size_t stride, size_t length,
                       const struct messages *messages, size_t count) {
    for (size_t r = 0; r < count; r += (*kernels)->lanes) {
        while (count - r < (*kernels)->lanes)
            kernels++;
        (*kernels)->run(out + r * stride, stride, length, messages, r);
    }
}
