"""Matrix products by the BLAS that SciPy brings, through its C interface.

`scipy.linalg.blas` calls the same routines but holds the interpreter's lock, so that no other thread could compute
meanwhile; ctypes lets go of it. BLAS computes in the thread that calls it, from the import of this module on and for
whoever else uses SciPy's BLAS in the process; threads.py spreads the work. `ONE_THREAD` says whether this BLAS could be
told so. What that is worth: docs/16-speed-on-the-cpu.md.
"""

import ctypes
from functools import lru_cache

from scipy.linalg import cython_blas

from ..errors import ShapeError


def _set_one_thread():
    """Whether the BLAS behind SciPy could be told to use the calling thread only."""
    # Names are looked up in the libraries it is linked with, too; not so on Windows, nor does Apple's BLAS have one.
    library = ctypes.CDLL(cython_blas.__file__)
    for name in ("scipy_openblas_set_num_threads", "openblas_set_num_threads", "MKL_Set_Num_Threads"):
        if hasattr(library, name):
            getattr(library, name)(ctypes.c_int(1))
            return True
    return False


ONE_THREAD = _set_one_thread()


def _routine(name):
    """A BLAS routine as a ctypes function; all arguments are pointers, as in Fortran."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    capsule = cython_blas.__pyx_capi__[name]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)


@lru_cache(maxsize=4096)
def _integer(value):
    """A pointer to 64 bits; where BLAS reads only 32, they are the first, the lower half on little-endian machines."""
    return ctypes.byref(ctypes.c_int64(value))


# routine, its 1 and its 0, bytes of an element
_KINDS = {"f": (_routine("sgemm"), ctypes.byref(ctypes.c_float(1)), ctypes.byref(ctypes.c_float(0)), 4),
          "d": (_routine("dgemm"), ctypes.byref(ctypes.c_double(1)), ctypes.byref(ctypes.c_double(0)), 8)}


def gemm(a, b, out, transpose_a=False, transpose_b=False, accumulate=False):
    """out = op(a) @ op(b), or out += with `accumulate`, in the calling thread.

    Matrices of float32 or of float64, a M×K, b K×N (or their transposes, where named), out M×N. The elements of a row
    lie side by side; rows may lie apart, as those of a slice do. Raises ShapeError for anything else.
    """
    kind = _KINDS.get(out.dtype.char) if out.dtype.isnative else None
    (m, k), (k_too, n) = a.shape[:: -1 if transpose_a else 1], b.shape[:: -1 if transpose_b else 1]
    if kind is None or a.dtype != out.dtype or b.dtype != out.dtype or k != k_too or out.shape != (m, n):
        raise ShapeError("matmul: expected M×K times K×N into M×N, all float32 or all float64; found "
                         + ", ".join(f"{x.shape} {x.dtype}" for x in (a, b, out)))
    if m == 0 or n == 0 or k == 0:
        if not accumulate:
            out[...] = 0
        return
    routine, one, zero, size = kind
    # BLAS counts columns first: what it sees in our rows is the transposed matrix. So out^T = op(b)^T op(a)^T.
    routine(b"T" if transpose_b else b"N", b"T" if transpose_a else b"N", _integer(n), _integer(m), _integer(k),
            one, _address(b), _pitch(b, size), _address(a), _pitch(a, size),
            one if accumulate else zero, _address(out), _pitch(out, size))


def _address(x):
    if x.flags.c_contiguous and x.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(x))  # several times as fast as what follows
    return x.__array_interface__["data"][0]


def _pitch(x, size):
    """Elements from one row to the next."""
    rows, columns = x.shape
    pitch = x.strides[0] // size if rows > 1 else columns
    if (columns > 1 and x.strides[1] != size) or pitch < columns:
        raise ShapeError(f"matmul: the elements of a row must lie side by side; found {x.shape} with strides "
                         f"{x.strides}")
    return _integer(pitch)
