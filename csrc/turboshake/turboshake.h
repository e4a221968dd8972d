/* turboshake.h: TurboSHAKE128 (RFC 9861) with domain byte 1, for many messages of one length. */
#ifndef SECAGG_TURBOSHAKE_H
#define SECAGG_TURBOSHAKE_H

#include <stddef.h>
#include <stdint.h>

/* A piece of every message: length bytes at at + r * stride in message r; stride is 0 if all messages share it. */
struct part {
    const uint8_t *at;
    size_t length, stride;
};

/* The messages, each the concatenation of its parts. */
struct messages {
    const struct part *parts;
    size_t count;
};

#define TURBOSHAKE_MAX_LANES 8

/* One instruction set's kernel: out + l * stride receives the first length bytes for message r + l, l < lanes.
 * `narrower` is for fewer messages than lanes, and NULL if there is one lane. */
struct turboshake {
    size_t lanes;
    void (*run)(uint8_t *out, size_t stride, size_t length, const struct messages *messages, size_t r);
    const struct turboshake *narrower;
};

/* out + r * stride receives the first length bytes for message r, r < count. */
static inline void turboshake_batch(const struct turboshake *kernel, uint8_t *out, size_t stride, size_t length,
                                    const struct messages *messages, size_t count) {
    for (size_t r = 0; r < count; r += kernel->lanes) {
        while (count - r < kernel->lanes)
            kernel = kernel->narrower;
        kernel->run(out + r * stride, stride, length, messages, r);
    }
}

extern const struct turboshake secagg_turboshake_portable;
#ifdef __x86_64__
extern const struct turboshake secagg_turboshake_avx2, secagg_turboshake_avx512;
#elif defined(__aarch64__)
extern const struct turboshake secagg_turboshake_sha3;
#endif

#endif
