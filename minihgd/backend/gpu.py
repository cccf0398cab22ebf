"""The primitives on CuPy arrays: the same functions as in cpu.py, by cuBLAS (gemm.py) and our own kernels (kernels.cu).

Nothing here waits for the GPU: it works behind the program, which has long gone on to start what comes next. Explained
in docs/17-on-the-gpu-and-on-several.md.
"""

import functools

import cupy as cp
import numpy as np

from ..errors import SettingError
from . import gpu_maps
from .gemm import matmul  # noqa: F401
from .launch import COUNT, NULL, int32, over_columns, over_elements, over_lanes, over_threads, whole
from .precision import wide
from .uploads import Uploads

xp = cp
BLOCK = 1 << 24  # elements of a block of lines, where one is asked for: enough to fill the GPU
windows = pooling = resampling = losses = gpu_maps  # files of their own on NumPy


def count():
    """How many threads share the work: on a GPU it is spread by the GPU."""
    return 1


def each(work, jobs):
    """[work(job) for job in jobs]."""
    return [work(job) for job in jobs]


def use(number):
    """Make GPU `number` the current one. Raises SettingError where it does not exist."""
    count = cp.cuda.runtime.getDeviceCount() if cp.is_available() else 0
    if number >= count:
        raise SettingError(f"device: cuda:{number} was asked for, {count} CUDA devices were found")
    cp.cuda.Device(number).use()


def uploads():
    """A function that copies arrays of one shape to the GPU beside its work: `Hosted`s."""
    return Uploads()


# --- sums down the columns -------------------------------------------------------------------------------------


def column_sums(x):
    """x M×C -> C, summed down the columns."""
    x = whole(x)
    partial, _ = over_columns("sums_of_blocks", x, [x], 1, before=[x])
    return _merged(partial, x.dtype)


def _merged(partial, dtype):
    """partial P×C -> C, the sums of its columns."""
    sums = cp.empty(partial.shape[1], partial.dtype)
    over_lanes("merge_sums", dtype, sums.size, partial, sums, int32(len(partial)), int32(sums.size))
    return sums


def column_moments(x):
    """x M×C -> mean C, variance C (divided by M), by Welford's method and Chan's merge."""
    x, (M, C) = whole(x), x.shape
    partial, rows = over_columns("moments_of_blocks", x, [x], 2, before=[x])
    mean, variance = cp.empty((2, C), partial.dtype)
    over_lanes("merge_moments", x.dtype, C, partial, mean, variance, int32(M), int32(C), int32(rows))
    return mean, variance


# --- normalise and activate ------------------------------------------------------------------------------------


def scale_shift(x, scale, shift, residual=None, relu=False):
    """x M×C, scale C, shift C -> x · scale + shift, + residual M×C where given, negative values zero with `relu`."""
    return _scale_shift(x, scale, shift, residual, relu, cp.empty(x.shape, x.dtype))


def _scale_shift(x, scale, shift, residual, relu, out):
    x, residual = whole(x), NULL if residual is None else whole(residual)
    scale, shift = (NULL if row is None else whole(row, wide(x.dtype)) for row in (scale, shift))
    over_elements("scale_shift", x, x.shape[1], [x, residual, out],
                  x, scale, shift, residual, out, COUNT, int32(x.shape[1]), int32(relu))
    return out


def add_row(x, row):
    """x M×C += row C, in place."""
    if x.flags.c_contiguous:
        _scale_shift(x, None, row, None, False, x)
    else:
        x += row


def normalise_backward(dy, x, mean, y=None):
    """g M×C (dy, or dy where y > 0), Σ g and Σ g (x - mean) down the columns."""
    dy, x, C = whole(dy), whole(x), x.shape[1]
    y, g = (NULL, dy) if y is None else (whole(y), cp.empty(x.shape, x.dtype))
    partial, _ = over_columns("gradients_of_blocks", x, [dy, x, y, g], 2,
                              before=[dy, x, whole(mean, wide(x.dtype)), y, NULL if y is NULL else g])
    sums = _merged(partial, x.dtype)
    return g, sums[:C], sums[C:]


