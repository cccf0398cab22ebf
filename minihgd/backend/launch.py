"""Starting the kernels of kernels.cu: which variant, how many threads, arguments in the types that C expects.

Explained in docs/17-on-the-gpu-and-on-several.md.
"""

import functools
from pathlib import Path

import cupy as cp
import numpy as np

from ..errors import ShapeError
from .precision import wide

SOURCE = Path(__file__).with_name("kernels.cu")
THREADS = 256  # of a block, as in kernels.cu
LANES = 32  # columns of a block that merges, and its threads for each of them; as in kernels.cu
BLOCKS, MOST = 1056, 1024  # of a sum down the columns: 8 on each of a large GPU's processors; for one group of columns
TYPES = {"float32": ("float", "float"), "float64": ("double", "double"), "bfloat16": ("bf16", "float")}  # T, ACC
NULL = np.intp(0)  # in place of an array that is left out
COUNT = object()  # in place of how many threads there are
int32, uint32 = np.int32, np.uint32  # CuPy passes Python's own numbers as 64 bits, whatever a kernel expects


def variants():
    """The compiler's options for every form in which the kernels are used: types, and neighbours a thread takes."""
    return [_options(name, neighbours) for name, size in (("float32", 4), ("float64", 8), ("bfloat16", 2))
            for neighbours in (1, 16 // size)]


def _options(dtype, neighbours):
    of_maps, of_sums = TYPES[dtype]
    return ("-std=c++17", f"-DTYPE={of_maps}", f"-DACCUMULATOR={of_sums}", f"-DNEIGHBOURS={neighbours}")


@functools.lru_cache
def _module(dtype, neighbours):
    return cp.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=_options(dtype, neighbours))


@functools.cache
def kernel(name, dtype, neighbours):
    """A kernel for arrays of a dtype. Raises TypeError for one that there is none for."""
    if dtype.name not in TYPES:
        raise TypeError(f"{name}: expected arrays of {', '.join(TYPES)}, found {dtype}")
    return _module(dtype.name, neighbours).get_function(name)


def neighbours(columns, *arrays):
    """How many columns a thread takes at once: 16 bytes where rows and all arrays can be cut so, else one."""
    size = arrays[0].dtype.itemsize
    whole = columns * size % 16 == 0 and all(a.data.ptr % 16 == 0 for a in arrays if a is not NULL)
    return 16 // size if whole else 1


def over_elements(name, like, columns, arrays, *arguments):
    """Start a kernel with a thread for each pack of the elements of `like`, whose rows have so many columns.

    arrays: those of the type of `like` that are read or written in packs. arguments: see `over_threads`.
    """
    V = neighbours(columns, *arrays)
    over_threads(name, like.dtype, V, like.size // V, *arguments)


def over_columns(name, x, arrays, lines, before):
    """Start a kernel that sums down the columns of x M×C: -> what each block found, partial P×`lines`·C; rows a block.

    The kernel's arguments: `before`, partial, M, C and the number of rows of a block.
    """
    (M, C), V = x.shape, neighbours(x.shape[1], *arrays)
    across = 1  # threads of a block along the columns, a power of two
    while across < min(32, C // V):
        across *= 2
    grid = -(-(C // V) // across)
    blocks = max(1, min(BLOCKS // grid, -(-M // (8 * THREADS // across)), MOST))  # at least 8 rows for a thread
    rows = -(-M // blocks)
    blocks = -(-M // rows)
    partial = cp.empty((blocks, lines * C), wide(x.dtype))
    arguments = (*before, partial, int32(M), int32(C), int32(rows))
    kernel(name, x.dtype, V)((grid, blocks), (across, THREADS // across), arguments)
    return partial, rows


def over_threads(name, dtype, V, count, *arguments):
    """Start a kernel with `count` threads, or a few more. Raises ShapeError for more than there are numbers for.

    arguments: all of the kernel's, with `COUNT` where it expects that number.
    """
    if count >= 1 << 31:
        raise ShapeError(f"{name}: found an array of {count:,} parts, expected less than 2^31 for the GPU's kernels")
    if count:
        arguments = tuple(uint32(count) if a is COUNT else a for a in arguments)
        kernel(name, dtype, V)((-(-count // THREADS),), (THREADS,), arguments)


def over_lanes(name, dtype, columns, *arguments):
    """Start a kernel with LANES threads for each of so many columns."""
    kernel(name, dtype, 1)((-(-columns // LANES),), (LANES, LANES), arguments)


def whole(x, dtype=None):
    """x, contiguous and of a dtype: itself where it is so already."""
    return cp.ascontiguousarray(x, dtype)
