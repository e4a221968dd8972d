/* Noise without Python, for sanitizers, emulators and valgrind.  With SECAGG_CT_VALGRIND defined, the seed is undefined for
 * valgrind while the isochronous kernels run, so that it reports each branch or index that depends on a sample. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#else
#define SECRET(p, size) ((void)(p), (void)(size))
#define PUBLIC(p, size) ((void)(p), (void)(size))
#endif

#define N 300
#define MAX UINT64_MAX

static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s, %s\n", what, secagg_isa());
        failures++;
    }
}

static uint8_t seed[SECAGG_SEED_BYTES];
static const uint8_t nonce[SECAGG_NONCE_BYTES];

static struct secagg_random from_seed(void) {
    for (uint8_t i = 0; i < sizeof seed; i++)
        seed[i] = i;
    return (struct secagg_random){seed, nonce, NULL, 0, 0};
}

static struct secagg_random from_words(const uint64_t *words, uint64_t count) {
    return (struct secagg_random){NULL, NULL, words, count, 0};
}

/* As large as it must be, so that AddressSanitizer sees what goes beyond. */
static int64_t *samples(size_t n) {
    int64_t *out = malloc(n * sizeof *out);
    if (out == NULL)
        exit(2);
    return out;
}

static uint64_t hash(const int64_t *out, size_t n) {
    uint64_t h = 0xCBF29CE484222325;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)out[i]) * 0x100000001B3;
    return h;
}

/* The first 300 samples of a seed, whose hashes tests/noise_twin.py found. */
static void test_exact_known_answers(void) {
    static const uint64_t one[2] = {1, 0}, wide[2] = {5, 1 << 10}, odd[2] = {3, 0};
    int64_t *out = samples(N);
    struct secagg_random random = from_seed();
    check(secagg_noise_laplace(out, N, 22, 7, &random) == 0, "laplace");
    check(hash(out, N) == 0xe42229987465624e, "known answer of laplace 22/7");
    random = from_seed();
    check(secagg_noise_gaussian(out, N, one, one, &random) == 0, "gaussian");
    check(hash(out, N) == 0xa18df8c38ade9193, "known answer of gaussian 1");
    random = from_seed();
    check(secagg_noise_gaussian(out, N, wide, odd, &random) == 0, "wide gaussian");
    check(hash(out, N) == 0x4b4e9bd0f09d5f94, "known answer of gaussian (2^74 + 5) / 3");
    free(out);
}

static void test_exact_refusals(void) {
    static const struct {
        uint64_t numerator, denominator;
    } scales[] = {{0, 1}, {1, 0}, {((uint64_t)1 << 40) + 1, 1}, {1, ((uint64_t)1 << 56) + 1}, {MAX, MAX}};
    static const uint64_t variances[][4] = {
        {0, 0, 1, 0}, {1, 0, 0, 0}, {1, (uint64_t)1 << 16, 1, 0}, {1, 0, 1, (uint64_t)1 << 36}, {MAX, MAX, MAX, MAX}};
    struct secagg_random random = from_seed();
    int64_t out = 77;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        check(secagg_noise_laplace(&out, 1, scales[i].numerator, scales[i].denominator, &random) == -1, "a scale");
    for (size_t i = 0; i < sizeof variances / sizeof *variances; i++)
        check(secagg_noise_gaussian(&out, 1, variances[i], variances[i] + 2, &random) == -1, "a variance");
    check(out == 77 && random.used == 0, "refusals write nothing");
}

/* Words given: none, zeros, ones; samplers end, and say that words ran out. */
static void test_words_run_out(void) {
    static const uint64_t one[2] = {1, 0}, narrow[2] = {MAX, 1};
    uint64_t words[40];
    int64_t *out = samples(N);
    for (int fill = 0; fill < 2; fill++) {
        memset(words, fill ? 0xff : 0, sizeof words);
        for (uint64_t count = 0; count <= 40; count += 20) {
            struct secagg_random random = from_words(words, count);
            check(secagg_noise_laplace(out, N, 5, 3, &random) == -1 && random.used > count, "laplace runs out");
            random = from_words(words, count);
            check(secagg_noise_gaussian(out, N, one, one, &random) == -1 && random.used > count, "gaussian runs out");
            random = from_words(words, count);
            check(secagg_noise_gaussian(out, N, one, narrow, &random) == -1 && random.used > count, "narrow runs out");
            random = from_words(words, count);
            check(secagg_random_words((uint64_t *)out, N, &random) == -1 && random.used == N, "words run out");
        }
    }
    free(out);
}

/* Thresholds that descend from nearly 1 to 0. */
static void fill_thresholds(uint64_t (*thresholds)[2], size_t count) {
    for (size_t k = 0; k < count; k++) {
        thresholds[k][0] = 0x9E3779B97F4A7C15 * k;
        thresholds[k][1] = MAX - MAX / (count - 1) * k;
    }
}

static int64_t with_sign(uint64_t x, uint64_t sign) { return sign & 1 ? -(int64_t)x : (int64_t)x; }

