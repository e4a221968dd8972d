/* AES-128's ten rounds on as many counter blocks as fit in registers, xored into one: what the CPU can do when it does
 * nothing else.  bench/limit.py compiles it. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define STATES 12
#define UNROLL _Pragma("GCC unroll 12")

/* One function for registers of type `vec`; groups of STATES states. */
#define BARE(name, isa, vec, zero, set, xor, enc, last)                                                                \
    __attribute__((target(isa))) void name(uint8_t *out, size_t groups) {                                              \
        vec key[11], sum = zero();                                                                                     \
        for (int r = 0; r < 11; r++)                                                                                   \
            key[r] = set(77 * r + 1);                                                                                  \
        for (size_t g = 0; g < groups; g++) {                                                                          \
            vec x[STATES];                                                                                             \
            UNROLL for (int i = 0; i < STATES; i++) x[i] = xor(set((int)(g * STATES + (size_t)i)), key[0]);            \
            UNROLL for (int r = 1; r < 10; r++) { UNROLL for (int i = 0; i < STATES; i++) x[i] = enc(x[i], key[r]); }  \
            UNROLL for (int i = 0; i < STATES; i++) sum = xor(sum, last(x[i], key[10]));                               \
        }                                                                                                              \
        __builtin_memcpy(out, &sum, sizeof sum);                                                                       \
    }

BARE(aesni, "aes,avx", __m128i, _mm_setzero_si128, _mm_set1_epi32, _mm_xor_si128, _mm_aesenc_si128,
     _mm_aesenclast_si128)
BARE(vaes, "vaes,avx2", __m256i, _mm256_setzero_si256, _mm256_set1_epi32, _mm256_xor_si256, _mm256_aesenc_epi128,
     _mm256_aesenclast_epi128)
BARE(vaes512, "vaes,avx512f", __m512i, _mm512_setzero_si512, _mm512_set1_epi32, _mm512_xor_si512, _mm512_aesenc_epi128,
     _mm512_aesenclast_epi128)
