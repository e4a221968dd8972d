"""Arrays of reports that are held for one call; _vdaf.pyx includes it."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer


cdef class Rows:
    """An array held for one call: `reports` rows of `size` bytes, `stride` bytes apart."""

    cdef Py_buffer view
    cdef str name
    cdef size_t reports, size, stride

    cdef int hold(self, str name, object array, int row_axes, bint writable) except -1:
        """An array of `row_axes` axes is one row for all reports; one axis more, and it has a row for each.

        Calling the class itself would take a microsecond for its arguments alone.
        """
        cdef int axis
        cdef Py_ssize_t expected
        PyObject_GetBuffer(array, &self.view, PyBUF_STRIDES | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        self.name = name
        _require(self.view.ndim >= row_axes, f"{name} has too few axes")
        expected = self.view.itemsize
        for axis in range(self.view.ndim - 1, -1 if self.view.ndim == row_axes else 0, -1):
            _require(self.view.shape[axis] <= 1 or self.view.strides[axis] == expected,
                     f"{name}'s rows are not contiguous")
            expected *= self.view.shape[axis]
        self.size = expected
        self.reports, self.stride = 1, 0
        if self.view.ndim > row_axes:
            self.reports = self.view.shape[0]
            if self.reports > 1:
                _require(self.view.strides[0] >= (expected if writable else 0),
                         f"{name}'s rows run backwards or overlap")
                self.stride = self.view.strides[0]
        return 0

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef size_t over(self, size_t reports, bint shared) except? 0:
        """The stride between the rows for each of so many reports."""
        if shared and self.reports == 1:
            return 0
        _require(self.reports == reports, f"{self.name} has {self.reports} rows for {reports} reports")
        return self.stride


cdef Rows _rows(str name, object array, bint writable):
    cdef Rows rows = Rows.__new__(Rows)
    rows.hold(name, array, 1, writable)
    return rows


cdef class Elements(Rows):
    """Rows of n field elements."""

    cdef size_t n

    cdef int hold(self, str name, object array, int row_axes, bint writable) except -1:
        Rows.hold(self, name, array, row_axes, writable)
        cdef const char *code = self.view.format
        if code[0] == c"=":
            code += 1
        _require(self.view.itemsize == 8 and code[0] in (c"L", c"Q") and code[1] == 0, f"{name} must be uint64")
        _require(<size_t>self.view.buf % 8 == 0 and self.stride % 8 == 0, f"{name}'s rows must be aligned to 8 bytes")
        if row_axes == 2:
            _require(self.view.shape[self.view.ndim - 1] == 2,
                     f"{name}'s last axis must be the two limbs of an element")
        self.n = self.size // (8 * row_axes)
        return 0

    cdef int need(self, size_t n) except -1:
        _require(self.n == n, f"{self.name} has {self.n} field elements a row, not {n}")
        return 0

    cdef const_rows read(self, size_t reports, size_t n, bint shared=False) except *:
        cdef const_rows result
        self.need(n)
        result.stride = self.over(reports, shared) // 8
        result.at = <const uint64_t *>self.view.buf
        return result

    cdef rows write(self, size_t reports, size_t n) except *:
        cdef rows result
        self.need(n)
        result.stride = self.over(reports, False) // 8
        result.at = <uint64_t *>self.view.buf
        return result

    cdef const uint64_t *constant(self, size_t n) except NULL:
        self.need(n)
        _require(self.reports == 1, f"{self.name} must be one row")
        return <const uint64_t *>self.view.buf


cdef Elements _elements(str name, object array, int row_axes, bint writable):
    cdef Elements elements = Elements.__new__(Elements)
    elements.hold(name, array, row_axes, writable)
    return elements


cdef class Flags(Rows):
    """One byte a report."""

    cdef int hold(self, str name, object array, int row_axes, bint writable) except -1:
        Rows.hold(self, name, array, row_axes, writable)
        _require(self.view.ndim == 1 and self.view.itemsize == 1 and (self.reports <= 1 or self.stride == 1),
                 f"{name} must be uint8[R] or bool[R]")
        return 0

    cdef uint8_t *of(self, size_t reports) except? NULL:
        self.over(reports, False)
        return <uint8_t *>self.view.buf


cdef Flags _flags(str name, object array, bint writable=True):
    cdef Flags flags = Flags.__new__(Flags)
    flags.hold(name, array, 0, writable)
    return flags