def normaliser(mean, var, gamma, beta, eps):
    """Rows of C: r = 1/√(var + eps), and the scale γ r and the shift β - γ r mean that normalise."""
    C, dtype = len(mean), mean.dtype
    r, scale, shift = cp.empty((3, C), dtype)
    over_threads("normaliser", dtype, 1, C, *_rows(dtype, mean, var, gamma, beta), r, scale, shift, dtype.type(eps),
                 int32(C))
    return r, scale, shift


def follow(running_mean, running_var, mean, var, momentum, M):
    """Move running statistics by `momentum` towards a batch's mean and unbiased variance, in place; M: its rows."""
    C, dtype = len(mean), running_mean.dtype
    over_threads("follow", dtype, 1, C, running_mean, running_var, *_rows(dtype, mean, var), dtype.type(momentum),
                 *_number(M, dtype), int32(C))


def normaliser_backward(d_beta, d_gamma, gamma, mean, r, M):
    """The rows a, b, c of C with which dx = a g + b x + c = γ r (g - dβ/M - x̂ dγ/M)."""
    C, dtype = len(mean), mean.dtype
    a, b, c = cp.empty((3, C), dtype)
    over_threads("normaliser_backward", dtype, 1, C, *_rows(dtype, d_beta, d_gamma, gamma, mean, r), a, b, c,
                 *_number(M, dtype), int32(C))
    return a, b, c


def _rows(dtype, *rows):
    return (whole(row, dtype) for row in rows)


def _number(M, dtype):
    """M as two arguments of a kernel: an array, which need not be known here yet, or a number."""
    return (NULL, dtype.type(M)) if isinstance(M, int) else (whole(M, dtype), dtype.type(0))


def combine(g, x, a, b, c):
    """g M×C, x M×C and the rows a, b, c of C -> a g + b x + c."""
    g, x, out = whole(g), whole(x), cp.empty(x.shape, x.dtype)
    over_elements("combine", x, x.shape[1], [g, x, out], g, x, *(whole(row, wide(x.dtype)) for row in (a, b, c)), out,
                  COUNT, int32(x.shape[1]))
    return out


# --- element by element ----------------------------------------------------------------------------------------


def pixels(images, scale, shift, reverse, dtype):
    """Images ...×3 uint8 as x · scale + shift of float32 (rows of 3), the channels turned round first if `reverse`."""
    images = whole(images, np.uint8)
    y = cp.empty(images.shape, dtype)
    table = _of_values(tuple(scale.tolist()), tuple(shift.tolist()), wide(dtype), cp.cuda.Device().id)
    over_elements("pixels", y, 1, [y], images, table, y, int32(reverse), COUNT)
    return y


@functools.lru_cache
def _of_values(scale, shift, dtype, device):
    """What each of the 256 values of a pixel becomes in each channel, 256×3; on the current device."""
    x = np.arange(256, dtype=np.float32)[:, None] * np.float32(scale)
    return cp.asarray((x + np.float32(shift)).astype(dtype))


def add(a, b):
    """a + b, with broadcasting."""
    return a + b


def relu(x):
    """max(x, 0), of any shape."""
    return cp.maximum(x, 0)


def relu_backward(dy, y):
    """dy where y > 0, else 0."""
    dy, y = whole(dy), whole(y)
    dx = cp.empty(y.shape, y.dtype)
    over_elements("relu_backward", y, y.size, [dy, y, dx], dy, y, dx, COUNT)
    return dx


def momentum_steps(parameters, momentum, decay, share=None):
    """v ← momentum v + share g + decay w, then w ← w - lr v, in place, for each (w, v, g, lr). No share is all of g."""
    for w, v, g, lr in parameters:
        number = w.dtype.type
        if w.flags.c_contiguous and v.flags.c_contiguous:
            over_threads("momentum_step", w.dtype, 1, w.size, w, v, whole(g, w.dtype),
                         NULL if share is None else whole(share, w.dtype), number(lr), number(momentum), number(decay),
                         COUNT)
        else:
            v[...] = momentum * v + (g if share is None else share * g) + decay * w
            w -= number(lr) * v


def softmax(z, log_sums=None):
    """z M×K -> softmax of every row, M×K; the logarithm of each row's sum of exp goes into `log_sums` M if given."""
    largest = z.max(axis=1, keepdims=True)
    p = cp.exp(z - largest)
    total = p.sum(axis=1, keepdims=True)
    if log_sums is not None:
        log_sums[...] = (cp.log(total) + largest)[:, 0]
    return p / total
