"""What both modules begin with, and what _vdaf.pyx takes from _kernels: one choice of instruction set holds for both."""

# Cython asks for the interpreter's number before it makes a module, and lets the first that comes have it. A
# subinterpreter would get as far as numpy and fail there, or keep the module from the main interpreter.
cdef extern from *:
    """
    static int64_t main_interpreter(PyInterpreterState *state) {
        int64_t id = PyInterpreterState_GetID(state);
        if (id > 0)
            PyErr_SetString(PyExc_ImportError,
                            "secagg works in the main interpreter only, and this is a subinterpreter");
        return id > 0 ? -1 : id;
    }
    #define PyInterpreterState_GetID main_interpreter
    """

cdef extern from "turboshake/turboshake.h" nogil:
    struct turboshake:
        pass

cdef const turboshake *turboshake_kernel() noexcept
