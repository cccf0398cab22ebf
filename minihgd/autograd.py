"""Reverse-mode differentiation: a tape of operations, walked backwards once.

An `Op` turns arrays into one array and, asked backwards, turns the gradient of its output into the gradients of
its inputs. Calling an op with tensors records it: the output remembers the op, the op remembers its inputs.
`Tensor.backward` visits the recorded ops from the last to the first and adds up the gradients that meet at a
tensor:

    dL/dx = sum over the ops that use x of (d op / d x)^T dL/d(output of op)

A run of ops can be left off the tape and recorded only when the walk comes to it: see `Recomputed`. Nothing here knows
any layer. Derived in docs/02-the-tape.md.
"""

import contextlib
import copy
import itertools

import numpy as np

from . import backend

_recording = True
_run_instead = None
_numbers = itertools.count()


@contextlib.contextmanager
def _set_recording(on):
    global _recording
    before, _recording = _recording, on
    try:
        yield
    finally:
        _recording = before


def no_grad():
    """A context in which nothing is recorded and ops keep nothing for a backward pass. docs/02-the-tape.md."""
    return _set_recording(False)


def is_recording():
    """Whether ops are computed and recorded: not within `no_grad` or `run_instead`. docs/02-the-tape.md."""
    return _recording and _run_instead is None


@contextlib.contextmanager
def run_instead(run):
    """A context in which `run(op, inputs)` gives an op's output tensor: how a model is costed without computing.

    inputs: a tuple of tensors, None for one left out. Used in docs/10-the-decoders-algebra.md.
    """
    global _run_instead
    before, _run_instead = _run_instead, run
    try:
        yield
    finally:
        _run_instead = before


class Tensor:
    """An array whose history is recorded.

    `data` is a NumPy or CuPy array, or becomes a NumPy array. `grad`, after a backward pass, is an array of the same
    shape for the leaves (tensors that no op made) with `requires_grad`, and None elsewhere; it adds up over passes
    until set to None. Raises TypeError for data that is a Tensor, or that wants a gradient and is not floating-point;
    `backward` raises RuntimeError and ValueError. docs/02-the-tape.md.
    """

    __array_priority__ = 100  # NumPy leaves `array + tensor` to the tensor

    def __init__(self, data, requires_grad=False):
        if isinstance(data, Tensor):
            raise TypeError("Tensor(data) takes an array, found a Tensor; use its .data")
        self.data = data if backend.is_array(data) else np.asarray(data)
        if requires_grad and not backend.is_floating(self.data.dtype):
            raise TypeError(f"only floating-point tensors have gradients, found dtype {self.data.dtype}")
        self.requires_grad = requires_grad
        self.grad = None
        self.op = None  # the op that made it; None for a leaf

    @property
    def shape(self):
        """The size along each axis of the data."""
        return self.data.shape

    @property
    def dtype(self):
        """The type of the data's elements."""
        return self.data.dtype

    @property
    def ndim(self):
        """How many axes the data has."""
        return self.data.ndim

    def numpy(self):
        """The data as a NumPy array, copied from the GPU if it lives there."""
        return backend.to_numpy(self.data)

    def backward(self, grad=None):
        """Add d(self)/d(leaf), contracted with `grad` (same shape as self; 1 for a scalar), to every leaf's `.grad`.

        The tape is consumed: what the ops kept is freed on the way, and a second pass through it raises
        RuntimeError. So do a tensor that depends on no leaf with `requires_grad`, and one that is no scalar where no
        `grad` is given. Raises ValueError for a `grad` of another shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() on a tensor that depends on nothing with requires_grad=True")
        if grad is None:
            if self.data.size != 1:
                raise RuntimeError(f"backward() without a gradient needs a scalar, found shape {self.shape}")
            grad = backend.of(self.data).xp.ones_like(self.data)
        grad = backend.of(self.data).xp.asarray(grad, self.dtype)
        if grad.shape != self.shape:
            raise ValueError(f"the gradient has shape {grad.shape}, the tensor {self.shape}")
        if self.op is None:
            _add_to_leaf(self, grad.copy())
            return
        _walk(self.op, {self.op: grad})

    def __repr__(self):
        made_by = f", made by {type(self.op).__name__}" if self.op else ""
        return f"Tensor({self.data!r}{made_by})"

    # Arithmetic is defined by the ops, which are layers of their own: see ops/__init__.py.


def _walk(last, waiting, first=0):
    """Visit the ops from number `first` on that `last` depends on, itself included, from the newest to the oldest.

    waiting: op -> gradient of its output, for the ops still to be visited.
    """
    for op in _newest_first(last, first):
        if isinstance(op, Recomputed):
            first_again = next(_numbers)
            _walk(_record_again(op, waiting), waiting, first_again)
        else:
            _visit(op, waiting)
        op.free()


def _visit(op, waiting):
    """Hand the gradient of an op's output on to its inputs."""
    dy = waiting.pop(op)
    for tensor, dx in zip(op.inputs, op.input_gradients(dy), strict=True):
        if dx is not None:
            _hand_on(tensor, np.asarray(dx) if isinstance(dx, np.generic) else dx, dy, waiting)


def _record_again(op, waiting):
    """Record what a `Recomputed` stands for; its gradient waits for the last of these ops, which is returned."""
    y, dy = op.record(), waiting.pop(op)
    if y.requires_grad:
        _hand_on(y, dy, dy, waiting)
    return y.op


