/* mask_portable.c: AES for any 64-bit CPU, bitsliced: constant time, since no table and no branch sees a secret.
 *
 * Eight blocks make eight vectors: bit i of byte p of vector j is bit j of byte p of block i.  So a byte of a vector is
 * a byte position of the AES state, in its own order (column p / 4, row p % 4), and ShiftRows and MixColumns move whole
 * bytes. */
#include "barrier.h"
#include "mask.h"

#define MASK_SUM secagg_mask_sum_portable
#define GROUP 1

typedef uint16_t lanes_t __attribute__((vector_size(16), may_alias));
typedef uint8_t row_bytes_t __attribute__((vector_size(16)));
typedef uint32_t columns_t __attribute__((vector_size(16)));
typedef uint64_t word_t __attribute__((vector_size(16)));

typedef struct {
    word_t bit[8];
} block_t;

/* Exchanges the bits of *a at mask << shift with those of *b at mask. */
KERNEL void swap_bits(word_t *a, word_t *b, int shift, uint64_t mask) {
    word_t t = (*a >> shift ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

/* Eight blocks to bits or back: the transpose of an 8 x 8 bit matrix at each byte position. */
KERNEL void transpose(word_t *x) {
    UNROLL for (int i = 0; i < 8; i += 2) swap_bits(x + i, x + i + 1, 1, 0x5555555555555555);
    UNROLL for (int i = 0; i < 4; i++) swap_bits(x + i + i / 2 * 2, x + i + i / 2 * 2 + 2, 2, 0x3333333333333333);
    UNROLL for (int i = 0; i < 4; i++) swap_bits(x + i, x + i + 4, 4, 0x0F0F0F0F0F0F0F0F);
}

KERNEL block_t from_bytes(const uint8_t *bytes) {
    block_t x;
    memcpy(&x, bytes, sizeof x);
    transpose(x.bit);
    return x;
}

KERNEL lanes_t high_bytes(lanes_t x) { return x >> 8; }
KERNEL void to_lanes(lanes_t *lanes, block_t x) {
    transpose(x.bit);
    memcpy(lanes, &x, sizeof x);
}

KERNEL block_t broadcast_key(const uint8_t *key) {
    row_bytes_t bytes;
    block_t k;
    memcpy(&bytes, key, sizeof bytes);
    UNROLL for (int j = 0; j < 8; j++) {
        k.bit[j] = (word_t) - (bytes >> j & 1);
        VALUE_BARRIER_VECTOR(k.bit[j]);
    }
    return k;
}

/* The S-box as a circuit of 115 gates: J. Boyar and R. Peralta, "A new combinational logic minimization technique with
 * applications to cryptology", SEA 2010, and "A small depth-16 circuit for the AES S-box", SEC 2012; their names, x0
 * and s0 being the highest bits. */
KERNEL void sub_bytes(word_t *bit) {
    word_t x0 = bit[7], x1 = bit[6], x2 = bit[5], x3 = bit[4], x4 = bit[3], x5 = bit[2], x6 = bit[1], x7 = bit[0];

    word_t y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2;
    word_t y1 = t0 ^ x7, y4 = y1 ^ x3, y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6, y3 = y5 ^ y8;
    word_t t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1, y6 = y15 ^ x7, y10 = y15 ^ t0, y11 = y20 ^ y9;
    word_t y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8, y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;

    word_t t2 = y12 & y15, t3 = y3 & y6, t4 = t3 ^ t2, t5 = y4 & x7, t6 = t5 ^ t2, t7 = y13 & y16, t8 = y5 & y1;
    word_t t9 = t8 ^ t7, t10 = y2 & y7, t11 = t10 ^ t7, t12 = y9 & y11, t13 = y14 & y17, t14 = t13 ^ t12;
    word_t t15 = y8 & y10, t16 = t15 ^ t12, t17 = t4 ^ t14, t18 = t6 ^ t16, t19 = t9 ^ t14, t20 = t11 ^ t16;
    word_t t21 = t17 ^ y20, t22 = t18 ^ y19, t23 = t19 ^ y21, t24 = t20 ^ y18;

    word_t t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t28 = t25 & t27, t29 = t28 ^ t22, t30 = t23 ^ t24;
    word_t t31 = t22 ^ t26, t32 = t31 & t30, t33 = t32 ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35;
    word_t t37 = t36 ^ t34, t38 = t27 ^ t36, t39 = t29 & t38, t40 = t25 ^ t39;
    word_t t41 = t40 ^ t37, t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37, t45 = t42 ^ t41;

    word_t z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7;
    word_t z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4;
    word_t z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;

    word_t t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10, t50 = z2 ^ z12, t51 = z2 ^ z5;
    word_t t52 = z7 ^ z8, t53 = z0 ^ z3, t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
    word_t t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57, t62 = t52 ^ t58, t63 = t49 ^ t58;
    word_t t64 = z4 ^ t59, t65 = t61 ^ t62, t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;

    bit[7] = t59 ^ t63;
    bit[6] = t64 ^ ~s3;
    bit[5] = t55 ^ ~t67;
    bit[4] = s3;
    bit[3] = t51 ^ t66;
    bit[2] = t47 ^ t65;
    bit[1] = t56 ^ ~t62;
    bit[0] = t48 ^ ~t60;
}

/* Row r moves r columns left: rows 1 and 3 move by one, then rows 2 and 3 by two. */
KERNEL void shift_rows(word_t *bit) {
    const columns_t rows_1_3 = {0xFF00FF00, 0xFF00FF00, 0xFF00FF00, 0xFF00FF00};
    const columns_t rows_2_3 = {0xFFFF0000, 0xFFFF0000, 0xFFFF0000, 0xFFFF0000};
    UNROLL for (int j = 0; j < 8; j++) {
        columns_t x = (columns_t)bit[j];
        x ^= (x ^ SHUFFLE(columns_t, x, 1, 2, 3, 0)) & rows_1_3;
        x ^= (x ^ SHUFFLE(columns_t, x, 2, 3, 0, 1)) & rows_2_3;
        bit[j] = (word_t)x;
    }
}

KERNEL word_t rotate_rows(word_t x, int rows) {
    columns_t c = (columns_t)x;
    return (word_t)(c >> 8 * rows | c << (32 - 8 * rows));
}

/* out = 2 (a + a') + a' + (a + a')'', primes being rotations by a row; 2 x^7 is x^4 + x^3 + x + 1. */
KERNEL void mix_columns(word_t *bit) {
    word_t sum[8], next[8];
    UNROLL for (int j = 0; j < 8; j++) {
        next[j] = rotate_rows(bit[j], 1);
        sum[j] = bit[j] ^ next[j];
        bit[j] = next[j] ^ rotate_rows(sum[j], 2);
    }
    UNROLL for (int j = 0; j < 8; j++) bit[j] ^= sum[(j + 7) % 8];
    bit[1] ^= sum[7];
    bit[3] ^= sum[7];
    bit[4] ^= sum[7];
}

KERNEL block_t aes_first(block_t x, const block_t *k) {
    UNROLL for (int j = 0; j < 8; j++) x.bit[j] ^= k->bit[j];
    return x;
}

KERNEL block_t aes_last(block_t x, const block_t *k) {
    sub_bytes(x.bit);
    shift_rows(x.bit);
    return aes_first(x, k);
}

/* A call costs little beside it, and inlined everywhere it would be most of the library. */
static __attribute__((noinline)) void encrypt_round(word_t *bit, const word_t *k) {
    sub_bytes(bit);
    shift_rows(bit);
    mix_columns(bit);
    UNROLL for (int j = 0; j < 8; j++) bit[j] ^= k[j];
}

KERNEL block_t aes_round(block_t x, const block_t *k) {
    encrypt_round(x.bit, k->bit);
    return x;
}

KERNEL void sub_words(uint32_t *words) {
    block_t x = from_bytes((const uint8_t *)words);
    sub_bytes(x.bit);
    transpose(x.bit);
    memcpy(words, &x, sizeof x);
}

#include "mask.inc"
