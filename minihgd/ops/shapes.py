"""Moving and adding up: reshape, transpose, concatenate, cut, sum, mean, matrix product.

Derived in docs/03-pixels-are-rows.md, sum and mean in docs/09-codeword-assembly.md.
"""

import math

import numpy as np

from .. import backend
from ..autograd import Op
from ..errors import ShapeError
from .elementwise import total


def axes_of(name, axes, ndim):
    """Axes of `ndim`, counted from 0. Raises ShapeError, with the op's name, for one that is not there, or twice."""
    found = tuple(int(a) + ndim * (a < 0) for a in axes)
    if len(set(found)) < len(found) or not all(0 <= a < ndim for a in found):
        given = tuple(map(int, axes))
        raise ShapeError(f"{name}: expected different axes, each from {-ndim} to {ndim - 1}, found {given}")
    return found


class Reshape(Op):
    """The same elements in another shape; backward puts them back."""

    def __init__(self, new_shape):
        self.new_shape = tuple(new_shape)

    def shape(self, x):
        known = math.prod(size for size in self.new_shape if size != -1)
        return tuple(math.prod(x) // known if size == -1 else size for size in self.new_shape)

    def forward(self, x):
        self.old_shape = x.shape
        return x.reshape(self.new_shape)

    def backward(self, dy):
        return dy.reshape(self.old_shape)


class Transpose(Op):
    """The axes in another order; backward applies the inverse order."""

    def __init__(self, axes=None):
        self.axes = axes

    def shape(self, x):
        return tuple(x[a] for a in self._axes(len(x)))

    def _axes(self, ndim):
        return tuple(reversed(range(ndim))) if self.axes is None else axes_of("transpose", self.axes, ndim)

    def forward(self, x):
        return x.transpose(self._axes(x.ndim))

    def backward(self, dy):
        return dy.transpose(tuple(np.argsort(self._axes(dy.ndim))))


class Concatenate(Op):
    """Arrays side by side along an axis; backward cuts the gradient at the seams."""

    def __init__(self, axis=-1):
        self.axis = axis

    def shape(self, *shapes):
        whole = list(shapes[0])
        whole[self.axis] = sum(shape[self.axis] for shape in shapes)
        return tuple(whole)

    def forward(self, *arrays):
        self.widths = [a.shape[self.axis] for a in arrays]
        return backend.of(arrays[0]).xp.concatenate(arrays, axis=self.axis)

    def backward(self, dy):
        seams = np.cumsum(self.widths)[:-1].tolist()
        return tuple(backend.of(dy).xp.split(dy, seams, axis=self.axis))


class Cut(Op):
    """x[start:stop] along an axis; backward lays the gradient into zeros."""

    def __init__(self, axis, start, stop):
        self.axis, self.start, self.stop = axis, start, stop

    def _place(self, ndim):
        return (slice(None),) * (self.axis % ndim) + (slice(self.start, self.stop),)

    def shape(self, x):
        if not 0 <= self.start <= self.stop <= x[self.axis]:
            raise ShapeError(f"cut: expected a part of the {x[self.axis]} along axis {self.axis} of {x}, found "
                             f"{self.start}:{self.stop}")
        axis = self.axis % len(x)
        return x[:axis] + (self.stop - self.start,) + x[axis + 1 :]

    def forward(self, x):
        self.shape(x.shape)
        self.old_shape = x.shape
        return x[self._place(x.ndim)]

    def backward(self, dy):
        dx = backend.of(dy).xp.zeros(self.old_shape, dy.dtype)
        dx[self._place(dy.ndim)] = dy
        return dx


class Sum(Op):
    """The sum over axes (all of them by default); backward repeats the gradient along them."""

    def __init__(self, axis=None, keepdims=False):
        self.axis, self.keepdims = axis, keepdims

    def _axes(self, ndim):
        name = type(self).__name__.lower()  # Mean has these axes, too
        return tuple(range(ndim)) if self.axis is None else axes_of(name, np.atleast_1d(self.axis), ndim)

    def shape(self, x):
        axes = self._axes(len(x))
        kept = tuple(1 if i in axes else size for i, size in enumerate(x))
        return kept if self.keepdims else tuple(size for i, size in enumerate(x) if i not in axes)

    def forward(self, x):
        self.old_shape = x.shape
        return backend.of(x).xp.asarray(total(x, self._axes(x.ndim), self.keepdims))

    def backward(self, dy):
        axes = self._axes(len(self.old_shape))
        kept = tuple(1 if i in axes else size for i, size in enumerate(self.old_shape))
        return backend.of(dy).xp.broadcast_to(dy.reshape(kept), self.old_shape)


class Mean(Sum):
    """The sum over axes divided by how many elements went into each."""

    def _count(self):
        return math.prod(self.old_shape[a] for a in self._axes(len(self.old_shape)))

    def forward(self, x):
        return super().forward(x) / x.dtype.type(self._count())

    def backward(self, dy):
        return super().backward(dy / dy.dtype.type(self._count()))


class MatMul(Op):
    """a ...×M×K, b ...×K×N -> ...×M×N, for matrices and for equal stacks of them.

    dA = dy Bᵀ and dB = Aᵀ dy, from ⟨dA B, ȳ⟩ = ⟨dA, ȳ Bᵀ⟩ and ⟨A dB, ȳ⟩ = ⟨dB, Aᵀ ȳ⟩.
    """

    def shape(self, a, b):
        if len(a) != len(b) or len(a) < 2 or a[:-2] != b[:-2] or a[-1] != b[-2]:
            raise ShapeError(f"matmul: expected ...×M×K and ...×K×N with equal leading sizes, found {a} and {b}")
        return a[:-1] + b[-1:]

    def macs(self, a, b):
        return math.prod(a) * b[-1]

    def forward(self, a, b):
        shape = self.shape(a.shape, b.shape)
        self.save(a=a, b=b)
        return self._product(a, b).reshape(shape)

    def backward(self, dy):
        a, b = self.saved("a", "b")
        dA = self._product(dy, b, transpose_b=True).reshape(a.shape) if self.needs[0] else None
        dB = self._product(a, dy, transpose_a=True).reshape(b.shape) if self.needs[1] else None
        return dA, dB

    @staticmethod
    def _product(a, b, **transposes):
        if a.ndim > 3:  # one axis for the stack
            a, b = a.reshape((-1,) + a.shape[-2:]), b.reshape((-1,) + b.shape[-2:])
        return backend.of(a).matmul(a, b, **transposes)


def plain_matmul(a, b):
    """The product of two matrices, M×K and K×N, as three loops."""
    y = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for i, j, k in np.ndindex(a.shape[0], b.shape[1], a.shape[1]):
        y[i, j] += a[i, k] * b[k, j]
    return y


def reshape(x, shape):
    """x in another shape with as many elements; one size may be -1, which stands for what the others leave.

    Raises ValueError (NumPy's) for another number of elements. docs/03-pixels-are-rows.md.
    """
    return Reshape(shape)(x)


def transpose(x, axes=None):
    """x with its axes in another order: shape[i] of the result is that of x at axes[i]. By default they are reversed.

    Raises ShapeError for an axis that x does not have, or that is named twice; ValueError (NumPy's) for one left out.
    docs/03-pixels-are-rows.md.
    """
    return Transpose(axes)(x)


def concatenate(tensors, axis=-1):
    """`tensors`, a list of one or more, side by side along `axis` (the channels by default).

    Raises ValueError (NumPy's) for shapes that differ along another axis. docs/03-pixels-are-rows.md.
    """
    return Concatenate(axis)(*tensors)


def cut(x, axis, start, stop):
    """The part start:stop of x along `axis`, its shape stop - start there, else that of x.

    Raises ShapeError unless 0 ≤ start ≤ stop ≤ the size of x along the axis. docs/03-pixels-are-rows.md.
    """
    return Cut(axis, start, stop)(x)


def sum_over(x, axis=None, keepdims=False):
    """The sum of x over `axis`: an int, a tuple, or all axes. keepdims: whether these stay in the shape, of size 1.

    Raises ShapeError for an axis that x does not have, or that is named twice. docs/09-codeword-assembly.md.
    """
    return Sum(axis, keepdims)(x)


def mean(x, axis=None, keepdims=False):
    """The mean of x over `axis`: an int, a tuple, or all axes. keepdims: whether these stay in the shape, of size 1.

    Raises ShapeError for an axis that x does not have, or that is named twice. docs/09-codeword-assembly.md.
    """
    return Mean(axis, keepdims)(x)


def matmul(a, b):
    """a ...×M×K times b ...×K×N -> ...×M×N, for matrices and for equal stacks of them.

    Raises ShapeError where K or the leading sizes differ: nothing is broadcast. docs/03-pixels-are-rows.md.
    """
    return MatMul()(a, b)
