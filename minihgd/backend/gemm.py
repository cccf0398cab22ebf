"""Matrix products on the GPU by cuBLAS: strides, accumulation, and the precision that is asked for.

CuPy's own `@` copies transposed operands and has no say over the precision; cuBLAS's `gemmEx` takes both as arguments.
It counts columns first: what is a row-major m×n matrix here is an n×m matrix to it, so C = A B is asked for as
Cᵀ = Bᵀ Aᵀ, and a matrix whose columns lie together is one that is transposed. Explained in
docs/17-on-the-gpu-and-on-several.md.
"""

import functools

import cupy as cp
import numpy as np

from ..errors import ShapeError
from . import precision
from .precision import wide

SPLIT = 528  # tiles of 128×128 results that keep a large GPU busy: sums of smaller results are cut into parts
LEAST = 512  # terms of a sum in a part, at least
PARTS = 64  # at most
ONE, ZERO = ({np.dtype(t): np.array(value, t) for t in (np.float32, np.float64)} for value in (1, 0))
ADDRESSES = [{dtype: array.ctypes.data for dtype, array in values.items()} for values in (ZERO, ONE)]


def matmul(a, b, transpose_a=False, transpose_b=False, out=None, accumulate=False):
    """op(a) @ op(b) for matrices, or for stacks of them; into `out` or, with `accumulate`, added to it.

    a [N×]M×K, b [N×]K×N (transposed if so named) -> [N×]M×N; one of them may be a matrix for the whole stack of the
    other. `out` may be of the wider type of the two (float32 for bfloat16). Raises ShapeError where shapes or dtypes do
    not fit.
    """
    a, b = (x.swapaxes(-1, -2) if turned else x for x, turned in ((a, transpose_a), (b, transpose_b)))  # views
    stack = a.shape[:-2] if a.ndim > b.ndim else b.shape[:-2]
    if a.dtype != b.dtype or a.shape[-1] != b.shape[-2] or {a.shape[:-2], b.shape[:-2]} - {stack, ()} or len(stack) > 1:
        raise ShapeError(f"matmul: expected two matrices, two stacks as high or a matrix and a stack, of one dtype; "
                         f"found {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    shape = stack + (a.shape[-2], b.shape[-1])
    if out is None:
        out = cp.empty(shape, a.dtype)
    elif out.shape != shape or out.dtype not in (a.dtype, wide(a.dtype)):
        raise ShapeError(f"matmul: out is {out.dtype} {out.shape}, expected {a.dtype} {shape}")
    if out.size and a.shape[-1]:
        _product(a, b, out, accumulate)
    elif not accumulate:
        out[...] = 0
    return out


def _product(a, b, out, accumulate):
    """Long sums of small results in parts, so that all of the GPU has work; the parts are added up afterwards."""
    (m, n), k = out.shape[-2:], a.shape[-1]
    tiles = -(-m // 128) * -(-n // 128) * (len(out) if out.ndim > 2 else 1)
    parts = min(SPLIT // tiles, k // LEAST, PARTS)
    if out.ndim > 2 or parts < 2:
        return _gemm(a, b, out, accumulate)
    terms = k // parts  # of each part; what is left over goes into one more product
    sums = cp.empty((parts, m, n), wide(out.dtype))
    _gemm(_cut(a, parts, terms, axis=1), _cut(b, parts, terms, axis=0), sums, False)
    if terms * parts < k:
        _gemm(a[:, terms * parts :], b[terms * parts :], sums[0], True)
    if accumulate or out.dtype != sums.dtype:
        total = sums.sum(axis=0)
        out[...] = out + total if accumulate else total
    else:
        sums.sum(axis=0, out=out)
    return None


def _cut(x, parts, terms, axis):
    """A matrix as a stack of parts, each with so many of its rows or columns: a view."""
    rows, columns = x.shape
    shape = (parts, rows, terms) if axis else (parts, terms, columns)
    return cp.lib.stride_tricks.as_strided(x, shape, (terms * x.strides[axis], *x.strides))


def _gemm(a, b, out, accumulate):
    """One call of cuBLAS: a [N×]m×k, b [N×]k×n -> out [N×]m×n, whose rows are whole."""
    cublas, (m, n), k = cp.cuda.cublas, out.shape[-2:], a.shape[-1]
    a, turned_a, row_a = _layout(a)
    b, turned_b, row_b = _layout(b)
    assert n <= 1 or out.strides[-1] == out.dtype.itemsize
    row_out = max(n, out.strides[-2] // out.dtype.itemsize if m > 1 else n)
    scalars = wide(out.dtype)
    alpha, beta = ADDRESSES[1][scalars], ADDRESSES[bool(accumulate)][scalars]  # of the factors of a b and of out
    compute = cublas.CUBLAS_COMPUTE_64F if scalars == np.float64 else cublas.CUBLAS_COMPUTE_32F
    if a.dtype == np.float32 and precision.current() != "float32":
        compute = cublas.CUBLAS_COMPUTE_32F_FAST_TF32
    types = [_cuda_type(x.dtype) for x in (b, a, out)]
    first = (cp.cuda.device.get_cublas_handle(), int(turned_b), int(turned_a), n, m, k, alpha)  # 1: transposed
    if out.ndim == 2:
        cublas.gemmEx(*first, b.data.ptr, types[0], row_b, a.data.ptr, types[1], row_a, beta,
                      out.data.ptr, types[2], row_out, compute, cublas.CUBLAS_GEMM_DEFAULT)
    else:
        steps = [x.strides[0] // x.dtype.itemsize if x.ndim > 2 else 0 for x in (b, a, out)]
        cublas.gemmStridedBatchedEx(*first, b.data.ptr, types[0], row_b, steps[0],
                                    a.data.ptr, types[1], row_a, steps[1], beta,
                                    out.data.ptr, types[2], row_out, steps[2], len(out), compute,
                                    cublas.CUBLAS_GEMM_DEFAULT)


def _layout(x):
    """x itself or a copy that BLAS can read, whether its columns lie together, and elements from row to row."""
    rows, columns = x.shape[-2:]
    size = x.dtype.itemsize
    to_row, to_column = (step // size for step in x.strides[-2:])
    if (columns <= 1 or to_column == 1) and (rows <= 1 or to_row >= columns):
        return x, False, to_row if rows > 1 else max(1, columns)
    if (rows <= 1 or to_row == 1) and (columns <= 1 or to_column >= rows):
        return x, True, to_column if columns > 1 else max(1, rows)
    return cp.ascontiguousarray(x), False, columns


@functools.cache
def _cuda_type(dtype):
    runtime = cp.cuda.runtime
    return {"float32": runtime.CUDA_R_32F, "float64": runtime.CUDA_R_64F, "bfloat16": runtime.CUDA_R_16BF}[dtype.name]
