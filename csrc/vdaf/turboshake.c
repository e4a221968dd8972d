/* turboshake.c: which kernels there are, and their use on any number of messages. */
#include "turboshake.h"

#include <string.h>

enum { MOST_LANES = 8 };

/* Widest first; each list ends with one lane. */
static const struct turboshake *const one_lane[] = {&secagg_turboshake_portable};
#ifdef __x86_64__
static const struct turboshake *const four_lanes[] = {&secagg_turboshake_avx2, &secagg_turboshake_portable};
static const struct turboshake *const eight_lanes[] = {&secagg_turboshake_avx512, &secagg_turboshake_avx2,
                                                       &secagg_turboshake_portable};
#endif

const struct turboshake *const *secagg_turboshake_kernels(const char *isa) {
#ifdef __x86_64__
    if (strcmp(isa, "vaes512") == 0 && __builtin_cpu_supports("avx512f"))
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

/* RFC 9861, section 5: the first 32 bytes for FF FF FF. */
static const uint8_t answer[32] = {0xbf, 0x32, 0x3f, 0x94, 0x04, 0x94, 0xe8, 0x8e, 0xe1, 0xc5, 0x40,
                                   0xfe, 0x66, 0x0b, 0xe8, 0xa0, 0xc9, 0x3f, 0x43, 0xd1, 0x5e, 0xc0,
                                   0x06, 0x99, 0x84, 0x62, 0xfa, 0x99, 0x4e, 0xed, 0x5d, 0xab};

int secagg_turboshake_selftest(const struct turboshake *const *kernels) {
    static const uint8_t message[3] = {0xff, 0xff, 0xff};
    const struct part part = {message, sizeof message, 0};
    const struct messages messages = {&part, 1};
    uint8_t out[MOST_LANES][sizeof answer];
    int wrong = 0;
    size_t lanes;
    do {
        lanes = (*kernels)->lanes;
        (*kernels++)->run(out[0], sizeof *out, sizeof *out, &messages, 0);
        for (size_t l = 0; l < lanes; l++)
            wrong |= memcmp(out[l], answer, sizeof answer);
    } while (lanes > 1);
    return -(wrong != 0);
}
