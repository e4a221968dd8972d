/* Packing in plain C: one element at a time, through 64-bit windows on the packed bytes. */
#include "kernel.h"
#include "modulus.h"
#include "pack.h"
#include <string.h>

enum operation { UNPACK, ADD_POWER, ADD_MODULUS };

static inline uint64_t load_u64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Two elements of 32 bits, joined: one number of 2b bits. */
static inline uint64_t joined(uint64_t pair, unsigned bits) { return (uint32_t)pair | pair >> 32 << bits; }

/* Writes `width` bits of each 64-bit word, joined elements or one.  `fill` bits wait for out[0]: carry, below 2^8. */
KERNEL void pack_words(uint8_t *out, const uint8_t *in, size_t words, unsigned bits, int paired) {
    unsigned width = paired ? 2 * bits : bits, fill = 0;
    uint64_t carry = 0;
    for (; words; words--, in += sizeof(uint64_t)) {
        uint64_t x = paired ? joined(load_u64(in), bits) : load_u64(in);
        uint64_t low = carry | x << fill, high = x >> 1 >> (63 - fill);
        memcpy(out, &low, sizeof low);
        fill += width;
        unsigned whole = fill / 8;
        carry =
            low >> 4 * whole >> 4 * whole | high; /* a shift by 64 would be undefined; high is 0 unless whole is 8 */
        out += whole;
        fill %= 8;
    }
}

static void pack_u32(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    pack_words(out, in, groups * PACK_GROUP / 2, bits, 1);
}

static void pack_u64(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    pack_words(out, in, groups * PACK_GROUP, bits, 0);
}

struct window {
    size_t offset;
    unsigned shift;
};

static inline struct window window_at(unsigned element, unsigned bits) {
    return (struct window){element * bits / 8, element * bits % 8};
}

static inline uint32_t window_load_u32(const uint8_t *in, const struct window *w) {
    return (uint32_t)(load_u64(in + w->offset) >> w->shift);
}

/* More than 57 bits may reach into a ninth byte. */
static inline uint64_t window_load_u64(const uint8_t *in, const struct window *w) {
    uint64_t ninth = (uint64_t)in[w->offset + 8] << 56;
    return load_u64(in + w->offset) >> w->shift | ninth << (8 - w->shift);
}

#define window_u32 window
#define window_at_u32 window_at
#define NAME(f) f##_u32
#define word uint32_t
#define vec_t uint32_t
#define LESS less_u32
#include "pack.inc"

#define window_u64 window
#define window_at_u64 window_at
#define NAME(f) f##_u64
#define word uint64_t
#define vec_t uint64_t
#define LESS less_u64
#include "pack.inc"

const struct pack_kernels secagg_pack_portable[2] = {
    {pack_u32, unpack_u32, add_power_u32, add_modulus_u32},
    {pack_u64, unpack_u64, add_power_u64, add_modulus_u64},
};
