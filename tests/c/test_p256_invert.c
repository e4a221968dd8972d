/* Inverses mod p at the edges: a * (1 / a) is 1. */
#include <stdio.h>
#include <string.h>

#include "agreement/p256_invert.h"

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static int is_right(const field_t *a) {
    field_t inverse = secagg_p256_invert(a), product = field_multiply(a, &inverse);
    return memcmp(&product, &ONE, sizeof product) == 0;
}

/* a, p - a, and their inverses. */
static int are_right(const field_t *a) {
    field_t negative = field_subtract(&(field_t){{0}}, a), inverse = secagg_p256_invert(a);
    return is_right(a) && is_right(&negative) && is_right(&inverse);
}

int main(void) {
    int right = 1;
    for (int i = 0; i < 256; i++) {
        field_t power = {{0}}, ones;
        power.limb[i / 64] = 1ull << i % 64;
        right &= are_right(&power);
        subtract_limbs(&ones, &power, &(field_t){{1}});
        right &= i == 0 || are_right(&ones);
    }
    for (int i = 0; i < 2000; i++) {
        field_t a;
        for (int l = 0; l < LIMBS; l++)
            a.limb[l] = i % 2 ? next() : -(next() & 1);
        a = field_reduce(&a, 0);
        right &= field_is_zero(&a) || are_right(&a);
    }
    puts(right ? "p256_invert: passed" : "p256_invert: wrong");
    return !right;
}
