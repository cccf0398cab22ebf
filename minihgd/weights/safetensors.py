"""safetensors: an 8-byte length, a JSON header name -> {dtype, shape, data_offsets}, then the bytes of the tensors.

Read by hand in docs/12-resnet-and-its-checkpoints.md.
"""

import json

import numpy as np

from ..errors import WeightsError
from ..files import written_aside
from .elements import elements, length, mapped

HEADER = 1 << 22  # bytes of the header, at most; the 932 arrays of a ResNet-152 take about 100,000
KINDS = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bfloat16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
         "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "bool"}
DTYPES = {np.dtype(kind).newbyteorder("<"): dtype for dtype, kind in KINDS.items() if kind != "bfloat16"}


def read(path):
    """name -> array, a view of the file (bfloat16 as float32). Raises ValueError for what is broken."""
    data = mapped(path)
    size = int.from_bytes(data[:8].tobytes(), "little")
    if len(data) < 8 or not 0 < size <= min(HEADER, len(data) - 8):
        raise ValueError(f"its header claims {size} bytes, the file has {len(data)}")
    header, data = json.loads(data[8 : 8 + size].tobytes()), data[8 + size :]
    header.pop("__metadata__", None)
    arrays, total = {}, 0
    for name, entry in header.items():
        arrays[name] = _array(name, entry, data)
        total += entry["data_offsets"][1] - entry["data_offsets"][0]
        if total > len(data):
            raise ValueError(f"{name} claims bytes that belong to another array")
    return arrays


def _array(name, entry, data):
    if not (isinstance(entry, dict) and entry.keys() >= {"dtype", "shape", "data_offsets"}):
        raise ValueError(f"{name} lacks a dtype, a shape or offsets")
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in KINDS:
        raise ValueError(f"{name} has dtype {dtype!r:.20}, expected one of {', '.join(KINDS)}")
    if not all(type(n) is int and n >= 0 for n in (begin, end, *shape)) or len(shape) > 32:
        raise ValueError(f"{name} has shape {shape!r:.60} and offsets {begin!r:.20}, {end!r:.20}")
    if not begin <= end <= len(data) or end - begin != length(KINDS[dtype], *shape):
        raise ValueError(f"{name} claims bytes {begin} to {end} for shape {shape}")
    return elements(data[begin:end], KINDS[dtype]).reshape(shape)


def write(path, arrays):
    """Write name -> array; the file is whole or not there. Raises WeightsError for a dtype that the format lacks."""
    header, begin = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        dtype = DTYPES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise WeightsError(f"{path}: {name}: safetensors has no {array.dtype}; expected one of {', '.join(KINDS)}")
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors begin at a multiple of 8
    with written_aside(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
