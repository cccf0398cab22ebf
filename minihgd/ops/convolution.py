"""Convolution and transposed convolution: one bilinear map and its two adjoints.

    y[h, w] = b + sum over taps (i, j) of x[s h + d i - p, s w + d j - p] W[i, j]           (x is zero outside)

y is linear in x and linear in W, so each gradient is the transpose of one of these maps, and the transposed
convolution is the transpose in x itself. The maps live in backend/conv.py; `plain_conv2d` is the formula as loops.
Derived in docs/04-convolution.md, and for 1×1 kernels in docs/03-pixels-are-rows.md.
"""

import math

import numpy as np

from .. import backend
from ..autograd import Op
from ..backend import conv, windows
from ..errors import ShapeError


def pair(value, name, least):
    """An int, or a pair of ints, as a pair. Raises ShapeError naming the argument for anything else."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in values):
        raise ShapeError(f"{name}: expected an int or a pair of ints, at least {least}; found {value!r}")
    return tuple(int(v) for v in values)


def check_channels(name, x, weight, bias):
    """Raise ShapeError unless the shapes are N×H×W×Cin, kh×kw×Cin×Cout and Cout (or None)."""
    if len(x) != 4 or len(weight) != 4 or x[3] != weight[2] or bias not in (None, (weight[3],)):
        raise ShapeError(f"{name}: expected x N×H×W×Cin, weight kh×kw×Cin×Cout and bias Cout; "
                         f"found {x}, {weight} and {bias}")


def add_bias(y, bias):
    """y N×H×W×C += bias C (or None), in place; returns y."""
    if bias is not None:
        backend.of(y).add_row(y.reshape(-1, y.shape[3]), bias)
    return y


def bias_gradient(dy):
    """dy N×H×W×C -> C: the bias is added to every pixel, so its gradient is their sum."""
    return backend.of(dy).column_sums(dy.reshape(-1, dy.shape[3]))


class Conv2d(Op):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout, bias Cout or None -> y N×Ho×Wo×Cout."""

    def __init__(self, stride=1, padding=0, dilation=1):
        self.stride = pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.dilation = pair(dilation, "dilation", 1)

    def _window(self, weight):
        return windows.Window(tuple(weight[:2]), self.stride, self.padding, self.dilation)

    def shape(self, x, weight, bias=None):
        check_channels("conv2d", x, weight, bias)
        size = tuple(self._window(weight).output(x[1 + axis], axis) for axis in (0, 1))
        if min(size) < 1:
            raise ShapeError(f"conv2d: a {weight[0]}×{weight[1]} kernel with dilation {self.dilation} does not fit "
                             f"into {x[1]}×{x[2]} pixels with padding {self.padding}")
        return (x[0],) + size + (weight[3],)

    def macs(self, x, weight, bias=None):
        return math.prod(self.shape(x, weight)) * math.prod(weight[:3])

    def forward(self, x, weight, bias=None):
        self.shape(x.shape, weight.shape, None if bias is None else bias.shape)
        self.x_shape = x.shape
        weight = backend.narrow(weight, x)
        # dW needs x, dx needs W: keep a map only if its gradient's partner is wanted.
        self.save(x=x if self.needs[1] else None, weight=weight)
        return add_bias(conv.convolve(x, weight, self._window(weight.shape)), bias)

    def backward(self, dy):
        x, weight = self.saved("x", "weight")
        window = self._window(weight.shape)
        dx = conv.convolve_input(dy, weight, window, self.x_shape) if self.needs[0] else None
        dW = conv.convolve_weight(x, dy, window) if self.needs[1] else None
        return dx, dW, bias_gradient(dy) if self.needs[2] else None


