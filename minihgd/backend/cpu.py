"""The primitives on NumPy arrays.

Two rules make them fast. Arithmetic works on blocks of rows that stay in the cache while several passes go over them.
And the blocks, like the parts of a matrix product, are spread over the cores (threads.py). Both are explained in
docs/16-speed-on-the-cpu.md; normalisation is derived in docs/05-batch-normalisation.md, the ReLU in
docs/06-pooling-and-relu.md, the softmax in docs/11-cross-entropy.md.
"""

import ctypes
import sys

import numpy as np

from ..errors import ShapeError
from . import blas
from .threads import count, each, is_busy

xp = np
BLOCK = 1 << 18  # elements of a block of rows: in smaller ones threads would meet too often at the interpreter's lock
WAKING = 1 << 22  # multiply-accumulates that a thread does in the time that another takes to wake up


def _keep_freed_memory():
    """Let the next step have the memory of the last: freed memory stays with the process. Whether that could be set.

    Left alone, glibc gives the largest arrays and the top of its heap back to the system when they are freed, and the
    system clears what it hands out next page by page, in every step again.
    """
    if not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"):
        return False
    mallopt, trim_threshold, mmap_threshold = ctypes.CDLL(None).mallopt, -1, -3  # glibc's numbers for these settings
    kept = mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)  # older versions take no more
    return bool(kept and mallopt(trim_threshold, -1))


_keep_freed_memory()


def uploads():
    """Nothing: arrays are where they are computed with."""
    return None


# --- matrix products -------------------------------------------------------------------------------------------


def matmul(a, b, transpose_a=False, transpose_b=False, out=None, accumulate=False):
    """op(a) @ op(b) for matrices, or for stacks of them; into `out` or, with `accumulate`, added to it.

    a [N×]M×K, b [N×]K×N (transposed if so named) -> [N×]M×N; `a` may be one matrix for a whole stack b.
    Raises ShapeError where they do not fit or are not of one floating-point type.
    """
    if a.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"matmul: expected two matrices, two stacks as high or a matrix and a stack; found {a.shape} "
                         f"and {b.shape}")
    a, b = _rows_whole(a), _rows_whole(b)
    m, n = a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1]
    if out is None:
        out = np.empty(b.shape[:-2] + (m, n), b.dtype)
    if b.ndim == 2:
        _spread_product(a, b, out, transpose_a, transpose_b, accumulate)
    else:
        def product(i):
            _spread_product(a if a.ndim == 2 else a[i], b[i], out[i], transpose_a, transpose_b, accumulate)

        if len(b) >= count() and out.size * a.shape[-2 if transpose_a else -1] > WAKING:
            each(lambda part: [product(i) for i in part], np.array_split(np.arange(len(b)), 2 * count()))
        else:
            for i in range(len(b)):
                product(i)
    return out


def _rows_whole(x):
    """x itself where the elements of a row lie side by side and rows do not overlap, else a copy."""
    rows, columns = x.shape[-2:]
    whole = (columns <= 1 or x.strides[-1] == x.itemsize) and (rows <= 1 or x.strides[-2] >= columns * x.itemsize)
    return x if whole else np.ascontiguousarray(x)


def _spread_product(a, b, out, transpose_a, transpose_b, accumulate):
    """One product, cut into parts for the threads: rows of the result, or its columns, or terms of the sums."""
    (m, n), k = out.shape, a.shape[0 if transpose_a else 1]
    if is_busy() or m * n * k <= WAKING:
        blas.gemm(a, b, out, transpose_a, transpose_b, accumulate)
    elif k > 16 * max(m, n):  # a small result: cut the long sums, and add up what comes out
        def part(terms):
            own = np.empty(out.shape, out.dtype)
            blas.gemm(a[terms] if transpose_a else a[:, terms], b[:, terms] if transpose_b else b[terms], own,
                      transpose_a, transpose_b)
            return own

        sums = each(part, _cut(k, m * n * k))
        out[...] = sum(sums, start=out) if accumulate else sum(sums[1:], start=sums[0])
    elif m >= n:
        each(lambda rows: blas.gemm(a[:, rows] if transpose_a else a[rows], b, out[rows],
                                    transpose_a, transpose_b, accumulate), _cut(m, m * n * k))
    else:
        each(lambda columns: blas.gemm(a, b[columns] if transpose_b else b[:, columns], out[:, columns],
                                       transpose_a, transpose_b, accumulate), _cut(n, m * n * k))


