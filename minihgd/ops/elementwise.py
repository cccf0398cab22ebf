"""Element by element: arithmetic with broadcasting, exp, log, and ReLU.

Broadcasting repeats an input along an axis; its transpose sums the gradient over that axis (`unbroadcast`): see
docs/03-pixels-are-rows.md. ReLU is derived in docs/06-pooling-and-relu.md.
"""

import numpy as np

from .. import backend
from ..autograd import Op, Tensor


def unbroadcast(gradient, shape):
    """`gradient` summed over the axes along which an input of `shape` was repeated."""
    extra = gradient.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, size in enumerate(shape) if size == 1 and gradient.shape[i + extra] != 1)
    return total(gradient, axes).reshape(shape) if axes else gradient


def total(x, axes, keepdims=False):
    """The sum of x over axes, in its dtype; of bfloat16 it is taken in float32."""
    return x.sum(axis=axes, keepdims=keepdims, dtype=backend.wide(x.dtype)).astype(x.dtype, copy=False)


class Binary(Op):
    """What the four arithmetic ops share: the shapes of both inputs."""

    def shape(self, a, b):
        return np.broadcast_shapes(a, b)

    def to_inputs(self, da, db):
        """Gradients of the output's shape, brought back to the inputs' shapes."""
        shape_a, shape_b = self.shapes
        return unbroadcast(da, shape_a), None if db is None else unbroadcast(db, shape_b)


class Add(Binary):
    """a + b."""

    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return backend.of(a).add(a, b)

    def backward(self, dy):
        return self.to_inputs(dy, dy)


class Subtract(Binary):
    """a - b."""

    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, dy):
        return self.to_inputs(dy, -dy)


class Multiply(Binary):
    """a · b."""

    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        self.save(a=a if self.needs[1] else None, b=b)
        return a * b

    def backward(self, dy):
        a, b = self.saved("a", "b")
        return self.to_inputs(dy * b, dy * a if self.needs[1] else None)


class Divide(Binary):
    """a / b, with d(a/b) = da / b - (a/b) db / b."""

    def forward(self, a, b):
        y = a / b
        self.shapes = a.shape, b.shape
        self.save(y=y if self.needs[1] else None, b=b)
        return y

    def backward(self, dy):
        y, b = self.saved("y", "b")
        da = dy / b
        return self.to_inputs(da, -da * y if self.needs[1] else None)


class Exp(Op):
    """exp(x), whose derivative is itself."""

    def forward(self, x):
        y = backend.of(x).xp.exp(x)
        self.save(y=y)
        return y

    def backward(self, dy):
        return dy * self.saved("y")


class Log(Op):
    """The natural logarithm."""

    def forward(self, x):
        self.save(x=x)
        return backend.of(x).xp.log(x)

    def backward(self, dy):
        return dy / self.saved("x")


class ReLU(Op):
    """max(x, 0). At the kink x = 0 the derivative is taken as 0, so the output alone says where it is 1."""

    def forward(self, x):
        y = backend.of(x).relu(x)
        self.save(y=y)
        return y

    def backward(self, dy):
        return backend.of(dy).relu_backward(dy, self.saved("y"))


def plain_relu(x):
    """ReLU as a loop."""
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        y[i] = x[i] if x[i] > 0 else 0
    return y


def _pair(a, b):
    """A number beside a tensor or an array of floats becomes an array of its dtype, on its device."""
    def like(number, other):
        array = other.data if isinstance(other, Tensor) else other
        dtype = array.dtype if backend.is_floating(array.dtype) else None
        return backend.of(array).xp.asarray(number, dtype)

    numbers = (int, float, np.generic)
    if isinstance(a, numbers):
        return like(a, b), b
    if isinstance(b, numbers):
        return a, like(b, a)
    return a, b


def add(a, b):
    """a + b, of any shapes that broadcast; tensors, arrays or numbers.

    Raises ValueError (NumPy's) for shapes that do not. docs/03-pixels-are-rows.md.
    """
    return Add()(*_pair(a, b))


def subtract(a, b):
    """a - b, of any shapes that broadcast; tensors, arrays or numbers.

    Raises ValueError (NumPy's) for shapes that do not. docs/03-pixels-are-rows.md.
    """
    return Subtract()(*_pair(a, b))


def multiply(a, b):
    """a · b, element by element, of any shapes that broadcast; tensors, arrays or numbers.

    Raises ValueError (NumPy's) for shapes that do not. docs/03-pixels-are-rows.md.
    """
    return Multiply()(*_pair(a, b))


def divide(a, b):
    """a / b, element by element, of any shapes that broadcast; tensors, arrays or numbers.

    Raises ValueError (NumPy's) for shapes that do not. docs/03-pixels-are-rows.md.
    """
    return Divide()(*_pair(a, b))


def exp(x):
    """exp(x), element by element.

    x has any shape. docs/11-cross-entropy.md.
    """
    return Exp()(x)


def log(x):
    """The natural logarithm of x > 0, element by element; of 0 it is -inf, of less nan, with NumPy's warning.

    x has any shape. docs/11-cross-entropy.md.
    """
    return Log()(x)


def relu(x):
    """max(x, 0), element by element; derivative 0 at 0.

    x has any shape. docs/06-pooling-and-relu.md.
    """
    return ReLU()(x)
