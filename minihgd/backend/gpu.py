"""The primitives on CuPy arrays: the same functions as in cpu.py."""

import cupy as cp

from ..errors import SettingError, ShapeError

xp = cp


def use(number):
    """Make GPU `number` the current one. Raises SettingError where it does not exist."""
    count = cp.cuda.runtime.getDeviceCount() if cp.is_available() else 0
    if number >= count:
        raise SettingError(f"device: cuda:{number} was asked for, {count} CUDA devices were found")
    cp.cuda.Device(number).use()


def matmul(a, b, transpose_a=False, transpose_b=False, out=None, accumulate=False):
    """op(a) @ op(b) for matrices, or for stacks of them; into `out` or, with `accumulate`, added to it."""
    if a.dtype != b.dtype:
        raise ShapeError(f"matmul: expected two arrays of one dtype, found {a.dtype} and {b.dtype}")
    product = cp.matmul(a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b)
    if out is None:
        return product
    if accumulate:
        out += product
    else:
        out[...] = product
    return out


def column_sums(x):
    """x M×C -> C, summed down the columns."""
    return x.sum(axis=0)


def column_dots(x, y):
    """x M×C, y M×C -> C, the sum of x·y down the columns."""
    return (x * y).sum(axis=0)


def column_moments(x):
    """x M×C -> mean C, variance C (divided by M), in two passes."""
    mean = x.mean(axis=0)
    return mean, cp.square(x - mean).mean(axis=0)


def scale_shift(x, scale, shift):
    """x M×C, scale C, shift C -> x · scale + shift."""
    return x * scale + shift


def softmax(z, log_sums=None):
    """z M×K -> softmax of every row, M×K; the logarithm of each row's sum of exp goes into `log_sums` M if given."""
    largest = z.max(axis=1, keepdims=True)
    p = cp.exp(z - largest)
    total = p.sum(axis=1, keepdims=True)
    if log_sums is not None:
        log_sums[...] = (cp.log(total) + largest)[:, 0]
    return p / total


def relu(x):
    """max(x, 0), of any shape."""
    return cp.maximum(x, 0)


def relu_backward(dy, y):
    """dy where y > 0, else 0."""
    return dy * (y > 0)
