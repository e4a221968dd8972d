/* test_mask.c: every instruction set of this CPU against the portable one, slices against the whole, and the edges of
 * blocks, tiles and chunks.  With SECAGG_CT_VALGRIND valgrind is told that seeds and accumulators are undefined, so
 * that it reports every branch and index that depends on one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secagg.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, bytes) (void)VALGRIND_MAKE_MEM_UNDEFINED(p, bytes)
#define PUBLIC(p, bytes) (void)VALGRIND_MAKE_MEM_DEFINED(p, bytes)
#else
#define SECRET(p, bytes) (void)(p)
#define PUBLIC(p, bytes) (void)(p)
#endif

static const uint64_t moduli[] = {
    2,
    1ull << 7,
    1ull << 8,
    1ull << 15,
    1ull << 16,
    1ull << 20,
    1ull << 24,
    1ull << 31,
    1ull << 32,
    1ull << 33,
    1ull << 40,
    1ull << 47,
    1ull << 48,
    1ull << 55,
    1ull << 56,
    1ull << 63,
    0,
    3,
    (1 << 24) - 3,
    (1ull << 32) - 5,
    (1ull << 32) + 15,
    (1ull << 55) - 55,
    (1ull << 55) + 3,
    (1ull << 63) + 9,
    0 - 59ull,
};

enum {
    MODULI = sizeof moduli / sizeof *moduli,
    TILE = 6912, /* as in csrc/mask/mask.inc */
    MAX_SEEDS = 513,
    MAX_ELEMENTS = TILE + 1,
};

static const uint8_t nonce[SECAGG_NONCE_BYTES] = "0123456789a";
static int failures;

static void check(int right, const char *what, uint64_t modulus, size_t n, size_t k) {
    if (right)
        return;
    failures++;
    printf("%s: %s, R = %" PRIu64 ", n = %zu, k = %zu\n", secagg_isa(), what, modulus, n, k);
}

static size_t element(uint64_t modulus) { return modulus && modulus <= 1ull << 32 ? 4 : 8; }

static int mask_sum(void *acc, size_t n, const uint8_t *seeds, const int8_t *signs, size_t k, uint64_t modulus,
                    uint64_t offset) {
    if (element(modulus) == 4)
        return secagg_mask_sum_u32(acc, n, seeds, signs, k, modulus, nonce, offset);
    return secagg_mask_sum_u64(acc, n, seeds, signs, k, modulus, nonce, offset);
}

static uint64_t next_random(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 32 | state << 32;
}

struct inputs {
    uint8_t acc[8 * MAX_ELEMENTS], seeds[SECAGG_SEED_BYTES * MAX_SEEDS];
    int8_t signs[MAX_SEEDS];
};

static void fill_inputs(struct inputs *in, uint64_t modulus) {
    for (size_t i = 0; i < MAX_ELEMENTS; i++) {
        uint64_t value = modulus ? next_random() % modulus : next_random();
        memcpy(in->acc + element(modulus) * i, &value, element(modulus));
    }
    for (size_t i = 0; i < sizeof in->seeds; i++)
        in->seeds[i] = (uint8_t)next_random();
    for (size_t j = 0; j < MAX_SEEDS; j++)
        in->signs[j] = next_random() & 1 ? 1 : -1;
}

/* The sum on a fresh copy of the accumulator; the caller frees it.  A heap block of its exact size lets sanitizers see
 * any access beyond. */
static uint8_t *sum_of(struct inputs *in, size_t n, size_t k, uint64_t modulus, uint64_t offset) {
    size_t bytes = n * element(modulus);
    uint8_t *acc = malloc(bytes + !bytes);
    memcpy(acc, in->acc, bytes);
    SECRET(acc, bytes);
    SECRET(in->seeds, sizeof in->seeds);
    int status = mask_sum(acc, n, in->seeds, in->signs, k, modulus, offset);
    PUBLIC(in->seeds, sizeof in->seeds);
    PUBLIC(acc, bytes);
    check(status == 0, "refused", modulus, n, k);
    return acc;
}

static void compare_with_portable(const char *isa, struct inputs *in, size_t n, size_t k, uint64_t modulus,
                                  uint64_t offset) {
    secagg_isa_use("portable");
    uint8_t *expected = sum_of(in, n, k, modulus, offset);
    secagg_isa_use(isa);
    uint8_t *acc = sum_of(in, n, k, modulus, offset);
    check(memcmp(acc, expected, n * element(modulus)) == 0, "differs from portable", modulus, n, k);
    free(acc);
    free(expected);
}

