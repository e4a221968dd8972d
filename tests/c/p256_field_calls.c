/* The operations of one of P-256's fields on raw limbs, as a shared object for tests/test_p256_field.py: with -DLIMBS52
 * that of csrc/agreement/p256_limbs52.inc, else that of csrc/agreement/p256_avx2.c. */
#ifdef LIMBS52
#include "p256_limbs52_in_c.inc"
#else
#define secagg_p256_avx2 tested
#include "../../csrc/agreement/p256_avx2.c"
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#endif

const struct p256_kernel *const used = &tested; /* all of it, so that nothing is warned of */

static void load(element_t *out, const uint64_t *limbs) {
    for (int i = 0; i < N; i++)
        for (int l = 0; l < LANES; l++)
            out->limb[i][l] = limbs[l * N + i];
}

static void store(uint64_t *limbs, const element_t *a) {
    for (int i = 0; i < N; i++)
        for (int l = 0; l < LANES; l++)
            limbs[l * N + i] = a->limb[i][l];
}

static void operate(int operation, element_t *out, const element_t *a, const element_t *b, const element_t *c) {
    element_t s, d;
    plus(&s, a, c);
    minus(&d, b, c);
    switch (operation) {
    case 0:
        multiply(out, a, b);
        break;
    case 1:
        square(out, a);
        break;
    case 2:
        subtract(out, a, b);
        break;
    case 3: /* (a + c) (b - c) */
        multiply(out, &s, &d);
        break;
    case 4: /* 3 (a + c) (b - c) */
        multiply_triple(out, &s, &d);
        break;
    case 5: /* 2 (a + c) b */
        plus(&s, &s, &s);
        multiply(out, &s, b);
        break;
    case 6: /* a b - (2a + c) */
        plus(&s, &s, a);
        multiply_minus(out, a, b, &s);
        break;
    case 7: /* (a + c)^2 - 2b - c */
        plus(&d, b, b);
        plus(&d, &d, c);
        square_minus(out, &s, &d);
        break;
    }
}

/* Of arrays [n][N], n a multiple of LANES. */
void operate_all(int operation, uint64_t *out, const uint64_t *a, const uint64_t *b, const uint64_t *c, size_t n) {
    element_t in[3], result;
    for (size_t i = 0; i < n * N; i += LANES * N) {
        load(&in[0], a + i);
        load(&in[1], b + i);
        load(&in[2], c + i);
        operate(operation, &result, &in[0], &in[1], &in[2]);
        store(out + i, &result);
    }
}
#if defined(__clang__) && !defined(LIMBS52)
#pragma clang attribute pop
#endif