def _cut(size, macs):
    """Slices, one for each thread, multiples of 16: whole tiles of a BLAS kernel.

    The first is longer by what its thread, which is awake, does while the others wake up.
    """
    threads = count()
    rest = size * max(0, macs - WAKING) / macs / threads
    seams = [0, *(max(0, size - 16 * round(rest * i / 16)) for i in reversed(range(threads)))]
    return [slice(start, stop) for start, stop in zip(seams, seams[1:], strict=False) if start < stop]


# --- sums down the columns -------------------------------------------------------------------------------------


def _blocks(rows, columns):
    """Slices of rows, a block each; not so many rows that their sums in float32 would lose digits."""
    return _pieces(rows, min(4096, max(1, BLOCK // max(1, columns))))


def _pieces(size, step):
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _summed(sums, like):
    """sums(rows), a tuple of vectors, for each block of rows of `like`; added up over the blocks in float64."""
    parts = each(sums, _blocks(*like.shape))
    return tuple(np.add.reduce(vectors, axis=0, dtype=np.float64).astype(like.dtype)
                 for vectors in zip(*parts, strict=True))


def column_sums(x):
    """x M×C -> C, summed down the columns. Partial sums per block keep float32's rounding small."""
    return _summed(lambda rows: (np.add.reduce(x[rows], axis=0),), x)[0]


def column_moments(x):
    """x M×C -> mean C, variance C (divided by M), in one pass.

    The sums are taken of x - s, where s is the mean of the first rows: a value among those of its column, so that
    the subtraction in E[(x-s)²] - E[x-s]² cancels little.
    """
    s = x[:32].mean(axis=0)

    def sums(rows):
        d = x[rows] - s
        return np.add.reduce(d, axis=0), np.add.reduce(np.square(d, out=d), axis=0)

    total, squares = _summed(sums, x)
    mean = total / len(x)
    return s + mean, np.maximum(squares / len(x) - mean * mean, 0)


# --- normalise and activate ------------------------------------------------------------------------------------


def scale_shift(x, scale, shift, residual=None, relu=False):
    """x M×C, scale C, shift C -> x · scale + shift, + residual M×C where given, negative values zero with `relu`."""
    y = np.empty_like(x)

    def block(rows):
        out = y[rows]
        np.multiply(x[rows], scale, out=out)
        out += shift
        if residual is not None:
            out += residual[rows]
        if relu:
            np.maximum(out, _zeros(out), out=out)

    each(block, _blocks(*x.shape))
    return y


def normalise_backward(dy, x, mean, y=None):
    """The gradient that enters a normalisation and what its statistics need, in one pass over M×C arrays.

    With g = dy, or dy where y > 0 if the output y of a ReLU behind it is given: returns g M×C, Σ g and
    Σ g (x - mean) down the columns.
    """
    g = dy if y is None else np.empty_like(x)

    def sums(rows):
        block = g[rows]
        if y is not None:
            np.multiply(dy[rows], y[rows] > 0, out=block)
        return np.add.reduce(block, axis=0), np.einsum("ij,ij->j", block, x[rows] - mean)

    return g, *_summed(sums, x)


def normaliser(mean, var, gamma, beta, eps):
    """Rows of C: r = 1/√(var + eps), and the scale γ r and the shift β - γ r mean that normalise."""
    r = 1 / np.sqrt(var + mean.dtype.type(eps))
    return r, gamma * r, beta - gamma * r * mean


def follow(running_mean, running_var, mean, var, momentum, M):
    """Move running statistics by `momentum` towards a batch's mean and unbiased variance, in place; M: its rows."""
    running_mean += momentum * (mean - running_mean)
    if M > 1:  # a single row has no unbiased variance
        running_var += momentum * (var * (M / (M - 1)) - running_var)


def normaliser_backward(d_beta, d_gamma, gamma, mean, r, M):
    """The rows a, b, c of C with which dx = a g + b x + c = γ r (g - dβ/M - x̂ dγ/M)."""
    a = gamma * r
    b = -a * r * d_gamma / M
    return a, b, -a * d_beta / M - b * mean


def combine(g, x, a, b, c):
    """g M×C, x M×C and the rows a, b, c of C -> a g + b x + c."""
    out = np.empty_like(g)

    def block(rows):
        part = x[rows] * b
        part += c
        np.multiply(g[rows], a, out=out[rows])
        out[rows] += part

    each(block, _blocks(*g.shape))
    return out


def add_row(x, row):
    """x M×C += row C, in place."""
    each(lambda rows: np.add(x[rows], row, out=x[rows]), _blocks(*x.shape))


# --- element by element ----------------------------------------------------------------------------------------

_ZEROS = {"f": np.zeros(BLOCK, np.float32), "d": np.zeros(BLOCK, np.float64)}


def _zeros(like):
    """Zeros of a block's shape: `maximum` with an array is several times faster than with a number."""
    if like.size > BLOCK or like.dtype.char not in _ZEROS:
        return np.zeros_like(like)
    return _ZEROS[like.dtype.char][: like.size].reshape(like.shape)


def _elementwise(function, *arrays):
    """function(*blocks, out) over contiguous arrays of one shape, in blocks; a new array."""
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    flat = [np.ascontiguousarray(a).reshape(-1) for a in arrays]
    result = out.reshape(-1)
    each(lambda part: function(*(a[part] for a in flat), result[part]), _pieces(out.size, BLOCK))
    return out


def pixels(images, scale, shift, reverse, dtype):
    """Images ...×3 uint8 as x · scale + shift of float32 (rows of 3), the channels turned round first if `reverse`."""
    x = (images[..., ::-1] if reverse else images).astype(np.float32, order="C")
    x *= scale
    x += shift
    return x.astype(dtype, copy=False)


def add(a, b):
    """a + b, with broadcasting."""
    return _elementwise(np.add, a, b) if a.shape == b.shape and a.dtype == b.dtype else np.add(a, b)


def relu(x):
    """max(x, 0), of any shape."""
    return _elementwise(lambda x, out: np.maximum(x, _zeros(x), out=out), x)


def relu_backward(dy, y):
    """dy where y > 0, else 0."""
    return _elementwise(lambda dy, y, out: np.multiply(dy, y > 0, out=out), dy, y)


def momentum_steps(parameters, momentum, decay, share=None):
    """v ← momentum v + share g + decay w, then w ← w - lr v, in place, for each (w, v, g, lr). No share is all of g."""

    def block(job):
        w, v, g, lr = job
        v *= momentum
        v += g if share is None else share * g
        v += decay * w
        w -= lr * v

    jobs = []
    for w, v, g, lr in parameters:
        if w.flags.c_contiguous and v.flags.c_contiguous:
            w, v, g = (x.reshape(-1) for x in (w, v, g))
            jobs += [(w[part], v[part], g[part], lr) for part in _pieces(len(w), BLOCK)]
        else:
            jobs.append((w, v, g, lr))
    each(block, jobs)


def softmax(z, log_sums=None):
    """z M×K -> softmax of every row, M×K; the logarithm of each row's sum of exp goes into `log_sums` M if given."""
    p, ones = np.empty_like(z), np.ones((z.shape[1], 1), z.dtype)

    def block(rows):
        largest = z[rows].max(axis=1, keepdims=True)  # taken off, so that exp cannot overflow
        np.subtract(z[rows], largest, out=p[rows])
        np.exp(p[rows], out=p[rows])
        total = matmul(p[rows], ones)  # a product adds up short rows faster than a sum does
        p[rows] *= 1 / total
        if log_sums is not None:
            log_sums[rows] = (np.log(total) + largest)[:, 0]

    each(block, _blocks(*z.shape))
    return p


# --- maps --------------------------------------------------------------------------------------------------------
# In files of their own, which use what stands above.

from . import losses, pooling, resampling, windows  # noqa: E402, F401
