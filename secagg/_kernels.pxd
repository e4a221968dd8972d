"""What _vdaf.pyx takes from _kernels: one choice of instruction set holds for both."""

cdef extern from "turboshake/turboshake.h" nogil:
    struct turboshake:
        pass

cdef const turboshake *turboshake_kernel() noexcept
