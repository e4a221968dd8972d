/* mask_armv8.c: AES instructions of ARMv8's cryptographic extension, one block at a time in 128-bit registers. */
#if defined(__aarch64__)

#include "mask.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("aes"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("+crypto")
#endif

#define MASK_SUM secagg_mask_sum_armv8
#define GROUP 12

typedef uint8_t block_t __attribute__((vector_size(16), may_alias));
typedef uint16_t lanes_t __attribute__((vector_size(16), may_alias));

KERNEL block_t from_bytes(const uint8_t *bytes) {
    block_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}

KERNEL lanes_t high_bytes(lanes_t x) { return x >> 8; }
KERNEL void to_lanes(lanes_t *lanes, block_t x) { *lanes = (lanes_t)x; }
KERNEL block_t broadcast_key(const uint8_t *key) { return from_bytes(key); }

/* Reads a key of the schedule.  By an instruction, since clang repeats a plain read after each of the volatile ones
 * below.  It need not say that it reads memory: reread() has the keys stored, and a group changes none. */
KERNEL block_t load_key(const block_t *k) {
    block_t key;
    __asm__("ldr %q0, [%1]" : "=w"(key) : "r"(k));
    return key;
}

/* AESE is AddRoundKey, SubBytes and ShiftRows, so that a round begins with the key that the one before would have ended
 * with.  Cores execute AESE and AESMC as one where they follow each other on one register: as one piece of assembly
 * they always do.  Volatile ones keep their order, which is a round for all blocks before the next round: compilers
 * would send each block through several rounds in a row, and a core would wait for each.  ci/count_aes.py tests it. */
KERNEL block_t aese(block_t x, block_t k) {
    __asm__ volatile("aese %0.16b, %1.16b" : "+w"(x) : "w"(k));
    return x;
}

KERNEL block_t aese_aesmc(block_t x, block_t k) {
    __asm__ volatile("aese %0.16b, %1.16b\n\taesmc %0.16b, %0.16b" : "+w"(x) : "w"(k));
    return x;
}

KERNEL block_t aes_first(block_t x, const block_t *k) { return (void)k, x; }
KERNEL block_t aes_round(block_t x, const block_t *k) { return aese_aesmc(x, load_key(k - 1)); }
KERNEL block_t aes_last(block_t x, const block_t *k) { return aese(x, load_key(k - 1)) ^ load_key(k); }

/* AESE with a zero key is ShiftRows, undone here beforehand, and SubBytes. */
KERNEL void sub_words(uint32_t *words) {
    for (size_t i = 0; i < KEYS; i += 4) {
        block_t x = from_bytes((const uint8_t *)(words + i));
        x = SHUFFLE(block_t, x, 0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3);
        x = aese(x, (block_t){0});
        memcpy(words + i, &x, sizeof x);
    }
}

#include "mask.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