static int is_above(const uint64_t *threshold, const uint64_t *w) {
    return threshold[1] != w[1] ? threshold[1] > w[1] : threshold[0] > w[0];
}

static void test_scan(size_t count) {
    uint64_t (*thresholds)[2] = malloc(count * sizeof *thresholds), words[3 * N];
    int64_t *out = samples(N), *found = samples(N);
    struct secagg_random random = from_seed();
    size_t done;
    fill_thresholds(thresholds, count);
    check(secagg_random_words(words, 3 * N, &random) == 0, "random words");
    random = from_seed();
    SECRET(seed, sizeof seed);
    check(secagg_noise_scan(out, N, *thresholds, count, &random) == 0 && random.used == 3 * N, "scan");
    PUBLIC(seed, sizeof seed);
    PUBLIC(out, N * sizeof *out);
    random = from_seed();
    check(secagg_noise_search(found, N, &done, *thresholds, count, &random) == 0 && done == N, "search");
    for (size_t i = 0; i < N; i++) {
        uint64_t x = 0;
        for (size_t k = 0; k < count; k++)
            x += (uint64_t)is_above(thresholds[k], words + 3 * i);
        check(out[i] == with_sign(x, words[3 * i + 2]), "a scanned sample");
        check(found[i] == out[i], "a searched sample");
    }
    free(thresholds);
    free(out);
    free(found);
}

/* One sum by the words of one sample. */
static int64_t convolved(const uint64_t (*thresholds)[2], const uint64_t *counts, size_t tables, uint64_t factor,
                         const uint64_t *words) {
    int64_t sum = 0;
    for (size_t t = 0; t < tables; thresholds += counts[t++], words += 3) {
        uint64_t x = 0;
        for (size_t k = 0; k < counts[t]; k++)
            x += (uint64_t)is_above(thresholds[k], words);
        sum = (int64_t)factor * sum + with_sign(x, words[2]);
    }
    return sum;
}

/* Tables of any size, an empty one too, and samples that do not fill a kernel's last call. */
static void test_convolution(size_t n, const uint64_t *counts, size_t tables, uint64_t factor) {
    uint64_t thresholds[150][2], *words = malloc(3 * tables * n * sizeof *words), at = 0;
    int64_t *out = samples(n);
    struct secagg_random random = from_seed();
    if (words == NULL)
        exit(2);
    for (size_t t = 0; t < tables; at += counts[t++])
        if (counts[t] > 1)
            fill_thresholds(thresholds + at, counts[t]);
    check(secagg_random_words(words, 3 * tables * n, &random) == 0, "random words");
    random = from_seed();
    SECRET(seed, sizeof seed);
    check(secagg_noise_convolution(out, n, *thresholds, counts, tables, factor, &random) == 0, "convolution");
    PUBLIC(seed, sizeof seed);
    PUBLIC(out, n * sizeof *out);
    check(random.used == 3 * tables * n, "words of a sum");
    for (size_t i = 0; i < n; i++)
        check(out[i] == convolved(thresholds, counts, tables, factor, words + 3 * tables * i), "a sum of samples");
    free(words);
    free(out);
}

/* What high words do not decide: the low ones do, below a high word of ones too. */
static void test_equal_high_words(void) {
    static const uint64_t thresholds[5][2] = {{9, MAX}, {7, MAX}, {6, MAX}, {8, 5}, {7, 5}}, count = 5;
    static const uint64_t words[6] = {7, MAX, 0, 7, 5, 1};
    struct secagg_random random = from_words(words, 6);
    int64_t out[2];
    check(secagg_noise_convolution(out, 2, *thresholds, &count, 1, 4, &random) == 0, "equal high words");
    check(out[0] == 1 && out[1] == -4, "low words decide");
}

static void test_convolutions(void) {
    static const uint64_t counts[33] = {40, 2, 0, 101, 7}, thresholds[150][2] = {{0}};
    struct secagg_random random = from_seed();
    int64_t out = 77;
    for (size_t n = 1; n <= 17; n += 4)
        test_convolution(n, counts, 5, 4);
    test_convolution(N, counts + 1, 3, 1000);
    check(secagg_noise_convolution(&out, 1, *thresholds, counts, 33, 4, &random) == -1 && out == 77, "33 tables");
}

static void test_bitwise(unsigned bits) {
    uint64_t thresholds[63][2], words[127];
    int64_t *out = samples(N);
    struct secagg_random random = from_seed(), again = from_seed();
    fill_thresholds(thresholds, 63);
    SECRET(seed, sizeof seed);
    check(secagg_noise_bitwise(out, N, *thresholds, bits, &random) == 0, "bitwise");
    PUBLIC(seed, sizeof seed);
    PUBLIC(out, N * sizeof *out);
    check(random.used == N * (2 * bits + 3), "words of a sample");
    for (size_t i = 0; i < N; i++) {
        check(secagg_random_words(words, 2 * bits + 3, &again) == 0, "words go on");
        uint64_t x = 1;
        for (unsigned b = 0; b < bits; b++)
            x += (uint64_t)is_above(thresholds[b + 1], words + 2 * b + 2) << b;
        check(out[i] == (is_above(thresholds[0], words) ? with_sign(x, words[2 * bits + 2]) : 0), "a bitwise sample");
    }
    free(out);
}

