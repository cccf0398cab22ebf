"""A stand-in for CuPy that needs no GPU: NumPy underneath, with what CuPy refuses refused, and its waits counted.

`installed()` puts it in CuPy's place, so that "cuda" is a device and the whole library runs through
minihgd/backend/gpu.py. It is stricter than CuPy where CuPy is silent:

- mixing with NumPy arrays and implicit conversion to them raise TypeError, as in CuPy; so do NumPy's own functions on
  its arrays, which CuPy would take over;
- indices out of range raise, where CuPy wraps them;
- what makes the host wait for the device (`.get()`, float(x), `if x`, a mask's length) is counted in `waits`;
- reductions give arrays of no axes, not numbers;
- new arrays are full of NaN until they are written.

Kernels (`RawModule`) run through cuda_on_cpu.py, which checks them and their arguments; `launches` lists them. Matrix
products by cuBLAS go through cublas_twin.py, which checks these. bfloat16 is that of ml_dtypes, where it is installed.

What it cannot show: the GPU's rounding, speed, memory.
"""

import contextlib
import os
import runpy
import sys
import types

import numpy as np
import standin_cuda
from standin_cuda import launches, waits  # names, in order: of the kernels launched, and of what made the host wait

from minihgd import backend

__all__ = ["installed", "launches", "module", "ndarray", "waits"]


class ndarray:
    """An array "on the device"."""

    __array_ufunc__ = None  # NumPy leaves operators to this class, and its functions refuse it
    __hash__ = None

    def __init__(self, host):
        self._host = host

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __len__(self):
        return len(self._host)

    def __getitem__(self, index):
        return ndarray(_view(self._host[_index(index)]))

    def __setitem__(self, index, value):
        self._host[_index(index)] = _bare(value)

    def __repr__(self):
        return f"standin({self._host!r})"

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A copy for the host; the host waits for it unless it is told not to."""
        if blocking:
            waits.append("get")
        if out is None:
            return self._host.copy()
        if not isinstance(out, np.ndarray) or (out.shape, out.dtype) != (self.shape, self.dtype):
            raise ValueError(f"out: expected a NumPy array of shape {self.shape} and {self.dtype}")
        out[...] = self._host
        return out

    def set(self, array, stream=None):
        """Takes the values of a NumPy array."""
        if not isinstance(array, np.ndarray) or (array.shape, array.dtype) != (self.shape, self.dtype):
            raise ValueError(f"expected a NumPy array of shape {self.shape} and {self.dtype}")
        self._host[...] = array

    def fill(self, value):
        self._host.fill(_bare(value))

    @property
    def data(self):
        return standin_cuda.MemoryPointer(self._host)

    def item(self):
        waits.append("item")
        return self._host.item()

    def tolist(self):
        waits.append("tolist")
        return self._host.tolist()

    def __float__(self):
        waits.append("float")
        return float(self._host)

    def __int__(self):
        waits.append("int")
        return int(self._host)

    def __bool__(self):
        waits.append("bool")
        return bool(self._host)

    @property
    def T(self):
        return ndarray(self._host.T)


ndarray.__module__ = "cupy"  # by which minihgd.backend knows CuPy's arrays


def _bare(value):
    """What NumPy is given for an argument. Raises TypeError for a NumPy array."""
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, (list, tuple)):
        return type(value)(map(_bare, value))
    return value


def _view(value):
    """NumPy's numbers as arrays of no axes."""
    return value if isinstance(value, np.ndarray) else np.asarray(value)


def _wrapped(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(_view(value))
    return type(value)(map(_wrapped, value)) if isinstance(value, (list, tuple)) else value


def _index(index):
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, ndarray) and part.dtype == bool:
            waits.append("mask")  # how long the result is must be known
    return _bare(index)


def _through(function):
    """A function of NumPy's for this module's arrays."""

    def call(*arguments, **options):
        return _wrapped(function(*map(_bare, arguments), **{key: _bare(value) for key, value in options.items()}))

    return call


