/* p256.c: points of P-256, y^2 = x^3 - 3x + b over F_p (SP 800-186, section 3.2.1.3).  Public keys are all it sees, so
 * its time may depend on what it computes.
 *
 * Field elements are below p and in Montgomery form, a * 2^256.  p = -1 mod 2^64, so that the multiplier of each
 * reduction step is the lowest limb itself. */
#include "secagg.h"

#include "scalar.h"

#define LIMBS 4

typedef struct {
    uint64_t limb[LIMBS];
} field_t;

static const field_t P = {{0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001}};
static const field_t ONE = {{0x0000000000000001, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};
static const field_t R_SQUARED = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
static const field_t B = {{0xd89cdf6229c4bddf, 0xacf005cd78843090, 0xe5a220abf7212ed6, 0xdc30061d04874834}};

/* a - b; returns the borrow. */
static uint64_t subtract_limbs(field_t *difference, const field_t *a, const field_t *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        uint128_t d = (uint128_t)a->limb[i] - b->limb[i] - borrow;
        difference->limb[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return borrow;
}

/* a + carry * 2^256 mod p, for less than 2p. */
static field_t reduce_once(const field_t *a, uint64_t carry) {
    field_t less;
    return subtract_limbs(&less, a, &P) > carry ? *a : less;
}

static field_t add(const field_t *a, const field_t *b) {
    field_t sum;
    uint128_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint128_t)a->limb[i] + b->limb[i];
        sum.limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    return reduce_once(&sum, (uint64_t)carry);
}

static field_t subtract(const field_t *a, const field_t *b) {
    field_t negative;
    subtract_limbs(&negative, &P, b);
    return add(a, &negative);
}

/* a * b / 2^256 mod p. */
static field_t multiply(const field_t *a, const field_t *b) {
    uint64_t t[LIMBS + 1] = {0};
    _Pragma("GCC unroll 4") for (int i = 0; i < LIMBS; i++) {
        uint128_t sum = 0;
        _Pragma("GCC unroll 4") for (int j = 0; j < LIMBS; j++) {
            sum += (uint128_t)a->limb[j] * b->limb[i] + t[j];
            t[j] = (uint64_t)sum;
            sum >>= 64;
        }
        sum += t[LIMBS];
        uint64_t m = t[0];
        uint128_t shifted = ((uint128_t)m * P.limb[0] + m) >> 64;
        _Pragma("GCC unroll 4") for (int j = 1; j < LIMBS; j++) {
            shifted += (uint128_t)m * P.limb[j] + t[j];
            t[j - 1] = (uint64_t)shifted;
            shifted >>= 64;
        }
        shifted += (uint64_t)sum;
        t[LIMBS - 1] = (uint64_t)shifted;
        t[LIMBS] = (uint64_t)(sum >> 64) + (uint64_t)(shifted >> 64);
    }
    return reduce_once(&(field_t){{t[0], t[1], t[2], t[3]}}, t[LIMBS]);
}

static int equal(const field_t *a, const field_t *b) { return memcmp(a, b, sizeof *a) == 0; }

/* a^(2^squarings) * b. */
static field_t square_multiply(field_t a, int squarings, const field_t *b) {
    while (squarings--)
        a = multiply(&a, &a);
    return multiply(&a, b);
}

/* a^((p + 1) / 4), a square root of a if it has one: p = 3 mod 4.  The exponent is 2^254 - 2^222 + 2^190 + 2^94. */
static field_t square_root(const field_t *a) {
    field_t x = *a; /* a^(2^k - 1) for k = 1, 2, 4, ..., 32 */
    for (int k = 1; k < 32; k *= 2)
        x = square_multiply(x, k, &x);
    x = square_multiply(x, 32, a);
    x = square_multiply(x, 96, a);
    return square_multiply(x, 94, &ONE);
}

static field_t load(const uint8_t *in) {
    return (field_t){{load64_be(in + 24), load64_be(in + 16), load64_be(in + 8), load64_be(in)}};
}

static void store(uint8_t *out, const field_t *a) {
    for (int i = 0; i < LIMBS; i++)
        store64_be(out + 8 * i, a->limb[LIMBS - 1 - i]);
}

/* x^3 - 3x + b = x (x^2 - 3) + b. */
static field_t curve(const field_t *x) {
    field_t square = multiply(x, x), three = add(&ONE, &ONE);
    three = add(&three, &ONE);
    square = subtract(&square, &three);
    square = multiply(&square, x);
    return add(&square, &B);
}

static int lift(uint8_t *out, const uint8_t *in) {
    field_t x = load(in), less;
    if (!subtract_limbs(&less, &x, &P))
        return 0;
    x = multiply(&x, &R_SQUARED);
    field_t y_squared = curve(&x), y = square_root(&y_squared), check = multiply(&y, &y);
    if (!equal(&check, &y_squared))
        return 0;
    y = multiply(&y, &(field_t){{1}});
    if (y.limb[0] & 1)
        subtract_limbs(&y, &P, &y);
    store(out, &y);
    return 1;
}

int secagg_p256_lift(uint8_t *ys, uint8_t *valid, const uint8_t *xs, size_t n) {
    for (size_t i = 0; i < n; i++)
        valid[i] = (uint8_t)lift(ys + SECAGG_SCALAR_BYTES * i, xs + SECAGG_SCALAR_BYTES * i);
    return 0;
}