/* What 128 bits do not decide is left to the caller, words and all. */
static void test_search_stops(void) {
    static const uint64_t thresholds[2][2] = {{5, 6}, {3, 4}}, words[9] = {5, 5, 1, 3, 4, 0, 0, 0, 0};
    struct secagg_random random = from_words(words, 9);
    int64_t out[3] = {0, 0, 77};
    size_t done;
    check(secagg_noise_search(out, 3, &done, *thresholds, 2, &random) == 0, "search");
    check(done == 1 && random.used == 3 && out[0] == -1, "stops on a threshold");
    random.used = 6;
    check(secagg_noise_search(out, 3, &done, *thresholds, 2, &random) == 0 && done == 0, "stops on zeros");
    check(random.used == 6 && out[2] == 77, "and writes nothing");
}

static void test_added_signed(void) {
    static const uint64_t moduli[] = {3, 1u << 20, UINT32_MAX, (uint64_t)1 << 32, MAX, 0};
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
    for (size_t i = 0; i < sizeof moduli / sizeof *moduli; i++) {
        uint64_t R = moduli[i], wide[6];
        uint32_t narrow[6];
        int64_t b[6];
        memcpy(b, extremes, sizeof b);
        int fits = R != 0 && R <= (uint64_t)1 << 32;
        for (size_t j = 0; j < 6; j++)
            narrow[j] = (uint32_t)(wide[j] = j % 2 ? R - 1 : 0);
        SECRET(narrow, sizeof narrow);
        SECRET(wide, sizeof wide);
        SECRET(b, sizeof b);
        check((fits ? secagg_add_signed_u32(narrow, b, 6, R) : secagg_add_signed_u64(wide, b, 6, R)) == 0,
              "add_signed");
        PUBLIC(narrow, sizeof narrow);
        PUBLIC(wide, sizeof wide);
        for (size_t j = 0; j < 6; j++) {
            __extension__ __int128 R128 = R ? (__int128)R : (__int128)1 << 64, sum = extremes[j];
            sum = ((sum + (j % 2 ? R128 - 1 : 0)) % R128 + R128) % R128;
            check((fits ? narrow[j] : wide[j]) == (uint64_t)sum, "a signed sum");
        }
    }
}

__extension__ typedef unsigned __int128 wide_t;

/* x + y mod R, for x < R and R > 2^64. */
static wide_t signed_sum(wide_t x, int64_t y, wide_t R) {
    wide_t up = (wide_t)(y < 0 ? 0 : y), down = y < 0 ? -(wide_t)y : 0;
    if (x < down)
        return R - (down - x);
    return up >= R - x ? up - (R - x) : x + up - down;
}

static void test_added_signed_wide(const uint64_t *modulus) {
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
    wide_t R = (wide_t)modulus[1] << 64 | modulus[0], before[] = {0, 1, R - 1};
    uint64_t a[18][2];
    int64_t b[18];
    for (size_t i = 0; i < 18; i++) {
        a[i][0] = (uint64_t)before[i % 3];
        a[i][1] = (uint64_t)(before[i % 3] >> 64);
        b[i] = extremes[i / 3];
    }
    SECRET(a, sizeof a);
    SECRET(b, sizeof b);
    check(secagg_add_signed_u128(*a, b, 18, modulus) == 0, "add_signed_u128");
    PUBLIC(a, sizeof a);
    for (size_t i = 0; i < 18; i++) {
        wide_t sum = signed_sum(before[i % 3], extremes[i / 3], R);
        check(a[i][0] == (uint64_t)sum && a[i][1] == (uint64_t)(sum >> 64), "a wide signed sum");
    }
}

/* R = 2^64 + 1, the VDAF draft's Field128, 2^128 - 1; and what is too small. */
static void test_added_signed_wide_moduli(void) {
    static const uint64_t moduli[][2] = {{1, 1}, {1, 0xffffffffffffffe4}, {MAX, MAX}}, small[2] = {MAX, 0};
    static const int64_t one = 1;
    uint64_t untouched[2] = {7, 8};
    for (size_t i = 0; i < sizeof moduli / sizeof *moduli; i++)
        test_added_signed_wide(moduli[i]);
    check(secagg_add_signed_u128(untouched, &one, 1, small) == -1 && untouched[0] == 7, "a modulus of one word");
}

static void test_isa(const char *isa) {
    secagg_isa_use(isa);
    test_exact_known_answers();
    test_exact_refusals();
    test_words_run_out();
    test_scan(2);
    test_scan(131);
    test_convolutions();
    test_equal_high_words();
    test_bitwise(0);
    test_bitwise(20);
    test_bitwise(62);
    test_search_stops();
    test_added_signed();
    test_added_signed_wide_moduli();
}

int main(void) {
    for (size_t i = 0; secagg_isa_available(i); i++)
        test_isa(secagg_isa_available(i));
    if (failures == 0)
        printf("test_noise: ok\n");
    return failures != 0;
}
