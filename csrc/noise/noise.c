/* noise.c: discrete Laplace and Gaussian noise, exactly: C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian
 * for Differential Privacy", 2020, Algorithms 1 to 3.
 *
 * Between random words and samples there are integers only.  A trial of probability exp(-x), x <= 1, counts the
 * successes of trials x/1, x/2, x/3, ... before the first failure (Algorithm 1).  Where x is a product, x/k is taken
 * apart into independent trials of its factors and of 1/k, so that numbers stay below 2^127.
 *
 * Time depends on the samples. */
#include "stream.h"

enum {
    LAPLACE_BITS = 56,   /* of the scale's numerator and denominator, */
    GAUSSIAN_BITS = 100, /* and of the variance's */
    SCALE_BITS = 40,     /* of the scale and of sigma, so that a sample leaves int64_t with less than 2^-12,000,000 */
};

struct ratio {
    uint128_t n, d;
};

/* 1 with probability n/d, 0 <= n <= d < 2^127: whether a real number whose binary digits are random words is below n/d.
 * One word w decides, by w d / 2^64 <= n - d / 2^64 or by n <= w d / 2^64, but for about one in 2^64. */
static inline int bernoulli(struct stream *s, struct ratio p) {
    uint64_t low = (uint64_t)p.d, high = (uint64_t)(p.d >> 64);
    for (;;) {
        uint64_t w = stream_next(s);
        uint128_t product = (uint128_t)w * low;
        uint128_t upper = (uint128_t)w * high + (product >> 64); /* of w d, 64 bits up */
        if (upper >= p.n)
            return 0;
        if (p.n - upper > (uint128_t)high + 1)
            return 1;
        p.n = ((p.n - upper) << 64) - (uint64_t)product;
        if (p.n >= p.d)
            return 1;
    }
}

/* Uniform in 0 .. t - 1 (D. Lemire, "Fast Random Integer Generation in an Interval", 2019). */
static inline uint64_t uniform(struct stream *s, uint64_t t) {
    uint128_t product = (uint128_t)stream_next(s) * t;
    if ((uint64_t)product < t)
        for (uint64_t excess = -t % t; (uint64_t)product < excess;)
            product = (uint128_t)stream_next(s) * t;
    return (uint64_t)(product >> 64);
}

/* 1 with probability exp(-(x_1 * ... * x_factors) / c), each factor at most 1. */
KERNEL int bernoulli_exp(struct stream *s, uint64_t c, int factors, const struct ratio *x) {
    uint64_t k = 0;
    int success;
    do {
        k++;
        success = c * k == 1 || bernoulli(s, (struct ratio){1, c * k});
        for (int f = 0; f < factors && success; f++)
            success = bernoulli(s, x[f]);
    } while (success);
    return k & 1;
}

/* Replaces x by what it exceeds an integer by, and returns the integer. */
static inline uint128_t take_integer(struct ratio *x) {
    if (x->n < x->d)
        return 0;
    uint128_t i = x->n / x->d;
    x->n -= i * x->d;
    return i;
}

/* 1 with probability exp(-x y / 2), x >= y, which with x = i + x' and y = j + y' is the product of the four probabilities
 * exp(-1/2)^(ij), exp(-y'/2)^i, exp(-x'/2)^j and exp(-x' y' / 2). */
static int bernoulli_exp_product(struct stream *s, struct ratio x, struct ratio y) {
    uint128_t i = take_integer(&x), j = take_integer(&y);
    const struct ratio both[2] = {x, y};
    for (uint128_t k = 0; k < j; k++) /* i may be anything where j is 0 */
        for (uint128_t l = 0; l < i; l++)
            if (!bernoulli_exp(s, 2, 0, NULL))
                return 0;
    for (uint128_t k = 0; k < i; k++)
        if (!bernoulli_exp(s, 2, 1, &y))
            return 0;
    for (uint128_t k = 0; k < j; k++)
        if (!bernoulli_exp(s, 2, 1, &x))
            return 0;
    return bernoulli_exp(s, 2, 2, both);
}

