/* The VDAF kernels without Python, for sanitizers, emulators and valgrind.  With SECAGG_CT_VALGRIND defined,
 * measurements, shares, proofs, seeds and randomness are undefined for valgrind while the kernels run, so that it
 * reports each branch or index that depends on them; not so for expand, whose time tells of rejected samples by
 * design. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa.h"
#include "secagg.h"
#include "vdaf/vdaf.h"

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, size) VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) VALGRIND_MAKE_MEM_DEFINED(p, size)
#else
#define SECRET(p, size) ((void)(p), (void)(size))
#define PUBLIC(p, size) ((void)(p), (void)(size))
#endif

/* Two reports of a circuit with calls that fill p / 2, and a last chunk with padding. */
enum { REPORTS = 2, LENGTH = 17, CHUNK = 3, CALLS = 6, P = 8, ARITY = 2 * CHUNK };
enum { MUL_PROOF = ARITY + 2 * P - 1, POLY_PROOF = 1 + 3 * (P - 1) + 1 };

static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

/* --- TurboSHAKE128 ----------------------------------------------------------------------------------------------- */

/* Every width gives what one lane gives, on messages that begin and end anywhere. */
static void test_widths_agree(void) {
    const struct turboshake *kernel = secagg_isa_row(SECAGG_TURBOSHAKE)->turboshake;
    enum { MESSAGES = 13, MOST = 700, OUT = 400 };
    static uint8_t data[MESSAGES][MOST], wide[MESSAGES][OUT], narrow[MESSAGES][OUT];
    for (size_t r = 0; r < MESSAGES; r++)
        for (size_t i = 0; i < MOST; i++)
            data[r][i] = (uint8_t)((r * MOST + i) * 131 >> 3);
    for (size_t length = 0; length <= MOST; length += 37) {
        struct part parts[2] = {{data[0], 5, 0}, {data[0], length, MOST}};
        struct messages messages = {parts, 2};
        SECRET(data, sizeof data);
        turboshake_batch(kernel, wide[0], OUT, OUT - length % 200, &messages, MESSAGES);
        for (size_t r = 0; r < MESSAGES; r++)
            secagg_turboshake_portable.run(narrow[r], OUT, OUT - length % 200, &messages, r);
        PUBLIC(data, sizeof data);
        PUBLIC(wide, sizeof wide);
        PUBLIC(narrow, sizeof narrow);
        check(memcmp(wide, narrow, sizeof wide) == 0, "all widths agree");
    }
}

/* --- Proofs ------------------------------------------------------------------------------------------------------ */

/* Rows of `n` elements of one field. */
struct batch {
    uint64_t *at;
    size_t words, size;
};

static size_t words_of(const struct vdaf_field *field) { return field == &secagg_field64 ? 1 : 2; }

static struct batch allocate(const struct vdaf_field *field, size_t n) {
    struct batch a = {calloc(REPORTS * n * words_of(field), sizeof *a.at), n * words_of(field), 0};
    a.size = REPORTS * a.words * sizeof *a.at;
    if (a.at == NULL)
        exit(2);
    return a;
}

/* Pseudo-random elements, from the kernels themselves. */
static struct batch sample(const struct vdaf_field *field, size_t n, uint8_t seed) {
    struct batch a = allocate(field, n);
    uint8_t seeds[REPORTS][2] = {{seed, 0}, {seed, 1}};
    struct part part = {seeds[0], 2, 2};
    struct messages messages = {&part, 1};
    const struct turboshake *kernel = secagg_isa_row(SECAGG_TURBOSHAKE)->turboshake;
    check(field->expand((struct rows){a.at, a.words}, n, &messages, kernel, REPORTS) == 0, "there is memory");
    SECRET(a.at, a.size);
    return a;
}

static struct rows out(struct batch a) { return (struct rows){a.at, a.words}; }

static struct const_rows in(struct batch a) { return (struct const_rows){a.at, a.words}; }

