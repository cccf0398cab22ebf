"""Windows, pooling, resizing and the loss of enlarged logits on CuPy arrays, each by a kernel.

The same functions as in windows.py, pooling.py, resampling.py and losses.py, which say what they compute. Why each
thread gathers what it needs is explained in docs/17-on-the-gpu-and-on-several.md.
"""

import functools

import cupy as cp
import numpy as np

from .launch import COUNT, int32, over_elements, over_threads, uint32, whole
from .precision import wide

WINDOWS = 1 << 26  # elements of a block of gathered windows
ALIGNED = 8  # elements: 16 bytes of bfloat16
IN_PLACE = True  # windows without gaps are read where they lie: conv.py


# --- windows ---------------------------------------------------------------------------------------------------


def _described(window):
    """Kernel, stride, dilation and padding, vertical and horizontal, as kernels take them."""
    return map(int32, (*window.kernel, *window.stride, *window.dilation, *window.padding))


def gather_windows(x, window, lines):
    """x N×H×W×C -> M×kh·kw·C: the windows of all pixels of some output lines (a slice), taps in row-major order."""
    x, (n, h, w, c) = whole(x), x.shape
    height, width, taps = lines.stop - lines.start, window.output(w, 1), window.kernel[0] * window.kernel[1]
    pitch = -(-taps * c // ALIGNED) * ALIGNED  # from row to row, so that each begins where tensor cores can read it
    rows = cp.empty((n * height * width, pitch), x.dtype)
    G = rows[:, : taps * c]
    over_elements("gather_windows", G, c, [x, rows], x, rows, *map(int32, (pitch, h, w, c, lines.start, height, width)),
                  *_described(window), COUNT)
    return G


def add_windows(windows, window, first, lines, map_width):
    """The transpose of `gather_windows`: every pixel's copies added up, for some lines (a slice) of the map."""
    windows, (n, height, width, columns) = whole(windows), windows.shape
    c = columns // (window.kernel[0] * window.kernel[1])
    dx = cp.empty((n, lines.stop - lines.start, map_width, c), windows.dtype)
    over_elements("add_windows", dx, c, [windows, dx], windows, dx, int32(lines.start), int32(dx.shape[1]),
                  int32(map_width), int32(c), int32(first), int32(height), int32(width), *_described(window), COUNT)
    return dx


def excerpt(x, lines, columns):
    """x[:, lines, columns] of a map N×H×W×C for slices that may go beyond it: there it is zero. Contiguous."""
    size = (lines.stop - lines.start, columns.stop - columns.start)
    out = cp.empty((len(x), *size, x.shape[3]), x.dtype)
    return _excerpt(x, out, size, (lines.start, columns.start), out.size // max(1, x.shape[3]))


def padded(x, window, pixels):
    """x N×H×W×C -> pixels×C: the padded images pixel after pixel, and zeros."""
    (_, h, w, c), (ph, pw) = x.shape, window.padding
    return _excerpt(x, cp.empty((pixels, c), x.dtype), (h + 2 * ph, w + 2 * pw), (-ph, -pw), pixels)


def _excerpt(x, out, size, corner, pixels):
    x, (n, h, w, c) = whole(x), x.shape
    over_elements("excerpt", out, c, [x, out], x, out, *map(int32, (n, h, w, c, *size, *corner)), uint32(pixels))
    return out


# --- pooling ---------------------------------------------------------------------------------------------------


def _pooled(window, c, size, outputs):
    """A pooling kernel's sizes: of the map and its outputs, of the window, and how many packs there are."""
    return *map(int32, (*size, c, *outputs, *window.kernel, *window.stride, *window.padding)), COUNT


def max_pool(x, window, height, width):
    """x N×H×W×C -> the largest value of each of height×width windows, N×height×width×C; the padding never wins."""
    x, (n, h, w, c) = whole(x), x.shape
    y = cp.empty((n, height, width, c), x.dtype)
    over_elements("max_pool", y, c, [x, y], x, y, *_pooled(window, c, (h, w), (height, width)))
    return y


def max_pool_backward(dy, x, y, window):
    """dx N×H×W×C: dy of each window goes to its first pixel, row by row, that is as large as the window's y."""
    dy, x, y, dx = whole(dy), whole(x), whole(y), cp.empty(x.shape, x.dtype)
    over_elements("max_pool_backward", dx, x.shape[3], [dy, x, y, dx], dy, x, y, dx,
                  *_pooled(window, x.shape[3], x.shape[1:3], y.shape[1:3]))
    return dx


def sum_pool(x, window, height, width):
    """x N×H×W×C -> the sum over each of height×width windows, N×height×width×C."""
    x, (n, h, w, c) = whole(x), x.shape
    y = cp.empty((n, height, width, c), x.dtype)
    over_elements("sum_pool", y, c, [x, y], x, y, *_pooled(window, c, (h, w), (height, width)))
    return y


def sum_pool_backward(dy, window, height, width):
    """The transpose of `sum_pool`: dy N×h×w×C -> dx N×height×width×C, the sum over the windows that see a pixel."""
    dy, (n, h, w, c) = whole(dy), dy.shape
    dx = cp.empty((n, height, width, c), dy.dtype)
    over_elements("sum_pool_backward", dx, c, [dy, dx], dy, dx, *_pooled(window, c, (height, width), (h, w)))
    return dx


# --- resizing and the loss -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _few_weights(resizing, dtype, least, device):
    """A `Resizing`'s matrix as kernels take it: the first column of each row that counts, its weights, how many."""
    R = resizing.matrix
    start = (R != 0).argmax(axis=1)
    most = max(least, int((R.shape[1] - (R != 0)[:, ::-1].argmax(axis=1) - start).max()))
    weights = np.zeros((len(R), most))
    for row, first in enumerate(start):
        weights[row, : R.shape[1] - first] = R[row, first : first + most]
    return cp.asarray(start.astype(np.int32)), cp.asarray(weights.astype(dtype)), int32(most)


def few_weights(resizing, dtype, least=1):
    """See `_few_weights`; at least so many weights to a row. Kept for the current device."""
    return _few_weights(resizing, wide(dtype), least, cp.cuda.Device().id)


def resample(x, vertical, horizontal):
    """x N×H×W×C -> R X Sᵀ for every image and channel, N×h×w×C, with R and S the matrices of two `Resizing`s."""
    x, (n, H, W, c) = whole(x), x.shape
    h, w = len(vertical.matrix), len(horizontal.matrix)
    y = cp.empty((n, h, w, c), x.dtype)
    over_elements("resample", y, c, [x, y], x, y, *few_weights(vertical, x.dtype), *few_weights(horizontal, x.dtype),
                  *map(int32, (H, W, c, h, w)), COUNT)
    return y


def upsampled_loss(logits, target, share, vertical, horizontal, keeps):
    """The loss of R X Sᵀ for logits X N×h×w×K, and its gradient N×h×w×K (None unless `keeps`): see losses.py.

    Both are float32 for logits in bfloat16.
    """
    dtype, (_, h, w, K), (_, H, W) = wide(logits.dtype), logits.shape, target.shape
    z, target, share = whole(logits, dtype), whole(target, np.int32), dtype.type(share)
    losses, log_sums = cp.empty((2, *target.shape), dtype)
    between = (*few_weights(vertical, dtype, 2)[:2], *few_weights(horizontal, dtype, 2)[:2])
    sizes = tuple(map(int32, (h, w, K, H, W)))
    over_threads("pixel_losses", dtype, 1, target.size, z, target, losses, log_sums, *between, share, *sizes,
                 COUNT)
    loss = losses.sum(dtype=np.float64)
    if not keeps:
        return loss, None
    dz = cp.empty(z.shape, dtype)
    over_threads("pixel_gradients", dtype, 1, dz.size, z, target, log_sums, dz, *between,
                 *few_weights(vertical.T, dtype), *few_weights(horizontal.T, dtype), share, *sizes, COUNT)
    return loss, dz
