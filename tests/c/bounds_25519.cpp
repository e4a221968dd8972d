/* bounds_25519.cpp: how large limbs become in csrc/curve25519, by intervals through its own source.  FIELD is one of
 * FIELD_AVX2, FIELD_IFMA and FIELD_PORTABLE.
 *
 * Every function takes the largest elements that its comment allows, and must make tight ones again; so no order of
 * calls makes larger ones. */
#include "intervals.hpp"

#include "kernel.h"

typedef interval<64> vec;

static vec broadcast(uint64_t a) { return vec(a); }

#if defined(FIELD_AVX2)
#define KEEP(t) (void)(t)
static vec product(const vec &a, const vec &b) { return multiplied<64, 32>(a, b); }
#include "curve25519/field_avx2.h"
static uint64_t tight_limb(int i) { return (1ull << (i % 2 ? 25 : 26)) + (1ull << 17) - 1; }
#elif defined(FIELD_IFMA)
static vec add_low(const vec &sum, const vec &a, const vec &b) {
    vec all = vec(0, multiplied<128, 52>(a, b).high >> 52 ? (1ull << 52) - 1 : multiplied<128, 52>(a, b).high);
    return sum + all;
}
static vec add_high(const vec &sum, const vec &a, const vec &b) {
    interval<128> all = multiplied<128, 52>(a, b) >> 52;
    return sum + vec(all.low, all.high);
}
#include "curve25519/field_ifma.h"
static uint64_t tight_limb(int) { return (1ull << 51) + (1ull << 15) - 1; }
#else
typedef interval<128> wide;
static wide product(const vec &a, const vec &b) { return multiplied<128, 64>(a, b); }
static vec high(const wide &a) { return vec((a >> 51).low, (a >> 51).high); }
static vec low(const wide &a) { return vec(0, a.high >> 51 ? (1ull << 51) - 1 : a.high); }
static wide operator+(const wide &a, const vec &b) { return a + wide(b.low, b.high); }
static wide &operator+=(wide &a, const vec &b) { return a = a + b; }
#include "curve25519/field_portable.h"
static uint64_t tight_limb(int) { return (1ull << 51) + (1ull << 18) - 1; }
#endif

#include "curve25519/powers.inc"

/* Either, whatever the mask. */
static void choose_by(element_t *out, const element_t *a, const element_t *b, const vec &) {
    for (int i = 0; i < N; i++) {
        const vec &x = a->limb[i], &y = b->limb[i];
        out->limb[i] = vec(x.low < y.low ? x.low : y.low, x.high > y.high ? x.high : y.high);
    }
}

#include "curve25519/edwards.inc"
#include "curve25519/montgomery.inc"

static element_t tight() {
    element_t a;
    for (int i = 0; i < N; i++)
        a.limb[i] = vec(0, tight_limb(i));
    return a;
}

static void require_tight(const element_t &a) {
    for (int i = 0; i < N; i++)
        require(is_within(a.limb[i], vec(0, tight_limb(i))), "the result is not tight");
}

/* Each operation with the largest elements that it may be given. */
static void check_field() {
    const element_t a = tight();
    element_t sum, loose, minus_sum, out;
    doing = "plus, minus and opposite";
    plus(&sum, &a, &a);
    minus(&loose, &a, &a);
    opposite(&minus_sum, &sum);
    doing = "multiply";
    const element_t *factors[] = {&a, &sum, &loose};
    for (const element_t *x : factors)
        for (const element_t *y : factors) {
            multiply(&out, x, y);
            require_tight(out);
        }
    doing = "squares";
    for (const element_t *x : factors) {
        square(&out, x);
        require_tight(out);
        square_plus(&out, x, &minus_sum);
        require_tight(out);
    }
    twice_square_plus(&out, &a, &loose);
    require_tight(out);
    doing = "times_plus";
    for (const element_t *x : factors) {
        times_plus(&out, x, (1 << 17) - 1, &a);
        require_tight(out);
    }
}

static void check_powers() {
    const element_t a = tight();
    element_t sum, out;
    plus(&sum, &a, &a);
    doing = "powers";
    invert(&out, &a);
    require_tight(out);
    power_252_3(&out, &sum);
    require_tight(out);
}

static void require_tight(const point_t &p) {
    require_tight(p.x);
    require_tight(p.y);
    require_tight(p.z);
    require_tight(p.t);
}

/* A point of tight coordinates stays one; so does one to which any entry of a table is added. */
static void check_points() {
    const element_t a = tight();
    const constants values = {a, a, a, a, a};
    point_t p = {a, a, a, a};
    element_t q[COORDINATES], opposite_q[ADDED];
    doing = "double_point";
    double_point(&p, 1);
    require_tight(p);
    doing = "add_point";
    prepare(q, &p, &values);
    for (int c = 0; c < ADDED; c++)
        opposite_q[c] = q[ORDER[1][c]];
    add_point(&p, q, 1);
    require_tight(p);
    add_point(&p, opposite_q, 1);
    require_tight(p);
    doing = "lift";
    element_t x, other, difference, sum;
    lift(&x, &other, &difference, &sum, &a, &values);
    require_tight(x);
    require_tight(other);
}

/* So does the ladder of any tight u, whichever is doubled. */
static void check_ladder() {
    const element_t a = tight();
    ladder p;
    doing = "start";
    start(&p, &a, &a, &a);
    doing = "step";
    step(&p, vec());
    require_tight(p.x2);
    require_tight(p.z2);
    require_tight(p.x3);
    require_tight(p.z3);
    require_tight(p.x1);
}

int main() {
    check_field();
    check_powers();
    check_points();
    check_ladder();
    puts("bounds_25519: passed");
}