/* x >= 0 with probability proportional to exp(-x/t) (Algorithm 2, up to its division). */
static uint128_t geometric(struct stream *s, uint64_t t) {
    struct ratio u = {0, t};
    uint64_t v = 0;
    do
        u.n = uniform(s, t);
    while (!bernoulli_exp(s, 1, 1, &u));
    while (bernoulli_exp(s, 1, 0, NULL))
        v++;
    return (uint128_t)t * v + u.n;
}

struct law {
    struct ratio parameter; /* the scale, or the variance */
    uint128_t t, dt;        /* of the Gaussian only */
};

/* A sample's magnitude and, if *negative, its sign; 0 is never negative. */
typedef uint128_t sample_fn(struct stream *s, const struct law *law, int *negative);

/* Algorithm 2, for a scale of n/d. */
static inline uint128_t laplace(struct stream *s, const struct law *law, int *negative) {
    uint128_t x;
    do {
        x = geometric(s, (uint64_t)law->parameter.n);
        if (law->parameter.d > 1)
            x /= law->parameter.d;
        *negative = !(stream_next(s) & 1);
    } while (x == 0 && *negative);
    return x;
}

/* floor(sqrt(x)) for x <= 2^(2 SCALE_BITS). */
static uint64_t integer_root(uint128_t x) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << SCALE_BITS; bit; bit >>= 1)
        if ((uint128_t)(root + bit) * (root + bit) <= x)
            root += bit;
    return root;
}

static struct law gaussian_law(struct ratio variance) {
    uint128_t t = (uint128_t)integer_root(variance.n / variance.d) + 1;
    return (struct law){variance, t, variance.d * t};
}

/* Algorithm 3, for a variance of n/d.  With m = | |x| d t - n |, its exponent (|x| - n/dt)^2 / (2n/d) is half the
 * product of m/n and m/dt^2.  |x| d t < 2^128 unless |x| > 2^25 t, which has a probability below 2^-48,000,000. */
static inline uint128_t gaussian(struct stream *s, const struct law *law, int *negative) {
    const struct law proposal = {{law->t, 1}, 0, 0};
    uint128_t n = law->parameter.n;
    for (;;) {
        uint128_t x = laplace(s, &proposal, negative), y = x * law->dt, m = y < n ? n - y : y - n;
        if (bernoulli_exp_product(s, (struct ratio){m, n}, (struct ratio){m, law->dt * law->t}))
            return x;
    }
}

/* Whether the ratio is of two numbers 1 .. 2^bits and at most 2^limit. */
static int is_ratio(struct ratio x, unsigned bits, unsigned limit) {
    uint128_t max = (uint128_t)1 << bits;
    return x.n > 0 && x.n <= max && x.d > 0 && x.d <= max && (x.n - 1) >> limit < x.d;
}

KERNEL int fill(int64_t *out, size_t n, struct law law, struct secagg_random *random, sample_fn *sample) {
    struct stream s;
    stream_open(&s, random);
    for (size_t i = 0; i < n; i++) {
        int negative;
        uint64_t x = (uint64_t)sample(&s, &law, &negative);
        out[i] = (int64_t)(negative ? -x : x);
    }
    return stream_close(&s);
}

int secagg_noise_laplace(int64_t *out, size_t n, uint64_t numerator, uint64_t denominator,
                         struct secagg_random *random) {
    struct ratio scale = {numerator, denominator};
    if (!is_ratio(scale, LAPLACE_BITS, SCALE_BITS))
        return -1;
    return fill(out, n, (struct law){scale, 0, 0}, random, laplace);
}

static uint128_t two_words(const uint64_t *x) { return (uint128_t)x[1] << 64 | x[0]; }

int secagg_noise_gaussian(int64_t *out, size_t n, const uint64_t *numerator, const uint64_t *denominator,
                          struct secagg_random *random) {
    struct ratio variance = {two_words(numerator), two_words(denominator)};
    if (!is_ratio(variance, GAUSSIAN_BITS, 2 * SCALE_BITS))
        return -1;
    return fill(out, n, gaussian_law(variance), random, gaussian);
}
