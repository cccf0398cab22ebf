"""Bytes of a file as arrays: mapped, not copied, and with the kinds of numbers that NumPy lacks.

What lies in such a file: docs/12-resnet-and-its-checkpoints.md.
"""

import math
import mmap

import numpy as np

SPECIAL = {"bfloat16": 2, "bool": 1}  # bytes of an element; the other kinds are NumPy's, as "f4"


def mapped(path):
    """A file's bytes as a uint8 array, read by the system where they are used. Raises OSError, ValueError if empty."""
    with open(path, "rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def length(kind, *shape):
    """How many bytes an array of a kind ("f4", "bfloat16", ...) and a shape takes."""
    return math.prod(shape) * (SPECIAL.get(kind) or np.dtype(kind).itemsize)


def elements(content, kind, order="<"):
    """The bytes `content`, a uint8 array, little-endian (or big, ">"), as an array of one dimension and a kind.

    A view, but for bfloat16, the upper half of a float32, which becomes one, and for bool. It cannot be written to.
    """
    if kind == "bool":
        array = content != 0
    elif kind == "bfloat16":
        array = content.view(f"{order}u2").astype(np.uint32)
        array <<= 16
        array = array.view(np.float32)
    else:
        array = content.view(f"{order}{kind}")
    array.flags.writeable = False
    return array
