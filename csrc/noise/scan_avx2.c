/* Scanning a table with AVX2: a sample a lane.  W < c where W's high word is below c's, plus 1 where W's low word is
 * below c's. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "barrier.h"
#include "scan.h"
#include <immintrin.h>

enum { LANES = 4, VECTORS = SCAN_SAMPLES / LANES };

/* AVX2 compares signed numbers: unsigned ones in the same order but for their top bits. */
static inline __m256i as_signed(__m256i x) { return _mm256_xor_si256(x, _mm256_set1_epi64x(INT64_MIN)); }

/* All ones, which is -1, where a < b. */
static inline __m256i less(__m256i a, __m256i b) {
    __m256i mask = _mm256_cmpgt_epi64(b, a);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

static inline __m256i word_of(const uint64_t *lanes, size_t vector) {
    return as_signed(_mm256_loadu_si256((const __m256i *)(lanes + LANES * vector)));
}

static inline __m256i broadcast(const uint64_t *word) { return as_signed(_mm256_set1_epi64x((int64_t)*word)); }

/* above[j] += how many of the thresholds are above W of sample j.  No threshold's high word is all ones, so that 1 can be
 * added to it. */
static void scan_below_ones(uint64_t *above, const struct scan_words *words, const uint64_t *thresholds, size_t count) {
    __m256i low[VECTORS], high[VECTORS], x[VECTORS];
    UNROLL for (size_t v = 0; v < VECTORS; v++) {
        low[v] = word_of(words->low, v);
        high[v] = word_of(words->high, v);
        x[v] = _mm256_loadu_si256((const __m256i *)(above + LANES * v));
    }
    for (size_t k = 0; k < count; k++) {
        __m256i c_low = broadcast(thresholds + 2 * k), c_high = broadcast(thresholds + 2 * k + 1);
        UNROLL for (size_t v = 0; v < VECTORS; v++) {
            __m256i limit = _mm256_sub_epi64(c_high, less(low[v], c_low));
            x[v] = _mm256_sub_epi64(x[v], less(high[v], limit));
        }
    }
    UNROLL for (size_t v = 0; v < VECTORS; v++) _mm256_storeu_si256((__m256i *)(above + LANES * v), x[v]);
}

void secagg_scan_avx2(uint64_t *above, const struct scan_words *words, const uint64_t *thresholds, size_t count) {
    size_t ones = 0;
    while (ones < count && thresholds[2 * ones + 1] == UINT64_MAX)
        ones++;
    secagg_scan_portable(above, words, thresholds, ones);
    scan_below_ones(above, words, thresholds + 2 * ones, count - ones);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
