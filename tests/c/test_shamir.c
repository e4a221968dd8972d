/* Shamir sharing without Python, for sanitizers, emulators and valgrind.  With SECAGG_CT_VALGRIND defined, everything
 * secret is undefined for valgrind while the kernels run, so that it reports each branch or index that depends on it.
 */
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

#define BYTES SECAGG_SCALAR_BYTES

static const uint8_t Q[BYTES] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

static void *allocate(size_t size) {
    void *p = calloc(size ? size : 1, 1);
    if (p == NULL)
        exit(2);
    return p;
}

/* Scalars: pseudo-random ones, then 0, 1, q - 1 in turn at every fifth place. */
static void fill_scalars(uint8_t *scalars, size_t n) {
    static uint64_t state = 1;
    for (size_t i = 0; i < n * BYTES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        scalars[i] = (uint8_t)(state >> 56);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t *scalar = scalars + i * BYTES;
        scalar[0] &= 0x7f;
        if (i % 5 != 0)
            continue;
        memset(scalar, 0, BYTES);
        if (i % 3 == 1)
            scalar[BYTES - 1] = 1;
        if (i % 3 == 2) {
            memcpy(scalar, Q, BYTES);
            scalar[BYTES - 1]--;
        }
    }
}

static int is_small(const uint8_t *scalar, uint8_t value) {
    static const uint8_t zeros[BYTES - 1];
    return memcmp(scalar, zeros, sizeof zeros) == 0 && scalar[BYTES - 1] == value;
}

/* The same secrets from rows of the t x-coordinates and shares of each one. */
static void reconstruct_each(const uint8_t *secrets, const uint32_t *xs, const uint8_t *shares, size_t t, size_t s) {
    uint32_t *rows = allocate(s * t * sizeof *rows);
    uint8_t *of_rows = allocate(s * t * BYTES), *result = allocate(s * BYTES);
    for (size_t j = 0; j < s; j++) {
        memcpy(rows + j * t, xs, t * sizeof *rows);
        for (size_t i = 0; i < t; i++)
            memcpy(of_rows + (j * t + i) * BYTES, shares + (i * s + j) * BYTES, BYTES);
    }
    check(secagg_shamir_reconstruct(result, rows, of_rows, t, s) == 0, "reconstruct");
    PUBLIC(result, s * BYTES);
    check(memcmp(result, secrets, s * BYTES) == 0, "secrets reconstructed one by one");
    free(rows);
    free(of_rows);
    free(result);
}

/* Shares s secrets among xs[n], and reconstructs them from the last t shares. */
static void round_trip(size_t s, size_t t, const uint32_t *xs, size_t n) {
    uint8_t *secrets = allocate(s * BYTES), *coefficients = allocate(s * (t - 1) * BYTES);
    uint8_t *shares = allocate(n * s * BYTES), *weights = allocate(t * BYTES), *result = allocate(s * BYTES);
    fill_scalars(secrets, s);
    fill_scalars(coefficients, s * (t - 1));
    SECRET(secrets, s * BYTES);
    SECRET(coefficients, s * (t - 1) * BYTES);
    check(secagg_shamir_share(shares, secrets, s, coefficients, t, xs, n) == 0, "share");
    check(secagg_shamir_lagrange(weights, xs + n - t, t) == 0, "lagrange");
    int verdict = secagg_scalars_check(shares, n * s);
    PUBLIC(&verdict, sizeof verdict);
    check(verdict == 0, "shares are below q");
    SECRET(shares, n * s * BYTES);
    check(secagg_shamir_combine(result, weights, shares + (n - t) * s * BYTES, t, s) == 0, "combine");
    PUBLIC(secrets, s * BYTES);
    PUBLIC(result, s * BYTES);
    check(memcmp(result, secrets, s * BYTES) == 0, "reconstructed secrets");
    reconstruct_each(secrets, xs + n - t, shares + (n - t) * s * BYTES, t, s);
    free(secrets);
    free(coefficients);
    free(shares);
    free(weights);
    free(result);
}

static void test_round_trips(void) {
    static const uint32_t steps[] = {1, 3, 1000, 65536, 1u << 21, 40000000};
    static const size_t sizes[][3] = {{1, 1, 1},  {2, 1, 3},   {3, 2, 3},   {1, 7, 9},
                                      {33, 8, 8}, {2, 40, 60}, {65, 17, 20}};
    uint32_t xs[60];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (size_t k = 0; k < 60; k++)
            xs[k] = k % 2 ? UINT32_MAX - (uint32_t)k * steps[i] : (uint32_t)(k + 1) * steps[i];
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            round_trip(sizes[k][0], sizes[k][1], xs, sizes[k][2]);
    }
}