/* All of each row but its first element. */
static struct rows out_after_v(const struct vdaf_field *field, struct batch a) {
    return (struct rows){a.at + words_of(field), a.words};
}

/* measurement and proof become the Leader's shares, what is returned the Helper's. */
static struct batch split(const struct vdaf_field *field, struct batch leader, size_t n, uint8_t seed) {
    struct batch helper = sample(field, n, seed);
    field->subtract(out(leader), in(leader), in(helper), n, REPORTS);
    return helper;
}

static void one_half(const struct vdaf_field *field, uint64_t *halves) {
    const uint64_t one_then_zero[4] = {1};
    check(field->inv_ntt((struct rows){halves, 0}, (struct const_rows){one_then_zero, 0}, 2, 1) == 0,
          "there is memory");
}

/* What the two Aggregators compute. */
struct halves {
    struct batch verifier[2], outputs[2];
};

static struct halves allocate_halves(const struct vdaf_field *field, size_t arity) {
    struct halves h;
    for (int k = 0; k < 2; k++) {
        h.verifier[k] = allocate(field, arity + 2);
        h.outputs[k] = allocate(field, CALLS);
    }
    return h;
}

/* The sum of the verifiers, v of each being the sum of its outputs. */
static struct const_rows combine(const struct vdaf_field *field, struct halves h, size_t arity) {
    for (int k = 0; k < 2; k++)
        field->sums(out(h.verifier[k]), in(h.outputs[k]), CALLS, REPORTS);
    field->add(out(h.verifier[0]), in(h.verifier[0]), in(h.verifier[1]), arity + 2, REPORTS);
    return in(h.verifier[0]);
}

static void free_all(const struct batch *batches, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(batches[i].at);
}

/* Proves, splits, queries both shares, decides on their sum: clears ok where a measurement is not made of bits. */
static void run_mul(const struct vdaf_field *field, struct batch meas, int monomial, int powers_run_on, uint8_t *ok) {
    const struct mul_gadget g = {{CALLS, 2, monomial}, LENGTH, CHUNK, powers_run_on};
    const uint64_t one[2] = {1, 0};
    uint64_t half[4];
    one_half(field, half);
    struct batch rand = sample(field, ARITY, 1), joint = sample(field, CALLS, 2), t = sample(field, 1, 3);
    struct batch proof[2] = {allocate(field, MUL_PROOF)}, share[2] = {meas};
    struct halves h = allocate_halves(field, ARITY);
    check(field->mul_prove(out(proof[0]), in(meas), in(rand), in(joint), one, &g, REPORTS) == 0, "there is memory");
    share[1] = split(field, meas, LENGTH, 4);
    proof[1] = split(field, proof[0], MUL_PROOF, 5);
    for (int k = 0; k < 2; k++)
        check(field->mul_query(out_after_v(field, h.verifier[k]), out(h.outputs[k]), ok, in(share[k]), in(proof[k]),
                               in(t), in(joint), half, &g, REPORTS) == 0,
              "there is memory");
    field->mul_decide(ok, combine(field, h, ARITY), CHUNK, REPORTS);
    const struct batch used[] = {rand, joint, t, proof[0], proof[1], share[1]};
    free_all(used, sizeof used / sizeof *used);
    free_all(h.verifier, 2);
    free_all(h.outputs, 2);
}

