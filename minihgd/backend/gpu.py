"""The primitives on CuPy arrays: the same functions as in cpu.py."""

import cupy as cp

from ..errors import SettingError, ShapeError

xp = cp
BLOCK = 1 << 24  # elements of a block of lines, where one is asked for: enough to fill the GPU
WINDOWS = 1 << 26  # elements of a block of gathered windows (see conv.py)


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


def column_moments(x):
    """x M×C -> mean C, variance C (divided by M), in two passes."""
    mean = x.mean(axis=0)
    return mean, cp.square(x - mean).mean(axis=0)


def scale_shift(x, scale, shift, residual=None, relu=False):
    """x M×C, scale C, shift C -> x · scale + shift, + residual M×C where given, negative values zero with `relu`."""
    y = x * scale + shift
    if residual is not None:
        y += residual
    return cp.maximum(y, 0, out=y) if relu else y


def normalise_backward(dy, x, mean, y=None):
    """g M×C (dy, or dy where y > 0), Σ g and Σ g (x - mean) down the columns."""
    g = dy if y is None else dy * (y > 0)
    return g, g.sum(axis=0), (g * (x - mean)).sum(axis=0)


def combine(g, x, a, b, c):
    """g M×C, x M×C and the rows a, b, c of C -> a g + b x + c."""
    return g * a + x * b + c


def add_row(x, row):
    """x M×C += row C, in place."""
    x += row


def add(a, b):
    """a + b, with broadcasting."""
    return a + b


def momentum_steps(parameters, momentum, decay, share=None):
    """v ← momentum v + share g + decay w, then w ← w - lr v, in place, for each (w, v, g, lr). No share is all of g."""
    for w, v, g, lr in parameters:
        v *= momentum
        v += g if share is None else share * g
        v += decay * w
        w -= lr * v


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
