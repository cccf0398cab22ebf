"""What `torch.save` writes, in both of its forms, as NumPy arrays that lie in the file: nothing is copied to read them.

    archive  a zip file with `data.pkl`, the program that names the tensors, and one entry `data/<key>` per storage
    stream   four pickles (a magic number, the version, the system, the program), a fifth with the keys of the
             storages, then for each key its number of elements in 8 bytes, and the elements

A storage is a run of numbers; a tensor is a view of one, so that several may share it. A program written by
hand: docs/12-resnet-and-its-checkpoints.md.
"""

import math
import zipfile

import numpy as np

from . import pickles, zips
from .elements import elements, length, mapped

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
OVERLAPPING = 1 << 26  # elements of a tensor that shows the numbers of its storage more than once, at most


def read_archive(path):
    """name -> array of an archive. Raises ValueError for what is broken or refused."""
    data = mapped(path)
    entries = zips.entries(path, len(data))
    programs = [name for name in entries if f"/{name}".endswith("/data.pkl")]
    if len(programs) != 1:
        raise ValueError(f"it has {len(programs)} entries data.pkl, expected one")
    folder = programs[0].removesuffix("data.pkl")
    order = "<"
    if f"{folder}byteorder" in entries:
        text = _entry(data, entries[f"{folder}byteorder"])[:8].tobytes()
        order = {b"little": "<", b"big": ">"}.get(text)
        if not order:
            raise ValueError(f"{folder}byteorder says {text!r}, expected little or big")
    machine = pickles.Machine()
    records = find_tensors(machine.run(pickles.Stream(_entry(data, entries[programs[0]]))))
    contents = {}
    for storage in {machine.storages[record.storage.key] for record in records.values()}:
        entry = entries.get(f"{folder}data/{storage.key}")
        if not entry or entry.file_size != length(storage.kind, storage.size):
            raise ValueError(f"{folder}data/{storage.key}: the tensors say {storage.size} elements of "
                             f"{storage.kind}, found {entry.file_size if entry else 'no'} bytes")
        contents[storage.key] = elements(_entry(data, entry), storage.kind, order)
    return {name: _view(name, contents[record.storage.key], record) for name, record in records.items()}


def _entry(data, info):
    """The bytes of an entry, a part of the file's bytes `data`."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is packed, which torch.save never does")
    return zips.content(data, info)


def read_stream(path):
    """name -> array of a stream of pickles. Raises ValueError for what is broken or refused."""
    data = mapped(path)
    stream, machine = pickles.Stream(data), pickles.Machine()
    magic, version, system = (machine.run(stream) for _ in range(3))
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError("a pickle, but not one of torch.save")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("written on a machine with the other order of bytes")
    records, keys = find_tensors(machine.run(stream)), machine.run(stream)
    places, position = {}, stream.tell()
    for key in keys if type(keys) is list else ():
        storage = machine.storages.get(key) if isinstance(key, str) else None
        if not storage or key in places:
            raise ValueError("broken pickle: a list of storages that its tensors do not name, or one of them twice")
        start = position + 8  # behind the number of elements
        if int.from_bytes(data[position:start].tobytes(), "little") != storage.size:
            raise ValueError(f"storage {key} has another number of elements than its tensors say, {storage.size}")
        position = start + length(storage.kind, storage.size)
        if position > len(data):
            raise ValueError(f"storage {key} of {storage.size} elements ends after the file")
        places[key] = slice(start, position)
    used = {record.storage.key for record in records.values()}
    if used - places.keys():
        raise ValueError(f"storage {min(used - places.keys())} is not in the file")
    contents = {key: elements(data[places[key]], machine.storages[key].kind) for key in used}
    return {name: _view(name, contents[record.storage.key], record) for name, record in records.items()}


# --- from the program's value to arrays ------------------------------------------------------------------------


def find_tensors(value):
    """name -> TensorRecord: of a state dict, or of the one inside a dictionary with an epoch and the like beside."""
    for _ in range(4):
        inner = [value[name] for name in WRAPPERS if isinstance(value, dict) and isinstance(value.get(name), dict)]
        value = next((part for part in inner if _may_hold_tensors(part)), inner[0] if inner else value)
    if not isinstance(value, dict):
        raise ValueError(f"expected a dictionary of tensors, found a {type(value).__name__}")
    tensors = {name: record for name, record in value.items() if isinstance(record, pickles.TensorRecord)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        found = ", ".join(repr(name)[:40] for name in list(value)[:8]) or "nothing"
        raise ValueError(f"expected a dictionary of named tensors, or one inside {', '.join(WRAPPERS)}; found {found}")
    return tensors


def _may_hold_tensors(part):
    return any(isinstance(value, pickles.TensorRecord) or name in WRAPPERS for name, value in part.items())


def _view(name, storage, record):
    """The array of a record: a view of its storage that cannot be written to."""
    part = storage[record.storage.start : record.storage.start + record.storage.size]
    last = record.offset + sum((n - 1) * stride for n, stride in zip(record.shape, record.strides, strict=True))
    if len(part) < record.storage.size or not (0 in record.shape or last < len(part)):
        raise ValueError(f"{name} claims more than its storage of {len(storage)} elements")
    if math.prod(record.shape) > max(len(storage), OVERLAPPING):
        raise ValueError(f"{name} claims {math.prod(record.shape)} elements of a storage of {len(storage)}")
    return np.ndarray(record.shape, part.dtype, part[record.offset :], 0,
                      [stride * part.itemsize for stride in record.strides])
