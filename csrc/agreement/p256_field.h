/* p256_field.h: F_p of the curve P-256, y^2 = x^3 - 3x + b (SP 800-186, section 3.2.1.3), in constant time.
 *
 * Elements are below p and in Montgomery form, a * 2^256.  p = -1 mod 2^64, so that the multiplier of each reduction
 * step is the lowest limb itself. */
#ifndef SECAGG_P256_FIELD_H
#define SECAGG_P256_FIELD_H

#include "kernel.h"
#include "shamir/scalar.h"

#define LIMBS 4

typedef struct {
    uint64_t limb[LIMBS];
} field_t;

static const field_t P = {{0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001}};
static const field_t ONE = {{0x0000000000000001, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};

/* a - b; returns the borrow. */
static inline uint64_t subtract_limbs(field_t *difference, const field_t *a, const field_t *b) {
    uint64_t borrow = 0;
    UNROLL for (int i = 0; i < LIMBS; i++) {
        uint128_t d = (uint128_t)a->limb[i] - b->limb[i] - borrow;
        difference->limb[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return borrow;
}

/* a + carry * 2^256 mod p, for less than 2p. */
static inline field_t field_reduce(const field_t *a, uint64_t carry) {
    field_t result;
    uint64_t keep = mask_u64(subtract_limbs(&result, a, &P) & ~carry);
    UNROLL for (int i = 0; i < LIMBS; i++) result.limb[i] ^= (result.limb[i] ^ a->limb[i]) & keep;
    return result;
}

/* a + (b & mask); returns the carry. */
static inline uint64_t add_limbs(field_t *sum, const field_t *a, const field_t *b, uint64_t mask) {
    uint128_t carry = 0;
    UNROLL for (int i = 0; i < LIMBS; i++) {
        carry += (uint128_t)a->limb[i] + (b->limb[i] & mask);
        sum->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return (uint64_t)carry;
}

static inline field_t field_add(const field_t *a, const field_t *b) {
    field_t sum;
    uint64_t carry = add_limbs(&sum, a, b, UINT64_MAX);
    return field_reduce(&sum, carry);
}

static inline field_t field_subtract(const field_t *a, const field_t *b) {
    field_t difference;
    uint64_t borrow = subtract_limbs(&difference, a, b);
    add_limbs(&difference, &difference, &P, mask_u64(borrow));
    return difference;
}

/* a * b / 2^256 mod p.  Of m * p = m * (2^256 - 2^224 + 2^192 + 2^96 - 1) the last term cancels the lowest limb. */
static inline field_t field_multiply(const field_t *a, const field_t *b) {
    uint64_t t[LIMBS + 1] = {0};
    UNROLL for (int i = 0; i < LIMBS; i++) {
        uint128_t sum = 0;
        UNROLL for (int j = 0; j < LIMBS; j++) {
            sum = (sum >> 64) + (uint128_t)a->limb[j] * b->limb[i] + t[j];
            t[j] = (uint64_t)sum;
        }
        uint128_t high = (sum >> 64) + t[LIMBS];
        uint64_t m = t[0];
        sum = (uint128_t)t[1] + (m << 32);
        t[0] = (uint64_t)sum;
        sum = (sum >> 64) + t[2] + (m >> 32);
        t[1] = (uint64_t)sum;
        sum = (sum >> 64) + (uint128_t)m * P.limb[3] + t[3];
        t[2] = (uint64_t)sum;
        high += sum >> 64;
        t[3] = (uint64_t)high;
        t[4] = (uint64_t)(high >> 64);
    }
    return field_reduce(&(field_t){{t[0], t[1], t[2], t[3]}}, t[LIMBS]);
}

static inline int field_is_zero(const field_t *a) { return (a->limb[0] | a->limb[1] | a->limb[2] | a->limb[3]) == 0; }

static inline field_t field_load(const uint8_t *in) {
    return (field_t){{load64_be(in + 24), load64_be(in + 16), load64_be(in + 8), load64_be(in)}};
}

static inline void field_store(uint8_t *out, const field_t *a) {
    for (int i = 0; i < LIMBS; i++)
        store64_be(out + 8 * i, a->limb[LIMBS - 1 - i]);
}

#endif
