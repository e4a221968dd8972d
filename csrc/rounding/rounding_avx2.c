/* Rounding with AVX2, four numbers at a time. */
#ifdef __x86_64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "rounding.h"
#include <immintrin.h>

typedef double vec __attribute__((vector_size(32)));
typedef uint64_t words __attribute__((vector_size(32)));

enum { LANES = sizeof(vec) / sizeof(double) };

static inline vec every(double x) { return (vec)_mm256_set1_pd(x); }

static inline words widened(const uint32_t *bits) {
    return (words)_mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)bits));
}

/* All ones where a < b. */
static inline words less(vec a, vec b) {
    words mask = (words)(a < b);
    VALUE_BARRIER_VECTOR(mask);
    return mask;
}

static inline vec lesser(vec a, vec b) { return (vec)_mm256_min_pd(a, b); }
static inline vec greater(vec a, vec b) { return (vec)_mm256_max_pd(a, b); }
static inline vec round_to_even(vec y) {
    return (vec)_mm256_round_pd(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec round_down(vec y) { return (vec)_mm256_floor_pd(y); }

#include "rounding.inc"

void secagg_round_avx2(uint64_t *out, const double *values, const uint8_t *drawn, size_t n, const struct grid *grid) {
    round_all(out, values, drawn, n, grid);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
