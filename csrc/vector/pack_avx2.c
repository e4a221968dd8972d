/* Packing with AVX2: each 128-bit lane of a register is a window of 16 packed bytes, spread over the elements by a byte
 * shuffle.  Any b but 63, for which a lane may need a 17th byte. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "barrier.h"
#include "kernel.h"
#include "pack.h"
#include <immintrin.h>
#include <string.h>

enum operation { UNPACK, ADD_POWER, ADD_MODULUS };

typedef uint32_t vec_u32 __attribute__((vector_size(32)));
typedef uint64_t vec_u64 __attribute__((vector_size(32)));

static inline vec_u32 less_vec_u32(vec_u32 a, vec_u32 b) {
    vec_u32 mask = (vec_u32)(a < b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

static inline vec_u64 less_vec_u64(vec_u64 a, vec_u64 b) {
    vec_u64 mask = (vec_u64)(a < b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

/* --- Unpacking ------------------------------------------------------------------------------------------------- */

static inline __m256i load_lanes(const uint8_t *low, const uint8_t *high) {
    __m256i bytes = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low));
    return _mm256_inserti128_si256(bytes, _mm_loadu_si128((const __m128i *)high), 1);
}

/* An element is the bytes of its word from `index`, shifted right, and the byte after those, from `spill`, which joins
 * from above.  An index past the lane's end wraps, and then brings only junk above bit b. */
struct window_u32 {
    size_t lane[2];
    vec_u32 index, spill, shift;
};

static inline struct window_u32 window_at_u32(unsigned first, unsigned bits) {
    unsigned bit = first * bits, middle = bit + 4 * bits, low = bit % 8, high = middle % 8;
    vec_u32 position = (vec_u32){low, low, low, low, high, high, high, high} + bits * (vec_u32){0, 1, 2, 3, 0, 1, 2, 3};
    vec_u32 byte = position / 8;
    return (struct window_u32){
        {bit / 8, middle / 8}, byte * 0x01010101 + 0x03020100, (byte + 4) << 24 | 0x808080, position % 8};
}

static inline vec_u32 window_load_u32(const uint8_t *in, const struct window_u32 *w) {
    __m256i bytes = load_lanes(in + w->lane[0], in + w->lane[1]);
    vec_u32 x = (vec_u32)_mm256_shuffle_epi8(bytes, (__m256i)w->index);
    vec_u32 spill = (vec_u32)_mm256_shuffle_epi8(bytes, (__m256i)w->spill);
    return x >> w->shift | spill << (8 - w->shift);
}

struct window_u64 {
    size_t lane[2];
    vec_u64 index, spill, shift;
};

static inline struct window_u64 window_at_u64(unsigned first, unsigned bits) {
    unsigned bit = first * bits, middle = bit + 2 * bits, low = bit % 8, high = middle % 8;
    vec_u64 position = {low, low + bits, high, high + bits};
    vec_u64 byte = position / 8;
    return (struct window_u64){{bit / 8, middle / 8},
                               byte * 0x0101010101010101 + 0x0706050403020100,
                               (byte + 8) << 56 | 0x80808080808080,
                               position % 8};
}

static inline vec_u64 window_load_u64(const uint8_t *in, const struct window_u64 *w) {
    __m256i bytes = load_lanes(in + w->lane[0], in + w->lane[1]);
    vec_u64 x = (vec_u64)_mm256_shuffle_epi8(bytes, (__m256i)w->index);
    vec_u64 spill = (vec_u64)_mm256_shuffle_epi8(bytes, (__m256i)w->spill);
    return x >> w->shift | spill << (8 - w->shift);
}

#define NAME(f) f##_u32
#define word uint32_t
#define vec_t vec_u32
#define LESS less_vec_u32
#include "pack.inc"

#define NAME(f) f##_u64
#define word uint64_t
#define vec_t vec_u64
#define LESS less_vec_u64
#include "pack.inc"

/* --- Packing --------------------------------------------------------------------------------------------------- */

/* Where four numbers of `width` bits, two in each lane, go: each lane to 16 bytes at out + lane[i]. */
struct slot {
    size_t lane[2];
    __m256i first, second; /* of each lane: the left shift that takes it to its place in either 64-bit half */
    __m128i carry[2];      /* moves the byte that a lane shares with the next lane to its front */
};

/* A position in a lane as left shifts for its two halves: too far or negative makes 0, the negative is right shifts. */
static inline __m256i left_shifts(int low, int high) { return _mm256_setr_epi64x(low, low - 64, high, high - 64); }

static inline __m128i carry_index(unsigned lane_bits) {
    return _mm_insert_epi8(_mm_set1_epi8(-1), lane_bits % 8 ? (char)(lane_bits / 8) : -1, 0);
}

static inline struct slot slot_at(unsigned bit, unsigned width) {
    unsigned middle = bit + 2 * width, low = bit % 8, high = middle % 8;
    return (struct slot){{bit / 8, middle / 8},
                         left_shifts((int)low, (int)high),
                         left_shifts((int)(low + width), (int)(high + width)),
                         {carry_index(low + 2 * width), carry_index(high + 2 * width)}};
}

static inline __m256i moved(__m256i x, __m256i left) {
    __m256i right = _mm256_sub_epi64(_mm256_setzero_si256(), left);
    return _mm256_or_si256(_mm256_sllv_epi64(x, left), _mm256_srlv_epi64(x, right));
}

/* Stores the low lane and then the high one, each over the zeros that the one before left; returns the carry. */
static inline __m128i slot_store(uint8_t *out, __m256i x, const struct slot *slot, __m128i carry) {
    __m256i lanes = _mm256_or_si256(moved(_mm256_unpacklo_epi64(x, x), slot->first),
                                    moved(_mm256_unpackhi_epi64(x, x), slot->second));
    __m128i low = _mm_or_si128(_mm256_castsi256_si128(lanes), carry);
    _mm_storeu_si128((__m128i *)(out + slot->lane[0]), low);
    __m128i high = _mm_or_si128(_mm256_extracti128_si256(lanes, 1), _mm_shuffle_epi8(low, slot->carry[0]));
    _mm_storeu_si128((__m128i *)(out + slot->lane[1]), high);
    return _mm_shuffle_epi8(high, slot->carry[1]);
}

static void pack_u32(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    const __m256i *elements = in;
    const struct slot slot = slot_at(0, 2 * bits);
    const __m128i up = _mm_cvtsi32_si128((int)bits);
    for (; groups; groups--, out += bits) {
        __m256i x = _mm256_loadu_si256(elements++);
        __m256i even = _mm256_blend_epi32(x, _mm256_setzero_si256(), 0xaa), odd = _mm256_srli_epi64(x, 32);
        slot_store(out, _mm256_or_si256(even, _mm256_sll_epi64(odd, up)), &slot, _mm_setzero_si128());
    }
}

static void pack_u64(uint8_t *out, const void *in, size_t groups, unsigned bits) {
    const __m256i *elements = in;
    const struct slot slots[2] = {slot_at(0, bits), slot_at(4 * bits, bits)};
    for (; groups; groups--, out += bits) {
        __m128i carry = slot_store(out, _mm256_loadu_si256(elements++), &slots[0], _mm_setzero_si128());
        slot_store(out, _mm256_loadu_si256(elements++), &slots[1], carry);
    }
}

const struct pack_kernels secagg_pack_avx2[2] = {
    {pack_u32, unpack_u32, add_power_u32, add_modulus_u32},
    {pack_u64, unpack_u64, add_power_u64, add_modulus_u64},
};

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