/* The same of x (x - 1) (x - 2) at each of the first CALLS elements. */
static void run_poly(const struct vdaf_field *field, struct batch meas, int monomial, uint8_t *ok) {
    const struct gadget g = {CALLS, 3, monomial};
    const uint64_t zero[2] = {0}, three[2] = {3};
    uint64_t poly[8] = {0};
    size_t words = words_of(field);
    poly[words] = 2;
    field->subtract((struct rows){poly + 2 * words, 0}, (struct const_rows){zero, 0}, (struct const_rows){three, 0}, 1,
                    1);
    poly[3 * words] = 1;
    struct batch rand = sample(field, 1, 1), t = sample(field, 1, 3), proof[2] = {allocate(field, POLY_PROOF)};
    struct batch share[2] = {meas};
    struct halves h = allocate_halves(field, 1);
    check(field->poly_prove(out(proof[0]), in(meas), in(rand), poly, &g, REPORTS) == 0, "there is memory");
    share[1] = split(field, meas, LENGTH, 4);
    proof[1] = split(field, proof[0], POLY_PROOF, 5);
    for (int k = 0; k < 2; k++)
        check(field->poly_query(out_after_v(field, h.verifier[k]), out(h.outputs[k]), ok, in(share[k]), in(proof[k]),
                                in(t), &g, REPORTS) == 0,
              "there is memory");
    field->poly_decide(ok, combine(field, h, 1), poly, 3, REPORTS);
    const struct batch used[] = {rand, t, proof[0], proof[1], share[1]};
    free_all(used, sizeof used / sizeof *used);
    free_all(h.verifier, 2);
    free_all(h.outputs, 2);
}

/* A one-hot vector that begins with a range-checked integer; spoilt, an element of the second is not 0, 1 or 2. */
static struct batch measurements(const struct vdaf_field *field, int spoilt) {
    uint64_t index[REPORTS] = {5, 16}, values[REPORTS * 2] = {77, 0, 77, 0}, last_weight[2] = {100 - 63, 0};
    struct batch meas = allocate(field, LENGTH), bits = allocate(field, 7);
    SECRET(index, sizeof index);
    SECRET(values, sizeof values);
    field->encode_one_hot(out(meas), index, LENGTH, REPORTS);
    field->encode_range(out(bits), (struct const_rows){values, 2}, 1, 7, last_weight, REPORTS);
    for (size_t r = 0; r < REPORTS; r++)
        memcpy(meas.at + r * meas.words, bits.at + r * bits.words, bits.words * sizeof *bits.at);
    meas.at[meas.words] += 3 * (uint64_t)spoilt;
    free(bits.at);
    return meas;
}

static void test_proofs(const struct vdaf_field *field) {
    for (int variant = 0; variant < 12; variant++) {
        int spoilt = variant & 1, monomial = variant >> 1 & 1;
        uint8_t ok[REPORTS] = {1, 1};
        struct batch meas = measurements(field, spoilt);
        field->check(ok, in(meas), LENGTH, REPORTS);
        if (variant < 8)
            run_mul(field, meas, monomial, variant >> 2, ok);
        else
            run_poly(field, meas, monomial, ok);
        PUBLIC(ok, sizeof ok);
        check(ok[0] == 1, "a good report is accepted");
        check(ok[1] == !spoilt, "a bad report alone is rejected");
        free(meas.at);
    }
}

static void test_transforms(const struct vdaf_field *field) {
    struct batch a = sample(field, P, 1), b = allocate(field, P), c = allocate(field, P), value = allocate(field, 2);
    struct const_rows t = in(sample(field, 1, 2));
    check(field->ntt(out(b), in(a), P, 0, REPORTS) == 0 && field->inv_ntt(out(c), in(b), P, REPORTS) == 0 &&
              field->lagrange(out(a), t, P, REPORTS) == 0,
          "there is memory");
    field->dot(out(value), in(b), in(a), 1, P, REPORTS);
    field->multiply(out(c), in(c), in(b), P, REPORTS);
    free((void *)t.at);
    const struct batch used[] = {a, b, c, value};
    free_all(used, 4);
}

int main(void) {
    const char *isa;
    for (size_t i = 0; (isa = secagg_isa_available(i)) != NULL; i++) {
        secagg_isa_use(isa);
        check(secagg_selftest() == 0, "TurboSHAKE128's known answer");
        test_widths_agree();
    }
    test_proofs(&secagg_field64);
    test_proofs(&secagg_field128);
    test_transforms(&secagg_field64);
    test_transforms(&secagg_field128);
    if (failures == 0)
        puts("test_vdaf: ok");
    return failures != 0;
}