static void test_against_portable(const char *isa, struct inputs *in, uint64_t modulus) {
    static const size_t lengths[] = {0, 1, 15, 16, 17};
    static const size_t parts[] = {16, 8, 4, 3, 2, 1}; /* bytes of an element */
    static const size_t numbers[] = {0, 1, 31, 32, 33, 255, 256, 257, MAX_SEEDS};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        compare_with_portable(isa, in, lengths[i], 2, modulus, i);
    for (size_t i = 0; i < 3 * (sizeof parts / sizeof *parts); i++)
        compare_with_portable(isa, in, TILE / parts[i / 3] - 1 + i % 3, 2, modulus, i);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        compare_with_portable(isa, in, 5, numbers[i], modulus, UINT64_MAX - i);
}

static void test_slices(struct inputs *in, uint64_t modulus) {
    enum { n = TILE / 2 };
    static const size_t cuts[] = {0, 1, 2, 17, 100, TILE / 3 - 1, TILE / 3 + 1, n};
    uint8_t *whole = sum_of(in, n, 2, modulus, 7);
    uint8_t *parts = malloc(n * element(modulus));
    memcpy(parts, in->acc, n * element(modulus));
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
        mask_sum(parts + cuts[i] * element(modulus), cuts[i + 1] - cuts[i], in->seeds, in->signs, 2, modulus,
                 7 + cuts[i]);
    check(memcmp(parts, whole, n * element(modulus)) == 0, "slices differ from the whole", modulus, n, 2);
    free(parts);
    free(whole);
}

/* Adding and taking away the same masks leaves what was there. */
static void test_signs_cancel(struct inputs *in, uint64_t modulus) {
    uint8_t *acc = sum_of(in, 100, 40, modulus, 0);
    for (size_t j = 0; j < MAX_SEEDS; j++)
        in->signs[j] = (int8_t)-in->signs[j];
    mask_sum(acc, 100, in->seeds, in->signs, 40, modulus, 0);
    check(memcmp(acc, in->acc, 100 * element(modulus)) == 0, "signs do not cancel", modulus, 100, 40);
    free(acc);
}

static void test_expand(struct inputs *in, uint64_t modulus) {
    uint64_t sum[100] = {0}, out[100];
    const int8_t plus = 1;
    int status = element(modulus) == 4 ? secagg_expand_u32((uint32_t *)(void *)out, 100, in->seeds, modulus, nonce, 9)
                                       : secagg_expand_u64(out, 100, in->seeds, modulus, nonce, 9);
    mask_sum(sum, 100, in->seeds, &plus, 1, modulus, 9);
    check(status == 0 && memcmp(out, sum, 100 * element(modulus)) == 0, "expand is not the sum", modulus, 100, 1);
}

static void test_refusals(struct inputs *in) {
    uint32_t narrow[2] = {1, 2};
    uint64_t wide[2] = {1, 2};
    const int8_t signs[2] = {1, 0};
    int accepted = !secagg_mask_sum_u32(narrow, 2, in->seeds, signs, 2, 256, nonce, 0);
    accepted |= !secagg_mask_sum_u32(narrow, 2, in->seeds, signs, 1, 0, nonce, 0);
    accepted |= !secagg_mask_sum_u32(narrow, 2, in->seeds, signs, 1, 1, nonce, 0);
    accepted |= !secagg_mask_sum_u32(narrow, 2, in->seeds, signs, 1, (1ull << 32) + 1, nonce, 0);
    accepted |= !secagg_mask_sum_u64(wide, 2, in->seeds, signs, 1, 1ull << 32, nonce, 0);
    accepted |= !secagg_expand_u32(narrow, 2, in->seeds, 1, nonce, 0);
    accepted |= !secagg_expand_u64(wide, 2, in->seeds, 5, nonce, 0);
    check(!accepted, "a bad argument is accepted", 0, 2, 2);
    check(narrow[0] == 1 && narrow[1] == 2 && wide[0] == 1 && wide[1] == 2, "a refusal writes", 0, 2, 2);
    check(secagg_isa_use("abacus") == -1, "an unknown instruction set is accepted", 0, 0, 0);
}

static void test_isa(const char *isa, struct inputs *in) {
    secagg_isa_use(isa);
    check(strcmp(secagg_isa(), isa) == 0, "not in use", 0, 0, 0);
    check(secagg_selftest() == 0, "fails its self-test", 0, 0, 0);
    test_refusals(in);
    for (size_t i = 0; i < MODULI; i++) {
        fill_inputs(in, moduli[i]);
        test_against_portable(isa, in, moduli[i]);
        test_slices(in, moduli[i]);
        test_expand(in, moduli[i]);
        test_signs_cancel(in, moduli[i]);
    }
    printf("%s: %s\n", isa, failures ? "failed" : "ok");
}

int main(void) {
    struct inputs *in = calloc(1, sizeof *in);
    for (size_t i = 0; secagg_isa_available(i); i++)
        test_isa(secagg_isa_available(i), in);
    free(in);
    return failures != 0;
}
