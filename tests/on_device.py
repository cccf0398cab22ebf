"""Where tests of the device "cuda" run: on the stand-in for CuPy, and on a GPU where there is one."""

import contextlib
import importlib.util

import cuda_on_cpu
import cupy_standin
import pytest


def without_gpu():
    """Why there is no real CuPy to run on; empty where there is one."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    return "" if cupy.is_available() else "CuPy finds no GPU"


needs_compiler = pytest.mark.skipif(bool(cuda_on_cpu.missing()), reason=f"the stand-in for CuPy: "
                                    f"{cuda_on_cpu.missing()}")
needs_bfloat16 = pytest.mark.skipif(importlib.util.find_spec("ml_dtypes") is None,
                                    reason="bfloat16: ml_dtypes is not installed")
KINDS = [pytest.param("standin", marks=needs_compiler),
         pytest.param("cuda", marks=pytest.mark.skipif(bool(without_gpu()), reason=f"needs a GPU: {without_gpu()}"))]


def device(kind):
    """A context in which "cuda" is a device of that kind; of the stand-in it gives the list `waits`, else None."""
    return cupy_standin.installed() if kind == "standin" else contextlib.nullcontext()
