"""Max and average pooling over sliding windows.

The maximum is linear wherever it is differentiable: it passes each window's gradient to the pixel that won. Where
several pixels tie, the first of the window (row by row) takes it all, as in PyTorch. The average is linear
everywhere: it passes 1/size of the gradient to each pixel.
"""

import itertools

import numpy as np

from .. import backend
from ..autograd import Op
from ..backend import conv
from ..errors import ShapeError
from .convolution import pair


class Pool(Op):
    """What both kinds share: x N×H×W×C -> y N×Ho×Wo×C."""

    def __init__(self, size, stride=None, padding=0):
        self.size = pair(size, "size", 1)
        self.stride = self.size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.size, strict=True)):
            raise ShapeError(f"padding: expected at most half of the window {self.size}, found {padding}")
        self.window = conv.Window(self.size, self.stride, self.padding)

    def shape(self, x):
        size = tuple(self.window.output(x[1 + axis], axis) for axis in (0, 1)) if len(x) == 4 else (0, 0)
        if min(size) < 1:
            raise ShapeError(f"pooling: a {self.size} window with padding {self.padding} does not fit into x {x}")
        return (x[0],) + size + (x[3],)

    def _each(self, block, target):
        """block((images, lines)) for blocks that cover the map `target`."""
        primitives, columns = backend.of(target), target.shape[3]
        primitives.each(block, conv.line_blocks(target.shape, columns, primitives))

    def _read(self, x, outputs, fill):
        """What the windows of some output lines (a slice) read of x, with the padding: s×N×lines×⌈Wp/s⌉×C.

        s is the horizontal stride, and columns p, p + s, p + 2s, … stand together as number p: so the pixels that
        neighbouring windows see at one place lie side by side, and long runs of memory are compared or added at once.
        """
        step, _, height, width, _ = self._read_shape(x.shape, outputs)
        first, pw = self.window.lines(outputs).start, self.padding[1]
        X = conv.excerpt(x, slice(first, first + height), slice(-pw, step * width - pw), fill)
        X = X.reshape(X.shape[:2] + (width, step, x.shape[3]))
        return backend.of(x).xp.ascontiguousarray(X.transpose(3, 0, 1, 2, 4))

    def _read_shape(self, x, outputs):
        """The shape of what `_read` returns, for a map of shape x."""
        step, lines = self.window.stride[1], self.window.lines(outputs)
        width = -(-(step * (self.shape(x)[2] - 1) + self.size[1]) // step)
        return step, x[0], lines.stop - lines.start, width, x[3]

    def _taps(self, height, width):
        """For each pixel of a window, its place in what `_read` returns, for height×width windows."""
        (kh, kw), (sh, sw) = self.size, self.window.stride
        for i, j in itertools.product(range(kh), range(kw)) if height else ():
            yield (j % sw, slice(None), slice(i, i + sh * (height - 1) + 1, sh), slice(j // sw, j // sw + width))

    def _write(self, dx, dX, where, outputs):
        """The adjoint of `_read` for the images and lines of `where`: dX, laid over `outputs`, into dx."""
        (images, lines), first = where, self.window.lines(outputs).start
        step, pw = len(dX), self.padding[1]
        for p, columns in enumerate(dX):
            skipped = -(-(pw - p) // step) if pw > p else 0  # of these columns, those left of the map
            start = p + step * skipped - pw
            out = dx[images, lines, start::step]
            out[...] = conv.excerpt(columns, slice(lines.start - first, lines.stop - first),
                                    slice(skipped, skipped + out.shape[2]))


class MaxPool2d(Pool):
    """The largest value of each window; the padding never wins."""

    def forward(self, x):
        y = backend.of(x).xp.empty(self.shape(x.shape), x.dtype)

        def block(where):
            images, lines = where
            X, out = self._read(x[images], lines, -np.inf), y[images, lines]
            first, *others = self._taps(*out.shape[1:3])
            out[...] = X[first]
            for tap in others:
                backend.of(x).xp.maximum(out, X[tap], out=out)

        self._each(block, y)
        self.save(x=x, y=y)
        return y

    def backward(self, dy):
        x, y = self.saved("x", "y")
        xp, dx = backend.of(dy).xp, backend.of(dy).xp.empty_like(x)

        def block(where):
            images, lines = where
            outputs = self.window.outputs(lines, y.shape[1])  # all that reach these lines
            X, best, some = self._read(x[images], outputs, -np.inf), y[images, outputs], dy[images, outputs]
            dX, open_windows = xp.zeros_like(X), xp.ones(best.shape, bool)  # whose winner has not been met yet
            for tap in self._taps(*best.shape[1:3]):
                wins = X[tap] == best
                wins &= open_windows
                dX[tap] += some * wins
                open_windows ^= wins
            self._write(dx, dX, where, outputs)

        self._each(block, dx)
        return dx


class AvgPool2d(Pool):
    """The mean of each window. Padding counts as zeros, as in PyTorch's default.

    With `ceil_mode` the last windows may hang over the right and bottom edge, and average what lies inside.
    """

    def __init__(self, size, stride=None, padding=0, ceil_mode=False):
        super().__init__(size, stride, padding)
        self.ceil_mode = ceil_mode
        if ceil_mode and any(s > k for s, k in zip(self.stride, self.size, strict=True)):
            raise ShapeError(f"avg_pool2d: ceil_mode needs a stride of at most the size {self.size}, found {stride}")

    def _overhang(self, x):
        """Pixels (vertical, horizontal) by which the last window hangs over."""
        if not self.ceil_mode:
            return 0, 0
        spare = ((x[1 + a] + 2 * self.padding[a] - self.size[a]) % self.stride[a] for a in (0, 1))
        return tuple(s - rest if rest else 0 for s, rest in zip(self.stride, spare, strict=True))

    def _extended(self, x):
        return (x[0],) + tuple(n + o for n, o in zip(x[1:3], self._overhang(x), strict=True)) + x[3:]

    def shape(self, x):
        return super().shape(self._extended(x))

    def _sizes(self, shape, dtype):
        """How many pixels each window averages, overhang left out: Ho×Wo×1."""
        _, height, width, _ = self.shape(shape)
        counts = []
        for axis, outputs in enumerate((height, width)):
            end = shape[1 + axis] + 2 * self.padding[axis]
            starts = np.arange(outputs) * self.stride[axis]
            counts.append(np.minimum(starts + self.size[axis], end) - starts)
        return np.multiply.outer(*counts)[:, :, None].astype(dtype)

    def forward(self, x):
        self.x_shape = x.shape
        y = backend.of(x).xp.empty(self.shape(x.shape), x.dtype)
        sizes = backend.of(x).xp.asarray(self._sizes(x.shape, x.dtype))  # Ho×Wo×1

        def block(where):
            images, lines = where
            X, out = self._read(x[images], lines, 0), y[images, lines]
            out[...] = 0
            for tap in self._taps(*out.shape[1:3]):
                out += X[tap]
            out /= sizes[lines]

        self._each(block, y)
        return y

    def backward(self, dy):
        xp = backend.of(dy).xp
        dx, sizes = xp.empty(self.x_shape, dy.dtype), xp.asarray(self._sizes(self.x_shape, dy.dtype))  # Ho×Wo×1

        def block(where):
            images, lines = where
            outputs = self.window.outputs(lines, dy.shape[1])  # all that reach these lines
            share = dy[images, outputs] / sizes[outputs]
            dX = xp.zeros(self._read_shape(dx[images].shape, outputs), dx.dtype)
            for tap in self._taps(*share.shape[1:3]):
                dX[tap] += share
            self._write(dx, dX, where, outputs)

        self._each(block, dx)
        return dx


def _plain_pool(x, size, stride, padding, fill, reduce):
    op = Pool(size, stride, padding)
    (kh, kw), (sh, sw), (ph, pw) = op.size, op.stride, op.padding
    X = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=fill)
    y = np.empty(op.shape(x.shape), x.dtype)
    for n, h, w, c in np.ndindex(y.shape):
        y[n, h, w, c] = reduce(X[n, sh * h : sh * h + kh, sw * w : sw * w + kw, c])
    return y


def plain_max_pool2d(x, size, stride=None, padding=0):
    """`max_pool2d` on a NumPy array, one window at a time."""
    return _plain_pool(x, size, stride, padding, -np.inf, np.max)


def plain_avg_pool2d(x, size, stride=None, padding=0):
    """`avg_pool2d` on a NumPy array, one window at a time."""
    return _plain_pool(x, size, stride, padding, 0, np.mean)


def max_pool2d(x, size, stride=None, padding=0):
    """x N×H×W×C -> N×Ho×Wo×C, the maximum of each window; ties go to its first pixel.

    size, stride (the size by default), padding: an int or a (vertical, horizontal) pair. Raises ShapeError.
    """
    return MaxPool2d(size, stride, padding)(x)


def avg_pool2d(x, size, stride=None, padding=0, ceil_mode=False):
    """x N×H×W×C -> N×Ho×Wo×C, the mean of each window, the padding counted as zeros.

    With `ceil_mode`, windows that hang over the right or bottom edge are kept and average what lies inside.
    size, stride (the size by default), padding: an int or a (vertical, horizontal) pair. Raises ShapeError.
    """
    return AvgPool2d(size, stride, padding, ceil_mode)(x)