def _method(name):
    def call(self, *arguments, **options):
        given = {key: _bare(value) for key, value in options.items()}
        return _wrapped(getattr(self._host, name)(*map(_bare, arguments), **given))

    return call


for _name in ("reshape", "swapaxes", "transpose", "astype", "copy", "ravel", "sum", "mean", "max", "min", "argmax",
              "any", "all", "repeat", "take", "put", "view", "squeeze"):
    setattr(ndarray, _name, _method(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    for _form in (f"__{_name}__", f"__r{_name}__"):
        setattr(ndarray, _form, _method(_form))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))
for _name in ("add", "sub", "mul", "truediv", "and", "or"):
    def _in_place(self, other, _form=f"__i{_name}__"):
        getattr(self._host, _form)(_bare(other))
        return self

    setattr(ndarray, f"__i{_name}__", _in_place)
for _name in ("shape", "strides", "dtype", "size", "ndim", "nbytes", "flags"):
    setattr(ndarray, _name, property(lambda self, _name=_name: getattr(self._host, _name)))

module = types.ModuleType("cupy", __doc__)
module.ndarray = ndarray
for _name in ("arange", "ascontiguousarray", "broadcast_to", "concatenate", "exp", "full",
              "isfinite", "kron", "log", "matmul", "maximum", "may_share_memory", "minimum", "ones", "ones_like",
              "split", "sqrt", "square", "vdot", "where", "zeros", "zeros_like"):
    setattr(module, _name, _through(getattr(np, _name)))
for _name in ("float16", "float32", "float64", "int32", "int64", "intp", "uint8", "uint16", "bool_"):
    setattr(module, _name, getattr(np, _name))
module.nan = np.nan
module.lib = types.SimpleNamespace(
    stride_tricks=types.SimpleNamespace(as_strided=_through(np.lib.stride_tricks.as_strided)))
module.is_available = lambda: True
module.cuda, module.RawModule = standin_cuda.cuda, standin_cuda.RawModule
module.get_default_memory_pool = module.get_default_pinned_memory_pool = lambda: standin_cuda.pool


def empty(shape, dtype=float):
    """NaN, or the largest or smallest of integers, until something is written."""
    host = np.empty(shape, dtype)
    host.reshape(-1).view(np.uint8)[:] = 0xFF
    return ndarray(host)


def empty_like(like, dtype=None):
    return empty(like.shape, dtype or like.dtype)


def asarray(value, dtype=None):
    """A copy of a NumPy array on the device; an array of the device itself."""
    if isinstance(value, ndarray):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    return ndarray(np.array(value, dtype))


def nonzero(x):
    """As many indices as there are: the host waits."""
    waits.append("nonzero")
    return _wrapped(np.nonzero(_bare(x)))


module.asarray, module.nonzero, module.empty, module.empty_like = asarray, nonzero, empty, empty_like


@contextlib.contextmanager
def installed():
    """While this lasts, "cuda" is the stand-in; gives the list `waits`, emptied as all such lists are."""
    before = _taken_out()
    sys.modules["cupy"] = module
    standin_cuda.forget()
    try:
        yield waits
    finally:
        _taken_out()
        for name, value in before.items():
            sys.modules[name] = value
            package, _, last = name.rpartition(".")
            if package:
                setattr(sys.modules[package], last, value)


def _taken_out():
    """CuPy and the library's modules that import it as `cp`, {name: module}; they are no longer imported."""
    cupy = sys.modules.get("cupy")
    names = [name for name, value in sys.modules.items() if cupy is not None and name.startswith("minihgd.")
             and getattr(value, "cp", None) is cupy]
    for kind in [kind for kind in backend._by_type if kind is not np.ndarray]:
        del backend._by_type[kind]
    for name in names:
        package, _, last = name.rpartition(".")
        vars(sys.modules[package]).pop(last, None)
    return {name: sys.modules.pop(name) for name in (*names, "cupy") if name in sys.modules}


if __name__ == "__main__":  # python cupy_standin.py SCRIPT ARGUMENTS...: the script, with "cuda" as a device
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    with installed():
        runpy.run_path(sys.argv[0], run_name="__main__")
