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

/* One instruction set's kernel: out + l * stride receives the first length bytes for message r + l, l < lanes. */
struct turboshake {
    size_t lanes;
    void (*run)(uint8_t *out, size_t stride, size_t length, const struct messages *messages, size_t r);
};

/* The kernels for the instruction set of this name (secagg.h), widest first; the last has one lane. */
const struct turboshake *const *secagg_turboshake_kernels(const char *isa);

/* out + r * stride receives the first length bytes for message r, r < count. */
void secagg_turboshake(const struct turboshake *const *kernels, uint8_t *out, size_t stride, size_t length,
                       const struct messages *messages, size_t count);

/* Known-answer test of these kernels: 0, or -1 if one computes wrongly. */
int secagg_turboshake_selftest(const struct turboshake *const *kernels);

extern const struct turboshake secagg_turboshake_portable;
#ifdef __x86_64__
extern const struct turboshake secagg_turboshake_avx2;
extern const struct turboshake secagg_turboshake_avx512;
#endif

#endif
