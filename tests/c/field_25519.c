/* field_25519.c: the operations of csrc/curve25519 on limbs as they are given, for tests/test_curve25519.py, which has
 * Python's integers beside them.  FIELD is one of FIELD_AVX2, FIELD_IFMA and FIELD_PORTABLE. */
#if defined(FIELD_AVX2)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "curve25519/field_avx2.h"
#elif defined(FIELD_IFMA)
#include "emulated_ifma.h"

#include "curve25519/field_ifma.h"
#else
#include "curve25519/field_portable.h"
#endif

#include "curve25519/powers.inc"

#include "curve25519/lanes.inc"

enum operation {
    STORE,
    PLUS,
    MINUS,
    OPPOSITE,
    MULTIPLY,
    SQUARE,
    SQUARE_PLUS,
    TWICE_SQUARE_PLUS,
    INVERT,
    POWER,
    TIMES_PLUS
};

static element_t of_limbs(const uint64_t limbs[LANES][N]) {
    element_t out;
    for (int i = 0; i < N; i++) {
        uint64_t lane[LANES];
        for (int l = 0; l < LANES; l++)
            lane[l] = limbs[l][i];
        memcpy(&out.limb[i], lane, sizeof lane);
    }
    return out;
}

static element_t result_of(int operation, const element_t *a, const element_t *b) {
    element_t out = *a;
    switch ((enum operation)operation) {
    case STORE:
        break;
    case PLUS:
        plus(&out, a, b);
        break;
    case MINUS:
        minus(&out, a, b);
        break;
    case OPPOSITE:
        opposite(&out, a);
        break;
    case MULTIPLY:
        multiply(&out, a, b);
        break;
    case SQUARE:
        square(&out, a);
        break;
    case SQUARE_PLUS:
        square_plus(&out, a, b);
        break;
    case TWICE_SQUARE_PLUS:
        twice_square_plus(&out, a, b);
        break;
    case INVERT:
        invert(&out, a);
        break;
    case POWER:
        power_252_3(&out, a);
        break;
    case TIMES_PLUS:
        times_plus(&out, a, 121665, b);
        break;
    }
    return out;
}

__attribute__((visibility("default"))) int lanes(void) { return LANES; }

/* out[i] := the result for a[i] and b[i], below p, for n groups of elements; inputs a, b [n][LANES][N]. */
__attribute__((visibility("default"))) void operate(int operation, uint8_t (*out)[LANES][ELEMENT_BYTES],
                                                    const uint64_t (*a)[LANES][N], const uint64_t (*b)[LANES][N],
                                                    size_t n) {
    for (size_t i = 0; i < n; i++) {
        element_t left = of_limbs(a[i]), right = of_limbs(b[i]), result = result_of(operation, &left, &right);
        store(out[i], &result);
    }
}

/* zero[i] := whether a[i] is 0 mod p; out[i] := what bytes[i] are loaded as; chosen[i] := a[i] or b[i]. */
__attribute__((visibility("default"))) void move(uint8_t (*zero)[LANES], uint8_t (*out)[LANES][ELEMENT_BYTES],
                                                 const uint64_t (*a)[LANES][N],
                                                 const uint8_t (*bytes)[LANES][ELEMENT_BYTES], size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from[LANES];
        for (int l = 0; l < LANES; l++)
            from[l] = bytes[i][l];
        element_t given = of_limbs(a[i]), loaded, chosen;
        compare_with_zero(zero[i], &given);
        load(&loaded, from);
        choose(&chosen, &given, &loaded, zero[i]);
        store(out[i], &chosen);
    }
}
#if defined(FIELD_AVX2) && defined(__clang__)
#pragma clang attribute pop
#endif
