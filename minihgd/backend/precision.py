"""How precisely a GPU computes: float32, TF32, or maps in bfloat16.

    float32    maps and products in float32
    tf32       maps in float32; products round their factors to 10 bits of mantissa and add up in float32
    bfloat16   maps in bfloat16, 7 bits of mantissa; products add up in float32 and are rounded when they are stored

In all of them weights, their gradients and velocities, statistics and the loss are float32. What each costs and loses:
docs/17-on-the-gpu-and-on-several.md.
"""

import contextlib
import functools

import numpy as np

from ..errors import SettingError

PRECISIONS = ("float32", "tf32", "bfloat16")
_current = "float32"


def current():
    """The name of the precision that GPUs compute with now, one of PRECISIONS."""
    return _current


@contextlib.contextmanager
def computing(name):
    """A context in which GPUs compute with a precision; name: one of PRECISIONS, see `check`."""
    global _current
    before, _current = _current, name
    try:
        yield
    finally:
        _current = before


def check(name, device):
    """Raise SettingError unless a device, named "cpu" or "cuda…", can compute with a precision."""
    if name not in PRECISIONS:
        raise SettingError(f"precision: found {name!r}, expected one of {', '.join(PRECISIONS)}")
    if name != "float32" and device == "cpu":
        raise SettingError(f"precision: {name} needs a GPU; on the CPU it is float32")
    if name == "bfloat16":
        bfloat16()


def bfloat16():
    """The dtype, which comes from the package ml_dtypes. Raises SettingError where that is missing."""
    try:
        import ml_dtypes
    except ImportError:
        raise SettingError("precision: bfloat16 needs the package ml_dtypes; pip install ml_dtypes") from None
    return np.dtype(ml_dtypes.bfloat16)


@functools.cache
def wide(dtype):
    """What sums, statistics and weights are held in beside maps of a dtype: float32 for bfloat16, else the same."""
    return np.dtype(np.float32) if dtype.name == "bfloat16" else np.dtype(dtype)


def of_maps(dtype):
    """The dtype of maps for weights of a dtype: bfloat16 for float32 where that is computed with, else the same."""
    return bfloat16() if _current == "bfloat16" and dtype == np.float32 else dtype
