"""Arrays that are held for one call; _kernels.pyx includes it.

Cython's typed memory views would do, but take a third of the module and a microsecond for each argument.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.string cimport strchr


cdef enum Item:
    """An item's bytes, negative for signed ones; and the one kind that is no integer."""

    INT64 = -8
    INT8 = -1
    UINT8 = 1
    UINT32 = 4
    UINT64 = 8
    FLOAT64 = 64


cdef class Items:
    """A C-contiguous array, held until this is dropped."""

    cdef Py_buffer view
    cdef const Py_ssize_t *shape

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef inline uint8_t *u8(self) noexcept nogil:
        return <uint8_t *>self.view.buf

    cdef inline int8_t *i8(self) noexcept nogil:
        return <int8_t *>self.view.buf

    cdef inline uint32_t *u32(self) noexcept nogil:
        return <uint32_t *>self.view.buf

    cdef inline uint64_t *u64(self) noexcept nogil:
        return <uint64_t *>self.view.buf

    cdef inline int64_t *i64(self) noexcept nogil:
        return <int64_t *>self.view.buf

    cdef inline double *f64(self) noexcept nogil:
        return <double *>self.view.buf


cdef Items _held(object array, Item item, int axes, bint writable):
    cdef Items items = Items.__new__(Items)
    cdef const char *code
    cdef const char *codes = b"d" if item == FLOAT64 else b"bhilq" if item < 0 else b"BHILQ"
    cdef Py_ssize_t itemsize = 8 if item == FLOAT64 else abs(item)
    PyObject_GetBuffer(array, &items.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
    items.shape = items.view.shape
    code = items.view.format
    if code[0] in (c"@", c"=", c"<"):  # hosts are little-endian
        code += 1
    if (items.view.ndim != axes or items.view.itemsize != itemsize or code[0] == 0 or code[1] != 0
            or strchr(codes, code[0]) is NULL):
        kind = "float" if item == FLOAT64 else "int" if item < 0 else "uint"
        raise ValueError(f"an array must be {axes}-dimensional, of type {kind}{8 * itemsize}")
    return items


cdef Items _read(object array, Item item, int axes=1):
    return _held(array, item, axes, False)


cdef Items _write(object array, Item item, int axes=1):
    return _held(array, item, axes, True)
