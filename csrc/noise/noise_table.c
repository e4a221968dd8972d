/* noise_table.c: noise from thresholds that were worked out beforehand.  A threshold c of 128 bits stands for a
 * probability of c / 2^128, and W for 128 random bits: W < c with that probability.
 *
 * `convolution`, `scan` and `bitwise` take the same words and the same steps for every sample; compilers turn (W < c)
 * into a borrow.  `search` does not. */
#include "barrier.h"
#include "scan.h"
#include "stream.h"

enum {
    SCAN_WORDS = 3, /* of a sample and a table: W and a sign */
    MAX_TABLES = 32,
};

/* x or, if a random bit says so, -x. */
static inline uint64_t with_sign(uint64_t sign, uint64_t x) {
    uint64_t negative = mask_u64(sign & 1);
    return (x ^ negative) - negative;
}

/* A sample's words follow each other. */
static void draw_words(struct scan_words *words, struct stream *s, size_t samples, size_t tables) {
    for (size_t j = 0; j < samples; j++)
        for (size_t t = 0; t < tables; t++) {
            words[t].low[j] = stream_next(s);
            words[t].high[j] = stream_next(s);
            words[t].sign[j] = stream_next(s);
        }
}

int secagg_noise_convolution(int64_t *out, size_t n, const uint64_t *thresholds, const uint64_t *counts, size_t tables,
                             uint64_t factor, struct secagg_random *random) {
    if (tables > MAX_TABLES)
        return -1;
    scan_fn *scan = secagg_isa_row(SECAGG_NOISE)->scan;
    struct scan_words words[MAX_TABLES] = {0};
    uint64_t x[SCAN_SAMPLES], above[SCAN_SAMPLES];
    struct stream s;
    stream_open(&s, random);
    for (size_t i = 0; i < n; i += SCAN_SAMPLES) {
        const size_t samples = n - i < SCAN_SAMPLES ? n - i : SCAN_SAMPLES;
        const uint64_t *table = thresholds;
        draw_words(words, &s, samples, tables);
        memset(x, 0, sizeof x);
        for (size_t t = 0; t < tables; table += 2 * counts[t++]) {
            scan(above, &words[t], table, counts[t]);
            for (size_t j = 0; j < SCAN_SAMPLES; j++)
                x[j] = factor * x[j] + with_sign(words[t].sign[j], above[j]);
        }
        memcpy(out + i, x, samples * sizeof *x);
    }
    wipe(words, sizeof words);
    wipe(x, sizeof x);
    wipe(above, sizeof above);
    return stream_close(&s);
}

int secagg_noise_scan(int64_t *out, size_t n, const uint64_t *thresholds, size_t count, struct secagg_random *random) {
    uint64_t counts[1] = {count}; /* size_t is another type of the same size on macOS */
    return secagg_noise_convolution(out, n, thresholds, counts, 1, 1, random);
}

int secagg_noise_bitwise(int64_t *out, size_t n, const uint64_t *thresholds, unsigned bits,
                         struct secagg_random *random) {
    if (bits > 62)
        return -1;
    struct stream s;
    stream_open(&s, random);
    for (size_t i = 0; i < n; i++) {
        uint64_t x = 1, some = mask_u64(stream_next_128(&s) < threshold(thresholds, 0));
        for (unsigned b = 0; b < bits; b++)
            x += value_barrier_u64(stream_next_128(&s) < threshold(thresholds, b + 1)) << b;
        out[i] = (int64_t)with_sign(stream_next(&s), x & some);
    }
    return stream_close(&s);
}

/* How many thresholds are above w: they descend. */
static inline size_t count_above(const uint64_t *thresholds, size_t count, uint128_t w) {
    size_t low = 0;
    for (size_t left = count; left > 0;) {
        size_t half = (left + 1) / 2;
        low += w < threshold(thresholds, low + half - 1) ? half : 0;
        left -= half;
    }
    return low;
}

int secagg_noise_search(int64_t *out, size_t n, size_t *done, const uint64_t *thresholds, size_t count,
                        struct secagg_random *random) {
    struct stream s;
    size_t i = 0;
    stream_open(&s, random);
    for (; i < n; i++) {
        uint128_t w = stream_next_128(&s);
        uint64_t x = count_above(thresholds, count, w);
        int64_t sample = (int64_t)with_sign(stream_next(&s), x);
        if (w == (x < count ? threshold(thresholds, x) : 0))
            break;
        out[i] = sample;
    }
    *done = i;
    int status = stream_close(&s);
    if (i < n)
        random->used -= SCAN_WORDS;
    return status;
}

int secagg_random_words(uint64_t *out, size_t n, struct secagg_random *random) {
    struct stream s;
    stream_open(&s, random);
    for (size_t i = 0; i < n; i++)
        out[i] = stream_next(&s);
    return stream_close(&s);
}
