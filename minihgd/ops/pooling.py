"""Max and average pooling over sliding windows.

The maximum is linear wherever it is differentiable: it passes each window's gradient to the pixel that won. Where
several pixels tie, the first of the window (row by row) takes it all, as in PyTorch. The average is linear
everywhere: it passes 1/size of the gradient to each pixel. Derived in docs/06-pooling-and-relu.md.
"""

import numpy as np

from .. import backend
from ..autograd import Op
from ..backend import windows
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
        self.window = windows.Window(self.size, self.stride, self.padding)

    def shape(self, x):
        size = tuple(self.window.output(x[1 + axis], axis) for axis in (0, 1)) if len(x) == 4 else (0, 0)
        if min(size) < 1:
            raise ShapeError(f"pooling: a {self.size} window with padding {self.padding} does not fit into x {x}")
        return (x[0],) + size + (x[3],)


class MaxPool2d(Pool):
    """The largest value of each window; the padding never wins."""

    def forward(self, x):
        _, height, width, _ = self.shape(x.shape)
        y = backend.of(x).pooling.max_pool(x, self.window, height, width)
        self.save(x=x, y=y)
        return y

    def backward(self, dy):
        x, y = self.saved("x", "y")
        return backend.of(dy).pooling.max_pool_backward(dy, x, y, self.window)


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

    def _sizes(self, x):
        """How many pixels each window averages: the size, or where windows hang over Ho×Wo×1, on the device of x."""
        if not any(self._overhang(self.x_shape)):
            return self.size[0] * self.size[1]
        _, height, width, _ = self.shape(self.x_shape)
        counts = []
        for axis, outputs in enumerate((height, width)):
            end = self.x_shape[1 + axis] + 2 * self.padding[axis]
            starts = np.arange(outputs) * self.stride[axis]
            counts.append(np.minimum(starts + self.size[axis], end) - starts)
        return backend.of(x).xp.asarray(np.multiply.outer(*counts)[:, :, None], x.dtype)

    def forward(self, x):
        self.x_shape = x.shape
        _, height, width, _ = self.shape(x.shape)
        y = backend.of(x).pooling.sum_pool(x, self.window, height, width)
        y /= self._sizes(x)
        return y

    def backward(self, dy):
        share = dy / self._sizes(dy)  # N×Ho×Wo×C
        return backend.of(dy).pooling.sum_pool_backward(share, self.window, *self.x_shape[1:3])


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

    size, stride (the size by default), padding: pixels, an int or a (vertical, horizontal) pair. Raises ShapeError
    where no window fits into x or the padding is more than half of one. docs/06-pooling-and-relu.md.
    """
    return MaxPool2d(size, stride, padding)(x)


def avg_pool2d(x, size, stride=None, padding=0, ceil_mode=False):
    """x N×H×W×C -> N×Ho×Wo×C, the mean of each window, the padding counted as zeros.

    With `ceil_mode`, windows that hang over the right or bottom edge are kept and average what lies inside.
    size, stride (the size by default), padding: pixels, an int or a (vertical, horizontal) pair. Raises ShapeError
    where no window fits into x, the padding is more than half of one, or with ceil_mode the stride is more than the
    size. docs/06-pooling-and-relu.md.
    """
    return AvgPool2d(size, stride, padding, ceil_mode)(x)
