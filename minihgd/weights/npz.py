""".npz files, which np.savez writes: zip files with one .npy entry per array, of plain numbers or text.

NumPy's own reader hands the header of an array to Python's parser, which a crafted one can make warn, or use gigabytes;
here it has to look as NumPy writes it. What else a file may do: docs/12-resnet-and-its-checkpoints.md.
"""

import math
import re

import numpy as np

from . import zips
from .elements import mapped

UNPACKED = 1 << 27  # bytes that the arrays of a packed file may have, beside twice those of the file
LENGTHS = {1: 2, 2: 4, 3: 4}  # version of the format -> bytes of the number that says how long the header is
HEADER = re.compile(r"\{'descr': '([<>|=][biufcSU]\d+)', 'fortran_order': (True|False), "
                    r"'shape': \(([\d, L]*)\),? *\}\s*")
LONGEST = 10_000  # bytes of a header


def read(path):
    """name -> array of the file `path`, in memory. Raises ValueError and others for what is broken."""
    data = mapped(path)
    found = zips.entries(path, UNPACKED + 2 * len(data))
    return {name.removesuffix(".npy"): _array(name, zips.content(data, info)) for name, info in found.items()}


def _array(name, content):
    start = content[:12].tobytes()
    if start[:6] != b"\x93NUMPY" or start[6] not in LENGTHS:
        raise ValueError(f"{name} is no array that NumPy wrote")
    begin = 8 + LENGTHS[start[6]]
    end = begin + int.from_bytes(start[8:begin], "little")
    header = content[begin : min(end, LONGEST)].tobytes().decode("latin-1")
    found = HEADER.fullmatch(header)
    if not found:
        raise ValueError(f"{name} has the header {header[:60]!r}, expected numbers or text, as NumPy reads them with "
                         f"allow_pickle=False")
    dtype, shape = np.dtype(found[1]), tuple(map(int, re.findall(r"\d+", found[3])))
    if math.prod(shape) * dtype.itemsize != len(content) - end:
        raise ValueError(f"{name} claims {dtype} of shape {shape}, found {len(content) - end} bytes")
    array = content[end:].view(dtype).copy()
    return array.reshape(shape[::-1]).T if found[2] == "True" else array.reshape(shape)
