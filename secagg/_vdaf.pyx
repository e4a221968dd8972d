# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False, auto_pickle=False
"""The boundary to the VDAF kernels: shapes are checked here, then C runs without the GIL. See _vdaf.pyi."""

from libc.stdint cimport uint8_t, uint64_t

from secagg._kernels cimport turboshake, turboshake_kernel

cdef extern from "turboshake/turboshake.h" nogil:
    struct part:
        const uint8_t *at
        size_t length
        size_t stride

    struct messages:
        const part *parts
        size_t count

    void turboshake_batch(const turboshake *, uint8_t *, size_t, size_t, const messages *, size_t)

cdef extern from "vdaf/vdaf.h" nogil:
    struct rows:
        uint64_t *at
        size_t stride

    struct const_rows:
        const uint64_t *at
        size_t stride

    struct gadget:
        size_t calls
        size_t degree
        bint monomial

    struct mul_gadget:
        gadget gadget
        size_t meas_len
        size_t chunk_length
        bint powers_run_on

    struct vdaf_field:
        void (*check)(uint8_t *, const_rows, size_t, size_t) noexcept nogil
        void (*add)(rows, const_rows, const_rows, size_t, size_t) noexcept nogil
        void (*subtract)(rows, const_rows, const_rows, size_t, size_t) noexcept nogil
        void (*multiply)(rows, const_rows, const_rows, size_t, size_t) noexcept nogil
        void (*accumulate)(rows, const_rows, const uint8_t *, size_t, size_t) noexcept nogil
        void (*dot)(rows, const_rows, const_rows, size_t, size_t, size_t) noexcept nogil
        void (*sums)(rows, const_rows, size_t, size_t) noexcept nogil
        int (*ntt)(rows, const_rows, size_t, bint, size_t) noexcept nogil
        int (*inv_ntt)(rows, const_rows, size_t, size_t) noexcept nogil
        int (*lagrange)(rows, const_rows, size_t, size_t) noexcept nogil
        int (*expand)(rows, size_t, const messages *, const turboshake *, size_t) noexcept nogil
        void (*encode_one_hot)(rows, const uint64_t *, size_t, size_t) noexcept nogil
        void (*encode_range)(rows, const_rows, size_t, unsigned, const uint64_t *, size_t) noexcept nogil
        int (*mul_prove)(rows, const_rows, const_rows, const_rows, const uint64_t *, const mul_gadget *,
                         size_t) noexcept nogil
        int (*mul_query)(rows, rows, uint8_t *, const_rows, const_rows, const_rows, const_rows, const uint64_t *,
                         const mul_gadget *, size_t) noexcept nogil
        void (*mul_decide)(uint8_t *, const_rows, size_t, size_t) noexcept nogil
        int (*poly_prove)(rows, const_rows, const_rows, const uint64_t *, const gadget *, size_t) noexcept nogil
        int (*poly_query)(rows, rows, uint8_t *, const_rows, const_rows, const_rows, const gadget *,
                          size_t) noexcept nogil
        void (*poly_decide)(uint8_t *, const_rows, const uint64_t *, size_t, size_t) noexcept nogil

    const vdaf_field secagg_field64
    const vdaf_field secagg_field128

cdef enum:
    MAX_PARTS = 16
    MAX_NODES = 1 << 30  # so that no length overflows


cdef int _require(bint condition, str message) except -1:
    if not condition:
        raise ValueError(message)
    return 0


cdef int _ok(int status) except -1:
    if status:
        raise MemoryError
    return 0


include "_rows.pxi"


cdef class Field:
    """One of the two fields; all kernels hang on it."""

    cdef const vdaf_field *kernels
    cdef int words

    cdef Elements read(self, str name, object array):
        return _elements(name, array, self.words, False)

    cdef Elements write(self, str name, object array):
        return _elements(name, array, self.words, True)


cdef Field _field64 = Field(), _field128 = Field()
_field64.kernels, _field64.words = &secagg_field64, 1
_field128.kernels, _field128.words = &secagg_field128, 2


cdef Field _field(object bits):
    if bits == 128:
        return _field128
    _require(bits == 64, "field must be 64 or 128")
    return _field64


cdef size_t _power_of_2(size_t n) except 0:
    _require(n and n & (n - 1) == 0 and n <= MAX_NODES, f"the number of values must be a power of 2, not {n}")
    return n