def _hand_on(tensor, dx, dy, waiting):
    """Add dx to the gradient of a tensor: to a leaf's own, else to what waits for the op that made it."""
    if tensor.op is None:
        # An op may hand back dy itself or a view of something; a leaf's gradient must be its own.
        view = not dx.flags.c_contiguous or backend.of(dx).xp.may_share_memory(dx, dy)
        _add_to_leaf(tensor, dx.copy() if view else dx)
    elif tensor.op in waiting:
        waiting[tensor.op] = backend.of(dx).add(waiting[tensor.op], dx)
    else:
        waiting[tensor.op] = dx


def _add_to_leaf(tensor, gradient):
    tensor.grad = gradient if tensor.grad is None else backend.of(gradient).add(tensor.grad, gradient)


def _newest_first(last, first=0):
    """Every op from number `first` on that `last` depends on, itself included, from the newest to the oldest.

    Ops are numbered as they are recorded and an op's inputs exist before it, so this order visits an op only
    after everything that uses its output.
    """
    if last is None or last.number < first:
        return []
    found, stack = {last}, [last]
    while stack:
        op = stack.pop()
        if op.inputs is None:
            raise RuntimeError(f"{type(op).__name__} was already walked backwards; run the forward pass again")
        for tensor in op.inputs:
            if tensor is None or not tensor.requires_grad or tensor.op is None or tensor.op in found:
                continue
            if tensor.op.number >= first:
                found.add(tensor.op)
                stack.append(tensor.op)
    return sorted(found, key=lambda op: op.number, reverse=True)


class Op:
    """One differentiable operation: `forward(*arrays)` and `backward(dy)`, both on plain arrays.

    Settings go to the constructor. `forward` keeps what `backward` needs with `self.save(name=array)`;
    `backward` takes it back with `self.saved("name")` and returns one gradient for each input (or just the
    gradient where there is one input). `self.needs[i]` is False for an input whose gradient nobody wants.
    `shape(*shapes)` is the output's shape, and `macs(*shapes)` the multiply-accumulates it takes.

    Calling the op computes its output tensor from tensors or arrays, None for an optional input that is left out, and
    records a copy of the op. Raises TypeError where a pass is not defined. docs/02-the-tape.md.
    """

    inputs = None
    number = None
    keeps = True  # whether a backward pass may follow

    needs = (True,) * 8  # at a prompt every gradient is wanted

    def __call__(self, *inputs):
        tensors = tuple(x if x is None or isinstance(x, Tensor) else Tensor(x) for x in inputs)
        if _run_instead is not None:
            return _run_instead(self, tensors)
        op = copy.copy(self)  # what is recorded is a copy, so that one op can stand in many places of a graph
        wanted = tuple(_recording and t is not None and t.requires_grad for t in tensors)
        op.needs, op.keeps = wanted + (False,), any(wanted)  # an optional last input may be left out: nobody wants it
        output = Tensor(op.forward(*(None if t is None else t.data for t in tensors)))
        if op.keeps:
            op.inputs, op.number = tensors, next(_numbers)
            output.requires_grad, output.op = True, op
        return output

    def save(self, **arrays):
        """Keep arrays by name for `backward`; does nothing when no backward pass will follow."""
        if self.keeps:
            self._saved = arrays

    def saved(self, *names):
        """What `save` kept: one array, or a tuple of them."""
        values = tuple(self._saved[name] for name in names)
        return values[0] if len(values) == 1 else values

    def input_gradients(self, dy):
        """`backward(dy)` as a tuple, None where no gradient is wanted."""
        gradients = self.backward(dy)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        return tuple(g if want else None for g, want, _ in zip(gradients, self.needs, self.inputs, strict=False))

    def free(self):
        """Let go of inputs and kept arrays: the tape is walked once."""
        self.inputs = None
        self._saved = None

    def forward(self, *arrays):
        """The output, one array, from the inputs' arrays (None for an input left out); saves what backward needs.

        Raises ShapeError, or a ValueError of NumPy's, where the inputs do not fit together.
        """
        raise TypeError(f"{type(self).__name__} has no forward")

    def backward(self, dy):
        """From the gradient dy of the output, of its shape, those of the inputs, each of its input's shape.

        A tuple of arrays, in which None may stand for a gradient that nobody wants; or just the array for one input.
        """
        raise TypeError(f"{type(self).__name__} has no backward")

    def shape(self, *shapes):
        """The output's shape from the inputs' (None for an input left out); by default that of the first.

        Nothing is computed. Raises ShapeError, or a ValueError of NumPy's, where an op sees that inputs do not fit.
        """
        return shapes[0]

    def macs(self, *shapes):
        """Multiply-accumulates of `forward`: convolutions and matrix products count, the rest is 0."""
        return 0


class Recomputed(Op):
    """A run of ops that stands on the tape as one and keeps its inputs alone, for less memory.

    When the walk comes to it, the ops are computed a second time, now recorded, and the walk goes on through them
    before anything older. So all gradients are added up in the order of a tape without it: equal to the last bit.

    run: a function of no arguments that returns the output, a tensor. The op is called with the tensors that `run`
    uses: all that may want a gradient. remember: a function that notes what else `run` depends on or changes, and
    returns a function that brings it back: the second run begins where the first began, and leaves no trace.
    docs/02-the-tape.md.
    """

    def __init__(self, run, remember):
        self.run, self.remember = run, remember

    def forward(self, *arrays):
        self.before = self.remember()
        with no_grad():
            return self.run().data

    def record(self):
        """The output once more, its ops recorded."""
        now = self.remember()
        self.before()
        try:
            with _set_recording(True):
                return self.run()
        finally:
            now()

    def free(self):
        super().free()
        self.run = self.remember = self.before = None
