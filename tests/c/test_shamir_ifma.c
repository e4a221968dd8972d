/* csrc/shamir/shamir_ifma.c, whose source this is, with AVX-512 IFMA emulated lane by lane, beside the portable code.  With
 * SECAGG_CT_VALGRIND defined, all that is secret is undefined for valgrind while it runs. */
#ifdef __x86_64__
#include "emulated_ifma.h"

/* Big-endian words. */
static inline vec swap_bytes(vec a) {
    for (int l = 0; l < 8; l++)
        a[l] = __builtin_bswap64(a[l]);
    return a;
}

#define secagg_shamir_ifma tested
#include "../../csrc/shamir/shamir_ifma.c"

#include <stdio.h>

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define KNOWN(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#else
#define SECRET(p, size) ((void)(p), (void)(size))
#define KNOWN(p, size) ((void)(p), (void)(size))
#endif

enum { BYTES = SECAGG_SCALAR_BYTES, T = 140, S = 41 };

static const struct shamir_kernel *const KERNELS[2] = {&tested, &secagg_shamir_portable};

static uint8_t in[(T * S + T) * BYTES], out[2][T * S * BYTES];
static uint32_t xs[T * S];
static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

/* Any bytes, zeros and ones; x-coordinates that differ by `step`. */
static void fill(uint32_t step) {
    static uint64_t state = 1;
    for (size_t i = 0; i < sizeof in; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        in[i] = state >> 63 ? (uint8_t)(state >> 40) : i / BYTES % 3 ? 0xff : 0;
    }
    for (size_t j = 0; j < S; j++)
        for (size_t i = 0; i < T; i++)
            xs[j * T + i] = 1 + step * (uint32_t)((i * 11 + j) % T);
}

static void compare(const void *a, const void *b, size_t size, const char *what) {
    KNOWN(a, size);
    KNOWN(b, size);
    check(memcmp(a, b, size) == 0, what);
}

static void test_share(size_t s, size_t t, size_t n) {
    for (int k = 0; k < 2; k++)
        check(KERNELS[k]->share(out[k], in, s, in + s * BYTES, t, xs, n) == 0, "share");
    compare(out[0], out[1], n * s * BYTES, "shares");
}

static void test_combine(size_t s, size_t t) {
    for (int k = 0; k < 2; k++)
        KERNELS[k]->combine(out[k], in, in + t * BYTES, t, s);
    compare(out[0], out[1], s * BYTES, "combined secrets");
}

/* a / b = c / d mod q: the kernels' fractions have different terms. */
static void compare_fractions(const uint8_t *above[2], const uint8_t *below[2], size_t s) {
    for (size_t j = 0; j < s; j++) {
        scalar_t b = scalar_at(below[0], j), d = scalar_at(below[1], j);
        check(b.limb[0] != 0, "what is below is public, and not 0");
        scalar_t a = scalar_at(above[0], j), c = scalar_at(above[1], j);
        a = secagg_scalar_mul(&a, &d);
        c = secagg_scalar_mul(&c, &b);
        compare(&a, &c, sizeof a, "fractions");
    }
}

static void test_fractions(size_t s, size_t t, unsigned bits) {
    static uint32_t rows[T * S];
    static uint8_t below[2][S * BYTES];
    for (size_t j = 0; j < s; j++)
        memcpy(rows + j * t, xs + j * T, t * sizeof *rows);
    for (int k = 0; k < 2; k++)
        check(KERNELS[k]->fractions(out[k], below[k], rows, bits, in, t, s) == 0, "fractions");
    compare_fractions((const uint8_t *[]){out[0], out[1]}, (const uint8_t *[]){below[0], below[1]}, s);
}

int main(void) {
    static const uint32_t steps[] = {1, 1000, 30000000};
    static const unsigned bits[] = {8, 18, 32};
    for (int i = 0; i < 3; i++) {
        fill(steps[i]);
        SECRET(in, sizeof in);
        test_share(1, 1, 1);
        test_share(2, 70, 9);
        test_share(1, 9, 40);
        test_combine(S, T);
        test_combine(1, 129);
        test_combine(9, 7);
        test_fractions(9, 1, bits[i]);
        test_fractions(2, 31, bits[i]);
        test_fractions(1, 70, bits[i]);
    }
    if (failures == 0)
        puts("test_shamir_ifma: ok");
    return failures != 0;
}
#else
int main(void) { return 0; }
#endif
