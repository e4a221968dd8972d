"""The part of the boundary that shares secrets; _kernels.pyx includes it."""


def scalars_check(scalars):
    cdef Items s = _read(scalars, UINT8, 2)
    cdef size_t n = s.shape[0]
    cdef int status
    _require(s.shape[1] == 32, "scalars must have shape [n, 32]")
    if n == 0:
        return True
    with nogil:
        status = secagg_scalars_check(s.u8(), n)
    return status == 0


def shamir_share(shares, secrets, coefficients, xs):
    cdef Items out = _write(shares, UINT8, 3), values = _read(secrets, UINT8, 2)
    cdef Items c = _read(coefficients, UINT8, 3), x = _read(xs, UINT32)
    cdef size_t n = out.shape[0], s = out.shape[1], t = c.shape[1] + 1
    cdef int status
    _require(n > 0 and s > 0, "there must be at least one secret and one x-coordinate")
    _require(out.shape[2] == 32 and values.shape[1] == 32 and c.shape[2] == 32, "scalars are 32 bytes")
    _require(<size_t>values.shape[0] == s and <size_t>c.shape[0] == s and <size_t>x.shape[0] == n,
             "shapes must be shares[n, s, 32], secrets[s, 32], coefficients[s, t - 1, 32], xs[n]")
    with nogil:
        status = secagg_shamir_share(out.u8(), values.u8(), s, c.u8() if t > 1 else NULL, t, x.u32(), n)
    _ok(status)


def shamir_lagrange(coefficients, xs):
    cdef Items c = _write(coefficients, UINT8, 2), x = _read(xs, UINT32)
    cdef size_t t = x.shape[0]
    cdef int status
    _require(c.shape[1] == 32 and <size_t>c.shape[0] == t and t > 0,
             "shapes must be coefficients[t, 32], xs[t], t at least 1")
    with nogil:
        status = secagg_shamir_lagrange(c.u8(), x.u32(), t)
    _ok(status)


def shamir_combine(secrets, coefficients, shares):
    cdef Items out = _write(secrets, UINT8, 2), c = _read(coefficients, UINT8, 2), y = _read(shares, UINT8, 3)
    cdef size_t t = y.shape[0], s = y.shape[1]
    cdef int status
    _require(t > 0 and s > 0, "there must be at least one share and one secret")
    _require(y.shape[2] == 32 and out.shape[1] == 32 and c.shape[1] == 32, "scalars are 32 bytes")
    _require(<size_t>c.shape[0] == t and <size_t>out.shape[0] == s,
             "shapes must be secrets[s, 32], coefficients[t, 32], shares[t, s, 32]")
    with nogil:
        status = secagg_shamir_combine(out.u8(), c.u8(), y.u8(), t, s)
    _ok(status)


def shamir_reconstruct(secrets, xs, shares):
    cdef Items out = _write(secrets, UINT8, 2), x = _read(xs, UINT32, 2), y = _read(shares, UINT8, 3)
    cdef size_t s = y.shape[0], t = y.shape[1]
    cdef int status
    _require(t > 0 and s > 0, "there must be at least one share and one secret")
    _require(y.shape[2] == 32 and out.shape[1] == 32, "scalars are 32 bytes")
    _require(<size_t>x.shape[0] == s and <size_t>x.shape[1] == t and <size_t>out.shape[0] == s,
             "shapes must be secrets[s, 32], xs[s, t], shares[s, t, 32]")
    with nogil:
        status = secagg_shamir_reconstruct(out.u8(), x.u32(), y.u8(), t, s)
    _ok(status)
