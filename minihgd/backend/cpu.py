"""The primitives on NumPy arrays.

Matrix products go to one BLAS, SciPy's, whose `gemm` can accumulate; statistics and row-wise arithmetic work on
blocks of rows that stay in the cache.
"""

import numpy as np
from scipy.linalg import blas

from ..errors import ShapeError

xp = np
BLOCK = 1 << 16  # elements of a block of rows: 256 KB of float32, a fraction of an L2 cache
_GEMM = {"f": blas.sgemm, "d": blas.dgemm}


def matmul(a, b, transpose_a=False, transpose_b=False, out=None, accumulate=False):
    """op(a) @ op(b) for matrices, or for stacks of them; into `out` or, with `accumulate`, added to it.

    a ...×M×K, b ...×K×N (transposed if so named) -> ...×M×N; `a` may be one matrix for a whole stack b.
    `out` must be C-contiguous and of the result's dtype.
    """
    if a.dtype != b.dtype or a.dtype.char not in _GEMM:
        raise ShapeError(f"matmul: expected two arrays of float32 or two of float64, found {a.dtype} and {b.dtype}")
    m, n = a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]
    if out is None:
        out = np.empty(b.shape[:-2] + (m, n), a.dtype)
    if b.ndim == 3:
        for i in range(len(b)):
            matmul(a if a.ndim == 2 else a[i], b[i], transpose_a, transpose_b, out[i], accumulate)
        return out
    if a.size == 0 or b.size == 0:
        out[...] = out if accumulate else 0
        return out
    # BLAS stores columns first, so its view of our row-major matrices is their transposes: out^T = op(b)^T op(a)^T.
    result = _GEMM[a.dtype.char](1.0, b.T, a.T, beta=float(accumulate), c=out.T,
                                 trans_a=transpose_b, trans_b=transpose_a, overwrite_c=True)
    if not np.may_share_memory(result, out):
        raise ValueError("matmul: out must be C-contiguous and of the dtype of a and b")
    return out


def _blocks(rows, columns):
    """Slices of rows, a block each."""
    size = max(1, BLOCK // max(1, columns))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def column_sums(x):
    """x M×C -> C, summed down the columns. Partial sums per block keep float32's rounding small."""
    return np.add.reduce([np.add.reduce(x[rows], axis=0) for rows in _blocks(*x.shape)], axis=0)


def column_dots(x, y):
    """x M×C, y M×C -> C, the sum of x·y down the columns."""
    return np.add.reduce([np.add.reduce(x[rows] * y[rows], axis=0) for rows in _blocks(*x.shape)], axis=0)


def column_moments(x):
    """x M×C -> mean C, variance C (divided by M), in one pass.

    The sums are taken of x - s, where s is the mean of the first rows: a value among those of its column, so that
    the subtraction in E[(x-s)²] - E[x-s]² cancels little.
    """
    s = x[:32].mean(axis=0)
    sums, squares = [], []
    for rows in _blocks(*x.shape):
        d = x[rows] - s
        sums.append(np.add.reduce(d, axis=0))
        squares.append(np.add.reduce(np.square(d, out=d), axis=0))
    mean = np.add.reduce(sums, axis=0) / len(x)
    variance = np.add.reduce(squares, axis=0) / len(x) - mean * mean
    return s + mean, np.maximum(variance, 0)


def scale_shift(x, scale, shift):
    """x M×C, scale C, shift C -> x · scale + shift."""
    y = np.empty_like(x)
    for rows in _blocks(*x.shape):
        np.multiply(x[rows], scale, out=y[rows])
        y[rows] += shift
    return y


def softmax(z, log_sums=None):
    """z M×K -> softmax of every row, M×K; the logarithm of each row's sum of exp goes into `log_sums` M if given."""
    p, ones = np.empty_like(z), np.ones((z.shape[1], 1), z.dtype)
    for rows in _blocks(*z.shape):
        largest = z[rows].max(axis=1, keepdims=True)  # taken off, so that exp cannot overflow
        np.subtract(z[rows], largest, out=p[rows])
        np.exp(p[rows], out=p[rows])
        total = matmul(p[rows], ones)  # a product adds up short rows faster than a sum does
        p[rows] *= 1 / total
        if log_sums is not None:
            log_sums[rows] = (np.log(total) + largest)[:, 0]
    return p


def relu(x):
    """max(x, 0), of any shape."""
    return np.maximum(x, 0)


def relu_backward(dy, y):
    """dy where y > 0, else 0."""
    return dy * (y > 0)
