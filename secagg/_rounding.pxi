"""The part of the boundary that rounds; _kernels.pyx includes it."""


def quantize(out, values, drawn, double clip, double scale, uint64_t offset):
    cdef Items o = _write(out, UINT64), v = _read(values, FLOAT64), d
    cdef size_t n = o.shape[0]
    cdef const uint8_t *at = NULL
    cdef int status
    _require(<size_t>v.shape[0] == n, "there must be one value for each element")
    if drawn is not None:
        d = _read(drawn, UINT8)
        _require(<size_t>d.shape[0] == 4 * n, "there must be 4 random bytes for each value")
        at = d.u8()
    if n == 0:
        return
    with nogil:
        status = secagg_quantize(o.u64(), v.f64(), at, n, clip, scale, offset)
    _ok(status)


def round_at_random(out, values, drawn):
    cdef Items o = _write(out, INT64), v = _read(values, FLOAT64), d = _read(drawn, UINT8)
    cdef size_t n = o.shape[0]
    cdef int status
    _require(<size_t>v.shape[0] == n, "there must be one value for each element")
    _require(<size_t>d.shape[0] == 4 * n, "there must be 4 random bytes for each value")
    if n == 0:
        return
    with nogil:
        status = secagg_round_at_random(o.i64(), v.f64(), d.u8(), n)
    _ok(status)
