"""The part of the boundary that draws noise; _kernels.pyx includes it."""

cdef uint8_t[12] ZERO_NONCE


cdef class Random:
    """Where noise takes its words from: PRG(seed) mod 2^64, or the words given."""

    cdef secagg_random source
    cdef Items held

    def __cinit__(self, seed=None, words=None):
        _require((seed is None) != (words is None), "give exactly one of seed and words")
        self.source.nonce = ZERO_NONCE
        if seed is not None:
            self.held = _read(seed, UINT8)
            _require(self.held.shape[0] == 16, "seed must be 16 bytes")
            self.source.seed = self.held.u8()
        else:
            self.held = _read(words, UINT64)
            _require(self.held.shape[0] > 0, "there must be at least one word")
            self.source.words = self.held.u64()
            self.source.count = self.held.shape[0]

    @property
    def used(self):
        return self.source.used


cdef Items _thresholds(array):
    cdef Items thresholds = _read(array, UINT64, 2)
    _require(thresholds.shape[0] > 0 and thresholds.shape[1] == 2, "thresholds must have shape [count, 2]")
    return thresholds


def noise_laplace(out, uint64_t numerator, uint64_t denominator, Random random not None):
    cdef Items o = _write(out, INT64)
    cdef size_t n = o.shape[0]
    cdef int status
    if n == 0:
        return
    with nogil:
        status = secagg_noise_laplace(o.i64(), n, numerator, denominator, &random.source)
    _ok(status)


def noise_gaussian(out, numerator, denominator, Random random not None):
    cdef Items o = _write(out, INT64)
    cdef size_t count = o.shape[0]
    cdef uint64_t[2] n, d
    cdef int status
    _require(numerator >> 128 == 0 and denominator >> 128 == 0, "numerator and denominator must be 1 .. 2**100")
    n[0], n[1] = numerator & 0xFFFFFFFFFFFFFFFF, numerator >> 64
    d[0], d[1] = denominator & 0xFFFFFFFFFFFFFFFF, denominator >> 64
    if count == 0:
        return
    with nogil:
        status = secagg_noise_gaussian(o.i64(), count, n, d, &random.source)
    _ok(status)


def noise_scan(out, thresholds, Random random not None):
    cdef Items o = _write(out, INT64), law = _thresholds(thresholds)
    cdef size_t n = o.shape[0]
    cdef int status
    if n == 0:
        return
    with nogil:
        status = secagg_noise_scan(o.i64(), n, law.u64(), law.shape[0], &random.source)
    _ok(status)


def noise_convolution(out, thresholds, counts, uint64_t factor, Random random not None):
    cdef Items o = _write(out, INT64), laws = _thresholds(thresholds), tables = _read(counts, UINT64)
    cdef size_t n = o.shape[0], t
    cdef uint64_t left = laws.shape[0]
    cdef int status
    _require(tables.shape[0] > 0, "there must be at least one table")
    for t in range(<size_t>tables.shape[0]):
        _require(tables.u64()[t] <= left, "counts must add up to the number of thresholds")
        left -= tables.u64()[t]
    _require(left == 0, "counts must add up to the number of thresholds")
    if n == 0:
        return
    with nogil:
        status = secagg_noise_convolution(o.i64(), n, laws.u64(), tables.u64(), tables.shape[0], factor, &random.source)
    _ok(status)


def noise_bitwise(out, thresholds, Random random not None):
    cdef Items o = _write(out, INT64), law = _thresholds(thresholds)
    cdef size_t n = o.shape[0]
    cdef int status
    if n == 0:
        return
    with nogil:
        status = secagg_noise_bitwise(o.i64(), n, law.u64(), law.shape[0] - 1, &random.source)
    _ok(status)


def noise_search(out, thresholds, Random random not None):
    cdef Items o = _write(out, INT64), law = _thresholds(thresholds)
    cdef size_t n = o.shape[0], done = 0
    cdef int status
    if n == 0:
        return 0
    with nogil:
        status = secagg_noise_search(o.i64(), n, &done, law.u64(), law.shape[0], &random.source)
    _ok(status)
    return done


def random_words(out, Random random not None):
    cdef Items o = _write(out, UINT64)
    cdef size_t n = o.shape[0]
    cdef int status
    if n == 0:
        return
    with nogil:
        status = secagg_random_words(o.u64(), n, &random.source)
    _ok(status)
