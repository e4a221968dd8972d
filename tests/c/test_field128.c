/* Field128's arithmetic in C against what the kernels use, which gcc has in assembly on x86-64; and the C in constant
 * time. */
#include <stdio.h>
#include <string.h>

#define SECAGG_FIELD_IN_C
#include "vdaf/field128.h"
#include "vdaf/vdaf.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#else
#define SECRET(p, size) ((void)(p), (void)(size))
#define PUBLIC(p, size) ((void)(p), (void)(size))
#endif

enum { EDGES = 12, N = 40, PAIRS = N * N };

static fe_t a[PAIRS], b[PAIRS];

/* The edges of the carries, then pseudo-random elements. */
static void fill(void) {
    static const fe_t edge[EDGES] = {{0, 0},
                                     {1, 0},
                                     {2, 0},
                                     {UINT64_MAX, 0},
                                     {0, 1},
                                     {0, 28},
                                     {UINT64_MAX, 27},
                                     {0, 1ull << 63},
                                     {UINT64_MAX, (1ull << 63) - 1},
                                     {0, UINT64_MAX - 27},
                                     {UINT64_MAX, UINT64_MAX - 28},
                                     {0, UINT64_MAX - 28}};
    fe_t value[N];
    uint64_t state = 1;
    for (size_t i = 0; i < N; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value[i] = i < EDGES ? edge[i] : (fe_t){state ^ state >> 29, state >> 1};
    }
    for (size_t i = 0; i < PAIRS; i++) {
        a[i] = value[i / N];
        b[i] = value[i % N];
    }
}

static int differ(const char *what, const fe_t *in_c, const fe_t *in_kernel) {
    if (memcmp(in_c, in_kernel, PAIRS * sizeof *in_c) == 0)
        return 0;
    printf("FAILED: %s\n", what);
    return 1;
}

int main(void) {
    static fe_t in_c[4][PAIRS], in_kernel[4][PAIRS];
    fill();
    SECRET(a, sizeof a);
    SECRET(b, sizeof b);
    for (size_t i = 0; i < PAIRS; i++) {
        fe_sum_t sum = {0};
        for (int j = 0; j < 3; j++)
            fe_sum_muladd(&sum, a[i], b[i]);
        in_c[0][i] = fe_add(a[i], b[i]);
        in_c[1][i] = fe_sub(a[i], b[i]);
        in_c[2][i] = fe_enter(fe_mul(a[i], b[i]));
        in_c[3][i] = fe_enter(fe_from_sum(&sum));
    }
    struct const_rows x = {(const uint64_t *)a, 2}, y = {(const uint64_t *)b, 2};
    secagg_field128.add((struct rows){(uint64_t *)in_kernel[0], 2}, x, y, 1, PAIRS);
    secagg_field128.subtract((struct rows){(uint64_t *)in_kernel[1], 2}, x, y, 1, PAIRS);
    secagg_field128.multiply((struct rows){(uint64_t *)in_kernel[2], 2}, x, y, 1, PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        fe_t thrice[2][3] = {{a[i], a[i], a[i]}, {b[i], b[i], b[i]}};
        secagg_field128.dot((struct rows){(uint64_t *)&in_kernel[3][i], 0},
                            (struct const_rows){(const uint64_t *)thrice[0], 0},
                            (struct const_rows){(const uint64_t *)thrice[1], 0}, 1, 3, 1);
    }
    PUBLIC(in_c, sizeof in_c);
    PUBLIC(in_kernel, sizeof in_kernel);
    int failures = differ("add", in_c[0], in_kernel[0]) + differ("subtract", in_c[1], in_kernel[1]) +
                   differ("multiply", in_c[2], in_kernel[2]) + differ("sum of products", in_c[3], in_kernel[3]);
    if (failures == 0)
        puts("test_field128: ok");
    return failures != 0;
}
