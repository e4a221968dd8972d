/* vdaf.h: kernels over the fields of the VDAF draft (draft-irtf-cfrg-vdaf, sections "Finite Fields", "FLP"), for
 * batches of reports.
 *
 * A field element is little-endian words of 64 bits, one in Field64 and two in Field128, and canonical.  A batch holds
 * one vector a report, row r at at + r * stride; stride 0 means that all reports share one.  secagg/_vdaf.pyi says what
 * each function computes, in terms of these shapes; here follows only what C needs to know.
 *
 * `ok` has one byte a report, which kernels clear and never set.  Functions that return int return 0, or -1 when there
 * is no memory; others cannot fail.  None keeps state, all may run in any number of threads.  Time depends on lengths,
 * counts and strides only, with one exception: expand. */
#ifndef SECAGG_VDAF_H
#define SECAGG_VDAF_H

#include <stddef.h>
#include <stdint.h>

#include "turboshake/turboshake.h"

struct rows {
    uint64_t *at;
    size_t stride; /* in words */
};

struct const_rows {
    const uint64_t *at;
    size_t stride;
};

/* A gadget's calls in a proof. */
struct gadget {
    size_t calls, degree;
    int monomial; /* the gadget polynomial in coefficients, not in values */
};

/* ParallelSum(Mul, chunk_length), and what feeds it (see _vdaf.pyi). */
struct mul_gadget {
    struct gadget gadget;
    size_t meas_len, chunk_length;
    int powers_run_on; /* one element of joint randomness for all calls */
};

struct vdaf_field {
    void (*check)(uint8_t *ok, struct const_rows a, size_t n, size_t reports);
    void (*add)(struct rows out, struct const_rows a, struct const_rows b, size_t n, size_t reports);
    void (*subtract)(struct rows out, struct const_rows a, struct const_rows b, size_t n, size_t reports);
    void (*multiply)(struct rows out, struct const_rows a, struct const_rows b, size_t n, size_t reports);
    void (*accumulate)(struct rows acc, struct const_rows a, const uint8_t *keep, size_t n, size_t reports);
    void (*dot)(struct rows out, struct const_rows a, struct const_rows weights, size_t m, size_t g, size_t reports);
    void (*sums)(struct rows out, struct const_rows a, size_t n, size_t reports);

    int (*ntt)(struct rows out, struct const_rows a, size_t n, int set_s, size_t reports);
    int (*inv_ntt)(struct rows out, struct const_rows a, size_t n, size_t reports);
    int (*lagrange)(struct rows out, struct const_rows t, size_t n, size_t reports);

    int (*expand)(struct rows out, size_t n, const struct messages *messages, const struct turboshake *kernel,
                  size_t reports);
    void (*encode_one_hot)(struct rows out, const uint64_t *index, size_t n, size_t reports);
    void (*encode_range)(struct rows out, struct const_rows values, size_t m, unsigned bits,
                         const uint64_t *last_weight, size_t reports);

    int (*mul_prove)(struct rows proof, struct const_rows meas, struct const_rows prove_rand,
                     struct const_rows joint_rand, const uint64_t *offset, const struct mul_gadget *g, size_t reports);
    int (*mul_query)(struct rows verifier, struct rows outputs, uint8_t *ok, struct const_rows meas,
                     struct const_rows proof, struct const_rows t, struct const_rows joint_rand, const uint64_t *offset,
                     const struct mul_gadget *g, size_t reports);
    void (*mul_decide)(uint8_t *ok, struct const_rows verifier, size_t chunk_length, size_t reports);
    int (*poly_prove)(struct rows proof, struct const_rows meas, struct const_rows prove_rand, const uint64_t *poly,
                      const struct gadget *g, size_t reports);
    int (*poly_query)(struct rows verifier, struct rows outputs, uint8_t *ok, struct const_rows meas,
                      struct const_rows proof, struct const_rows t, const struct gadget *g, size_t reports);
    void (*poly_decide)(uint8_t *ok, struct const_rows verifier, const uint64_t *poly, size_t degree, size_t reports);
};

/* The kernels of a file that includes field.inc, ntt.inc and the gadgets, in this order. */
#define VDAF_FIELD_KERNELS                                                                                             \
    {field_check,        field_add,       field_subtract,  field_multiply,   field_accumulate, field_dot,              \
     field_sums,         field_ntt,       field_inv_ntt,   field_lagrange,   field_expand,     field_encode_one_hot,   \
     field_encode_range, field_mul_prove, field_mul_query, field_mul_decide, field_poly_prove, field_poly_query,       \
     field_poly_decide}

extern const struct vdaf_field secagg_field64, secagg_field128;

#endif
