"""The part of the boundary that agrees on keys, derives them and verifies signatures; _kernels.pyx includes it."""


def p256_lift(ys, valid, xs):
    cdef Items y = _write(ys, UINT8, 2), flags = _write(valid, UINT8), x = _read(xs, UINT8, 2)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(x.shape[1] == 32 and y.shape[1] == 32, "coordinates are 32 bytes")
    _require(<size_t>y.shape[0] == n and <size_t>flags.shape[0] == n, "shapes must be ys[n, 32], valid[n], xs[n, 32]")
    if n == 0:
        return
    with nogil:
        status = secagg_p256_lift(y.u8(), flags.u8(), x.u8(), n)
    _ok(status)


def p256_agree(agreed, valid, scalars, xs):
    cdef Items out = _write(agreed, UINT8, 3), flags = _write(valid, UINT8)
    cdef Items k = _read(scalars, UINT8, 2), x = _read(xs, UINT8, 2)
    cdef size_t n = out.shape[0], d = out.shape[1]
    cdef int status
    _require(out.shape[2] == 32 and k.shape[1] == 32 and x.shape[1] == 32, "scalars and coordinates are 32 bytes")
    _require(<size_t>k.shape[0] == d and <size_t>x.shape[0] == n and <size_t>flags.shape[0] == n,
             "shapes must be agreed[n, d, 32], valid[n], scalars[d, 32], xs[n, 32]")
    if n == 0 or d == 0:
        return
    with nogil:
        status = secagg_p256_agree(out.u8(), flags.u8(), k.u8(), d, x.u8(), n)
    _ok(status)


def p256_agree_pairs(agreed, valid, scalars, xs, scalar_of, x_of):
    cdef Items out = _write(agreed, UINT8, 2), flags = _write(valid, UINT8)
    cdef Items s = _read(scalars, UINT8, 2), x = _read(xs, UINT8, 2)
    cdef Items i = _read(scalar_of, UINT32), j = _read(x_of, UINT32)
    cdef size_t n = flags.shape[0], d = s.shape[0], k = out.shape[0]
    cdef int status
    _require(out.shape[1] == 32 and s.shape[1] == 32 and x.shape[1] == 32, "scalars and coordinates are 32 bytes")
    _require(<size_t>x.shape[0] == n and <size_t>i.shape[0] == k and <size_t>j.shape[0] == k,
             "shapes must be agreed[k, 32], valid[n], scalars[d, 32], xs[n, 32], scalar_of[k], x_of[k]")
    if k == 0:
        return
    _require(n > 0 and d > 0, "a pair has a scalar and a point")
    with nogil:
        status = secagg_p256_agree_pairs(out.u8(), flags.u8(), s.u8(), d, x.u8(), n, i.u32(), j.u32(), k)
    _ok(status)


def ed25519_verify(valid, keys, signatures, hashes):
    cdef Items flags = _write(valid, UINT8), k = _read(keys, UINT8, 2)
    cdef Items s = _read(signatures, UINT8, 2), h = _read(hashes, UINT8, 2)
    cdef size_t n = flags.shape[0]
    cdef int status
    _require(k.shape[1] == 32 and s.shape[1] == 64 and h.shape[1] == 64, "keys are 32 bytes, signatures and hashes 64")
    _require(<size_t>k.shape[0] == n and <size_t>s.shape[0] == n and <size_t>h.shape[0] == n,
             "shapes must be valid[n], keys[n, 32], signatures[n, 64], hashes[n, 64]")
    if n == 0:
        return
    with nogil:
        status = secagg_ed25519_verify(flags.u8(), k.u8(), s.u8(), h.u8(), n)
    _ok(status)


def ed25519_check_keys(valid, keys):
    cdef Items flags = _write(valid, UINT8), k = _read(keys, UINT8, 2)
    cdef size_t n = flags.shape[0]
    cdef int status
    _require(k.shape[1] == 32 and <size_t>k.shape[0] == n, "shapes must be valid[n], keys[n, 32]")
    if n == 0:
        return
    with nogil:
        status = secagg_ed25519_check_keys(flags.u8(), k.u8(), n)
    _ok(status)


def p256_exchange(agreed, valid, scalar, xs):
    cdef Items out = _write(agreed, UINT8, 2), flags = _write(valid, UINT8)
    cdef Items k = _read(scalar, UINT8), x = _read(xs, UINT8, 2)
    cdef size_t n = x.shape[0]
    cdef int status
    _require(out.shape[1] == 32 and k.shape[0] == 32 and x.shape[1] == 32, "scalars and coordinates are 32 bytes")
    _require(<size_t>out.shape[0] == n and <size_t>flags.shape[0] == n,
             "shapes must be agreed[n, 32], valid[n], scalar[32], xs[n, 32]")
    if n == 0:
        return
    with nogil:
        status = secagg_p256_exchange(out.u8(), flags.u8(), k.u8(), x.u8(), n)
    if status:
        raise MemoryError


def x25519_exchange(agreed, valid, scalars, points):
    cdef Items out = _write(agreed, UINT8, 2), flags = _write(valid, UINT8)
    cdef Items k = _read(scalars, UINT8, 2), u = _read(points, UINT8, 2)
    cdef Py_ssize_t n = out.shape[0]
    cdef int status
    _require(out.shape[1] == 32 and k.shape[1] == 32 and u.shape[1] == 32, "keys are 32 bytes")
    _require(flags.shape[0] == n and k.shape[0] in (n, 1) and u.shape[0] in (n, 1),
             "shapes must be agreed[n, 32], valid[n], scalars[n or 1, 32], points[n or 1, 32]")
    if n == 0:
        return
    with nogil:
        status = secagg_x25519_exchange(out.u8(), flags.u8(), n, k.u8(), k.shape[0], u.u8(), u.shape[0])
    _ok(status)


def hkdf_sha256(out, keys, infos):
    cdef Items o = _write(out, UINT8, 2), k = _read(keys, UINT8, 2), i = _read(infos, UINT8, 2)
    cdef size_t n = o.shape[0]
    cdef int status
    _require(<size_t>k.shape[0] == n and <size_t>i.shape[0] == n,
             "shapes must be out[n, length], keys[n, k], infos[n, i]")
    _require(1 <= o.shape[1] <= 32 and k.shape[1] <= 118 and i.shape[1] <= 118,
             "length must be 1 .. 32, a key and an info at most 118 bytes")
    if n == 0:
        return
    with nogil:
        status = secagg_hkdf_sha256(o.u8(), o.shape[1], k.u8(), k.shape[1], i.u8(), i.shape[1], n)
    _ok(status)


def hkdf_sha256_salted(out, salts, keys, infos):
    cdef Items o = _write(out, UINT8, 2), salt = _read(salts, UINT8, 2)
    cdef Items k = _read(keys, UINT8, 2), i = _read(infos, UINT8, 2)
    cdef size_t n = o.shape[0]
    cdef int status
    _require(<size_t>salt.shape[0] == n and <size_t>k.shape[0] == n and <size_t>i.shape[0] == n and salt.shape[1] == 32,
             "shapes must be out[n, length], salts[n, 32], keys[n, k], infos[n, i]")
    _require(1 <= o.shape[1] <= 32 and k.shape[1] <= 118 and i.shape[1] <= 118,
             "length must be 1 .. 32, a key and an info at most 118 bytes")
    if n == 0:
        return
    with nogil:
        status = secagg_hkdf_sha256_salted(o.u8(), o.shape[1], salt.u8(), k.u8(), k.shape[1], i.u8(), i.shape[1], n)
    _ok(status)
