/* ed25519.c: verification of signatures (RFC 8032, section 5.1.7), each by itself and by OpenSSL's rules, and of keys.
 * Nobody's secret is seen here, so that time may depend on everything. */
#include <stdlib.h>
#include <string.h>

#include "ed25519.h"
#include "isa.h"
#include "kernel.h"

#define ALIGNMENT 64

enum { SIGNATURE_BYTES = 64, HASH_BYTES = 64, WORDS = 4 };

/* --- Scalars ----------------------------------------------------------------------------------------------------- */

/* The order of the base point, L = 2^252 + LOW. */
static const uint64_t L[WORDS] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

typedef struct {
    uint64_t word[WORDS];
} scalar_t;

static scalar_t load(const uint8_t in[ED25519_BYTES]) {
    scalar_t scalar;
    memcpy(&scalar, in, sizeof scalar);
    return scalar;
}

static int is_below_order(const scalar_t *a) {
    for (int i = WORDS - 1; i >= 0; i--)
        if (a->word[i] != L[i])
            return a->word[i] < L[i];
    return 0;
}

/* (r * 2^32 + more) mod L, for r below L.  Taking off q L, q being the bits from 252 on, leaves less than L, and if it is
 * negative more than -L. */
static void append(scalar_t *r, uint32_t more) {
    uint64_t *word = r->word, q = word[3] >> 28, borrow = 0;
    for (int i = WORDS - 1; i > 0; i--)
        word[i] = word[i] << 32 | word[i - 1] >> 32;
    word[0] = word[0] << 32 | more;
    word[3] &= L[3] - 1;
    uint128_t product = 0, sum = 0;
    for (int i = 0; i < WORDS; i++) {
        product += (uint128_t)q * (i < 2 ? L[i] : 0);
        uint128_t difference = (uint128_t)word[i] - (uint64_t)product - borrow;
        word[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
        product >>= 64;
    }
    for (int i = 0; borrow && i < WORDS; i++) {
        sum += (uint128_t)word[i] + L[i];
        word[i] = (uint64_t)sum;
        sum >>= 64;
    }
}

/* A little-endian number of 512 bits mod L. */
static scalar_t reduce(const uint8_t hash[HASH_BYTES]) {
    scalar_t r = {{0}};
    for (int i = HASH_BYTES - 4; i >= 0; i -= 4) {
        uint32_t more;
        memcpy(&more, hash + i, sizeof more);
        append(&r, more);
    }
    return r;
}

/* a and b in signed digits: one that is too large becomes negative, and the next one larger by 1. */
static void recode(struct ed25519_scalars *out, const scalar_t *a, const scalar_t *b) {
    for (int i = 0, carry = 0; i < ED25519_A_DIGITS; i++) {
        int digit = (int)(a->word[i / 16] >> 4 * (i % 16) & 15) + carry;
        carry = digit >= 8;
        out->a[i] = (int8_t)(digit - 16 * carry);
    }
    for (int i = 0, carry = 0; i < ED25519_B_DIGITS; i++) {
        int digit = (int)(b->word[i / 8] >> 8 * (i % 8) & 255) + carry;
        carry = digit >= 128;
        out->b[i] = (int8_t)(digit - 256 * carry);
    }
}

/* --- Points ------------------------------------------------------------------------------------------------------ */

/* The encodings of b B - a A of n keys and their scalars; valid[i] := whether a key encodes a point.  NULL if there is no
 * memory; otherwise to be freed. */
static uint8_t *combined(uint8_t *valid, const uint8_t *keys, const struct ed25519_scalars *scalars, size_t n) {
    const struct ed25519_kernel *use = secagg_isa_row(SECAGG_SIGNATURES)->signature;
    uint8_t *points = malloc(n * ED25519_BYTES);
    void *scratch = aligned_alloc(ALIGNMENT, (use->scratch_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (points && scratch) {
        use->combine(points, valid, keys, scalars, n, scratch);
    } else {
        free(points);
        points = NULL;
    }
    free(scratch);
    return points;
}

int secagg_ed25519_verify(uint8_t *valid, const uint8_t *keys, const uint8_t *signatures, const uint8_t *hashes,
                          size_t n) {
    if (n == 0)
        return 0;
    struct ed25519_scalars *scalars = malloc(n * sizeof *scalars);
    if (scalars == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        scalar_t h = reduce(hashes + HASH_BYTES * i), s = load(signatures + SIGNATURE_BYTES * i + ED25519_BYTES);
        recode(&scalars[i], &h, is_below_order(&s) ? &s : &(scalar_t){{0}});
    }
    uint8_t *points = combined(valid, keys, scalars, n);
    free(scalars);
    if (points == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *r = signatures + SIGNATURE_BYTES * i;
        scalar_t s = load(r + ED25519_BYTES);
        valid[i] &= is_below_order(&s) && memcmp(points + ED25519_BYTES * i, r, ED25519_BYTES) == 0;
    }
    free(points);
    return 0;
}

/* The encoding of the neutral element, (0, 1). */
static const uint8_t NEUTRAL[ED25519_BYTES] = {1};

static int is_neutral(const uint8_t point[ED25519_BYTES]) { return memcmp(point, NEUTRAL, ED25519_BYTES) == 0; }

/* Whether y is below p = 2^255 - 19, and not 1, as it is of the neutral element alone. */
static int may_be_key(const uint8_t key[ED25519_BYTES]) {
    scalar_t y = load(key);
    y.word[3] &= INT64_MAX;
    int below_p = y.word[3] != INT64_MAX || (y.word[2] & y.word[1]) != UINT64_MAX || y.word[0] < UINT64_MAX - 18;
    return below_p && (y.word[0] != 1 || (y.word[1] | y.word[2] | y.word[3]) != 0);
}

int secagg_ed25519_check_keys(uint8_t *valid, const uint8_t *keys, size_t n) {
    if (n == 0)
        return 0;
    struct ed25519_scalars *scalars = malloc(n * sizeof *scalars);
    if (scalars == NULL)
        return -1;
    scalar_t order, none = {{0}};
    memcpy(&order, L, sizeof order);
    for (size_t i = 0; i < n; i++)
        recode(&scalars[i], &order, &none);
    uint8_t *points = combined(valid, keys, scalars, n);
    free(scalars);
    if (points == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        valid[i] &= may_be_key(keys + ED25519_BYTES * i) && is_neutral(points + ED25519_BYTES * i);
    free(points);
    return 0;
}
