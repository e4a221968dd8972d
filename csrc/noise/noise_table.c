/* noise_table.c: noise from thresholds that were worked out beforehand.  A threshold c of 128 bits stands for a
 * probability of c / 2^128, and W for 128 random bits: W < c with that probability.
 *
 * `scan` and `bitwise` take the same words and the same steps for every sample; compilers turn (W < c) into a borrow.
 * `search` does not. */
#include "barrier.h"
#include "stream.h"

enum { SCAN_WORDS = 3 }; /* of a sample: W and a sign */

static inline uint128_t threshold(const uint64_t *thresholds, size_t i) {
    return (uint128_t)thresholds[2 * i + 1] << 64 | thresholds[2 * i];
}

/* x or, if a random bit says so, -x. */
static inline int64_t with_sign(struct stream *s, uint64_t x) {
    uint64_t negative = mask_u64(stream_next(s) & 1);
    return (int64_t)((x ^ negative) - negative);
}

int secagg_noise_scan(int64_t *out, size_t n, const uint64_t *thresholds, size_t count, struct secagg_random *random) {
    struct stream s;
    stream_open(&s, random);
    for (size_t i = 0; i < n; i++) {
        uint128_t w = stream_next_128(&s);
        uint64_t x = 0;
        for (size_t k = 0; k < count; k++)
            x += w < threshold(thresholds, k);
        out[i] = with_sign(&s, x);
    }
    return stream_close(&s);
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
        out[i] = with_sign(&s, x & some);
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
        int64_t sample = with_sign(&s, x);
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
