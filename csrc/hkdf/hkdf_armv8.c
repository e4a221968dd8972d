/* HKDF with the SHA-256 instructions of ARMv8's cryptographic extension, which work on one key at a time. */
#ifdef __aarch64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sha2"))), apply_to = function)
#else
#pragma GCC target("+crypto")
#endif
#include "hkdf.h"

typedef uint32_t vec_t __attribute__((vector_size(4), may_alias));

#define COMPRESS
#include "hkdf.inc"

/* Four words. */
typedef uint32_t quad_t __attribute__((vector_size(16)));

KERNEL quad_t load_quad(const void *words) {
    quad_t x;
    memcpy(&x, words, sizeof x);
    return x;
}

KERNEL void add_quad(vec_t *words, quad_t x) {
    x += load_quad(words);
    memcpy(words, &x, sizeof x);
}

/* By assembly, since each compiler wants something else before it knows the intrinsics. */
#define STEP(instruction, x, a, b) __asm__(instruction : "+w"(x) : "w"(a), "w"(b))

/* W_t .. W_(t+3), over W_(t-16) .. W_(t-13) in w. */
KERNEL quad_t next_words(quad_t w, quad_t w4, quad_t w8, quad_t w12) {
    __asm__("sha256su0 %0.4s, %1.4s" : "+w"(w) : "w"(w4));
    STEP("sha256su1 %0.4s, %1.4s, %2.4s", w, w8, w12);
    return w;
}

static void compress(vec_t *H, vec_t *W) {
    quad_t abcd = load_quad(H), efgh = load_quad(H + 4), w[4];
    for (int i = 0; i < 4; i++)
        w[i] = load_quad(W + 4 * i);
    UNROLL for (int i = 0; i < 16; i++) {
        quad_t sum = w[i % 4] + load_quad(K + 4 * i), before = abcd;
        STEP("sha256h %q0, %q1, %2.4s", abcd, efgh, sum);
        STEP("sha256h2 %q0, %q1, %2.4s", efgh, before, sum);
        if (i < 12)
            w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    add_quad(H, abcd);
    add_quad(H + 4, efgh);
}

void secagg_hkdf_armv8(const struct hkdf *hkdf) { derive_all(hkdf); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