static void test_known_answers(void) {
    const uint32_t xs[2] = {1, 2};
    uint8_t secret[BYTES] = {0}, coefficient[BYTES] = {0}, shares[2][BYTES], weights[2][BYTES], q_minus_1[BYTES];
    secret[BYTES - 1] = 5;
    coefficient[BYTES - 1] = 3;
    memcpy(q_minus_1, Q, BYTES);
    q_minus_1[BYTES - 1]--;
    check(secagg_shamir_share(shares[0], secret, 1, coefficient, 2, xs, 2) == 0, "share 5 + 3x");
    check(is_small(shares[0], 8) && is_small(shares[1], 11), "5 + 3x at 1 and 2");
    check(secagg_shamir_lagrange(weights[0], xs, 2) == 0, "lagrange of 1 and 2");
    check(is_small(weights[0], 2) && memcmp(weights[1], q_minus_1, BYTES) == 0, "lagrange of 1 and 2 is 2 and -1");
}

/* Sums of more than 4096 products of q - 1 with itself, and of the largest bytes, which are out of contract. */
static void test_long_sums(void) {
    const size_t t = 4099;
    uint8_t *weights = allocate(t * BYTES), result[BYTES], expected[BYTES] = {0};
    for (size_t i = 0; i < t; i++) {
        memcpy(weights + i * BYTES, Q, BYTES);
        weights[i * BYTES + BYTES - 1]--;
    }
    expected[BYTES - 2] = (uint8_t)(t >> 8);
    expected[BYTES - 1] = (uint8_t)t;
    SECRET(weights, t * BYTES);
    check(secagg_shamir_combine(result, weights, weights, t, 1) == 0, "combine t terms");
    PUBLIC(result, BYTES);
    check(memcmp(result, expected, BYTES) == 0, "t * (-1) * (-1) = t");
    memset(weights, 0xff, t * BYTES);
    check(secagg_shamir_combine(result, weights, weights, t, 1) == 0, "combine the largest bytes");
    check(secagg_scalars_check(result, 1) == 0, "even then the result is below q");
    free(weights);
}

static int check_scalar(const uint8_t *scalar, int last_byte_offset) {
    uint8_t scalars[3][BYTES] = {{0}};
    memcpy(scalars[1], scalar, BYTES);
    scalars[1][BYTES - 1] = (uint8_t)(scalars[1][BYTES - 1] + last_byte_offset);
    SECRET(scalars, sizeof scalars);
    int verdict = secagg_scalars_check(scalars[0], 3);
    PUBLIC(&verdict, sizeof verdict);
    return verdict;
}

static void test_scalars_check(void) {
    uint8_t largest[BYTES];
    memset(largest, 0xff, BYTES);
    check(check_scalar(Q, -1) == 0, "q - 1 is accepted");
    check(check_scalar(Q, 0) == -1, "q is refused");
    check(check_scalar(Q, 1) == -1, "q + 1 is refused");
    check(check_scalar(largest, 0) == -1, "2^256 - 1 is refused");
    check(secagg_scalars_check(NULL, 0) == 0, "no scalars are accepted");
}

static void test_refusals(void) {
    const uint32_t xs[3] = {4, 5, 6}, with_zero[3] = {4, 0, 6}, twice[3] = {4, 6, 4};
    uint8_t in[3 * BYTES] = {0}, out[3 * BYTES], untouched[3 * BYTES];
    memset(out, 0xaa, sizeof out);
    memset(untouched, 0xaa, sizeof untouched);
    check(secagg_shamir_share(out, in, 1, in, 2, with_zero, 3) == -1, "share at x = 0 is refused");
    check(secagg_shamir_share(out, in, 1, in, 0, xs, 3) == -1, "t = 0 is refused");
    check(secagg_shamir_share(out, in, 0, in, 2, xs, 3) == -1, "no secrets are refused");
    check(secagg_shamir_share(out, in, 1, in, 2, xs, 0) == -1, "no x-coordinates are refused");
    check(secagg_shamir_lagrange(out, with_zero, 3) == -1, "lagrange with x = 0 is refused");
    check(secagg_shamir_lagrange(out, with_zero + 1, 1) == -1, "lagrange of x = 0 alone is refused");
    check(secagg_shamir_lagrange(out, twice, 3) == -1, "lagrange with a duplicate is refused");
    check(secagg_shamir_lagrange(out, xs, 0) == -1, "lagrange of nothing is refused");
    check(secagg_shamir_combine(out, in, in, 0, 1) == -1, "combine of no shares is refused");
    check(secagg_shamir_combine(out, in, in, 1, 0) == -1, "combine of no secrets is refused");
    check(secagg_shamir_reconstruct(out, with_zero, in, 3, 1) == -1, "reconstruct with x = 0 is refused");
    check(secagg_shamir_reconstruct(out, twice, in, 3, 1) == -1, "reconstruct with a duplicate is refused");
    check(secagg_shamir_reconstruct(out, xs, in, 0, 1) == -1, "reconstruct from no shares is refused");
    check(secagg_shamir_reconstruct(out, xs, in, 3, 0) == -1, "reconstruct of no secrets is refused");
    check(memcmp(out, untouched, sizeof out) == 0, "refusals write nothing");
}

int main(void) {
    test_known_answers();
    test_round_trips();
    test_long_sums();
    test_scalars_check();
    test_refusals();
    if (failures == 0)
        printf("test_shamir: ok\n");
    return failures != 0;
}
