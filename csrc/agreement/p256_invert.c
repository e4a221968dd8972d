/* p256_invert.c: Bernstein and Yang's division steps ("Fast constant-time gcd computation and modular inversion", 2019,
 * section 8), 62 at a time, in variable time: several zeros of g are taken off at once.
 *
 * From f = p and g = a on, d a = f and e a = g mod p hold, with f odd; steps end with g = 0, and f is then 1 or -1. */
#include "p256_invert.h"

#define WORDS 5
#define BITS 62
#define MASK ((1ull << BITS) - 1)

typedef __int128 wide_t;

/* Sum of word[i] * 2^(62 i), all but the highest from 0 to 2^62 - 1. */
typedef struct {
    int64_t word[WORDS];
} number_t;

/* 2^62 times what 62 steps multiply (f, g) by. */
struct steps {
    int64_t u, v, q, r;
};

static number_t words_of(const field_t *a) {
    const uint64_t *limb = a->limb;
    return (number_t){{(int64_t)(limb[0] & MASK), (int64_t)((limb[0] >> 62 | limb[1] << 2) & MASK),
                       (int64_t)((limb[1] >> 60 | limb[2] << 4) & MASK),
                       (int64_t)((limb[2] >> 58 | limb[3] << 6) & MASK), (int64_t)(limb[3] >> 56)}};
}

/* 62 steps, as the low words of f and g determine them.  eta is minus the paper's delta. */
static int64_t take_steps(struct steps *steps, int64_t eta, uint64_t f, uint64_t g) {
    uint64_t u = 1, v = 0, q = 0, r = 1;
    for (int left = BITS;;) {
        int zeros = __builtin_ctzll(g | (UINT64_MAX << left));
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= zeros;
        left -= zeros;
        if (left == 0)
            break;
        if (eta < 0) {
            uint64_t old_f = f, old_u = u, old_v = v;
            eta = -eta;
            f = g, g = -old_f;
            u = q, q = -old_u;
            v = r, r = -old_v;
        }
        /* As many of g's bits as may go before f changes again, at most 6: 1 / f = f (2 - f^2) mod 64. */
        int most = eta + 1 < left ? (int)eta + 1 : left;
        uint64_t w = (f * g * (f * f - 2)) & (UINT64_MAX >> (64 - most)) & 63;
        g += f * w;
        q += u * w;
        r += v * w;
    }
    *steps = (struct steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return eta;
}

/* (u a + v b + m p) / 2^62, which is whole. */
static number_t combine(int64_t u, const number_t *a, int64_t v, const number_t *b, int64_t m, const number_t *p) {
    number_t out;
    wide_t sum = 0;
    for (int i = 0; i < WORDS; i++) {
        sum += (wide_t)u * a->word[i] + (wide_t)v * b->word[i] + (wide_t)m * p->word[i];
        if (i > 0)
            out.word[i - 1] = (int64_t)((uint64_t)sum & MASK);
        sum >>= BITS;
    }
    out.word[WORDS - 1] = (int64_t)sum;
    return out;
}

/* The same with the m that makes it whole, p being -1 mod 2^62, and keeps the result between -2p and p, as a and b are. */
static number_t combine_mod_p(int64_t u, const number_t *a, int64_t v, const number_t *b, const number_t *p) {
    int64_t m = (u & a->word[WORDS - 1] >> 63) + (v & b->word[WORDS - 1] >> 63);
    uint64_t low = (uint64_t)u * (uint64_t)a->word[0] + (uint64_t)v * (uint64_t)b->word[0];
    return combine(u, a, v, b, m - (int64_t)(((uint64_t)m - low) & MASK), p);
}

static int is_zero(const number_t *a) { return (a->word[0] | a->word[1] | a->word[2] | a->word[3] | a->word[4]) == 0; }

/* sign * a mod p, for a between -2p and p. */
static field_t field_of(const number_t *a, int64_t sign, const number_t *p) {
    number_t sum;
    wide_t carry = 0;
    for (int i = 0; i < WORDS; i++) { /* -a + p or a + 2p, between 0 and 3p */
        carry += (wide_t)sign * a->word[i] + (wide_t)(sign < 0 ? 1 : 2) * p->word[i];
        sum.word[i] = (int64_t)((uint64_t)carry & MASK);
        carry >>= BITS;
    }
    const uint64_t *w = (const uint64_t *)sum.word;
    field_t low = {{w[0] | w[1] << 62, w[1] >> 2 | w[2] << 60, w[2] >> 4 | w[3] << 58, w[3] >> 6 | w[4] << 56}};
    uint64_t high = w[4] >> 8;
    while (high || !subtract_limbs(&(field_t){{0}}, &low, &P))
        high -= subtract_limbs(&low, &low, &P);
    return low;
}

field_t secagg_p256_invert(const field_t *a) {
    static const field_t r_squared = {{0x0000000000000003, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};
    const number_t p = words_of(&P);
    number_t f = p, g = words_of(a), d = {{0}}, e = {{1}};
    for (int64_t eta = -1; !is_zero(&g);) {
        struct steps s;
        eta = take_steps(&s, eta, (uint64_t)f.word[0], (uint64_t)g.word[0]);
        number_t old_f = f, old_d = d;
        f = combine(s.u, &f, s.v, &g, 0, &p);
        g = combine(s.q, &old_f, s.r, &g, 0, &p);
        d = combine_mod_p(s.u, &d, s.v, &e, &p);
        e = combine_mod_p(s.q, &old_d, s.r, &e, &p);
    }
    field_t inverse = field_of(&d, f.word[WORDS - 1] < 0 ? -1 : 1, &p); /* of a * 2^256 */
    field_t r_cubed = field_multiply(&r_squared, &r_squared);
    return field_multiply(&inverse, &r_cubed);
}
