"""Files of named arrays: `.npz` and safetensors. Nothing in them is ever executed."""

import json
import math
import struct
import zipfile

import numpy as np

from ..errors import WeightsError

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}


def read(path):
    """name -> NumPy array, as stored, of a `.npz` or `.safetensors` file.

    Raises WeightsError for a missing or broken file, or one of another kind.
    """
    path = str(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    for ending, reader in readers.items():
        if path.endswith(ending):
            try:
                return reader(path)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
                raise WeightsError(f"{path}: cannot be read as {ending} ({error})") from None
    raise WeightsError(f"{path}: expected a file ending in {' or '.join(readers)}")


def _read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_safetensors(path):
    """An 8-byte length, a JSON header name -> {dtype, shape, data_offsets}, then the bytes of the tensors."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        start = 8 + length
        size = file.seek(0, 2)
        if start > size:
            raise ValueError(f"its header claims {length} bytes, the file has {size}")
        file.seek(8)
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, "r", offset=0)
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name} has dtype {entry['dtype']}, expected one of {', '.join(DTYPES)}")
        dtype, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), entry["data_offsets"]
        if not 0 <= begin <= end <= size - start or end - begin != math.prod(entry["shape"]) * dtype.itemsize:
            raise ValueError(f"{name} claims bytes {begin} to {end} for shape {entry['shape']}")
        arrays[name] = data[start + begin : start + end].view(dtype).reshape(entry["shape"])
    return arrays
