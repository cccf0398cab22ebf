"""Max and average pooling on NumPy arrays, over the sliding windows of windows.py.

Derived in docs/06-pooling-and-relu.md.
"""

import itertools

import numpy as np

from . import cpu, windows


def max_pool(x, window, height, width):
    """x N×H×W×C -> the largest value of each of height×width windows, N×height×width×C; the padding never wins."""
    y = np.empty((len(x), height, width, x.shape[3]), x.dtype)

    def block(where):
        images, lines = where
        X, out = _read(x[images], window, lines, width, -np.inf), y[images, lines]
        first, *others = _taps(window, *out.shape[1:3])
        out[...] = X[first]
        for tap in others:
            np.maximum(out, X[tap], out=out)

    _each(block, y)
    return y


def max_pool_backward(dy, x, y, window):
    """dx N×H×W×C: dy of each window goes to its first pixel, row by row, that is as large as the window's y."""
    dx = np.empty_like(x)

    def block(where):
        images, lines = where
        outputs = window.outputs(lines, y.shape[1])  # all that reach these lines
        best, some = y[images, outputs], dy[images, outputs]
        X = _read(x[images], window, outputs, y.shape[2], -np.inf)
        dX, open_windows = np.zeros_like(X), np.ones(best.shape, bool)  # whose winner has not been met yet
        for tap in _taps(window, *best.shape[1:3]):
            wins = X[tap] == best
            wins &= open_windows
            dX[tap] += some * wins
            open_windows ^= wins
        _write(dx, dX, window, where, outputs)

    _each(block, dx)
    return dx


def sum_pool(x, window, height, width):
    """x N×H×W×C -> the sum over each of height×width windows, N×height×width×C."""
    y = np.zeros((len(x), height, width, x.shape[3]), x.dtype)

    def block(where):
        images, lines = where
        X, out = _read(x[images], window, lines, width, 0), y[images, lines]
        for tap in _taps(window, *out.shape[1:3]):
            out += X[tap]

    _each(block, y)
    return y


def sum_pool_backward(dy, window, height, width):
    """The transpose of `sum_pool`: dy N×h×w×C -> dx N×height×width×C, the sum over the windows that see a pixel."""
    dx = np.empty((len(dy), height, width, dy.shape[3]), dy.dtype)

    def block(where):
        images, lines = where
        outputs = window.outputs(lines, dy.shape[1])  # all that reach these lines
        some = dy[images, outputs]
        dX = np.zeros(_read_shape(dx[images], window, outputs, dy.shape[2]), dx.dtype)
        for tap in _taps(window, *some.shape[1:3]):
            dX[tap] += some
        _write(dx, dX, window, where, outputs)

    _each(block, dx)
    return dx


def _each(block, target):
    """block((images, lines)) for blocks that cover the map `target`."""
    cpu.each(block, windows.line_blocks(target.shape, target.shape[3], cpu))


def _read(x, window, outputs, width, fill):
    """What the windows of some output lines (a slice) read of x, with the padding: s×N×lines×⌈Wp/s⌉×C.

    s is the horizontal stride, and columns p, p + s, p + 2s, … stand together as number p: so the pixels that
    neighbouring windows see at one place lie side by side, and long runs of memory are compared or added at once.
    """
    step, _, height, columns, _ = _read_shape(x, window, outputs, width)
    first, pw = window.lines(outputs).start, window.padding[1]
    X = windows.excerpt(x, slice(first, first + height), slice(-pw, step * columns - pw), fill)
    X = X.reshape(X.shape[:2] + (columns, step, x.shape[3]))
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2, 4))


def _read_shape(x, window, outputs, width):
    """The shape of what `_read` returns of a map x, for output lines of `width` pixels."""
    step, lines = window.stride[1], window.lines(outputs)
    columns = -(-(step * (width - 1) + window.kernel[1]) // step)
    return step, len(x), lines.stop - lines.start, columns, x.shape[3]


def _taps(window, height, width):
    """For each pixel of a window, its place in what `_read` returns, for height×width windows."""
    (kh, kw), (sh, sw) = window.kernel, window.stride
    for i, j in itertools.product(range(kh), range(kw)) if height else ():
        yield (j % sw, slice(None), slice(i, i + sh * (height - 1) + 1, sh), slice(j // sw, j // sw + width))


def _write(dx, dX, window, where, outputs):
    """The adjoint of `_read` for the images and lines of `where`: dX, laid over `outputs`, into dx."""
    (images, lines), first = where, window.lines(outputs).start
    step, pw = len(dX), window.padding[1]
    for p, columns in enumerate(dX):
        skipped = -(-(pw - p) // step) if pw > p else 0  # of these columns, those left of the map
        start = p + step * skipped - pw
        out = dx[images, lines, start::step]
        out[...] = windows.excerpt(columns, slice(lines.start - first, lines.stop - first),
                           slice(skipped, skipped + out.shape[2]))
