"""The part of the boundary that draws noise; _kernels.pyx includes it."""

cdef uint8_t[12] ZERO_NONCE


cdef class Random:
    """Where noise takes its words from: PRG(seed) mod 2^64, or the words given."""
    cdef secagg_random source
    cdef const uint8_t[::1] seed
    cdef const uint64_t[::1] words

    def __cinit__(self, const uint8_t[::1] seed=None, const uint64_t[::1] words=None):
        _require((seed is None) != (words is None), "give exactly one of seed and words")
        self.source.nonce = ZERO_NONCE
        if seed is not None:
            _require(seed.shape[0] == 16, "seed must be 16 bytes")
            self.seed = seed
            self.source.seed = &seed[0]
        else:
            _require(words.shape[0] > 0, "there must be at least one word")
            self.words = words
            self.source.words = &words[0]
            self.source.count = words.shape[0]

    @property
    def used(self):
        return self.source.used


def noise_laplace(int64_t[::1] out, uint64_t numerator, uint64_t denominator, Random random not None):
    cdef int status
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_noise_laplace(&out[0], out.shape[0], numerator, denominator, &random.source)
    _ok(status)


def noise_gaussian(int64_t[::1] out, numerator, denominator, Random random not None):
    cdef uint64_t[2] n, d
    cdef int status
    _require(numerator >> 128 == 0 and denominator >> 128 == 0, "numerator and denominator must be 1 .. 2**100")
    n[0], n[1] = numerator & 0xFFFFFFFFFFFFFFFF, numerator >> 64
    d[0], d[1] = denominator & 0xFFFFFFFFFFFFFFFF, denominator >> 64
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_noise_gaussian(&out[0], out.shape[0], n, d, &random.source)
    _ok(status)


def noise_scan(int64_t[::1] out, const uint64_t[:, ::1] thresholds, Random random not None):
    cdef int status
    _require_thresholds(thresholds)
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_noise_scan(&out[0], out.shape[0], &thresholds[0, 0], thresholds.shape[0], &random.source)
    _ok(status)


def noise_bitwise(int64_t[::1] out, const uint64_t[:, ::1] thresholds, Random random not None):
    cdef int status
    _require_thresholds(thresholds)
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_noise_bitwise(&out[0], out.shape[0], &thresholds[0, 0], thresholds.shape[0] - 1, &random.source)
    _ok(status)


def noise_search(int64_t[::1] out, const uint64_t[:, ::1] thresholds, Random random not None):
    cdef size_t done = 0
    cdef int status
    _require_thresholds(thresholds)
    if out.shape[0] == 0:
        return 0
    with nogil:
        status = secagg_noise_search(&out[0], out.shape[0], &done, &thresholds[0, 0], thresholds.shape[0], &random.source)
    _ok(status)
    return done


def random_words(uint64_t[::1] out, Random random not None):
    cdef int status
    if out.shape[0] == 0:
        return
    with nogil:
        status = secagg_random_words(&out[0], out.shape[0], &random.source)
    _ok(status)


cdef int _require_thresholds(const uint64_t[:, ::1] thresholds) except -1:
    return _require(thresholds.shape[0] > 0 and thresholds.shape[1] == 2, "thresholds must have shape [count, 2]")