class ConvTranspose2d(Op):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout, bias Cout or None -> y N×Ho×Wo×Cout.

    The transpose, in its map, of the convolution that takes y's size to x's: every pixel of x lays down its
    kernel. Ho = s (H - 1) - 2p + kh + output_padding.
    """

    def __init__(self, stride=1, padding=0, output_padding=0):
        self.stride = pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.output_padding = pair(output_padding, "output_padding", 0)
        if any(o >= s for o, s in zip(self.output_padding, self.stride, strict=True)):
            raise ShapeError(f"output_padding: expected less than the stride {self.stride}, found {output_padding}")

    def _window(self, weight):
        return windows.Window(tuple(weight[:2]), self.stride, self.padding)

    def shape(self, x, weight, bias=None):
        check_channels("conv_transpose2d", x, weight, bias)
        size = tuple(s * (n - 1) - 2 * p + k + o for s, n, p, k, o in
                     zip(self.stride, x[1:3], self.padding, weight[:2], self.output_padding, strict=True))
        if min(size) < 1:
            raise ShapeError(f"conv_transpose2d: padding {self.padding} leaves no output of {x[1]}×{x[2]} pixels")
        return (x[0],) + size + (weight[3],)

    def macs(self, x, weight, bias=None):
        return math.prod(x) * math.prod(weight) // weight[2]

    def forward(self, x, weight, bias=None):
        shape = self.shape(x.shape, weight.shape, None if bias is None else bias.shape)
        weight = backend.narrow(weight, x)
        self.save(x=x if self.needs[1] else None, weight=weight)
        # As a convolution from y to x, the kernel has y's channels first.
        return add_bias(conv.convolve_input(x, _swap(weight), self._window(weight.shape), shape), bias)

    def backward(self, dy):
        x, weight = self.saved("x", "weight")
        window = self._window(weight.shape)
        dx = conv.convolve(dy, _swap(weight), window) if self.needs[0] else None
        dW = _swap(conv.convolve_weight(dy, x, window)) if self.needs[1] else None
        return dx, dW, bias_gradient(dy) if self.needs[2] else None


def _swap(weight):
    """kh×kw×Cin×Cout -> kh×kw×Cout×Cin."""
    return backend.of(weight).xp.ascontiguousarray(weight.swapaxes(2, 3))


def plain_conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    """`conv2d` on NumPy arrays as loops over output pixels and taps."""
    op = Conv2d(stride, padding, dilation)
    (sh, sw), (ph, pw), (dh, dw) = op.stride, op.padding, op.dilation
    y = np.zeros(op.shape(x.shape, weight.shape), x.dtype)
    for n, h, w, _ in np.ndindex(y.shape[:3] + (1,)):
        for i, j in np.ndindex(weight.shape[:2]):
            row, column = sh * h + dh * i - ph, sw * w + dw * j - pw
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[n, h, w] += x[n, row, column] @ weight[i, j]  # Cin times Cin×Cout
    return y if bias is None else y + bias


def plain_conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    """`conv_transpose2d` on NumPy arrays: every pixel of x adds its kernel to the output."""
    op = ConvTranspose2d(stride, padding, output_padding)
    (sh, sw), (ph, pw) = op.stride, op.padding
    y = np.zeros(op.shape(x.shape, weight.shape), x.dtype)
    for n, h, w in np.ndindex(x.shape[:3]):
        for i, j in np.ndindex(weight.shape[:2]):
            row, column = sh * h + i - ph, sw * w + j - pw
            if 0 <= row < y.shape[1] and 0 <= column < y.shape[2]:
                y[n, row, column] += x[n, h, w] @ weight[i, j]  # Cin times Cin×Cout
    return y if bias is None else y + bias


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout, bias Cout or None -> N×Ho×Wo×Cout; zeros outside the map.

    stride, padding, dilation: pixels, an int or a (vertical, horizontal) pair; Ho = (H + 2p - d(kh-1) - 1) // s + 1.
    Raises ShapeError where channels differ or the kernel does not fit into the map. docs/04-convolution.md.
    """
    return Conv2d(stride, padding, dilation)(x, weight, bias)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    """x N×H×W×Cin, weight kh×kw×Cin×Cout, bias Cout or None -> N×Ho×Wo×Cout, Ho = s(H-1) - 2p + kh + output_padding.

    stride, padding, output_padding: pixels, an int or a (vertical, horizontal) pair. Raises ShapeError where channels
    differ, no output is left, or output_padding is not less than the stride. docs/04-convolution.md.
    """
    return ConvTranspose2d(stride, padding, output_padding)(x, weight, bias)