# Vectors.


def check(field, ok, a):
    cdef Field F = _field(field)
    cdef Elements x = F.read("a", a)
    cdef Flags flags = _flags("ok", ok)
    cdef size_t n = x.n, R = x.reports
    cdef uint8_t *verdict = flags.of(R)
    cdef const_rows values = x.read(R, n)
    with nogil:
        F.kernels.check(verdict, values, n, R)


cdef enum Operation:
    ADD, SUBTRACT, MULTIPLY


cdef _elementwise(field, out, a, b, Operation operation):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), left = F.read("a", a), right = F.read("b", b)
    cdef size_t n = result.n, R = result.reports
    cdef rows z = result.write(R, n)
    cdef const_rows x = left.read(R, n, True), y = right.read(R, n, True)
    with nogil:
        if operation == ADD:
            F.kernels.add(z, x, y, n, R)
        elif operation == SUBTRACT:
            F.kernels.subtract(z, x, y, n, R)
        else:
            F.kernels.multiply(z, x, y, n, R)


def add(field, out, a, b):
    _elementwise(field, out, a, b, ADD)


def subtract(field, out, a, b):
    _elementwise(field, out, a, b, SUBTRACT)


def multiply(field, out, a, b):
    _elementwise(field, out, a, b, MULTIPLY)


def accumulate(field, acc, a, keep):
    cdef Field F = _field(field)
    cdef Elements total = F.write("acc", acc), vectors = F.read("a", a)
    cdef Flags flags = _flags("keep", keep, False)
    cdef size_t n = total.n, R = vectors.reports
    cdef rows z = total.write(1, n)
    cdef const_rows x = vectors.read(R, n)
    cdef const uint8_t *kept = flags.of(R)
    with nogil:
        F.kernels.accumulate(z, x, kept, n, R)


def dot(field, out, a, weights):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), vectors = F.read("a", a), factors = F.read("weights", weights)
    cdef size_t m = result.n, g = factors.n, R = result.reports
    cdef rows z = result.write(R, m)
    cdef const_rows x = vectors.read(R, m * g), w = factors.read(R, g, True)
    with nogil:
        F.kernels.dot(z, x, w, m, g, R)


def sums(field, out, a):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), vectors = F.read("a", a)
    cdef size_t n = vectors.n, R = result.reports
    cdef rows z = result.write(R, 1)
    cdef const_rows x = vectors.read(R, n)
    with nogil:
        F.kernels.sums(z, x, n, R)


# Polynomials.


cdef _transform(field, out, a, bint inverse, bint set_s):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), given = F.read("a", a)
    cdef size_t n = _power_of_2(result.n), R = result.reports
    cdef rows z = result.write(R, n)
    cdef const_rows x = given.read(R, n)
    cdef int status
    with nogil:
        status = F.kernels.inv_ntt(z, x, n, R) if inverse else F.kernels.ntt(z, x, n, set_s, R)
    _ok(status)


def ntt(field, out, a, bint set_s=False):
    _transform(field, out, a, False, set_s)


def inv_ntt(field, out, a):
    _transform(field, out, a, True, False)


def lagrange(field, out, t):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), points = F.read("t", t)
    cdef size_t n = _power_of_2(result.n), R = result.reports
    cdef rows z = result.write(R, n)
    cdef const_rows x = points.read(R, 1)
    cdef int status
    with nogil:
        status = F.kernels.lagrange(z, x, n, R)
    _ok(status)


# XofTurboShake128.


cdef list _parts(messages *message, part *array, object parts, size_t reports):
    """Fills `array`, at which `message` points; what it returns keeps the memory alive."""
    cdef Rows rows
    cdef list held = [_rows(f"part {i}", x, False) for i, x in enumerate(parts)]
    _require(len(held) <= MAX_PARTS, f"there may be at most {MAX_PARTS} parts")
    for i, rows in enumerate(held):
        array[<size_t>i].stride = rows.over(reports, rows.view.ndim == 1)
        array[<size_t>i].at = <const uint8_t *>rows.view.buf
        array[<size_t>i].length = rows.size
    message.parts = array
    message.count = len(held)
    return held


def turboshake128(out, parts):
    cdef Rows result = _rows("out", out, True)
    cdef messages message
    cdef part array[MAX_PARTS]
    cdef list held = _parts(&message, array, parts, result.reports)
    cdef const turboshake *kernel = turboshake_kernel()
    with nogil:
        turboshake_batch(kernel, <uint8_t *>result.view.buf, result.stride, result.size, &message, result.reports)


