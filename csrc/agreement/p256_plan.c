/* p256_plan.c: a scalar is written in signed digits of w bits, sum over j of digit[j] * 2^(w j), and its multiple of P
 * is the sum of one entry a digit from tables of c * 2^(w j) * P, c = 1 .. 2^(w-1).
 *
 * No addition meets equal or opposite points, or the point at infinity.  Of the two scalars +-s, which have the same
 * x-coordinate, take the one below 2^255, and digits in (-2^(w-1), 2^(w-1)].  Every sum below is then of one part that
 * is a non-zero multiple of some 2^(w j) and one non-zero part that is smaller: they are not +- each other as integers.
 * Nor are they mod q, for together they are below 1.7 * 2^255 < q: the highest digit times its weight is at most 2^255,
 * and what is below it at most 2/3 of that weight. */
#include "p256_plan.h"

#include <stdlib.h>

#include "secagg.h"
#include "shamir/scalar.h"

#define MAX_WIDTH 8
#define MAX_ENTRIES (1 << (MAX_WIDTH - 1))
#define MAX_WINDOWS 128
#define ENOUGH 256 /* additions that share an inversion before it weighs little */

/* How many additions deep a slot's point is. */
struct point {
    uint32_t slot, level;
};

struct builder {
    struct p256_plan *plan;
    unsigned width;
    size_t windows, d;
    int8_t *digits;  /* [d][windows]; 2^7, which width 8 has, stands as -2^7, which it has not */
    uint32_t *level; /* of each addition */
    size_t additions;
    struct point table[MAX_WINDOWS][MAX_ENTRIES + 1]; /* [j][c]; no slot where the entry is not needed */
};

static size_t windows_of(unsigned width) { return (256 + width - 1) / width; }

/* Sixths of an addition for d scalars, roughly: an entry shares its inverse with another one. */
static size_t cost(unsigned width, size_t d) { return windows_of(width) * (5 * ((size_t)1 << (width - 1)) + 6 * d); }

static unsigned best_width(size_t d) {
    unsigned best = 2;
    for (unsigned width = 3; width <= MAX_WIDTH; width++)
        if (cost(width, d) < cost(best, d))
            best = width;
    return best;
}

/* --- Digits ------------------------------------------------------------------------------------------------------ */

/* Bits at .. at + width - 1. */
static unsigned bits_of(const scalar_t *s, unsigned at, unsigned width) {
    unsigned limb = at / 64, shift = at % 64;
    uint64_t bits = s->limb[limb] >> shift;
    if (shift + width > 64 && limb + 1 < SCALAR_LIMBS)
        bits |= s->limb[limb + 1] << (64 - shift);
    return (unsigned)bits & ((1u << width) - 1);
}

static void recode(int8_t *digit, scalar_t s, unsigned width, size_t windows) {
    if (s.limb[3] >> 63)
        s = secagg_scalar_negate(&s);
    unsigned carry = 0, half = 1u << (width - 1);
    for (size_t j = 0; j < windows; j++) {
        unsigned value = bits_of(&s, (unsigned)j * width, width) + carry;
        carry = value > half;
        digit[j] = (int8_t)(value - (carry << width));
    }
}

static unsigned magnitude(int8_t digit) { return (unsigned)(digit < 0 ? -digit : digit); }

/* Whether it stands for a negative number. */
static int is_negative(const struct builder *b, int8_t digit) {
    return digit < 0 && magnitude(digit) < 1u << (b->width - 1);
}

/* 0 unless every scalar is 1 .. q - 1. */
static int recode_all(struct builder *b, const uint8_t *scalars) {
    for (size_t i = 0; i < b->d; i++) {
        scalar_t s = scalar_load(scalars + SECAGG_SCALAR_BYTES * i);
        if (scalar_exceeds(&s) || (s.limb[0] | s.limb[1] | s.limb[2] | s.limb[3]) == 0)
            return 0;
        recode(b->digits + b->windows * i, s, b->width, b->windows);
    }
    return 1;
}

/* --- Additions --------------------------------------------------------------------------------------------------- */

static uint32_t new_slot(struct builder *b) { return (uint32_t)b->plan->slots++; }

static void emit(struct builder *b, struct p256_addition addition, uint32_t level) {
    b->level[b->additions] = level;
    b->plan->additions[b->additions++] = addition;
    if (level > b->plan->levels)
        b->plan->levels = level;
}

/* log2 of the power of two that c is written from: the k of c's highest digit in the form without adjacent digits. */
static unsigned nearest_power(unsigned c) { return 30 - (unsigned)__builtin_clz(3 * c); }

static int is_power(unsigned c) { return (c & (c - 1)) == 0; }

