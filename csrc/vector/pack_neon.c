/* Packing with NEON, which every aarch64 CPU has: a register is a window of 16 packed bytes, spread over the elements by
 * a table look-up, whose table is data and whose indices are public.  Any b but 63, for which a window may need a 17th
 * byte. */
#ifdef __aarch64__
#include "barrier.h"
#include "kernel.h"
#include "pack.h"
#include <arm_neon.h>
#include <string.h>

enum operation { UNPACK, ADD_POWER, ADD_MODULUS };

static inline uint32x4_t less_vec_u32(uint32x4_t a, uint32x4_t b) {
    uint32x4_t mask = vcltq_u32(a, b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

static inline uint64x2_t less_vec_u64(uint64x2_t a, uint64x2_t b) {
    uint64x2_t mask = vcltq_u64(a, b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

/* --- Unpacking ------------------------------------------------------------------------------------------------- */

/* An element is the bytes of its word from `index`, shifted right, and the byte after those, from `spill`, which joins
 * from above.  Bytes past the window are 0, where only junk above bit b may be. */
struct window_u32 {
    size_t offset;
    uint8x16_t index, spill;
    int32x4_t shift, spill_shift; /* to the left, so that the first is negative */
};

static inline struct window_u32 window_at_u32(unsigned first, unsigned bits) {
    unsigned bit = first * bits;
    uint32x4_t position = bit % 8 + bits * (uint32x4_t){0, 1, 2, 3};
    uint32x4_t byte = position / 8;
    int32x4_t shift = -(int32x4_t)(position % 8);
    return (struct window_u32){bit / 8, (uint8x16_t)(byte * 0x01010101 + 0x03020100),
                               (uint8x16_t)((byte + 4) << 24 | 0xffffff), shift, shift + 8};
}

static inline uint32x4_t window_load_u32(const uint8_t *in, const struct window_u32 *w) {
    uint8x16_t bytes = vld1q_u8(in + w->offset);
    uint32x4_t x = (uint32x4_t)vqtbl1q_u8(bytes, w->index), spill = (uint32x4_t)vqtbl1q_u8(bytes, w->spill);
    return vshlq_u32(x, w->shift) | vshlq_u32(spill, w->spill_shift);
}

struct window_u64 {
    size_t offset;
    uint8x16_t index, spill;
    int64x2_t shift, spill_shift;
};

static inline struct window_u64 window_at_u64(unsigned first, unsigned bits) {
    unsigned bit = first * bits;
    uint64x2_t position = {bit % 8, bit % 8 + bits};
    uint64x2_t byte = position / 8;
    int64x2_t shift = -(int64x2_t)(position % 8);
    return (struct window_u64){bit / 8, (uint8x16_t)(byte * 0x0101010101010101 + 0x0706050403020100),
                               (uint8x16_t)((byte + 8) << 56 | 0xffffffffffffff), shift, shift + 8};
}

static inline uint64x2_t window_load_u64(const uint8_t *in, const struct window_u64 *w) {
    uint8x16_t bytes = vld1q_u8(in + w->offset);
    uint64x2_t x = (uint64x2_t)vqtbl1q_u8(bytes, w->index), spill = (uint64x2_t)vqtbl1q_u8(bytes, w->spill);
    return vshlq_u64(x, w->shift) | vshlq_u64(spill, w->spill_shift);
}

#define NAME(f) f##_u32
#define word uint32_t
#define vec_t uint32x4_t
#define LESS less_vec_u32
#include "pack.inc"

#define NAME(f) f##_u64
#define word uint64_t
#define vec_t uint64x2_t
#define LESS less_vec_u64
#include "pack.inc"

/* --- Packing --------------------------------------------------------------------------------------------------- */

/* Where two numbers of `width` bits go: to 16 bytes at out + offset. */
struct slot {
    size_t offset;
    int64x2_t first, second; /* the left shift that takes each to its place in either half; negative ones go right */
    uint8x16_t carry;        /* moves the byte that the slot shares with the next one to the front */
};

/* A shift by 64 or more, to either side, makes 0. */
static inline int64x2_t left_shifts(unsigned position) { return (int64x2_t){position, (int64_t)position - 64}; }

static inline struct slot slot_at(unsigned bit, unsigned width) {
    unsigned low = bit % 8, end = low + 2 * width;
    uint8_t shared = end % 8 ? (uint8_t)(end / 8) : 0xff;
    return (struct slot){bit / 8, left_shifts(low), left_shifts(low + width),
                         vsetq_lane_u8(shared, vdupq_n_u8(0xff), 0)};
}

/* Stores over the zeros that the slot before left, and returns the carry. */
static inline uint8x16_t slot_store(uint8_t *out, uint64x2_t x, const struct slot *slot, uint8x16_t carry) {
    uint64x2_t first = vshlq_u64(vdupq_laneq_u64(x, 0), slot->first);
    uint64x2_t second = vshlq_u64(vdupq_laneq_u64(x, 1), slot->second);
    uint8x16_t bytes = (uint8x16_t)(first | second) | carry;
    vst1q_u8(out + slot->offset, bytes);
    return vqtbl1q_u8(bytes, slot->carry);
}

/* Two elements of 32 bits, joined: one number of 2b bits. */
static inline uint64x2_t joined(uint64x2_t pairs, int64x2_t up) {
    return (pairs & UINT32_MAX) | vshlq_u64(pairs >> 32, up);
}

KERNEL void pack_groups(uint8_t *out, const uint8_t *in, size_t groups, unsigned bits, int paired) {
    const unsigned vectors = paired ? 2 : 4, width = paired ? 2 * bits : bits;
    const int64x2_t up = vdupq_n_s64(bits);
    struct slot slots[4];
    for (unsigned k = 0; k < vectors; k++)
        slots[k] = slot_at(2 * width * k, width);
    for (; groups; groups--, out += bits) {
        uint8x16_t carry = vdupq_n_u8(0);
        UNROLL for (unsigned k = 0; k < vectors; k++, in += sizeof(uint64x2_t)) {
            uint64x2_t x = (uint64x2_t)vld1q_u8(in);
            carry = slot_store(out, paired ? joined(x, up) : x, &slots[k], carry);
        }
    }
}

static void pack_u32(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    pack_groups(out, in, groups, bits, 1);
}

static void pack_u64(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    pack_groups(out, in, groups, bits, 0);
}

const struct pack_kernels secagg_pack_neon[2] = {
    {pack_u32, unpack_u32, add_power_u32, add_modulus_u32},
    {pack_u64, unpack_u64, add_power_u64, add_modulus_u64},
};
#endif