def expand_into_vec(field, out, parts):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out)
    cdef size_t n = result.n, R = result.reports
    cdef rows z = result.write(R, n)
    cdef messages message
    cdef part array[MAX_PARTS]
    cdef list held = _parts(&message, array, parts, R)
    cdef const turboshake *kernel = turboshake_kernel()
    cdef int status
    with nogil:
        status = F.kernels.expand(z, n, &message, kernel, R)
    _ok(status)


# Encodings.


def encode_one_hot(field, out, index):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), indices = _elements("index", index, 1, False)
    cdef size_t n = result.n, R = result.reports
    cdef rows z = result.write(R, n)
    _require(indices.n == R, f"there must be an index for each of {R} reports")
    cdef const uint64_t *at = indices.constant(R)
    with nogil:
        F.kernels.encode_one_hot(z, at, n, R)


def encode_range_checked_int(field, out, values, max_measurement):
    cdef Field F = _field(field)
    cdef Elements result = F.write("out", out), integers = F.read("values", values)
    cdef unsigned bits = max_measurement.bit_length()
    _require(max_measurement > 0 and bits < <unsigned>(64 * F.words), "max_measurement must be positive and below half the modulus")
    cdef size_t m = integers.n, R = result.reports
    cdef rows z = result.write(R, m * bits)
    cdef const_rows x = integers.read(R, m)
    last_weight = max_measurement + 1 - (1 << max_measurement.bit_length() - 1)  # Python's integers, not C's
    cdef uint64_t last[2]
    last[0], last[1] = last_weight & 0xFFFFFFFFFFFFFFFF, last_weight >> 64
    with nogil:
        F.kernels.encode_range(z, x, m, bits, last, R)


# Gadgets.


cdef size_t _p(size_t calls) except 0:
    """The draft's wire_poly_len."""
    cdef size_t p = 1
    _require(0 < calls <= MAX_NODES, "there must be at least one gadget call, and at most 2^30")
    while p < 1 + calls:
        p *= 2
    return p


cdef mul_gadget _mul_gadget(Elements meas, Elements joint_rand, size_t chunk_length, bint monomial) except *:
    cdef mul_gadget g
    _require(0 < chunk_length <= MAX_NODES, "chunk_length must be 1 .. 2^30")
    g.meas_len, g.chunk_length = meas.n, chunk_length
    g.gadget.calls, g.gadget.degree, g.gadget.monomial = (meas.n + chunk_length - 1) // chunk_length, 2, monomial
    g.powers_run_on = joint_rand.n == 1 and g.gadget.calls > 1
    return g