static unsigned distance(unsigned c) {
    unsigned power = 1u << nearest_power(c);
    return c > power ? c - power : power - c;
}

/* Give a slot to the entry and to those that it is made from. */
static void need(struct builder *b, size_t j, unsigned c) {
    if (b->table[j][c].slot != P256_NONE)
        return;
    if (!is_power(c)) {
        need(b, j, 1u << nearest_power(c));
        need(b, j, distance(c));
        b->table[j][c].slot = new_slot(b);
        return;
    }
    b->table[j][c].slot = (uint32_t)(j * b->width) + (uint32_t)__builtin_ctz(c);
    if (b->table[j][c].slot >= b->plan->powers)
        b->plan->powers = b->table[j][c].slot + 1;
}

/* 2^k + r and 2^k - r take one inverse. */
static void make_entries(struct builder *b, struct point table[MAX_ENTRIES + 1]) {
    for (unsigned c = 3; c <= MAX_ENTRIES; c++) {
        unsigned power = 1u << nearest_power(c), r = distance(c);
        int below = c < power;
        if (table[c].slot == P256_NONE || is_power(c) || (!below && table[power - r].slot != P256_NONE))
            continue; /* or made with its partner below the power */
        uint32_t level = table[r].level + 1;
        struct p256_addition addition = {table[power].slot, table[r].slot, P256_NONE, P256_NONE};
        if (below && power + r <= MAX_ENTRIES && table[power + r].slot != P256_NONE) {
            addition.plus = table[power + r].slot;
            table[power + r].level = level;
        }
        *(below ? &addition.minus : &addition.plus) = table[c].slot;
        table[c].level = level;
        emit(b, addition, level);
    }
}

static void make_tables(struct builder *b) {
    for (size_t j = 0; j < MAX_WINDOWS; j++)
        for (unsigned c = 0; c <= MAX_ENTRIES; c++)
            b->table[j][c] = (struct point){P256_NONE, 0};
    for (size_t i = 0; i < b->d * b->windows; i++)
        if (b->digits[i])
            need(b, i % b->windows, magnitude(b->digits[i]));
    for (size_t j = 0; j < b->windows; j++)
        make_entries(b, b->table[j]);
}

/* A sum is known up to its sign: only x-coordinates are wanted. */
struct term {
    struct point point;
    int negative;
};

/* a := a + b, in `slot`. */
static struct term add(struct builder *b, struct term a, struct term other, uint32_t slot) {
    uint32_t level = (a.point.level > other.point.level ? a.point.level : other.point.level) + 1;
    int same = a.negative == other.negative;
    struct p256_addition addition = {a.point.slot, other.point.slot, same ? slot : P256_NONE, same ? P256_NONE : slot};
    emit(b, addition, level);
    return (struct term){{slot, level}, a.negative};
}

/* The sum of n terms, ascending: runs of `run` one after the other, the runs in a tree. */
static struct term sum(struct builder *b, const struct term *terms, size_t n, size_t run) {
    if (n == 1)
        return terms[0];
    if (n > run) {
        struct term low = sum(b, terms, n / 2, run), high = sum(b, terms + n / 2, n - n / 2, run);
        return add(b, low, high, n / 2 == 1 ? new_slot(b) : low.point.slot);
    }
    struct term total = terms[0];
    uint32_t slot = new_slot(b);
    for (size_t i = 1; i < n; i++)
        total = add(b, total, terms[i], slot);
    return total;
}

static void make_sums(struct builder *b) {
    size_t run = b->windows * b->d / ENOUGH;
    for (size_t i = 0; i < b->d; i++) {
        struct term terms[MAX_WINDOWS];
        size_t n = 0;
        for (size_t j = 0; j < b->windows; j++) {
            int8_t digit = b->digits[i * b->windows + j];
            if (digit)
                terms[n++] = (struct term){b->table[j][magnitude(digit)], is_negative(b, digit)};
        }
        b->plan->result[i] = sum(b, terms, n, run < 2 ? 2 : run).point.slot;
    }
}

/* --- One multiple each of several points ------------------------------------------------------------------------- */

#define BUCKETS (1 << (P256_POWER_WIDTH - 1))

_Static_assert(P256_POWERS == (256 + P256_POWER_WIDTH - 1) / P256_POWER_WIDTH, "a power for each window");

/* The terms of one digit, or their sum. */
struct bucket {
    struct term terms[P256_POWERS];
    size_t n;
};

/* The sum of n terms in a tree, in their slots. */
static struct term merge(struct builder *b, const struct term *terms, size_t n) {
    if (n == 1)
        return terms[0];
    struct term low = merge(b, terms, n / 2), high = merge(b, terms + n / 2, n - n / 2);
    return add(b, low, high, low.point.slot);
}

