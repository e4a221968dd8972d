/* Rounding against a form of its own in exact integers, for every instruction set.  Arrays lie at the very end of their
 * allocations, so that sanitizers see an access past them; with SECAGG_CT_VALGRIND their contents are undefined during the
 * calls, so that valgrind reports a branch or an address that depends on them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, bytes) VALGRIND_MAKE_MEM_UNDEFINED(p, bytes)
#define PUBLIC(p, bytes) VALGRIND_MAKE_MEM_DEFINED(p, bytes)
#else
#define SECRET(p, bytes) ((void)(p), (void)(bytes))
#define PUBLIC(p, bytes) ((void)(p), (void)(bytes))
#endif

static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s, %s\n", what, secagg_isa());
        failures++;
    }
}

static uint64_t random_u64(void) { /* splitmix64 */
    static uint64_t state = 1;
    uint64_t x = state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static void *allocate(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (p == NULL)
        exit(2);
    return p;
}

static void *copy(const void *from, size_t bytes) { return memcpy(allocate(bytes), from, bytes); }

/* --- The naive forms: casts to integers, and no barrier but volatile ------------------------------------------------ */

static int64_t floor_of(double y) {
    int64_t towards_0 = (int64_t)y;
    return towards_0 - (y < (double)towards_0);
}

static int64_t naive_at_random(double y, const uint8_t *drawn) {
    uint32_t bits = drawn[0] | (uint32_t)drawn[1] << 8 | (uint32_t)drawn[2] << 16 | (uint32_t)drawn[3] << 24;
    volatile double fraction = y - (double)floor_of(y);
    return floor_of(y) + ((double)bits < fraction * 4294967296.0);
}

static int64_t naive_to_even(double y) {
    volatile double fraction = y - (double)floor_of(y);
    return floor_of(y) + (fraction > 0.5 || (fraction == 0.5 && floor_of(y) % 2 != 0));
}

static double naive_steps(double v, double clip, double scale) {
    volatile double quotient = (v < -clip ? -clip : v > clip ? clip : v) / clip;
    volatile double y = quotient * scale;
    return y;
}

/* --- The tests ------------------------------------------------------------------------------------------------------ */

/* Of these kinds, in turn: inside, outside, on steps, on half steps, tiny, at the ends. */
static double some_value(size_t i, double clip, double scale) {
    double uniform = (double)((int64_t)random_u64() >> 11) * 0x1p-52, whole = (double)(int64_t)(uniform * scale);
    const double kinds[] = {
        uniform * clip,      2 * uniform * clip,   whole / scale * clip, (whole + 0.5) / scale * clip,
        uniform * 0x1p-1060, i & 8 ? clip : -clip, i & 8 ? 0.0 : -0.0};
    return kinds[i % (sizeof kinds / sizeof *kinds)];
}

static void fill(double *values, uint8_t *drawn, size_t n, double clip, double scale) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = random_u64() % 4 ? (uint32_t)random_u64() : (uint32_t)-(random_u64() & 1);
        values[i] = some_value(i, clip, scale);
        memcpy(drawn + 4 * i, &bits, sizeof bits);
    }
}

static void test_quantize(size_t n, double clip, double scale, uint64_t offset, int at_random) {
    double *values = allocate(n * sizeof *values);
    uint8_t *drawn = allocate(4 * n);
    fill(values, drawn, n, clip, scale);
    double *secret = copy(values, n * sizeof *values);
    uint8_t *secret_bits = copy(drawn, 4 * n);
    uint64_t *out = allocate(n * sizeof *out);
    SECRET(secret, n * sizeof *secret);
    SECRET(secret_bits, 4 * n);
    check(secagg_quantize(out, secret, at_random ? secret_bits : NULL, n, clip, scale, offset) == 0, "quantize");
    PUBLIC(out, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        double y = naive_steps(values[i], clip, scale);
        int64_t rounded = at_random ? naive_at_random(y, drawn + 4 * i) : naive_to_even(y);
        check(out[i] == offset + (uint64_t)rounded, "a value in steps");
    }
    free(values);
    free(drawn);
    free(secret);
    free(secret_bits);
    free(out);
}

static void test_round_at_random(size_t n, double largest) {
    double *values = allocate(n * sizeof *values);
    uint8_t *drawn = allocate(4 * n);
    fill(values, drawn, n, largest / 2, largest / 2);
    double *secret = copy(values, n * sizeof *values);
    uint8_t *secret_bits = copy(drawn, 4 * n);
    int64_t *out = allocate(n * sizeof *out);
    SECRET(secret, n * sizeof *secret);
    SECRET(secret_bits, 4 * n);
    check(secagg_round_at_random(out, secret, secret_bits, n) == 0, "round_at_random");
    PUBLIC(out, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        check(out[i] == naive_at_random(values[i], drawn + 4 * i), "a value at random");
    free(values);
    free(drawn);
    free(secret);
    free(secret_bits);
    free(out);
}

static void test_refusals(void) {
    static const double clips[] = {0, -1, INFINITY, NAN}, scales[] = {-1, 0x1p52 + 1, INFINITY, NAN}, value = 1;
    static const uint8_t drawn[4] = {0};
    uint64_t out = 77;
    int64_t rounded = 77;
    for (size_t i = 0; i < 4; i++) {
        check(secagg_quantize(&out, &value, drawn, 1, clips[i], 1, 1) == -1 && out == 77, "a clip is refused");
        check(secagg_quantize(&out, &value, drawn, 1, 1, scales[i], 1) == -1 && out == 77, "a scale is refused");
    }
    check(secagg_round_at_random(&rounded, &value, NULL, 1) == -1 && rounded == 77, "nothing was drawn");
}

static void test_isa(const char *isa) {
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 100, 301};
    static const double clips[] = {1, 1.7, 0x1p-1070, 1e300};
    static const double scales[] = {1, 32767, 77 * 32767.0, 0x1p51 - 1, 0x1p52 - 1, 0x1p52};
    secagg_isa_use(isa);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (size_t c = 0; c < sizeof clips / sizeof *clips; c++)
            for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
                test_quantize(lengths[l], clips[c], scales[s], (uint64_t)scales[s], 1);
                test_quantize(lengths[l], clips[c], scales[s], (uint64_t)scales[s], 0);
            }
        test_round_at_random(lengths[l], 100);
        test_round_at_random(lengths[l], 0x1p32);
        test_round_at_random(lengths[l], 0x1p53);
        test_round_at_random(lengths[l], 0x1p63);
    }
    test_refusals();
}

int main(void) {
    for (size_t i = 0; secagg_isa_available(i); i++)
        test_isa(secagg_isa_available(i));
    if (failures == 0)
        printf("test_rounding: ok\n");
    return failures != 0;
}