cdef gadget _poly_gadget(Elements meas, Elements poly, bint monomial) except *:
    cdef gadget g
    _require(2 <= poly.n <= 256, "poly must have a degree of 1 .. 255")
    _require(meas.n <= MAX_NODES // (2 * (poly.n - 1)), "the gadget polynomial may have at most 2^30 values")
    g.calls, g.degree, g.monomial = meas.n, poly.n - 1, monomial
    return g


def mul_prove(field, proof, meas, prove_rand, joint_rand, offset, size_t chunk_length, bint monomial=False):
    cdef Field F = _field(field)
    cdef Elements result = F.write("proof", proof), inputs = F.read("meas", meas)
    cdef Elements seeds = F.read("prove_rand", prove_rand), joint = F.read("joint_rand", joint_rand)
    cdef Elements shift = F.read("offset", offset)
    cdef mul_gadget g = _mul_gadget(inputs, joint, chunk_length, monomial)
    cdef size_t R = result.reports, p = _p(g.gadget.calls)
    cdef rows z = result.write(R, 2 * chunk_length + 2 * p - 1)
    cdef const_rows x = inputs.read(R, inputs.n), s = seeds.read(R, 2 * chunk_length)
    cdef const_rows j = joint.read(R, 1 if g.powers_run_on else g.gadget.calls, True)
    cdef const uint64_t *o = shift.constant(1)
    cdef int status
    with nogil:
        status = F.kernels.mul_prove(z, x, s, j, o, &g, R)
    _ok(status)


def mul_query(field, verifier, outputs, ok, meas, proof, t, joint_rand, offset, size_t chunk_length,
              bint monomial=False):
    cdef Field F = _field(field)
    cdef Elements result = F.write("verifier", verifier), values = F.write("outputs", outputs)
    cdef Elements inputs = F.read("meas", meas), proofs = F.read("proof", proof), points = F.read("t", t)
    cdef Elements joint = F.read("joint_rand", joint_rand), shift = F.read("offset", offset)
    cdef Flags flags = _flags("ok", ok)
    cdef mul_gadget g = _mul_gadget(inputs, joint, chunk_length, monomial)
    cdef size_t R = result.reports, p = _p(g.gadget.calls)
    cdef rows z = result.write(R, 2 * chunk_length + 1), y = values.write(R, g.gadget.calls)
    cdef const_rows x = inputs.read(R, inputs.n), f = proofs.read(R, 2 * chunk_length + 2 * p - 1)
    cdef const_rows at = points.read(R, 1), j = joint.read(R, 1 if g.powers_run_on else g.gadget.calls, True)
    cdef const uint64_t *o = shift.constant(1)
    cdef uint8_t *verdict = flags.of(R)
    cdef int status
    with nogil:
        status = F.kernels.mul_query(z, y, verdict, x, f, at, j, o, &g, R)
    _ok(status)


def mul_decide(field, ok, verifier):
    cdef Field F = _field(field)
    cdef Elements sums = F.read("verifier", verifier)
    cdef Flags flags = _flags("ok", ok)
    _require(sums.n >= 4 and sums.n % 2 == 0, "verifier must have 1 + 2c + 1 elements a row")
    cdef size_t R = sums.reports, c = (sums.n - 2) // 2
    cdef const_rows x = sums.read(R, sums.n)
    cdef uint8_t *verdict = flags.of(R)
    with nogil:
        F.kernels.mul_decide(verdict, x, c, R)


def poly_prove(field, proof, meas, prove_rand, poly, bint monomial=False):
    cdef Field F = _field(field)
    cdef Elements result = F.write("proof", proof), inputs = F.read("meas", meas)
    cdef Elements seeds = F.read("prove_rand", prove_rand), coefficients = F.read("poly", poly)
    cdef gadget g = _poly_gadget(inputs, coefficients, monomial)
    cdef size_t R = result.reports, p = _p(g.calls)
    cdef rows z = result.write(R, 1 + g.degree * (p - 1) + 1)
    cdef const_rows x = inputs.read(R, inputs.n), s = seeds.read(R, 1)
    cdef const uint64_t *c = coefficients.constant(g.degree + 1)
    cdef int status
    with nogil:
        status = F.kernels.poly_prove(z, x, s, c, &g, R)
    _ok(status)


def poly_query(field, verifier, outputs, ok, meas, proof, t, poly, bint monomial=False):
    cdef Field F = _field(field)
    cdef Elements result = F.write("verifier", verifier), values = F.write("outputs", outputs)
    cdef Elements inputs = F.read("meas", meas), proofs = F.read("proof", proof), points = F.read("t", t)
    cdef Elements coefficients = F.read("poly", poly)
    cdef Flags flags = _flags("ok", ok)
    cdef gadget g = _poly_gadget(inputs, coefficients, monomial)
    cdef size_t R = result.reports, p = _p(g.calls)
    cdef rows z = result.write(R, 2), y = values.write(R, g.calls)
    cdef const_rows x = inputs.read(R, inputs.n), f = proofs.read(R, 1 + g.degree * (p - 1) + 1)
    cdef const_rows at = points.read(R, 1)
    cdef uint8_t *verdict = flags.of(R)
    cdef int status
    with nogil:
        status = F.kernels.poly_query(z, y, verdict, x, f, at, &g, R)
    _ok(status)


def poly_decide(field, ok, verifier, poly):
    cdef Field F = _field(field)
    cdef Elements sums = F.read("verifier", verifier), coefficients = F.read("poly", poly)
    cdef Flags flags = _flags("ok", ok)
    cdef size_t R = sums.reports
    cdef const_rows x = sums.read(R, 3)
    _require(coefficients.n >= 2, "poly must have a degree of at least 1")
    cdef const uint64_t *c = coefficients.constant(coefficients.n)
    cdef uint8_t *verdict = flags.of(R)
    with nogil:
        F.kernels.poly_decide(verdict, x, c, coefficients.n - 1, R)