/* Sum of c * bucket[c]: the sum of the sums from each bucket on.  The latter are in the slots of the buckets, which are not
 * needed any more. */
static struct term weigh(struct builder *b, const struct bucket *buckets) {
    struct term from = {{P256_NONE, 0}, 0}, total = from;
    for (size_t c = BUCKETS; c > 0; c--) {
        if (buckets[c].n > 0) {
            struct term sum = merge(b, buckets[c].terms, buckets[c].n);
            from = from.point.slot == P256_NONE ? sum : add(b, sum, from, sum.point.slot);
        }
        if (total.point.slot == P256_NONE)
            total = from;
        else
            total = add(b, total, from, total.point.slot == from.point.slot ? new_slot(b) : total.point.slot);
    }
    return total;
}

static void make_weighted_sums(struct builder *b) {
    for (size_t i = 0; i < b->d; i++) {
        struct bucket buckets[BUCKETS + 1];
        for (size_t c = 0; c <= BUCKETS; c++)
            buckets[c].n = 0;
        for (size_t j = 0; j < P256_POWERS; j++) {
            int8_t digit = b->digits[i * P256_POWERS + j];
            struct bucket *of = &buckets[magnitude(digit)];
            of->terms[of->n++] = (struct term){{(uint32_t)(i * P256_POWERS + j), 0}, is_negative(b, digit)};
        }
        b->plan->result[i] = weigh(b, buckets).point.slot;
    }
}

/* ----------------------------------------------------------------------------------------------------------------- */

/* Sort the additions by level, keeping the order within one. */
static int sort(struct builder *b) {
    struct p256_plan *plan = b->plan;
    struct p256_addition *sorted = malloc((b->additions + 1) * sizeof *sorted);
    plan->level_end = calloc(plan->levels + 1, sizeof *plan->level_end);
    if (sorted == NULL || plan->level_end == NULL) {
        free(sorted);
        return 0;
    }
    for (size_t i = 0; i < b->additions; i++)
        plan->level_end
            [b->level[i]]++; /* levels count from 1: [l] holds where level l + 1 starts, in the end its end */
    for (size_t l = 1; l <= plan->levels; l++) {
        plan->widest = plan->level_end[l] > plan->widest ? plan->level_end[l] : plan->widest;
        plan->level_end[l] += plan->level_end[l - 1];
    }
    for (size_t i = 0; i < b->additions; i++)
        sorted[plan->level_end[b->level[i] - 1]++] = plan->additions[i];
    free(plan->additions);
    plan->additions = sorted;
    return 1;
}

/* The additions of tables that all scalars share, or of sums of one point's powers each. */
static int build(struct builder *b, const uint8_t *scalars, size_t additions, int shared) {
    struct p256_plan *plan = b->plan;
    b->digits = malloc(b->d * b->windows);
    b->level = malloc(additions * sizeof *b->level);
    plan->additions = malloc(additions * sizeof *plan->additions);
    plan->result = malloc(b->d * sizeof *plan->result);
    if (!b->digits || !b->level || !plan->additions || !plan->result || !recode_all(b, scalars))
        return 0;
    plan->slots = shared ? 256 : P256_POWERS * b->d;
    if (shared) {
        make_tables(b);
        make_sums(b);
    } else
        make_weighted_sums(b);
    return sort(b);
}

static struct p256_plan *make(const uint8_t *scalars, size_t d, unsigned width, size_t additions, int shared) {
    struct builder *b = calloc(1, sizeof *b);
    struct p256_plan *plan = calloc(1, sizeof *plan);
    int built = 0;
    if (b && plan) {
        b->plan = plan;
        b->d = d;
        b->width = width;
        b->windows = windows_of(width);
        built = build(b, scalars, additions, shared);
        free(b->digits);
        free(b->level);
    }
    free(b);
    if (built)
        return plan;
    secagg_p256_plan_free(plan);
    return NULL;
}

struct p256_plan *secagg_p256_plan_make(const uint8_t *scalars, size_t d) {
    unsigned width = best_width(d);
    return make(scalars, d, width, windows_of(width) * (d + ((size_t)1 << (width - 1))), 1);
}

struct p256_plan *secagg_p256_plan_make_sums(const uint8_t *scalars, size_t n) {
    return make(scalars, n, P256_POWER_WIDTH, P256_ADDITIONS * n, 0);
}

void secagg_p256_plan_free(struct p256_plan *plan) {
    if (plan == NULL)
        return;
    free(plan->additions);
    free(plan->level_end);
    free(plan->result);
    free(plan);
}
