"""Files of named arrays, whatever wrote them. Nothing in them is ever executed.

Why that matters: docs/12-resnet-and-its-checkpoints.md.
"""

import os

import numpy as np

from ..errors import WeightsError
from ..files import written_aside
from . import npz, safetensors, torch_files

ARRAYS = 10_000  # in a file, at most; a ResNet-152 has 932
NAME = 500  # characters of the longest name of an array
MESSAGE = 1000  # characters of the longest message
STRANGERS = {b"version https://git-lfs": "a pointer of Git LFS in place of the file itself",
             b"<": "a page of the web in place of the file itself", b"": "an empty file"}


def read(path):
    """name -> NumPy array, as stored, of a file of `torch.save` in either form, a safetensors or an .npz file.

    The kind is told by what is in `path`. Arrays of the first three are views of the file that cannot be written to,
    read from it where they are used; the file has to stay as it is as long. bfloat16 becomes float32. In a dictionary
    of several things, as training scripts write, the state dict is found by its name. A prefix `module.` before every
    name, left by training on several GPUs, is taken off. Raises WeightsError, a ValueError, naming what was
    refused or broken, for any other file. Why a file is dangerous to open, and how it is read:
    docs/12-resnet-and-its-checkpoints.md.
    """
    path, kind = os.fspath(path), "weights"
    try:
        kind = kind_of(path)
        arrays = READERS[kind](path)
        if len(arrays) > ARRAYS:
            raise ValueError(f"it has {len(arrays)} arrays, expected at most {ARRAYS}")
        strange = [name for name in arrays if len(name) > NAME or not name.isprintable()]
        if strange:
            raise ValueError(f"an array has the name {strange[0][:NAME]!r}")
    except Exception as error:  # there is no telling in which way a broken file makes a step fail
        why = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:MESSAGE])
        raise WeightsError(f"{path}: cannot be read as {kind}: {why or type(error).__name__}") from None
    if arrays and all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays


def kind_of(path):
    """A key of READERS, told by the first bytes. Raises OSError, ValueError."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("it is not a file")
    with open(path, "rb") as file:
        head = file.read(1000)
    if head.startswith(b"PK"):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]  # the name of the first entry
        return ".npz" if first.endswith(b".npy") or head.startswith(b"PK\5\6") else "an archive of torch.save"
    if head[8:9] == b"{":  # behind a length of 8 bytes, which may begin like a pickle
        return "safetensors"
    if head.startswith(b"\x80"):
        return "a stream of torch.save"
    found = next((text for start, text in STRANGERS.items() if head.startswith(start) and (start or not head)),
                 f"a file that begins with {head[:8]!r}")
    raise ValueError(f"found {found}; expected torch.save's (.pth, .pt, .th), safetensors or .npz")


READERS = {"an archive of torch.save": torch_files.read_archive, "a stream of torch.save": torch_files.read_stream,
           "safetensors": safetensors.read, ".npz": npz.read}


def write(path, arrays):
    """Write `arrays`, name -> NumPy array, to a `path` ending in .safetensors or .npz; the file is whole or not there.

    Raises WeightsError for another ending or a dtype that safetensors lacks, OSError where it cannot be written. The
    first format: docs/12-resnet-and-its-checkpoints.md.
    """
    path = os.fspath(path)
    if path.endswith(".safetensors"):
        safetensors.write(path, arrays)
    elif path.endswith(".npz"):
        with written_aside(path) as file:
            np.savez(file, **arrays)
    else:
        raise WeightsError(f"{path}: expected a name that ends in .safetensors or .npz")
